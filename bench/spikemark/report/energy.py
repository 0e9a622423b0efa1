"""The energy section: exact counts, their price under several hardware profiles, and what each layer was fed."""

from __future__ import annotations

import re

from spikemark.core.statistics import Interval, Runs, mean_interval
from spikemark.report import charts, figures
from spikemark.report.cells import Cells
from spikemark.report.model import ABSENT, Entry, Section, Table, decimals, estimate, n_entry, prefix
from spikemark.report.series import EnergyAccuracy, Point

READING = """\
Counted operations per sample, and energy under every hardware profile side by side, because rankings flip with the
profile: mean [95 % interval] over seeds. An operation is a pair of a nonzero input and a nonzero weight that the layer
really has. It is an AC (accumulate) where the layer's input is binary, ternary or scaled, and a MAC
(multiply-accumulate) where it is graded or analog; the kinds are listed by layer. Dense is what a network without any
sparsity would do. The firing rate is spikes per neuron and step. Energy is counts times published prices, not a
measurement of a chip: compare within a column, never with estimates made otherwise."""

COUNTS = {
    "parameters": "parameters",
    "macs": "MACs",
    "acs": "ACs",
    "dense": "dense",
    "neuron_updates": "neuron updates",
}
_KIND = re.compile(r"(?P<layer>.*) \((?P<kind>[a-z]+)\)")


def energy_section(cells: Cells) -> Section:
    """Tables and a scatter plot for every data set, network and variant whose operations were counted."""
    section = Section("Energy", READING)
    trained = cells.where(measure="train")
    for where, group in trained.groups():
        units = [str(unit) for unit in group.features("energy", "unit")]
        if not units:
            continue
        section.tables.append(_totals(f"Operations and energy per sample: {where}", group, units))
        section.tables.append(_layers(f"Layers and the kind of their input: {where}", group))
        points = EnergyAccuracy(where, {_profile(unit): _points(group, unit) for unit in units})
        section.charts.append(charts.energy_chart(points))
        section.figures.append(figures.energy_figure(points))
    return section


def _profile(unit: str) -> str:
    return unit.removeprefix("pJ ")


def _totals(title: str, group: Cells, units: list[str]) -> Table:
    contenders = [group.where(framework=f, system=s) for f, s in group.names("framework", "system")]
    counts = [[_interval(contender.runs(metric)) for contender in contenders] for metric in COUNTS]
    energies = [[_interval(contender.runs("energy", unit=unit)) for contender in contenders] for unit in units]
    rates = [_interval(contender.runs("firing_rate")) for contender in contenders]
    headings, columns = ["framework", "system"], []
    for name, column in zip(COUNTS.values(), counts, strict=True):
        scale, symbol = prefix(i.value for i in column if i is not None)
        headings.append(f"{name} ({symbol})" if symbol else name)
        columns.append(_entries(column, 1 / scale))
    for unit, column in zip(units, energies, strict=True):
        headings.append(f"{_profile(unit)} (nJ)")
        columns.append(_entries(column, 1e-3))
    headings.append("firing rate (%)")
    columns.append(_entries(rates, 100))
    rows = []
    for i, contender in enumerate(contenders):
        names = [Entry(name) for name in contender.names("framework", "system")[0]]
        n = n_entry([column[i] for column in (*counts, *energies, rates)], contender.problems())
        rows.append((*names, *(column[i] for column in columns), n))
    return Table(title, (*headings, "n"), tuple(rows), 2, "n: seeds. No interval is given where all seeds agree.")


def _interval(runs: Runs) -> Interval | None:
    return mean_interval(runs, bounds=(0, float("inf"))) if runs else None


def _entries(column: list[Interval | None], scale: float) -> list[Entry]:
    digits = _digits([i for i in column if i is not None], scale)
    entries = []
    for interval in column:
        if interval is None:
            entries.append(ABSENT)
            continue
        exact = interval.low == interval.high
        only = Interval(interval.value, float("nan"), float("nan"), interval.n) if exact else interval
        entries.append(Entry(estimate(only, scale, digits), scale * interval.value))
    return entries


def _digits(column: list[Interval], scale: float) -> int:
    """Three significant digits, and up to two more where intervals would else look like points."""
    digits = decimals(scale * i.value for i in column)
    widths = sorted(scale * (i.high - i.low) / 2 for i in column if i.high > i.low)
    return min(digits + 2, max(digits, decimals([widths[len(widths) // 2]], 1))) if widths else digits


def _layers(title: str, group: Cells) -> Table:
    """Every layer of every contender; a layer whose input changed its kind between seeds has a row for each kind."""
    rows = []
    for framework, system in group.names("framework", "system"):
        contender = group.where(framework=framework, system=system)
        for label in dict.fromkeys([*contender.features("macs", "layer"), *contender.features("acs", "layer")]):
            match = _KIND.fullmatch(label)
            layer, kind = (match["layer"], match["kind"]) if match else (label, "not recorded")
            counts = [_interval(contender.runs(metric, layer=label)) for metric in ("macs", "acs")]
            names = [Entry(name) for name in (framework, system, layer, kind)]
            rows.append((*names, *_entries(counts, 1), n_entry(counts)))
    columns = ("framework", "system", "layer", "input", "MACs", "ACs", "n")
    return Table(title, columns, tuple(rows), 4, "Operations per sample. n: seeds.", collapsed=True)


def _points(group: Cells, unit: str) -> tuple[Point, ...]:
    points = []
    for framework, system in group.names("framework", "system"):
        contender = group.where(framework=framework, system=system)
        energy, accuracy = contender.runs("energy", unit=unit), contender.accuracy()
        if energy and accuracy:
            of_accuracy = mean_interval(accuracy, bounds=(0, 1))
            points.append(Point(framework, system, mean_interval(energy, bounds=(0, float("inf"))), of_accuracy))
    return tuple(points)
