"""Small filters in front of an adaptive one and behind it: streaming modules, any split, state in `state_dict`."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adaptfilt.checks import as_batch, check_number


class Section(nn.Module):
    """First-order section, y[n] = b0 x[n] + b1 x[n-1] + r y[n-1], over streams of any length.

    Parameters
    ----------
    b : tuple of two floats
    r : 0 <= float < 1
    batch : tuple of int
        Shape of the streams in front of time.
    """

    past: Tensor  # b1 x[n] + r y[n], in double precision

    def __init__(self, b: tuple[float, float], r: float, *, batch: tuple[int, ...] | int = ()) -> None:
        super().__init__()
        self.b, self.r, self.batch = b, r, as_batch(batch)
        self.register_buffer("past", torch.zeros((*self.batch, 1), dtype=torch.float64, device="cpu"))

    def forward(self, x: Any) -> Any:
        """Filter a block, going on from the last one.

        Parameters
        ----------
        x : array or Tensor [shape=(*batch, T)]
            Real floats. A tensor lies on the CPU and needs no gradient.

        Returns
        -------
        array or Tensor [shape=(*batch, T)]
            Of the kind and precision of x.

        Raises
        ------
        TypeError, ValueError
            If x has another type or shape.
        """
        from scipy.signal import lfilter

        if not isinstance(x, np.ndarray | Tensor) or (
            x.requires_grad if isinstance(x, Tensor) else x.dtype.kind != "f"
        ):
            raise TypeError(f"x must be an array or tensor of real floats without gradients, got {type(x).__name__}")
        if tuple(x.shape[:-1]) != self.batch or not x.ndim:
            raise ValueError(f"x must have shape {(*self.batch, 'T')}, got {tuple(x.shape)}")
        block = x.numpy() if isinstance(x, Tensor) else x
        if not x.shape[-1]:
            return x
        y, past = lfilter(self.b, [1.0, -self.r], block.astype(np.float64), zi=self.past.numpy())
        self.past.copy_(torch.from_numpy(past))
        y = y.astype(block.dtype)
        return torch.from_numpy(y) if isinstance(x, Tensor) else y

    def reset(self) -> "Section":
        """Return to silence."""
        self.past.zero_()
        return self

    def extra_repr(self) -> str:
        """Describe the section in the module's repr."""
        return f"b={self.b}, r={self.r:g}"


class PreEmphasis(Section):
    """y[n] = x[n] - a x[n-1]: evens out the spectrum of speech, by which filters learn all of it alike.

    Parameters
    ----------
    a : float, 0 to 1
    batch : tuple of int

    Examples
    --------
    >>> import numpy as np
    >>> PreEmphasis(0.9)(np.array([1.0, 1.0, 1.0])).round(3)
    array([1. , 0.1, 0.1])
    """

    def __init__(self, a: float = 0.9, *, batch: tuple[int, ...] | int = ()) -> None:
        a = float(check_number("a", a, (), high=1.0))
        super().__init__((1.0, -a), 0.0, batch=batch)


class DeEmphasis(Section):
    """y[n] = x[n] + a y[n-1]: undoes `PreEmphasis`.

    Parameters
    ----------
    a : 0 <= float < 1
    batch : tuple of int

    Examples
    --------
    >>> import numpy as np
    >>> DeEmphasis(0.9)(PreEmphasis(0.9)(np.array([1.0, 2.0, 3.0])))
    array([1., 2., 3.])
    """

    def __init__(self, a: float = 0.9, *, batch: tuple[int, ...] | int = ()) -> None:
        a = float(check_number("a", a, (), high=1 - 1e-9))
        super().__init__((1.0, 0.0), a, batch=batch)


class DCNotch(Section):
    """y[n] = (1 + r) / 2 (x[n] - x[n-1]) + r y[n-1]: takes out a constant, and passes half the rate with gain 1.

    The corner lies at (1 - r) / (2 pi) of the sampling rate.

    Parameters
    ----------
    radius : 0 <= float < 1
        Of the pole, r.
    batch : tuple of int

    Examples
    --------
    >>> import numpy as np
    >>> y = DCNotch(0.9)(np.full(400, 3.0))
    >>> bool(abs(y[-1]) < 1e-12)
    True
    """

    def __init__(self, radius: float = 0.995, *, batch: tuple[int, ...] | int = ()) -> None:
        r = float(check_number("radius", radius, (), high=1 - 1e-9))
        super().__init__(((1 + r) / 2, -(1 + r) / 2), r, batch=batch)
