"""The tap-delay line: the one place where the order of taps is decided.

The past is stored oldest first, and a block is processed on ``[history, block]``; a regressor is the newest M
samples of it read backwards, u[k] = x[n - k], so that a weight vector is an impulse response.
"""

import numpy as np
import torch
from torch import Tensor, nn

from adaptfilt.checks import as_batch, as_dtype, cast, check_block, check_finite, positive_int


def windows(stream: Tensor, taps: int) -> Tensor:
    """Return all regressors of a stream, newest sample first.

    Parameters
    ----------
    stream : Tensor [shape=(..., T + taps - 1)]
        ``[history, block]``, oldest first.
    taps : int >= 1

    Returns
    -------
    Tensor [shape=(..., T, taps)]
        A copy: torch has no negative strides.
    """
    if stream.shape[-1] < taps:  # an empty block
        return stream.new_empty(*stream.shape[:-1], 0, taps)
    return stream.unfold(-1, taps, 1).flip(-1)


class TapDelayLine(nn.Module):
    """Tap-delay line: keeps the newest samples of a stream and gives the regressors of a block.

    Parameters
    ----------
    taps : int >= 1
        Number of samples in a regressor, M.
    batch : tuple of int or int
        Shape of independent streams in front of time.
    dtype : torch.dtype
        float32, float64, complex64 or complex128.
    device : torch.device, optional
        The CPU by default, whatever torch's default device is.

    Attributes
    ----------
    samples : Tensor [shape=(*batch, M)]
        The newest M samples, oldest first.

    Examples
    --------
    >>> import numpy as np
    >>> from adaptfilt import TapDelayLine
    >>> line = TapDelayLine(3)
    >>> line.push(np.array([1.0, 2.0], dtype=np.float32))
    array([[1., 0., 0.],
           [2., 1., 0.]], dtype=float32)
    >>> line.push(np.array([3.0], dtype=np.float32))
    array([[3., 2., 1.]], dtype=float32)
    """

    samples: Tensor

    def __init__(
        self,
        taps: int,
        *,
        batch: tuple[int, ...] | int = (),
        dtype: torch.dtype = torch.float32,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.taps = positive_int("taps", taps)
        self.register_buffer(
            "samples", torch.zeros(*as_batch(batch), self.taps, dtype=as_dtype(dtype), device=device or "cpu")
        )

    @property
    def history(self) -> Tensor:
        """The past that a new block is processed on, (*batch, M - 1), oldest first."""
        return self.samples[..., 1:]

    def extend(self, block: Tensor) -> Tensor:
        """Take a block in and return ``[history, block]``, (*batch, T + M - 1), oldest first."""
        stream = torch.cat([self.history, block], -1)
        self.keep(stream)
        return stream

    def keep(self, stream: Tensor) -> None:
        """Remember the last M samples of ``[history, block]``; an empty block leaves all as it was."""
        if stream.shape[-1] >= self.taps:
            self.samples.copy_(stream[..., -self.taps :].detach())

    def push(self, block: Tensor | np.ndarray) -> Tensor | np.ndarray:
        """Take a block in and return its regressors.

        Parameters
        ----------
        block : array or Tensor [shape=(*batch, T)]
            New samples, oldest first.

        Returns
        -------
        array or Tensor [shape=(*batch, T, M)]
            Regressors, newest sample first. An array is a read-only view of T + M - 1 samples. Torch has no negative
            strides, so a tensor is a copy: push long streams in blocks.

        Raises
        ------
        TypeError, ValueError
            If the block has another type or shape, or holds NaN or infinity.
        """
        check_block("block", block, self.samples, (*self.samples.shape[:-1], None))
        x = cast(block, self.samples.dtype)
        check_finite("block", x)
        if isinstance(x, np.ndarray):
            if x.shape[-1] == 0:
                return np.empty((*x.shape, self.taps), x.dtype)
            stream = np.concatenate([self.history.detach().cpu().numpy(), x], -1)
            self.keep(torch.from_numpy(stream))
            newest_first = stream[..., ::-1]
            rows = np.lib.stride_tricks.sliding_window_view(newest_first, self.taps, -1)
            return rows[..., ::-1, :]
        return windows(self.extend(x), self.taps)

    def reset(self) -> None:
        """Forget all samples."""
        self.samples.zero_()

    def extra_repr(self) -> str:
        """Describe the line in the module's repr."""
        batch = tuple(self.samples.shape[:-1])
        return f"{self.taps}, dtype={self.samples.dtype}" + (f", batch={batch}" if batch else "")
