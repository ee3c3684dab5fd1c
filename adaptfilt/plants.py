"""Systems to identify: a plant is a callable that takes the input `x` and returns the desired signal `d`.

Linear plants, :class:`Linear`, come from :func:`fir`, :func:`iir`, :func:`room`, :func:`proakis`, :func:`multipath`
and :func:`g168`, and know their impulse response. :class:`Switching` changes plants in mid-stream, :class:`TimeVarying`
has coefficients of its own for every sample (:func:`random_walk` makes them drift, :func:`fading` fade),
:class:`Wiener` and :class:`Hammerstein` saturate, :func:`polarisation` mixes two signals. Plants start at rest, work
along the last axis and filter leading axes separately.

>>> import numpy as np
>>> from adaptfilt import plants
>>> plant = plants.Switching(plants.fir([1.0, 0.5]), plants.fir([-1.0]), at=3)
>>> plant(np.ones(5))
array([ 1. ,  1.5,  1.5, -1. , -1. ])
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike
from scipy.signal import lfilter

from adaptfilt.checks import DivergenceError, natural
from adaptfilt.signals import Seed, delay, pole_radius, white

Array = np.ndarray
Plant = Callable[[ArrayLike], Array]
UNSTABLE = 1e9  # an error so many times what there was to cancel
WAVES = 32  # that a fading coefficient is made of
PROAKIS = {
    "A": [0.04, -0.05, 0.07, -0.21, -0.5, 0.72, 0.36, 0.0, 0.21, 0.03, 0.07],
    "B": [0.407, 0.815, 0.407],
    "C": [0.227, 0.460, 0.688, 0.460, 0.227],
}


@dataclass(frozen=True, eq=False)
class Linear:
    """Linear time-invariant plant, ``d = scipy.signal.lfilter(b, a, x)``.

    Parameters
    ----------
    b, a : ndarray
        Coefficients of numerator and denominator, real or complex.

    Examples
    --------
    >>> Linear(np.array([1.0]), np.array([1.0, -0.5])).impulse_response(4)
    array([1.   , 0.5  , 0.25 , 0.125])
    """

    b: Array
    a: Array

    def __call__(self, x: ArrayLike) -> Array:
        """Output for the input `x`, ``(..., T)``."""
        return np.asarray(lfilter(self.b, self.a, x))

    def impulse_response(self, taps: int) -> Array:
        """First samples of the impulse response, ``(taps,)``: what a filter of `taps` should find."""
        return self(np.eye(1, taps)[0])


@dataclass(frozen=True, eq=False)
class Switching:
    """Plant that changes in mid-stream: `before` up to sample `at`, `after` from there on.

    Both see the whole input, so an FIR plant applies the coefficients of the moment to the past of `x`.

    Parameters
    ----------
    before, after : callable
        Plants, ``d = plant(x)``.
    at : int >= 0
        Sample from which `after` holds.
    """

    before: Plant
    after: Plant
    at: int

    def __call__(self, x: ArrayLike) -> Array:
        """Output for the input `x`, ``(..., T)``."""
        is_before = np.arange(np.shape(x)[-1]) < self.at
        return np.where(is_before, self.before(x), self.after(x))


@dataclass(frozen=True, eq=False)
class TimeVarying:
    """FIR plant with coefficients of its own for every sample, ``d[n] = sum_k h[n, k] x[n - k]``.

    Parameters
    ----------
    h : ndarray, shape (T, M)
        Row n holds the coefficients at sample n: compares directly with a recorded coefficient history.

    Examples
    --------
    >>> TimeVarying(np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]]))([1.0, 2.0, 3.0])
    array([1., 1., 4.])
    """

    h: Array

    def __call__(self, x: ArrayLike) -> Array:
        """Output for the input `x`, ``(..., T)``, of as many samples as `h` has rows."""
        x, (samples, taps) = np.asarray(x), self.h.shape
        if x.shape[-1] != samples:
            raise ValueError(f"x must have {samples} samples, one for each row of h, got {x.shape[-1]}")
        past = np.zeros((*x.shape[:-1], taps - 1), x.dtype)
        u = sliding_window_view(np.concatenate([past, x], axis=-1), taps, axis=-1)[..., ::-1]  # (..., T, M)
        return np.einsum("...tm,tm->...t", u, self.h)


@dataclass(frozen=True, eq=False)
class Wiener:
    """Linear plant followed by a saturation, ``d = saturate(linear(x), limit)``: an overdriven receiver."""

    linear: Plant
    limit: float = 1.0

    def __call__(self, x: ArrayLike) -> Array:
        """Output for the input `x`, ``(..., T)``."""
        return saturate(self.linear(x), self.limit)


@dataclass(frozen=True, eq=False)
class Hammerstein:
    """Saturation followed by a linear plant, ``d = linear(saturate(x, limit))``: an overdriven speaker."""

    linear: Plant
    limit: float = 1.0

    def __call__(self, x: ArrayLike) -> Array:
        """Output for the input `x`, ``(..., T)``."""
        return self.linear(saturate(x, self.limit))


def saturate(x: ArrayLike, limit: float = 1.0) -> Array:
    """Soft limiter, ``limit * tanh(x / limit)``: slope one at zero, never beyond `limit`.

    The modulus of complex samples is limited, and their phase kept.

    Examples
    --------
    >>> saturate([0.01, 100.0], limit=2.0).round(4)
    array([0.01, 2.  ])
    """
    if not limit > 0:
        raise ValueError(f"limit must be positive, got {limit}")
    x = np.asarray(x)
    if np.iscomplexobj(x):
        return limit * np.tanh(np.abs(x) / limit) * np.exp(1j * np.angle(x))
    return limit * np.tanh(x / limit)


@dataclass(frozen=True, eq=False)
class Polarisation:
    """Two polarisations on a fibre: mixed, one of them delayed against the other, and mixed again.

    Parameters
    ----------
    before, after : ndarray, shape (2, 2)
        Unitary matrices, by which both are mixed first and last.
    delay : int >= 0
        Samples by which the second one comes later in between.
    """

    before: Array
    delay: int
    after: Array

    def __call__(self, x: ArrayLike) -> Array:
        """Output for the input `x`, ``(..., 2, T)``."""
        u = self.before @ np.asarray(x)
        return self.after @ np.stack([u[..., 0, :], delay(u[..., 1, :], self.delay)], -2)


def polarisation(delay: int, *, angles: tuple[float, float] | None = None, rng: Seed | None = None) -> Polarisation:
    """Fibre that mixes two polarisations and delays one against the other.

    Parameters
    ----------
    delay : int >= 0
        Differential group delay in samples.
    angles : tuple of float, optional
        By how many radians the polarisations are turned before and after.
    rng : numpy.random.Generator or int, optional
        Source of randomness, or a seed, where no angles are given: any two unitary matrices, all alike.

    Raises
    ------
    TypeError, ValueError
        If not just one of `angles` and `rng` is given, or `delay` is no integer >= 0.

    Notes
    -----
    S. J. Savory, "Digital filters for coherent optical receivers", Optics Express 16(2), 2008.

    Examples
    --------
    >>> polarisation(1, angles=(0.0, np.pi / 2))(np.array([[1.0, 2.0], [3.0, 4.0]])).round(3) + 0
    array([[ 0., -3.],
           [ 1.,  2.]])
    """
    if (angles is None) == (rng is None):
        raise TypeError("polarisation takes either angles or rng")
    if angles is not None:
        before, after = (np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]]) for t in angles)
    else:
        rng = np.random.default_rng(rng)
        before, after = _unitary(rng), _unitary(rng)
    return Polarisation(before, natural("delay", delay), after)


def _unitary(rng: np.random.Generator) -> Array:
    """Return a unitary matrix, all alike."""
    q, r = np.linalg.qr(white((2, 2), rng, dtype=complex))
    return q * (np.diag(r) / np.abs(np.diag(r)))


def fir(h: ArrayLike) -> Linear:
    """Plant of finite impulse response `h`, ``(M,)``; ``h[k]`` multiplies ``x[n - k]``.

    Examples
    --------
    >>> fir([0.1, 0.2, 0.3])([1.0, 0.0, 0.0, 0.0])
    array([0.1, 0.2, 0.3, 0. ])
    """
    return iir(h, [1.0])


def iir(b: ArrayLike, a: ArrayLike) -> Linear:
    """Plant of infinite impulse response: numerator `b` and denominator `a` as scipy.signal designs them.

    Raises
    ------
    ValueError
        If a coefficient is not finite, ``a[0]`` is zero, or a pole is on or outside the unit circle.

    Examples
    --------
    >>> import scipy.signal
    >>> iir(*scipy.signal.butter(2, 0.2)).impulse_response(3).round(4)
    array([0.0675, 0.212 , 0.2819])
    """
    b, a = np.atleast_1d(b), np.atleast_1d(a)
    if not np.isfinite(b).all():
        raise ValueError(f"b must be finite, got {b}")
    pole_radius(a)  # raises where it is not stable
    return Linear(b, a)


def room(taps: int, rt60: float, rng: Seed, *, fs: float = 1.0) -> Linear:
    """Room-like plant: Gaussian noise under an exponential decay, scaled to unit energy.

    Parameters
    ----------
    taps : int >= 1
        Length M of the impulse response.
    rt60 : float > 0
        Reverberation time in seconds, in which the level falls by 60 dB.
    rng : numpy.random.Generator or int
        Source of randomness, or a seed.
    fs : float > 0
        Sampling rate in Hz; with the default 1, `rt60` is in samples.

    Notes
    -----
    J. A. Moorer, "About this reverberation business", Computer Music Journal 3(2), 1979, on exponentially
    decaying noise as the response of a hall.

    Examples
    --------
    >>> h = room(4000, rt60=0.25, rng=0, fs=8000.0).impulse_response(4000)
    >>> print(f"{10 * np.log10(np.sum(h[1000:] ** 2) / np.sum(h**2)):.0f} dB left after 0.125 s")
    -30 dB left after 0.125 s
    """
    if not rt60 > 0:
        raise ValueError(f"rt60 must be positive, got {rt60}")
    h = white(taps, rng) * 10 ** (-3 * np.arange(taps) / (rt60 * fs))
    return fir(h / np.linalg.norm(h))


def proakis(name: str) -> Linear:
    """Channel of data transmission with intersymbol interference, at one sample a symbol, as the textbook has it.

    Parameters
    ----------
    name : str
        ``"A"``, a telephone line of 11 taps that is easy to equalise; ``"B"`` and ``"C"``, of 3 and 5 taps, with a
        null of the spectrum that linear equalisers cannot undo and decision feedback can. All have unit energy but
        for rounding. ``fir(h)`` takes any other response, complex ones as well.

    Raises
    ------
    ValueError
        If the name is another.

    Notes
    -----
    J. G. Proakis, *Digital Communications*, 4th ed., 2001, section 10.2, figure 10.2-5.

    Examples
    --------
    >>> proakis("B").impulse_response(4)
    array([0.407, 0.815, 0.407, 0.   ])
    """
    if name not in PROAKIS:
        raise ValueError(f"name must be one of {sorted(PROAKIS)}, got {name!r}")
    return fir(PROAKIS[name])


def multipath(profile_db: ArrayLike, rng: Seed) -> Linear:
    """Radio channel of several paths: independent complex Gaussian coefficients, of stated mean powers.

    Parameters
    ----------
    profile_db : array_like, shape (M,)
        Mean power of each coefficient, in dB up to a common factor; ``-inf`` for none.
    rng : numpy.random.Generator or int
        Source of randomness, or a seed.

    Returns
    -------
    Linear
        Complex, of unit energy in the mean.

    Raises
    ------
    ValueError
        If the profile is empty, or has no power.

    Notes
    -----
    P. A. Bello, "Characterization of randomly time-variant linear channels", IEEE Trans. Communications Systems 11(4),
    1963: uncorrelated scatterers, here standing still. See `fading` for moving ones.

    Examples
    --------
    >>> h = np.array([multipath([0.0, -6.0], seed).b for seed in range(2000)])
    >>> np.mean(np.abs(h) ** 2, axis=0).round(1)  # 4 to 1
    array([0.8, 0.2])
    """
    power = _profile(profile_db)
    return fir(np.sqrt(power) * white(power.size, rng, dtype=complex))


def fading(profile_db: ArrayLike, doppler: float, samples: int, rng: Seed) -> TimeVarying:
    """Radio channel of several paths to a moving receiver: each coefficient fades with Clarke's spectrum.

    Parameters
    ----------
    profile_db : array_like, shape (M,)
        Mean power of each coefficient, in dB up to a common factor.
    doppler : float >= 0
        Largest Doppler shift, in radians a sample.
    samples : int >= 1
        Length T of the signal.
    rng : numpy.random.Generator or int
        Source of randomness, or a seed.

    Returns
    -------
    TimeVarying
        Complex, of unit energy in the mean; the autocorrelation of a coefficient is ``J0(doppler lag)`` of its power.

    Raises
    ------
    ValueError
        If the profile is empty or has no power, or `doppler` is negative.

    Notes
    -----
    Each coefficient is a sum of 32 waves from all around, of random phases and from a random first direction:
    R. H. Clarke, "A statistical theory of mobile-radio reception", Bell System Technical Journal 47(6), 1968;
    M. F. Pop, N. C. Beaulieu, "Limitations of sum-of-sinusoids fading channel simulators", IEEE Trans. Communications
    49(4), 2001.

    Examples
    --------
    >>> fading([0.0, -3.0], doppler=0.01, samples=500, rng=0).h.shape
    (500, 2)
    """
    power, rng = _profile(profile_db), np.random.default_rng(rng)
    if not 0 <= doppler < np.inf:
        raise ValueError(f"doppler must be finite and >= 0, got {doppler}")
    first, phase = rng.random((power.size, 1)), rng.uniform(0, 2 * np.pi, (power.size, WAVES))
    shift = doppler * np.cos(2 * np.pi * (np.arange(WAVES) + first) / WAVES)
    n = np.arange(samples)[:, None]
    waves = sum(np.exp(1j * (n * shift[:, k] + phase[:, k])) for k in range(WAVES))
    return TimeVarying(np.sqrt(power / WAVES) * waves)


def _profile(profile_db: ArrayLike) -> Array:
    power = 10 ** (np.atleast_1d(np.asarray(profile_db, float)) / 10)
    if power.ndim != 1 or not power.size or not 0 < power.sum() < np.inf:
        raise ValueError(f"profile_db must hold powers in dB, (M,), one of them above -inf, got {profile_db!r:.80}")
    return power / power.sum()


def random_walk(h: ArrayLike, step: float, samples: int, rng: Seed) -> TimeVarying:
    """Drifting FIR plant: each coefficient takes an independent Gaussian step after every sample.

    Parameters
    ----------
    h : array_like, shape (M,)
        Coefficients at sample 0, real or complex (then the steps are circular).
    step : float >= 0
        Standard deviation of a coefficient's step; after n samples it has moved by ``step * sqrt(n)``, rms.
    samples : int >= 1
        Length T of the signal.
    rng : numpy.random.Generator or int
        Source of randomness, or a seed.

    Notes
    -----
    B. Widrow, J. McCool, M. Larimore, C. Johnson, "Stationary and nonstationary learning characteristics of
    the LMS adaptive filter", Proc. IEEE 64(8), 1976, on tracking a plant of randomly moving weights.

    Examples
    --------
    >>> random_walk([1.0, -0.5], step=1e-3, samples=1000, rng=0).h.shape
    (1000, 2)
    """
    h = np.asarray(h)
    steps = step * white((samples, h.size), rng, dtype=np.result_type(h, np.float64))
    steps[0] = h
    return TimeVarying(np.cumsum(steps, axis=0))


def g168(path: str | PathLike[str], name: str) -> Linear:
    """Network echo path of ITU-T Recommendation G.168, Annex D, at 8 kHz.

    Parameters
    ----------
    path : str or path-like
        A json file of ``{name: {"gain": float, "coefficients": [...]}}``.
    name : str
        The path's name in the file, such as ``"D.2"``; its response is ``gain * coefficients``.

    Raises
    ------
    ValueError
        If the file holds no path of that name.
    """
    with open(path, encoding="utf-8") as file:
        paths = {key: value for key, value in json.load(file).items() if isinstance(value, dict)}
    if name not in paths:
        raise ValueError(f"name must be one of {sorted(paths)}, got {name!r}")
    return fir(paths[name]["gain"] * np.asarray(paths[name]["coefficients"], float))


class Heard(NamedTuple):
    """What happened in a loop.

    Attributes
    ----------
    x : ndarray, shape ([K,] T)
        What the reference microphones heard.
    y : ndarray, shape ([Q,] T)
        What the filter gave to the loudspeakers.
    e : ndarray, shape ([L,] T)
        What the error microphones heard.
    """

    x: Array
    y: Array
    e: Array


def _responses(name: str, value: ArrayLike) -> Array:
    """Return responses as an array, (S,) or (to, from, S)."""
    if np.iscomplexobj(value) or np.ndim(value) not in (1, 3) or not np.isfinite(value).all() or not np.size(value):
        raise ValueError(f"{name} must be finite real responses, (S,) or (to, from, S), got {value!r:.200}")
    return np.asarray(value, float)


@dataclass(frozen=True, eq=False)
class Duct:
    """A loop of noise control: from the noise to error microphones, and there from loudspeakers, ``e = d - s * y``.

    Parameters
    ----------
    primary : ndarray, shape (P,) or (L, K, P)
        Response from each of K references to each of L error microphones.
    secondary : ndarray, shape (S,) or (L, Q, S)
        Response from each of Q loudspeakers to each error microphone.
    feedback : ndarray, shape (F,) or (K, Q, F), optional
        Response from the loudspeakers back to the references, which hear ``x - feedback * y``; its first sample is
        zero, for sound takes time.
    limit : float > 0
        Loudspeakers play ``saturate(y, limit)``.

    Raises
    ------
    ValueError
        If a response is not finite or of another shape, the secondary zeros alone, or the feedback's first not zero.

    Examples
    --------
    >>> Duct(np.array([0.0, 0.5]), np.array([1.0]))([1.0, 2.0, 3.0])  # d, without control
    array([0. , 0.5, 1. ])
    """

    primary: Array
    secondary: Array
    feedback: Array | None = None
    limit: float = np.inf

    def __post_init__(self) -> None:
        """Take the responses as arrays, and refuse what does not fit."""
        for name in ("primary", "secondary", "feedback"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, _responses(name, getattr(self, name)))
        wanted = {1: ()} if self.secondary.ndim == 1 else {3: self.secondary.shape[:1]}
        if {self.primary.ndim: self.primary.shape[:-2]} != wanted:
            raise ValueError(f"primary must go with secondary, {self.secondary.shape}, got {self.primary.shape}")
        if not self.secondary.any():
            raise ValueError("secondary must not be zeros alone: no loudspeaker would be heard")
        if self.feedback is not None:
            between = (self.primary.shape[1], self.secondary.shape[1]) if self.secondary.ndim == 3 else ()
            if self.feedback.shape[:-1] != between or self.feedback[..., 0].any():
                raise ValueError(f"feedback must have shape {(*between, 'F')} and begin with 0, got {self.feedback}")
        if not self.limit > 0:
            raise ValueError(f"limit must be above 0, got {self.limit}")

    def __call__(self, x: ArrayLike) -> Array:
        """What the error microphones hear of the references, ``([K,] T)``, without control: ``([L,] T)``."""
        x = np.asarray(x, float)
        rows = _through(self.primary, x if self.primary.ndim == 3 else x[None])
        return rows if self.primary.ndim == 3 else rows[0]

    def _in_turn(self, then: Mapping[int, Duct], length: int) -> tuple[list[Duct], list[int]]:
        """Return the ducts in turn, and the samples from which they hold, with the length at the end."""
        ducts, starts = [self, *then.values()], [0, *then, length]
        shapes = {tuple(h.shape for h in (d.primary, d.secondary, d.feedback) if h is not None) for d in ducts}
        if sorted(starts) != starts or len(shapes) > 1:
            raise ValueError(f"then must hold ducts of the same shapes from rising samples up to {length}, got {then}")
        return ducts, starts

    def control(self, f: Any, x: ArrayLike, *, noise: ArrayLike = 0.0, then: Mapping[int, Duct] | None = None) -> Heard:
        """Run a loop sample by sample: the filter predicts, what it plays is heard, and it adapts on that.

        Parameters
        ----------
        f : filter
            Has `predict(x)` and `adapt(e)`, which take and return numbers, or arrays where responses have three axes.
        x : array_like, shape ([K,] T)
            The noise at the references.
        noise : array_like, shape broadcastable to ([L,] T)
            What the error microphones hear besides.
        then : mapping of int to Duct, optional
            Ducts of other responses, of the same shapes and limit, that hold from these samples on, in their order.

        Returns
        -------
        Heard

        Raises
        ------
        ValueError
            If a signal is not real, or `then` does not fit.
        DivergenceError
            If an error grows to 10^9 times the largest sound without control: the loop is unstable.

        Examples
        --------
        >>> import adaptfilt as af
        >>> d = Duct(np.array([0.0, 0.0, 0.8]), np.array([0.0, 1.0]), feedback=np.array([0.0, 0.0, 0.1]))
        >>> f = af.FxNLMS(8, 0.1, d.secondary)
        >>> heard = d.control(f, white(3000, rng=0))
        >>> bool(np.mean(heard.e[-500:] ** 2) < 1e-3)
        True
        """
        if np.iscomplexobj(x):
            raise ValueError("x must be real, got complex numbers")
        x, many = np.asarray(x, float), self.secondary.ndim == 3
        ducts, starts = self._in_turn(then or {}, x.shape[-1])
        d = np.concatenate([duct(x)[..., a:b] for duct, a, b in zip(ducts, starts, starts[1:], strict=False)], -1)
        d = d + noise
        L, Q, S = self.secondary.shape if many else (1, 1, len(self.secondary))
        F = 1 if self.feedback is None else self.feedback.shape[-1]
        before = max(S, F) - 1
        heard = Heard(np.empty_like(x), np.zeros((Q, x.shape[-1])), np.empty((L, x.shape[-1])))
        played = np.zeros((before + x.shape[-1], Q))
        bound = UNSTABLE * np.abs(d).max(initial=0.0) or np.inf  # a probe alone may be heard
        references, wanted = np.atleast_2d(x), np.atleast_2d(d)
        for duct, start, end in zip(ducts, starts, starts[1:], strict=False):
            to_errors, back = _newest_last(duct.secondary), _newest_last(duct.feedback)
            for n in range(start, end):
                now = before + n + 1
                u = references[:, n]
                if back is not None:  # what plays now is not known yet, and not heard yet
                    u = u - back @ played[now - F : now].ravel()
                y = f.predict(u if many else float(u[0]))
                played[now - 1] = saturate(y, duct.limit) if duct.limit < np.inf else y
                e = wanted[:, n] - to_errors @ played[now - S : now].ravel()
                if not np.abs(e).max() <= bound:
                    raise DivergenceError(f"the loop diverges: the error is {np.abs(e).max():.3g} at sample {n}")
                f.adapt(e if many else float(e[0]))
                np.atleast_2d(heard.x)[:, n], heard.y[:, n], heard.e[:, n] = u, y, e
        return heard if many else Heard(heard.x, heard.y[0], heard.e[0])


def duct(
    rng: Seed,
    *,
    fs: float = 8000.0,
    speaker: float = 2.0,
    microphone: float = 2.5,
    rt60: float = 0.02,
    tail_db: float = -10.0,
    feedback: bool = False,
    taps: int = 128,
) -> Duct:
    """Straight duct with noise at one end: a reference there, then a loudspeaker, then the error microphone.

    Parameters
    ----------
    rng : numpy.random.Generator or int
        Source of randomness, or a seed.
    fs : float > 0
        Sampling rate in Hz.
    speaker, microphone : float > 0
        Where they are, in metres from the reference; the microphone is behind the loudspeaker, and sound needs a
        sample at least from each to the next.
    rt60 : float > 0
        Reverberation time in seconds.
    tail_db : float
        Energy of the reverberation against that of the direct sound.
    feedback : bool
        Whether the reference hears the loudspeaker.
    taps : int >= 1
        Length of all responses.

    Returns
    -------
    Duct

    Raises
    ------
    ValueError
        If the loudspeaker is not in the middle, or the responses are shorter than the way of the sound.

    Notes
    -----
    Direct sound at 343 m/s and exponentially decaying noise (`room`). Control is causal, for the way from the
    loudspeaker to the microphone is part of that from the reference.

    Examples
    --------
    >>> d = duct(rng=0)
    >>> int(np.argmax(d.primary)), int(np.argmax(d.secondary))  # 2.5 m and 0.5 m at 8 kHz
    (58, 12)
    """
    ways = {"primary": microphone, "secondary": microphone - speaker, "feedback": speaker}
    delays = {name: round(way / 343.0 * fs) for name, way in ways.items()}
    if min(delays.values()) < 1 or max(delays.values()) >= taps:
        raise ValueError(f"the sound must need 1 to {taps - 1} samples from each to the next, got {delays}")
    rng = np.random.default_rng(rng)
    found = {}
    for name, samples in delays.items():
        tail = 10 ** (tail_db / 20) * room(taps, rt60, rng, fs=fs).b
        tail[0] = 1.0
        found[name] = delay(tail, samples)
    return Duct(found["primary"], found["secondary"], found["feedback"] if feedback else None)


def detuned(h: ArrayLike, *, gain_db: float = 0.0, phase: float = 0.0) -> Array:
    """Response with a wrong gain and a wrong phase, as a model of a path has that has moved since.

    Parameters
    ----------
    h : array_like, shape (..., S)
        Real responses.
    gain_db : float
        Error of the gain at all frequencies.
    phase : float
        Error of the phase at all frequencies but the lowest and highest, in radians; positive is a lead. What then
        comes before the first sample, or after the last, is cut: the response should begin with some delay.

    Returns
    -------
    ndarray, shape (..., S)

    Raises
    ------
    ValueError
        If the responses are complex.

    Examples
    --------
    >>> h = detuned(np.eye(1, 65, 32)[0], gain_db=6.0, phase=np.pi / 3)
    >>> H = np.exp(-1j * np.pi / 2 * np.arange(65)) @ h  # at a quarter of the sampling rate
    >>> print(f"{abs(H):.1f}, {np.degrees(np.angle(H)):.0f} degrees")
    2.0, 60 degrees
    """
    if np.iscomplexobj(h):
        raise ValueError("h must be real, got complex numbers")
    h = np.asarray(h, float)
    size = 4 * h.shape[-1]
    turned = np.fft.irfft(np.fft.rfft(h, size) * np.exp(1j * phase), size)[..., : h.shape[-1]]
    return 10 ** (gain_db / 20) * turned


def _through(h: Array, x: Array) -> Array:
    """Return what comes through responses, (L, K, P) or (P,), of signals, (K, T)."""
    rows = h if h.ndim == 3 else h[None, None]
    return np.array([sum(lfilter(g, 1, v) for g, v in zip(row, x, strict=True)) for row in rows])


def _newest_last(h: Array | None) -> Array | None:
    """Return responses, (L, Q, S) or (S,), as a matrix for the last S outputs of Q loudspeakers: (L, S Q)."""
    if h is None:
        return None
    rows = h if h.ndim == 3 else h[None, None]
    return np.ascontiguousarray(rows[..., ::-1].swapaxes(-1, -2).reshape(len(rows), -1))
