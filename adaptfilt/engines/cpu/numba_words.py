"""The words of `words` for Numba: the same names on NumPy arrays of one filter, as loops without allocations."""

import inspect
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

from adaptfilt.engines import words
from adaptfilt.engines.cpu.memory import as_number, as_real, assign, cartesian, select
from adaptfilt.engines.cpu.native import DEBUG
from adaptfilt.engines.cpu.numba_lanes import AnyLanes, ComplexLanes, Mask
from adaptfilt.engines.cpu.numba_parts import Part

# NaN and infinity stay honoured. Entry by entry there is no sum to reorder, and the sign of zero counts: with the flags
# of sums LLVM makes b y + (1 - b) x into x + b (y - x), in which a large x takes y with it.
_FAST: Any = {
    "fastmath": {"reassoc", "contract", "arcp", "nsz"},
    "boundscheck": DEBUG,
    "no_cfunc_wrapper": True,
    "pipeline_class": Part,
}
_EACH: Any = {**_FAST, "fastmath": {"contract"}}
_EXACT: Any = {"fastmath": {"contract"}, "boundscheck": DEBUG, "error_model": "numpy"}
_SCALARS = """
def word({names}, out=None):
    return number({entries})
"""
_VECTORS = """
def word({names}, out=None):
    new = {new}
    for k in range(len(new)):
        new[k] = number({entries})
    return new
"""


def _is_array(t: Any) -> bool:
    return isinstance(t, types.Array)


def _entry(t: Any) -> Any:
    return t.dtype if _is_array(t) else t


def _epsilon(t: Any) -> Any:
    """Return the spacing of real numbers at 1 in the precision of t."""
    return np.finfo(np.float32 if "complex64" in str(_entry(t)) or "float32" in str(_entry(t)) else np.float64).eps


def _is_complex(t: Any) -> bool:
    return isinstance(_entry(t), types.Complex | ComplexLanes)


def _word(function: Any, options: Any = _FAST) -> Any:
    """Return the overload decorator of one word of the vocabulary."""
    return overload(function, jit_options=options, strict=False)


def _entrywise(word: Any, result: str = "") -> Any:
    """Return the decorator of a word entry by entry; it takes what gives the function of numbers for their types.

    Numbers are in the least precise argument's precision. The result is "real", "complex", "bool", or else complex
    where an argument is.
    """
    names = [name for name in inspect.signature(word).parameters if name != "out"]

    def teach(choose: Any) -> Any:
        def overloaded(*args: Any, **kwargs: Any) -> Any:
            given = inspect.signature(word).bind(*args, **kwargs).arguments
            arguments = {name: given[name] for name in names}
            if any(_is_array(t) and t.ndim > 1 for t in arguments.values()):
                return None
            kinds = _kinds(arguments.values())
            number = choose(*map(_is_complex, arguments.values()))
            lanes = any(isinstance(_entry(t), AnyLanes | Mask) for t in arguments.values())
            entries = [_text(name, t, {} if lanes else kinds) for name, t in arguments.items()]
            if entries == names and "out" not in given:
                return number
            vectors = [name for name, t in arguments.items() if _is_array(t)]
            new = "out"
            if vectors and not _is_array(given.get("out")):
                kind = {**kinds, "bool": "bool_"}[result or _kind(*arguments.values())]
                new = f"np.empty(len({vectors[0]}), np.{kind})"
            text = _VECTORS if vectors else _SCALARS
            scope = {"np": np, "number": njit(**_EXACT)(number)}
            exec(text.format(names=", ".join(names), entries=", ".join(entries), new=new), scope)
            return scope["word"]

        return _word(word, _EXACT)(overloaded)

    return teach


def _kind(*arguments: Any) -> str:
    return "complex" if any(map(_is_complex, arguments)) else "real"


def _kinds(arguments: Any) -> dict[str, str]:
    """Return NumPy's names of the real and the complex numbers of the least precise argument's precision."""
    if any(_entry(t) in (types.float32, types.complex64) for t in arguments):
        return {"real": "float32", "complex": "complex64"}
    return {"real": "float64", "complex": "complex128"}


def _text(name: str, t: Any, kinds: dict[str, str]) -> str:
    """Return the text of an argument's number, converted where it is of another precision; none beside lanes."""
    text, kind = f"{name}[k]" if _is_array(t) else name, kinds.get(_kind(t))
    return text if kind is None or str(_entry(t)) in ("bool", kind) else f"np.{kind}({text})"


