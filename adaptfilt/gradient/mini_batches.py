"""How a block of samples is adapted on, mini-batch by mini-batch: in eager torch, or as a tape."""

import warnings
from collections.abc import Iterator, Sequence
from itertools import pairwise, repeat
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.gradient.learner import CHUNK, Learner
from adaptfilt.gradient.stepper import Stepper
from adaptfilt.gradient.tape_writer import UnsupportedError
from adaptfilt.gradient.traced_step import CompiledSteps, NotBegunError
from adaptfilt.taps import windows

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
    taps : int or None
        Number of samples in a regressor; None where regressors are given.
    scale : Tensor [shape=(N,)] or None
        Factor on every model's learning rate.
    players : Players or None
        What has been compiled so far; None: do not compile.
    """

    def __init__(
        self, learner: Learner, size: int, taps: int | None, scale: Tensor | None, players: Players | None
    ) -> None:
        self._learner, self._step = learner, Stepper(learner, scale)
        self._size, self._taps, self._scale, self._players = size, taps, scale, players
        self._before = None if players is None else players.last

    def run(self, stream: Tensor, d: Tensor, ok: Tensor | None, every: int) -> tuple[Tensor, list[Tensor]]:
        """Adapt over a block.

        Parameters
        ----------
        stream : Tensor [shape=(N, T + M - 1), or regressors (N, T, M)]
            For each of N models, or for one.
        d : Tensor [shape=(N, T, ...)]
            In the shape of the model's outputs.
        ok : Tensor [shape=(N, T)], optional
            Samples to adapt on, where not all.
        every : int
            Keep the parameters after so many samples; 0: never.

        Returns
        -------
        y : Tensor [shape=(N, T, ...)]
        record : list of T // every Tensor [shape=(N, P)]
        """
        T, ys = d.shape[1], []
        record: list[Tensor] = []
        whole = T // self._size
        fast = np.zeros(-(-T // self._size), bool)
        if self._players is not None and whole:
            fast[:whole] = True
            if ok is not None:
                fast[np.flatnonzero(~ok.all(0).cpu().numpy()) // self._size] = False
            fast[0] &= self._has_begun(stream, d)
        edges = (np.flatnonzero(np.diff(fast)) + 1).tolist() if fast.any() else []
        for first, last in pairwise([0, *edges, len(fast)]):
            part = first * self._size, min(last * self._size, T)
            player = self._player(stream, d) if fast[first:last].any() else None
            eager, compiled = self._eager(stream, d, ok, *part, every), self._compiled(player, stream, d, *part, every)
            for y, kept in eager if player is None else compiled:
                ys.append(y)
                record += kept
        return torch.cat(ys, 1) if len(ys) != 1 else ys[0], record

    def _eager(
        self, stream: Tensor, d: Tensor, ok: Tensor | None, a: int, b: int, every: int
    ) -> Iterator[tuple[Tensor, Sequence[Tensor]]]:
        """Adapt on samples a to b in eager torch; give outputs and record part by part."""
        learner, size, axis = self._learner, self._size, int(self._learner.count is not None)
        length = max(CHUNK // size, 1) * size
        for start in range(a, b, length):
            stop = min(start + length, b)
            u, wanted, good = self._part(stream, start, stop), d[:, start:stop], None
            u = windows(u, self._taps) if self._taps else u.clone()  # a module may write into its input
            if ok is not None and not ok[:, start:stop].all():
                good = ok[:, start:stop]
            if not axis:
                u, wanted, good = u[0], wanted[0], None if good is None else good[0]
            marks = repeat(None) if good is None else [None if m.all() else m for m in good.split(size, axis)]
            outputs, kept, at = [], [], start
            for u_n, d_n, ok_n in zip(u.split(size, axis), wanted.split(size, axis), marks, strict=False):
                if every:
                    before, at = at, min(at + size, stop)
                    kept += [learner.vectors()] * ((at - 1) // every - before // every)
                outputs.append(self._step(u_n, d_n, ok_n))
                if every and at % every == 0:
                    kept.append(learner.vectors())
            y = torch.cat(outputs, axis) if len(outputs) > 1 else outputs[0]
            yield y if axis else y.unsqueeze(0), kept

    def _compiled(
        self, player: Any, stream: Tensor, d: Tensor, a: int, b: int, every: int
    ) -> Iterator[tuple[Tensor, Sequence[Tensor]]]:
        """Adapt on samples a to b, whole mini-batches, in the compiled loop; give outputs and record part by part."""
        self._learner.optimizer._opt_called = True  # type: ignore[attr-defined]  # what a scheduler looks for
        length = max(CHUNK_COMPILED // self._size, 1) * self._size
        for start in range(a, b, length):
            stop = min(start + length, b)
            x = self._part(stream, start, stop)
            y, rows = player.run(self._learner, x, d[:, start:stop], first=start, every=every, scale=self._scale)
            yield y, rows.unbind(1)

    def _part(self, stream: Tensor, a: int, b: int) -> Tensor:
        """Return what holds the regressors of samples a to b."""
        return stream[:, a : b + self._taps - 1] if self._taps else stream[:, a:b]

    def _has_begun(self, stream: Tensor, d: Tensor) -> bool:
        """Say whether the optimiser has its state; it makes it in its first step."""
        try:
            self._player(stream, d)
        except NotBegunError:
            return False
        return True

    def _player(self, stream: Tensor, d: Tensor) -> CompiledSteps | None:
        """Return the compiled step for the module, loss and optimiser as they are now; None where there is none."""
        assert self._players is not None
        learner, width = self._learner, self._taps or stream.shape[-1]
        own = learner.optimizer.defaults.keys() - {"lr"}  # what a scheduler adds is its own
        groups = [[(k, g[k]) for k in sorted(own)] for g in learner.optimizer.param_groups]
        key = (
            (self._size, width, *d.shape[2:]),
            tuple(m.training for m in learner.modules),
            tuple((p.dtype, p.requires_grad, *learner.optimizer.state.get(p, ())) for p in learner.parameters),
            repr(groups),
        )
        self._players.last = key
        if key not in self._players:
            if not self._players.admits(key, self._before):
                return None
            self._players[key] = None
            try:
                if d.device.type != "cpu" or d.is_complex() or learner.has_hooks():
                    raise UnsupportedError("it runs on the CPU, with real numbers, and with an optimizer without hooks")
                u, wanted = d.new_empty(self._size, width), d.new_empty(self._size, *d.shape[2:])
                player = CompiledSteps(learner, u, wanted, rows=self._taps is None)
                if not self._agrees(player, stream, d):
                    raise UnsupportedError(
                        "it gives other numbers: does the module keep something outside its buffers?"
                    )
                self._players[key] = player
            except NotBegunError:
                del self._players[key]
                raise
            except Exception as error:
                why = f"{type(error).__name__}: {error}".partition("\n")[0]
                warnings.warn(f"compile=True: the step runs uncompiled, {why}", stacklevel=2)
        return self._players[key]

    def _agrees(self, player: CompiledSteps, stream: Tensor, d: Tensor) -> bool:
        """Compare the compiled step with the eager one on a mini-batch of noise, and leave all as it was."""
        N, rng = len(d), torch.Generator("cpu").manual_seed(0)
        like: dict[str, Any] = {"generator": rng, "dtype": d.dtype, "device": "cpu"}
        x = torch.randn(N, self._size + (self._taps or 1) - 1, *stream.shape[2:], **like)
        wanted = torch.randn(N, self._size, *d.shape[2:], **like)
        part = x, wanted, 0, self._size, 0
        results = []
        for run in (lambda: next(self._eager(*part[:2], None, *part[2:])), lambda: next(self._compiled(player, *part))):
            restore = self._learner.snapshot()
            y, _ = run()
            results.append(torch.cat([y.reshape(N, -1), self._learner.vectors()], 1))
            restore()
        return torch.allclose(results[0], results[1], rtol=1e-3, atol=1e-4)
