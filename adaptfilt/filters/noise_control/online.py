"""The secondary path found while control runs, with a quiet noise that is played besides.

A probe v, white noise that nothing else knows, is played along with the controller's y. A second filter finds the path
from v to the error; its weights are the model s^ of the controller. What the noise leaves at the microphone disturbs
it, and the probe disturbs the controller, so each is freed of the other's part, the residual noise as a third filter h
finds it from the reference (cross-updated):

    e = d - s * (y + v),    e' = e + s^ * v,    z = h * x
    controller: e',    s^: input v, error z - e',    h: input x, error e' - z

Without the third filter (Eriksson) z = 0 and the controller adapts on e itself. With a schedule, the level of the probe
is a part of that of e: loud after a change, and quiet once the noise is gone.

Source: L. J. Eriksson and M. C. Allie, "Use of random noise for on-line transducer modeling in an adaptive active
attenuation system", J. Acoustical Society of America, 1989; M. Zhang, H. Lan and W. Ser, "Cross-updated active noise
control system with online secondary path modeling", IEEE Trans. Speech and Audio Processing, 2001; the schedule after
M. T. Akhtar, M. Abe and M. Kawamata, "A new variable step size LMS algorithm-based method for improved online secondary
path modeling in active noise control systems", IEEE Trans. Audio, Speech, and Language Processing, 2006.
"""

import math
from typing import Any, Self

import torch
from torch import Tensor

from adaptfilt.base.guarded import locked
from adaptfilt.base.linear import LinearFilter
from adaptfilt.base.stream import AdaptiveFilter
from adaptfilt.checks import check_number, positive_int
from adaptfilt.filters.noise_control.loop import Loop
from adaptfilt.filters.noise_control.modified import ModifiedFxLMS

MEMORY = 0.999  # of the mean power of e, a sample


class OnlineModelling(Loop):
    """A controller of noise, and filters that find its secondary path while it runs.

    Parameters
    ----------
    filter : FxLMS, FxNLMS or ModifiedFxLMS
        The controller, real, of one stream; its `secondary` is renewed.
    path : LinearFilter
        Finds the path from the probe: as many taps as `secondary` has, such as ``af.NLMS(S, 0.01)``.
    residual : LinearFilter, optional
        Finds the residual noise from the reference, such as ``af.NLMS(taps, 0.01)``. None: Eriksson's scheme.
    probe : float > 0
        Level of the probe, its standard deviation; with a schedule the largest.
    schedule : float > 0, optional
        The probe's level is that part of the error's, up to `probe`. None: it is constant.
    every : int >= 1
        Samples between two renewals of the controller's model.
    seed : int
        Of the probe.

    Raises
    ------
    TypeError, ValueError
        If an argument is of another kind or out of its range.

    Examples
    --------
    >>> import numpy as np, torch, adaptfilt as af
    >>> duct = af.plants.Duct(np.array([0.0, 0.0, 0.8, 0.2]), np.array([0.0, 1.0, 0.3]))
    >>> wrong = af.FxNLMS(4, 0.02, np.array([0.1, 0.5, 0.0]), dtype=torch.float64)
    >>> f = af.OnlineModelling(wrong, af.NLMS(3, 0.02), af.NLMS(4, 0.02), probe=0.3)
    >>> heard = duct.control(f, af.signals.white(3000, rng=0))
    >>> bool(np.abs(f.secondary.numpy() - duct.secondary).max() < 0.1)
    True
    """

    power: Tensor  # of e, in the mean
    count: Tensor
    probed: Tensor  # s^ * v of the newest sample
    left: Tensor  # z of the newest sample

    def __init__(
        self,
        filter: Any,
        path: LinearFilter,
        residual: LinearFilter | None = None,
        *,
        probe: float = 0.05,
        schedule: float | None = None,
        every: int = 16,
        seed: int = 0,
    ) -> None:
        super().__init__()
        base = filter.inner if isinstance(filter, ModifiedFxLMS) else filter
        if not hasattr(filter, "secondary") or not isinstance(base, AdaptiveFilter):
            raise TypeError(f"filter must have a secondary path, as FxLMS has, got {type(filter).__name__}")
        for name, f in (("filter", base), ("path", path), ("residual", residual)):
            if f is not None and (f.batch or f.inputs is not None or f.dtype.is_complex):
                raise ValueError(f"{name} must be a real filter of one stream, got {f}")
        if path.taps != filter.secondary.shape[-1]:
            raise ValueError(f"path must have {filter.secondary.shape[-1]} taps, as secondary, got {path.taps}")
        self.inner, self.path, self.residual = filter, path, residual
        self.probe = float(check_number("probe", probe, (), above=True))
        self.schedule = None if schedule is None else float(check_number("schedule", schedule, (), above=True))
        self.every = positive_int("every", every)
        self.generator = torch.Generator().manual_seed(seed)
        for name in ("power", "probed", "left"):
            self.register_buffer(name, torch.zeros((), dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.path.w = filter.secondary
        self._fixed = ("inner", "path", "residual", "every")

    @property
    def secondary(self) -> Tensor:
        """The model of the path, as it is now, (S,)."""
        return self.path.w

    @property
    def level(self) -> float:
        """The probe's standard deviation for the next sample."""
        if self.schedule is None:
            return self.probe
        return min(self.probe, self.schedule * math.sqrt(float(self.power)))

    def forward(self, *args: Any) -> Any:
        """Refuse blocks: the probe is heard at once, so that a loop goes sample by sample."""
        raise TypeError("OnlineModelling takes no blocks: call predict and adapt, or `adaptfilt.plants.Duct.control`")

    @locked
    def predict(self, x: float) -> float:
        """Take one sample of the reference in and return what is to be played, the probe with it."""
        y = self.inner.predict(x)
        v = self.level * float(torch.randn((), dtype=torch.float64, generator=self.generator))
        self.probed.fill_(self.path.predict(v))
        if self.residual is not None:
            self.left.fill_(self.residual.predict(x))
        return float(y + v)

    @locked
    def adapt(self, e: float) -> None:
        """Adapt all filters on the error that the microphone measured after the last `predict`."""
        freed, left = e + float(self.probed), float(self.left)
        self.inner.adapt(e if self.residual is None else freed)  # refuses what is no number
        if not self.training:
            return
        self.path.adapt(left - freed)
        if self.residual is not None:
            self.residual.adapt(freed - left)
        self.power.mul_(MEMORY).add_((1 - MEMORY) * e * e)
        self.count += 1
        if int(self.count) % self.every == 0 and bool(self.path.w.count_nonzero()):
            self.inner.secondary = self.path.w

    def get_extra_state(self) -> Tensor:
        """Return what torch's `state_dict` does not find by itself: where the probe is."""
        return self.generator.get_state()

    def set_extra_state(self, state: Tensor) -> None:
        """Take over what `get_extra_state` returned."""
        self.generator.set_state(state)

    @locked
    def reset(self) -> Self:
        """Return to the start, but for the model of the path and the probe, which go on."""
        model = self.path.w.clone()
        for f in (self.inner, self.path, self.residual):
            if f is not None:
                f.reset()
        for value in (self.power, self.count, self.probed, self.left):
            value.zero_()
        self.path.w = model
        return self
