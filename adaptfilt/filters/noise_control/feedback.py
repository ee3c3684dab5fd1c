"""Control without a reference: the noise itself, as far as a model of the secondary path tells it, is the input.

With the model s^ of the path, what the microphone would hear without control is known after each sample, and is the
input of the next one (internal model control):

    x[n] = d^[n - 1],    y, w as the filter inside has them,    d^[n] = e[n] + s^ * y[n]

Where the model is right, d^ = d and there is no loop: the filter predicts the noise across the delay of the path, and
takes away what can be predicted so far, tones above all. Where it is wrong, outputs come back as input, and large
weights make the loop unstable, whatever the step size; a leak keeps them small. Cost: that of the filter, and S
multiply-adds a sample. For headphones, and wherever no microphone hears the noise first.

Source: L. J. Eriksson, "Recursive algorithms for active noise control", Int. Symp. Active Control of Sound and
Vibration, 1991; S. J. Elliott and T. J. Sutton, "Performance of feedforward and feedback systems for active control",
IEEE Trans. Speech and Audio Processing, 1996.
"""

from typing import Any, Self

import torch
from torch import Tensor

from adaptfilt.base.filtered import FilteredFilter
from adaptfilt.base.guarded import locked
from adaptfilt.base.stream import Output, like_input
from adaptfilt.checks import Block, part_of_steps, positive_int
from adaptfilt.filters.noise_control.loop import Loop, heard, push, samples_ahead, whole_or_not
from adaptfilt.filters.noise_control.modified import ModifiedFxLMS


class FeedbackControl(Loop):
    """A filter with a secondary path whose input is the noise it is to cancel.

    Parameters
    ----------
    filter : FxLMS, FxNLMS or ModifiedFxLMS
        Of one input and one output; adapted in place. Its `secondary` is the model.

    Attributes
    ----------
    inner : filter
        The filter.
    w : Tensor [shape=(*batch, M)]
        Its weights.

    Raises
    ------
    TypeError, ValueError
        If the filter is of another kind.

    Examples
    --------
    A hum, behind a path that delays:

    >>> import numpy as np, adaptfilt as af
    >>> hum = np.sin(0.3 * np.arange(4000))
    >>> f = af.FeedbackControl(af.FxNLMS(16, 0.1, np.array([0.0, 0.0, 0.6, 0.3])))
    >>> y, e, w = f(hum)
    >>> bool(np.abs(e[-100:]).max() < 1e-3)
    True
    """

    wanted: Tensor  # d^ of the newest sample

    def __init__(self, filter: FilteredFilter | ModifiedFxLMS) -> None:
        super().__init__()
        if not isinstance(filter, FilteredFilter | ModifiedFxLMS):
            raise TypeError(f"filter must have a secondary path, as FxLMS has, got {type(filter).__name__}")
        self.inner: Any = filter
        base = self._base
        if base.inputs is not None or filter.secondary.ndim != 1 or base._follows or base.nonfinite != "raise":
            raise ValueError(
                f'filter must have one input, one output, a batch of its own and nonfinite="raise", got {filter}'
            )
        self.register_buffer("played", filter.w.new_zeros(*base.batch, filter.path_taps))
        self.register_buffer("wanted", filter.w.new_zeros(base.batch))
        self._fixed = ("inner",)

    @property
    def secondary(self) -> Tensor:
        """Model of the secondary path's response, (S,)."""
        model: Tensor = self.inner.secondary
        return model

    @secondary.setter
    def secondary(self, value: Block) -> None:
        self.inner.secondary = value

    @locked
    @torch.no_grad()
    def forward(self, d: Block, *, mu: Any = None, record_every: int | None = None, path: Any = None) -> Output:
        """Adapt over a block, the loop closed by simulation; in `eval` mode only filter.

        Parameters
        ----------
        d : array or Tensor [shape=(*batch, T)]
            What the microphone hears without control.
        mu : float, array or Tensor [shape broadcastable to d's], optional
            Step size for this block.
        record_every : int >= 1, optional
            Return the weights after every so many samples.
        path : array or Tensor [shape=(P,)], optional
            The response through which the microphone hears the outputs; the model by default.

        Returns
        -------
        Output
            What is played, what the microphone hears, and the weights.

        Raises
        ------
        TypeError, ValueError
            If an argument has another type, shape, device or range, or holds NaN or infinity.
        DivergenceError
            If the weights become infinite. In all cases the state is the one before the call.
        """
        own = self._signal("d", d)
        every = None if record_every is None else positive_int("record_every", record_every)
        model, response = self._responses(path)
        with whole_or_not(self):
            out = self._block(own, mu, every, model - response, response)
        return Output(*(like_input(v, d) for v in out))

    def step(self, d: Any) -> tuple[Any, Any]:
        """Adapt on one sample, the loop closed through the model; return y and e."""
        y, e, _ = self(self._block_of_one("d", d))
        return self._base._single(y), self._base._single(e)

    @locked
    @torch.no_grad()
    def predict(self, x: Any = None) -> Any:
        """Return what is to be played; `adapt` then takes the error.

        Parameters
        ----------
        x : object, optional
            Ignored: there is no reference. It lets this filter stand where one with a reference may.

        Returns
        -------
        float or complex; with a batch a Tensor
        """
        y = self.inner.predict(self.wanted if self._base.batch else self.wanted.item())
        push(self.played, torch.as_tensor(y, dtype=self.played.dtype).unsqueeze(-1))
        return y

    @locked
    @torch.no_grad()
    def adapt(self, e: Any) -> None:
        """Adapt on the error that the microphone measured after the last `predict`; in `eval` mode only hear it.

        Parameters
        ----------
        e : float or complex; with a batch, an array or tensor of its shape
        """
        own = self._signal("e", self._block_of_one("e", e))
        self.inner.adapt(e)
        S = len(self.secondary)
        self.wanted.copy_(own[..., 0] + heard(self.played[..., -S:], self.secondary)[..., 0])

    @locked
    def reset(self) -> Self:
        """Return to the start: first weights and state, silence; the model of the path stays."""
        self.inner.reset()
        self.played.zero_()
        self.wanted.zero_()
        return self

    def _block(
        self, d: Tensor, mu: Any, every: int | None, unheard: Tensor, response: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run a block in parts, and return y, e and w or its record; by `unheard` the model differs from the path."""
        T, ahead = d.shape[-1], samples_ahead(unheard)
        length = max(T, 1) if ahead is None else ahead + 1
        ys, es, record = [d[..., :0]], [d[..., :0]], []
        for n in range(0, T, length):
            part = slice(n, n + length)
            now = d[..., part]
            wanted = now + self._unheard(torch.zeros_like(now), unheard)  # the last one lacks what is played now
            x = torch.cat([self.wanted.unsqueeze(-1), wanted[..., :-1]], -1)
            given = part_of_steps(mu, part)
            y, e, w = self.inner(x, now, mu=given, record_every=1 if every else None, path=response)
            self.wanted.copy_((now + self._unheard(y, unheard))[..., -1])
            push(self.played, y)
            ys.append(y)
            es.append(e)
            if every:
                record.append(w[..., (every - 1 - n) % every :: every, :])
        w = self.w.clone() if not every else torch.cat([self.w.unsqueeze(-2)[..., :0, :], *record], -2)
        return torch.cat(ys, -1), torch.cat(es, -1), w

    def _unheard(self, y: Tensor, response: Tensor) -> Tensor:
        """Return what a response makes of a part of the outputs and of those before."""
        return heard(torch.cat([self.played[..., 1:], y], -1), response)
