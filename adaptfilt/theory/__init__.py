"""What theory predicts: best solutions, step bounds, learning curves, steady states, tracking.

Everywhere ``r[k] = E[x[n] conj(x[n - k])]``, k = 0 ... M - 1, is the input's autocorrelation, R the M x M
Toeplitz matrix that it makes, and the update is ``w + mu e conj(u)``. Signals are stationary.

Step-size bounds, learning curves and excess errors hold under the *independence assumption*: each regressor is
independent of those before it, and the noise of both. The regressors of a delay line share all samples but one,
so there these figures are approximations for small steps, and the bounds promise nothing: on coloured input LMS
bursts well below them (`max_step_mean_square` gives figures). `docs/theory.md` says how far from simulation they are.

`kurtosis` is ``E|z|^4 / E[|z|^2]^2`` of the regressor's components z along the eigenvectors of R, taken to be
independent of each other, which they are for Gaussian input: 3 if it is real, 2 if complex circular.

    correlations, Wiener   autocorrelation, crosscorrelation, wiener, wiener_filter, causal_wiener,
                           eigenvalue_spread
    steps                  max_step_mean, max_step_mean_exact, max_step_mean_square, simulate_max_step, time_constant
    a filter at hand       predict, optimum_step
    learning curves        Problem, learn, settle, overlapped_curve; lms_emse and nlms_emse in closed form
    steady states          overlapped, rls_steady, projection_steady, fdaf_steady
    equalisers             mmse_equalizer, mmse_infinite, symbol_error_rate
"""

from adaptfilt.theory.correlations import (
    autocorrelation,
    causal_wiener,
    crosscorrelation,
    eigenvalue_spread,
    wiener,
    wiener_filter,
)
from adaptfilt.theory.equalisers import mmse_equalizer, mmse_infinite, symbol_error_rate
from adaptfilt.theory.learning import Learning, Problem, Steady, learn, overlapped, overlapped_curve, settle
from adaptfilt.theory.predictions import Prediction, optimum_step, predict
from adaptfilt.theory.projections import fdaf_steady, projection_steady, rls_steady
from adaptfilt.theory.steps import (
    lms_emse,
    max_step_mean,
    max_step_mean_exact,
    max_step_mean_square,
    nlms_emse,
    simulate_max_step,
    time_constant,
)

__all__ = [
    "Learning",
    "Prediction",
    "Problem",
    "Steady",
    "autocorrelation",
    "causal_wiener",
    "crosscorrelation",
    "eigenvalue_spread",
    "fdaf_steady",
    "learn",
    "lms_emse",
    "max_step_mean",
    "max_step_mean_exact",
    "max_step_mean_square",
    "mmse_equalizer",
    "mmse_infinite",
    "nlms_emse",
    "optimum_step",
    "overlapped",
    "overlapped_curve",
    "predict",
    "projection_steady",
    "rls_steady",
    "settle",
    "simulate_max_step",
    "symbol_error_rate",
    "time_constant",
    "wiener",
    "wiener_filter",
]
