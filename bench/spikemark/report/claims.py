"""The ledger: every claim with the effect that the records show, its interval and a verdict."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from spikemark.core.claims import CLAIMS, Arm, Claim, Contrast, Quantity
from spikemark.core.statistics import ALPHA, Difference, Runs, holm, minimum_detectable_effect, paired_difference
from spikemark.report.cells import Cells
from spikemark.report.curves import curve_of, mean_over_severities, means, noises_of
from spikemark.report.effects import POINTS, RATIOS, Effect, Plot, effects_chart, effects_figure
from spikemark.report.model import DASH, TIMES, Entry, Section, Table, Tone, number
from spikemark.report.plots import PALETTE

READING = """\
A claim holds where all of its contrasts do, each on one data set and one framework. The plots show every contrast; how
one is judged is told with the tables below. Networks and data are small twins of the publications', so a verdict is
about the method in this set-up, not about the published figure."""
JUDGING = """\
Each row is one contrast of a claim on one data set and one framework: first minus second in percentage points of test
accuracy, or first divided by second for costs, with its 95 % interval, paired by seed and (for accuracy) test sample.
A claim of more holds where the corrected test (Holm, over the rows of that claim) finds a difference in its direction;
it does not hold here where the test finds the opposite, or where the whole interval lies below the margin, which is
the smallest difference that would matter and was fixed before the runs. A claim of equality holds where the interval
lies within the margin, one of "at least as high" where it lies above minus the margin; they do not hold where it lies
outside. All else is undecided at this power: MDE is the
smallest true difference that the test would find in about 80 of 100 repetitions."""

Outcome = Literal["holds", "does not hold here", "undecided at this power", "not run"]
_TONES: Mapping[Outcome, Tone] = {
    "holds": "good",
    "does not hold here": "bad",
    "undecided at this power": "muted",
    "not run": "muted",
}
_STYLES: Mapping[str, tuple[str, str, str]] = {
    "holds": (PALETTE[2], "o", "circle"),
    "does not hold here": (PALETTE[3], "X", "x"),
    "undecided at this power": (PALETTE[7], "D", "diamond"),
}
_EXACT: frozenset[Quantity] = frozenset({"bytes saved for backward"})
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
    "energy": {"metric": "energy", "profile": "45nm-fp32"},
    "seconds per epoch": {"metric": "epoch_seconds"},
    "bytes saved for backward": {"metric": "saved_bytes"},
}


@dataclass(frozen=True)
class Row:
    """One contrast on one data set and framework.

    Attributes:
        contrast: which.
        dataset: where.
        framework: on what.
        difference: of accuracies as fractions, of costs as logarithms; None where an arm has no runs.
        outcome: the verdict, after correction.
        detectable: the minimum detectable effect, in the same measure.
        problems: what became of runs without a result.
    """

    contrast: Contrast
    dataset: str
    framework: str
    difference: Difference | None
    outcome: Outcome
    detectable: float = math.nan
    problems: str = ""


def claims_sections(cells: Cells) -> list[Section]:
    """One row per claim and all effects at a glance, then every contrast in numbers.

    A claim is left out unless every contrast has both of its sides in the records; no section where none remains.
    """
    rows = {claim: judge(claim, cells) for claim in registered()}
    judged = {claim: found for claim, found in rows.items() if found and all(row.dataset != DASH for row in found)}
    if not judged:
        return []
    claims, contrasts = Section("Claims", READING), Section("Contrasts", JUDGING)
    claims.tables.append(_overview(judged, len(rows) - len(judged)))
    for plot in _plots([(claim, row) for claim, found in judged.items() for row in found]):
        claims.charts.append(effects_chart(plot))
        claims.figures.append(effects_figure(plot))
    suite = cells.records[0]["suite"]
    contrasts.tables.extend(_details(claim, found, suite) for claim, found in judged.items())
    return [claims, contrasts]


def registered() -> list[Claim]:
    """All registered claims; one may be registered as a function that gives it."""
    return [entry() if callable(entry) else entry for entry in CLAIMS.values()]


def judge(claim: Claim, cells: Cells) -> list[Row]:
    """All contrasts of a claim wherever both sides were run, corrected together; one row where that is nowhere."""
    rows: list[Row] = []
    for contrast in claim.contrasts:
        own = cells.where(measure=_MEASURES[contrast.quantity])
        first, second = (own.where(**_axes(arm)) for arm in (contrast.first, contrast.second))
        if not (len(first) or len(second)):
            continue
        places = sorted(set(first.names("dataset", "framework")) & set(second.names("dataset", "framework")))
        for dataset, framework in places:
            here = (side.where(dataset=dataset, framework=framework) for side in (first, second))
            rows += [_row(contrast, where, framework, *sides) for where, *sides in _alike(dataset, contrast, *here)]
        if not places:
            rows.append(Row(contrast, DASH, DASH, None, "not run"))
    differences = [row.difference for row in rows if row.difference is not None]
    adjusted = iter(holm([difference.p for difference in differences]))
    return [
        row
        if row.difference is None
        else replace(
            row,
            outcome=_outcome(row.contrast, row.difference, next(adjusted)),
            detectable=minimum_detectable_effect(row.difference, len(differences)),
        )
        for row in rows
    ]


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
    runs = [_runs(side, contrast.quantity) for side in (first, second)]
    shared = set(runs[0]) & set(runs[1])
    problems = ", ".join(words for side in (first, second) if (words := side.problems()))
    difference = paired_difference(runs[0], runs[1]) if shared else None
    if difference is not None and difference.error == 0 and contrast.quantity in _EXACT:
        # The same in every seed, as a count is that depends on shapes alone: there is nothing left to chance.
        value = difference.value
        difference = replace(difference, low=value, high=value, p=0.0 if value else 1.0)
    return Row(contrast, dataset, framework, difference, "not run", problems=problems)


def overall(rows: Iterable[Row]) -> Outcome:
    """Of a claim: it holds if every row does, and does not if one row says so."""
    outcomes = {row.outcome for row in rows}
    if "does not hold here" in outcomes:
        return "does not hold here"
    if outcomes == {"holds"}:
        return "holds"
    return "undecided at this power" if outcomes - {"not run"} else "not run"


def _axes(arm: Arm) -> dict[str, str]:
    return {"system": arm.system, "variant": arm.variant or DASH}


def _runs(cells: Cells, quantity: Quantity) -> Runs:
    if quantity == "accuracy":
        return cells.accuracy()
    if quantity == "noisy accuracy":
        return means([mean_over_severities(curve_of(cells, noise)) for noise in noises_of(cells)])
    values = cells.runs(**_METRICS[quantity])
    return {seed: math.log(value) for seed, value in values.items() if value > 0}


def _outcome(contrast: Contrast, difference: Difference, p: float) -> Outcome:
    margin = math.log1p(contrast.margin / 100) if contrast.is_ratio else contrast.margin / 100
    if math.isnan(difference.low):
        return "undecided at this power"
    if contrast.expects == "equal":
        if -margin <= difference.low and difference.high <= margin:
            return "holds"
        return "does not hold here" if _beyond(difference, margin) and p < ALPHA else "undecided at this power"
    if contrast.expects == "not lower":
        if difference.low > -margin:
            return "holds"
        return "does not hold here" if difference.high < -margin and p < ALPHA else "undecided at this power"
    sign = 1 if contrast.expects == "higher" else -1
    low, high = sorted((sign * difference.low, sign * difference.high))
    if p < ALPHA:
        return "holds" if low > 0 else "does not hold here"
    return "does not hold here" if high < margin else "undecided at this power"


def _beyond(difference: Difference, margin: float) -> bool:
    return difference.low > margin or difference.high < -margin


def _overview(judged: Mapping[Claim, list[Row]], others: int) -> Table:
    rows = []
    for claim, tests in judged.items():
        outcome = overall(tests)
        counts = {word: sum(row.outcome == word for row in tests) for word in _TONES}
        tally = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        names = (Entry(claim.name), Entry(claim.statement))
        rows.append((*names, Entry(outcome, tone=_TONES[outcome]), Entry(tally or DASH), Entry(claim.published)))
    columns = ("claim", "statement", "verdict", "rows", "published figures")
    note = "Reproduce a claim with the command below its table."
    if others:
        note += f" Claims that need systems which are not in these records: {others}."
    return Table("Every claim and its verdict", columns, tuple(rows), 5, note)


def _plots(rows: Sequence[tuple[Claim, Row]]) -> Iterator[Plot]:
    """Accuracies and costs apart, as far as there are any."""
    for scale in (POINTS, RATIOS):
        effects = [
            _drawn(claim.name, row, row.difference)
            for claim, row in rows
            if row.difference is not None and row.contrast.is_ratio == (scale is RATIOS)
        ]
        if effects:
            yield Plot(scale, effects, _STYLES)


def _drawn(claim: str, row: Row, difference: Difference) -> Effect:
    ends = difference.value, difference.low, difference.high
    value, low, high = map(math.exp, ends) if row.contrast.is_ratio else (100 * end for end in ends)
    return Effect(claim, f"{row.contrast}, {row.dataset}, {row.framework}", value, low, high, _effect(row), row.outcome)


def _details(claim: Claim, rows: list[Row], suite: str) -> Table:
    entries = tuple(
        (
            Entry(str(row.contrast)),
            Entry(row.dataset),
            Entry(row.framework),
            Entry(_effect(row), tone=_TONES[row.outcome]),
            Entry(f"{number(row.contrast.margin, 1)} {'%' if row.contrast.is_ratio else 'points'}"),
            Entry(str(row.difference.n) if row.difference else DASH),
            Entry(row.outcome, tone=_TONES[row.outcome]),
        )
        for row in rows
    )
    systems = ",".join(
        dict.fromkeys(arm.system for contrast in claim.contrasts for arm in (contrast.first, contrast.second))
    )
    note = f"{claim.source}. Reproduce: spikemark run {suite} --only system={systems}"
    columns = ("contrast", "data set", "framework", "effect", "margin", "seeds", "verdict")
    return Table(f"{claim.name}: {claim.statement}", columns, entries, 3, note)


def _effect(row: Row) -> str:
    difference = row.difference
    if difference is None:
        return row.problems or DASH
    text: Callable[[float], str]
    if row.contrast.is_ratio:
        text, unit = (lambda value: number(math.exp(value), 3)), f" {TIMES}"
        detectable = f"{number(100 * math.expm1(row.detectable), 1)} %" if row.detectable > 0 else ""
    else:
        text, unit = (lambda value: number(100 * value, 2, signed=True)), ""
        detectable = number(100 * row.detectable) if row.detectable > 0 else ""
    shown = text(difference.value) + unit
    if not math.isnan(difference.low):
        shown += f" [{text(difference.low)}, {text(difference.high)}]"
    if row.outcome == "undecided at this power" and detectable:
        shown += f", MDE {detectable}"
    return f"{shown} ({row.problems})" if row.problems else shown
