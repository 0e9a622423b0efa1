"""The rules by which differences become verdicts on claims; `docs/claims.md` says how often each is wrong.

A claim holds where every one of its tests finds what it says, so each test has its own 5 %: an intersection of tests
(Berger 1982). A claim is refuted by any one of them, so there the tests share 5 % (Holm 1979).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Literal

from spikemark.core.claims import Contrast
from spikemark.core.statistics import ALPHA, Difference, holm, minimum_detectable_effect

Verdict = Literal["holds", "opposite found", "smaller than margin", "undecided", "not testable here", "not run"]
REFUTED: tuple[Verdict, ...] = ("opposite found", "smaller than margin")
FEWEST = 5
"""The fewest seeds that may decide anything."""


def decide(tests: Sequence[tuple[Contrast, Difference]]) -> list[Verdict]:
    """One verdict per test of a claim, in the order given."""
    opposite = holm([_p_opposite(*test) for test in tests])
    smaller = holm([_p_smaller(*test) for test in tests])
    return [
        "undecided"
        if test[1].n < FEWEST
        else "holds"
        if _p_holds(*test) < ALPHA
        else "opposite found"
        if against < ALPHA
        else "smaller than margin"
        if within < ALPHA
        else "undecided"
        for test, against, within in zip(tests, opposite, smaller, strict=True)
    ]


def overall(verdicts: Collection[Verdict]) -> Verdict:
    """Of a claim: it holds if every test was run and does, and one that refutes it is enough."""
    for refuted in REFUTED:
        if refuted in verdicts:
            return refuted
    (first, *others) = set(verdicts) or {"not run"}
    return "undecided" if others else first


def detectable(contrast: Contrast, difference: Difference) -> float:
    """The smallest true difference that the test would find in about 80 of 100 repetitions; NaN where none can be."""
    return math.nan if difference.n < FEWEST else minimum_detectable_effect(difference)


def margin_of(contrast: Contrast) -> float:
    """The margin in the unit of differences: a fraction of samples, or the logarithm of a ratio."""
    return math.log1p(contrast.margin / 100) if contrast.is_ratio else contrast.margin / 100


def bounds_of(contrast: Contrast) -> tuple[float, float]:
    """What differences are tested against beside 0."""
    return -margin_of(contrast), margin_of(contrast)


def _p_holds(contrast: Contrast, difference: Difference) -> float:
    match contrast.expects:
        case "equal":
            return difference.p_within(margin_of(contrast))
        case "not lower":
            return difference.p_above(-margin_of(contrast))
        case expected:
            return difference.p if (difference.value > 0) == (expected == "higher") else 1.0


def _p_opposite(contrast: Contrast, difference: Difference) -> float:
    margin = margin_of(contrast)
    match contrast.expects:
        case "equal":
            return min(1.0, 2 * min(difference.p_above(margin), difference.p_below(-margin)))
        case "not lower":
            return difference.p_below(-margin)
        case expected:
            return difference.p if (difference.value > 0) == (expected == "lower") else 1.0


def _p_smaller(contrast: Contrast, difference: Difference) -> float:
    """Of claims that something is larger or smaller: that the difference, either way, does not reach the margin."""
    return difference.p_within(margin_of(contrast)) if contrast.expects in ("higher", "lower") else 1.0
