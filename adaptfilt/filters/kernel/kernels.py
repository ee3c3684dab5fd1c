"""What kernel filters share: Gaussian kernels around centres, in order of their coming."""

from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from adaptfilt.base.recursive import RecursiveFilter, push_front


def distance2(centre: Any, u: Any) -> Any:
    """Return the squared distance of two regressors."""
    total = u[0].real * 0
    for k in range(len(u)):
        apart = u[k] - centre[k]
        total += (apart * apart.conjugate()).real
    return total


def gaussian(centre: Any, u: Any, width: Any) -> Any:
    """Return the kernel of two regressors."""
    return np.exp(-0.5 * distance2(centre, u) / (width * width))


def take_in(u: Any, counts: Any, x: Any) -> bool:
    """Take a sample in, and say whether the regressor is another one than the silence before."""
    push_front(u, x)
    counts[1] = min(counts[1] + 1, len(u) + 1) if x == 0 else 0
    return counts[1] <= len(u)


def add_centre(centres: Any, counts: Any, u: Any) -> None:
    """Take a regressor as the next centre."""
    centre = centres[int(counts[0])]
    for k in range(len(u)):
        centre[k] = u[k]
    counts[0] += 1


class KernelFilter(RecursiveFilter):
    """A filter y = sum_j c_j exp(-|z_j - u|^2 / (2 width^2)) with at most `budget` centres z_j; w holds the c_j.

    Parameters
    ----------
    taps : int >= 1
        Number of samples in a regressor, M.
    params : mapping of str to float or Tensor
        The algorithm's parameters, `budget` among them.
    **common
        As for `RecursiveFilter`.
    """

    responds: ClassVar[bool] = False
    budget: int
    counts: Tensor

    @property
    def _weights(self) -> int:
        return self.budget

    @property
    def samples(self) -> int:
        """Number of samples in a regressor, M."""
        return self.taps

    @property
    def centres_used(self) -> Tensor:
        """Number of centres so far, (*batch)."""
        return self.counts[..., 0].long()
