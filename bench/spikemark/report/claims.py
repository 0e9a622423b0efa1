"""The ledger: every claim with the effect that the records show, its interval and a verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from spikemark.core.claims import CLAIMS, Arm, Claim, Contrast, Quantity
from spikemark.core.statistics import Difference, Runs, paired_difference
from spikemark.report.cells import PROFILE, Cells
from spikemark.report.curves import mean_under_noise
from spikemark.report.effects import POINTS, RATIOS, Effect, Plot, effects_chart, effects_figure
from spikemark.report.model import DASH, TIMES, Entry, Section, Table, Tone, number
from spikemark.report.plots import PALETTE
from spikemark.report.verdicts import FEWEST, Verdict, bounds_of, decide, detectable, overall
from spikemark.suites.records import TrainingRecord

READING = """\
A claim holds if every one of its contrasts holds. The plots show all contrasts; the section below says how one is
judged. Where a claim's set-up is not the publication's, the verdict is about the set-up that is named. A verdict takes
at least five seeds."""
JUDGING = """\
Each row is one contrast of a claim on one data set: first minus second in percentage points of test accuracy, or
first divided by second for costs, with its 95 % interval, paired by seed and (for accuracy) test sample. "Holds": the
test finds what the claim says; each contrast at 5 %, since all have to. "Opposite found": a test finds the opposite;
it is corrected over the rows of the claim (Holm), since any of them can refute it. "Smaller than margin": two
one-sided tests, corrected likewise, show that the difference does not reach the margin in either direction. The
margin was written down before the runs and is at most the published effect. "Not testable here": what the contrast is
about did not happen, such as a learned threshold that did not move, or runs that are degenerate; these count where
the claim is that its first side prevents them. All else is undecided; MDE is the smallest true difference that the
test would find in about 80 of 100 repetitions. Frameworks that compute the same are one row."""

_TONES: Mapping[Verdict, Tone] = {
    "holds": "good",
    "opposite found": "bad",
    "smaller than margin": "bad",
    "undecided": "muted",
    "not testable here": "muted",
    "not run": "muted",
}
_STYLES: Mapping[str, tuple[str, str, str]] = {
    "holds": (PALETTE[2], "o", "circle"),
    "opposite found": (PALETTE[3], "X", "x"),
    "smaller than margin": (PALETTE[1], "s", "square"),
    "undecided": (PALETTE[7], "D", "diamond"),
    "not testable here": (PALETTE[7], "v", "triangle-down"),
}
_MOVED = 0.1
"""Share of a layer's learned values that must have moved for a contrast to be about them."""
_EXACT: frozenset[Quantity] = frozenset({"bytes saved for backward"})
_OF_FRAMEWORKS: frozenset[Quantity] = frozenset({"seconds per epoch", "bytes saved for backward"})
"""What frameworks spend on one computation, each its own."""
_MEASURES: Mapping[Quantity, str] = {
    "accuracy": "accuracy",
    "noisy accuracy": "robustness",
    "firing rate": "energy",
    "additions": "energy",
    "energy": "energy",
    "seconds per epoch": "accuracy",
    "bytes saved for backward": "accuracy",
}
_METRICS: Mapping[Quantity, dict[str, str]] = {
    "firing rate": {"metric": "firing_rate"},
    "additions": {"metric": "acs"},
    "energy": {"metric": "energy", "profile": PROFILE},
    "seconds per epoch": {"metric": "epoch_seconds"},
    "bytes saved for backward": {"metric": "saved_bytes"},
}


@dataclass(frozen=True)
class Row:
    """One contrast on one data set.

    Attributes:
        contrast: which.
        dataset: where.
        frameworks: on what, the one whose numbers are shown first.
        difference: of accuracies as fractions, of costs as logarithms; None where an arm has no runs.
        verdict: after correction.
        untestable: why the contrast tests nothing here; "" where it does.
        problems: what became of runs without a result.
        planned: whether the claim named the data set; other rows decide nothing.
    """

    contrast: Contrast
    dataset: str
    frameworks: tuple[str, ...]
    difference: Difference | None
    verdict: Verdict = "not run"
    untestable: str = ""
    problems: str = ""
    planned: bool = True


