"""Each law of `adaptfilt.testing` on a filter that breaks it, and what `check` says."""

import ast
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import adaptfilt as af
from adaptfilt import testing
from adaptfilt.engines.words import abs2
from conftest import on_the_reference


class Forgets(af.NLMS):
    """Starts each block from silence."""

    def forward(self, x: Any, d: Any, **more: Any) -> Any:
        self.line.reset()
        return super().forward(x, d, **more)


class RoughSteps(af.NLMS):
    """Steps with another error than a block has."""

    def step(self, x: Any, d: Any) -> Any:
        return super().step(x, d * 1.001)


class RoughHalves(af.NLMS):
    """Adapts on another error than a block has."""

    def adapt(self, e: Any) -> None:
        super().adapt(e * 1.001)


class Mixes(af.NLMS):
    """Gives every filter of a batch the mean output."""

    def forward(self, x: Any, d: Any, **more: Any) -> Any:
        out = super().forward(x, d, **more)
        return out._replace(y=out.y * 0 + out.y.mean(0)) if self.batch else out


class Counts(af.NLMS):
    """Carries the number of samples outside its saved state, and forgets it in no reset."""

    seen = 0

    def forward(self, x: Any, d: Any, **more: Any) -> Any:
        self.seen += len(x)
        return super().forward(x, d + 1e-3 * self.seen, **more)


class AdaptsInEval(af.NLMS):
    """Knows no `eval` mode."""

    def forward(self, x: Any, d: Any, **more: Any) -> Any:
        return self.train().__class__.__mro__[1].forward(self, x, d, **more)


class Deaf(af.NLMS):
    """Ignores the step size of the call."""

    def forward(self, x: Any, d: Any, *, mu: Any = None, **more: Any) -> Any:
        return super().forward(x, d, **more)


class ResetsAll(af.NLMS):
    """Knows no streams when it is reset."""

    def reset(self, mask: Any = None) -> Any:
        return super().reset()


class Deafened(af.NLMS):
    """Hears its first input alone."""

    def forward(self, x: Any, d: Any, **more: Any) -> Any:
        if self.inputs and self.features is None:
            x = x * np.array([[1.0], [0.0]])
        return super().forward(x, d, **more)


class Averages(af.NLMS):
    """Gives every output the mean of all desired signals."""

    def forward(self, x: Any, d: Any, **more: Any) -> Any:
        return super().forward(x, d if self.outputs is None else 0 * d + d.mean(-2), **more)


class Forgetful(af.NLMS):
    """Takes one conjugate too many."""

    def forward(self, x: Any, d: Any = None, **more: Any) -> Any:
        return super().forward(x, d + 0.1j * abs(d) if self.dtype.is_complex else d, **more)


def constant_modulus(y: Any) -> Any:
    return y * (1 - abs2(y))


def lopsided_modulus(y: Any) -> Any:
    return y * (1 - abs2(y)) + 0.01 * abs2(y)


def blind_gain(e: Any, mu: Any) -> Any:
    return mu * e


class Godard(af.LinearFilter):
    """The constant-modulus algorithm."""

    algorithm = af.Algorithm(gain=blind_gain, error=constant_modulus)
    ranges = {"mu": {}, "leak": {}}

    @classmethod
    def example(cls, **common: Any) -> Any:
        return cls(4, {"mu": 0.01, "leak": 0.0}, w0=spike(common), **common)


def spike(common: Any) -> torch.Tensor:
    """Weights of one at the second tap."""
    batch = common.get("batch", ())
    w0 = torch.zeros(*((batch,) if isinstance(batch, int) else batch), 4, dtype=torch.float64)
    w0[..., 1] = 1
    return w0


class Lopsided(Godard):
    """Takes one sign of its output for better than the other."""

    algorithm = af.Algorithm(gain=blind_gain, error=lopsided_modulus)


class Leaks(af.NLMS):
    """Leaks in its own example."""

    @classmethod
    def example(cls, **common: Any) -> Any:
        return cls(4, 0.5, leak=0.01, **common)


class OneEngine(af.NLMS):
    """Is not itself on the compiled engine."""

    def forward(self, x: Any, d: Any, **more: Any) -> Any:
        out = super().forward(x, d, **more)
        return out._replace(y=out.y * 1.001) if self.engine == "compiled" else out


class ChangesFirst(af.NLMS):
    """Changes its weights before the input is checked."""

    def forward(self, x: Any, d: Any, **more: Any) -> Any:
        self.w = self.w * 1.001
        return super().forward(x, d, **more)


class LetsNaNIn(af.NLMS):
    """Takes a sample to be passed over for zero and adapts."""

    def forward(self, x: Any, d: Any, **more: Any) -> Any:
        return super().forward(x, np.nan_to_num(d, posinf=0.0, neginf=0.0), **more)


class Overwrites(af.NLMS):
    """Takes the input for scratch."""

    def forward(self, x: Any, d: Any, **more: Any) -> Any:
        out = super().forward(x, d, **more)
        if getattr(getattr(d, "flags", None), "writeable", True):
            d[:] = 0
        return out


class SharesWeights(af.NLMS):
    """Returns its weights, not a copy."""

    def forward(self, x: Any, d: Any, **more: Any) -> Any:
        out = super().forward(x, d, **more)
        return out if "record_every" in more or isinstance(x, torch.Tensor) else out._replace(w=self.w.numpy())


