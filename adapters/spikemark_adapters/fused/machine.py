"""From LLVM's intermediate code to machine code for the CPU at hand, in this process."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import llvmlite.binding as llvm

NAME = "kernel"  # Of the function.


@dataclass(frozen=True)
class Compiled:
    """Machine code for ``void (void *)``.

    Attributes:
        address: of the function, for callers in other languages.
        call: the function, for Python; takes the address of its argument.
        owner: of the memory that the code lies in.
    """

    address: int
    call: Callable[[int], None]
    owner: Any


def compiled(text: str) -> Compiled:
    """The machine code of a module with a function `NAME`."""
    _initialize()
    cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    target = llvm.Target.from_default_triple()
    machine = target.create_target_machine(cpu=cpu, features=features, opt=3, jit=True)
    module = llvm.parse_assembly(text)
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = options.loop_unrolling = False
    llvm.create_pass_builder(machine, options).getModulePassManager().run(
        module, llvm.create_pass_builder(machine, options)
    )
    engine = llvm.create_mcjit_compiler(module, machine)
    engine.finalize_object()
    address = engine.get_function_address(NAME)
    return Compiled(address, ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address), engine)


@cache
def _initialize() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
