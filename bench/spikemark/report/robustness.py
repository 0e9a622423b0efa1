"""The robustness section: accuracy under each noise, over its severities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from spikemark.core.statistics import Floats, Interval, mean_interval
from spikemark.noise.case import NOISES
from spikemark.report import charts, figures
from spikemark.report.accuracy import agreeing_frameworks
from spikemark.report.attacks import attacks_section
from spikemark.report.cells import Cells, neurons_of
from spikemark.report.corruption import corruption_section
from spikemark.report.curves import SampledCurve, mean_over_severities, means, noises_of, sampled_curves
from spikemark.report.families import families_section, losses_in_words
from spikemark.report.model import Entry, Section, Table, agreed, alike, n_entry, percent
from spikemark.report.plots import Curves

READING = """\
Test accuracy in percent under noise: mean [95 % interval] over seeds. Every framework and neuron met the same noisy
samples (fingerprints are compared below); "clean" is measured on those same samples, so it may differ from the
accuracy table, which has the whole test set. A noise's column is the mean over its severities without the clean one,
"all noises" the mean over those columns. Frameworks share a row, with the numbers of the first one, where a paired
test of that column does not tell them apart or by less than half a point. The section on families of noise says which
system is more robust. Shaded bands are 95 % confidence intervals; fewer seeds make them wider. Each axis
shows the physical severities of its noise."""


def robustness_sections(cells: Cells) -> list[Section]:
    """Accuracy under every noise, what it adds up to, and what attacks leave."""
    return [robustness_section(cells), families_section(cells), attacks_section(cells), corruption_section(cells)]


def robustness_section(cells: Cells) -> Section:
    """A table and curves for every data set, network and variant whose records hold noises."""
    section = Section("Robustness", READING)
    for where, group in cells.where(measure="robustness").groups():
        noises = noises_of(group)
        if not noises:
            continue
        contenders = sampled_curves(group, noises)
        section.tables.append(_table(f"Accuracy under noise: {where}", group, noises, contenders))
        curves = replace(_drawn(where, group, contenders), ticks=_ticks(group, noises), says=losses_in_words(group))
        section.charts.append(charts.curve_chart(curves))
        section.figures.append(figures.curve_figure(curves))
    return section


def _table(
    title: str, group: Cells, noises: list[str], contenders: dict[tuple[str, str], dict[str, SampledCurve]]
) -> Table:
    summaries: dict[tuple[str, str], list[Mapping[int, Floats]]] = {}
    for key, curves in contenders.items():
        clean = next((curve[0] for curve in curves.values() if 0 in curve), {})
        of_noises = [mean_over_severities(curves[noise]) for noise in noises]
        summaries[key] = [clean, means(of_noises), *of_noises]
    intervals = {key: [_interval(runs) for runs in parts] for key, parts in summaries.items()}
    rows = []
    for (framework, system), parts in intervals.items():
        problems = group.where(framework=framework, system=system).problems()
        rows.append((Entry(framework), Entry(system), *map(percent, parts), n_entry(parts, problems)))
    columns = ("framework", "system", "clean", "all noises", *noises, "n")
    agreeing = agreeing_frameworks(group, {key: parts[1] for key, parts in summaries.items()})
    return Table(title, columns, alike(agreed(rows, agreeing, 3)), 2, "n: seeds.")


def _interval(runs: Mapping[int, Floats]) -> Interval | None:
    return mean_interval(runs, bounds=(0, 1)) if runs else None


def _ticks(group: Cells, noises: list[str]) -> dict[str, tuple[str, dict[int, str]]]:
    """By noise, its unit and its level at each severity, as the records have it; 0 is clean."""
    found = {}
    for noise in noises:
        told = (record["cell"].get("noises", {}).get(noise, {}).get("levels") for record in group)
        levels = next(filter(None, told), None)
        if levels:
            unit = NOISES[noise].unit if noise in NOISES else "level"
            found[noise] = (unit, {0: "clean", **{i: f"{level:g}" for i, level in enumerate(levels, start=1)}})
    return found


def _drawn(where: str, group: Cells, contenders: dict[tuple[str, str], dict[str, SampledCurve]]) -> Curves:
    drawn: dict[str, dict[str, dict[str, dict[int, Interval]]]] = {}
    for (framework, system), curves in contenders.items():
        for noise, curve in curves.items():
            points = {severity: mean_interval(runs, bounds=(0, 1)) for severity, runs in curve.items()}
            if points:
                drawn.setdefault(framework, {}).setdefault(noise, {})[system] = points
    return Curves(where, drawn, neurons_of(group))
