"""Numba's compiler for functions that only other compiled functions call: they get no machine code of their own.

Numba optimises each function with all that it calls, makes machine code of it, and does the same again for its caller.
A part is only optimised by itself, which is cheap, and then linked into what calls it: LLVM's whole optimisation and
the machine code are made once, for the entry. That is faster to compile, and faster code.
"""

from typing import Any

from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import AnalysisPass, register_pass
from numba.core.typed_passes import NativeLowering


class _Library(JITCodeLibrary):
    """LLVM code to be linked into other code."""

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True


@register_pass(mutates_CFG=False, analysis_only=True)
class _MakeKnown(AnalysisPass):
    """Tell Numba where calls of the function find its code: by a built-in function of its own, which nobody calls."""

    _name = "adaptfilt_make_known"

    def __init__(self) -> None:
        super().__init__()

    def run_pass(self, state: Any) -> bool:
        nothing: list[Any] = []
        stand_in = nothing.append
        state.targetctx.insert_user_function(stand_in, state.cr.fndesc, [state.library])
        state.cr = state.cr._replace(cfunc=stand_in)
        return False


class Part(CompilerBase):
    """Numba's own passes, without machine code at the end; the option ``pipeline_class`` of ``numba.njit``."""

    def define_pipelines(self) -> list[Any]:
        """Return the passes."""
        self.state.flags.no_compile = True
        self.state.library = _Library(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        passes = DefaultPassBuilder.define_nopython_pipeline(self.state)
        passes.add_pass_after(_MakeKnown, NativeLowering)
        passes.finalize()
        return [passes]
