"""The words update functions are written in, as torch operations; `numba_words` says the same for Numba.

An update function sees one sample of one filter: vectors `w`, `u` of M entries, matrices, and scalars `e`, `mu`.
In torch every value has the batch in front and a scalar keeps a last axis of one, (..., 1), so that the
textbook's line ``w + mu * e * conj(u)`` is right for any number of filters at once.

Words entry by entry take scalars and vectors, mixed at will, numbers too; `out` is for a vector and may be an
argument. A `signal` is complex in complex filters; `real` values are real in all of them.

==================================== =============================================== ===========================
entry by entry (`out` last)          arguments                                       result
==================================== =============================================== ===========================
real, imag, magnitude, abs2          signal                                          real
sign, sign_parts, sqrt               signal                                          signal
exp, log, tanh, floor                real                                            real
expj                                 real                                            complex
isnan                                signal                                          condition
add, mul, div                        signal or real, signal or real                  signal, real of two reals
scale                                real, signal                                    signal
minimum, maximum                     real, real                                      real
complex                              real, real                                      complex
where                                condition, signal or real, signal or real       signal, real of two reals
slice_pam                            real, real, real                                real
==================================== =============================================== ===========================

==================================== =============================================== ===========================
others                               arguments                                       result
==================================== =============================================== ===========================
conj                                 signal scalar or vector, [out]                  the same
dot                                  vector, vector                                  scalar
energy, norm_1                       vector                                          real scalar
amax                                 real vector                                     real scalar
argmax                               real vector                                     index
at                                   vector or matrix, index                         scalar or vector
add_at                               vector, index, scalar                           vector
nearest                              scalar, vector                                  scalar
axpy, axpyc                          scalar, vector, vector[, real scalar]           vector
matvec, matvecc                      matrix, vector, [out]                           vector
vecmat                               vector, matrix, [out]                           vector
outer                                matrix, [out]                                   square matrix
rank_one                             real scalar, matrix, scalar, vector, vector     matrix
add_rows                             scalar, vector, matrix, vector                  vector
add_diagonal                         square matrix, real scalar or real vector       matrix
frobenius                            matrix                                          real scalar
push                                 vector or matrix, scalar or vector              vector or matrix
solve                                square matrix, vector, real scalar              vector
rotate_in                            real scalar, K x (K + 1), vector, signal, real  matrix
                                     scalar, [out]
back_substitute                      K x (K + 1), [out]                              vector
==================================== =============================================== ===========================

Two rules keep the compiled loop free of allocations: `axpy`, `axpyc`, `add_at`, `add_rows`, `add_diagonal`,
`rank_one`, `push`, `solve` and `rotate_in` may overwrite the vector or matrix they return a new version of, so use
what they return and not what went in; and an array given as `out` is scratch space which torch does not need.
Compiled, the least precise argument decides: a number such as 0.5 leaves single precision as it is.

Products of matrices are written as sums of products: `torch.autocast` would round a matmul, also in a backward pass.
"""

from typing import Any

import torch
from torch import Tensor

__all__ = [
    "abs2",
    "add",
    "add_at",
    "add_diagonal",
    "add_rows",
    "amax",
    "argmax",
    "at",
    "axpy",
    "axpyc",
    "back_substitute",
    "complex",
    "conj",
    "div",
    "dot",
    "energy",
    "exp",
    "expj",
    "floor",
    "frobenius",
    "imag",
    "isnan",
    "log",
    "magnitude",
    "matvec",
    "matvecc",
    "maximum",
    "minimum",
    "mul",
    "nearest",
    "norm_1",
    "outer",
    "push",
    "rank_one",
    "real",
    "rotate_in",
    "scale",
    "sign",
    "sign_parts",
    "slice_pam",
    "solve",
    "sqrt",
    "tanh",
    "vecmat",
    "where",
]


def real(v: Tensor, out: Tensor | None = None) -> Tensor:
    """Real part."""
    return v.real if v.is_complex() else v


def imag(v: Tensor, out: Tensor | None = None) -> Tensor:
    """Imaginary part, 0 of a real value."""
    return v.imag if v.is_complex() else torch.zeros_like(v)


def magnitude(v: Tensor, out: Tensor | None = None) -> Tensor:
    """Magnitude, real; its gradient is 0 at 0."""
    return torch.abs(v)


def abs2(v: Tensor, out: Tensor | None = None) -> Tensor:
    """Squared magnitude, real."""
    return v.real.square() + v.imag.square() if v.is_complex() else v.square()


def conj(v: Tensor, out: Tensor | None = None) -> Tensor:
    """Complex conjugate; a real value is returned as it is."""
    return v.conj() if v.is_complex() else v


def sign(v: Tensor, out: Tensor | None = None) -> Tensor:
    """Sign of v, for complex values v / |v|, and 0 at 0; not for NaN."""
    return torch.sgn(v)


def sign_parts(v: Tensor, out: Tensor | None = None) -> Tensor:
    """Sign of each part, sgn Re v + j sgn Im v; of a real value its sign; not for NaN."""
    return torch.complex(torch.sgn(v.real), torch.sgn(v.imag)) if v.is_complex() else torch.sgn(v)


