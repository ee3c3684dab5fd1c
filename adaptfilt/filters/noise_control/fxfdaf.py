"""Frequency-domain filtered-x (FxFDAF): filtered-x of one channel or many, updated once a block.

With V_lqk,p the spectra of v_lqk = s^_lq * x_k in the last frames of 2 B samples, and E_l that of the newest B errors
of microphone l, every block of B samples, for every bin and partition p,

    y_q = sum_k w_qk * x_k,    e_l = d_l - sum_q s_lq * y_q
    W_qk,p <- (1 - mu leak) W_qk,p + m sum_l conj(V_lqk,p) E_l

with the m of `FDAF`, whose power is that of all V together: a normalised step is safe whatever the microphones have in
common. The outputs wait for nothing. With ``normalized=False`` m = mu, which is FxLMS whose weights stand still for a
block, to rounding. That ends at the best causal controller; a step of each bin's own ends beside it where much is left
that no causal controller reaches (the errors some .3 % above, in a test), for responses are made causal after it. As in
FxLMS what the paths delay lowers the largest step, and the block adds to it. Cost: in torch about 0.7 ms a block, so
that blocks of 64 and more are for real time; a sample of `FxNLMS` is cheaper. For coloured references, whose every bin
learns at its own speed, and for several loudspeakers and microphones.

Source: F. Yang, Y. Cao, M. Wu, F. Albu and J. Yang, "Frequency-domain filtered-x LMS algorithms for active noise
control: a review and new insights", Applied Sciences 8(11), 2018, which also says what outputs without delay are worth.
"""

from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from adaptfilt.base.filtered import as_secondary
from adaptfilt.base.guarded import Guarded, locked
from adaptfilt.base.stream import Output, as_block, like_input
from adaptfilt.checks import (
    DIVERGED,
    Block,
    DivergenceError,
    as_tensor,
    check_block,
    check_finite,
    check_number,
    check_same_kind,
    positive_int,
)
from adaptfilt.engines.tensors import bins
from adaptfilt.engines.words import abs2
from adaptfilt.filters.frequency.fdaf import FDAF, block_lms_level, fdaf_level, fdaf_step
from adaptfilt.filters.gradient.lms import LMS
from adaptfilt.filters.noise_control.loop import push, whole_or_not


