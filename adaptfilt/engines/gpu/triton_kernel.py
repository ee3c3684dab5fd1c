"""One fused CUDA kernel for rank-one filters and any gain: weights in registers, every sample moved once.

A filter of M taps takes L lanes of a warp: 1 up to 32 taps, 32 at 1,024. Lane l keeps K = ceil(M / L) <= 32
taps, from l K on, and the samples that stand at them in its registers: a small filter on the input delayed
by l K samples; log2 L shuffles sum the lanes. The recursion is the literal one, sample by sample.
The layout comes from counting:

- Operations, a sample and warp: 2 K multiply-adds (output, update), K / 4 + 3 for the energy, and some 35
  instructions for the gain, masks and moves. Compiled for sm_90 (Triton 3.6), 32 filters of 32 taps take 108
  instructions a sample, of which 64 are the floor. Taps along the lanes, the obvious layout, would take some
  35 instructions for a single such filter, most of them shuffles.
- Bytes, a sample and filter: 16 (x, d, y, e once), in tiles of B samples (64 bytes), the next tile under way
  while the last is worked on. Triton turns tiles from time along the lanes, as memory wants it, to time
  along the registers; transposed copies would cost 32 bytes more. Further lanes find their x in the cache.
- The energy has no running sum that could drift or remember a burst. It is summed afresh, but of its four
  partial sums (every fourth square) three are those of the sample before: the compiler sums the fourth.

For CUDA tensors, real, M <= 1024, a tap-delay line, no gradient wanted; otherwise the block engine. The first
call for a number of taps compiles for some seconds (Triton keeps the result on disk).
"""
# ruff: noqa: RET505, RUF005 -- Triton compiles both branches without the `else` and takes no star in a tuple
# mypy: disable-error-code="assignment, misc"

from __future__ import annotations

import inspect
import math
import types
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from adaptfilt.engines import words

if TYPE_CHECKING:
    import triton.language as tl

MAX_TAPS = 1024


