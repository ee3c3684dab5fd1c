"""Rank-one adaptive filters, exact in blocks: a few matrix products a block in place of a loop over its samples.

In a block of B samples with regressors U (B x M) and weights w before it, the outputs y, the gains
g = gain(d - y, ...) and the weights w' after it are, with L the part of U U^H below its diagonal,

    y = U w + L g,    w' = w + U^H g.

That is the recursion per sample with the weights in between eliminated, not an approximation. A gain linear in the
error (LMS, NLMS: g = a e) makes it a unit lower triangular system, (I + diag(a) L) g = a (d - U w). For any other
gain a block is one sample: substitution would take as many calls, and L on top. Leakage multiplies L and U by
products of the decays 1 - mu leak. Only w passes from block to block. The correlations L are window sums of lag
products, formed for many blocks at once by additions alone, so that a burst leaves no trace.

The adjoint is the same recursion backwards in time. With v' the adjoint of w', c of g, h of U w, and dy of y,

    c = U v' + L^H h,    h = dy - gain'(e) c,    v = v' + U^H h.

Blocks are taken in chunks, and a chunk's weights are found again from those before it: for the backward pass the
graph keeps about eight numbers a sample of a filter, and the M weights at most once in 16 samples (for one filter
of 64 taps in 4096); the working memory is bounded both ways. A gradient of a gradient, and forward mode, are torch's
own derivatives of the same recursion, which keep all of it.

The block form of LMS: J. Benesty, P. Duhamel, "A fast exact least mean square adaptive algorithm", IEEE Trans.
Signal Processing 40(12), 1992. The same algebra for the delta rule: S. Yang et al., "Parallelizing linear
transformers with the delta rule over sequence length", NeurIPS 2024.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.forward_ad import unpack_dual
from torch.nn.functional import pad

from adaptfilt.checks import plain
from adaptfilt.engines.choose import tracked

Pointwise = Callable[..., Tensor]
Cell = Callable[[int, Tensor], tuple[Tensor, Tensor]]


def run(
    gain: Pointwise,
    x: Tensor,
    d: Tensor,
    w: Tensor,
    params: Mapping[str, Tensor],
    *,
    leak: Tensor | float = 0.0,
    linear: bool,
    rows: bool = False,
    record_every: int | None = None,
    direction: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
    """Adapt a rank-one filter over a block of samples; every tensor is differentiable.

    Parameters
    ----------
    gain : callable
        ``gain(e, energy, **params)``, elementwise, such as ``mu / (eps + energy) * e``.
    x : Tensor [shape=(*batch, T + M - 1), with rows (*batch, T, M)]
        The stream, oldest first, from M - 1 samples before d on; or ready regressors.
    d : Tensor [shape=(*batch, T), T >= 1]
        Desired samples. One that is NaN changes no weight, and its e is NaN.
    w : Tensor [shape=(*batch, M)]
        Weights before the block.
    params : mapping of str to Tensor [shape broadcastable to (*batch, T)]
        Parameters of the gain by name, "mu" among them, in the filter's real dtype.
    leak : Tensor [shape broadcastable to (*batch, T)] or float
        The weights decay by 1 - mu leak a sample.
    linear : bool
        Whether the gain is linear in the error: ``gain(e, ...) == gain(1, ...) * e``.
    rows : bool
        Whether x holds regressors instead of a stream.
    record_every : int >= 1, optional
        Return the weights after every so many samples. Blocks end there: small numbers make slow blocks.
    direction : Tensor [shape as x], optional
        What updates are made of, in place of x: w + g conj(v), with the energy of v.

    Returns
    -------
    y, e : Tensor [shape=(*batch, T)]
        Outputs with the weights before each update, and d - y.
    w : Tensor [shape=(*batch, M)]
        Weights after the block.
    record : Tensor [shape=(*batch, T // record_every, M)] or None

    Examples
    --------
    >>> import torch
    >>> x, mu = torch.tensor([0.0, 1.0, 2.0, 3.0]), torch.tensor([0.1])
    >>> y, e, w, _ = run(lambda e, energy, mu: mu * e, x, 2 * x[1:], torch.zeros(2), {"mu": mu}, linear=True)
    >>> e, w
    (tensor([2.0000, 3.6000, 2.5200]), tensor([1.6760, 0.8640]))
    """
    if torch.compiler.is_compiling():  # one break in the graph instead of one every few lines
        eager = torch.compiler.disable(run)
        given = {"leak": leak, "linear": linear, "rows": rows, "record_every": record_every, "direction": direction}
        return eager(gain, x, d, w, params, **given)
    batch, samples = w.shape[:-1], d.shape[-1]
    cut = _cut(w, samples, linear, rows, record_every)._replace(directed=direction is not None)

    def per_filter(v: Tensor) -> Tensor:  # (filters, 1 or T)
        return v.expand(*batch, v.shape[-1] if v.ndim else 1).reshape(cut.filters, -1)

    def masked(e: Tensor, active: Tensor, energy: Tensor, *values: Tensor) -> Tensor:
        return torch.where(active, gain(e, energy, **dict(zip(params, values, strict=True))), 0)

    x, d = x.reshape(cut.filters, *x.shape[len(batch) :]), d.reshape(cut.filters, samples)
    v = x if direction is None else direction.reshape(x.shape)
    w = w.reshape(cut.filters, -1)
    w = w if rows else w.flip(-1)  # oldest first, as the stream is
    active, values = ~d.isnan(), {name: per_filter(v) for name, v in params.items()}
    if not tracked(values["mu"]):  # its gradient at 0 is not 0
        active = active & (values["mu"] != 0)
    power = (v * v.conj()).real
    energy = power.sum(-1) if rows else _WindowSum.apply(power[..., None], cut.taps)[..., 0]
    if linear:
        phi: Pointwise = torch.mul
        args = [cut.series(masked(torch.ones_like(energy), active, energy, *values.values()))]
    else:
        phi, args = masked, [cut.series(active), *(cut.series(v, 1) for v in (energy, *values.values()))]
    decay = None
    if leak.requires_grad or leak.any() if isinstance(leak, Tensor) else leak:
        leaks = per_filter(torch.as_tensor(leak, dtype=energy.dtype, device=d.device))
        decay = cut.series(torch.where(active, 1 - values["mu"] * leaks, 1), 1)
    tensors = cut.stream(x if v is x else torch.cat([x, v])), cut.series(torch.where(active, d, 0)), w, decay, *args
    with torch.autocast(d.device.type, enabled=False):
        if any(unpack_dual(v).tangent is not None for v in tensors if v is not None):  # torch follows every operation
            y, ends, _ = _adapt(phi, cut, *tensors)
        else:
            y, ends = _Recursion.apply(phi, cut, linear, *tensors)
    ends = (ends if rows else ends.flip(-1)).reshape(*batch, -1, cut.taps)
    y, d = cut.joined(y).reshape(*batch, samples), d.reshape(*batch, samples)
    return y, d - y, ends[..., -1, :], ends[..., : samples // record_every, :] if record_every else None


class _Cut(NamedTuple):
    """T samples in segments of `length` (one a record), these in `blocks` of `size`; both padded at their end."""

    filters: int
    taps: int
    samples: int
    length: int
    blocks: int
    size: int
    rows: bool
    directed: bool = False  # the stream of a second set of filters is what updates are made of

    @property
    def segments(self) -> int:
        return -(-self.samples // self.length)

    def series(self, v: Tensor, fill: float = 0.0) -> Tensor:
        """(filters, 1 or T) -> (filters, N, 1, size), with N all blocks."""
        if v.shape[-1] == 1:
            return v[..., None, None].expand(-1, self.segments * self.blocks, 1, self.size)
        return self._padded(v, fill).reshape(self.filters, -1, 1, self.size)

    def stream(self, x: Tensor) -> Tensor:
        """(filters, T + M - 1) -> (filters, segments, blocks size + M - 1), or rows without the M - 1."""
        if self.rows:
            return self._padded(x.mT).movedim(1, -1)
        width = self.blocks * self.size
        x = pad(x, (0, (self.segments - 1) * self.length + width - self.samples))
        return x.unfold(-1, width + self.taps - 1, self.length)

    def joined(self, y: Tensor) -> Tensor:
        """(filters, N, 1, size) -> (filters, T)."""
        y = y.reshape(self.filters, self.segments, -1)[..., : self.length]
        return y.reshape(self.filters, -1)[:, : self.samples]

    def _padded(self, v: Tensor, fill: float = 0.0) -> Tensor:  # (..., T) -> (..., segments, blocks size)
        v = pad(v, (0, self.segments * self.length - self.samples), value=fill).unflatten(-1, (-1, self.length))
        return pad(v, (0, self.blocks * self.size - self.length), value=fill)

    def chunks(self, device: torch.device) -> Iterator[tuple[slice, tuple[slice, ...]]]:
        """Yield the blocks to take at once and their part of the stream, in the order of time."""
        numbers = 2**18 if device.type == "cpu" else 2**26  # of regressors: what a cache holds, what fills a GPU
        samples = max(16, numbers // (self.filters * max(self.taps, self.size)))
        if self.taps >= 128 and self.size > 1:  # window sums pay for M - 1 samples more than a chunk has
            samples = max(samples, min(4 * self.taps, 16 * samples))
        count, tail = max(1, samples // self.size), 0 if self.rows else self.taps - 1
        step = max(1, count // self.blocks)
        for s in range(0, self.segments, step):
            last = min(s + step, self.segments)
            for b in range(0, self.blocks, count):
                stop = min(b + count, self.blocks)
                part = slice(None), slice(s, last), slice(b * self.size, stop * self.size + tail)
                yield slice(s * self.blocks + b, (last - 1) * self.blocks + stop), part


def _cut(w: Tensor, samples: int, linear: bool, rows: bool, record_every: int | None) -> _Cut:
    """Size the blocks: one takes about ten calls whatever its size, and flops a sample that grow with it."""
    filters, taps, cpu = w[..., 0].numel(), w.shape[-1], w.device.type == "cpu"
    if not linear or (cpu and filters * taps >= 2**13):
        largest = 1  # measured: from here on a sample's own recursion is the faster
    else:
        largest = 64 if filters < 8 or not cpu else 32 if filters < 64 else 16  # measured on a CPU, 8 to 1024 taps
    length = min(record_every or samples, samples)
    blocks = -(-length // largest)
    return _Cut(filters, taps, samples, length, blocks, -(-length // blocks), rows)


class _WindowSum(torch.autograd.Function):
    """Sums over `width` neighbours along axis -2 by doubling: at most 2 log2(width) additions, no subtraction."""

    @staticmethod
    def forward(ctx: Any, v: Tensor, width: int) -> Tensor:
        ctx.width = width
        total, done, length = v, 0, 1  # total: sums over `done` neighbours; v: over `length`
        while True:
            if width & length:
                count = v.shape[-2] - done
                total = total.narrow(-2, 0, count) + v.narrow(-2, done, count) if done else v
                done += length
            if done == width:
                return total
            count = v.shape[-2] - length
            v = v.narrow(-2, 0, count) + v.narrow(-2, length, count)
            length *= 2

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return _WindowSum.apply(pad(grads[0], (0, 0, ctx.width - 1, ctx.width - 1)), ctx.width), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        return _WindowSum.apply(tangents[0], ctx.width)


def _correlations(x: Tensor, v: Tensor, taps: int, size: int) -> Tensor:
    """u_i . conj(v_j) at [i, j], j < i, within each block: (..., n size + M - 1) -> (..., n, size, size)."""
    products = x[..., None] * pad(v, (size - 1, 0)).unfold(-1, size, 1).conj()  # [t, size - 1 - lag]
    lags = _WindowSum.apply(products, taps).unflatten(-2, (-1, size)).flatten(-2)
    return pad(lags[..., size - 1 : -1].unflatten(-1, (size, size - 1)), (0, 1))  # rows one shorter: a skew


def _system(x: Tensor, decay: Tensor | None, cut: _Cut) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
    """Return regressors decayed since their block began, and until it ends; correlations; each block's decay."""
    x, v = x.chunk(2) if cut.directed else (x, x)
    u, q = ((s if cut.rows else s.unfold(-1, cut.taps, 1)).reshape(cut.filters, -1, cut.size, cut.taps) for s in (x, v))
    if cut.size == 1:
        return u, q, None, decay
    u, q = u.contiguous(), q.contiguous()
    if cut.rows or u.shape[1] // x.shape[1] * cut.size < 2 * cut.taps:
        lower = u @ q.mH
    else:
        lower = _correlations(x, v, cut.taps, cut.size).flatten(1, 2)
    later = torch.ones(cut.size + 1, cut.size + 1, dtype=torch.bool, device=x.device).triu(1)
    if decay is None:
        return u, q, lower * later[1:, 1:].mT, None
    between = torch.where(later, pad(decay, (1, 0), value=1.0), 1).cumprod(-1)  # samples j + 1 to i - 1: [j + 1, i]
    lower = lower * (later[1:, 1:] * between[..., 1:, :-1]).mT
    return u * between[..., :1, :-1].mT, q * between[..., 1:, -1:], lower, between[..., :1, -1:]


def _scan(
    cell: Cell, q: Tensor, decay: Tensor | None, w: Tensor, added: Mapping[int, Tensor] | None = None
) -> tuple[Tensor, Tensor, tuple[Tensor, ...], Tensor]:
    """Run r, v = cell(b, w), w = decay w + v conj(q) over the blocks b; if anything is `added` to w first, backwards.

    Shapes: r, v (filters, n, 1, size); q (filters, n, size, M); w (filters, 1, M). Returns all r, v, the w that
    each block saw, and the last w.
    """
    update, out = torch.addcmul if q.shape[-2] == 1 else torch.baddbmm, q.conj().resolve_conj().unbind(1)
    cells, order = [], 1 if added is None else -1
    for b in range(len(out))[::order]:
        w = w + added[b] if added and b in added else w
        r, v = cell(b, w)
        cells.append((r, v, w))
        w = update(w if decay is None else w * decay[:, b], v, out[b])
    all_r, all_v, seen = zip(*cells[::order], strict=True)
    return torch.stack(all_r, 1), torch.stack(all_v, 1), seen, w


def _triangular(p: Tensor, k: Tensor, h: Tensor, slope: Tensor, upper: bool) -> Cell:
    """Solve v = h - slope (r + v k) for v, with r = w p^T and k strictly triangular."""
    into, system, constants, slopes = (v.unbind(1) for v in (p.mT, k * slope, h, slope))

    def cell(b: int, w: Tensor) -> tuple[Tensor, Tensor]:
        r = torch.bmm(w, into[b])
        right = torch.addcmul(constants[b], slopes[b], r, value=-1)
        return r, torch.linalg.solve_triangular(system[b], right, upper=upper, left=False, unitriangular=True)

    return cell


def _pointwise(p: Tensor, phi: Pointwise, *args: Tensor) -> Cell:
    """Evaluate v = phi(r, *args), with r = w p^T, for blocks of one sample."""
    into, *columns = (v.unbind(1) for v in (p, *args))

    def cell(b: int, w: Tensor) -> tuple[Tensor, Tensor]:
        r = (w * into[b]).sum(-1, keepdim=True)
        return r, phi(r, *(a[b] for a in columns))

    return cell


def _known(v: Tensor) -> Cell:
    """Repeat a recursion whose v is known, and return its w for r."""
    columns = v.unbind(1)
    return lambda b, w: (w, columns[b])


class _Recursion(torch.autograd.Function):
    """The recursion over all blocks: y (filters, N, 1, size), the weights after each segment (filters, segments, M)."""

    @staticmethod
    def forward(ctx: Any, phi: Pointwise, cut: _Cut, linear: bool, *tensors: Any) -> tuple[Tensor, Tensor]:
        y, ends, starts = _adapt(phi, cut, *tensors)
        ctx.phi, ctx.cut, ctx.linear = phi, cut, linear
        ctx.save_for_backward(y, torch.stack(starts), *tensors)
        return y, ends

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        with torch.autocast(grads[0].device.type, enabled=False):
            adjoint = _differentiable_adjoint if torch.is_grad_enabled() or not plain(*grads) else _adjoint
            return None, None, None, *adjoint(ctx, *grads)


def _adapt(
    phi: Pointwise, cut: _Cut, x: Any, d: Any, w: Any, decay: Any, *args: Any
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Return y, the weights after each segment, and those before each chunk."""
    ys, starts, ends, w = [], [], [], w[:, None]
    for now, part in cut.chunks(d.device):
        starts.append(w)
        p, q, lower, through = _system(x[part], decay if decay is None else decay[:, now], cut)
        d_now, *a = (v[:, now] for v in (d, *args))
        if lower is None:
            cell = _pointwise(p, lambda y, d, *a: phi(d - y, *a), d_now, *a)
        else:
            cell = _triangular(p, lower.mT, phi(d_now, *a), a[0], upper=True)
        r, g, seen, w = _scan(cell, q, through, w)
        ys.append(r if lower is None else r + g @ lower.mT)
        ends += [*seen[1:], w][cut.blocks - 1 - now.start % cut.blocks :: cut.blocks]
    return torch.cat(ys, 1), torch.cat(ends, 1), starts


def _differentiable_adjoint(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
    """Return what `_adjoint` does, as a graph or for many gradients at once, by torch's own derivatives."""
    _, _, *tensors = ctx.saved_tensors
    own, create = [], torch.is_grad_enabled()
    with torch.enable_grad():  # one tensor may hang on another: each counts on its own
        for v, wants in zip(tensors, ctx.needs_input_grad[3:], strict=True):
            own.append(v.view_as(v) if wants else v)
        y, ends, _ = _adapt(ctx.phi, ctx.cut, *own)
    wanted = [v for v, wants in zip(own, ctx.needs_input_grad[3:], strict=True) if wants]
    found = iter(torch.autograd.grad((y, ends), wanted, grads, create_graph=create, allow_unused=True))
    return tuple(next(found) if wants else None for wants in ctx.needs_input_grad[3:])


def _adjoint(ctx: Any, dy: Tensor, dends: Tensor) -> tuple[Tensor | None, ...]:
    """Return the gradients of the stream, d, w, the decays and the arguments of phi."""
    cut, (y, starts, x, d, w, decay, *args) = ctx.cut, ctx.saved_tensors
    wants_x, _, _, wants_decay, *wants = ctx.needs_input_grad[3:]
    with torch.enable_grad():
        e, *args = (v.detach().requires_grad_(want) for v, want in zip((d - y, *args), (True, *wants), strict=True))
        g = ctx.phi(e, *args)
    slopes = args if ctx.linear else _slopes(g, e)
    dx = torch.zeros_like(x)
    ddecay: Any = decay if decay is None else torch.zeros_like(decay)
    c, dd, v = torch.empty_like(d), torch.empty_like(d), torch.zeros_like(w)[:, None]
    for start, (now, part) in reversed(list(zip(starts, cut.chunks(d.device), strict=True))):
        x_now = x[part].detach()
        decay_now: Any = decay if decay is None else decay[:, now].detach()
        leaves = [(x_now.requires_grad_(), dx[part])] if wants_x else []
        leaves += [(decay_now.requires_grad_(), ddecay[:, now])] if wants_decay else []
        with torch.enable_grad():
            p, q, lower, through = _system(x_now, decay_now, cut)
        dy_now, g_now, *a = (s[:, now].detach() for s in (dy, g, *slopes))
        if lower is None:
            cell = _pointwise(q, _residual, dy_now, *a)
        else:
            cell = _triangular(q, lower.conj(), dy_now, a[0], upper=False)
        last = range(now.stop - 1 - now.stop % cut.blocks, now.start - 1, -cut.blocks)  # blocks that end a segment
        added = {b - now.start: dends[:, b // cut.blocks, None] for b in last}
        r, h, seen, v = _scan(cell, p, through, v, added)
        c[:, now], dd[:, now] = r if lower is None else r + h @ lower.conj(), dy_now - h
        if leaves:
            before, after = _scan(_known(g_now), q, through, start)[0].conj(), torch.stack(seen, 1)
            pairs = [(p, h.mT * before), (q, g_now.mT * after.conj())]
            pairs += [] if lower is None else [(lower, h.mT * g_now.conj())]
            pairs += [] if through is None else [(through, (before * after).real.sum(-1, keepdim=True))]
            outputs, adjoints = zip(*((o, a) for o, a in pairs if o.requires_grad), strict=True)
            gradients = torch.autograd.grad(outputs, [leaf for leaf, _ in leaves], adjoints)
            for (_, total), gradient in zip(leaves, gradients, strict=True):
                total += gradient
    inputs = [a for a in args if a.requires_grad]
    dargs = iter(torch.autograd.grad(g, inputs, c, allow_unused=True) if inputs else ())
    return dx, dd, v[:, 0], ddecay, *(next(dargs) if a.requires_grad else None for a in args)


def _slopes(g: Tensor, e: Tensor) -> list[Tensor]:
    """Return the adjoint of the gain's derivative applied to 1 and, for complex data, to 1j."""
    units = (1, 1j) if g.is_complex() else (1,)
    return [torch.autograd.grad(g, e, torch.full_like(g, unit), retain_graph=True)[0] for unit in units]


def _residual(c: Tensor, h: Tensor, real: Tensor, imag: Tensor | None = None) -> Tensor:
    """Return h less the adjoint of the gain's derivative applied to c."""
    return h - c * real if imag is None else h - c.real * real - c.imag * imag
