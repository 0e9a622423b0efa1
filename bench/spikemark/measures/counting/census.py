"""How many values of a tensor are nonzero, feature by feature, and which magnitudes there are: exactly, in few passes.

Counting must cost little beside inference, and inference on spikes is bound by memory as much as counting is. On the
CPU compiled loops therefore read 32-bit floats once, those that are not all 0 or 1 twice; for everything else there is
a slower equal in plain PyTorch. Loading the compiler takes as long as counting hundreds of millions of numbers in plain
PyTorch, so a process does that only when it has counted so many. Spikes are read by their neurons' count and again by
the layers behind: what is unchanged since is remembered.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from spikemark.core.compiling import compiled

MAX_LEVELS = 64
"""An input with more distinct nonzero magnitudes than this (those of an 8 x 8 average of spikes) is analog."""

_UINT8_MAX = 255
_HEAD = 4
_PAYS_FROM = 1 << 28
"""Numbers that a process has counted before it loads the compiler: about half a second's work in plain PyTorch."""


@dataclass(frozen=True)
class Levels:
    """The magnitudes of values of which there are few different ones.

    Attributes:
        magnitudes: the distinct nonzero ones.
        signed: whether any value is negative.
        sums: of each feature all magnitudes, added up; float64, on the CPU.
    """

    magnitudes: frozenset[float]
    signed: bool
    sums: Tensor


@dataclass(frozen=True)
class Census:
    """What is told of ``[N, *features]``.

    Attributes:
        nonzero: how many of the N rows are nonzero, for every feature; float64, on the CPU.
        total: nonzero values of all features.
        only_ones: whether every nonzero value is 1.
        levels: None where there are more than `MAX_LEVELS`, or nobody asked.
    """

    nonzero: Tensor
    total: int
    only_ones: bool
    levels: Levels | None


def census(values: Tensor, *, levels: bool = True) -> Census:
    """Count the nonzero values of ``[N, *features]``, on any device and of any real type; NaN is not zero.

    Args:
        values: to be counted.
        levels: whether their magnitudes are wanted, too.
    """
    values = values.detach()
    if values.device.type != "cpu" or values.dtype != torch.float32:
        return _plain(values, levels)
    _work.numbers += values.numel()
    return _compiled(values, levels) if _work.numbers > _PAYS_FROM else _plain(values, levels)


class Memory:
    """Censuses of tensors, for as long as these stay what they are.

    A tensor is known again by where it lies and by its version, which every operation in place raises. What writes
    through an alias that has a version of its own (``x.data``) must be told by `forget`.

    Args:
        outside: tensors that others made, who may have aliases; such are remembered while they are nobody else's.
    """

    def __init__(self, outside: Iterable[Tensor] = ()) -> None:
        self._outside = {_place(tensor) for tensor in outside}
        self._never: set[int] = set()
        self._known: dict[int, dict[tuple[int, int, int], tuple[StorageWeakRef, int, bool, Census]]] = {}

    def census(self, values: Tensor, *, levels: bool = True, fresh: bool = False) -> Census:
        """See `census`; `fresh` ones are counted whatever is known of their place."""
        if not values.is_contiguous() or values.is_inference():
            return census(values, levels=levels)
        storage = values.untyped_storage()
        at_hand = storage.data_ptr()
        if at_hand in self._never or (at_hand in self._outside and not _is_sole(storage)):
            return census(values, levels=levels)
        place, version = (values.data_ptr(), len(values), values.numel()), values._version
        of_storage = self._known.setdefault(at_hand, {})
        known = of_storage.get(place)
        if known is not None and not fresh:
            alive, at, asked, found = known
            if at == version and (asked or not levels) and not alive.expired():
                return _shaped(found, values)
        found = census(values, levels=levels)
        of_storage[place] = (StorageWeakRef(storage), version, levels or found.only_ones, found)
        return found

    def forget(self, tensor: Tensor) -> None:
        """Something writes into a tensor."""
        self._known.pop(_place(tensor), None)

    def never(self, tensor: Tensor) -> None:
        """Something has an alias from now on whose writing nobody sees."""
        self.forget(tensor)
        self._never.add(_place(tensor))

    def clear(self) -> None:
        """Anything may have been written."""
        self._known.clear()


