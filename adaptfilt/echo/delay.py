"""How much later one signal is than another: the first thing an echo canceller needs to know.

The cross spectrum of both signals, summed over frames, keeps its phase alone (PHAT); its inverse transform then peaks
sharply at the delay, whatever the colour of the source. Pre-emphasis evens out what little is left of the colour of
speech where a bin holds more noise than source.

Source: C. H. Knapp and G. C. Carter, "The generalized correlation method for estimation of time delay", IEEE
Transactions on Acoustics, Speech, and Signal Processing 24(4), 1976.
"""

from typing import Any

import torch
from torch import Tensor

from adaptfilt.checks import check_finite, positive_int

EMPHASIS = 0.9
FIRST = 0.8  # of the largest peak: what comes first and is as high is the way itself, the rest are reflections


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
    first, second = _signal("x", x), _signal("d", d)
    samples = min(first.shape[-1], second.shape[-1])
    if samples <= max_delay:
        raise ValueError(f"x and d must be longer than max_delay, {max_delay}, got {samples} samples")
    frame = 1 << (min(4 * max_delay, samples) - 1).bit_length()
    X, D = (_spectra(v[:samples], frame) for v in (first, second))
    cross = (X.conj() * D).sum(0)
    size = cross.abs()
    if not bool(size.max() > 0):
        return 0
    peaks = torch.fft.irfft(cross / size.clamp_min(1e-12 * size.max()))
    near = torch.cat([peaks[-max_delay:], peaks[: max_delay + 1]]).abs()
    return int((near >= FIRST * near.max()).to(torch.int8).argmax()) - max_delay


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
