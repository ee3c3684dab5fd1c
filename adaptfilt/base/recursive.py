"""Filters that are no y = w^T u, such as lattices: per sample, whatever their function says."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from adaptfilt.base.parameters import ParametricFilter


class RecursiveFilter(ParametricFilter):
    """An adaptive filter that runs a recursion: give it an `algorithm` with `recursion` and `weights`.

    Parameters
    ----------
    taps : int >= 1
        Number of weights, M.
    params : mapping of str to float or Tensor
        The algorithm's parameters, which become attributes.
    batch, dtype, device, nonfinite, adapt_in_eval, engine
        As for `AdaptiveFilter`; engine "compiled" or "reference", the same function uncompiled. There are no inputs,
        outputs and w0, gradients are not followed, and the state lies on the CPU.

    Attributes
    ----------
    w : Tensor [shape=(*batch, M)]
        The weights that stand for the recursion, such as its impulse response; read-only.
    """

    def __init__(self, taps: int, params: Mapping[str, Any], **common: Any) -> None:
        for name in ("inputs", "outputs", "w0", "features", "sps"):
            if common.get(name) is not None:
                raise TypeError(f"{type(self).__name__} is a recursion: {name} cannot be given")
        super().__init__(taps, params, **common)
        self.register_buffer("_w", torch.zeros(*self.batch, self._weights, dtype=self.dtype, device=self.device))
        self._stale = True
        self._register_state()
        self._restart()
        self._forget()
        self._fixed = (*self._fixed, "w")

    @property
    def _weights(self) -> int:
        return self.taps

    @property
    def w(self) -> Tensor:  # type: ignore[override]
        """The weights that stand for the recursion."""
        if self._stale:
            self._adapt(self._job(self.line.samples[..., :0], self.line.samples[..., :0]))
        return self._buffers["_w"]  # type: ignore[return-value]