def sqrt(v: Tensor, out: Tensor | None = None) -> Tensor:
    """Square root; its gradient is 0 at 0."""
    zero = v == 0
    return torch.where(zero, 0 * v, torch.sqrt(v.masked_fill(zero, 1)))


def exp(v: Tensor, out: Tensor | None = None) -> Tensor:
    """Exponential of a real value."""
    return torch.exp(_tensor(v))


def log(v: Tensor, out: Tensor | None = None) -> Tensor:
    """Natural logarithm of a real value."""
    return torch.log(_tensor(v))


def tanh(v: Tensor, out: Tensor | None = None) -> Tensor:
    """Hyperbolic tangent of a real value."""
    return torch.tanh(_tensor(v))


def floor(v: Tensor, out: Tensor | None = None) -> Tensor:
    """Largest whole number not above a real value."""
    return torch.floor(_tensor(v))


def expj(theta: Tensor, out: Tensor | None = None) -> Tensor:
    """Complex number exp(j theta) of magnitude one."""
    theta = _tensor(theta)
    return torch.complex(torch.cos(theta), torch.sin(theta))


def isnan(v: Tensor, out: Tensor | None = None) -> Tensor:
    """Say whether v, or a part of it, is NaN."""
    return torch.isnan(_tensor(v))


def add(a: Tensor | float, b: Tensor | float, out: Tensor | None = None) -> Tensor:
    """Sum a + b."""
    return torch.add(*_tensors(a, b))


def mul(a: Tensor | float, b: Tensor | float, out: Tensor | None = None) -> Tensor:
    """Product a b."""
    return torch.mul(*_tensors(a, b))


def div(a: Tensor | float, b: Tensor | float, out: Tensor | None = None) -> Tensor:
    """Quotient a / b."""
    return torch.div(*_tensors(a, b))


def scale(m: Tensor | float, z: Tensor, out: Tensor | None = None) -> Tensor:
    """Product of a real m and a signal z, as in `mul`."""
    return m * z


def minimum(a: Tensor | float, b: Tensor | float, out: Tensor | None = None) -> Tensor:
    """Return the smaller of two real values, NaN if one is."""
    return torch.minimum(*_tensors(a, b))


def maximum(a: Tensor | float, b: Tensor | float, out: Tensor | None = None) -> Tensor:
    """Return the larger of two real values, NaN if one is."""
    return torch.maximum(*_tensors(a, b))


def complex(re: Tensor | float, im: Tensor | float, out: Tensor | None = None) -> Tensor:
    """Complex number re + j im."""
    return torch.complex(*_tensors(re, im))


def where(condition: Tensor, a: Tensor | float, b: Tensor | float, out: Tensor | None = None) -> Tensor:
    """Return a where the condition holds and b elsewhere."""
    return torch.where(condition, a, b)


def slice_pam(r: Tensor, half: Tensor | float, levels: Tensor | float, out: Tensor | None = None) -> Tensor:
    """Return the amplitude nearest to a real r, of an even number of `levels`: -half, half, ...; a tie goes up."""
    index = torch.floor(r / (2 * half)).detach()
    return (2 * maximum(-levels / 2, minimum(index, levels / 2 - 1)) + 1) * half


def dot(a: Tensor, b: Tensor) -> Tensor:
    """Inner product without conjugation, sum_k a_k b_k: (..., M), (..., M) -> (..., 1); or of two arrays."""
    return (a * b).sum(-1, keepdim=True) if isinstance(a, Tensor) else (a * b).sum()


def energy(u: Tensor) -> Tensor:
    """Sum of squared magnitudes, real: (..., M) -> (..., 1)."""
    return abs2(u).sum(-1, keepdim=True)


def norm_1(v: Tensor) -> Tensor:
    """Sum of magnitudes, real: (..., M) -> (..., 1)."""
    return torch.abs(v).sum(-1, keepdim=True)


def amax(v: Tensor) -> Tensor:
    """Largest entry of a real vector, NaN if one is: (..., M) -> (..., 1)."""
    return torch.amax(v, -1, keepdim=True)


def argmax(v: Tensor) -> Tensor:
    """Index of the largest entry of a real vector, the first of several: (..., M) -> (..., 1)."""
    return torch.argmax(v, -1, keepdim=True)


def at(v: Tensor, index: Tensor) -> Tensor:
    """Entry of a vector or row of a matrix: (..., M), (..., 1) -> (..., 1) or (..., K, M), (..., 1) -> (..., M)."""
    if v.ndim == index.ndim:
        return torch.take_along_dim(v, index, -1)
    return torch.take_along_dim(v, index.unsqueeze(-1), -2).squeeze(-2)


def add_at(v: Tensor, index: Tensor, a: Tensor | float) -> Tensor:
    """Return v with a added to one entry (may overwrite v): (..., M), (..., 1), (..., 1)."""
    return torch.where(torch.arange(v.shape[-1], device=v.device) == index, v + a, v)


