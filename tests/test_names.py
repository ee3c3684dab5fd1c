"""What a newcomer sees at the prompt: the names of `dir(af)` and the signatures of `help`."""

import inspect
import operator
import pydoc
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import adaptfilt as af
from conftest import FILTERS, each


def functions(owner: Any, name: str) -> Iterator[Any]:
    """Every function with a signature of ours in a class or a module of the library."""
    for key, member in vars(owner).items():
        if inspect.isfunction(member) and member.__module__.startswith("adaptfilt"):
            yield pytest.param(member, id=f"{name}.{key}")
        elif isinstance(owner, ModuleType) and inspect.isclass(member) and member.__module__ == owner.__name__:
            yield from functions(member, f"{name}.{key}")


FUNCTIONS = [p for name in af.__all__ for p in functions(getattr(af, name), name)]


def test_dir_shows_what_is_public() -> None:
    assert dir(af) == sorted(af.__all__)
    assert all(hasattr(af, name) for name in dir(af))
    assert "NLMS" in pydoc.render_doc(af)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'testting'"):
        _ = af.testting


@pytest.mark.parametrize("function", FUNCTIONS)
def test_each_annotation_is_a_name_one_can_read(function: Any) -> None:
    signature = inspect.signature(function)
    for annotation in (signature.return_annotation, *(p.annotation for p in signature.parameters.values())):
        assert len(inspect.formatannotation(annotation)) <= 100


def test_help_of_forward_is_readable() -> None:
    line = pydoc.plain(pydoc.render_doc(af.NLMS.forward)).splitlines()[2]
    assert line.startswith(
        "forward(self, x: numpy.ndarray | torch.Tensor, d: numpy.ndarray | torch.Tensor | None = None, "
    )
    assert len(line) <= 240


@each(FILTERS)
def test_a_wrong_name_is_refused_by_the_class_that_was_called(cls: Any) -> None:
    with pytest.raises(TypeError, match=f"^{cls.__name__} takes no argument batsh: is batch meant"):
        cls.example(batsh=2)
    f, x = cls.example(), np.ones(3, np.float32)
    with pytest.raises(TypeError, match=f"^a call of {cls.__name__} takes no argument record: is record_every meant"):
        f(x, x, record=1)
    with pytest.raises(
        TypeError, match=f"^{cls.__name__} is called with x, d and by name mu=, .* got False .* freezes"
    ):
        f(x, x, False)


def test_functions_and_equalisers_say_what_they_take() -> None:
    with pytest.raises(TypeError, match="NLMS takes no argument record_evry: is record_every meant"):
        af.nlms(np.ones(3), np.ones(3), 2, record_evry=1)
    with pytest.raises(TypeError, match="Equalizer takes no argument engin: is engine meant"):
        af.Equalizer(3, af.Constellation.pam(2), engin="reference")
    with pytest.raises(TypeError, match="LMS takes no argument foo: it takes taps, mu, leak, w0, features, sps"):
        af.LMS(3, 0.1, foo=1)


def test_a_number_is_shown_however_it_is_given() -> None:
    assert "mu=0.1, " in repr(af.NLMS(4, torch.tensor(0.1)))
    assert "mu=Tensor(2,), " in repr(af.NLMS(4, torch.tensor([0.1, 0.2]), batch=2))


PADASIP = """FilterAP FilterGMCC FilterGNGD FilterLMF FilterLMS FilterLlncosh FilterNLMF FilterNLMS FilterNSSLMS
    FilterOCNLMS FilterRLS FilterSSLMS FilterVSLMS_Ang FilterVSLMS_Benveniste FilterVSLMS_Mathews"""
MATLAB = """AdaptiveLatticeFilter AffineProjectionFilter BlockLMSFilter FastTransversalFilter FilteredXLMSFilter
    FrequencyDomainAdaptiveFilter KalmanFilter LMSFilter RLSFilter"""
PYDAPTIVEFILTERING = """AffineProjection AffineProjectionCM BilinearRLS CFDLMS CMA ComplexRBF DLCLLMS DualSign
    ErrorEquation FastRLS GaussNewton GaussNewtonGradient Godard Kalman LMS LMSNewton LRLSErrorFeedback LRLSPosteriori
    LRLSPriori MultilayerPerceptron NLMS NormalizedLRLS OLSBLMS Power2ErrorLMS QRRLS RBF RLS RLSAlt RLSIIR
    SMAffineProjection SMBNLMS SMNLMS Sato SignData SignError SimplifiedSMAP SimplifiedSMPUAP StabFastRLS
    SteiglitzMcBride TDomainDCT TDomainDFT TDomainLMS VolterraLMS VolterraRLS"""
METHODS = [  # of MATLAB's filters
    *("Sign-Error LMS", "Sign-Data LMS", "Sign-Sign LMS", "Normalized LMS", "Householder RLS", "Sliding-window RLS"),
    *("Householder sliding-window RLS", "QR decomposition", "Sliding-window fast transversal least-squares"),
    *("Least-squares Lattice", "QR-decomposition Least-squares Lattice", "Gradient Adaptive Lattice"),
    "Unconstrained FDAF",
]
NOTATION = (Path(__file__).resolve().parents[1] / "docs" / "notation.md").read_text()


@pytest.mark.parametrize(
    ("heading", "names"),
    [
        ("From padasip", PADASIP),
        ("From MATLAB's DSP System Toolbox", MATLAB),
        ("From pydaptivefiltering", PYDAPTIVEFILTERING),
    ],
)
def test_the_page_on_notation_has_every_filter_of_others(heading: str, names: str) -> None:
    table = re.search(rf"^## {heading}\n(.*?)^## |\Z", NOTATION + "\n## ", re.MULTILINE | re.DOTALL)
    theirs = " ".join(re.findall(r"^\| (.*?) \| ", table[1], re.MULTILINE))  # type: ignore[index]
    assert [name for name in names.split() if not re.search(rf"\b{name}\b", theirs)] == []


def test_the_page_on_notation_has_every_method_of_matlabs_filters() -> None:
    assert [method for method in METHODS if f"'{method}'" not in NOTATION] == []


def test_the_page_on_notation_names_what_is_there() -> None:
    for name in set(re.findall(r"\baf\.([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)", NOTATION)):
        assert operator.attrgetter(name)(af), name