def run(
    gain: Callable[..., Any],
    x: Tensor,
    d: Tensor,
    w: Tensor,
    params: Mapping[str, Tensor],
    *,
    leak: float | Tensor = 0.0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Adapt rank-one filters over a block: ``w <- (1 - mu leak) w + gain(e, energy, mu, ...) u``.

    Parameters
    ----------
    gain : callable
        ``gain(e, energy, *parameters)`` of real scalars: a plain function (no lambda) of arithmetic,
        constants, `abs`, the vocabulary's words entry by entry that have a real result, and functions of its kind.
    x : Tensor [shape=(*batch, T + M - 1)]
        History and block, oldest first; float32 or float64.
    d : Tensor [shape=(*batch, T)]
        Desired samples; where one is NaN, nothing adapts and the error is NaN.
    w : Tensor [shape=(*batch, M)]
        Weights before the block, 1 <= M <= 1024.
    params : mapping of str to Tensor [shape broadcastable to (*batch, T)]
        The gain's parameters by name, `mu` among them; with a last axis of 1, constant in time.
    leak : float or Tensor [shape broadcastable to (*batch, T)]
        Leakage; 0 is none.

    Returns
    -------
    y, e : Tensor [shape=(*batch, T)]
        Output and error, before the update.
    w : Tensor [shape=(*batch, M)]
        Weights after the block.

    Raises
    ------
    ValueError
        If M is not in 1 ... 1024.
    """
    batch, length, taps = d.shape[:-1], d.shape[-1], w.shape[-1]
    if not 1 <= taps <= MAX_TAPS:
        raise ValueError(f"the Triton kernel takes 1 to {MAX_TAPS} taps, not {taps}")
    filters = math.prod(batch)
    y, e, w_new = (torch.empty(v.shape, dtype=d.dtype, device=d.device) for v in (d, d, w))
    if length == 0 or filters == 0:
        return y, e, w_new.copy_(w)

    names = list(inspect.signature(gain).parameters)[2:]
    leaky = bool(leak.any()) if isinstance(leak, Tensor) else leak != 0
    values = [_rows(v, batch, d) for v in [leak] * leaky + [params[name] for name in names]]
    double = d.dtype == torch.float64  # half as many numbers in the registers
    lanes = _power_of_two(-(-taps // (16 if double else 32)))
    depth = -(-taps // lanes)
    threads = max(32, lanes)
    x, d = _rows(x, batch, d), _rows(d, batch, d)
    kernel, compiled_gain = _compiled(gain)
    with torch.cuda.device_of(d):
        kernel[(-(-filters * lanes // threads),)](
            *(x, x.stride(0), d, d.stride(0), w.contiguous(), y, e, w_new),
            *(tuple(values), tuple(v.stride(0) for v in values), filters, length),
            GAIN=compiled_gain,
            VARIES=tuple(v.shape[-1] > 1 for v in values),
            LEAKY=int(leaky),
            MU=leaky + names.index("mu"),
            P=threads,
            L=lanes,
            M=taps,
            K=depth,
            K2=_power_of_two(depth),
            B=8 if double else 16,
            num_warps=threads // 32,
            enable_fp_fusion=True,
        )
    return y, e, w_new


def _power_of_two(n: int) -> int:
    """Return the smallest power of two not under n."""
    return 1 << (n - 1).bit_length()


def _rows(value: float | Tensor, batch: torch.Size, like: Tensor) -> Tensor:
    """Return signals or a parameter as rows in time, one a filter; of a constant, (filters, 1)."""
    value = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    rows = value.expand(*batch, value.shape[-1] if value.ndim else 1).reshape(math.prod(batch), -1)
    return rows if rows.shape[-1] == 1 or rows.stride(-1) == 1 else rows.contiguous()


@cache
def _compiled(gain: Callable[..., Any]) -> tuple[Any, Any]:
    """Return the kernel and a gain as Triton functions."""
    import triton.language as tl

    scope: dict[str, Any] = {"tl": tl}
    for part in (_add, _dot, _over_lanes, _columns, _tile, _load, _kernel):
        scope[part.__name__] = _jit(part, scope)
    return scope["_kernel"], _translate(gain)


@cache
def unknown_word(function: Callable[..., Any]) -> str | None:
    """Return a name that a gain uses and the kernel has no translation of.

    Parameters
    ----------
    function : callable

    Returns
    -------
    str or None
    """
    if function.__name__ == "<lambda>":
        return "a lambda"
    used = inspect.getclosurevars(function)
    known = _words()
    for name in (*sorted(used.builtins), *sorted(used.unbound)):
        if name not in known:
            return name
    for name, value in {**used.globals, **used.nonlocals}.items():
        if isinstance(value, int | float) or (name in known and getattr(words, name, None) is value):
            continue
        if not inspect.isfunction(value) or value.__module__.startswith(("torch.", words.__name__)):
            return name
        if value is not function and (word := unknown_word(value)):
            return word
    return None


def _words() -> dict[str, Callable[..., Any]]:
    """Return the words of a gain that the kernel knows: on real values some are the same."""
    return {
        **dict.fromkeys(("abs", "magnitude"), _abs),
        **dict.fromkeys(("conj", "real"), _same),
        **dict.fromkeys(("sign", "sign_parts"), _sign),
        **dict.fromkeys(("mul", "scale"), _mul),
        **{word.__name__[1:]: word for word in (_abs2, _add, _div, _exp, _floor, _imag, _isnan, _log)},
        **{word.__name__[1:]: word for word in (_maximum, _minimum, _slice_pam, _sqrt, _tanh, _where)},
    }


def _translate(function: Callable[..., Any]) -> Any:
    """Compile a function that is written in the library's vocabulary."""
    import triton.language as tl

    scope: dict[str, Any] = {"tl": tl}
    for name, value in function.__globals__.items():
        if isinstance(value, type):  # Triton looks annotations up
            scope[name] = tl.tensor
    for name, word in _words().items():
        scope[name] = _jit(word, scope)
    used = inspect.getclosurevars(function)
    for name, value in {**used.globals, **used.nonlocals}.items():
        if name not in scope:
            scope[name] = _translate(value) if inspect.isfunction(value) else tl.constexpr(value)
    return _jit(function, scope)


def _jit(function: Callable[..., Any], scope: dict[str, Any]) -> Any:
    """Compile a plain function whose global names mean what `scope` says."""
    import triton

    code = function.__code__
    cells = tuple(types.CellType(scope[name]) for name in code.co_freevars)
    twin = types.FunctionType(code, scope, function.__name__, function.__defaults__, cells)
    twin.__annotations__, twin.__module__ = function.__annotations__, __name__
    return triton.jit(twin)


# What follows is compiled by Triton. (P,) is one value a lane, L neighbouring lanes to a filter.


def _abs(v: tl.tensor) -> tl.tensor:
    return tl.abs(v)


def _abs2(v: tl.tensor) -> tl.tensor:
    return v * v


def _same(v: tl.tensor) -> tl.tensor:
    return v


def _imag(v: tl.tensor) -> tl.tensor:
    return tl.full(v.shape, 0.0, v.dtype)


def _isnan(v: tl.tensor) -> tl.tensor:
    return v != v


def _sign(v: tl.tensor) -> tl.tensor:
    return tl.where(v > 0, 1.0, tl.where(v < 0, -1.0, v))


def _sqrt(v: tl.tensor) -> tl.tensor:
    return tl.sqrt(v)


def _exp(v: tl.tensor) -> tl.tensor:
    return tl.exp(v)


def _log(v: tl.tensor) -> tl.tensor:
    return tl.log(v)


def _tanh(v: tl.tensor) -> tl.tensor:
    """Take exp(x) - 1 = (u - 1) x / log(u), u = exp(x), accurate at small x, too (Kahan)."""
    x = -2.0 * tl.abs(v)
    u = tl.exp(x)
    above = tl.where(u == 1.0, x, (u - 1.0) * x / tl.log(u))
    size = tl.where(x < -40.0, 1.0, -above / (above + 2.0))
    return tl.where(v < 0, -size, size)


def _floor(v: tl.tensor) -> tl.tensor:
    return tl.floor(v)


def _mul(a: tl.tensor, b: tl.tensor) -> tl.tensor:
    return a * b


def _div(a: tl.tensor, b: tl.tensor) -> tl.tensor:
    return a / b


def _minimum(a: tl.tensor, b: tl.tensor) -> tl.tensor:
    return tl.minimum(a, b, tl.PropagateNan.ALL)


def _maximum(a: tl.tensor, b: tl.tensor) -> tl.tensor:
    return tl.maximum(a, b, tl.PropagateNan.ALL)


def _slice_pam(r: tl.tensor, half: tl.tensor, levels: tl.tensor) -> tl.tensor:
    top = tl.minimum(tl.floor(r / (2 * half)), levels / 2 - 1, tl.PropagateNan.ALL)
    return (2 * tl.maximum(top, -levels / 2, tl.PropagateNan.ALL) + 1) * half


def _where(condition: tl.tensor, a: tl.tensor, b: tl.tensor) -> tl.tensor:
    return tl.where(condition, a, b)


def _add(a: tl.tensor, b: tl.tensor) -> tl.tensor:
    return a + b


def _dot(a: tl.tuple, b: tl.tuple) -> tl.tensor:
    """Sum the products within a lane; chains of at most 8, in step, that need not wait for each other."""
    if len(a) > 8:
        return _dot(a[::2], b[::2]) + _dot(a[1::2], b[1::2])
    else:
        total = a[0] * b[0]
        for j in tl.static_range(1, len(a)):
            total += a[j] * b[j]
        return total


def _over_lanes(v: tl.tensor, L: tl.constexpr) -> tl.tensor:
    """Give each lane the sum over the lanes of its filter."""
    rows = tl.reshape(v, [v.shape[0] // L, L])
    return tl.reshape(tl.broadcast_to(tl.reduce(rows, 1, _add, keep_dims=True), rows.shape), v.shape)


def _columns(tile: tl.tensor) -> tl.tuple:
    """Take a tile (P, B) apart into B columns (P,)."""
    if tile.shape[1] == 1:
        return (tl.reshape(tile, [tile.shape[0]]),)
    else:
        halves = tl.reshape(tile, [tile.shape[0], 2, tile.shape[1] // 2])
        first, last = tl.split(tl.permute(halves, [0, 2, 1]))
        return _columns(first) + _columns(last)


def _tile(columns: tl.tuple) -> tl.tensor:
    """Put B columns (P,) together into a tile (P, B)."""
    if len(columns) == 1:
        return tl.reshape(columns[0], [columns[0].shape[0], 1])
    else:
        first, last = _tile(columns[: len(columns) // 2]), _tile(columns[len(columns) // 2 :])
        return tl.reshape(tl.permute(tl.join(first, last), [0, 2, 1]), [first.shape[0], 2 * first.shape[1]])


def _load(
    d: tl.tensor, x: tl.tensor, values: tl.tuple, n: tl.tensor, T: tl.tensor, live: tl.tensor,
    VARIES: tl.constexpr, B: tl.constexpr,
) -> tl.tuple:  # fmt: skip
    """Load tiles (P, B) from sample n on, (P, 1) of constants; past the end d is NaN: nothing adapts."""
    b = tl.arange(0, B)[None, :]
    inside = live & (n + b < T)
    tiles = (tl.load(d[:, None] + n + b, inside, float("nan")), tl.load(x[:, None] + n + b, inside, 0.0))
    for s in tl.static_range(len(values)):
        if VARIES[s]:
            tiles = tiles + (tl.load(values[s][:, None] + n + b, inside, 1.0),)
        else:
            tiles = tiles + (tl.load(values[s][:, None], live, 1.0),)
    return tiles


def _kernel(
    x: tl.tensor, x_stride: tl.tensor, d: tl.tensor, d_stride: tl.tensor, w: tl.tensor, y: tl.tensor,
    e: tl.tensor, w_new: tl.tensor, values: tl.tuple, strides: tl.tuple, F: tl.tensor, T: tl.tensor,
    GAIN: tl.constexpr, VARIES: tl.constexpr, LEAKY: tl.constexpr, MU: tl.constexpr, P: tl.constexpr,
    L: tl.constexpr, M: tl.constexpr, K: tl.constexpr, K2: tl.constexpr, B: tl.constexpr,
) -> None:  # fmt: skip
    p = tl.program_id(0) * P + tl.arange(0, P)
    f, lane = (p // L).to(tl.int64), p % L
    live = (f < F)[:, None]
    b = tl.arange(0, B)[None, :]
    k = tl.arange(0, K2)[None, :]
    tap = (lane * K + K - 1)[:, None] - k  # oldest first, as z
    stands = live & (k < K) & (tap < M)
    x += f * x_stride + M - 1  # the newest sample at time 0

    weights = _columns(tl.load((w + f * M)[:, None] + tap, stands, 0.0))[:K]
    z = _columns(tl.load(x[:, None] - tap, stands, 0.0))[: K - 1]
    d += f * d_stride
    lane_x = x - tl.minimum(lane * K, M - 1)  # a lane beyond M reads anything there is
    rows = ()
    for s in tl.static_range(len(values)):
        rows = rows + (values[s] + f * strides[s],)

    ahead = _load(d, lane_x, rows, 0, T, live, VARIES, B)
    for n in tl.range(0, T, B):
        group = ()
        for s in tl.static_range(len(ahead)):
            group = group + (_columns(ahead[s]),)
        ahead = _load(d, lane_x, rows, n + B, T, live, VARIES, B)
        z = z + group[1]
        ys, es = (), ()
        for i in tl.static_range(B):
            now = ()
            for s in tl.static_range(2, len(group)):
                now = now + (group[s][i % len(group[s])],)
            u = ()
            for j in tl.static_range(K):
                v = z[i + j]
                if L * K - 1 - j >= M:  # the last lanes may reach beyond M
                    v = tl.where(lane * K + K - 1 - j < M, v, 0.0)
                u = u + (v,)

            y_n = _over_lanes(_dot(weights, u), L)
            e_n = group[0][i] - y_n
            adapts = (group[0][i] == group[0][i]) & (now[MU] != 0)
            g = tl.where(adapts, GAIN(e_n, _over_lanes(_dot(u, u), L), *now[LEAKY:]), 0.0)
            moved = ()
            for j in tl.static_range(K):
                kept = weights[j]
                if LEAKY:
                    kept *= tl.where(adapts, 1.0 - now[MU] * now[0], 1.0)
                moved = moved + (kept + g * u[j],)
            weights = moved
            ys, es = ys + (y_n,), es + (e_n,)
        z = z[B:]
        out = (f * T + n)[:, None] + b
        once = live & (n + b < T) & (lane == 0)[:, None]
        tl.store(y + out, _tile(ys), once)
        tl.store(e + out, _tile(es), once)

    for _ in tl.static_range(K2 - K):
        weights = weights + (weights[0],)
    tl.store((w_new + f * M)[:, None] + tap, _tile(weights), stands)
