"""The words of `words` for Numba: the same names on NumPy arrays of one filter, as loops without allocations."""

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from adaptfilt.engines import words
from adaptfilt.engines.cpu.memory import assign
from adaptfilt.engines.cpu.native import DEBUG

# NaN and infinity stay honoured.
_FAST: Any = {"fastmath": {"reassoc", "contract", "arcp", "nsz"}, "boundscheck": DEBUG}


def _is_array(t: Any) -> bool:
    return isinstance(t, types.Array)


def _is_complex(t: Any) -> bool:
    return isinstance(t.dtype if _is_array(t) else t, types.Complex)


def _word(function: Any) -> Any:
    """Return the overload decorator of one word of the vocabulary."""
    return overload(function, jit_options=_FAST, strict=False)


@_word(words.dot)
def _dot(a: Any, b: Any) -> Any:
    def dot(a: Any, b: Any) -> Any:
        total = a.dtype.type(0)
        for k in range(len(a)):
            total += a[k] * b[k]
        return total

    return dot


@_word(words.abs2)
def _abs2(v: Any) -> Any:
    if _is_array(v):
        return None
    if _is_complex(v):
        return lambda v: v.real * v.real + v.imag * v.imag
    return lambda v: v * v


@_word(words.energy)
def _energy(u: Any) -> Any:
    if _is_complex(u):

        def energy(u: Any) -> Any:
            total = u.real.dtype.type(0)
            for k in range(len(u)):
                total += u[k].real * u[k].real + u[k].imag * u[k].imag
            return total
    else:

        def energy(u: Any) -> Any:
            total = u.dtype.type(0)
            for k in range(len(u)):
                total += u[k] * u[k]
            return total

    return energy


@_word(words.conj)
def _conj(v: Any) -> Any:
    return (lambda v: np.conj(v)) if _is_complex(v) else (lambda v: v)


@_word(words.sign)
def _sign(v: Any, out: Any = None) -> Any:
    if _is_array(v):
        word = words.sign
        if _is_array(out):

            def sign(v: Any, out: Any = None) -> Any:
                for k in range(len(v)):
                    out[k] = word(v[k])
                return out
        else:

            def sign(v: Any, out: Any = None) -> Any:
                new = np.empty_like(v)
                for k in range(len(v)):
                    new[k] = word(v[k])
                return new

        return sign
    if _is_complex(v):

        def sign(v: Any, out: Any = None) -> Any:
            size = abs(v)
            return v / size if size > 0 else v

        return sign

    return lambda v, out=None: np.sign(v)


@_word(words.sqrt)
def _sqrt(v: Any) -> Any:
    return lambda v: np.sqrt(v)


@_word(words.where)
def _where(condition: Any, a: Any, b: Any) -> Any:
    return lambda condition, a, b: a if condition else b


@_word(words.axpy)
def _axpy(a: Any, x: Any, y: Any) -> Any:
    def axpy(a: Any, x: Any, y: Any) -> Any:
        a_ = y.dtype.type(a)
        for k in range(len(y)):
            y[k] += a_ * x[k]
        return y

    return axpy


@_word(words.axpyc)
def _axpyc(a: Any, x: Any, y: Any, b: Any = 1.0) -> Any:
    if isinstance(b, (types.Omitted, float)):

        def axpyc(a: Any, x: Any, y: Any, b: Any = 1.0) -> Any:
            a_ = y.dtype.type(a)
            for k in range(len(y)):
                y[k] += a_ * np.conj(x[k])
            return y
    else:

        def axpyc(a: Any, x: Any, y: Any, b: Any = 1.0) -> Any:
            a_, b_ = y.dtype.type(a), y.real.dtype.type(b)
            for k in range(len(y)):
                y[k] = b_ * y[k] + a_ * np.conj(x[k])
            return y

    return axpyc


def _product(conjugate: bool) -> Any:
    """Return the overload of A x or A conj(x): four rows at a time, so that x is read once for them."""

    def overloaded(A: Any, x: Any, out: Any = None) -> Any:
        fresh = not _is_array(out)

        def product(A: Any, x: Any, out: Any = None) -> Any:
            K, M = A.shape
            result = np.empty(K, A.dtype) if fresh else out
            for i in range(0, K - 3, 4):
                a, b, c, d = A[i], A[i + 1], A[i + 2], A[i + 3]
                s = t = v = w = A.dtype.type(0)
                for k in range(M):
                    x_k = np.conj(x[k]) if conjugate else x[k]
                    s += a[k] * x_k
                    t += b[k] * x_k
                    v += c[k] * x_k
                    w += d[k] * x_k
                result[i], result[i + 1], result[i + 2], result[i + 3] = s, t, v, w
            for i in range(K - K % 4, K):
                row, s = A[i], A.dtype.type(0)
                for k in range(M):
                    s += row[k] * (np.conj(x[k]) if conjugate else x[k])
                result[i] = s
            return result

        return product

    return overloaded


