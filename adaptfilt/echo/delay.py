"""How much later one signal is than another: the first thing an echo canceller needs to know.

The cross spectrum of both signals, summed over frames, keeps its phase alone (PHAT); its inverse transform then peaks
sharply at the delay, whatever the colour of the source. Pre-emphasis evens out what little is left of the colour of
speech where a bin holds more noise than source.

Source: C. H. Knapp and G. C. Carter, "The generalized correlation method for estimation of time delay", IEEE
Transactions on Acoustics, Speech, and Signal Processing 24(4), 1976.
"""

from typing import Any

import torch
from torch import Tensor, nn

from adaptfilt.checks import check_finite, check_number, positive_int

EMPHASIS = 0.9
FIRST = 0.8  # of the largest peak: what comes first and is as high is the way itself, the rest are reflections
BACKWARDS = 1.8  # times the energy behind a peak that lies before it, where a response is the wrong way round


def align(x: Any, d: Any, max_delay: int) -> int:
    """Return by how many samples d is later than x.

    Parameters
    ----------
    x, d : array_like or Tensor [shape=(T,), (S,)]
        Real signals, such as what was played and what was recorded, of one rate. Of different lengths, the longer one
        is cut.
    max_delay : int >= 1
        The largest delay that is looked for, in both directions, in samples.

    Returns
    -------
    int
        From -max_delay to max_delay; below 0 where d is the earlier one. 0 where one of them is silent.

    Raises
    ------
    TypeError, ValueError
        If a signal is not real, finite and one-dimensional, or is not longer than `max_delay`.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal(2000)
    >>> align(x, np.append(np.zeros(40), 0.5 * x[:-40]), max_delay=200)
    40
    """
    max_delay = positive_int("max_delay", max_delay)
    return _peak(cross_spectrum(x, d, max_delay), max_delay)


def cross_spectrum(x: Any, d: Any, max_delay: int) -> Tensor:
    """Return the cross spectrum of two signals, summed over frames that hold delays up to max_delay."""
    first, second = _signal("x", x), _signal("d", d)
    samples = min(first.shape[-1], second.shape[-1])
    if samples <= max_delay:
        raise ValueError(f"x and d must be longer than max_delay, {max_delay}, got {samples} samples")
    frame = 1 << (min(4 * max_delay, samples) - 1).bit_length()
    X, D = (_spectra(v[:samples], frame) for v in (first, second))
    return (X.conj() * D).sum(0)


def moved(first: Tensor, second: Tensor, max_delay: int) -> int:
    """Return by how many samples a response has moved from one cross spectrum to another, whatever its shape."""
    return _peak(first.conj() * second, max_delay, 1.0)


