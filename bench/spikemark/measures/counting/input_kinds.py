"""What kind of values the input of a layer holds, found exactly from the censuses of its calls.

Whether an operation is an accumulate or a multiply-accumulate depends on this: where every input is 0 or plus or minus
one constant, the weights can absorb the constant and nothing is multiplied. Knows values, not layers.
"""

from __future__ import annotations

from spikemark.core.counts import Kind
from spikemark.measures.counting.census import MAX_LEVELS, Census

__all__ = ["MAX_LEVELS", "InputValues"]

_ROUNDING = 1e-6


class InputValues:
    """The kind of everything seen so far."""

    def __init__(self) -> None:
        self._magnitudes: frozenset[float] | None = frozenset()  # None when too many
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
        magnitudes = self._magnitudes
        if magnitudes is None:
            return "analog"
        if magnitudes <= {1.0}:
            return "ternary" if self._signed else "binary"
        if len(magnitudes) == 1:
            return "scaled"
        if self._whole:
            return "integer"
        return "graded" if 2 * len(magnitudes) <= self._nonzero else "analog"

    @property
    def _whole(self) -> bool:
        """Whether all are whole numbers up to `MAX_LEVELS`; more additions would cost more than a product."""
        return all(value <= MAX_LEVELS and value.is_integer() for value in self._magnitudes or ())

    @property
    def few(self) -> bool:
        """Whether there are at most `MAX_LEVELS` distinct magnitudes so far."""
        return self._magnitudes is not None

    @property
    def unit(self) -> float | None:
        """What all magnitudes are whole multiples of, `MAX_LEVELS` at most: 1 for whole numbers, else the smallest.

        Multiples may be rounded: a third of three spikes is not quite three thirds of one. The unit is None where the
        magnitudes have none.
        """
        magnitudes = self._magnitudes
        if magnitudes is None:
            return None
        if self._whole:
            return 1.0
        smallest = min(magnitudes)
        multiples = [value / smallest for value in magnitudes]
        if max(multiples) > MAX_LEVELS:
            return None
        whole = max(abs(n - round(n)) for n in multiples) <= _ROUNDING * max(multiples)
        return smallest if whole else None

    def see(self, known: Census) -> None:
        """Take in the census of a call, with levels."""
        self.seen = True
        if self._magnitudes is None or known.total == 0:
            return
        if known.levels is None:
            self._magnitudes = None
            return
        self._nonzero += known.total
        self._signed |= known.levels.signed
        if not known.levels.magnitudes <= self._magnitudes:
            together = self._magnitudes | known.levels.magnitudes
            self._magnitudes = together if len(together) <= MAX_LEVELS else None
