"""Modified filtered-x: any linear filter under a secondary path, as fast as without one.

FxLMS is slow behind a path that delays, for its errors are those of weights that have changed since. With a model s^ of
the path the errors that the present weights would make are known, and any algorithm may adapt on them:

    y = w^T u,    v = s^ * x,    d^ = e + s^ * y,    e_m = d^ - w^T v,    w <- the algorithm's update on (v, e_m)

Where the model is right, d^ = d and the algorithm runs as if it identified a plant from v to d: all that is known of
its step size and its speed holds, whatever the path's delay. Cost: that of the algorithm, and M + 2 S multiply-adds a
sample. For paths with a long delay, coloured references (RLS, affine projection), and hundreds of taps (FDAF).

Source: E. Bjarnason, "Active noise cancellation using a modified form of the filtered-x LMS algorithm", EUSIPCO, 1992;
M. Rupp and A. H. Sayed, "Robust FxLMS algorithms with improved convergence performance", IEEE Trans. Speech and Audio
Processing, 1998.
"""

from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from adaptfilt.base.filtered import as_secondary, padded
from adaptfilt.base.frequency import FrequencyFilter
from adaptfilt.base.guarded import locked
from adaptfilt.base.linear import LinearFilter
from adaptfilt.base.stream import Output, like_input
from adaptfilt.checks import (
    Block,
    check_same_kind,
    part_of_steps,
    positive_int,
)  # fmt: skip
from adaptfilt.filters.gradient.lms import LMS
from adaptfilt.filters.noise_control.loop import Loop, heard, push, samples_ahead, whole_or_not
from adaptfilt.taps import windows

PART = 1 << 18  # weights recorded at a time, about


