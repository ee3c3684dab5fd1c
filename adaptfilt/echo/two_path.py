"""Two paths: a filter that adapts in the background, and one in the foreground that speaks.

Nobody hears what the background does while it follows a near end. After every hop the energies of both errors, S_f and
S_b, are compared with D, the energy of the difference of both outputs, by which they can differ by chance:

    d = S_f - S_b,    M1 <- .6 M1 + .4 d,      V1 <- .36 V1 + .16 S_f D
                      M2 <- .85 M2 + .15 d,    V2 <- .7225 V2 + .0225 S_f D

The foreground takes over the background where d |d| > S_f D, M1 |M1| > V1 / 2 or M2 |M2| > V2 / 4, and the background
the foreground's weights where the negative of one of them exceeds `patience` times as much: it has gone astray.

A filter that adapts every sample follows the near end within a hop already: its errors are then smaller than those of
the weights it ends with, and whoever copies it for that hears worse than without two paths. For such filters S_b is
therefore that of the background's weights as they stood when the hop began, which are also what is taken over; a third
filter, the candidate, holds them. On speech neighbouring samples tell nearly the same, and short hops are decided by
chance: hence 2048 samples, 128 ms at 16 kHz. On synthetic speech, the near end as loud as the echo, NLMS of 2,048 taps
and mu = 0.1 keeps an ERLE of 23 dB so, beside 0 dB alone; `FDAF` of 256 taps 44 beside 5, `FDKF` 36 beside 22. The
price is the first second, in which the foreground waits: 2 beside 12 dB, 8 beside 15 and 6 beside 11.

Source: J.-M. Valin, "On adjusting the learning rate in frequency domain echo cancellation with double-talk", IEEE
Transactions on Audio, Speech and Language Processing 15(3), 2007, and its implementation, SpeexDSP's `mdf.c`; before
it: K. Ochiai, T. Araseki and T. Ogihara, "Echo canceler with two echo path models", IEEE Transactions on Communications
25(6), 1977.
"""

import copy
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.base.guarded import Guarded, locked
from adaptfilt.base.stream import AdaptiveFilter, Output
from adaptfilt.checks import DivergenceError, check_finite, check_number, part_of_steps, positive_int

FORGETS = (0.0, 0.6, 0.85)  # of the means
HOP = 2048  # samples at least, where none are given
COPIES = (1.0, 0.5, 0.25)  # how many variances tell the background's lead


