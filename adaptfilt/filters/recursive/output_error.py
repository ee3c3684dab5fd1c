"""Adaptive IIR filter in output-error form, by Feintuch's algorithm.

The filter feeds its own output, and adapts as if the regressor did not depend on the weights (a pseudolinear
regression):

    u = [x[n], ..., x[n - Z], y[n - 1], ..., y[n - P]],    w = [b | a],    y = w^T u
    e = d - y,    w <- w + mu e conj(u)

Noise in d does not shift the solution. Sure to converge, for small mu, where 1 / A(z) of the plant is strictly positive
real; where it is not, it may not. Nothing keeps the poles inside the unit circle: take small steps, far below 2 /
E|u|^2, from which on a step leaves more of its error than it found. Cost: 2 (Z + P + 1) multiply-adds a sample. For
long resonances in noise.

Source: P. L. Feintuch, "An adaptive recursive LMS filter", Proc. IEEE, 1976; J. J. Shynk, "Adaptive IIR filtering",
IEEE ASSP Magazine, 1989.
"""

from typing import Any, Self

from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.filters.gradient.lms import lms_gain
from adaptfilt.filters.recursive.pole_zero import PoleZero


def output(y: Any) -> Any:
    """Return the output."""
    return y


class OutputError(PoleZero):
    """Adaptive IIR filter that learns from the past of its own output.

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
    >>> x = np.random.default_rng(0).standard_normal(20000)
    >>> f = af.OutputError(zeros=1, poles=1, mu=0.002)
    >>> y, e, w = f(x, lfilter([1.0, 0.5], [1.0, -0.8], x))
    >>> w.round(3)
    array([1. , 0.5, 0.8], dtype=float32)
    """

    algorithm = Algorithm(gain=lms_gain, feed=output)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter that converges on unit-power input."""
        return cls(3, 1, 0.005, **common)
