"""Paired tests in families that share one error rate, and the words for their outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from spikemark.core.statistics import (
    Difference,
    Runs,
    Verdict,
    holm,
    mean_interval,
    minimum_detectable_effect,
    paired_difference,
    verdict,
)
from spikemark.report.cells import Cells
from spikemark.report.model import Entry, Tone, estimate, number
from spikemark.report.verdicts import FEWEST

MATTERS = 0.5
"""Percentage points of accuracy, and percent of a cost, below which a difference is not worth a word or a colour."""
_TONES: Mapping[Verdict, Tone] = {"better": "good", "worse": "bad", "undecided": "muted"}


@dataclass(frozen=True)
class PairedTest:
    """One paired test in its family.

    Attributes:
        difference: first minus second, as fractions.
        p: after correction.
        verdict: of the first against the second.
        detectable: the minimum detectable effect under the family's correction.
        identical: whether every single result was the same.
    """

    difference: Difference
    p: float
    verdict: Verdict
    detectable: float
    identical: bool

    @property
    def matters(self) -> bool:
        """Whether the test finds a difference, and one that is worth a word."""
        return self.verdict != "undecided" and abs(100 * self.difference.value) >= MATTERS

    @property
    def tone(self) -> Tone:
        """How the outcome is coloured."""
        return _TONES[self.verdict] if self.matters else "muted"

    def entry(self) -> Entry:
        """The difference in percentage points and what follows from it."""
        tone = self.tone
        if self.identical:
            return Entry("0.00 identical", 0.0, tone=tone)
        text = f"{estimate(self.difference, 100, signed=True)} {self.verdict}"
        if self.verdict == "undecided" and self.detectable > 0:
            text += f", MDE {number(100 * self.detectable)}"
        return Entry(text, 100 * self.difference.value, tone=tone)

    def p_entry(self) -> Entry:
        """The p-value; the resampling does not resolve what is far below 0.001."""
        return Entry("< 0.001" if self.p < 0.001 else f"{self.p:.3f}", self.p)


def paired_tests(family: Mapping[str, tuple[Runs, Runs]]) -> dict[str, PairedTest]:
    """Paired tests that share one 5 %; pairs without a shared seed are left out."""
    shared = {name: sorted(set(a) & set(b)) for name, (a, b) in family.items()}
    differences = {name: paired_difference(*family[name]) for name, seeds in shared.items() if seeds}
    adjusted = holm([difference.p for difference in differences.values()])
    tests = {}
    for (name, difference), p in zip(differences.items(), adjusted, strict=True):
        first, second = family[name]
        tests[name] = PairedTest(
            difference,
            p,
            verdict(difference, p),
            minimum_detectable_effect(difference, len(differences)),
            all(np.array_equal(first[seed], second[seed]) for seed in shared[name]),
        )
    return tests


@dataclass(frozen=True)
class Ranking:
    """Contenders against the best of them and against a baseline.

    Attributes:
        best: the name with the highest mean; None when there are fewer than two contenders.
        against_best: the others' tests against it.
        baseline: the name that stands for what was there before; None when it did not take part.
        against_baseline: the others' tests against that.
    """

    best: str | None
    against_best: Mapping[str, PairedTest]
    baseline: str | None
    against_baseline: Mapping[str, PairedTest]

    def mark(self, name: str) -> str:
        """Either "best", "tie" (cannot be told from the best) or "" (worse, or nothing to compare with)."""
        if name == self.best:
            return "best"
        test = self.against_best.get(name)
        return "tie" if test is not None and test.verdict == "undecided" else ""


def rank(results: Mapping[str, Runs], baseline: str | None = None) -> Ranking:
    """Test every contender that has results against the best one, and against `baseline` where it has results."""
    present = {name: runs for name, runs in results.items() if runs}
    if len(present) < 2:
        return Ranking(None, {}, None, {})

    def against(opponent: str) -> dict[str, PairedTest]:
        return paired_tests({name: (runs, present[opponent]) for name, runs in present.items() if name != opponent})

    best = max(present, key=lambda name: mean_interval(present[name]).value)
    if baseline not in present:
        return Ranking(best, against(best), None, {})
    return Ranking(best, against(best), baseline, against(baseline))


def weight(own: Cells) -> tuple[int, ...]:
    """What a group rests on: seeds enough for a verdict come first, then samples read, then frameworks and systems."""
    seeds = len(own.names("seed"))
    return int(seeds >= FEWEST), seeds * max(own.samples, 1), *breadth(own)


def breadth(own: Cells) -> tuple[int, int]:
    """How many frameworks and systems a group compares."""
    return len(own.names("framework")), len(own.names("system"))