class TwoPath(Guarded):
    """A filter in the background that adapts, and its copy in the foreground that speaks.

    Parameters
    ----------
    filter : AdaptiveFilter
        Any real filter of one stream, which becomes the background; its copy is the foreground.
    hop : int >= 1, optional
        Samples between two decisions, a multiple of the filter's own hop; by default the least one from 2048 on. In
        fewer, chance decides.
    patience : float >= 1
        How many times more clearly than to be copied the background must fail to be set back. `inf`: it never is, which
        suits a filter that finds its own way back, such as `adaptfilt.FDKF`.

    Attributes
    ----------
    background, foreground : AdaptiveFilter
    candidate : AdaptiveFilter or None
        The background as it was when this hop began; None where it stands still within hops of its own.
    copies, resets : Tensor
        How often each has taken over the other.

    Raises
    ------
    TypeError, ValueError
        If the filter is of another kind, or its hop does not divide `hop`, or `patience` is below 1.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(8000)
    >>> f = af.TwoPath(af.NLMS(taps=3))
    >>> y, e, w = f(x, lfilter([0.5, -0.3, 0.1], 1, x))
    >>> w.round(3)
    array([ 0.5, -0.3,  0.1], dtype=float32)
    """

    means: Tensor
    variances: Tensor
    background: Any
    foreground: Any
    candidate: Any
    errors: Tensor  # of foreground and of what is judged, in this hop so far
    n: Tensor
    copies: Tensor
    resets: Tensor

    def __init__(self, filter: AdaptiveFilter, *, hop: int | None = None, patience: float = 4.0) -> None:
        super().__init__()
        if not isinstance(filter, AdaptiveFilter):
            raise TypeError(f"filter must be an adaptive filter, got {type(filter).__name__}")
        if filter.batch or filter.dtype.is_complex:
            raise ValueError(f"filter must be a real one without a batch, got {filter}")
        own = getattr(filter, "hop", 1)
        self.hop = own * -(-HOP // own) if hop is None else positive_int("hop", hop)
        if self.hop % own:
            raise ValueError(f"hop must be a multiple of the filter's, {own}, got {hop}")
        self.patience = patience if patience == math.inf else float(check_number("patience", patience, (), low=1.0))
        self.background, self.foreground = filter, copy.deepcopy(filter)
        self.candidate = None if hasattr(filter, "hop") else copy.deepcopy(filter)
        outputs = () if getattr(filter, "outputs", None) is None else (filter.outputs,)
        for name, shape in (("means", (3,)), ("variances", (3,)), ("errors", (2, *outputs, self.hop))):
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float64, device="cpu"))
        for name in ("n", "copies", "resets"):
            self.register_buffer(name, torch.zeros((), dtype=torch.int64, device="cpu"))
        self._fixed = ("background", "foreground", "candidate", "hop")

    @locked
    @torch.no_grad()
    def forward(self, x: Any, d: Any, *, mu: Any = None) -> Output:
        """Adapt in the background over a block; in `eval` mode only filter.

        Parameters
        ----------
        x : array or Tensor [shape=([inputs,] T)]
        d : array or Tensor [shape=([outputs,] T)]
        mu : float, array or Tensor [shape broadcastable to d's], optional
            Step size of the background, as for its own call.

        Returns
        -------
        Output
            Output and error of the foreground, and its weights.

        Raises
        ------
        TypeError, ValueError
            As the filter's own call does; the state is then the one before it.
        """
        if getattr(d, "ndim", 0) == 0 or d.shape[-1] != self.hop or int(self.n):  # in parts: none may be refused later
            self.background._check(x, d, mu, None, False, None)
            if self.background.nonfinite == "raise":  # some filters look while they run
                check_finite("x", x)
                check_finite("d", d)
        y = []
        for at, to in self._hops(d.shape[-1]):
            y.append(self._part(x[..., at:to], d[..., at:to], part_of_steps(mu, slice(at, to))))
        array = isinstance(x, np.ndarray)
        spoken: Any = (np if array else torch).concatenate(y, -1) if y else self.foreground.filter(x)
        w = self.foreground.w.clone()
        return Output(spoken, d - spoken, w.numpy() if array else w)

    @locked
    @torch.no_grad()
    def filter(self, x: Any) -> Any:
        """Filter a block with the foreground without adapting; the stream goes on.

        Parameters
        ----------
        x : array or Tensor [shape=([inputs,] T)]

        Returns
        -------
        array or Tensor [shape=([outputs,] T)]
        """
        y = self.foreground.filter(x)
        for at, to in self._hops(x.shape[-1]):
            self._tried(x[..., at:to])
            self.background.filter(x[..., at:to])
            self._count(to - at)
        return y

    @locked
    def reset(self) -> "TwoPath":
        """Return both filters to the start."""
        for part in (self.background, self.foreground, self.candidate):
            if part is not None:
                part.reset()
        for value in (self.means, self.variances, self.errors, self.n, self.copies, self.resets):
            value.zero_()
        return self

    @property
    def w(self) -> Tensor:
        """Weights of the foreground."""
        w: Tensor = self.foreground.w
        return w

    def _hops(self, samples: int) -> list[tuple[int, int]]:
        """Return where a block is cut so that every part ends within its hop."""
        ends = [*range(self.hop - int(self.n), samples, self.hop), samples]
        return [pair for pair in zip([0, *ends], ends, strict=False) if pair[0] < pair[1]]

    def _part(self, x: Any, d: Any, mu: Any) -> Any:
        """Run all filters over a hop or a part of it; return the foreground's output."""
        tried = self._tried(x)
        try:
            own = self.background(x, d, mu=mu).y
            other = own if tried is None else tried
        except DivergenceError:
            other = None
        y = self.foreground.filter(x)
        if other is None:
            take_over(self.background, self.foreground)
            self.resets += 1
            other = y
        place = slice(int(self.n), int(self.n) + x.shape[-1])
        for kept, output in zip(self.errors, (y, other), strict=True):
            kept[..., place] = torch.nan_to_num(torch.as_tensor(d - output))  # passed over
        self._count(x.shape[-1])
        return y

    def _tried(self, x: Any) -> Any:
        """Return what the background's weights give as they were when this hop began; None where it has hops itself."""
        if self.candidate is None:
            return None
        if not int(self.n):
            take_over(self.candidate, self.background)
        return self.candidate.filter(x)

    def _count(self, samples: int) -> None:
        self.n += samples
        if int(self.n) == self.hop:
            self._decide()
            self.n.zero_()
            self.errors.zero_()

    def _decide(self) -> None:
        """Let one filter take over the other after a hop, where it is clearly the better one."""
        means, variances = self.means.numpy(), self.variances.numpy()
        foreground, background = self.errors.square().flatten(1).sum(-1).tolist()
        between = float((self.errors[0] - self.errors[1]).square().sum())
        verdict = judged(means, variances, foreground, background, between, self.patience)
        if verdict > 0:
            take_over(self.foreground, self.background if self.candidate is None else self.candidate)
            self.copies += 1
        elif verdict < 0:
            take_over(self.background, self.foreground, states=False)
            self.resets += 1


def judged(means: Any, variances: Any, spoken: float, other: float, between: float, patience: float) -> int:
    """Renew the means and variances by a hop's energies; return 1 where the background leads, -1 where it fails.

    Parameters
    ----------
    means, variances : array [shape=(3,)]
        Of M and V, that of no memory first; they begin anew where somebody leads.
    spoken, other, between : float >= 0
        Energies of the foreground's errors, of the background's, and of the difference of both.
    patience : float >= 1
    """
    leads, fails = False, False
    for i in range(3):
        kept, bound = FORGETS[i], COPIES[i]
        means[i] = kept * means[i] + (1 - kept) * (spoken - other)
        variances[i] = kept**2 * variances[i] + (1 - kept) ** 2 * spoken * between
        lead = means[i] * abs(means[i])
        leads = leads or lead > bound * variances[i]
        fails = fails or (patience < math.inf and -lead > patience * bound * variances[i])
    if leads or fails:
        means[:] = 0
        variances[:] = 0
    return 1 if leads else -1 if fails else 0


def take_over(f: Any, other: Any, *, states: bool = True) -> None:
    """Give a filter the state of another one of its kind, or all of it but the states of the algorithm."""
    if states and hasattr(f, "copy_from"):
        f.copy_from(other)
        return
    own = set() if states else {*getattr(getattr(f, "algorithm", None), "states", ())}
    f.load_state_dict({k: f.state_dict()[k] if k in own else v for k, v in other.state_dict().items()})
