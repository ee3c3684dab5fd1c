"""Adaptive filters for PyTorch: streaming, exact per sample, fast, differentiable through the adaptation.

An adaptive filter is three things, kept apart: what is computed (`adaptfilt.filters`, one algorithm a file), how a
stream is held (`adaptfilt.base`, `taps`), and how it is run (`adaptfilt.engines`). Data reads left to right:

    signals -> plants -> (x, d) -> filter -> (y, e, w) -> metrics, theory -> plots

>>> import torch, adaptfilt as af
>>> plant = af.plants.fir([0.5, -0.3, 0.1])
>>> x = af.signals.white(1000, rng=0)
>>> f = af.NLMS(taps=3, mu=0.5, dtype=torch.float64)
>>> y, e, w = f(x, plant(x))
>>> bool(af.metrics.misalignment_db(w, plant.b) < -100)
True
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

from adaptfilt.base.filtered import FilteredFilter
from adaptfilt.base.frequency import FrequencyFilter
from adaptfilt.base.linear import LinearFilter
from adaptfilt.base.recursive import RecursiveFilter
from adaptfilt.base.stream import AdaptiveFilter, Output
from adaptfilt.checks import DivergenceError
from adaptfilt.constellation import Constellation
from adaptfilt.echo.canceller import EchoCanceller
from adaptfilt.echo.delay import align
from adaptfilt.echo.two_path import TwoPath
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.features import FunctionalLink, Polynomial, RandomFourier, Volterra, WidelyLinear
from adaptfilt.filters.equalisers.cma import CMA
from adaptfilt.filters.equalisers.decision_directed import DecisionDirected
from adaptfilt.filters.equalisers.dfe import DFE
from adaptfilt.filters.equalisers.equalizer import Equalizer
from adaptfilt.filters.equalisers.mma import MMA
from adaptfilt.filters.equalisers.rde import RDE
from adaptfilt.filters.equalisers.sato import Sato
from adaptfilt.filters.equalisers.shalvi_weinstein import ShalviWeinstein
from adaptfilt.filters.equalisers.sign_cma import SignCMA
from adaptfilt.filters.frequency.fdaf import FDAF
from adaptfilt.filters.frequency.fdkf import FDKF
from adaptfilt.filters.gradient.aboulnasr_mayyas import AboulnasrMayyas
from adaptfilt.filters.gradient.frost import Frost
from adaptfilt.filters.gradient.gngd import GNGD
from adaptfilt.filters.gradient.ipapa import IPAPA
from adaptfilt.filters.gradient.ipnlms import IPNLMS
from adaptfilt.filters.gradient.kwong_johnston import KwongJohnston
from adaptfilt.filters.gradient.l0_lms import L0LMS
from adaptfilt.filters.gradient.lmf import LMF
from adaptfilt.filters.gradient.lmmn import LMMN
from adaptfilt.filters.gradient.lms import LMS
from adaptfilt.filters.gradient.mathews_xie import MathewsXie
from adaptfilt.filters.gradient.nlmf import NLMF
from adaptfilt.filters.gradient.nlms import NLMS
from adaptfilt.filters.gradient.npvss import NPVSS
from adaptfilt.filters.gradient.rza_lms import RZALMS
from adaptfilt.filters.gradient.sign_data import SignData
from adaptfilt.filters.gradient.sign_error import SignError
from adaptfilt.filters.gradient.sign_sign import SignSign
from adaptfilt.filters.gradient.simplified_kalman import SimplifiedKalman
from adaptfilt.filters.gradient.transform_domain import TransformDomainLMS
from adaptfilt.filters.gradient.vss_nlms import VSSNLMS
from adaptfilt.filters.gradient.za_lms import ZALMS
from adaptfilt.filters.kernel.krls import KRLS
from adaptfilt.filters.kernel.qklms import QKLMS
from adaptfilt.filters.least_squares.affine_projection import AffineProjection
from adaptfilt.filters.least_squares.dcd_rls import DCDRLS
from adaptfilt.filters.least_squares.fast_rls import FastRLS
from adaptfilt.filters.least_squares.kalman import Kalman
from adaptfilt.filters.least_squares.lattice_rls import LatticeRLS
from adaptfilt.filters.least_squares.qr_rls import QRRLS
from adaptfilt.filters.least_squares.rls import RLS
from adaptfilt.filters.least_squares.set_membership_ap import SetMembershipAP
from adaptfilt.filters.least_squares.sliding_window import SlidingWindowRLS
from adaptfilt.filters.least_squares.variable_forgetting import VariableForgettingRLS
from adaptfilt.filters.noise_control.feedback import FeedbackControl
from adaptfilt.filters.noise_control.fxfdaf import FxFDAF
from adaptfilt.filters.noise_control.fxlms import FxLMS
from adaptfilt.filters.noise_control.fxnlms import FxNLMS
from adaptfilt.filters.noise_control.modified import ModifiedFxLMS
from adaptfilt.filters.noise_control.online import OnlineModelling
from adaptfilt.filters.recursive.equation_error import EquationError
from adaptfilt.filters.recursive.notch import Notch
from adaptfilt.filters.recursive.output_error import OutputError
from adaptfilt.filters.robust.gmcc import GMCC
from adaptfilt.filters.robust.huber_nlms import HuberNLMS
from adaptfilt.filters.robust.llad import LLAD
from adaptfilt.filters.robust.llncosh import Llncosh
from adaptfilt.filters.robust.lmls import LMLS
from adaptfilt.filters.set_membership.passive_aggressive import PassiveAggressive
from adaptfilt.filters.set_membership.set_membership_nlms import SetMembershipNLMS
from adaptfilt.gradient.filter import GradientFilter
from adaptfilt.once import ap, fdaf, lms, nlms, rls
from adaptfilt.taps import TapDelayLine

if TYPE_CHECKING:
    from adaptfilt import echo, experiments, export, metrics, plants, plots, signals, testing, theory

__all__ = [
    "CMA",
    "DCDRLS",
    "DFE",
    "FDAF",
    "FDKF",
    "GMCC",
    "GNGD",
    "IPAPA",
    "IPNLMS",
    "KRLS",
    "L0LMS",
    "LLAD",
    "LMF",
    "LMLS",
    "LMMN",
    "LMS",
    "MMA",
    "NLMF",
    "NLMS",
    "NPVSS",
    "QKLMS",
    "QRRLS",
    "RDE",
    "RLS",
    "RZALMS",
    "VSSNLMS",
    "ZALMS",
    "AboulnasrMayyas",
    "AdaptiveFilter",
    "AffineProjection",
    "Algorithm",
    "Constellation",
    "DecisionDirected",
    "DivergenceError",
    "EchoCanceller",
    "Equalizer",
    "EquationError",
    "FastRLS",
    "FeedbackControl",
    "FilteredFilter",
    "FrequencyFilter",
    "Frost",
    "FunctionalLink",
    "FxFDAF",
    "FxLMS",
    "FxNLMS",
    "GradientFilter",
    "HuberNLMS",
    "Kalman",
    "KwongJohnston",
    "LatticeRLS",
    "LinearFilter",
    "Llncosh",
    "MathewsXie",
    "ModifiedFxLMS",
    "Notch",
    "OnlineModelling",
    "Output",
    "OutputError",
    "PassiveAggressive",
    "Polynomial",
    "RandomFourier",
    "RecursiveFilter",
    "Sato",
    "SetMembershipAP",
    "SetMembershipNLMS",
    "ShalviWeinstein",
    "SignCMA",
    "SignData",
    "SignError",
    "SignSign",
    "SimplifiedKalman",
    "SlidingWindowRLS",
    "TapDelayLine",
    "TransformDomainLMS",
    "TwoPath",
    "VariableForgettingRLS",
    "Volterra",
    "WidelyLinear",
    "align",
    "ap",
    "echo",
    "experiments",
    "export",
    "fdaf",
    "lms",
    "metrics",
    "nlms",
    "plants",
    "plots",
    "rls",
    "signals",
    "testing",
    "theory",
]


def __getattr__(name: str) -> ModuleType:
    """Load the modules around the filters on first use: scipy.signal alone takes most of a second."""
    if name in ("echo", "experiments", "export", "metrics", "plants", "plots", "signals", "testing", "theory"):
        return import_module(f"adaptfilt.{name}")
    raise AttributeError(f"module 'adaptfilt' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Show what is public."""
    return __all__
