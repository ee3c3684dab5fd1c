"""What a filter has found, taken elsewhere: as a convolution of torch, as a C header, as an exported torch program.

All three hold the weights of the moment and adapt no more. They are copies: the filter may go on.
"""

import math
import re
from typing import Any

import torch
from torch import Tensor, nn

from adaptfilt.base.frequency import FrequencyFilter
from adaptfilt.base.linear import LinearFilter

C_KEYWORDS = {  # up to C23
    *("alignas", "alignof", "auto", "bool", "break", "case", "char", "const", "constexpr", "continue", "default", "do"),
    *("double", "else", "enum", "extern", "false", "float", "for", "goto", "if", "inline", "int", "long", "nullptr"),
    *("register", "restrict", "return", "short", "signed", "sizeof", "static", "static_assert", "struct", "switch"),
    *("thread_local", "true", "typedef", "typeof", "typeof_unqual", "union", "unsigned", "void", "volatile", "while"),
}


def to_conv1d(f: Any) -> nn.Conv1d:
    """Return a filter's weights as a convolution of torch.

    Parameters
    ----------
    f : LinearFilter or FrequencyFilter
        A filter without batch, features, feedback and sps > 1.

    Returns
    -------
    torch.nn.Conv1d
        From (N, inputs, T) to (N, outputs, T + taps - 1), without bias; the first T outputs are those of the filter
        from rest, the others let it ring out.

    Raises
    ------
    TypeError, ValueError
        If the filter is not a convolution of its input, or is a batch.

    Examples
    --------
    >>> import torch, adaptfilt as af
    >>> f = af.NLMS(2, w0=torch.tensor([0.5, -0.25]))
    >>> af.export.to_conv1d(f)(torch.tensor([[[1.0, 0.0, 2.0]]])).detach()
    tensor([[[ 0.5000, -0.2500,  1.0000, -0.5000]]])
    """
    w = _single(f)
    outputs, inputs, taps = w.shape
    conv = nn.Conv1d(inputs, outputs, taps, bias=False, padding=taps - 1, dtype=w.dtype, device=w.device)
    conv.weight.data.copy_(w.flip(-1))
    return conv


def to_c_header(f: Any, name: str) -> str:
    """Return a filter's weights as a C header, to as many digits as give the same numbers back.

    Parameters
    ----------
    f : LinearFilter or FrequencyFilter
        A filter without batch, features, feedback and sps > 1.
    name : str
        Name of the array, a C identifier that is no keyword; the macros are in its capitals.

    Returns
    -------
    str
        The header: an array of outputs x inputs x taps numbers, newest sample first, float or double as the filter;
        complex weights are pairs of real and imaginary part.

    Raises
    ------
    TypeError, ValueError
        If the filter is not a convolution of its input, or is a batch, or name is no C identifier or a keyword.

    Examples
    --------
    >>> import torch, adaptfilt as af
    >>> print(af.export.to_c_header(af.NLMS(2, w0=torch.tensor([0.5, -0.25])), "room"))
    #ifndef ROOM_H
    #define ROOM_H
    <BLANKLINE>
    #define ROOM_OUTPUTS 1
    #define ROOM_INPUTS 1
    #define ROOM_TAPS 2
    <BLANKLINE>
    /* NLMS, y[n] = sum_k room[k] x[n - k] */
    static const float room[2] = {
        5.00000000e-01f,
        -2.50000000e-01f,
    };
    <BLANKLINE>
    #endif
    <BLANKLINE>
    """
    if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z]\w*", name, re.ASCII)) or name in C_KEYWORDS:
        raise ValueError(f"name must be a C identifier and no keyword, got {name!r}")
    w = _single(f)
    numbers = (torch.view_as_real(w) if w.is_complex() else w).flatten().tolist()
    single = w.dtype.to_real() == torch.float32
    kind, digits, end = ("float", 8, "f") if single else ("double", 16, "")
    sizes = zip(("OUTPUTS", "INPUTS", "TAPS"), w.shape, strict=True)
    pairs = ", real and imaginary parts in turn" if w.is_complex() else ""
    big = name.upper()
    return "\n".join(
        [
            f"#ifndef {big}_H",
            f"#define {big}_H",
            "",
            *(f"#define {big}_{what} {size}" for what, size in sizes),
            "",
            f"/* {type(f).__name__}, y[n] = sum_k {name}[k] x[n - k]{pairs} */",
            f"static const {kind} {name}[{len(numbers)}] = {{",
            *(f"    {number:.{digits}e}{end}," for number in numbers),
            "};",
            "",
            "#endif",
            "",
        ]
    )


