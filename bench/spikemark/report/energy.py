"""The energy section: exact counts, their price under several hardware profiles, and what each layer was fed."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from spikemark.core.statistics import Interval, mean_interval
from spikemark.measures.energy import flips
from spikemark.report import charts, figures
from spikemark.report.cells import Cells
from spikemark.report.comparisons import MATTERS, PairedTest, paired_tests
from spikemark.report.first_layer import first_layer_table
from spikemark.report.joules import measured_columns
from spikemark.report.model import (
    ABSENT,
    TIMES,
    Entry,
    Section,
    Table,
    alike,
    decimals,
    estimate,
    listed,
    n_entry,
    number,
    prefix,
)
from spikemark.report.plots import EnergyAccuracy, EnergyPoint
from spikemark.report.summary import positive
from spikemark.report.twins import Twins

FLIP = "\N{UP DOWN ARROW}"
"""Marks contenders whose order depends on the profile."""
_MOST_FLIPS = 4

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
_MOST = 4


def energy_section(cells: Cells) -> Section:
    """Tables and a scatter plot for every data set, network and variant whose operations were counted."""
    section = Section("Energy", READING)
    for where, group in cells.by_measure("accuracy", "energy", "joules").groups():
        profiles = [str(profile) for profile in group.features("energy", "profile")]
        if not profiles:
            continue
        section.tables.append(_totals(f"Operations and energy per sample: {where}", group, profiles))
        section.tables.append(_layers(f"Layers and the kind of their input: {where}", group.where(measure="energy")))
        charged = first_layer_table(where, group)
        section.tables.extend([] if charged is None else [charged])
        twins = Twins.of(where, group, profiles)
        if twins is not None:
            section.tables.extend((twins.front(), twins.even()))
            points = twins.points
        else:
            by_profile = {profile: _points(group, profile) for profile in profiles}
            points = EnergyAccuracy(where, by_profile, told_costs(where, group))
        section.charts.append(charts.energy_chart(points))
        section.figures.append(figures.energy_figure(points))
    return section


def _totals(title: str, group: Cells, profiles: list[str]) -> Table:
    contenders = [group.where(framework=f, system=s) for f, s in group.names("framework", "system")]
    counts = [[positive(contender.runs(metric)) for contender in contenders] for metric in COUNTS]
    energies = [[positive(contender.runs("energy", profile=name)) for contender in contenders] for name in profiles]
    rates = [positive(contender.runs("firing_rate")) for contender in contenders]
    headings, columns = ["framework", "system"], []
    for name, column in zip(COUNTS.values(), counts, strict=True):
        scale, symbol = prefix(i.value for i in column if i is not None)
        headings.append(f"{name} ({symbol})" if symbol else name)
        columns.append(entries(column, 1 / scale))
    for name, column in zip(profiles, energies, strict=True):
        headings.append(f"{name} (nJ)")
        columns.append(entries(column, 1e-3))
    headings.append("firing rate (%)")
    columns.append(entries(rates, 100))
    measured = measured_columns(group, contenders)
    headings += measured
    columns += measured.values()
    flipping = flips({name: [c.runs("energy", profile=name) for c in contenders] for name in profiles})
    marked = {i for pair in flipping for i in pair}
    rows = []
    for i, contender in enumerate(contenders):
        framework, system = contender.names("framework", "system")[0]
        names = [Entry(framework), Entry(f"{system} {FLIP}" if i in marked else system)]
        problems = contender.by_measure("accuracy", "energy").problems()
        n = n_entry([column[i] for column in (*counts, *energies, rates)], problems)
        rows.append((*names, *(column[i] for column in columns), n))
    note = "n: seeds. No interval is given where all seeds agree."
    if measured:
        note += " Measured energy is of the machine that ran the network, estimates are of other hardware."
    if marked:
        note += f" {FLIP}: the order of some of these depends on the profile: {_told(flipping, contenders)}."
    return Table(title, (*headings, "n"), alike(rows), 2, note)


def _told(flipping: Mapping[tuple[int, int], tuple[str, str]], contenders: Sequence[Cells]) -> str:
    """The pairs in words, each once however many frameworks compute it, and no more than a few."""
    names = [contender.names("system")[0][0] for contender in contenders]
    told = dict.fromkeys(
        f"{names[i]} costs less than {names[j]} under {less} and more under {more}"
        for (i, j), (less, more) in flipping.items()
    )
    few = list(told)[:_MOST_FLIPS]
    return "; ".join(few) + (f"; and {len(told) - len(few)} more pairs" if len(told) > len(few) else "")


def relative_costs(group: Cells) -> dict[str, PairedTest]:
    """Energy of every system against the baseline's, as logarithms, in the leading framework."""
    own = group.where(framework=group.leading)
    costs = {
        system: {
            seed: math.log(value)
            for seed, value in own.where(system=system).runs("energy", profile=group.profile).items()
            if value > 0
        }
        for (system,) in own.names("system")
    }
    base = own.baseline
    if base is None or not costs.get(base):
        return {}
    return paired_tests({name: (runs, costs[base]) for name, runs in costs.items() if name != base and runs})


