"""What filters that adapt at some samples only have in common: the count of these samples."""

from typing import Any

from torch import Tensor

from adaptfilt.base.linear import LinearFilter
from adaptfilt.engines.words import add, mul, where

BEYOND = 1.001  # an error that stands at the bound, where updates lead, is beyond it by rounding at times
MANY = 2.0**23  # samples, from which on counts are halved: single precision counts to twice as many


def counted(size: Any, bound: Any, updates: Any, samples: Any) -> Any:
    """Return the counts of updates and of samples after one more sample, whose error has this size."""
    keep, adapts = where(samples < MANY, 1.0, 0.5), size > mul(BEYOND, bound)
    return mul(keep, add(updates, where(adapts, 1.0, 0.0))), mul(keep, add(samples, 1.0))


class SelectiveFilter(LinearFilter):
    """A filter whose gain carries the counts `updates` and `samples`."""

    updates: Tensor
    samples: Tensor

    @property
    def share(self) -> Tensor:
        """Share of the samples since the start at which the filter adapted; of the last 2^23 to 2^24 at most."""
        return self.updates / self.samples.clamp(min=1)
