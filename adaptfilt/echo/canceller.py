"""An echo canceller: the far end in, the microphone in, the near end out.

    x -> DC notch, pre-emphasis -> bulk delay -> FDKF in two paths -> y
    d -> DC notch, pre-emphasis ---------------> e = d - y ----------> residual suppression -> de-emphasis -> out

The Kalman filter falls still by itself while the near end speaks, the two paths keep its mistakes from being heard, and
the suppressor takes out what it leaves. Without far end all gains are 1, and the near end passes untouched but for the
notch. While a far end begins, the filter grows no surer: frames half empty, without the echo that is still to come,
would teach it that there is no path. On the right path the means of y d and y^2 agree, whatever the near end does;
where they have agreed and do so no more, the path has changed, and the filter begins anew to be unsure, with the
weights it has. Cost: that of `FDKF` with a hop of half a block, its foreground's, and four short transforms a hop.
"""

import copy
import math
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.base.guarded import Guarded, locked
from adaptfilt.checks import (
    NUMPY,
    check_block,
    check_finite,
    check_names,
    check_number,
    keywords,
    natural,
    positive_int,
)
from adaptfilt.echo import compiled
from adaptfilt.echo.loops import GROUP, begins, doubted
from adaptfilt.echo.sections import DCNotch, DeEmphasis, PreEmphasis
from adaptfilt.echo.suppressor import Suppressor
from adaptfilt.echo.two_path import TwoPath
from adaptfilt.filters.frequency.fdkf import FDKF

TAIL = 0.256  # seconds of echo where no taps are given
BLOCK = 0.016  # seconds of a block, about
A = 0.9999  # of the path, from hop to hop; a path that changes at once has the filter begin anew
DECAY = 0.2  # decades of power a block: a room of half a second
SEEN = 0.1  # seconds of the means of y d, y^2 and d^2
TRUST = 0.3  # seconds in which a path was borne out, before it can be doubted
FULL_SCALE = 32768.0


