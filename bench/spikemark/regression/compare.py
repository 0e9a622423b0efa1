"""All verdicts on HEAD against BASE, and what could not be compared: nothing is dropped."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from spikemark.errors import InputError, unknown
from spikemark.regression.series import Series, Side
from spikemark.regression.series import metrics as known_metrics
from spikemark.regression.sources import difference
from spikemark.regression.verdicts import Evidence, Finding, Floor, Limits, decide, judge_exact, weigh_cost, weigh_score

Floors = Mapping[tuple[str, str], Floor]
FailOn = Literal["missing", "undecided", "degenerate", "changed"]
"""What else may make a comparison fail: numbers and cells that HEAD lacks, verdicts that are not in, networks that say
nothing, predictions that are not what they were."""


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
        degenerate: cells of either side whose network says nothing, and why.
        fail_on: what makes the comparison fail beside regressions.
        identical: whether both sides hold the same, so that nothing was left to judge.
        compared: how many numbers were compared.
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
    degenerate: dict[str, str] = field(default_factory=dict)
    fail_on: tuple[str, ...] = ()
    identical: bool = False
    compared: int = 0

    @property
    def newly_failed(self) -> dict[str, str]:
        """Cells that work in BASE and fail in HEAD."""
        return {name: why for name, why in self.failed.items() if name not in self.failed_before}

    @property
    def regressions(self) -> list[Finding]:
        """Findings that make the comparison fail."""
        return [finding for finding in self.findings if finding.regression]

    @property
    def also_failing(self) -> list[str]:
        """What makes the comparison fail by `fail_on`, a line each."""
        undecided = [f"{f.benchmark}: {f.label}" for f in self.findings if f.verdict == "undecided"]
        changed = [f"{f.benchmark}: {f.label}" for f in self.findings if f.lost or f.won]
        of = {"missing": self.missing, "undecided": undecided, "degenerate": self.degenerate, "changed": changed}
        return [f"{word}: {name}" for word in self.fail_on for name in of[word]]

    @property
    def passed(self) -> bool:
        """Whether nothing became worse, nothing newly failed, and nothing is there that must not be."""
        return not (self.regressions or self.newly_failed or self.also_failing)


def compare(
    base: Side,
    head: Side,
    limits: Limits | None = None,
    *,
    metrics: Collection[str] = (),
    floors: Floors | None = None,
    paired: bool = False,
    fail_on: Collection[str] = (),
) -> Comparison:
    """Judge every number that both sides have.

    Args:
        base: what HEAD is judged against.
        head: the change.
        limits: what passes.
        metrics: names of metrics to look at; the usual ones when empty.
        floors: by benchmark and label, how far two runs of the same code lie apart.
        paired: whether the i-th runs of both sides were taken together.
        fail_on: what makes the comparison fail beside regressions: of `FailOn`.

    Raises:
        InputError: an unknown metric or reason to fail, sides of different suites or settings, or nothing in common.
    """
    declared = known_metrics()
    for name in metrics:
        if name not in declared:
            raise unknown("metric", name, declared)
    for name in fail_on:
        if name not in get_args(FailOn):
            raise unknown("reason to fail", name, get_args(FailOn))
    limits = limits or Limits()
    warnings = _told(base, head)
    sides = [
        {key: s for key, s in side.series.items() if (s.metric.name in metrics if metrics else s.watched)}
        for side in (base, head)
    ]
    shared = [key for key in sides[0] if key in sides[1]]
    failing = [name for name in set(head.broken) - set(base.broken) if name.rpartition(" seed ")[0] in base.cells]
    if not shared and not failing:
        watched = f" with {', '.join(sorted(metrics))}" if metrics else ""
        raise InputError(f"{base.label} and {head.label} have no benchmark in common{watched}; nothing was compared")
    pairs = [(sides[0][key], sides[1][key]) for key in shared]
    findings, more = _judge(pairs, base, head, limits, floors, paired)
    if not findings and not failing:
        raise InputError(f"{base.label} and {head.label} have no seed in common; nothing was compared")
    new_cells = sorted(set(head.cells) - set(base.cells))
    gone_cells = sorted(set(base.cells) - set(head.cells))
    warnings += more + [f"{side.label}: {note}" for side in (base, head) for note in side.notes]
    unjudged = sorted(base.unjudged | head.unjudged)
    if unjudged:
        warnings.append(f"not judged: {', '.join(unjudged)}")
    missing = gone_cells + _only(sides[0], sides[1], gone_cells)
    new = new_cells + _only(sides[1], sides[0], new_cells)
    same = not missing and not new and base.broken == head.broken and all(one.equals(other) for one, other in pairs)
    return Comparison(
        base.label,
        head.label,
        limits,
        [] if same else sorted(findings, key=_worst_first),
        missing,
        new,
        dict(head.broken),
        dict(base.broken),
        warnings,
        base.degenerate | head.degenerate,
        tuple(fail_on),
        same,
        len(pairs),
    )


def _judge(
    pairs: list[tuple[Series, Series]], base: Side, head: Side, limits: Limits, floors: Floors | None, paired: bool
) -> tuple[list[Finding], list[str]]:
    findings: list[Finding] = []
    evidence: list[Evidence] = []
    warnings: list[str] = []
    elsewhere: list[str] = []
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
            weighed = weigh_cost(before, after, limits, paired=paired, floor=floor)
            if before.machines != after.machines or len(before.machines) > 1:
                weighed = replace(weighed, p_worse=1.0, p_better=1.0, inside=False, least=1.0)
                elsewhere.append(f"{before.benchmark}: {before.label}")
            evidence.append(weighed)
    if elsewhere:
        warnings.append(
            f"measured on different machines (BASE: {base.machine or 'unknown'}; HEAD: {head.machine or 'unknown'}): "
            f"no verdict on time or memory of {_some(elsewhere)}"
        )
    return findings + decide(evidence, limits), warnings


def _some(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} numbers, such as {names[0]}"


def _told(base: Side, head: Side) -> list[str]:
    """What was not the same on both sides, in words: systems, versions, and versions that one side mixes.

    Raises:
        InputError: the sides are of different suites or settings.
    """
    changed: dict[str, list[str]] = {}
    for name in sorted(set(base.cells) & set(head.cells)):
        before, after = base.cells[name], head.cells[name]
        if before != after and isinstance(before, dict) and isinstance(after, dict):
            if before["suite"] != after["suite"]:
                raise InputError(
                    f"{base.label} is of suite {before['suite']!r}, {head.label} of {after['suite']!r}; "
                    "only runs of one suite can be compared"
                )
            if before["settings"] != after["settings"]:
                where = difference(before["settings"], after["settings"], "BASE", "HEAD", "settings")
                raise InputError(f"{name} was measured with different settings: {where}")
            what = difference(
                before["system_definition"], after["system_definition"], "BASE", "HEAD", "system_definition"
            )
            changed.setdefault(what, []).append(name)
    told = [f"{what} ({_some(names)})" for what, names in changed.items()]
    for label, side in (("BASE", base), ("HEAD", head)):
        told += [
            f"{label} mixes {name} {' and '.join(sorted(found))}"
            for name, found in sorted(side.versions.items())
            if len(found) > 1
        ]
    for name in sorted(base.versions.keys() & head.versions.keys()):
        one, other = (" and ".join(sorted(side.versions[name])) for side in (base, head))
        if one != other:
            told.append(f"{name} is {one} in BASE, {other} in HEAD")
    return told


def _only(these: dict[tuple[str, str], Series], those: dict[tuple[str, str], Series], named: list[str]) -> list[str]:
    """Numbers of benchmarks that both sides have, but which one side lacks."""
    return [f"{name}: {label}" for name, label in these if (name, label) not in those and name not in named]


def _worst_first(finding: Finding) -> tuple[float, float, str, str]:
    ranks = {"slower": 0, "worse": 0, "undecided": 1, "same": 3, "faster": 2, "better": 2}
    rank = -1.0 if finding.regression else ranks[finding.verdict]
    if finding.lost or finding.won:
        rank = min(rank, 0.5)  # predictions changed, whatever the test says of their mean
    size = abs(finding.change)
    return rank, -size if not math.isnan(size) else 0.0, finding.benchmark, finding.label
