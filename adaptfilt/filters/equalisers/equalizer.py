"""An equaliser in stages: trained, blind, decided, one after the other on one stream.

Each stage is a filter of this package with a step; when a stage ends, the next filter takes over weights and line
where they stand. What a rule of the modulus alone could not know, the phase, is found at the hand-over: of 64 angles
within the constellation's symmetry the one at which the last symbols are nearest to their decisions.

Source: T. Pfau, S. Hoffmann and R. Noe, "Hardware-efficient coherent digital receiver concept with feedforward carrier
recovery for M-QAM constellations", J. Lightwave Technology, 2009, on the search of the phase.
"""

from __future__ import annotations

import copy
import warnings
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from adaptfilt.base.guarded import Guarded, locked
from adaptfilt.base.linear import LinearFilter
from adaptfilt.base.stream import Output, like_input
from adaptfilt.checks import Block, as_tensor, check_names, keywords, natural, positive_int
from adaptfilt.constellation import Constellation
from adaptfilt.filters.equalisers.blind import check_constellation, check_iq, is_complex, stray
from adaptfilt.filters.equalisers.cma import CMA
from adaptfilt.filters.equalisers.decided_rls import DecidedRLS
from adaptfilt.filters.equalisers.decision_directed import DecisionDirected
from adaptfilt.filters.equalisers.dfe import DFE
from adaptfilt.filters.equalisers.mma import MMA
from adaptfilt.filters.equalisers.rde import RDE
from adaptfilt.filters.equalisers.sato import Sato

DECIDED, BLIND, PHASE_BLIND = ("train", "dd"), ("cma", "mma", "sato", "rde"), ("cma", "rde")
RULES = ("lms", "nlms", "rls")
HANDOVER = 0.4  # of "auto"
LEAST_LAM = 0.5  # below which a forgetting factor, which then forgets all but two symbols, is taken for a step
RECENT, ANGLES = 64, 64  # symbols of which the phase is found, angles that are tried
FEW, TRIAL = 64, {"rls": 0.995, "nlms": 0.5}  # taps up to which the delay is looked for by RLS, and with what step
PIECE, PIECES = 16, 128  # symbols within which a carrier turns little, and of how many such pieces the delay is found