@_word(words.dot)
def _dot(a: Any, b: Any) -> Any:
    def dot(a: Any, b: Any) -> Any:
        total = as_number(a, 0)
        for k in range(len(a)):
            total += a[k] * b[k]
        return total

    return dot


@_entrywise(words.real, "real")
def _real(signal: bool) -> Any:
    return (lambda v: v.real) if signal else (lambda v: v)


@_entrywise(words.imag, "real")
def _imag(signal: bool) -> Any:
    return lambda v: v.imag


@_entrywise(words.magnitude, "real")
def _magnitude(signal: bool) -> Any:
    return lambda v: abs(v)


@_entrywise(words.abs2, "real")
def _abs2(signal: bool) -> Any:
    return (lambda v: v.real * v.real + v.imag * v.imag) if signal else (lambda v: v * v)


@_entrywise(words.sign)
def _sign(signal: bool) -> Any:
    def sign(v: Any) -> Any:
        size = abs(v)
        return select(size > 0, cartesian(v.real / size, v.imag / size), v)

    return sign if signal else (lambda v: np.sign(v))


@_entrywise(words.sign_parts)
def _sign_parts(signal: bool) -> Any:
    return (lambda v: cartesian(np.sign(v.real), np.sign(v.imag))) if signal else (lambda v: np.sign(v))


@_entrywise(words.expj, "complex")
def _expj(signal: bool) -> Any:
    return lambda theta: cartesian(np.cos(theta), np.sin(theta))


def _numpy(word: Any, function: Any, result: str = "") -> None:
    """Teach Numba a word that is a function of NumPy's."""
    _entrywise(word, result)(lambda signal: lambda v: function(v))


_numpy(words.sqrt, np.sqrt)
_numpy(words.exp, np.exp)
_numpy(words.log, np.log)
_numpy(words.tanh, np.tanh)
_numpy(words.floor, np.floor)
_numpy(words.isnan, np.isnan, "bool")


@_entrywise(words.add)
def _add(signal_a: bool, signal_b: bool) -> Any:
    return lambda a, b: a + b


@_entrywise(words.mul)
def _mul(signal_a: bool, signal_b: bool) -> Any:
    if signal_a and not signal_b:
        return lambda a, b: cartesian(a.real * b, a.imag * b)
    if signal_b and not signal_a:
        return lambda a, b: cartesian(a * b.real, a * b.imag)
    return lambda a, b: a * b


@_entrywise(words.scale)
def _scale(signal_m: bool, signal_z: bool) -> Any:
    return (lambda m, z: cartesian(m * z.real, m * z.imag)) if signal_z else (lambda m, z: m * z)


@_entrywise(words.div)
def _div(signal_a: bool, signal_b: bool) -> Any:
    if signal_a and not signal_b:
        return lambda a, b: cartesian(a.real / b, a.imag / b)
    return lambda a, b: a / b


@_entrywise(words.minimum)
def _minimum(signal_a: bool, signal_b: bool) -> Any:
    return lambda a, b: select(a < b, a, select(a == a, b, a))  # and its care for NaN, which np.minimum takes six for


@_entrywise(words.maximum)
def _maximum(signal_a: bool, signal_b: bool) -> Any:
    return lambda a, b: select(a > b, a, select(a == a, b, a))


@_entrywise(words.complex, "complex")
def _complex(signal_re: bool, signal_im: bool) -> Any:
    return lambda re, im: cartesian(re, im)


@_entrywise(words.where)
def _where(condition: bool, signal_a: bool, signal_b: bool) -> Any:
    return lambda condition, a, b: select(condition, a, b)


@_entrywise(words.slice_pam)
def _slice_pam(*signal: bool) -> Any:
    def slice_pam(r: Any, half: Any, levels: Any) -> Any:
        one, two = as_number(r, 1), as_number(r, 2)
        index = np.floor(r / (two * half))
        lowest, highest = -levels / two, levels / two - one
        index = select(index < lowest, lowest, index)  # NaN stays: half the wait of minimum and maximum
        index = select(index > highest, highest, index)
        return (two * index + one) * half

    return slice_pam


@_word(words.norm_1)
def _norm_1(v: Any) -> Any:
    def norm_1(v: Any) -> Any:
        total = as_real(v, 0)
        for k in range(len(v)):
            total += abs(v[k])
        return total

    return norm_1


@_word(words.amax)
def _amax(v: Any) -> Any:
    def amax(v: Any) -> Any:
        largest = v[0]
        for k in range(1, len(v)):
            largest = np.maximum(largest, v[k])
        return largest

    return amax