BROKEN: list[tuple[Callable[..., None], type, torch.dtype]] = [
    (testing.any_split_equals_one_block, Forgets, torch.float64),
    (testing.single_samples_equal_a_block, RoughSteps, torch.float64),
    (testing.single_samples_equal_a_block, RoughHalves, torch.complex64),
    (testing.a_batch_is_a_loop_over_its_rows, Mixes, torch.float64),
    (testing.a_copy_and_a_saved_state_go_on_bit_for_bit, Counts, torch.float64),
    (testing.reset_equals_a_fresh_filter, Counts, torch.float64),
    (testing.a_fixed_filter_is_lfilter, AdaptsInEval, torch.float64),
    (testing.a_frozen_filter_stands_still, Deaf, torch.float64),
    (testing.reset_of_some_streams_leaves_the_others, ResetsAll, torch.float64),
    (testing.several_inputs_are_one_long_regressor, Deafened, torch.float64),
    (testing.several_outputs_are_filters_side_by_side, Averages, torch.float64),
    (testing.the_conjugate_gives_the_conjugate, Forgetful, torch.complex64),
    (testing.a_quarter_turn_of_a_blind_input_turns_the_output, Lopsided, torch.float64),
    (testing.silence_leaves_the_weights_alone, Leaks, torch.complex64),
    (testing.every_engine_equals_the_reference, OneEngine, torch.float64),
    (testing.nan_is_refused_and_changes_nothing, ChangesFirst, torch.float64),
    (testing.nan_is_passed_over, LetsNaNIn, torch.float64),
    (testing.inputs_are_never_changed, Overwrites, torch.float64),
    (testing.records_are_the_weights_after_every_so_many_samples, SharesWeights, torch.float64),
]


def test_every_law_is_tried_on_a_filter_that_breaks_it() -> None:
    assert {law for law, _, _ in BROKEN} == set(testing.LAWS)


@pytest.mark.parametrize(("law", "cls", "dtype"), BROKEN, ids=lambda v: getattr(v, "__name__", None))
def test_a_broken_law_is_named_with_class_and_dtype(law: Callable[..., None], cls: type, dtype: torch.dtype) -> None:
    law(Godard if issubclass(cls, Godard) else af.NLMS, dtype)
    name = law.__name__.replace("_", " ")
    with pytest.raises(AssertionError, match=f"^{name}: {cls.__name__}, {str(dtype).removeprefix('torch.')}: "):
        law(cls, dtype)


def test_check_lists_all_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    on_the_reference(monkeypatch)
    with pytest.raises(AssertionError) as raised:
        testing.check(Leaks, dtypes=[torch.float64, torch.complex64])
    lines = str(raised.value).splitlines()
    found = [line.split(":")[0] + line.split(":")[1] for line in lines if line.startswith("- ")]
    silence = "- silence leaves the weights alone Leaks, "
    assert lines[0] == f"Leaks fails {len(found)} of {2 * len(testing.LAWS)} checks:"
    assert [f for f in found if f.startswith(silence)] == [silence + "float64", silence + "complex64"]


def test_a_law_that_cannot_run_has_failed() -> None:
    class Stubborn(af.NLMS):
        @classmethod
        def example(cls, **common: Any) -> Any:
            raise KeyError("no example today")

    with pytest.raises(AssertionError, match=f"fails {len(testing.LAWS)} of {len(testing.LAWS)}.*\n.*KeyError"):
        testing.check(Stubborn, dtypes=[torch.complex64])


@pytest.mark.parametrize(
    ("cls", "match"),
    [
        (af.LinearFilter, r"LinearFilter must have a classmethod example\(cls, \*\*common\)"),
        (torch.nn.Linear, "cls must be a subclass of af.AdaptiveFilter, got .*Linear"),
        (af.NLMS(4), "cls must be a subclass of af.AdaptiveFilter, got NLMS"),
    ],
)
def test_what_cannot_be_checked_is_a_type_error(cls: Any, match: str) -> None:
    with pytest.raises(TypeError, match=match):
        testing.check(cls)


def test_a_wrong_dtype_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="dtype must be one of"):
        testing.check(af.NLMS, dtypes=[torch.int32])


def test_a_file_of_ones_own_is_checked_without_pytest_and_in_silence(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        """
import sys, torch, adaptfilt as af

class Mine(af.NLMS):
    pass

class Leaky(af.NLMS):
    @classmethod
    def example(cls, **common):
        return cls(4, 0.5, leak=0.01, **common)

if af.testing.check(Mine, dtypes=[torch.float64]) is not None or "pytest" in sys.modules:
    sys.exit(1)
try:
    af.testing.check(Leaky, dtypes=[torch.float64])
except AssertionError:
    sys.exit(7)
"""
    )
    done = subprocess.run([sys.executable, file], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (7, "", "")


def test_no_law_is_an_assert_statement_which_python_O_would_drop() -> None:
    for file in Path(testing.__file__).parent.glob("*.py"):
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(file.read_text())))


def test_a_filter_with_other_taps_and_with_features_keeps_the_laws() -> None:
    class Short(af.NLMS):
        @classmethod
        def example(cls, **common: Any) -> Any:
            return cls(1, 0.5, **common)

    class Quadratic(af.NLMS):
        @classmethod
        def example(cls, **common: Any) -> Any:
            return cls(2, 0.5, features=af.Volterra(2), **common)

    testing.check(Short, dtypes=[torch.float64])
    testing.check(Quadratic, dtypes=[torch.float64])