class ModifiedFxLMS(Loop):
    """A linear filter under a secondary path, by the modified filtered-x scheme.

    Parameters
    ----------
    filter : LinearFilter or FrequencyFilter
        The algorithm, such as ``af.NLMS(64)`` or ``af.RLS(64)``: of one output, y = w^T u and e = d - y. It is adapted
        in place, on the filtered input.
    secondary : array or Tensor [shape=(S,)]
        Model of the secondary path's response; `f.secondary` may be assigned between calls, of the same length.
    path_taps : int >= 1, optional
        Length of the longest `path` that a call can give; S, the least, by default.

    Attributes
    ----------
    inner : LinearFilter or FrequencyFilter
        The algorithm.
    w : Tensor [shape=(*batch, [inputs,] M)]
        Its weights.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or the filter is of another kind.

    Notes
    -----
    In a block with a `path` other than the model, d^ depends on outputs just made. The block is then cut to what the
    difference of both responses delays, down to single samples: some 100 us each.

    Examples
    --------
    A path that delays by 20 samples:

    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x, path = np.random.default_rng(0).standard_normal(1000), np.eye(1, 21, 20)[0]
    >>> f = af.ModifiedFxLMS(af.RLS(taps=8), path)
    >>> y, e, w = f(x, lfilter([0.8, 0.4], 1, lfilter(path, 1, x)))
    >>> w.round(2)[:3] + 0
    array([0.8, 0.4, 0. ], dtype=float32)
    """

    model: LMS  # at rest, as the next two: s^ on x
    player: LMS  # the algorithm's weights on x
    echo: LMS  # s^ on what was played
    expected: Tensor  # d^ - e - w^T v of the newest sample

    def __init__(
        self, filter: LinearFilter | FrequencyFilter, secondary: Block, *, path_taps: int | None = None
    ) -> None:
        super().__init__()
        _check_kind(filter)
        if not isinstance(secondary, np.ndarray | Tensor) or secondary.ndim != 1 or not len(secondary):
            raise ValueError(f"secondary must be an array or tensor of shape (S,), got {secondary!r}")
        self.inner: Any = filter
        S, axes = len(secondary), filter._axes("x")
        self.path_taps = S if path_taps is None else max(positive_int("path_taps", path_taps), S)
        common: dict[str, Any] = {"dtype": filter.dtype, "device": filter.device}
        self.model = LMS(S, 0.0, batch=axes, **common)
        self.player = LMS(filter.taps, 0.0, batch=filter.batch, inputs=filter.inputs, **common)
        self.echo = LMS(self.path_taps, 0.0, batch=filter.batch, **common)
        self.register_buffer("expected", self.model.w.new_zeros(filter.batch))
        self.secondary = secondary
        self._fixed = ("inner", "path_taps")

    @property
    def secondary(self) -> Tensor:
        """Model of the secondary path's response, (S,)."""
        return self.model.w.reshape(-1, self.model.taps)[0]

    @secondary.setter
    def secondary(self, value: Block) -> None:
        own = as_secondary(value, (self.model.taps,), self.played)
        self.model.w = own.expand_as(self.model.w)
        self.echo.w = padded(own, self.path_taps).expand_as(self.echo.w)

    @locked
    @torch.no_grad()
    def forward(
        self, x: Block, d: Block, *, mu: Any = None, record_every: int | None = None, path: Any = None
    ) -> Output:
        """Adapt over a block, the loop closed by simulation; in `eval` mode only filter.

        Parameters
        ----------
        x : array or Tensor [shape=(*batch, [inputs,] T)]
            Reference.
        d : array or Tensor [shape=(*batch, T)]
            What the error microphone hears without control.
        mu : float, array or Tensor [shape broadcastable to d's], optional
            Step size for this block, as for the filter's own call.
        record_every : int >= 1, optional
            Return the weights after every so many samples.
        path : array or Tensor [shape=(P,)], optional
            The response through which the errors hear the outputs; the model by default.

        Returns
        -------
        Output
            What is played, what the microphone hears, e = d - path * y, and the weights.

        Raises
        ------
        TypeError, ValueError
            If an argument has another type, shape, device or range, or holds NaN or infinity.
        DivergenceError
            If the weights become infinite. In all cases the state is the one before the call.
        """
        every = None if record_every is None else positive_int("record_every", record_every)
        signals = self._signal("x", x), self._signal("d", d)
        check_same_kind(x, d)
        if x.shape[-1] != d.shape[-1]:
            raise ValueError(f"x and d must have the same length, got {x.shape[-1]} and {d.shape[-1]} samples")
        model, response = self._responses(path)
        with whole_or_not(self):
            out = self._block(*signals, mu, every, model, response)
        return Output(*(like_input(v, x) for v in out))

    @locked
    @torch.no_grad()
    def filter(self, x: Block) -> Any:
        """Filter a block without adapting; the stream goes on.

        Parameters
        ----------
        x : array or Tensor [shape=(*batch, [inputs,] T)]

        Returns
        -------
        array or Tensor [shape=(*batch, T)]
        """
        own = self._signal("x", x)
        self.inner.filter(self.model.filter(own))
        y = self._played_by().filter(own)
        self.echo.filter(y)
        return like_input(y, x)

    def step(self, x: Any, d: Any) -> tuple[Any, Any]:
        """Adapt on one sample, the loop closed through the model; return y and e."""
        y, e, _ = self(self._block_of_one("x", x), self._block_of_one("d", d))
        return self.inner._single(y), self.inner._single(e)

    @locked
    def predict(self, x: Any) -> Any:
        """Take one sample of the reference in and return what is to be played; `adapt` then takes the error.

        Parameters
        ----------
        x : float or complex; with a batch or inputs, an array or tensor of their shape

        Returns
        -------
        float or complex; else an array or tensor, as x
        """
        inner = self.inner
        v = self.model.predict(x)  # refuses what is no number
        before = inner.predict(v)
        y = self._played_by().predict(x)
        expected = self.echo.predict(y) - before
        if inner.batch:
            self.expected.copy_(torch.as_tensor(expected))
        else:
            self.expected.fill_(expected)
        return y

    @locked
    def adapt(self, e: Any) -> None:
        """Adapt on the error that the microphone measured after the last `predict`.

        Parameters
        ----------
        e : float or complex; with a batch, an array or tensor of its shape
        """
        inner, expected = self.inner, self.expected
        inner.adapt(e + (like_input(expected, e) if inner.batch else expected.item()))

    @locked
    def reset(self) -> Self:
        """Return to the start: first weights and state, silence; the model of the path stays."""
        self.inner.reset()
        for f in (self.model, self.player, self.echo):
            f.line.reset()
        self.expected.zero_()
        return self

    @property
    def taps(self) -> int:
        """Number of coefficients, M."""
        return self.player.taps

    @property
    def history(self) -> Tensor:
        """The newest M - 1 samples of the reference, (*batch, [inputs,] M - 1), oldest first."""
        return self.player.history

    @property
    def played(self) -> Tensor:
        """The newest outputs, (*batch, path_taps), oldest first."""
        return self.echo.line.samples

    def _played_by(self) -> LMS:
        """Return the filter that makes the output, with the weights as they are now."""
        own: Any = self.player._buffers["w"]
        own.copy_(self.w.detach())
        return self.player

    def _combined(self, stream: Tensor, w: Tensor) -> Tensor:
        """Return w^T u for all regressors of a stream, with weights of their own, (*batch, [inputs,] T, M)."""
        if stream.shape[-1] < self.taps:
            y = stream[..., :0]
        elif stream.is_cpu:  # without a copy of the regressors
            u = stream.flip(-1).unfold(-1, self.taps, 1).numpy()[..., ::-1, :]
            y = torch.from_numpy(np.einsum("...m,...m->...", u, w.detach().numpy()))
        else:
            y = (windows(stream, self.taps) * w).sum(-1)
        return y if self.inner.inputs is None else y.sum(-2)

    def _block(
        self, x: Tensor, d: Tensor, mu: Any, every: int | None, model: Tensor, response: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run a block in parts, and return y, e and w or its record."""
        T, before = x.shape[-1], self.played.clone()
        v, unheard = self.model.filter(x), model - response
        ahead = samples_ahead(unheard)
        length = max(PART // self.w.numel(), 64)
        length = length if ahead is None else min(ahead + 1, length)
        outputs, record = [d[..., :0]], []
        for n in range(0, T, length):
            part = slice(n, n + length)
            stream = self.player.line.extend(x[..., part])
            first = self._combined(stream[..., : self.taps], self.w.unsqueeze(-2))
            wanted = d[..., part]
            if ahead is not None:  # of this part's outputs, the first alone is heard within it
                later = first.new_zeros(*first.shape[:-1], wanted.shape[-1] - 1)
                wanted = wanted + heard(torch.cat([self.played[..., 1:], first, later], -1), unheard)
            given = part_of_steps(mu, part)
            rows = self.inner(v[..., part], wanted, mu=given, record_every=1).w
            y = torch.cat([first, self._combined(stream[..., 1:], rows[..., :-1, :])], -1)
            push(self.played, y)
            outputs.append(y)
            if every:
                record.append(rows[..., (every - 1 - n) % every :: every, :])
        y = torch.cat(outputs, -1)
        e = d - heard(torch.cat([before[..., 1:], y], -1), response)
        if every:
            return y, e, torch.cat(record, -2) if record else self.w.unsqueeze(-2)[..., :0, :].clone()
        return y, e, self.w.clone()


def _check_kind(f: Any) -> None:
    """Refuse a filter that does not compute e = d - w^T u of one output."""
    if not isinstance(f, LinearFilter | FrequencyFilter):
        raise TypeError(f"filter must be a linear or frequency-domain filter, got {type(f).__name__}")
    if f._follows or f.nonfinite != "raise":
        raise ValueError('filter must have a batch of its own and nonfinite="raise"')
    special = isinstance(f, LinearFilter) and (not f._plain or f.features is not None or f.sps > 1 or f.delay)
    if special or f.outputs is not None:
        raise ValueError(f"filter must compute y = w^T u and e = d - y, with one output, got {f}")