@_word(words.argmax)
def _argmax(v: Any) -> Any:
    def argmax(v: Any) -> Any:
        best = 0
        for k in range(1, len(v)):
            if v[k] > v[best]:
                best = k
        return best

    return argmax


@_word(words.at)
def _at(v: Any, index: Any) -> Any:
    return lambda v, index: v[index]


@_word(words.add_at)
def _add_at(v: Any, index: Any, a: Any) -> Any:
    def add_at(v: Any, index: Any, a: Any) -> Any:
        v[index] += as_number(v, a)
        return v

    return add_at


@_word(words.nearest, {**_EXACT, "fastmath": False})  # a tie must stay one: no contraction
def _nearest(y: Any, points: Any) -> Any:
    def nearest(y: Any, points: Any) -> Any:
        best, least = as_number(y, points[0]), as_real(y, np.inf)
        for k in range(len(points)):
            apart = y - points[k]
            distance = apart.real * apart.real + apart.imag * apart.imag
            best = select(distance < least, points[k], best)
            least = select(distance < least, distance, least)
        return best

    return nearest


@_word(words.energy)
def _energy(u: Any) -> Any:
    if _is_complex(u):

        def energy(u: Any) -> Any:
            total = as_real(u, 0)
            for k in range(len(u)):
                total += u[k].real * u[k].real + u[k].imag * u[k].imag
            return total
    else:

        def energy(u: Any) -> Any:
            total = as_number(u, 0)
            for k in range(len(u)):
                total += u[k] * u[k]
            return total

    return energy


@_word(words.conj)
def _conj(v: Any, out: Any = None) -> Any:
    if not _is_complex(v):
        return lambda v, out=None: v
    if not _is_array(out):
        return lambda v, out=None: np.conj(v)

    def conj(v: Any, out: Any = None) -> Any:
        for k in range(len(v)):
            out[k] = np.conj(v[k])
        return out

    return conj


@_word(words.axpy, _EACH)
def _axpy(a: Any, x: Any, y: Any) -> Any:
    def axpy(a: Any, x: Any, y: Any) -> Any:
        a_ = as_number(y, a)
        for k in range(len(y)):
            y[k] += a_ * x[k]
        return y

    return axpy


@_word(words.axpyc, _EACH)
def _axpyc(a: Any, x: Any, y: Any, b: Any = 1.0) -> Any:
    if isinstance(b, (types.Omitted, float)):

        def axpyc(a: Any, x: Any, y: Any, b: Any = 1.0) -> Any:
            a_ = as_number(y, a)
            for k in range(len(y)):
                y[k] += a_ * np.conj(x[k])
            return y
    else:

        def axpyc(a: Any, x: Any, y: Any, b: Any = 1.0) -> Any:
            a_, b_ = as_number(y, a), as_real(y, b)
            for k in range(len(y)):
                y[k] = b_ * y[k] + a_ * np.conj(x[k])
            return y

    return axpyc


def _product(conjugate: bool) -> Any:
    """Return the overload of A x or A np.conj(x): four rows at a time, so that x is read once for them."""

    def overloaded(A: Any, x: Any, out: Any = None) -> Any:
        fresh = not _is_array(out)

        def product(A: Any, x: Any, out: Any = None) -> Any:
            K, M = A.shape
            result = np.empty(K, A.dtype) if fresh else out
            for i in range(0, K - 3, 4):
                a, b, c, d = A[i], A[i + 1], A[i + 2], A[i + 3]
                s = t = v = w = as_number(A, 0)
                for k in range(M):
                    x_k = np.conj(x[k]) if conjugate else x[k]
                    s += a[k] * x_k
                    t += b[k] * x_k
                    v += c[k] * x_k
                    w += d[k] * x_k
                result[i], result[i + 1], result[i + 2], result[i + 3] = s, t, v, w
            for i in range(K - K % 4, K):
                row, s = A[i], as_number(A, 0)
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
                total = as_number(A, 0)
                for k in range(M):
                    total += a[k] * np.conj(b[k])
                result[i, j] = total
                result[j, i] = np.conj(total)
        return result

    return outer


@_word(words.rank_one, _EACH)
def _rank_one(b: Any, A: Any, a: Any, x: Any, y: Any) -> Any:
    def rank_one(b: Any, A: Any, a: Any, x: Any, y: Any) -> Any:
        b_ = as_real(A, b)
        for i in range(A.shape[0]):
            row = A[i]
            scaled = as_number(A, a * x[i])
            for k in range(len(row)):
                row[k] = b_ * row[k] + scaled * y[k]
        return A

    return rank_one