class Frozen(nn.Module):
    """A filter that adapts no more, as a function of a block and of the samples before it.

    Parameters
    ----------
    f : LinearFilter or FrequencyFilter
        A filter without features, feedback and sps > 1.

    Raises
    ------
    TypeError, ValueError
        If the filter is not a convolution of its input.

    Examples
    --------
    >>> import torch, adaptfilt as af
    >>> frozen = af.export.Frozen(af.NLMS(2, w0=torch.tensor([0.5, -0.25])))
    >>> y, past = frozen(torch.tensor([1.0, 0.0]), torch.zeros(1))
    >>> y, past = frozen(torch.tensor([2.0]), past)
    >>> y
    tensor([1.])
    """

    kernel: Tensor  # (filters, inputs, M), oldest first

    def __init__(self, f: Any) -> None:
        super().__init__()
        w = _weights(f)
        self.batch, self.outputs, self.inputs, self.taps = f.batch, f.outputs, f.inputs, w.shape[-1]
        self.streams = math.prod(self.batch)
        self.register_buffer("kernel", w.flatten(0, -3).flip(-1).contiguous())

    def forward(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """Filter a block, (*batch, [inputs,] T), after the M - 1 samples of `past`; return y and the next past."""
        channels, T = self.streams * (self.inputs or 1), x.shape[-1]
        stream = torch.cat([past.reshape(channels, self.taps - 1), x.reshape(channels, T)], -1)
        y = nn.functional.conv1d(stream[None], self.kernel, groups=self.streams)
        outputs = () if self.outputs is None else (self.outputs,)
        return y.reshape(*self.batch, *outputs, T), stream[:, T:].reshape(past.shape)


def exported(f: Any) -> torch.export.ExportedProgram:
    """Return a filter that adapts no more as a program of `torch.export`, for blocks of any length from 1 on.

    Parameters
    ----------
    f : LinearFilter or FrequencyFilter
        A filter without features, feedback and sps > 1.

    Returns
    -------
    torch.export.ExportedProgram
        From (x, past) to (y, past): a block (*batch, [inputs,] T) and the M - 1 samples before it, zeros at the
        start, as in `Frozen`; with T = 1 it is one step of a stream. `torch.export.save` writes it to a file.

    Raises
    ------
    TypeError, ValueError
        If the filter is not a convolution of its input.

    Examples
    --------
    >>> import torch, adaptfilt as af
    >>> program = af.export.exported(af.NLMS(2, w0=torch.tensor([0.5, -0.25]))).module()
    >>> program(torch.tensor([1.0, 0.0, 2.0]), torch.zeros(1))[0]
    tensor([ 0.5000, -0.2500,  1.0000])
    """
    frozen = Frozen(f)
    lead = (*frozen.batch, *(() if frozen.inputs is None else (frozen.inputs,)))
    kind: Any = {"dtype": frozen.kernel.dtype, "device": frozen.kernel.device}
    example = (torch.zeros(*lead, 16, **kind), torch.zeros(*lead, frozen.taps - 1, **kind))
    time = {len(lead): torch.export.Dim("T", min=1)}
    return torch.export.export(frozen, example, dynamic_shapes=(time, None))


def _weights(f: Any) -> Tensor:
    """Return the weights, (*batch, outputs, inputs, M), of a filter that is a convolution of its input."""
    if not isinstance(f, LinearFilter | FrequencyFilter):
        raise TypeError(f"f must be a LinearFilter or a FrequencyFilter, got {type(f).__name__}")
    for name, none in (("features", None), ("feedback", 0), ("sps", 1)):
        if getattr(f, name, none) != none:
            raise ValueError(f"{type(f).__name__} with {name} is not a convolution of its input: it cannot be exported")
    w = f.w.detach().clone()
    w = w if f.inputs is not None else w.unsqueeze(-2)
    return w if f.outputs is not None else w.unsqueeze(-3)


def _single(f: Any) -> Tensor:
    """Return the weights, (outputs, inputs, M), of one filter."""
    w = _weights(f)
    if f.batch:
        raise ValueError(
            f"f must be one filter, got a batch of {tuple(f.batch)}: give a filter whose w0 is one of its rows"
        )
    return w