def claims_sections(cells: Cells) -> list[Section]:
    """One row per claim and all effects at a glance, then every contrast in numbers.

    A claim is left out unless one of its contrasts has both of its sides in the records; no section where none remains.
    """
    judged, others = _judged_rows(cells)
    if not judged:
        return []
    claims, contrasts = Section("Claims", READING), Section("Contrasts", JUDGING)
    claims.tables.append(_overview(judged, others))
    for plot in _plots([(claim, row) for claim, found in judged.items() for row in found]):
        name, title = plot.scale.name, f"{plot.scale.title}: every contrast with its 95 % interval"
        claims.charts.append(effects_chart(plot, name, title))
        claims.figures.append(effects_figure(plot, name, title))
    suite = cells.records[0]["suite"]
    contrasts.tables.extend(_details(claim, found, suite) for claim, found in judged.items())
    return [claims, contrasts]


def judged_claims(cells: Cells) -> dict[Claim, tuple[Verdict, list[Verdict]]]:
    """The verdict, and those of its rows, on every claim of which a contrast has both of its sides in the records."""
    planned = {claim: [row.verdict for row in rows if row.planned] for claim, rows in _judged_rows(cells)[0].items()}
    return {claim: (overall(verdicts), verdicts) for claim, verdicts in planned.items()}


def _judged_rows(cells: Cells) -> tuple[dict[Claim, list[Row]], int]:
    """The rows of those claims, and how many further claims there are."""
    rows = {claim: judge(claim, cells) for claim in registered()}
    judged = {claim: found for claim, found in rows.items() if any(row.difference is not None for row in found)}
    return judged, len(rows) - len(judged)


def registered() -> list[Claim]:
    """All registered claims; one may be registered as a function that gives it."""
    return [entry() if callable(entry) else entry for entry in CLAIMS.values()]


def judge(claim: Claim, cells: Cells) -> list[Row]:
    """All contrasts of a claim where both sides were run, corrected together; a row, too, where that is nowhere."""
    rows: list[Row] = []
    for contrast in claim.contrasts:
        own = cells.where(measure=_MEASURES[contrast.quantity])
        first, second = (own.where(**_axes(arm)) for arm in (contrast.first, contrast.second))
        places = sorted(set(first.names("dataset", "framework")) & set(second.names("dataset", "framework")))
        found = []
        for dataset, framework in places:
            planned = claim.datasets is None or dataset in claim.datasets
            here = (side.where(dataset=dataset, framework=framework) for side in (first, second))
            for where, *sides in _alike(dataset, contrast, *here):
                row = _row(contrast, where, framework, *sides)
                found.append(replace(row, planned=planned, untestable=_untestable(row, cells, dataset, framework)))
        rows += _collapsed(found) or [Row(contrast, DASH, (), None)]
    return _judged([row for row in rows if row.planned]) + _judged([row for row in rows if not row.planned])


def _judged(rows: list[Row]) -> list[Row]:
    tested = [(row.contrast, row.difference) for row in rows if row.difference is not None and not row.untestable]
    verdicts = iter(decide(tested))
    return [
        replace(row, verdict="not testable here" if row.untestable else next(verdicts))
        if row.difference is not None or row.untestable
        else row
        for row in rows
    ]


def _collapsed(rows: list[Row]) -> list[Row]:
    """One row per place: of frameworks that compute the same spec, the one with the most seeds speaks for all.

    Of what they spend on it each speaks for itself.
    """
    by_place: dict[tuple[str, tuple[str, ...]], list[Row]] = {}
    for row in rows:
        apart = row.frameworks if row.contrast.quantity in _OF_FRAMEWORKS else ()
        by_place.setdefault((row.dataset, apart), []).append(row)
    best = []
    for alike in by_place.values():
        ordered = sorted(alike, key=lambda row: -(row.difference.n if row.difference else 0))
        best.append(replace(ordered[0], frameworks=tuple(row.frameworks[0] for row in ordered)))
    return best