@_word(words.add_rows, _EACH)
def _add_rows(a: Any, s: Any, U: Any, w: Any) -> Any:
    def add_rows(a: Any, s: Any, U: Any, w: Any) -> Any:
        for i in range(len(s)):
            row, a_ = U[i], as_number(w, a * s[i])
            for k in range(len(w)):
                w[k] += a_ * np.conj(row[k])
        return w

    return add_rows


@_word(words.add_diagonal, _EACH)
def _add_diagonal(A: Any, a: Any) -> Any:
    vector = _is_array(a)

    def add_diagonal(A: Any, a: Any) -> Any:
        for k in range(len(A)):
            A[k, k] += as_number(A, a[k] if vector else a)
        return A

    return add_diagonal


@_word(words.frobenius)
def _frobenius(A: Any) -> Any:
    square = words.abs2

    def frobenius(A: Any) -> Any:
        K, M = A.shape
        s = t = v = w = as_real(A, 0)
        for i in range(0, K - 3, 4):
            a, b, c, d = A[i], A[i + 1], A[i + 2], A[i + 3]
            for k in range(M):
                s += square(a[k])
                t += square(b[k])
                v += square(c[k])
                w += square(d[k])
        total = s + t + v + w
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
    div, maximum, eps = words.div, words.maximum, _epsilon(A)

    def solve(A: Any, b: Any, ridge: Any) -> Any:
        """Factor A + ridge I = L D L^H in place (unit lower L), then substitute; b becomes the solution."""
        K = len(b)
        trace = as_real(A, 0)
        for j in range(K):
            trace += A[j, j].real
        ridge = maximum(ridge, as_real(A, 16 * eps) * trace)  # as in `words`
        for j in range(K):
            pivot = A[j, j].real + ridge
            for k in range(j):
                pivot -= (A[j, k] * np.conj(A[j, k])).real * A[k, k].real
            A[j, j] = pivot
            for i in range(j + 1, K):
                total = A[i, j]
                for k in range(j):
                    total -= A[i, k] * A[k, k].real * np.conj(A[j, k])
                A[i, j] = select(pivot > 0, div(total, pivot), 0 * total)
        for i in range(K):
            for k in range(i):
                b[i] -= A[i, k] * b[k]
        for i in range(K):
            pivot = A[i, i].real
            b[i] = select(pivot > 0, div(b[i], pivot), 0 * b[i])
        for i in range(K - 1, -1, -1):
            for k in range(i + 1, K):
                b[i] -= np.conj(A[k, i]) * b[k]
        return b

    return solve


@_word(words.rotate_in)
def _rotate_in(b: Any, A: Any, u: Any, e: Any, floor: Any, out: Any = None) -> Any:
    fresh, square, div = not _is_array(out), words.abs2, words.div

    def rotate_in(b: Any, A: Any, u: Any, e: Any, floor: Any, out: Any = None) -> Any:
        K = len(A)
        left = np.empty(K, A.dtype) if fresh else out
        for k in range(K):
            left[k] = u[k]
        b_, rest = as_real(A, b), as_number(A, e)
        for k in range(K):
            row, v = A[k], left[k]
            a = row[k].real
            keep = select(a * a > floor, b_, as_real(A, 1))
            a *= keep
            r = np.sqrt(a * a + square(v))
            c, s = select(r > 0, div(a, r), as_real(A, 1)), select(r > 0, div(np.conj(v), r), 0 * v)
            kept, back = c * keep, np.conj(s) * keep
            row[k] = r
            for j in range(k + 1, K):
                old = row[j]
                row[j] = kept * old + s * left[j]
                left[j] = c * left[j] - back * old
            row[K], rest = s * rest, c * rest
        return A

    return rotate_in


@_word(words.back_substitute)
def _back_substitute(A: Any, out: Any = None) -> Any:
    fresh, div = not _is_array(out), words.div

    def back_substitute(A: Any, out: Any = None) -> Any:
        K = len(A)
        x = np.empty(K, A.dtype) if fresh else out
        for k in range(K - 1, -1, -1):
            row = A[k]
            total = row[K]
            for j in range(k + 1, K):
                total -= row[j] * x[j]
            x[k] = select(row[k].real > 0, div(total, row[k].real), 0 * total)
        return x

    return back_substitute
