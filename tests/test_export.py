"""What is exported is run, and gives what the filter gives."""

import io
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

import adaptfilt as af

KINDS = [torch.float32, torch.float64, torch.complex64, torch.complex128]
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-14}  # of sums of nine products below 1 in size
AXES: list[dict[str, Any]] = [{}, {"inputs": 2}, {"outputs": 3}, {"inputs": 2, "outputs": 3}]


def noise(shape: tuple[int, ...], dtype: torch.dtype, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def trained(taps: int, dtype: torch.dtype, cls: Any = af.NLMS, **common: Any) -> Any:
    """A filter with asymmetric weights in every channel."""
    f = cls(taps, dtype=dtype, engine="reference", **common)
    f.w.copy_(noise(tuple(f.w.shape), dtype) / 4)
    return f


def block(f: Any, samples: int) -> torch.Tensor:
    inputs = () if f.inputs is None else (f.inputs,)
    return noise((*f.batch, *inputs, samples), f.dtype, 1)


def near(a: Any, b: Any) -> None:
    assert a.dtype == b.dtype
    torch.testing.assert_close(a, b, rtol=0, atol=20 * TOLERANCE[a.dtype.to_real()])


@pytest.mark.parametrize("axes", AXES, ids=str)
@pytest.mark.parametrize("dtype", KINDS)
@pytest.mark.parametrize("taps", [1, 9])
def test_conv1d(taps: int, dtype: torch.dtype, axes: dict[str, int]) -> None:
    f = trained(taps, dtype, **axes)
    x = block(f, 33)
    y = af.export.to_conv1d(f)(x.reshape(1, f.inputs or 1, 33))[0, :, :33]
    y_f = again(f, x)
    near(y.detach().reshape(y_f.shape), y_f)


def again(f: Any, x: torch.Tensor) -> torch.Tensor:
    """The filter's output from rest."""
    w = f.w.clone()
    f.reset()
    f.w.copy_(w)
    return f.filter(x)


@pytest.mark.parametrize("axes", [*AXES, {"batch": (2, 2), "inputs": 2, "outputs": 3}, {"batch": 3}], ids=str)
@pytest.mark.parametrize("dtype", KINDS)
def test_the_exported_program_streams(dtype: torch.dtype, axes: dict[str, Any]) -> None:
    f = trained(9, dtype, **axes)
    file = io.BytesIO()
    torch.export.save(af.export.exported(f), file)
    file.seek(0)
    program = torch.export.load(file).module()
    x = block(f, 33)
    past, parts = torch.zeros_like(x[..., :8]), []
    for part in x.split([1, 2, 20, 1, 9], -1):
        y, past = program(part, past)
        parts.append(y)
    near(torch.cat(parts, -1), again(f, x))


def test_frozen_takes_single_samples() -> None:
    f = trained(9, torch.float64)
    frozen, x = af.export.Frozen(f), block(f, 33)
    past, parts = torch.zeros(8, dtype=torch.float64), []
    for x_n in x.split(1):
        y, past = frozen(x_n, past)
        parts.append(y)
    near(torch.cat(parts), again(f, x))


def test_a_frequency_domain_filter() -> None:
    x = noise((256,), torch.float64)
    f = af.FDAF(16, 0.5, block=8, dtype=torch.float64, engine="reference")
    f(x, 0.5 * x)
    y = af.export.to_conv1d(f)(x.reshape(1, 1, -1)).detach()[0, 0, :256]
    fixed = af.FDAF(16, 0.5, block=8, w0=f.w.clone(), dtype=torch.float64, engine="reference")
    near(y, fixed.filter(x))


@pytest.mark.parametrize("f", [trained(9, torch.float64), trained(9, torch.float64, af.RLS), af.FDAF.example()])
def test_the_method_is_the_function(f: Any) -> None:
    conv, same = f.to_fir(), af.export.to_conv1d(f)
    assert torch.equal(conv.weight, same.weight)
    assert conv.padding == same.padding
    with pytest.raises(TypeError, match="got Notch"):
        af.Notch([0.5]).to_fir()


def test_the_weights_are_what_scipy_takes() -> None:
    f = trained(9, torch.complex128)
    x = block(f, 33)
    near(torch.from_numpy(lfilter(f.w.numpy(), 1, x.numpy())), again(f, x))


MAIN = """
#include <stdio.h>
#include "found.h"
int main(void) {
    REAL x[33 * WIDTH];
    for (int i = 0; i < 33 * WIDTH; i++) if (scanf(SCAN, &x[i]) != 1) return 1;
    for (int n = 0; n < 33; n++) {
        REAL re = 0, im = 0;
        for (int k = 0; k < FOUND_TAPS && k <= n; k++) {
            const REAL *w = &found[k * WIDTH], *u = &x[(n - k) * WIDTH];
            re += w[0] * u[0] - (WIDTH == 2 ? w[WIDTH - 1] * u[WIDTH - 1] : 0);
            im += WIDTH == 2 ? w[0] * u[WIDTH - 1] + w[WIDTH - 1] * u[0] : 0;
        }
        printf("%.17g %.17g\\n", (double)re, (double)im);
    }
    return 0;
}
"""


@pytest.mark.parametrize("dtype", KINDS)
def test_a_c_program_filters_with_the_header(dtype: torch.dtype, tmp_path: Path) -> None:
    cc = shutil.which("cc")
    if cc is None:
        pytest.skip("there is no C compiler, cc, to try the header with")
    f = trained(9, dtype)
    (tmp_path / "found.h").write_text(af.export.to_c_header(f, "found"))
    (tmp_path / "main.c").write_text(MAIN)
    real, scan = ("float", '"%f"') if dtype.to_real() == torch.float32 else ("double", '"%lf"')
    defines = [f"-DREAL={real}", f"-DSCAN={scan}", f"-DWIDTH={1 + dtype.is_complex}"]
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([cc, *strict, *defines, "main.c", "-o", "main"], cwd=tmp_path, check=True)
    x = block(f, 33)
    numbers = (torch.view_as_real(x) if dtype.is_complex else x).flatten().tolist()
    run = subprocess.run(
        [tmp_path / "main"], input="\n".join(map(repr, numbers)), capture_output=True, text=True, check=True
    )
    re, im = np.loadtxt(io.StringIO(run.stdout)).T
    near(torch.from_numpy(re + 1j * im if dtype.is_complex else re).to(dtype), again(f, x))


@pytest.mark.parametrize("dtype", KINDS)
def test_the_header_has_every_bit_in_the_order_of_the_axes(dtype: torch.dtype) -> None:
    f = trained(4, dtype, inputs=2, outputs=3)
    header = af.export.to_c_header(f, "w")
    numbers = [float(line.strip(" f,")) for line in header.splitlines() if line.startswith("    ")]
    w = torch.view_as_real(f.w) if dtype.is_complex else f.w
    assert torch.equal(torch.tensor(numbers, dtype=torch.float64).to(w.dtype), w.flatten())


def test_the_copy_does_not_follow_the_filter() -> None:
    f = trained(4, torch.float64)
    before, conv, frozen = f.w.clone(), af.export.to_conv1d(f), af.export.Frozen(f)
    x = block(f, 100)
    f(x, -x)
    assert torch.equal(conv.weight[0, 0].flip(0), before)
    assert torch.equal(frozen.kernel[0, 0].flip(0), before)


@pytest.mark.parametrize("export", [af.export.to_conv1d, lambda f: af.export.to_c_header(f, "w"), af.export.exported])
def test_what_is_no_convolution_is_refused(export: Any) -> None:
    with pytest.raises(TypeError, match="f must be a LinearFilter or a FrequencyFilter, got Notch"):
        export(af.Notch([0.5]))
    with pytest.raises(ValueError, match="NLMS with sps"):
        export(af.NLMS(3, sps=2))
    with pytest.raises(ValueError, match="NLMS with features"):
        export(af.NLMS(3, features=af.Volterra(3)))
    with pytest.raises(ValueError, match="DFE with feedback"):
        export(af.DFE.example())


def test_a_batch_and_a_bad_name_are_refused() -> None:
    with pytest.raises(ValueError, match=r"f must be one filter, got a batch of \(2,\)"):
        af.export.to_conv1d(af.NLMS(3, batch=2))
    for name in ("2w", "a-b", "", "ü", 3, "int", "bool", "w\n"):
        with pytest.raises(ValueError, match="name must be a C identifier"):
            af.export.to_c_header(af.NLMS(3), name)  # type: ignore[arg-type]
