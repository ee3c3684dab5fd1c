"""Echo: delay, double talk, two paths, and a canceller made of them.

>>> import numpy as np, adaptfilt as af
>>> x = np.random.default_rng(0).standard_normal(4000)
>>> af.echo.align(x, np.append(np.zeros(30), x[:-30]), max_delay=100)
30
"""

from adaptfilt.echo.canceller import EchoCanceller
from adaptfilt.echo.delay import DelayTracker, align
from adaptfilt.echo.double_talk import geigel, normalized_correlation
from adaptfilt.echo.sections import DCNotch, DeEmphasis, PreEmphasis
from adaptfilt.echo.stereo import decorrelate
from adaptfilt.echo.two_path import TwoPath

__all__ = [
    "DCNotch",
    "DeEmphasis",
    "DelayTracker",
    "EchoCanceller",
    "PreEmphasis",
    "TwoPath",
    "align",
    "decorrelate",
    "geigel",
    "normalized_correlation",
]
