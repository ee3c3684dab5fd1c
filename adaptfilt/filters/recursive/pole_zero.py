"""What adaptive filters with zeros and poles share; each says in its `algorithm` what is fed back."""

from typing import Any

from torch import Tensor

from adaptfilt.base.linear import LinearFilter
from adaptfilt.checks import natural, positive_int


class PoleZero(LinearFilter):
    """A filter y = b * x + a * (what is fed back), adapted by LMS.

    Parameters
    ----------
    zeros : int >= 0
        Number of zeros, Z: Z + 1 coefficients b for the input.
    poles : int >= 1
        Number of poles, P: as many coefficients a.
    mu : float >= 0 or Tensor
        Step size, of both.
    leak : float >= 0 or Tensor
        Leakage: the weights shrink by 1 - mu * leak a sample.
    **common
        As for `LinearFilter`.
    """

    ranges = {"mu": {}, "leak": {}}
    _shown = ("poles", "mu", "leak")

    def __init__(self, zeros: int, poles: int, mu: Any, *, leak: Any = 0.0, **common: Any) -> None:
        taps = natural("zeros", zeros) + 1
        super().__init__(taps, {"mu": mu, "leak": leak}, feedback=positive_int("poles", poles), **common)

    @property
    def poles(self) -> int:
        """Number of poles, P."""
        return self.feedback

    @property
    def b(self) -> Tensor:
        """Coefficients for the input, (*batch, Z + 1): a view of w."""
        return self.w[..., : self.w.shape[-1] - self.feedback]

    @property
    def a(self) -> Tensor:
        """Coefficients for what is fed back, (*batch, P): a view of w."""
        return self.w[..., self.w.shape[-1] - self.feedback :]