class Equalizer(Guarded):
    """Equaliser in stages: ``y, e, w = eq(x, training=symbols)``.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients for samples, M.
    constellation : Constellation
        The points, of unit mean power as every Constellation's; real ones for a real filter.
    sps : int >= 1
        Samples a symbol.
    stages : sequence of tuple
        (name, step) or (name, step, symbols), in their order; all but "train" and the last say how many symbols they
        take. "train" lasts as long as symbols are known, and adapts on those alone. "dd" decides where none is known.
        "cma", "mma", "sato", "rde" are blind. "auto" is blind, by CMA in a carrier loop and by MMA without, until the
        eye is open, and then decided. After the last one the weights stand still. A step is mu, or `lam` where `rule`
        is "rls" and the stage "train" or "dd".
    feedback : int >= 0
        Number of past symbols that are fed back from "train", or "dd", on.
    delay : int >= 0, optional
        y[n] estimates symbol n - delay. None: found at the first call with training, from all that the taps allow;
        without training as in `DecisionDirected`, or `DFE`.
    rule : {"lms", "nlms", "rls"}
        How trained and decided stages adapt; "nlms" normalises blind ones too.
    carrier : tuple of float > 0, optional
        Noise bandwidth, in cycles a symbol, and damping of the carrier loop of trained and decided stages. Where the
        delay is found, so is the loop's rate, of up to 1 / 32 cycles a symbol.
    inputs, outputs, dtype, device, nonfinite, engine
        As for `adaptfilt.LinearFilter`; complex64 by default, or float32 where all points are real. Blind stages of 2
        inputs and 2 outputs start constrained, as in `CMA`.

    Attributes
    ----------
    delay : int or None
    state : {"training", "blind", "dd", "idle"}
        What the next symbol is for: "idle" in `eval` mode and after the last stage.
    delays, delay_errors : ndarray or None
        Which delays were tried, and the mean squared error left with each.
    active : LinearFilter
        The filter of the present stage.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Notes
    -----
    Blind stages want x of unit power, unless normalised. ``eq.eval()`` freezes the weights, ``eq.train()`` goes on;
    ``eq.snapshot()`` is a frozen copy; ``state_dict()`` holds all. Every call with `training` is a burst of its own:
    the stages begin anew, from the weights as they are, or after ``eq.reset()`` from the first ones.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> qam = af.Constellation.qam(16)
    >>> a = af.signals.symbols(qam, 5000, rng=0)
    >>> x = np.convolve(a, [0, 0, 0, 1, 0.3j, -0.1])[:5000]
    >>> eq = af.Equalizer(9, qam, stages=[("train", 0.02), ("dd", 0.01)])
    >>> y, e, w = eq(x, training=a[:500])
    >>> eq.state, eq.delay in range(3, 12), bool(np.abs(e[-1000:]).max() < 0.05)
    ('dd', True, True)
    """

    def __init__(
        self,
        taps: int,
        constellation: Constellation,
        *,
        sps: int = 1,
        stages: Any = (("train", 0.01), ("dd", 0.001)),
        feedback: int = 0,
        delay: int | None = None,
        rule: str = "lms",
        carrier: tuple[float, float] | None = None,
        **common: Any,
    ) -> None:
        super().__init__()
        if "batch" in common:
            raise TypeError("an Equalizer has no batch: its filters have")
        if "w0" in common:
            raise TypeError("an Equalizer takes no w0: set the weights of its first stage, eq.active.w = ...")
        check_names("Equalizer", common, [*keywords(Equalizer), *keywords(DecisionDirected)])
        common.setdefault("dtype", torch.float32 if getattr(constellation, "is_real", False) else torch.complex64)
        self.constellation = check_constellation(constellation, common["dtype"])
        self.taps, self.sps = positive_int("taps", taps), positive_int("sps", sps)
        self.feedback, self.rule, self.carrier, self.common = natural("feedback", feedback), rule, carrier, common
        if rule not in RULES:
            raise ValueError(f"rule must be one of {', '.join(RULES)}, got {rule!r}")
        if carrier is not None and (self.feedback or rule == "rls"):
            raise ValueError("carrier does not go with feedback or with rule='rls'")
        self.stages = _stages(stages, self.feedback)
        self._given_delay = None if delay is None else natural("delay", delay)
        self.filters = nn.ModuleDict()
        for name, step, _ in self.stages:
            if _kind(name) not in self.filters:
                self.filters[_kind(name)] = self._make(name, step)
            if rule == "rls" and name in DECIDED and step < LEAST_LAM:
                warnings.warn(
                    f'stage ("{name}", {step:g}): with rule="rls" the number is lam, the forgetting factor, such as '
                    "0.99, and no step",
                    stacklevel=2,
                )
        self._start()
        self._fixed = ("taps", "constellation", "sps", "stages", "feedback", "rule", "carrier", "filters")

    # The filters of the stages

    def _make(self, name: str, step: float) -> LinearFilter:
        """Return the filter of a stage, without a delay of its own."""
        common: dict[str, Any] = {"sps": self.sps, **self.common}
        normalized, c = self.rule == "nlms", self.constellation
        if name in DECIDED:
            return self._decided(step, self.rule, self.carrier, w0=self._spike())
        if name == "auto":
            common |= {"delay": 0, "carrier": self.carrier, "decisions": ("blind", HANDOVER), "w0": self._spike()}
            return DecisionDirected(self.taps, step, c, normalized=normalized, **common)
        two = common.get("inputs") == common.get("outputs") == 2
        common |= {"normalized": normalized, "start": "constrained" if two else "spike"}
        if name == "cma":
            power = 1.0 if normalized else 2.0
            return CMA(self.taps, step, c.godard(power), power=power, **common)
        if name == "rde":
            return RDE(self.taps, step, c.radii, **common)
        return {"mma": MMA, "sato": Sato}[name](self.taps, step, c, **common)

    def _decided(self, step: float, rule: str, carrier: Any, **more: Any) -> LinearFilter:
        """Return a filter towards known or decided symbols."""
        common: dict[str, Any] = {"sps": self.sps, "delay": 0, **self.common, **more}
        if rule == "rls":
            return DecidedRLS(self.taps, self.feedback, step, self.constellation, **common)
        common["normalized"] = rule == "nlms"
        if self.feedback:
            return DFE(self.taps, self.feedback, step, self.constellation, **common)
        return DecisionDirected(self.taps, step, self.constellation, carrier=carrier, **common)

    def _weight_shape(self, rule: str) -> tuple[int, ...]:
        """Return the shape of the weights of a decided stage."""
        outputs, inputs = ([k] if (k := self.common.get(name)) else [] for name in ("outputs", "inputs"))
        if self.feedback or rule == "rls":
            return (*outputs, (inputs or [1])[0] * self.taps + self.feedback)
        return (*outputs, *inputs, self.taps)

    def _spike(self) -> Tensor:
        """Return the first weights of a decided stage: a spike where the delay lies in the line, and else zeros."""
        outputs, inputs = self.common.get("outputs") or 1, self.common.get("inputs") or 1
        w, tap = torch.zeros(outputs, inputs, self.taps), self._first_delay() * self.sps
        if tap < self.taps:
            w[..., tap] = torch.eye(outputs, inputs)
        w = torch.cat([w.flatten(-2), torch.zeros(outputs, self.feedback)], -1)
        return w.reshape(self._weight_shape(self.rule)).to(self.common["dtype"])

    def _first_delay(self) -> int:
        """Return the delay as given, or the usual one."""
        if self._given_delay is not None:
            return self._given_delay
        return ((self.taps - 1) if self.feedback else (self.taps // 2)) // self.sps

    # State

    def _start(self) -> None:
        """Return the stages to the first one."""
        self.delay = self._given_delay
        self.delays: Any = None
        self.delay_errors: Any = None
        self._due: Any = None  # symbols that the next outputs estimate, as far as they are known
        self._known = 0  # outputs up to the last one whose symbol is known
        self._recent: Any = None  # the last outputs of a blind stage
        self._stage, self._left = -1, 0
        self._wary = self.stages[0][0] == "train"  # no symbol has been known
        self._active = _kind(self.stages[0][0])
        self._next_stage()

    @property
    def active(self) -> Any:
        """The filter of the present stage."""
        return self.filters[self._active]

    @property
    def state(self) -> str:
        """What the next symbol is for."""
        if not self.training or self._stage >= len(self.stages):
            return "idle"
        name = self.stages[self._stage][0]
        blind = name in BLIND or (name == "auto" and bool((self.active.spread >= self.active.closed).any()))
        return "training" if name == "train" else "blind" if blind else "dd"

    @locked
    def reset(self) -> Self:
        """Return to the start: first weights, first stage, and a delay that is to be found."""
        for f in self.filters.values():
            f.reset()  # type: ignore[operator]
        self._start()
        return self

    def snapshot(self) -> Self:
        """Return a frozen copy, which filters with the weights as they are."""
        return copy.deepcopy(self).eval()

    def get_extra_state(self) -> dict[str, Any]:
        """Return what torch's `state_dict` does not find by itself, of types that `torch.load` takes."""
        carried = {k: self.__dict__[k] for k in _CARRIED}
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in carried.items()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take over what `get_extra_state` returned."""
        found = {k: None if (v := state[k]) is None else np.array(v) for k in ("delays", "delay_errors")}
        self.__dict__.update({**state, **found})

    def _next_stage(self) -> None:
        """Go on to the next stage that has anything to do."""
        self._stage += 1
        while self._stage < len(self.stages):
            name, step, symbols = self.stages[self._stage]
            self._left = self._known if name == "train" else -1 if symbols is None else symbols
            if self._left:
                self._hand_on(_kind(name))
                self._set_step(step)
                return
            self._stage += 1
        self._left = -1

    def _set_step(self, step: float) -> None:
        """Give the present filter its step."""
        setattr(self.active, "lam" if isinstance(self.active, DecidedRLS) else "mu", step)

    def _hand_on(self, kind: str) -> None:
        """Have the filter of another kind take over where the present one stands."""
        old, phase_blind = self.active, self._active in PHASE_BLIND
        if kind == self._active:
            return
        self._active = kind
        new, theirs = self.active, old._carried()
        own = new._carried()
        shared: dict[str, Any] = {k: theirs[k] for k in ("line", "passed_over", "phase", "latest") if k in theirs}
        w, size = own["w"].clone().reshape(*new._filters, -1), self.taps * (new.inputs or 1)
        w[..., :size] = theirs["w"].reshape(*new._filters, -1)[..., :size]
        if phase_blind and kind not in PHASE_BLIND and self._recent is not None:
            turn = _phase(self._recent, self.constellation)
            w[..., :size] *= torch.polar(torch.ones_like(turn), -turn).to(w.dtype)[..., None] if w.is_complex() else 1
        alone = {"alone": torch.zeros_like(own["alone"])} if "alone" in own else {}
        new._commit({**shared, **alone, "w": w})
        new.__dict__.update(_fresh=False, _untouched=False)
        self._recent = None

    # A block

    @locked
    def forward(self, x: Block, training: Block | None = None) -> Output:
        """Equalise a block, going on from the last one.

        Parameters
        ----------
        x : array or Tensor [shape=([inputs,] T)]
            Samples; complex ones for complex points.
        training : array or Tensor [shape=([outputs,] L)], optional
            Known symbols, from that of the first output of this call on (`delay` is not counted in), at most as many
            as the call has outputs; NaN where one is not known, as around a midamble. Given, the stages begin anew.

        Returns
        -------
        Output
            Named tuple (y, e, w): symbols, errors and the weights at the end.

        Raises
        ------
        TypeError, ValueError
            If an argument has another type or shape, or holds what is no point of the constellation.
        DivergenceError
            If the weights become infinite. In all cases the state is the one before the call.
        """
        _check_kind("x", x)
        check_iq(x, self.constellation)
        if self._wary and self.training:
            if training is None:
                warnings.warn(
                    'Equalizer: no training= is given, so that the stage "train" is passed over', stacklevel=5
                )
            self._wary = False
        settled = training is None and self._stage >= len(self.stages) - 1
        filters: list[Any] = [self.active] if settled else [*self.filters.values()]
        before = [{k: t.clone() for k, t in f._carried().items()} for f in filters]
        extra = {k: self.__dict__[k] for k in _CARRIED}
        try:
            if training is not None:
                self._take(x, self._checked(training, self.active._outputs_of(x.shape[-1])))
            return self._run(x)
        except BaseException:
            self.__dict__.update(extra)
            for f, carried in zip(filters, before, strict=True):
                f._commit(carried)
            if self._stage < len(self.stages):
                self._set_step(self.stages[self._stage][1])
            raise

    def _checked(self, training: Any, length: int) -> Tensor:
        """Refuse training symbols that do not fit, and return them."""
        outputs, f = self.common.get("outputs"), self.active
        _check_kind("training", training)
        if is_complex(training) and not f.dtype.is_complex:
            raise TypeError("training is complex, the points are real")
        known = as_tensor(training, f.dtype, f.device)
        if known.ndim != (1 if outputs is None else 2) or (outputs is not None and len(known) != outputs):
            raise ValueError(f"training must have shape ([outputs,] L), got {tuple(known.shape)}")
        if known.shape[-1] > length:
            raise ValueError(f"training must not be longer than the block of {length} symbols, got {known.shape[-1]}")
        given = known[~torch.isnan(known)]
        if not bool(torch.isfinite(given).all()):
            raise ValueError("training must be finite, or NaN where a symbol is not known")
        wrong = stray(given, self.constellation)
        if wrong is not None:
            raise ValueError(f"training must hold points of the constellation, which has unit mean power, got {wrong}")
        return known

    def _take(self, x: Block, known: Tensor) -> None:
        """Begin anew with known symbols, once their delay is found."""
        if self.delay is None and bool((~torch.isnan(known)).any()):
            self.delay = self._find_delay(as_tensor(x, self.active.dtype, self.active.device), known)
        delay = self._first_delay() if self.delay is None else self.delay
        waiting = known.new_full((*known.shape[:-1], delay), torch.nan)
        if self._due is not None:
            earlier = self._due[..., :delay]
            waiting[..., : earlier.shape[-1]] = earlier
        self._due = torch.cat([waiting, known], -1)
        there = (~torch.isnan(self._due)).reshape(-1, self._due.shape[-1]).any(0).nonzero()
        self._known = int(there[-1]) + 1 if len(there) else 0
        self._stage = -1
        self._next_stage()

    def _run(self, x: Block) -> Output:
        """Run a block, stage by stage."""
        pieces: list[tuple[Any, Any]] = []
        while True:
            f = self.active
            outputs = f._outputs_of(x.shape[-1])
            if self.training and 0 < self._left < outputs:
                end = self._offset() + (self._left - 1) * self.sps + 1
                pieces.append(self._piece(f, x[..., :end], self._left))
                x = x[..., end:]
                self._next_stage()
                continue
            pieces.append(self._piece(f, x, outputs))
            if self.training and self._left == 0:
                self._next_stage()
            y, e = (_join([p[k] for p in pieces]) for k in (0, 1))
            return Output(y, e, like_input(self.active.w.detach().clone(), x))

    def _piece(self, f: LinearFilter, x: Block, outputs: int) -> tuple[Any, Any]:
        """Run a part of a block that lies within one stage."""
        d, mu = self._due_now(outputs), None
        idle = self._stage >= len(self.stages)
        trains = not idle and self.stages[self._stage][0] == "train"
        if self.training and (idle or trains):
            step = 1.0 if isinstance(f, DecidedRLS) else self.active.mu
            mu = 0.0 if idle or d is None else step * (~torch.isnan(d)).to(f.dtype.to_real())
            mu = None if isinstance(mu, Tensor) and bool((mu > 0).all()) else mu
        known = None if d is None or f.algorithm.blind else like_input(d, x)
        out = f(x, mu=mu) if known is None else f(x, known, mu=mu)
        if self._active in PHASE_BLIND:
            y = as_tensor(out.y, f.dtype, f.device).detach()
            y = y if self._recent is None else torch.cat([self._recent, y], -1)
            self._recent = y[..., -RECENT:]
        if self.training:
            self._left = max(self._left - outputs, 0) if self._left > 0 else self._left
        self._known = max(self._known - outputs, 0)
        return out.y, out.e

    def _offset(self) -> int:
        """Return how many samples come before the one that makes the next output."""
        return 0 if self.sps == 1 else self.active._offset()

    def _due_now(self, outputs: int) -> Any:
        """Return the symbols that so many outputs estimate, NaN where not known; None where none is."""
        if self._due is None:
            return None
        now, self._due = self._due[..., :outputs], self._due[..., outputs:]
        if not self._due.shape[-1]:
            self._due = None
        if bool(torch.isnan(now).all()):
            return None
        return torch.cat([now, now.new_full((*now.shape[:-1], outputs - now.shape[-1]), torch.nan)], -1)

    def _find_delay(self, x: Tensor, known: Tensor) -> int:
        """Return the delay with which training leaves the least error, and take over the weights of that trial."""
        f = self.active
        offset, outputs = self._offset(), f._outputs_of(x.shape[-1])
        phases = _phases(x, self.sps, offset, outputs)
        lag = _lag(phases, known, outputs, PIECE if self.carrier else known.shape[-1])
        if self.carrier:
            rate = _rate(phases, known, lag)
            n = torch.arange(x.shape[-1], dtype=torch.float64, device=x.device) - offset
            x = x * torch.polar(torch.ones_like(n), -rate / self.sps * n).to(x.dtype)
        first = max(0, lag - -(-self.taps // self.sps))
        last = min(first + 2 * -(-self.taps // self.sps), outputs - 1)
        self.delays = np.arange(first, last + 1)
        D, length = len(self.delays), min(outputs, known.shape[-1] + last)
        d = known.new_full((D, *known.shape[:-1], length), torch.nan)
        for row, delay in zip(d, self.delays, strict=True):
            there = min(known.shape[-1], length - delay)
            row[..., delay : delay + there] = known[..., :there]
        rule = "rls" if self.taps + self.feedback <= FEW else "nlms"
        w0 = torch.zeros(D, *self._weight_shape(rule), dtype=f.dtype, device=f.device)
        g = self._decided(TRIAL[rule], rule, None, batch=(D,), w0=w0, dtype=f.dtype, device=f.device)
        x = x[..., : offset + (length - 1) * self.sps + 1]
        is_known = ~torch.isnan(d)
        e = g(x.expand(D, *x.shape), d, mu=is_known.to(f.dtype.to_real())).e
        late = is_known & (is_known.cumsum(-1) > is_known.sum(-1, keepdim=True) / 2)
        power = torch.where(late, e.abs() ** 2, 0.0).reshape(D, -1).sum(-1) / late.reshape(D, -1).sum(-1)
        self.delay_errors = power.numpy(force=True)
        best = int(power.argmin())
        if self._active == "decided":
            f.w = g.w[best].reshape(f.w.shape)
            if self.carrier:
                f.theta, f.nu = torch.zeros_like(f.theta), torch.full_like(f.nu, rate)
        return int(self.delays[best])


_CARRIED = ("delay", "delays", "delay_errors", "_due", "_known", "_recent", "_stage", "_left", "_active", "_wary")


def _kind(name: str) -> str:
    """Return the key of a stage's filter: trained and decided stages share one."""
    return "decided" if name in DECIDED else name


def _stages(stages: Any, feedback: int) -> tuple[tuple[str, float, int | None], ...]:
    """Return the stages as (name, step, symbols), or say what is wrong with them."""
    names, found = (*DECIDED, *BLIND, "auto"), []
    if not isinstance(stages, tuple | list) or not stages:
        raise TypeError(f"stages must be a sequence of (name, step) or (name, step, symbols), got {stages!r}")
    for k, stage in enumerate(stages):
        if not (isinstance(stage, tuple | list) and 2 <= len(stage) <= 3 and stage[0] in names):
            raise ValueError(f"a stage must be (name, step[, symbols]), name one of {', '.join(names)}, got {stage!r}")
        name, step, symbols = (*stage, None)[:3]
        if name == "train" and symbols is not None:
            raise ValueError(f'"train" lasts as long as symbols are known, got {stage!r}')
        if name == "auto" and feedback:
            raise ValueError('"auto" does not go with feedback: take "cma", symbols, and then "dd"')
        if symbols is None and name != "train" and k + 1 < len(stages):
            raise ValueError(f"all stages but the last need a number of symbols, got {stage!r}")
        found.append((name, step, None if symbols is None else positive_int("symbols", symbols)))
    return tuple(found)


def _phase(y: Tensor, constellation: Constellation) -> Tensor:
    """Return the angle by which each row of symbols is turned, within the constellation's symmetry."""
    angles = torch.arange(ANGLES, dtype=torch.float64) * (2 * np.pi / constellation.symmetry / ANGLES)
    z = y.to(torch.complex128).cpu()[..., None, :] * torch.polar(torch.ones_like(angles), -angles)[:, None]
    apart = (z - constellation.slice(z)).abs().square().mean(-1)
    return angles[apart.argmin(-1)].to(y.device, y.dtype.to_real())


def _phases(x: Tensor, sps: int, offset: int, outputs: int) -> list[Tensor]:
    """Return the samples at the rate of symbols: of each input, each of the `sps` times within a symbol."""
    rows = x.reshape(-1, x.shape[-1])
    return [row[(offset + phase) % sps :: sps][:outputs] for row in rows for phase in range(sps)]


def _lag(phases: list[Tensor], known: Tensor, outputs: int, piece: int) -> int:
    """Return by how many symbols the samples come after the known symbols that they are most like, piece by piece."""
    a = torch.nan_to_num(known).reshape(-1, known.shape[-1])
    size, total = outputs + a.shape[-1], torch.zeros(outputs)
    starts = [k for k in range(0, a.shape[-1], piece) if bool(a[:, k : k + piece].any())][:PIECES]
    for samples in phases:
        spectrum = torch.fft.fft(samples, size)
        for k in starts:
            c = torch.fft.ifft(spectrum * torch.fft.fft(a[:, k : k + piece], size).conj())
            total = total + c[:, k : k + outputs].abs().square().sum(0).cpu()
    return int(total.argmax())


def _rate(phases: list[Tensor], known: Tensor, lag: int) -> float:
    """Return by how many radians a symbol the samples turn against the known symbols, from one piece to the next."""
    length = -(-known.shape[-1] // PIECE) * PIECE
    a = nn.functional.pad(torch.nan_to_num(known), (0, length - known.shape[-1])).reshape(-1, 1, length // PIECE, PIECE)
    there = torch.stack([nn.functional.pad(s[lag:], (0, length))[:length] for s in phases])
    c = (there.reshape(-1, length // PIECE, PIECE) * a[:, 0, None].conj()).sum(-1)
    return float((c[..., 1:] * c[..., :-1].conj()).sum().angle()) / PIECE


def _check_kind(name: str, value: Any) -> None:
    """Refuse what is neither an array nor a tensor, or has no time."""
    if not isinstance(value, np.ndarray | Tensor):
        raise TypeError(f"{name} must be a NumPy array or a torch tensor, got {type(value).__name__}")
    if value.ndim == 0:
        raise ValueError(f"{name} must have time as its last axis, got a number")


def _join(parts: list[Any]) -> Any:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts, -1) if isinstance(parts[0], np.ndarray) else torch.cat(parts, -1)
