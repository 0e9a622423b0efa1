"""How many values of a tensor are nonzero, feature by feature, and whether they are all ones: exactly, in one pass.

Counting must cost little beside inference, and inference on spikes is bound by memory as much as counting is. On the
CPU a compiled loop therefore reads 32-bit floats once; for everything else there is a slower equal in plain PyTorch.
Loading the compiler takes as long as counting hundreds of millions of numbers in plain PyTorch, so a process does that
only when it has counted so many.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikemark.core.compiling import compiled

_UINT8_MAX = 255
_PAYS_FROM = 1 << 28
"""Numbers that a process has counted before it loads the compiler: about half a second's work in plain PyTorch."""


@dataclass(frozen=True)
class Census:
    """What one pass over ``[N, *features]`` tells.

    Attributes:
        nonzero: how many of the N rows are nonzero, for every feature; float64, on the CPU.
        only_ones: whether every nonzero value is 1.
    """

    nonzero: Tensor
    only_ones: bool

    @property
    def total(self) -> int:
        """Nonzero values of all features."""
        return int(self.nonzero.sum())


def census(values: Tensor) -> Census:
    """Count the nonzero values of ``[N, *features]``, on any device and of any real type; NaN is not zero."""
    values = values.detach()
    if values.device.type != "cpu" or values.dtype != torch.float32:
        return _plain(values)
    _work.numbers += values.numel()
    return _compiled(values) if _work.numbers > _PAYS_FROM else _plain(values)


@dataclass
class _Work:
    """What this process has counted of what the compiled loop could count."""

    numbers: int = 0


_work = _Work()


def _compiled(values: Tensor) -> Census:
    rows = values.reshape(len(values), math.prod(values.shape[1:])).contiguous().numpy()
    nonzero = np.zeros(rows.shape[1], dtype=np.int32)
    others = _scan()(rows, nonzero)
    return Census(torch.from_numpy(nonzero).double().reshape(values.shape[1:]), others == 0)


@cache
def _scan() -> Callable[[Any, Any], int]:
    return compiled(_scan_rows)


def _scan_rows(rows: Any, nonzero: Any) -> int:
    """Add the nonzero values of every column to `nonzero`; return how many are neither 0 nor 1."""
    height, width = rows.shape
    others = 0
    whole = height - height % 4
    for i in range(0, whole, 4):  # four rows for one look at the sums
        for j in range(width):
            a, b, c, d = rows[i, j], rows[i + 1, j], rows[i + 2, j], rows[i + 3, j]
            nonzero[j] += (a != 0) + (b != 0) + (c != 0) + (d != 0)
            others += (a != 0) & (a != 1) | (b != 0) & (b != 1) | (c != 0) & (c != 1) | (d != 0) & (d != 1)
    for i in range(whole, height):
        for j in range(width):
            nonzero[j] += rows[i, j] != 0
            others += (rows[i, j] != 0) & (rows[i, j] != 1)
    return others


def _plain(values: Tensor) -> Census:
    nonzero = torch.zeros(values.shape[1:], dtype=torch.int32, device=values.device)
    ones = torch.zeros_like(nonzero)
    # Sums of bytes are many times faster than the 64-bit sums that torch makes of booleans; 255 rows cannot overflow.
    for rows in torch.split(values, _UINT8_MAX):
        nonzero += rows.bool().view(torch.uint8).sum(0, dtype=torch.uint8)
        ones += rows.eq(1).view(torch.uint8).sum(0, dtype=torch.uint8)
    return Census(nonzero.cpu().double(), torch.equal(nonzero, ones))
