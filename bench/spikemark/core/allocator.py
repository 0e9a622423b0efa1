"""Memory that the C library keeps, so that a step does not pay for memory that the step before gave back."""

from __future__ import annotations

import ctypes
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # Of ``malloc.h``.
_LARGEST = 2**30


@cache
def keep_freed_memory() -> bool:
    """Have the C library keep up to 1 GiB of what is freed, in this process, from now on.

    Left to itself, glibc gives large blocks back to the system when they are freed, and every page of the next tensor
    then costs a page fault: up to a third of a training step of the small networks here, in some processes and not in
    others (docs/performance.md).

    Returns:
        Whether this C library takes the advice; only glibc does.
    """
    advise = getattr(ctypes.CDLL(None), "mallopt", None)
    return advise is not None and all(advise(what, _LARGEST) for what in (_TRIM_THRESHOLD, _MMAP_THRESHOLD))