def _place(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


_use_count = getattr(torch._C, "_storage_Use_Count", None)
_SOLE = 2  # A tensor and the object that asks.


def _is_sole(storage: torch.UntypedStorage) -> bool:
    """Whether a single tensor uses a storage: no other one, and no array of NumPy that was made of it or it of that."""
    return _use_count is not None and storage.resizable() and _use_count(storage._cdata) == _SOLE


def _shaped(found: Census, values: Tensor) -> Census:
    """What was found of the same numbers, for the shape that they have now."""
    shape = values.shape[1:]
    if found.nonzero.shape == shape:
        return found
    levels = found.levels and Levels(found.levels.magnitudes, found.levels.signed, found.levels.sums.reshape(shape))
    return Census(found.nonzero.reshape(shape), found.total, found.only_ones, levels)


def _of_ones(nonzero: Tensor, total: int) -> Census:
    return Census(nonzero, total, True, Levels(frozenset({1.0} if total else ()), False, nonzero))


@dataclass
class _Work:
    """What this process has counted of what the compiled loops could count."""

    numbers: int = 0


_work = _Work()


def _compiled(values: Tensor, levels: bool) -> Census:
    shape = values.shape[1:]
    blocks = np.from_dlpack(_in_blocks(values))  # `numpy()` would mark the storage as lent, and never unmark it
    counts = np.zeros((len(blocks), blocks.shape[2]), dtype=np.int32)
    others = _scan()(blocks, counts)
    nonzero, total = torch.from_numpy(counts.astype(np.float64)).reshape(shape), int(counts.sum(dtype=np.int64))
    if others == 0:
        return _of_ones(nonzero, total)
    return Census(nonzero, total, False, _compiled_levels(blocks, shape) if levels else None)


def _in_blocks(values: Tensor) -> Tensor:
    """``[N, *features]`` as contiguous ``[blocks, N, width]``: as it lies in memory if that is a batch of matrices."""
    height, *features = values.shape
    if len(features) > 1 and (batch_first := values.movedim(0, -2)).is_contiguous():
        return batch_first.reshape(math.prod(features[:-1]), height, features[-1])
    return values.reshape(1, height, math.prod(features)).contiguous()


def _compiled_levels(blocks: Any, shape: torch.Size) -> Levels | None:
    sums = np.zeros((len(blocks), blocks.shape[2]), dtype=np.float64)
    for part in _PARTS:
        whole = _find_whole()(blocks, np.float32(part), sums)
        if whole:
            levels = frozenset(level / part for level in range(1, _WHOLE) if whole >> level & 1)
            return Levels(levels, False, torch.from_numpy(sums / part).reshape(shape))
        sums[:] = 0
    table = np.zeros(_SLOTS, dtype=np.int32)
    few, signed = _find()(blocks, blocks.view(np.int32), table, sums)
    if not few:
        return None
    return Levels(
        frozenset(table[table != 0].view(np.float32).tolist()), bool(signed), torch.from_numpy(sums).reshape(shape)
    )


@cache
def _scan() -> Callable[[Any, Any], int]:
    return compiled(_scan_rows)


@cache
def _find() -> Callable[[Any, Any, Any, Any], tuple[bool, bool]]:
    return compiled(_find_levels)


@cache
def _find_whole() -> Callable[[Any, Any, Any], int]:
    return compiled(_find_whole_numbers)


def _scan_rows(blocks: Any, nonzero: Any) -> int:
    """Add the nonzero values of every column to `nonzero`; return how many are neither 0 nor 1."""
    _, height, width = blocks.shape
    others = 0
    whole = height - height % 4
    for block in range(len(blocks)):
        rows, sums = blocks[block], nonzero[block]
        for i in range(0, whole, 4):  # four rows for one look at the sums
            for j in range(width):
                a, b, c, d = rows[i, j], rows[i + 1, j], rows[i + 2, j], rows[i + 3, j]
                sums[j] += (a != 0) + (b != 0) + (c != 0) + (d != 0)
                others += (a != 0) & (a != 1) | (b != 0) & (b != 1) | (c != 0) & (c != 1) | (d != 0) & (d != 1)
        for i in range(whole, height):
            for j in range(width):
                sums[j] += rows[i, j] != 0
                others += (rows[i, j] != 0) & (rows[i, j] != 1)
    return others


_WHOLE = 31
"""Whole numbers below this have a place in the bits of one number."""
_PARTS = (1, 4, 16)
"""Sums of spikes are whole numbers; averages over windows of 2 x 2 or 4 x 4 are after a product with one of these."""


def _find_whole_numbers(blocks: Any, parts: Any, sums: Any) -> Any:
    """Add `parts` times the values of every column to `sums`, and find which there are.

    Many times as fast as `_find_levels`, since no step depends on the one before.

    Returns:
        A bit for each product; 0 where one is no small whole number.
    """
    _, height, width = blocks.shape
    found = np.uint32(0)
    for block in range(len(blocks)):
        rows, total = blocks[block], sums[block]
        for i in range(height):
            others = 0
            for j in range(width):
                value = rows[i, j] * parts
                number = np.int32(value if (value >= 0) & (value < _WHOLE) else np.float32(0))
                others += np.float32(number) != value
                found |= np.uint32(1) << np.uint32(number)
                total[j] += number
            if others:
                return np.uint32(0)
    return found


_SLOTS = 256
_INFINITY = 0x7F800000


def _find_levels(blocks: Any, all_bits: Any, table: Any, all_sums: Any) -> tuple[bool, bool]:
    """Put the bits of all nonzero magnitudes into `table`, each once, and add up the magnitudes of every column.

    Args:
        blocks: 32-bit floats.
        all_bits: the same memory as integers.
        table: zeros, `_SLOTS` of them; a magnitude stands where its bits say, or in the next free place.
        all_sums: zeros.

    Returns:
        Whether there are at most `MAX_LEVELS`, none of them NaN (it ends as soon as not); and whether any is negative.
    """
    _, height, width = blocks.shape
    found, signed = 0, False
    for block in range(len(blocks)):
        rows, bits, sums = blocks[block], all_bits[block], all_sums[block]
        for i in range(height):
            for j in range(width):
                if rows[i, j] != 0:
                    magnitude = bits[i, j] & 0x7FFFFFFF
                    slot = (magnitude ^ magnitude >> 9 ^ magnitude >> 18) & (_SLOTS - 1)
                    while table[slot] != magnitude:
                        if table[slot] == 0:
                            if found == MAX_LEVELS or magnitude > _INFINITY:
                                return False, signed
                            table[slot] = magnitude
                            found += 1
                        else:
                            slot = (slot + 1) & (_SLOTS - 1)
                    signed |= rows[i, j] < 0
                    sums[j] += abs(rows[i, j])
    return True, signed


def _plain(values: Tensor, levels: bool) -> Census:
    counts = torch.zeros(values.shape[1:], dtype=torch.int32, device=values.device)
    ones = torch.zeros_like(counts)
    # Sums of bytes are many times faster than the 64-bit sums that torch makes of booleans; 255 rows cannot overflow.
    for rows in torch.split(values, _UINT8_MAX):
        counts += rows.bool().view(torch.uint8).sum(0, dtype=torch.uint8)
        ones += rows.eq(1).view(torch.uint8).sum(0, dtype=torch.uint8)
    nonzero, total = counts.cpu().double(), int(counts.sum(dtype=torch.int64))
    if torch.equal(counts, ones):
        return _of_ones(nonzero, total)
    return Census(nonzero, total, False, _plain_levels(values, total) if levels else None)


def _plain_levels(values: Tensor, total: int) -> Levels | None:
    found: Tensor | None = values.new_zeros(1)
    for part in (values[:_HEAD], values):  # analog inputs give themselves away in a few rows
        if found is not None:
            found = _with_levels(found, part.abs(), total if part is values else None)
    if found is None:
        return None
    sums = values.abs().sum(0, dtype=torch.float64).cpu()
    return Levels(frozenset(found[1:].tolist()), bool((values < 0).any()), sums)


def _with_levels(levels: Tensor, magnitudes: Tensor, nonzero: int | None = None) -> Tensor | None:
    """`levels` (sorted, from 0) and all further magnitudes; None if they are more than `MAX_LEVELS` and zero."""
    if nonzero is not None and len(levels) <= 2:
        # Mostly there is but one magnitude, which a comparison finds faster than a search.
        highest = magnitudes.max()
        if int(torch.count_nonzero(magnitudes == highest)) == nonzero:
            magnitudes = highest.reshape(1)
    while len(levels) <= MAX_LEVELS + 1:
        nearest = torch.bucketize(magnitudes.contiguous(), levels).clamp_(max=len(levels) - 1)
        unknown = magnitudes[levels[nearest] != magnitudes]
        if len(unknown) == 0:
            return levels
        levels = torch.cat((levels, unknown[:4096])).unique()  # type: ignore[no-untyped-call,unused-ignore]
    return None
