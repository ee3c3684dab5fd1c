"""Frost's constrained least mean squares: the least output power under linear constraints on the weights.

For constraints A w = f, such as a gain of one for what comes from one direction, with F the shortest w that keeps them
and P the projection onto those that A maps to zero,

    y = w^T u,    w <- P (w - mu y conj(u)) + F,    P = I - A^H (A A^H)^-1 A,    F = A^H (A A^H)^-1 f

No desired signal is needed: whatever the constraints do not protect is cancelled. The projection is that of the whole
of w, so rounding errors do not pile up, and the constraints hold for ever. For small steps, 0 < mu < 2 / (3 tr(P R P)),
it converges to the linearly constrained minimum variance solution R^-1 A^H (A R^-1 A^H)^-1 f, R = E[conj(u) u^T]. Cost:
2 J M multiply-adds a sample for J constraints, and 2 M. For beamformers, and lines that must not hurt a known signal.
The generalised sidelobe canceller, a blocking matrix and any filter, does the same (docs/noise_control.md).

Source: O. L. Frost, "An algorithm for linearly constrained adaptive array processing", Proceedings of the IEEE, 1972.
"""

from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from adaptfilt.base.linear import LinearFilter
from adaptfilt.checks import Block, as_tensor, check_block, check_finite, positive_int
from adaptfilt.engines.algorithm import Algorithm
from adaptfilt.engines.words import axpy, axpyc, matvecc, vecmat


def output_error(y: Any) -> Any:
    """Return the error towards an output of zero."""
    return -y


def frost_update(
    w: Any, basis: Any, quiescent: Any, u: Any, e: Any, mu: Any, along: Any = None, across: Any = None
) -> Any:
    """Return the weights after a step and the projection; the constraints as they are."""
    w = axpyc(mu * e, u, w)
    along = vecmat(w, basis, out=along)  # what of w the constraints see
    w = axpyc(-1.0, matvecc(basis, along, out=across), w)  # type: ignore[arg-type]  # a number does as well
    return axpy(1.0, quiescent, w), basis, quiescent


class Frost(LinearFilter):
    """Least mean squares of the output, under linear constraints.

    Parameters
    ----------
    taps : int >= 1
        Number of coefficients an input, M.
    mu : float >= 0 or Tensor
        Step size, in 1 / (units of x)^2. A tensor broadcasts over `batch`.
    constraints : array or Tensor [shape=(J, [inputs,] M)], optional
        Rows a of a^T w = f, independent of each other. None: the sum of the weights over the inputs is given, tap by
        tap, J = M: for an array whose inputs are delayed so that the wanted signal is the same in all.
    response : array or Tensor [shape=(J,)], optional
        What the constraints give, f. None: 1 for the first, 0 for the others.
    w0 : array or Tensor [shape=(*batch, [outputs,] [inputs,] M)], optional
        Weights at the start; the first update makes them keep the constraints. None: the shortest that do.
    inputs, outputs, batch, dtype, device, nonfinite, engine
        As for `adaptfilt.LinearFilter`.

    Attributes
    ----------
    quiescent : Tensor [shape=(*batch, [outputs,] inputs M)]
        The shortest weights that keep the constraints, F.

    Raises
    ------
    TypeError, ValueError
        If an argument is out of its range, or the constraints depend on each other.

    Examples
    --------
    Four microphones hear a signal from the front, and a hum from the side:

    >>> import numpy as np, adaptfilt as af
    >>> n, front = np.arange(6000), np.random.default_rng(0).standard_normal(6000)
    >>> x = front + np.array([3 * np.sin(0.8 * (n - delay)) for delay in range(4)])
    >>> f = af.Frost(taps=4, mu=2e-4, inputs=4)
    >>> y, e, w = f(x)
    >>> bool(np.mean((y - front)[-500:] ** 2) < 0.01)
    True
    """

    algorithm = Algorithm(
        update=frost_update,
        error=output_error,
        state={"basis": ("taps", "rows"), "quiescent": ("taps",)},
        scratch={"along": ("rows",)},
    )
    ranges = {"mu": {}}
    _shown = ("mu", "rows")
    rows: int
    _start: tuple[Tensor, Tensor]
    basis: Tensor
    quiescent: Tensor

    def __init__(
        self,
        taps: int,
        mu: Any,
        constraints: Block | None = None,
        response: Block | None = None,
        **common: Any,
    ) -> None:
        if "features" in common:
            raise TypeError("Frost has constraints on the weights of samples: features cannot be given")
        M, inputs = positive_int("taps", taps), common.get("inputs")
        shape = (M,) if inputs is None else (positive_int("inputs", inputs), M)
        if constraints is None:
            constraints = np.broadcast_to(np.eye(M).reshape(M, *[1] * (len(shape) - 1), M), (M, *shape)).copy()
        if response is None:
            response = np.eye(1, len(constraints))[0]
        self.__dict__["_start"] = _basis_and_quiescent(constraints, response, shape, common.get("dtype", torch.float32))
        self.__dict__["rows"] = self._start[0].shape[-1]
        super().__init__(taps, {"mu": mu}, **common)
        self._fixed = (*self._fixed, "rows")

    def start(self) -> dict[str, Tensor]:
        """Return what the constraints make of themselves."""
        basis, quiescent = (t.to(self.device) for t in self._start)
        return {"basis": basis, "quiescent": quiescent}

    def _first_weights(self, w0: Any) -> Any:
        """Return the shortest weights that keep the constraints, unless others are given."""
        if w0 is not None:
            return w0
        shape = self._weight_shape()
        return self._start[1].to(self.device, self.dtype).reshape(shape[len(self._filters) :]).expand(shape)

    @classmethod
    def example(cls, **common: Any) -> Self:
        """Return a small filter with the gain 1 for a constant input."""
        shape = (4,) if common.get("inputs") is None else (common["inputs"], 4)
        return cls(4, 0.01, np.ones((1, *shape)), **common)


def _basis_and_quiescent(constraints: Any, response: Any, shape: tuple[int, ...], dtype: Any) -> tuple[Tensor, Tensor]:
    """Check constraints, and return an orthonormal basis of their rows, (M, J), and the shortest weights, (M,)."""
    own = torch.complex128 if dtype.is_complex else torch.float64
    like = torch.empty(0, dtype=own, device="cpu")
    check_block("constraints", constraints, like, (None, *shape))
    check_block("response", response, like, (len(constraints),))
    rows, f = as_tensor(constraints, own, like.device).flatten(1), as_tensor(response, own, like.device)
    check_finite("constraints", rows)
    check_finite("response", f)
    J, M = rows.shape
    q, r = torch.linalg.qr(rows.mH)  # A^H = q r
    size = r.diagonal().abs()
    if not 1 <= J <= M or float(size.min()) <= 1e-10 * float(size.max()):
        raise ValueError(f"constraints must be 1 to {M} rows, independent of each other, got {J}")
    quiescent = q @ torch.linalg.solve_triangular(r.mH, f.unsqueeze(-1), upper=False).squeeze(-1)
    return q.conj().resolve_conj(), quiescent
