"""The rules of verdicts, on differences whose p-values are known."""

import pytest

from spikemark.core.claims import contrast
from spikemark.core.statistics import Difference
from spikemark.report.verdicts import decide, overall

MARGIN = 0.005


def difference(value, p, above=1.0, below=1.0, n=5):
    """In the middle of nowhere: `above` minus the margin and `below` plus the margin with these p-values."""
    tails = {-MARGIN: (above, 1 - above), MARGIN: (1 - below, below)}
    return Difference(value, value - 0.01, value + 0.01, n, p, 0.005, 0.004, tails)


HIGHER = contrast("one", "other")
LOWER = contrast("one", "other", "lower")
EQUAL = contrast("one", "other", "equal")
NOT_LOWER = contrast("one", "other", "not lower")


@pytest.mark.parametrize(
    ("asked", "found", "verdict"),
    [
        (HIGHER, difference(0.02, 0.04), "holds"),
        (HIGHER, difference(-0.02, 0.04), "opposite found"),
        (LOWER, difference(-0.02, 0.04), "holds"),
        (LOWER, difference(0.02, 0.04), "opposite found"),
        (HIGHER, difference(0.02, 0.06), "undecided"),
        (HIGHER, difference(0.0, 0.9, above=0.01, below=0.02), "smaller than margin"),
        (HIGHER, difference(-0.002, 0.9, above=0.2, below=0.01), "undecided"),
        (EQUAL, difference(0.0, 0.9, above=0.01, below=0.02), "holds"),
        (EQUAL, difference(0.02, 0.001, above=0.0, below=0.999), "opposite found"),
        (EQUAL, difference(0.004, 0.1, above=0.0, below=0.4), "undecided"),
        (NOT_LOWER, difference(-0.001, 0.6, above=0.04), "holds"),
        (NOT_LOWER, difference(-0.02, 0.001, above=0.999), "opposite found"),
        (NOT_LOWER, difference(-0.004, 0.1, above=0.3), "undecided"),
    ],
)
def test_one_contrast(asked, found, verdict):
    assert decide([(asked, found)]) == [verdict]


def test_what_must_all_hold_is_not_corrected_and_what_one_can_refute_is():
    holds, against = difference(0.02, 0.04), difference(-0.02, 0.04)
    assert decide([(HIGHER, holds)] * 6) == ["holds"] * 6
    assert decide([(HIGHER, against)] * 2) == ["undecided"] * 2
    assert decide([(HIGHER, difference(-0.02, 0.02)), (HIGHER, holds)]) == ["opposite found", "holds"]


def test_four_seeds_decide_nothing():
    assert decide([(HIGHER, difference(0.02, 0.001, n=4))]) == ["undecided"]


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["holds", "holds"], "holds"),
        (["holds", "undecided"], "undecided"),
        (["holds", "not run"], "undecided"),
        (["holds", "not testable here"], "undecided"),
        (["not testable here"], "not testable here"),
        (["holds", "smaller than margin"], "smaller than margin"),
        (["smaller than margin", "opposite found"], "opposite found"),
        (["not run"], "not run"),
        ([], "not run"),
    ],
)
def test_overall(verdicts, expected):
    assert overall(verdicts) == expected
