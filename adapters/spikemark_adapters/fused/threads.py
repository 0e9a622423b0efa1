"""Runs a kernel on the threads of torch's own pool.

Torch keeps its threads awake for a while after each operation. A second pool (numba's, or one of Python threads) would
compete with them for the cores and start late, so kernels run as one more parallel region of the OpenMP runtime that
torch itself is linked with. Every OpenMP runtime that speaks the GNU interface has ``GOMP_parallel``.
"""

from __future__ import annotations

import ctypes
import logging
from typing import Any

import torch

from spikemark_adapters.fused.machine import Compiled

_log = logging.getLogger(__name__)


def _openmp() -> Any:
    """``GOMP_parallel(function, argument, threads, flags)`` of torch's own runtime, or None."""
    assert torch._C.__file__ is not None
    # A symbol looked up in a library is found in the libraries that it was linked with, too.
    parallel = getattr(ctypes.CDLL(torch._C.__file__), "GOMP_parallel", None)
    if parallel is None:
        _log.warning("this build of torch has no OpenMP runtime with the GNU interface: fused layers use one thread")
    else:
        parallel.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)
        parallel.restype = None
    return parallel


_parallel = _openmp()


def run(kernel: Compiled, argument: int, threads: int) -> None:
    """Call `kernel` with the address `argument`, once on each of `threads` threads; returns when all are done.

    Args:
        kernel: takes one address, and divides the work among its callers itself.
        argument: the address.
        threads: how many; one where torch has no pool.
    """
    if threads == 1 or _parallel is None:
        kernel.call(argument)
    else:
        _parallel(kernel.address, argument, threads, 0)
