"""Adaptive IIR filter in equation-error form, by LMS.

The past of the desired signal stands in the place of the filter's own:

    u = [x[n], ..., x[n - Z], d[n - 1], ..., d[n - P]],    w = [b | a],    y = w^T u
    e = d - y,    w <- w + mu e conj(u)

The model is y[n] = sum_k b[k] x[n - k] + sum_k a[k] y[n - k], which is ``lfilter(b, [1, -a[0], -a[1], ...], x)``. Where
d is not known, as in `filter`, y is fed in its place, and that is what the filter does. Stable for
0 < mu < 2 / (3 tr R), R the correlation of u, and with a single minimum, which noise in d shifts. Cost: 2 (Z + P + 1)
multiply-adds a sample. For long resonances, at a high signal-to-noise ratio.

Source: J. J. Shynk, "Adaptive IIR filtering", IEEE ASSP Magazine, 1989; J. M. Mendel, *Discrete Techniques of Parameter
Estimation: The Equation Error Formulation*, 1973.
"""

from typing import Any, Self

from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import isnan, where
from adaptfilt.filters.gradient.lms import lms_gain
from adaptfilt.filters.recursive.pole_zero import PoleZero


def desired_or_output(y: Any, d: Any) -> Any:
    """Return the desired sample, or the output where there is none."""
    return where(isnan(d), y, d)


class EquationError(PoleZero):
    """Adaptive IIR filter that learns from the past of the desired signal.

    Parameters
    ----------
    zeros : int >= 0
        Number of zeros, Z: Z + 1 coefficients b for the input.
    poles : int >= 1
        Number of poles, P: as many coefficients a.
    mu : float >= 0 or Tensor
        Step size, of both. A tensor broadcasts over `batch`.
    leak : float >= 0 or Tensor
        Leakage: the weights shrink by 1 - mu * leak a sample.
    w0, batch, dtype, device, nonfinite, engine, inputs, outputs
        As for `adaptfilt.LinearFilter`.

    Attributes
    ----------
    b, a : Tensor [shape=(*batch, Z + 1), (*batch, P)]
        The coefficients, of y[n] = sum_k b[k] x[n - k] + sum_k a[k] y[n - 1 - k]: views of w.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import numpy as np, adaptfilt as af
    >>> from scipy.signal import lfilter
    >>> x = np.random.default_rng(0).standard_normal(5000)
    >>> f = af.EquationError(zeros=1, poles=1, mu=0.02)
    >>> y, e, w = f(x, lfilter([1.0, 0.5], [1.0, -0.8], x))
    >>> w.round(3)
    array([1. , 0.5, 0.8], dtype=float32)
    """

    algorithm = Algorithm(gain=lms_gain, feed=desired_or_output)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(3, 1, 0.01, **common)
