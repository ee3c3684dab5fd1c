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
from torch import Tensor, nn

from adaptfilt.base.frequency import FrequencyFilter
from adaptfilt.base.linear import LinearFilter
from adaptfilt.base.stream import Output, as_block, like_input
from adaptfilt.checks import Block, as_tensor, check_block, check_finite, check_same_kind, part_of_steps, positive_int
from adaptfilt.filters.gradient.lms import LMS
from adaptfilt.filters.noise_control.loop import as_path, heard, push, samples_ahead, whole_or_not

PART = 256  # samples whose weights are recorded at a time


class ModifiedFxLMS(nn.Module):
    """A linear filter under a secondary path, by the modified filtered-x scheme.

    Parameters
    ----------
    filter : LinearFilter or FrequencyFilter
        The algorithm, such as ``af.NLMS(64)`` or ``af.RLS(64)``: of one output, y = w^T u and e = d - y. It is adapted
        in place, on the filtered input.
    secondary : array or Tensor [shape=(S,)]
        Model of the secondary path's response; `f.secondary` may be assigned between calls, of the same length.
    path_taps : int >= 1, optional
        Length of the longest `path` that a call can give; S by default.

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

    inner: Any
    model: LMS  # at rest
    reference: Tensor  # the newest samples of x, oldest first
    played: Tensor  # the newest outputs, oldest first
    predicted: Tensor  # output of the algorithm for the newest sample, w^T v

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
        common: dict[str, Any] = {"batch": axes, "dtype": filter.dtype, "device": filter.device}
        self.model = LMS(S, 0.0, **common)
        zeros = self.model.w.new_zeros
        self.register_buffer("reference", zeros(*axes, filter.taps))
        self.register_buffer("played", zeros(*filter.batch, self.path_taps))
        self.register_buffer("predicted", zeros(filter.batch))
        self.secondary = secondary

    @property
    def secondary(self) -> Tensor:
        """Model of the secondary path's response, (S,)."""
        return self.model.w.reshape(-1, self.model.taps)[0]

    @secondary.setter
    def secondary(self, value: Block) -> None:
        check_block("secondary", value, self.reference, (self.model.taps,))
        self.model.w = as_tensor(value, self.inner.dtype, self.inner.device).expand_as(self.model.w)

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
        model = as_path(self.secondary, self.path_taps, self.played)
        response = model if path is None else as_path(path, self.path_taps, self.played)
        with whole_or_not(self):
            out = self._block(*signals, mu, every, model, response)
        return Output(*(like_input(v, x) for v in out))

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
        y = self._combined(self._regressors(own), self.w.unsqueeze(-2))
        push(self.played, y)
        return like_input(y, x)

    def step(self, x: Any, d: Any) -> tuple[Any, Any]:
        """Adapt on one sample, the loop closed through the model; return y and e."""
        is_complex = self.inner.dtype.is_complex
        y, e, _ = self(*(as_block(k, v, self.inner._axes(k), is_complex) for k, v in (("x", x), ("d", d))))
        return self.inner._single(y), self.inner._single(e)

    @torch.no_grad()
    def predict(self, x: Any) -> Any:
        """Take one sample of the reference in and return what is to be played; `adapt` then takes the error.

        Parameters
        ----------
        x : float or complex; with a batch or inputs, an array or tensor of their shape

        Returns
        -------
        float or complex; else an array or tensor, as x
        """
        v = self.model.predict(x)  # refuses what is no number
        self.predicted.copy_(torch.as_tensor(self.inner.predict(v), dtype=self.inner.dtype))
        block = as_block("x", x, self.inner._axes("x"), self.inner.dtype.is_complex)
        push(self.reference, as_tensor(block, self.inner.dtype, self.inner.device))
        y = self._combined(self.reference.unsqueeze(-2), self.w.unsqueeze(-2))
        push(self.played, y)
        return self.inner._single(like_input(y, x) if self.inner._axes("x") else y)

    @torch.no_grad()
    def adapt(self, e: Any) -> None:
        """Adapt on the error that the microphone measured after the last `predict`.

        Parameters
        ----------
        e : float or complex; with a batch, an array or tensor of its shape
        """
        heard_now = heard(self.played[..., -self.model.taps :], self.secondary)[..., 0] - self.predicted
        if not self.inner.batch:
            self.inner.adapt(e + heard_now.item())
        else:
            self.inner.adapt(e + like_input(heard_now, e))

    def reset(self) -> Self:
        """Return to the start: first weights and state, silence; the model of the path stays."""
        model = self.secondary.clone()
        self.inner.reset()
        self.model.reset()
        for signal in (self.reference, self.played, self.predicted):
            signal.zero_()
        self.secondary = model
        return self

    @property
    def w(self) -> Tensor:
        """Weights, (*batch, [inputs,] M); may be assigned."""
        w: Tensor = self.inner.w
        return w

    @w.setter
    def w(self, value: Block) -> None:
        self.inner.w = value

    @property
    def taps(self) -> int:
        """Number of coefficients, M."""
        return self.reference.shape[-1]

    @property
    def history(self) -> Tensor:
        """The newest M - 1 samples of the reference, (*batch, [inputs,] M - 1), oldest first."""
        return self.reference[..., 1:]

    def _signal(self, name: str, value: Any) -> Tensor:
        """Check a signal, and return it as a tensor."""
        check_block(name, value, self.reference, (*self.inner._axes(name), None))
        own = as_tensor(value, self.inner.dtype, self.inner.device)
        check_finite(name, own)
        return own

    def _regressors(self, x: Tensor) -> Tensor:
        """Take a block of the reference in, and return its regressors with the oldest sample first, (*, T, M)."""
        stream = torch.cat([self.reference[..., 1:], x], -1)
        push(self.reference, x)
        return stream.unfold(-1, self.taps, 1) if x.shape[-1] else stream.new_empty(*x.shape, self.taps)

    def _combined(self, u: Tensor, w: Tensor) -> Tensor:
        """Return w^T u for such regressors, (*batch, [inputs,] T, M)."""
        y = (u * w.flip(-1)).sum(-1)
        return y if self.inner.inputs is None else y.sum(-2)

    def _block(
        self, x: Tensor, d: Tensor, mu: Any, every: int | None, model: Tensor, response: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run a block in parts, and return y, e and w or its record."""
        T, before = x.shape[-1], self.played.clone()
        v, unheard = self.model.filter(x), model - response
        ahead = samples_ahead(unheard)
        length = PART if ahead is None else min(ahead + 1, PART)
        outputs, record = [d[..., :0]], []
        for n in range(0, T, length):
            part = slice(n, n + length)
            u = self._regressors(x[..., part])
            w = self.w.clone().unsqueeze(-2)
            wanted = d[..., part]
            if ahead is not None:  # of this part's outputs, the first alone is heard within it
                first = self._combined(u[..., :1, :], w)
                later = first.new_zeros(*first.shape[:-1], wanted.shape[-1] - 1)
                wanted = wanted + heard(torch.cat([self.played[..., 1:], first, later], -1), unheard)
            given = part_of_steps(mu, part)
            rows = self.inner(v[..., part], wanted, mu=given, record_every=1).w
            y = self._combined(u, torch.cat([w, rows[..., :-1, :]], -2))
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