class EchoCanceller(Guarded):
    """Echo canceller for one loudspeaker and one microphone.

    Parameters
    ----------
    fs : float >= 125
        Sampling rate in Hz, of both signals.
    taps : int >= 1, optional
        Length of the echo that is cancelled; 256 ms by default.
    delay : int >= 0
        Samples by which the microphone is later than the far end at least, as found by `adaptfilt.align`: the filter
        then begins there.
    suppress : bool
        Suppress what the filter leaves. The output is then `latency` samples late, one block of about 16 ms.
    floor_db : float <= 0
        The least gain of the suppression in dB.
    two_paths : bool
        Adapt in the background, let a copy speak.
    high_pass : float >= 0
        Corner in Hz of the first-order high-pass before all else; 0 leaves it out.
    **filter
        Further arguments of the `adaptfilt.FDKF`, such as ``A=0.9995``, which follows faster and ends higher.

    Attributes
    ----------
    filter : FDKF
        The filter that adapts; `filter.w` is the echo path from `delay` on.
    latency : int
        Samples by which the output is late.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = 0.1 * np.random.default_rng(0).standard_normal(8000)
    >>> ec = af.EchoCanceller(fs=8000, taps=256)
    >>> out = ec(x, lfilter([0.0, 0.5, -0.2], 1, x))
    >>> bool(af.metrics.erle_db(x[-2000:], out[-2000:]) > 30)
    True
    """

    n: Tensor
    pending: Tensor  # x and d of the hop that is not yet complete
    filter: Any
    paths: Any
    suppressor: Any
    seen: Tensor  # means of y d, y^2 and d^2
    trusted: Tensor  # hops that have borne the path out since it was last doubted
    ready: Tensor  # the output, from where the next sample takes it
    late: Tensor  # the far end that the bulk delay holds
    heard: Tensor  # x, d and y of this group of hops, behind four hops of the past
    place: Tensor  # samples into this group
    unsure: Tensor  # P as the group began

    def __init__(
        self,
        fs: float,
        taps: int | None = None,
        *,
        delay: int = 0,
        suppress: bool = True,
        floor_db: float = -20.0,
        two_paths: bool = True,
        high_pass: float = 2.0,
        **filter: Any,
    ) -> None:
        super().__init__()
        check_names("EchoCanceller", filter, [*keywords(EchoCanceller), *keywords(FDKF)])
        self.fs = float(check_number("fs", fs, (), low=2 / BLOCK))  # two samples a block
        taps = max(1, round(TAIL * self.fs)) if taps is None else positive_int("taps", taps)
        self.delay = natural("delay", delay)
        self.floor_db = -float(check_number("-floor_db", -floor_db, ()))
        block = 1 << round(np.log2(BLOCK * self.fs))
        self.hop = block // 2
        self.filter = FDKF(taps, **{"block": block, "hop": self.hop, "A": A, "decay": DECAY, **filter})
        if suppress and (self.filter.block, self.filter.hop, self.filter.inputs) != (block, self.hop, None):
            raise ValueError(f"the suppression goes with block={block}, hop={self.hop} and one input")
        self.paths = TwoPath(self.filter, hop=GROUP * self.hop, patience=math.inf) if two_paths else None
        corner = float(check_number("high_pass", high_pass, (), high=self.fs / 4))
        self.notch = DCNotch(np.exp(-2 * np.pi * corner / self.fs), batch=(2,)) if corner else None
        self.emphasis, self.deemphasis = PreEmphasis(batch=(2,)), DeEmphasis()
        self.__dict__["_compiled"] = None
        rate = self.fs / self.hop
        self.suppressor = (
            Suppressor(block, self.filter.partitions, rate, 10 ** (self.floor_db / 20)) if suppress else None
        )
        for name, shape in (
            ("pending", (2, self.hop)), ("ready", (self.hop,)), ("late", (self.delay,)),
            ("heard", (3, (GROUP + 4) * self.hop)),
        ):  # fmt: skip
            self.register_buffer(name, torch.zeros(shape, dtype=self.filter.dtype, device="cpu"))
        self.register_buffer("seen", torch.zeros(3, dtype=torch.float64, device="cpu"))
        self.register_buffer("trusted", torch.zeros((), dtype=torch.int64, device="cpu"))
        self.register_buffer("unsure", self.filter.P.clone())
        for name in ("n", "place"):
            self.register_buffer(name, torch.zeros((), dtype=torch.int64, device="cpu"))
        self._fixed = (
            "fs",
            "delay",
            "floor_db",
            "hop",
            "filter",
            "paths",
            "suppressor",
            "notch",
            "emphasis",
            "deemphasis",
        )

    @property
    def latency(self) -> int:
        """Samples by which the output is late: a block with suppression, else none."""
        return 2 * self.hop if self.suppressor else 0

    @locked
    def forward(self, x: Any, d: Any) -> Any:
        """Cancel the echo of a block of any length, going on from the last one; in `eval` mode nothing adapts.

        Parameters
        ----------
        x : array or Tensor [shape=(T,)]
            Far end: what goes to the loudspeaker. Floats of about +-1, or int16.
        d : array or Tensor [shape=(T,)]
            Microphone.

        Returns
        -------
        array or Tensor [shape=(T,)]
            Near end, of the kind and precision of d, `latency` samples late.

        Raises
        ------
        TypeError, ValueError
            If a signal has another type or shape, or holds NaN or infinity. The state is then as before.
        """
        far, near = (self._taken(name, value) for name, value in (("x", x), ("d", d)))
        if far.shape != near.shape:
            raise ValueError(f"x and d must have the same length, got {far.size} and {near.size} samples")
        machine = self._machine()
        if machine is not None:
            own = self.filter
            out = machine.run(far, near, own.training or own.adapt_in_eval, self.training)
            if out is not None:
                return self._given_back(out, d)
        for name, value in (("x", far), ("d", near)):
            check_finite(name, value)
        return self._given_back(self._step_by_step(far, near), d)

    @torch.no_grad()
    def _step_by_step(self, far: Any, near: Any) -> Any:
        """Cancel the echo of a block, each stage a module: what `loops` does at once."""
        both = np.stack([far, near])
        both = self.notch(both) if self.notch is not None else both
        both = self.emphasis(both)
        both[0] = self._delayed(both[0])
        return self.deemphasis(self._subtracted(both) if self.suppressor is None else self._suppressed(both))

    def _machine(self) -> compiled.Workspace | None:
        """Return what runs all of it in one call of machine code; None where the filter does not run compiled."""
        own = self.filter
        if not own._brief:
            return None
        params, machine = own._params(), self.__dict__["_compiled"]
        if params is not own._given:  # a tensor is among them
            return None
        if machine is None or not machine.holds():
            machine = self.__dict__["_compiled"] = compiled.Workspace(self)
        if machine.params is not params:
            machine.set_parameters(params, own.start()["P"])
        return machine

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what points into this object's memory."""
        return {**super().__getstate__(), "_compiled": None}

    def _watched(self) -> tuple[float, float]:
        """Return what a group keeps of the means of y d, y^2 and d^2, and in how many hops a path is borne out."""
        return math.exp(-GROUP * self.hop / (SEEN * self.fs)), TRUST * self.fs / self.hop

    @locked
    def reset(self) -> "EchoCanceller":
        """Return to the start."""
        for part in (
            self.filter if self.paths is None else self.paths,
            self.notch,
            self.emphasis,
            self.deemphasis,
            self.suppressor,
        ):
            if part is not None:
                part.reset()
        for value in (self.seen, self.trusted, self.n, self.place, self.heard, self.pending, self.ready, self.late):
            value.zero_()
        self.unsure.copy_(self.filter.P)
        return self

    def _taken(self, name: str, value: Any) -> Any:
        """Return a signal as an array of the filter's precision, without gaps; it need not be finite."""
        own = NUMPY[self.filter.dtype]
        if type(value) is np.ndarray and value.dtype == own and value.ndim == 1:  # as nearly always
            return np.ascontiguousarray(value)
        if isinstance(value, np.ndarray | Tensor) and value.dtype in (np.int16, torch.int16):
            value = np.asanyarray(value) / FULL_SCALE
        if isinstance(value, np.ndarray | Tensor) and value.ndim != 1:
            axes = tuple(value.shape)
            raise ValueError(f"{name} must have shape (T,), got {axes}: a canceller takes one channel, {name}[:, 0]")
        check_block(name, value, self.pending, (None,))
        block = value.detach().numpy() if isinstance(value, Tensor) else value
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(block, own)

    def _given_back(self, out: Any, given: Any) -> Any:
        """Return the output in the kind and precision of the microphone's signal."""
        array = isinstance(given, np.ndarray)
        if given.dtype in (np.int16, torch.int16):
            whole = np.clip(np.rint(out * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
            return whole if array else torch.from_numpy(whole)
        return out.astype(given.dtype, copy=False) if array else torch.from_numpy(out).to(given)

    def _delayed(self, x: Any) -> Any:
        """Return the far end as late as the microphone hears it."""
        if not self.delay:
            return x
        stream = np.append(self.late.numpy(), x)
        self.late.copy_(torch.from_numpy(stream[x.size :]))
        return stream[: x.size]

    def _cancelled(self, x: Any, d: Any) -> tuple[Any, Any]:
        """Return the echo's estimate and what is left, of samples that end with a group of hops or before."""
        y, e, _ = (self.filter if self.paths is None else self.paths)(x, d)
        place = int(self.place)
        for kept, signal in zip(self.heard, (x, d, y), strict=True):
            kept[4 * self.hop + place :][: x.size] = torch.from_numpy(signal)
        self.place += x.size
        if place + x.size == GROUP * self.hop:
            self._settle()
        return y, e

    def _settle(self) -> None:
        """Look back on a group of hops: was the filter sure too soon, or is the path another one?"""
        P, heard = self.filter.P, self.heard.numpy()
        if self.training:
            powers = np.square(heard[0]).reshape(-1, self.hop).sum(-1)
            if begins(powers):
                P.copy_(self.unsure)
            self._doubt(heard[2, 4 * self.hop :], heard[1, 4 * self.hop :])
            self.unsure.copy_(P)
        self.heard[:, : 4 * self.hop] = self.heard[:, -4 * self.hop :].clone()
        self.place.zero_()

    def _doubt(self, y: Any, d: Any) -> None:
        """Have the filter be as unsure as at first where its outputs no longer resemble what the microphone hears."""
        if doubted(self.seen.numpy(), self.trusted.numpy().reshape(1), y @ d, y @ y, d @ d, *self._watched()):
            self.filter.P.copy_(self.filter.start()["P"].expand_as(self.filter.P))

    def _groups(self, samples: int) -> list[tuple[int, int]]:
        """Return where samples are cut, which is at the ends of groups."""
        size = GROUP * self.hop
        ends = [*range(size - int(self.place), samples, size), samples]
        return [pair for pair in pairwise([0, *ends]) if pair[0] < pair[1]]

    def _subtracted(self, both: Any) -> Any:
        """Return what is left of every sample at once."""
        left = [self._cancelled(*both[:, at:to])[1] for at, to in self._groups(both.shape[-1])]
        return np.concatenate(left) if left else both[1]

    def _suppressed(self, both: Any) -> Any:
        """Run every hop that is complete; what they give is what comes out a hop later."""
        stream = np.concatenate([self.pending.numpy()[:, : int(self.n)], both], -1)
        out = [self.ready.numpy()[int(self.n) :].copy()]
        whole = stream.shape[-1] // self.hop * self.hop
        for at, to in self._groups(whole):
            x, d = stream[:, at:to]
            unsure = self.unsure.numpy().copy()
            y, e = self._cancelled(x, d)
            out.append(self.suppressor(x, e, y, unsure))
        rest = stream.shape[-1] - whole
        self.pending[:, :rest] = torch.from_numpy(stream[:, whole:])
        self.n.fill_(rest)
        heard = np.concatenate(out).astype(both.dtype)
        self.ready[rest:] = torch.from_numpy(heard[both.shape[-1] :])
        return heard[: both.shape[-1]]

    @locked
    @torch.no_grad()
    def flush(self) -> Any:
        """Return the last `latency` samples of the output, as if the stream ended here; it may go on all the same.

        Returns
        -------
        array [shape=(latency,)]
            In the filter's precision.
        """
        out, state = np.zeros(0, self.pending.numpy().dtype), copy.deepcopy(self.state_dict())
        if self.suppressor is not None:
            n, (x, d) = int(self.n), self.pending.numpy().copy()
            x[n:] = 0
            y = (self.filter if self.paths is None else self.paths).filter(x)
            parts = [np.append(np.where(np.arange(self.hop) < n, v, 0), np.zeros(2 * self.hop)) for v in (x, d - y, y)]
            rest = np.append(self.ready.numpy()[n:], self.suppressor(*parts, self.unsure.numpy()))
            out = self.deemphasis(rest[: self.latency].astype(out.dtype))
        self.load_state_dict(state)
        return out
