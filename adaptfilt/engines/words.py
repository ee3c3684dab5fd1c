"""The words update functions are written in, as torch operations; `numba_words` says the same for Numba.

An update function sees one sample of one filter: vectors `w`, `u` of M entries, matrices, and scalars `e`, `mu`.
In torch every value has the batch in front and a scalar keeps a last axis of one, (..., 1), so that the
textbook's line ``w + mu * e * conj(u)`` is right for any number of filters at once.

Two rules keep the compiled loop free of allocations: `axpy`, `axpyc`, `add_rows`, `rank_one`, `push` and `solve` may
overwrite the vector or matrix they return a new version of, so use what they return and not what went in;
and an array given as `out` is scratch space which torch does not need.

Products of matrices are written as sums of products: `torch.autocast` would round a matmul, also in a backward pass.
"""

from typing import Any

import torch
from torch import Tensor

__all__ = [
    "abs2",
    "add_rows",
    "axpy",
    "axpyc",
    "conj",
    "dot",
    "energy",
    "frobenius",
    "matvec",
    "matvecc",
    "outer",
    "push",
    "rank_one",
    "sign",
    "solve",
    "sqrt",
    "vecmat",
    "where",
]


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product without conjugation, sum_k a_k b_k: (..., M), (..., M) -> (..., 1)."""
    return (a * b).sum(-1, keepdim=True)


def energy(u: Tensor) -> Tensor:
    """Sum of squared magnitudes, real: (..., M) -> (..., 1)."""
    return abs2(u).sum(-1, keepdim=True)


def abs2(v: Tensor) -> Tensor:
    """Squared magnitude, real, entry by entry."""
    return v.real.square() + v.imag.square() if v.is_complex() else v.square()


def conj(v: Tensor) -> Tensor:
    """Complex conjugate; a real value is returned as it is."""
    return v.conj() if v.is_complex() else v


def sign(v: Tensor, out: Tensor | None = None) -> Tensor:
    """Sign of v, for complex values v / |v|, and 0 at 0."""
    return torch.sgn(v)


def sqrt(v: Tensor) -> Tensor:
    """Square root."""
    return torch.sqrt(v)


def where(condition: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return a where the condition holds and b elsewhere; of scalars."""
    return torch.where(condition, a, b)


def axpy(a: Tensor | float, x: Tensor, y: Tensor) -> Tensor:
    """Return y + a x (may overwrite y)."""
    return y + a * x


def axpyc(a: Tensor, x: Tensor, y: Tensor, b: Tensor | float = 1.0) -> Tensor:
    """Return b y + a conj(x) (may overwrite y)."""
    return (y if isinstance(b, float) and b == 1.0 else b * y) + a * conj(x)


def matvec(A: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """Matrix times vector, A x: (..., K, M), (..., M) -> (..., K)."""
    return (A * x.unsqueeze(-2)).sum(-1)


def matvecc(A: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """Matrix times conjugated vector, A conj(x): (..., K, M), (..., M) -> (..., K)."""
    return matvec(A, conj(x))


def vecmat(x: Tensor, A: Tensor, out: Tensor | None = None) -> Tensor:
    """Vector times matrix, x^T A: (..., K), (..., K, M) -> (..., M)."""
    return (x.unsqueeze(-1) * A).sum(-2)


def outer(A: Tensor, out: Tensor | None = None) -> Tensor:
    """Products of all pairs of rows, A A^H: (..., K, M) -> (..., K, K)."""
    return (A.unsqueeze(-2) * conj(A).unsqueeze(-3)).sum(-1)


def rank_one(b: Tensor, A: Tensor, a: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return b A + a x y^T (may overwrite A): (..., K, M), (..., K), (..., M)."""
    return b.unsqueeze(-1) * A + (a * x).unsqueeze(-1) * y.unsqueeze(-2)


def add_rows(a: Tensor, s: Tensor, U: Tensor, w: Tensor) -> Tensor:
    """Return w + a U^H s (may overwrite w): (..., K), (..., K, M), (..., M)."""
    return w + a * vecmat(s, conj(U))


def frobenius(A: Tensor) -> Tensor:
    """Sum of squared magnitudes of a matrix, real: (..., K, M) -> (..., 1)."""
    return abs2(A).sum((-2, -1)).unsqueeze(-1)


def push(rows: Tensor, new: Tensor) -> Tensor:
    """Put `new` in front, drop the oldest (may overwrite rows): (..., K, M), (..., M) or (..., K), (..., 1)."""
    if rows.ndim == new.ndim:
        return torch.cat([new, rows[..., :-1]], -1)
    return torch.cat([new.unsqueeze(-2), rows[..., :-1, :]], -2)


def solve(A: Tensor, b: Tensor, ridge: Tensor) -> Tensor:
    """Solve (A + ridge I) x = b, A Hermitian and semidefinite (may overwrite both): (..., K, K), (..., K).

    The ridge is at least 16 roundings of the trace: a singular A is rounding noise beyond that.
    """
    trace = A.diagonal(dim1=-2, dim2=-1).real.sum(-1, keepdim=True)
    ridge = torch.maximum(ridge, 16 * torch.finfo(A.dtype).eps * trace)
    return _Solution.apply(A + ridge.unsqueeze(-1) * torch.eye(A.shape[-1], dtype=A.dtype, device=A.device), b)


class _Solution(torch.autograd.Function):
    """Solve A x = b; its derivatives have no matmul that `torch.autocast` would round."""

    @staticmethod
    def forward(ctx: Any, A: Tensor, b: Tensor) -> Tensor:
        x = torch.linalg.solve_ex(A, b)[0]
        ctx.save_for_backward(A, x)
        ctx.save_for_forward(A, x)
        return x

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        A, x = ctx.saved_tensors
        v = _Solution.apply(A.mH, grads[0])
        return -v.unsqueeze(-1) * conj(x).unsqueeze(-2), v

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        A, x = ctx.saved_tensors
        return _Solution.apply(A, tangents[1] - matvec(tangents[0], x))
