"""The section on threshold modulation: accuracy under noise at trained thresholds and at ones that follow the batch."""

from __future__ import annotations

from spikemark.core.statistics import Difference, mean_interval, paired_difference, verdict
from spikemark.report.cells import Cells
from spikemark.report.comparisons import MATTERS
from spikemark.report.model import ABSENT, Entry, Section, Table, Tone, alike, estimate, percent

READING = """\
Test accuracy in percent, mean [95 % interval] over seeds. Trained: with the thresholds that training left. Batch of N:
every threshold moves with the mean and the spread of its membranes over N samples at a time, without labels and without
gradients (threshold modulation, Zhao et al. 2025, on networks that were not trained for it). Gain: the largest batch
minus trained thresholds, in points, paired by seed; in colour where a test at 5 % tells it from 0."""
_TONES: dict[str, Tone] = {"better": "good", "worse": "bad", "undecided": "muted"}


def modulation_sections(cells: Cells) -> list[Section]:
    """A table for every data set, network and variant: contenders and noises down, batch sizes across."""
    section = Section("Threshold modulation", READING)
    for where, group in cells.where(measure="threshold-modulation").groups():
        measured = [row for record in group.ok for row in record["measurements"]]
        sizes = sorted({size for row in measured if isinstance(size := row.get("point", {}).get("batch_size"), int)})
        noisy = [row for row in measured if "noise" in row and "severity" in row]
        places = [(None, 0), *sorted({(row["noise"], row["severity"]) for row in noisy})]
        rows = [
            (
                Entry(framework),
                Entry(system),
                Entry(noise or "clean"),
                Entry(str(severity)),
                *_numbers(own, sizes, noise, severity),
            )
            for framework, system in group.names("framework", "system")
            for own in [group.where(framework=framework, system=system)]
            for noise, severity in places
        ]
        columns = ("framework", "system", "noise", "severity", "trained", *(f"batch of {n}" for n in sizes), "gain")
        section.tables.append(Table(f"Threshold modulation: {where}", columns, alike(rows), 4))
    return [section]


def _numbers(own: Cells, sizes: list[int], noise: str | None, severity: int) -> list[Entry]:
    place = {"split": "test", "severity": severity} | ({} if noise is None else {"noise": noise})
    trained = own.runs("accuracy", **place)
    moved = [own.runs("accuracy_modulated", point={"batch_size": size}, **place) for size in sizes]
    shown = [percent(mean_interval(runs, bounds=(0, 1))) if runs else ABSENT for runs in (trained, *moved)]
    both = bool(moved) and bool(set(trained) & set(moved[-1]))
    return [*shown, _gain(paired_difference(moved[-1], trained)) if both else ABSENT]


def _gain(difference: Difference) -> Entry:
    tone = _TONES[verdict(difference)] if abs(100 * difference.value) >= MATTERS else "muted"
    return Entry(estimate(difference, 100, signed=True), difference.value, tone=tone)