def nearest(y: Tensor, points: Tensor) -> Tensor:
    """Return the point nearest to y, the first of several: (..., 1), (..., K) -> (..., 1)."""
    index = abs2(y - points).argmin(-1, keepdim=True)
    return torch.take_along_dim(points.expand(*index.shape[:-1], -1), index, -1)


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


def rank_one(b: Tensor | float, A: Tensor, a: Tensor | float, x: Tensor, y: Tensor) -> Tensor:
    """Return b A + a x y^T (may overwrite A): (..., K, M), (..., K), (..., M)."""
    return _column(b) * A + (a * x).unsqueeze(-1) * y.unsqueeze(-2)


def add_rows(a: Tensor | float, s: Tensor, U: Tensor, w: Tensor) -> Tensor:
    """Return w + a U^H s (may overwrite w): (..., K), (..., K, M), (..., M)."""
    return w + a * vecmat(s, conj(U))


def add_diagonal(A: Tensor, a: Tensor | float) -> Tensor:
    """Return A with a added along the diagonal (may overwrite A): (..., K, K), (..., 1) or (..., K)."""
    return A + _column(a) * torch.eye(A.shape[-1], dtype=A.dtype, device=A.device)


def frobenius(A: Tensor) -> Tensor:
    """Sum of squared magnitudes of a matrix, real: (..., K, M) -> (..., 1)."""
    return abs2(A).sum((-2, -1)).unsqueeze(-1)


def push(rows: Tensor, new: Tensor | float) -> Tensor:
    """Put `new` in front, drop the oldest (may overwrite rows): (..., K, M), (..., M) or (..., K), (..., 1)."""
    rows, new = _tensors(rows, new)
    if new.ndim in (0, rows.ndim):
        return torch.cat([new.expand_as(rows[..., :1]), rows[..., :-1]], -1)
    return torch.cat([new.unsqueeze(-2).expand_as(rows[..., :1, :]), rows[..., :-1, :]], -2)  # outputs share new


def solve(A: Tensor, b: Tensor, ridge: Tensor | float) -> Tensor:
    """Solve (A + ridge I) x = b, A Hermitian and semidefinite (may overwrite both): (..., K, K), (..., K).

    The ridge is at least 16 roundings of the trace: a singular A is rounding noise beyond that.
    """
    trace = A.diagonal(dim1=-2, dim2=-1).real.sum(-1, keepdim=True)
    ridge = maximum(ridge, 16 * torch.finfo(A.dtype).eps * trace)
    return _Solution.apply(add_diagonal(A, ridge), b)


def rotate_in(b: Tensor, A: Tensor, u: Tensor, e: Tensor, floor: Tensor | float, out: Tensor | None = None) -> Tensor:
    """Rotate the row [u^T | e] into [b R | 0], A = [R | z], R upper triangular with a real diagonal (may overwrite A).

    Returns [R' | z'] with R'^H R' = b^2 R^H R + u^* u^T and R'^H z' = u^* e, by Givens rotations. Rows of R whose
    diagonal's square is at most `floor` keep their size: (..., 1), (..., K, K + 1), (..., K), (..., 1), (..., 1).
    """
    left = torch.cat([u.expand(*A.shape[:-2], -1), e.expand(*A.shape[:-2], -1)], -1)
    rows = []
    for k in range(A.shape[-2]):
        row = torch.cat([A[..., k, k:-1], torch.zeros_like(A[..., k, -1:])], -1)
        row = torch.where(abs2(row[..., :1]) > floor, b, 1.0) * row
        a, v = real(row[..., :1]), left[..., :1]
        r = sqrt(a * a + abs2(v))
        still = r == 0
        divisor = torch.where(still, 1, r)
        c, s = torch.where(still, 1, a / divisor), conj(v) / divisor
        row, left = c * row + s * left, (c * left - conj(s) * row)[..., 1:]
        rows.append(torch.nn.functional.pad(row, (k, 0)))
    return torch.stack(rows, -2)


def back_substitute(A: Tensor, out: Tensor | None = None) -> Tensor:
    """Solve R x = z, A = [R | z], R upper triangular with a real diagonal; 0 for a 0 there: (..., K, K + 1)."""
    K = A.shape[-2]
    x: list[Tensor] = []
    for k in range(K - 1, -1, -1):
        total = A[..., k, K:]
        for j, x_j in enumerate(x):
            total = total - A[..., k, K - 1 - j : K - j] * x_j
        pivot = real(A[..., k, k : k + 1])
        x.append(torch.where(pivot > 0, total / torch.where(pivot > 0, pivot, 1), 0 * total))
    return torch.cat(x[::-1], -1)


def _tensor(value: Tensor | float) -> Tensor:
    """Return a number as a tensor."""
    return value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)


def _column(value: Tensor | float) -> Tensor | float:
    """Return a number for every row, (..., K), as a column."""
    return value.unsqueeze(-1) if isinstance(value, Tensor) else value


def _tensors(*values: Tensor | float) -> list[Tensor]:
    """Return numbers as tensors like the first tensor beside them."""
    like = next(v for v in values if isinstance(v, Tensor))
    return [v if isinstance(v, Tensor) else torch.full((), v, dtype=like.dtype, device=like.device) for v in values]


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
