"""All verdicts on HEAD against BASE, and what could not be compared: nothing is dropped."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from spikemark.errors import InputError, unknown
from spikemark.regression.series import Series, Side
from spikemark.regression.series import metrics as known_metrics
from spikemark.regression.sources import difference
from spikemark.regression.verdicts import Evidence, Finding, Floor, Limits, decide, judge_exact, weigh_cost, weigh_score

Floors = Mapping[tuple[str, str], Floor]


@dataclass(frozen=True)
class Comparison:
    """HEAD against BASE.

    Attributes:
        base: how the base side is called.
        head: how the head side is called.
        limits: what passed.
        findings: one for every number that both sides have, the worst first.
        missing: numbers and cells that only BASE has.
        new: those that only HEAD has.
        failed: cells of HEAD without a result, and why.
        failed_before: likewise of BASE.
        warnings: what a reader must know.
        missing_fails: whether what is missing makes the comparison fail.
    """

    base: str
    head: str
    limits: Limits
    findings: list[Finding]
    missing: list[str] = field(default_factory=list)
    new: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    failed_before: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    missing_fails: bool = False

    @property
    def newly_failed(self) -> dict[str, str]:
        """Cells that work in BASE and fail in HEAD."""
        return {name: why for name, why in self.failed.items() if name not in self.failed_before}

    @property
    def regressions(self) -> list[Finding]:
        """Findings that make the comparison fail."""
        return [finding for finding in self.findings if finding.regression]

    @property
    def passed(self) -> bool:
        """Whether nothing became worse, nothing newly failed, and nothing is missing that must not be."""
        return not (self.regressions or self.newly_failed or (self.missing_fails and self.missing))


def compare(
    base: Side,
    head: Side,
    limits: Limits | None = None,
    *,
    metrics: Collection[str] = (),
    floors: Floors | None = None,
    paired: bool = False,
    missing_fails: bool = False,
) -> Comparison:
    """Judge every number that both sides have.

    Args:
        base: what HEAD is judged against.
        head: the change.
        limits: what passes.
        metrics: names of metrics to look at; the usual ones when empty.
        floors: by benchmark and label, how far two runs of the same code lie apart.
        paired: whether the i-th runs of both sides were taken together.
        missing_fails: whether the comparison fails where HEAD lacks what BASE has.

    Raises:
        InputError: an unknown metric, sides of different suites or settings, or nothing in common.
    """
    declared = known_metrics()
    for name in metrics:
        if name not in declared:
            raise unknown("metric", name, declared)
    limits = limits or Limits()
    _check_comparable(base, head)
    sides = [
        {key: s for key, s in side.series.items() if (s.metric.name in metrics if metrics else s.watched)}
        for side in (base, head)
    ]
    shared = [key for key in sides[0] if key in sides[1]]
    failing = [name for name in set(head.broken) - set(base.broken) if name.rpartition(" seed ")[0] in base.cells]
    if not shared and not failing:
        watched = f" with {', '.join(sorted(metrics))}" if metrics else ""
        raise InputError(f"{base.label} and {head.label} have no benchmark in common{watched}; nothing was compared")
    findings, warnings = _judge([(sides[0][key], sides[1][key]) for key in shared], base, head, limits, floors, paired)
    if not findings and not failing:
        raise InputError(f"{base.label} and {head.label} have no seed in common; nothing was compared")
    new_cells = sorted(set(head.cells) - set(base.cells))
    gone_cells = sorted(set(base.cells) - set(head.cells))
    warnings += [f"{side.label}: {note}" for side in (base, head) for note in side.notes]
    unjudged = sorted(base.unjudged | head.unjudged)
    if unjudged:
        warnings.append(f"not judged: {', '.join(unjudged)}")
    return Comparison(
        base.label,
        head.label,
        limits,
        sorted(findings, key=_worst_first),
        gone_cells + _only(sides[0], sides[1], gone_cells),
        new_cells + _only(sides[1], sides[0], new_cells),
        dict(head.broken),
        dict(base.broken),
        warnings,
        missing_fails,
    )


def _judge(
    pairs: list[tuple[Series, Series]], base: Side, head: Side, limits: Limits, floors: Floors | None, paired: bool
) -> tuple[list[Finding], list[str]]:
    findings: list[Finding] = []
    evidence: list[Evidence] = []
    warnings: list[str] = []
    same_machine = base.machine == head.machine
    for before, after in pairs:
        if before.kind != "cost" and not before.places & after.places:
            warnings.append(f"{before.benchmark}: {before.label} has no seed in common and was not compared")
        elif before.kind == "exact":
            findings.append(judge_exact(before, after, limits))
        elif before.kind == "score":
            if lost := sorted(set(before.scores) - set(after.scores)):
                warnings.append(f"{before.benchmark}: {before.label} of seeds {lost} is in BASE only")
            evidence.append(weigh_score(before, after, limits))
        else:
            floor = (floors or {}).get((before.benchmark, before.label))
            evidence.append(weigh_cost(before, after, limits, paired=paired, floor=floor))
    if not same_machine and any(item.finding.kind == "cost" for item in evidence):
        warnings.append(
            f"measured on different machines ({base.machine or 'unknown'}; {head.machine or 'unknown'}): "
            "no verdict on time or memory"
        )
        evidence = [_without_verdict(item) if item.finding.kind == "cost" else item for item in evidence]
    return findings + decide(evidence, limits), warnings


def _without_verdict(item: Evidence) -> Evidence:
    return Evidence(item.finding, 1.0, 1.0, False, item.worse, item.better)


def _check_comparable(base: Side, head: Side) -> None:
    for name in sorted(set(base.cells) & set(head.cells)):
        before, after = base.cells[name], head.cells[name]
        if before != after and isinstance(before, dict) and isinstance(after, dict):
            if before["suite"] != after["suite"]:
                raise InputError(
                    f"{base.label} is of suite {before['suite']!r}, {head.label} of {after['suite']!r}; "
                    "only runs of one suite can be compared"
                )
            where = difference(before["settings"], after["settings"], "BASE", "HEAD", "settings")
            raise InputError(f"{name} was measured with different settings: {where}")


def _only(these: dict[tuple[str, str], Series], those: dict[tuple[str, str], Series], named: list[str]) -> list[str]:
    """Numbers of benchmarks that both sides have, but which one side lacks."""
    return [f"{name}: {label}" for name, label in these if (name, label) not in those and name not in named]


def _worst_first(finding: Finding) -> tuple[int, float, str, str]:
    ranks = {"slower": 0, "worse": 0, "undecided": 1, "same": 3, "faster": 2, "better": 2}
    rank = -1 if finding.regression else ranks[finding.verdict]
    size = abs(finding.change)
    return rank, -size if not math.isnan(size) else 0.0, finding.benchmark, finding.label