def _untestable(row: Row, cells: Cells, dataset: str, framework: str) -> str:
    """Why the contrast tests nothing here; "" where it does."""
    if framework in row.contrast.not_on:
        return f"{framework}: {row.contrast.not_on[framework]}"
    trained = cells.where(measure="accuracy", dataset=dataset, framework=framework)
    if row.contrast.collapse:
        first = [record["status"] for record in trained.where(**_axes(row.contrast.first))]
        dead = first.count("degenerate")
        return f"{dead} of {len(first)} runs of {row.contrast.first} are degenerate" if 2 * dead > len(first) else ""
    if "degenerate" in row.problems and (row.difference is None or row.difference.n < FEWEST):
        return row.problems
    for side, parameter in row.contrast.learned.items():
        arm = row.contrast.first if side == "first" else row.contrast.second
        moved = _moved([r["trained"] for r in trained.where(**_axes(arm)).ok if "trained" in r], parameter)
        if moved is None:
            return f"no record says what training did to the {parameter} of {arm}"
        if moved < _MOVED:
            return f"the {parameter} of {arm} hardly moved ({moved:.0%} of its values by more than 10 %)"
    return ""


def _moved(trained: Sequence[TrainingRecord], parameter: str) -> float | None:
    """The share of values that moved in the layer where most did, mean over seeds; None where nothing says it."""
    shares = [[c["share_moved"] for c in one["parameters"] if c["parameter"] == parameter] for one in trained]
    return fmean(map(max, shares)) if shares and all(shares) else None


def _alike(dataset: str, contrast: Contrast, first: Cells, second: Cells) -> Iterator[tuple[str, Cells, Cells]]:
    """Both sides in each edition that they share, with the data set and what is peculiar to the edition.

    Where the contrast is between two variants, whose settings differ on purpose, the newest edition of each.
    """
    if contrast.first.variant != contrast.second.variant:
        (_, first), (_, second) = next(first.editions()), next(second.editions())
        yield dataset, first, second
        return
    for words, edition in Cells((*first, *second)).editions():
        sides = [edition.where(system=arm.system) for arm in (contrast.first, contrast.second)]
        if all(map(len, sides)):
            yield ", ".join([dataset, *words]), sides[0], sides[1]


def _row(contrast: Contrast, dataset: str, framework: str, first: Cells, second: Cells) -> Row:
    """Not judged yet: the correction needs all rows."""
    used = [side.with_degenerate if contrast.collapse else side for side in (first, second)]
    runs = [_runs(side, contrast.quantity) for side in used]
    shared = set(runs[0]) & set(runs[1])
    problems = ", ".join(words for side in (first, second) if (words := side.problems()))
    bounds = bounds_of(contrast)
    difference = paired_difference(runs[0], runs[1], bounds=bounds) if shared else None
    if difference is not None and difference.error == 0 and contrast.quantity in _EXACT:
        # The same in every seed, as a count is that depends on shapes alone: there is nothing left to chance.
        value = difference.value
        certain = {bound: (float(value <= bound), float(value >= bound)) for bound in bounds}
        difference = replace(difference, low=value, high=value, p=0.0 if value else 1.0, tails=certain)
    return Row(contrast, dataset, (framework,), difference, problems=problems)


def _axes(arm: Arm) -> dict[str, str]:
    return {"system": arm.system, "variant": arm.variant or DASH}


def _runs(cells: Cells, quantity: Quantity) -> Runs:
    if quantity == "accuracy":
        return cells.accuracy()
    if quantity == "noisy accuracy":
        return mean_under_noise(cells)
    values = cells.runs(**_METRICS[quantity])
    return {seed: math.log(value) for seed, value in values.items() if value > 0}


def claims_table(cells: Cells) -> Table:
    """One row per claim that the records bear on."""
    judged, others = _judged_rows(cells)
    return _overview(judged, others)