def told_costs(where: str, group: Cells, systems: Collection[str] | None = None) -> str:
    """What those tests say of some systems, or of all; without a baseline, what each costs; "" without any energy."""
    tests, base = relative_costs(group), group.where(framework=group.leading).baseline
    start = f"Energy per sample on {where} ({group.profile})"
    if not tests:
        return _absolute(start, group)
    told = {name: test for name, test in tests.items() if systems is None or name in systems}
    ratios = {name: math.exp(test.difference.value) for name, test in told.items()}
    order = sorted(ratios, key=lambda name: -abs(math.log(ratios[name])))
    # Differences are of logarithms, so those that matter are percent.
    changed = [name for name in order if told[name].matters]
    shown = changed or order
    costs = listed((f"{name} {number(ratios[name], 2)} {TIMES}" for name in shown), _MOST)
    none = "" if changed else f"; the tests find no difference above {MATTERS:g} %"
    return f"{start}, relative to {base}: {costs}{none}."


def _absolute(start: str, group: Cells) -> str:
    own = group.where(framework=group.leading)
    spent = {
        system: found.value / 1e3
        for (system,) in own.names("system")
        if (found := positive(own.where(system=system).runs("energy", profile=group.profile))) is not None
    }
    costs = ", ".join(f"{name} {number(value, 1)} nJ" for name, value in spent.items())
    return f"{start}: {costs}." if spent else ""


def entries(column: list[Interval | None], scale: float) -> list[Entry]:
    """A column of intervals times `scale`, with as many digits as tell them apart."""
    digits = _digits([i for i in column if i is not None], scale)
    shown = []
    for interval in column:
        if interval is None:
            shown.append(ABSENT)
            continue
        exact = interval.low == interval.high
        only = Interval(interval.value, float("nan"), float("nan"), interval.n) if exact else interval
        shown.append(Entry(estimate(only, scale, digits), scale * interval.value))
    return shown


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
        for layer, kind in _places(contender):
            place = {"layer": layer} | ({} if kind is None else {"input_kind": kind})
            counts = [positive(contender.runs(metric, **place)) for metric in ("macs", "acs")]
            names = [Entry(name) for name in (framework, system, layer, kind or "not recorded")]
            rows.append((*names, *entries(counts, 1), n_entry(counts)))
    columns = ("framework", "system", "layer", "input", "MACs", "ACs", "n")
    return Table(title, columns, alike(rows), 4, "Operations per sample. n: seeds.", collapsed=True)


def _places(contender: Cells) -> list[tuple[str, str | None]]:
    """Layers with the kind of their input, in order of appearance."""
    rows = [row for record in contender.ok for row in record["measurements"] if row["metric"] in ("macs", "acs")]
    return list(dict.fromkeys((row["layer"], row.get("input_kind")) for row in rows if "layer" in row))


def _points(group: Cells, profile: str) -> tuple[EnergyPoint, ...]:
    """Of every system in the first framework that counted it: matched ones would show it again."""
    points: dict[str, EnergyPoint] = {}
    for framework, system, neuron in group.names("framework", "system", "neuron"):
        contender = group.where(framework=framework, system=system)
        energy, accuracy = contender.runs("energy", profile=profile), contender.accuracy()
        if energy and accuracy and system not in points:
            of_accuracy = mean_interval(accuracy, bounds=(0, 1))
            of_energy = mean_interval(energy, bounds=(0, float("inf")))
            points[system] = EnergyPoint(framework, system, neuron, of_energy, of_accuracy)
    return tuple(points.values())
