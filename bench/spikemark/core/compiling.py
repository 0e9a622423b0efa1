"""Loops that numba compiles: once per machine where the machine code can be kept, otherwise once per process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """The function as machine code of one thread; argument types are inferred at the first call.

    The code is cached beside the source, else in the home, or where ``NUMBA_CACHE_DIR`` says. A read-only installation
    of a user without a home has neither place: there it is compiled anew in every process.
    """
    import numba  # takes a second, and the first compilation more: only who runs such a loop should pay

    try:
        machine_code = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    except RuntimeError:  # "cannot cache function: no locator available"
        machine_code = numba.njit(nogil=True, error_model="numpy")(function)
    return cast("Function", machine_code)