_word(words.matvec)(_product(conjugate=False))
_word(words.matvecc)(_product(conjugate=True))


@_word(words.vecmat)
def _vecmat(x: Any, A: Any, out: Any = None) -> Any:
    fresh = not _is_array(out)

    def vecmat(x: Any, A: Any, out: Any = None) -> Any:
        K, M = A.shape
        result = np.empty(M, A.dtype) if fresh else out
        for k in range(M):
            result[k] = 0
        for i in range(0, K - 3, 4):
            a, b, c, d = A[i], A[i + 1], A[i + 2], A[i + 3]
            s, t, v, w = x[i], x[i + 1], x[i + 2], x[i + 3]
            for k in range(M):
                result[k] += s * a[k] + t * b[k] + v * c[k] + w * d[k]
        for i in range(K - K % 4, K):
            row, s = A[i], x[i]
            for k in range(M):
                result[k] += s * row[k]
        return result

    return vecmat


@_word(words.outer)
def _outer(A: Any, out: Any = None) -> Any:
    fresh = not _is_array(out)

    def outer(A: Any, out: Any = None) -> Any:
        K, M = A.shape
        result = np.empty((K, K), A.dtype) if fresh else out
        for i in range(K):
            for j in range(i + 1):
                a, b = A[i], A[j]
                total = A.dtype.type(0)
                for k in range(M):
                    total += a[k] * np.conj(b[k])
                result[i, j] = total
                result[j, i] = np.conj(total)
        return result

    return outer


@_word(words.rank_one)
def _rank_one(b: Any, A: Any, a: Any, x: Any, y: Any) -> Any:
    def rank_one(b: Any, A: Any, a: Any, x: Any, y: Any) -> Any:
        b_ = A.real.dtype.type(b)
        for i in range(A.shape[0]):
            row = A[i]
            scaled = A.dtype.type(a * x[i])
            for k in range(len(row)):
                row[k] = b_ * row[k] + scaled * y[k]
        return A

    return rank_one


@_word(words.add_rows)
def _add_rows(a: Any, s: Any, U: Any, w: Any) -> Any:
    def add_rows(a: Any, s: Any, U: Any, w: Any) -> Any:
        for i in range(len(s)):
            row, a_ = U[i], w.dtype.type(a * s[i])
            for k in range(len(w)):
                w[k] += a_ * np.conj(row[k])
        return w

    return add_rows


@_word(words.frobenius)
def _frobenius(A: Any) -> Any:
    square = words.abs2

    def frobenius(A: Any) -> Any:
        K, M = A.shape
        total = A.real.dtype.type(0)
        for i in range(0, K - 3, 4):
            a, b, c, d = A[i], A[i + 1], A[i + 2], A[i + 3]
            for k in range(M):
                total += square(a[k]) + square(b[k]) + square(c[k]) + square(d[k])
        for i in range(K - K % 4, K):
            row = A[i]
            for k in range(M):
                total += square(row[k])
        return total

    return frobenius


@_word(words.push)
def _push(rows: Any, new: Any) -> Any:
    if _is_array(new):

        def push(rows: Any, new: Any) -> Any:
            for i in range(len(rows) - 1, 0, -1):
                assign(rows[i], rows[i - 1])
            assign(rows[0], new)
            return rows
    else:

        def push(rows: Any, new: Any) -> Any:
            for i in range(len(rows) - 1, 0, -1):
                rows[i] = rows[i - 1]
            rows[0] = new
            return rows

    return push


@_word(words.solve)
def _solve(A: Any, b: Any, ridge: Any) -> Any:
    def solve(A: Any, b: Any, ridge: Any) -> Any:
        """Factor A + ridge I = L D L^H in place (unit lower L), then substitute; b becomes the solution."""
        K = len(b)
        trace = A.real.dtype.type(0)
        for j in range(K):
            trace += A[j, j].real
        ridge = max(ridge, A.real.dtype.type(16 * np.finfo(A.real.dtype).eps) * trace)  # as in `words`
        for j in range(K):
            pivot = A[j, j].real + ridge
            for k in range(j):
                pivot -= (A[j, k] * np.conj(A[j, k])).real * A[k, k].real
            A[j, j] = pivot
            for i in range(j + 1, K):
                total = A[i, j]
                for k in range(j):
                    total -= A[i, k] * A[k, k].real * np.conj(A[j, k])
                A[i, j] = total / pivot if pivot > 0 else 0 * total
        for i in range(K):
            for k in range(i):
                b[i] -= A[i, k] * b[k]
        for i in range(K):
            pivot = A[i, i].real
            b[i] = b[i] / pivot if pivot > 0 else 0 * b[i]
        for i in range(K - 1, -1, -1):
            for k in range(i + 1, K):
                b[i] -= np.conj(A[k, i]) * b[k]
        return b

    return solve