def reversed_order(x: Any, d: Any, max_delay: int) -> bool:
    """Say whether x sounds like the echo of d: what leads from x to d dies away backwards, before its peak.

    A room's response has its reflections behind the direct sound, however the recordings were started.
    """
    near, tail = _correlation(cross_spectrum(x, d, max_delay), max_delay) ** 2, max(max_delay // 10, 1)
    peak = int(near.argmax())
    return bool(near[max(peak - tail, 0) : peak].sum() > BACKWARDS * near[peak + 1 : peak + 1 + tail].sum())


def _peak(cross: Tensor, max_delay: int, least: float = FIRST) -> int:
    """Return the delay of a cross spectrum, by its phase alone: the first peak of this share of the largest."""
    near = _correlation(cross, max_delay)
    return int((near >= least * near.max()).to(torch.int8).argmax()) - max_delay if bool(near.any()) else 0


def _correlation(cross: Tensor, max_delay: int) -> Tensor:
    """Return how large the correlation of the phases is, at delays from -max_delay to max_delay; zeros of silence."""
    size = cross.abs()
    peaks = torch.fft.irfft(cross / size.clamp_min(1e-12 * size.max()).clamp_min(torch.finfo(size.dtype).tiny))
    return torch.cat([peaks[-max_delay:], peaks[: max_delay + 1]]).abs()


def _signal(name: str, value: Any) -> Tensor:
    """Return a signal in double precision."""
    signal = torch.as_tensor(value).detach().cpu()
    if signal.is_complex():
        raise TypeError(f"{name} must be real, got {signal.dtype}")
    if signal.ndim != 1:
        raise ValueError(f"{name} must have shape (T,), got {tuple(signal.shape)}")
    signal = signal.double()
    check_finite(name, signal)
    return signal


def _spectra(v: Tensor, frame: int) -> Tensor:
    """Return the spectra of half-overlapping frames of the pre-emphasised signal, (frames, frame + 1).

    Frames are followed by as many zeros, so that no delay wraps round.
    """
    v = torch.cat([v[:1], v[1:] - EMPHASIS * v[:-1]])
    rest = -max(v.shape[-1] - frame, 0) % (frame // 2)
    v = torch.nn.functional.pad(v, (0, max(rest, frame - v.shape[-1])))
    return torch.fft.rfft(v.unfold(-1, frame, frame // 2), 2 * frame)


class DelayTracker(nn.Module):
    """The delay of a stream: `align` over the last seconds, forgetting what is older.

    Parameters
    ----------
    max_delay : int >= 1
        The largest delay that is looked for, in both directions, in samples.
    forget : 0 < float < 1
        What the cross spectrum keeps from frame to frame, which are two `max_delay` or a little more apart.

    Attributes
    ----------
    delay : int
        Samples by which d is later than x, as of the last whole frame; 0 until there is one that is not silent.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.random.default_rng(0).standard_normal(4000)
    >>> d, tracker = np.append(np.zeros(40), 0.5 * x[:-40]), DelayTracker(max_delay=200)
    >>> [tracker(x[n : n + 1000], d[n : n + 1000]) for n in (0, 1000)]
    [40, 40]
    """

    pending: Tensor
    cross: Tensor
    n: Tensor

    def __init__(self, max_delay: int, *, forget: float = 0.9) -> None:
        super().__init__()
        self.max_delay = positive_int("max_delay", max_delay)
        self.forget = float(check_number("forget", forget, (), above=True, high=1 - 1e-9))
        self.frame = 1 << (4 * self.max_delay - 1).bit_length()
        self.register_buffer("pending", torch.zeros(2, self.frame + 1, dtype=torch.float64))  # one more: pre-emphasis
        self.register_buffer("cross", torch.zeros(self.frame + 1, 2, dtype=torch.float64))
        self.register_buffer("n", torch.zeros((), dtype=torch.int64))  # samples since the last frame

    def forward(self, x: Any, d: Any) -> int:
        """Take in a block of any length, and return the delay.

        Parameters
        ----------
        x, d : array_like or Tensor [shape=(T,)]
            Real signals.

        Returns
        -------
        int

        Raises
        ------
        TypeError, ValueError
            As `align`, or if the lengths differ; nothing has changed then.
        """
        first, second = _signal("x", x), _signal("d", d)
        if first.shape != second.shape:
            raise ValueError(f"x and d must have the same length, got {len(first)} and {len(second)} samples")
        new, at = torch.stack([first, second]), 0
        while at < new.shape[-1]:
            part = new[:, at : at + self.frame // 2 - int(self.n)]
            at += part.shape[-1]
            self.n += part.shape[-1]
            self.pending.copy_(torch.cat([self.pending, part], -1)[:, -self.pending.shape[-1] :])
            if int(self.n) == self.frame // 2:
                self._take_frame()
        return self.delay

    @property
    def delay(self) -> int:
        """Samples by which d is later than x, as far as is known."""
        return _peak(torch.view_as_complex(self.cross), self.max_delay)

    def reset(self) -> "DelayTracker":
        """Return to the start."""
        for value in self.buffers():
            value.zero_()
        return self

    def _take_frame(self) -> None:
        v = self.pending[:, 1:] - EMPHASIS * self.pending[:, :-1]
        X, D = torch.fft.rfft(v, 2 * self.frame)
        self.cross.mul_(self.forget).add_(torch.view_as_real(X.conj() * D))
        self.n.zero_()
