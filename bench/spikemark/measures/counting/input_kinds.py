"""What kind of values the input of a layer holds, found exactly and in few passes over it.

Whether an operation is an accumulate or a multiply-accumulate depends on this: where every input is 0 or plus or minus
one constant, the weights can absorb the constant and nothing is multiplied. Knows tensors, not layers.
"""

from __future__ import annotations

import torch
from torch import Tensor

from spikemark.core.counts import Kind
from spikemark.measures.counting.census import Census

MAX_LEVELS = 64
"""An input with more distinct nonzero magnitudes than this (those of an 8 x 8 average of spikes) is analog."""

_HEAD = 4
_ROUNDING = 1e-6


class InputValues:
    """The kind of everything seen so far."""

    def __init__(self) -> None:
        self._ones = False  # in calls that held nothing else
        self._levels: Tensor | None = torch.zeros(1)  # of the others: magnitudes, sorted, from 0; None when too many
        self._signed = False
        self._nonzero = 0
        self.seen = False  # whether there was any

    @property
    def kind(self) -> Kind:
        """The first that fits.

        "binary" (0/1), "ternary" (-1/0/1), "scaled" (0 and plus or minus one constant), "integer" (whole numbers up to
        `MAX_LEVELS`), "graded" (so many distinct magnitudes at most, each held by two values or more on average) or
        "analog".
        """
        if self._levels is None:
            return "analog"
        magnitudes = set(self._levels[1:].tolist()) | ({1.0} if self._ones else set())
        if magnitudes <= {1.0}:
            return "ternary" if self._signed else "binary"
        if len(magnitudes) == 1:
            return "scaled"
        if self.whole:
            return "integer"
        few = len(magnitudes) <= MAX_LEVELS and 2 * len(magnitudes) <= self._nonzero
        return "graded" if few else "analog"

    @property
    def whole(self) -> bool:
        """Whether all are whole numbers up to `MAX_LEVELS`; more additions would cost more than a product."""
        levels = self._levels
        return levels is not None and bool((levels == levels.round()).all()) and float(levels[-1]) <= MAX_LEVELS

    @property
    def few(self) -> bool:
        """Whether there are at most `MAX_LEVELS` distinct magnitudes so far."""
        return self._levels is not None

    @property
    def unit(self) -> float | None:
        """What all magnitudes are whole multiples of, `MAX_LEVELS` at most: 1 for whole numbers, else the smallest.

        Multiples may be rounded: a third of three spikes is not quite three thirds of one. None where there is no unit.
        """
        if self._levels is None:
            return None
        if self.whole:
            return 1.0
        levels = self._levels.double()
        levels = levels if not self._ones else torch.cat((levels, levels.new_ones(1)))
        smallest = levels[1:].min()
        multiples = levels / smallest
        whole = bool((multiples - multiples.round()).abs().max() <= _ROUNDING * multiples.max())
        return float(smallest) if whole and float(multiples.max()) <= MAX_LEVELS else None

    def see(self, values: Tensor, known: Census) -> None:
        """Take in ``[N, ...]`` and its census."""
        self.seen = True
        if self._levels is None or known.total == 0:
            return
        self._nonzero += known.total
        if known.only_ones:
            self._ones = True
            return
        if not self._signed:
            self._signed = bool((values < 0).any())
        for part in (values[:_HEAD], values):  # analog inputs give themselves away in a few rows
            if self._levels is not None:
                self._levels = _with_levels(self._levels, part.abs(), known.total if part is values else None)


def _with_levels(levels: Tensor, magnitudes: Tensor, nonzero: int | None = None) -> Tensor | None:
    """`levels` (sorted) and all further magnitudes; None if they are more than `MAX_LEVELS` and zero."""
    levels = levels.to(magnitudes)
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
