"""What filters in a loop share: their inner filter, what is heard through a response, and going back on failure."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adaptfilt.base.filtered import as_path, padded
from adaptfilt.base.guarded import Guarded
from adaptfilt.base.stream import as_block
from adaptfilt.checks import Block, as_tensor, check_block, check_finite


class Loop(Guarded):
    """A filter in a loop, around another one that holds the weights.

    Attributes
    ----------
    inner : filter
        The filter inside, which may be a loop itself.
    w : Tensor
        Its weights.
    """

    inner: Any
    played: Any  # the newest outputs, as many as the longest path has taps, oldest first
    secondary: Any

    @property
    def w(self) -> Tensor:
        """Weights, (*batch, [inputs,] M); may be assigned."""
        w: Tensor = self.inner.w
        return w

    @w.setter
    def w(self, value: Block) -> None:
        self.inner.w = value

    @property
    def _base(self) -> Any:
        """The filter that holds the weights."""
        return self.inner._base if isinstance(self.inner, Loop) else self.inner

    def _block_of_one(self, name: str, value: Any) -> Any:
        """Return one sample as a block of length one."""
        base = self._base
        return as_block(name, value, base._axes(name), base.dtype.is_complex)

    def _signal(self, name: str, value: Any) -> Tensor:
        """Check a signal, and return it as a tensor."""
        base, like = self._base, self.played
        check_block(name, value, like, (*base._axes(name), None))
        own = as_tensor(value, like.dtype, like.device)
        check_finite(name, own)
        return own

    def _responses(self, path: Any) -> tuple[Tensor, Tensor]:
        """Check a path; return the model and the path, which is the model where none is given, of one length."""
        longest = self.played.shape[-1]
        model = padded(self.secondary, longest)
        return model, model if path is None else padded(as_path(path, longest, self.played), longest)


@contextmanager
def whole_or_not(f: nn.Module) -> Iterator[None]:
    """Let state change whole or stay as it was, whatever is raised."""
    before = {k: v.clone() for k, v in f.state_dict().items()}
    try:
        yield
    except BaseException:
        f.load_state_dict(before)
        raise


def heard(stream: Tensor, response: Tensor) -> Tensor:
    """Return a response's output for every sample of a stream, (*batch, P - 1 + T), that has P - 1 before it."""
    P, length = len(response), stream.shape[-1]
    if length < P:
        return stream[..., :0]
    if not stream.is_cpu:
        return (stream.unfold(-1, P, 1) * response.flip(-1)).sum(-1)
    own = response.numpy()
    rows = [np.convolve(row, own, "valid") for row in stream.reshape(-1, length).numpy()]
    return torch.from_numpy(np.array(rows)).reshape(*stream.shape[:-1], -1)


def samples_ahead(response: Tensor) -> int | None:
    """Return how many zeros a response begins with: as many outputs are not yet heard. None: it is all zeros."""
    found = response.nonzero()
    return int(found[0, 0]) if len(found) else None


def push(past: Tensor, new: Tensor) -> None:
    """Move the newest samples of a stream into the place of its past."""
    past.copy_(torch.cat([past, new], -1)[..., new.shape[-1] :])
