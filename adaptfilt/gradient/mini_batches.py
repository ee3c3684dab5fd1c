"""How a block of samples is adapted on, mini-batch by mini-batch: in eager torch, or as a tape."""

import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise, repeat
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.gradient.eager_step import EagerStep
from adaptfilt.gradient.learner import CHUNK, Learner, Signals, cut
from adaptfilt.gradient.tape_writer import UnsupportedError
from adaptfilt.gradient.traced_step import CompiledSteps, NotBegunError

CHUNK_COMPILED = 1 << 16  # samples whose copy in double precision is made at a time


class Players(dict[Any, CompiledSteps | None]):
    """The compiled steps of one filter, newest last, by what they were made for; None: has no translation.

    Their number is bounded. Once it is reached, a step is only compiled if it is asked for in two blocks in a row, so
    that hyperparameters that change at every block cost no time and no memory.
    """

    MOST = 8

    def __init__(self) -> None:
        super().__init__()
        self.last: Any = None  # what the newest block asked for
        self.told = False

    def admits(self, key: Any, before: Any) -> bool:
        """Say whether to compile a step, and make room for it; the first refusal gives a warning."""
        if len(self) >= self.MOST and key != before:
            if not self.told:
                why = "the optimizer's hyperparameters, other than lr, or the model change at every block"
                warnings.warn(f"compile=True: the step runs uncompiled while {why}", stacklevel=2)
            self.told = True
            return False
        while len(self) >= self.MOST:
            del self[next(iter(self))]
        return True