def _overview(judged: Mapping[Claim, list[Row]], others: int) -> Table:
    rows = []
    for claim, tests in judged.items():
        verdict = overall([row.verdict for row in tests if row.planned])
        counts = {word: sum(row.verdict == word for row in tests) for word in _TONES}
        tally = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        names = (Entry(claim.name), Entry(claim.statement))
        setup = Entry(claim.setup or "as published")
        rows.append((*names, Entry(verdict, tone=_TONES[verdict]), Entry(tally or DASH), Entry(claim.published), setup))
    columns = ("claim", "statement", "verdict", "rows", "published figures", "set-up")
    note = "Reproduce a claim with the command below its table."
    if others:
        note += f" Claims that need systems which are not in these records: {others}."
    return Table("Every claim and its verdict", columns, tuple(rows), 6, note)


def _plots(rows: Sequence[tuple[Claim, Row]]) -> Iterator[Plot]:
    """Accuracies and costs apart, as far as there are any."""
    for scale in (POINTS, RATIOS):
        effects = [
            _drawn(claim.statement, row, row.difference)
            for claim, row in rows
            if row.difference is not None and row.contrast.is_ratio == (scale is RATIOS)
        ]
        if effects:
            yield Plot(scale, effects, _STYLES)


def _drawn(statement: str, row: Row, difference: Difference) -> Effect:
    ends = difference.value, difference.low, difference.high
    value, low, high = map(math.exp, ends) if row.contrast.is_ratio else (100 * end for end in ends)
    place = row.dataset, *(row.frameworks if row.contrast.quantity in _OF_FRAMEWORKS else ())
    words = ", ".join((str(row.contrast), *place)).removeprefix("accuracy: ")
    return Effect(statement, words, value, low, high, _effect(row), row.verdict)


def _details(claim: Claim, rows: list[Row], suite: str) -> Table:
    entries = tuple(
        (
            Entry(str(row.contrast)),
            Entry(row.dataset),
            Entry(", ".join(row.frameworks) or DASH),
            Entry(_effect(row), tone=_TONES[row.verdict]),
            Entry(f"{number(row.contrast.margin, 1)} {'%' if row.contrast.is_ratio else 'points'}"),
            Entry(str(row.difference.n) if row.difference else DASH),
            Entry(_words(row), tone=_TONES[row.verdict]),
        )
        for row in rows
    )
    systems = ",".join(
        dict.fromkeys(arm.system for contrast in claim.contrasts for arm in (contrast.first, contrast.second))
    )
    note = f"{claim.source}. Reproduce: spikemark run {suite} --only system={systems}"
    columns = ("contrast", "data set", "frameworks", "effect", "margin", "seeds", "verdict")
    return Table(f"{claim.name}: {claim.statement}", columns, entries, 3, note)


def _words(row: Row) -> str:
    """The verdict, and what there is to say about it."""
    why = [row.untestable]
    if row.verdict == "undecided" and row.difference is not None and row.difference.n < FEWEST:
        why.append(f"{row.difference.n} of {FEWEST} seeds")
    if not row.planned:
        why.append("added later, decides nothing")
    return "; ".join([row.verdict, *filter(None, why)])


def _effect(row: Row) -> str:
    difference = row.difference
    if difference is None:
        return row.problems or DASH
    text: Callable[[float], str]
    smallest = detectable(row.contrast, difference)
    if row.contrast.is_ratio:
        text, unit = (lambda value: number(math.exp(value), 3)), f" {TIMES}"
        least = f"{number(100 * math.expm1(smallest), 1)} %"
    else:
        text, unit = (lambda value: number(100 * value, 2, signed=True)), ""
        least = number(100 * smallest)
    shown = text(difference.value) + unit
    if not math.isnan(difference.low):
        shown += f" [{text(difference.low)}, {text(difference.high)}]"
    if row.verdict == "undecided" and smallest > 0:
        shown += f", MDE {least}"
    return f"{shown} ({row.problems})" if row.problems else shown