class FxFDAF(Guarded):
    """Frequency-domain filtered-x filter, of one channel or many.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0
        Step size, below 2, less by what the paths delay; without `normalized` in 1 / (units of v)^2.
    secondary : array or Tensor [shape=(S,) or (L, Q, S)]
        Model of the path's response, or of those from each loudspeaker to each microphone. May be assigned between
        calls, of the same shape.
    leak : float >= 0
        Leakage: the weights shrink by 1 - mu * leak a block, which limits the drive of the loudspeakers.
    normalized : bool
        Divide by the power of every bin; else this is FxLMS, block by block.
    path_taps : int >= 1, optional
        Length of the longest `path` that a call can give; S by default.
    block, lam, eps, inputs, dtype
        As for `adaptfilt.FDAF`: samples between updates, B, and the step's power; the number of references.

    Attributes
    ----------
    w : Tensor [shape=([Q,] [inputs,] M)]
        Weights. May be assigned.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(8000)
    >>> path = np.array([0.0, 0.5, 0.2])
    >>> f = af.FxFDAF(taps=16, mu=0.5, secondary=path, block=8)
    >>> y, e, w = f(x, lfilter([0.8, -0.4], 1, lfilter(path, 1, x)))
    >>> w.round(3)[:3] + 0
    array([ 0.8, -0.4,  0. ], dtype=float32)
    """

    frame: Tensor  # the newest 2 B samples of v, (L, Q, C, 2 B), oldest first
    spectra: Tensor  # V, real and imaginary parts, (L, Q, C, P, F, 2), newest first
    errors: Tensor  # of this block, (L, B)
    played: Tensor  # the newest outputs, (Q, path_taps), oldest first
    n: Tensor  # samples since the last update
    S: Tensor  # (F,), as in FDAF
    share: Tensor

    def __init__(
        self,
        taps: int,
        mu: float,
        secondary: Block,
        *,
        leak: float = 0.0,
        normalized: bool = True,
        path_taps: int | None = None,
        **common: Any,
    ) -> None:
        super().__init__()
        own = isinstance(secondary, np.ndarray | Tensor)
        if not own or secondary.ndim not in (1, 3) or not all(secondary.shape):
            raise ValueError(f"secondary must be an array or tensor of shape (S,) or (L, Q, S), got {secondary!r:.200}")
        self._heard = tuple(secondary.shape[:-1])  # (), or microphones and loudspeakers
        (L, Q), S = self._heard or (1, 1), secondary.shape[-1]
        wrong = {*common} - {"block", "lam", "eps", "inputs", "dtype"}
        if wrong:
            raise TypeError(f"FxFDAF takes block, lam, eps, inputs and dtype, not {min(wrong)}")
        outputs = self._heard[1] if self._heard else None
        self.player = FDAF(taps, 1.0, outputs=outputs, constraint="full", **common)  # which filters, no more
        dtype = self.player.dtype
        self.mu, self.leak = (float(check_number(k, v, ())) for k, v in (("mu", mu), ("leak", leak)))
        self.normalized = bool(normalized)
        self.path_taps = S if path_taps is None else positive_int("path_taps", path_taps)
        C, B, P, F = self.player.inputs or 1, self.player.block, self.player.partitions, self.player.bins
        self.model = LMS(S, 0.0, batch=(L, Q, C), dtype=dtype)  # at rest
        real = dtype.to_real()
        for name, shape, kind in (
            ("frame", (L, Q, C, 2 * B), dtype), ("spectra", (L, Q, C, P, F, 2), real), ("errors", (L, B), dtype),
            ("played", (Q, self.path_taps), dtype), ("n", (), torch.int64), ("S", (F,), real), ("share", (F,), real),
        ):  # fmt: skip
            self.register_buffer(name, torch.zeros(shape, dtype=kind))
        self.secondary = secondary
        self._fixed = ("player", "model", "path_taps")

    @property
    def secondary(self) -> Tensor:
        """Model of the secondary path, (S,) or (L, Q, S)."""
        return self.model.w[:, :, 0].reshape(*self._heard, -1)

    @secondary.setter
    def secondary(self, value: Block) -> None:
        own = as_secondary(value, (*self._heard, self.model.taps), self.frame)
        self.model.w = own.reshape(*self.frame.shape[:2], 1, -1).expand_as(self.model.w)

    @locked
    @torch.no_grad()
    def forward(self, x: Block, d: Block, *, mu: Any = None, path: Any = None) -> Output:
        """Adapt over a block of any length, the loop closed by simulation; in `eval` mode only filter.

        Parameters
        ----------
        x : array or Tensor [shape=([inputs,] T)]
            Reference.
        d : array or Tensor [shape=([L,] T)]
            What the error microphones hear without control.
        mu : float >= 0, optional
            Step size of the updates in this call.
        path : array or Tensor [shape=(P,) or (L, Q, P)], optional
            The response through which the errors hear the outputs; the model by default.

        Returns
        -------
        Output
            What is played, ([Q,] T), what the microphones hear, and a copy of the weights.

        Raises
        ------
        TypeError, ValueError
            If an argument has another type, shape or range, or holds NaN or infinity.
        DivergenceError
            If the weights become infinite. In all cases the state is the one before the call.
        """
        own_x, own_d = self._signal("x", x, self.player._axes("x")), self._signal("d", d, self._heard[:1])
        check_same_kind(x, d)
        if x.shape[-1] != d.shape[-1]:
            raise ValueError(f"x and d must have the same length, got {x.shape[-1]} and {d.shape[-1]} samples")
        step = self.mu if mu is None else float(check_number("mu", mu, ()))
        response, wanted = self._path(path), own_d.reshape(len(self.errors), -1)
        outputs, errors = [], []
        with whole_or_not(self):
            for at, to in self._parts(x.shape[-1], step):
                y = self._played(own_x[..., at:to])
                stream = torch.cat([self.played[:, 1:], y], -1)
                push(self.played, y)
                e = wanted[:, at:to] - torch.einsum(
                    "qtp,lqp->lt", stream.unfold(-1, self.path_taps, 1), response.flip(-1)
                )
                self.errors[:, int(self.n) - (to - at) : int(self.n)] = e
                outputs.append(y)
                errors.append(e)
            self._settle(step)
        y, e = (torch.cat(v, -1) if v else wanted[:0] for v in (outputs, errors))
        shapes = (*self._heard[1:], x.shape[-1]), (*self._heard[:1], x.shape[-1])
        return Output(*(like_input(v, x) for v in (y.reshape(shapes[0]), e.reshape(shapes[1]), self.w.clone())))

    @locked
    @torch.no_grad()
    def filter(self, x: Block) -> Any:
        """Filter a block without adapting; the stream goes on.

        Parameters
        ----------
        x : array or Tensor [shape=([inputs,] T)]

        Returns
        -------
        array or Tensor [shape=([Q,] T)]
        """
        own = self._signal("x", x, self.player._axes("x"))
        outputs = []
        for at, to in self._parts(x.shape[-1], 0.0):
            outputs.append(self._played(own[..., at:to]))
            push(self.played, outputs[-1])
            self.errors[:, int(self.n) - (to - at) : int(self.n)] = 0
        y = torch.cat(outputs, -1) if outputs else self.played[:, :0]
        return like_input(y.reshape(*self._heard[1:], -1), x)

    def step(self, x: Any, d: Any) -> tuple[Any, Any]:
        """Adapt on one sample, the loop closed through the model; return y and e."""
        y, e, _ = self(self._sample("x", x, self.player._axes("x")), self._sample("d", d, self._heard[:1]))
        return self.player._single(y), self.player._single(e)

    @locked
    def predict(self, x: Any) -> Any:
        """Take one sample of the reference in and return what is to be played; `adapt` then takes the errors.

        Parameters
        ----------
        x : float or complex; with inputs, an array or tensor of their shape

        Returns
        -------
        float or complex; with several loudspeakers, an array or tensor
        """
        self._settle(self.mu)
        return self.player._single(self.filter(self._sample("x", x, self.player._axes("x"))))

    @locked
    @torch.no_grad()
    def adapt(self, e: Any) -> None:
        """Take the errors that the microphones measured after the last `predict`; weights move once a block.

        Parameters
        ----------
        e : float or complex; with several microphones, an array or tensor of their shape
        """
        error = self._signal("e", self._sample("e", e, self._heard[:1]), self._heard[:1])
        self.errors[:, int(self.n) - 1] = error[..., 0]

    @locked
    def reset(self) -> Self:
        """Return to the start: weights of zeros, silence; the model of the path stays."""
        model = self.secondary.clone()
        self.player.reset()
        self.model.reset()
        for value in (self.frame, self.spectra, self.errors, self.played, self.n, self.S, self.share):
            value.zero_()
        self.secondary = model
        return self

    @property
    def w(self) -> Tensor:
        """Weights, ([Q,] [inputs,] M); may be assigned."""
        return self.player.w

    @w.setter
    def w(self, value: Any) -> None:
        self.player.w = value  # type: ignore[misc]

    @property
    def taps(self) -> int:
        """Number of coefficients, M."""
        return self.player.taps

    @property
    def block(self) -> int:
        """Samples between updates, B."""
        return self.player.block

    @property
    def dtype(self) -> torch.dtype:
        """Precision of signals and weights."""
        return self.frame.dtype

    def _signal(self, name: str, value: Any, axes: tuple[int, ...]) -> Tensor:
        """Check a signal, and return it as a tensor."""
        check_block(name, value, self.frame, (*axes, None))
        own = as_tensor(value, self.dtype, self.frame.device)
        check_finite(name, own)
        return own

    def _sample(self, name: str, value: Any, axes: tuple[int, ...]) -> Any:
        """Return one sample as a block of length one."""
        return as_block(name, value, axes, self.dtype.is_complex)

    def _path(self, path: Any) -> Tensor:
        """Return a response, the model where there is none, with zeros up to the longest, (L, Q, path_taps)."""
        given = self.secondary if path is None else path
        check_block("path", given, self.frame, (*self._heard, None))
        if not 1 <= given.shape[-1] <= self.path_taps:
            raise ValueError(f"path must have 1 to {self.path_taps} taps (path_taps=), got {given.shape[-1]}")
        own = as_tensor(given, self.dtype, self.frame.device).reshape(*self.frame.shape[:2], -1)
        check_finite("path", own)
        return nn.functional.pad(own, (0, self.path_taps - own.shape[-1]))

    def _parts(self, samples: int, mu: float) -> Any:
        """Yield where a call is cut, which is at the ends of blocks; update between them."""
        at = 0
        while at < samples:
            self._settle(mu)
            to = min(at + self.block - int(self.n), samples)
            yield at, to
            at = to

    def _played(self, x: Tensor) -> Tensor:
        """Take in samples of one block at most, and return the outputs, (Q, T)."""
        L, Q, C, _ = self.frame.shape
        v = self.model.filter(x.reshape(1, 1, C, -1).expand(L, Q, C, -1))
        self.frame.copy_(torch.cat([self.frame, v], -1)[..., -2 * self.block :])
        self.n += x.shape[-1]
        silence = x.new_zeros((*self._heard[1:], x.shape[-1]))
        return self.player(x, silence, mu=0.0).y.reshape(Q, -1)

    def _settle(self, mu: float) -> None:
        """Take a step where a block is complete."""
        if int(self.n) < self.block:
            return
        forward = torch.fft.fft if self.dtype.is_complex else torch.fft.rfft
        V = torch.view_as_complex(self.spectra)
        V.copy_(torch.cat([forward(self.frame).unsqueeze(-2), V[..., :-1, :]], -2))
        self.n.zero_()
        if not self.training or mu == 0:
            return
        E, total = forward(torch.cat([torch.zeros_like(self.errors), self.errors], -1)), abs2(V).sum((0, 1, 2, 3))
        if self.normalized:
            eps, lam = self.player.eps, self.player.lam
            level, S, share = fdaf_level(total, self.S, self.share, lam, eps, self.taps)
            self.S.copy_(S)
            self.share.copy_(share)
        else:
            level = block_lms_level(total)
        change = fdaf_step(level, mu) * torch.einsum("lqcpf,lf->qcpf", V.conj(), E)
        W = (1 - mu * self.leak) * self.player.W + change.reshape(self.player.W.shape)
        w = bins.response(W, self.taps, self.dtype.is_complex)
        if not bool(torch.isfinite(w).all()):
            raise DivergenceError(DIVERGED)
        self.player._buffers["weights"].copy_(self.player._as_spectra(w))  # type: ignore[union-attr]
