"""The common filters at once: a function each, for scripts that hold their signals whole.

>>> import numpy as np, adaptfilt as af
>>> from scipy.signal import lfilter
>>> x = np.random.default_rng(0).standard_normal(2000)
>>> y, e, w = af.nlms(x, lfilter([0.1, 0.2, 0.3], 1, x), taps=3)
>>> w.round(6)
array([0.1, 0.2, 0.3])
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from adaptfilt.base.stream import Output
from adaptfilt.checks import NUMPY, Block, check_names, keywords
from adaptfilt.filters.frequency.fdaf import FDAF
from adaptfilt.filters.gradient.lms import LMS
from adaptfilt.filters.gradient.nlms import NLMS
from adaptfilt.filters.least_squares.affine_projection import AffineProjection
from adaptfilt.filters.least_squares.rls import RLS

TORCH = {numpy: torch_dtype for torch_dtype, numpy in NUMPY.items()}


def lms(
    x: Block,
    d: Block,
    taps: int,
    mu: Any,
    *,
    leak: Any = 0.0,
    record_every: int | None = None,
    regressors: bool = False,
    **common: Any,
) -> Output:
    """Run an `adaptfilt.LMS` filter over whole signals.

    Parameters
    ----------
    x : array or Tensor [shape=(*batch, T)]
        Input; leading axes are independent filters. With `inputs`, an axis more before time.
    d : array or Tensor [shape=(*batch, T)]
        Desired signal.
    taps : int >= 1
        Number of coefficients, M.
    mu : float >= 0 or Tensor
        Step size, in 1 / (units of x)^2.
    leak : float >= 0 or Tensor
        Leakage.
    record_every : int >= 1, optional
        Return the weights after every so many samples.
    regressors : bool
        x holds ready regressors, (*batch, T, M).
    **common
        `w0`, `nonfinite`, `engine`, `features` as for `adaptfilt.LinearFilter`. A `dtype` given here replaces
        the wider one of x and d, in which the filter runs otherwise: float64 in, float64 out.

    Returns
    -------
    Output
        Named tuple (y, e, w): NumPy for NumPy, tensors for tensors.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape, device or range, or holds NaN or infinity.
    DivergenceError
        If the weights become infinite.

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal(2000)
    >>> y, e, w = lms(x, 0.5 * x, taps=2, mu=0.05)
    >>> np.allclose(w, [0.5, 0])
    True
    """
    return _once(LMS, x, d, (record_every, regressors), taps, mu, leak=leak, **common)


def nlms(
    x: Block,
    d: Block,
    taps: int,
    mu: Any = 0.5,
    *,
    eps: Any = 1e-6,
    leak: Any = 0.0,
    record_every: int | None = None,
    regressors: bool = False,
    **common: Any,
) -> Output:
    """Run an `adaptfilt.NLMS` filter over whole signals.

    Parameters
    ----------
    mu : float >= 0 or Tensor
        Step size, without unit.
    eps : float >= 0 or Tensor
        Regularisation, in (units of x)^2.
    x, d, taps, leak, record_every, regressors, **common
        As for `adaptfilt.lms`, which also says what is returned and raised.

    Returns
    -------
    Output

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal((4, 500))  # four filters
    >>> nlms(x, 0.5 * x, taps=2, record_every=100).w.shape
    (4, 5, 2)
    """
    return _once(NLMS, x, d, (record_every, regressors), taps, mu, eps=eps, leak=leak, **common)


def rls(
    x: Block,
    d: Block,
    taps: int,
    lam: Any = 0.999,
    *,
    delta: Any = 0.01,
    wind_up: float | None = 1e4,
    record_every: int | None = None,
    regressors: bool = False,
    **common: Any,
) -> Output:
    """Run an `adaptfilt.RLS` filter over whole signals.

    Parameters
    ----------
    lam : 0 < float <= 1 or Tensor
        Forgetting factor.
    delta : float > 0 or Tensor
        Regularisation of the start, in (units of x)^2.
    wind_up : float > 0 or None
        How far the trace of P may grow beyond its start; None: without bound.
    x, d, taps, record_every, regressors, **common
        As for `adaptfilt.lms`, which also says what is returned and raised.

    Returns
    -------
    Output

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal(100)
    >>> rls(x, 0.5 * x, taps=2).w.round(3)
    array([0.5, 0. ])
    """
    return _once(RLS, x, d, (record_every, regressors), taps, lam, delta=delta, wind_up=wind_up, **common)


def ap(
    x: Block,
    d: Block,
    taps: int,
    mu: Any = 0.5,
    order: int = 4,
    eps: Any = 1e-3,
    *,
    record_every: int | None = None,
    regressors: bool = False,
    **common: Any,
) -> Output:
    """Run an `adaptfilt.AffineProjection` filter over whole signals.

    Parameters
    ----------
    mu : float >= 0 or Tensor
        Step size, without unit.
    order : int >= 1
        Number of regressors projected on.
    eps : float > 0 or Tensor
        Regularisation, in (units of x)^2.
    x, d, taps, record_every, regressors, **common
        As for `adaptfilt.lms`, which also says what is returned and raised.

    Returns
    -------
    Output

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal(500)
    >>> abs(ap(x, 0.5 * x, taps=2, order=2).w.round(3))
    array([0.5, 0. ])
    """
    return _once(AffineProjection, x, d, (record_every, regressors), taps, mu, order, eps, **common)


def fdaf(
    x: Block,
    d: Block,
    taps: int,
    mu: Any,
    *,
    lam: Any = 0.9,
    eps: Any = 1e-6,
    leak: Any = 0.0,
    normalized: bool = True,
    record_every: int | None = None,
    **common: Any,
) -> Output:
    """Run an `adaptfilt.FDAF` filter, in the frequency domain, over whole signals.

    Parameters
    ----------
    mu : float >= 0 or Tensor
        Step size, without unit, below 2; it learns as a third of it does in `nlms`.
    lam : 0 <= float < 1 or Tensor
        Forgetting factor of the power, a hop.
    eps : float >= 0 or Tensor
        Regularisation, in (units of x)^2 a sample.
    normalized : bool
        Divide by the power of every bin; else this is block LMS.
    x, d, taps, leak, record_every
        As for `adaptfilt.lms`, which also says what is returned and raised.
    **common
        `block`, `hop`, `constraint`, `inputs`, `w0`, `nonfinite`, `engine`, `dtype` as for `adaptfilt.FDAF`.

    Returns
    -------
    Output

    Examples
    --------
    >>> x = np.random.default_rng(0).standard_normal(4000)
    >>> abs(fdaf(x, 0.5 * x, taps=2, mu=0.5).w.round(3))
    array([0.5, 0. ])
    """
    own = {"lam": lam, "eps": eps, "leak": leak, "normalized": normalized}
    return _once(FDAF, x, d, (record_every, False), taps, mu, **own, **common)


def _once(kind: Any, x: Any, d: Any, call: tuple[int | None, bool], *args: Any, **parameters: Any) -> Output:
    """Make the filter that fits the signals and call it; what is wrong with them, its own checks say."""
    check_names(kind.__name__, parameters, [*keywords(kind), "record_every", "regressors"])
    batch = tuple(getattr(d, "shape", ()))[:-1]
    if 0 in batch:
        raise ValueError(f"d must hold at least one signal, got shape {tuple(d.shape)}")
    fitting = {"batch": batch, "dtype": _precision(x, d), "device": x.device if isinstance(x, Tensor) else None}
    record_every, regressors = call
    return kind(*args, **fitting | parameters)(x, d, record_every=record_every, regressors=regressors)


def _precision(*signals: Any) -> torch.dtype:
    """Return the least of the filters' precisions that holds all signals."""
    dtype = torch.float32
    for signal in signals:
        if isinstance(signal, Tensor):
            dtype = torch.promote_types(dtype, signal.dtype)
        elif isinstance(signal, np.ndarray) and signal.dtype.kind in "fc":
            dtype = torch.promote_types(dtype, TORCH.get(np.result_type(signal.dtype, np.float32), torch.float64))
    return dtype
