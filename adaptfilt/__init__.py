"""Adaptive filters for PyTorch."""

from adaptfilt.checks import DivergenceError
from adaptfilt.filters.base import AdaptiveFilter, Output
from adaptfilt.filters.linear import LinearFilter
from adaptfilt.filters.lms import LMS
from adaptfilt.filters.nlms import NLMS
from adaptfilt.taps import TapDelayLine

__all__ = ["LMS", "NLMS", "AdaptiveFilter", "DivergenceError", "LinearFilter", "Output", "TapDelayLine"]