class MiniBatches:
    """What takes a learner over blocks of samples.

    Parameters
    ----------
    learner : Learner
    size : int >= 1
        Samples in a mini-batch; the last one of a block may be shorter.
    scale : Tensor [shape=(N,)] or None
        Factor on every model's learning rate.
    players : Players or None
        What has been compiled so far; None: do not compile.
    """

    def __init__(self, learner: Learner, size: int, scale: Tensor | None, players: Players | None) -> None:
        self._learner, self._step = learner, EagerStep(learner, scale)
        self._size, self._scale, self._players = size, scale, players
        self._before = None if players is None else players.last

    def run(self, signals: Signals) -> tuple[Tensor, list[Tensor]]:
        """Adapt over a block.

        Parameters
        ----------
        signals : Signals

        Returns
        -------
        y : Tensor [shape=(N, T, ...)]
        record : list of T // every Tensor [shape=(N, P)]
        """
        T, outputs = signals.samples, []
        record: list[Tensor] = []
        plays = self._played(signals)
        edges = (np.flatnonzero(np.diff(plays)) + 1).tolist() if plays.any() else []
        for begin, end in pairwise([0, *edges, len(plays)]):
            first, last = begin * self._size, min(end * self._size, T)
            player = self._player(signals) if plays[begin] else None
            if player is None:
                found = self._eager(signals, first, last)
            else:
                found = self._compiled(player, signals, first, last)
            for y, rows in found:
                outputs.append(y)
                record += rows
        return torch.cat(outputs, 1) if len(outputs) != 1 else outputs[0], record

    def _played(self, signals: Signals) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Say which mini-batches may be compiled: whole ones, all good, once the optimiser has its state."""
        T = signals.samples
        plays, whole = np.zeros(-(-T // self._size), bool), T // self._size
        if self._players is not None and whole:
            plays[:whole] = True
            if signals.good is not None:
                plays[np.flatnonzero(~signals.good.all(0).cpu().numpy()) // self._size] = False
            plays[0] &= self._has_begun(signals)
        return plays

    def _eager(self, signals: Signals, first: int, last: int) -> Iterator[tuple[Tensor, Sequence[Tensor]]]:
        """Adapt on samples first to last in eager torch; give outputs and record part by part."""
        learner, size, every = self._learner, self._size, signals.every
        axis = int(learner.count is not None)
        for start, stop in cut(first, last, CHUNK, size):
            u, d, good = signals.regressors(start, stop), signals.d[:, start:stop], None
            if signals.good is not None and not signals.good[:, start:stop].all():
                good = signals.good[:, start:stop]
            if not axis:
                u, d, good = u[0], d[0], None if good is None else good[0]
            marks = repeat(None) if good is None else [None if m.all() else m for m in good.split(size, axis)]
            outputs, record, n = [], [], start
            for u_n, d_n, good_n in zip(u.split(size, axis), d.split(size, axis), marks, strict=False):
                if every:
                    before, n = n, min(n + size, stop)
                    record += [learner.vectors()] * ((n - 1) // every - before // every)
                outputs.append(self._step(u_n, d_n, good_n))
                if every and n % every == 0:
                    record.append(learner.vectors())
            y = torch.cat(outputs, axis) if len(outputs) > 1 else outputs[0]
            yield y if axis else y.unsqueeze(0), record

    def _compiled(
        self, player: CompiledSteps, signals: Signals, first: int, last: int
    ) -> Iterator[tuple[Tensor, Sequence[Tensor]]]:
        """Adapt on samples first to last, whole mini-batches, compiled; give outputs and record part by part."""
        self._learner.optimizer._opt_called = True  # type: ignore[attr-defined]  # what a scheduler looks for
        for start, stop in cut(first, last, CHUNK_COMPILED, self._size):
            x, d = signals.part(start, stop), signals.d[:, start:stop]
            y, rows = player.run(self._learner, x, d, first=start, every=signals.every, scale=self._scale)
            yield y, rows.unbind(1)

    def _has_begun(self, signals: Signals) -> bool:
        """Say whether the optimiser has its state; it makes it in its first step."""
        try:
            self._player(signals)
        except NotBegunError:
            return False
        return True

    def _player(self, signals: Signals) -> CompiledSteps | None:
        """Return the compiled step for the module, loss and optimiser as they are now; None where there is none."""
        assert self._players is not None
        key = self._players.last = self._key(signals)
        if key not in self._players:
            if not self._players.admits(key, self._before):
                return None
            self._players[key] = None
            try:
                self._players[key] = self._new_player(signals)
            except NotBegunError:
                del self._players[key]
                raise
            except Exception as error:
                why = f"{type(error).__name__}: {error}".partition("\n")[0]
                warnings.warn(f"compile=True: the step runs uncompiled, {why}", stacklevel=2)
        return self._players[key]

    def _key(self, signals: Signals) -> tuple[Any, ...]:
        """Return all that a compiled step is made for."""
        learner, optimizer = self._learner, self._learner.optimizer
        names = sorted(optimizer.defaults.keys() - {"lr"})  # what a scheduler adds is not the optimiser's
        return (
            (self._size, signals.features, *signals.d.shape[2:]),
            tuple(m.training for m in learner.modules),
            tuple((p.dtype, p.requires_grad, *optimizer.state.get(p, ())) for p in learner.parameters),
            repr([[(k, group[k]) for k in names] for group in optimizer.param_groups]),
        )

    def _new_player(self, signals: Signals) -> CompiledSteps:
        """Compile the step, and compare it with the eager one."""
        d = signals.d
        if d.device.type != "cpu" or d.is_complex() or self._learner.has_hooks():
            raise UnsupportedError("it runs on the CPU, with real numbers, and with an optimizer without hooks")
        u = d.new_empty(self._size, signals.features)
        wanted = d.new_empty(self._size, *d.shape[2:])
        player = CompiledSteps(self._learner, u, wanted, rows=signals.taps is None)
        if not self._agrees(player, signals):
            raise UnsupportedError("it gives other numbers: does the module keep something outside its buffers?")
        return player

    def _agrees(self, player: CompiledSteps, signals: Signals) -> bool:
        """Compare the compiled step with the eager one on a mini-batch of noise, and leave all as it was."""
        d, taps, size, rng = signals.d, signals.taps, self._size, torch.Generator("cpu").manual_seed(0)
        like: dict[str, Any] = {"generator": rng, "dtype": d.dtype, "device": "cpu"}
        x = torch.randn(len(d), size + (taps or 1) - 1, *signals.stream.shape[2:], **like)
        noise = Signals(x, taps, (), torch.randn(len(d), size, *d.shape[2:], **like))
        results = []
        for run in (lambda: next(self._eager(noise, 0, size)), lambda: next(self._compiled(player, noise, 0, size))):
            restore = self._learner.snapshot()
            y, _ = run()
            results.append(torch.cat([y.reshape(len(d), -1), self._learner.vectors()], 1))
            restore()
        return torch.allclose(results[0], results[1], rtol=1e-3, atol=1e-4)
