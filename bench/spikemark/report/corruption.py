"""The section that sums up curves under noise: what each noise costs a system, against the baseline neuron."""

from __future__ import annotations

import math
from collections.abc import Mapping

from spikemark.core.statistics import Interval, mean_interval
from spikemark.report import charts, figures
from spikemark.report.cells import BASELINE, Cells
from spikemark.report.curves import (
    SeededCurve,
    corruption_error,
    curve_of,
    half_margin_severity,
    mean_accuracy,
    mean_over_noises,
    mean_over_severities,
    noises_of,
    normalised_area,
    relative_corruption_error,
)
from spikemark.report.families import losses_in_words
from spikemark.report.model import ABSENT, Entry, Section, Table, alike, estimate, number
from spikemark.report.plots import HeatMap

LEAST_LOSS = 0.01
READING = f"""\
This section sums up the curves above in single numbers. CE, the corruption error of a noise, is a system's errors
over all severities divided by those of {BASELINE} in the same framework; relative CE divides only the errors that the
noise adds to the clean ones, so that a better clean accuracy is not taken for robustness (Hendrycks and Dietterich,
ICLR 2019). mCE and relative mCE are their means over the noises; below 1 is more robust than {BASELINE}. Baseline
errors are means over its seeds; noises that cost {BASELINE} less than {100 * LEAST_LOSS:g} point of accuracy on
average say nothing about robustness, have no relative CE and are left out of its mean. Verdicts are those by family,
above. Area is the share of the margin over chance that the system keeps, from clean to the strongest severity. Half
margin is the severity at which it has lost half of that margin."""

ByNoise = dict[str, SeededCurve]


def corruption_section(cells: Cells) -> Section:
    """Tables and a heat map for every data set, network and variant where the baseline was measured under noise."""
    section = Section("Robustness in numbers", READING)
    for where, group in cells.where(measure="robustness").groups():
        noises = noises_of(group)
        baselines = [system for system, neuron in group.names("system", "neuron") if neuron == BASELINE]
        if not noises or not baselines:
            continue
        heat: dict[str, dict[str, dict[str, float]]] = {}
        contenders = {
            (framework, system): _curves(group.where(framework=framework, system=system), noises)
            for framework, system in group.names("framework", "system")
        }
        rows = []
        for (framework,) in group.names("framework"):
            curves = {system: found for (name, system), found in contenders.items() if name == framework}
            if not curves.get(baselines[0]):
                continue
            of_framework, heat[framework] = _framework(framework, curves, baselines[0])
            rows += of_framework
        if not rows:
            continue
        columns = ("framework", "system", "mCE", "relative mCE", "noises", "n")
        section.tables.append(Table(f"Corruption error: {where}", columns, alike(rows), 2, "n: seeds."))
        chance = next((record["chance"] for record in group if record["chance"] is not None), math.nan)
        section.tables.append(_noise_table(where, contenders, noises, chance))
        others = {
            framework: {system: row for system, row in systems.items() if system != baselines[0]}
            for framework, systems in heat.items()
        }
        picture = HeatMap(where, "relative corruption error", baselines[0], others, losses_in_words(group))
        if picture.noises:
            section.charts.append(charts.heat_chart(picture))
            section.figures.append(figures.heat_figure(picture))
    return section


def _framework(
    framework: str, curves: Mapping[str, ByNoise], baseline: str
) -> tuple[list[tuple[Entry, ...]], dict[str, dict[str, float]]]:
    """A row per system, and the heat map's values."""
    base = {noise: _mean_curve(curve) for noise, curve in curves[baseline].items()}
    telling = {noise for noise, curve in base.items() if curve[0] - mean_accuracy(curve) >= LEAST_LOSS}
    absolute, relative, heat = {}, {}, {}
    for system, of_system in curves.items():
        if set(of_system) != set(base):
            continue
        by_seed = {seed: _of_seed(of_system, seed) for seed in _seeds(of_system)}
        if not by_seed:  # no seed has all noises at all severities
            continue
        absolute[system] = {s: mean_over_noises(corruption_error, c, base) for s, c in by_seed.items()}
        kept = {noise: base[noise] for noise in base if noise in telling}
        if kept:
            relative[system] = {
                s: mean_over_noises(relative_corruption_error, {n: c[n] for n in kept}, kept)
                for s, c in by_seed.items()
            }
        heat[system] = {
            noise: relative_corruption_error(_mean_curve(of_system[noise]), base[noise])
            if noise in telling
            else math.nan
            for noise in base
        }
    rows: list[tuple[Entry, ...]] = [
        (
            Entry(framework),
            Entry(system),
            _entry(mean_interval(runs)),
            _entry(mean_interval(relative[system])) if system in relative else ABSENT,
            Entry(str(len(telling)), float(len(telling))),
            Entry(str(len(runs)), float(len(runs))),
        )
        for system, runs in absolute.items()
    ]
    return rows, heat


def _entry(interval: Interval) -> Entry:
    return Entry(estimate(interval), interval.value)


def _noise_table(where: str, contenders: Mapping[tuple[str, str], ByNoise], noises: list[str], chance: float) -> Table:
    """Every noise and contender: accuracy over the severities, area and half margin of the mean curve."""
    rows = []
    for noise in noises:
        for (framework, system), curves in contenders.items():
            if noise not in curves:
                continue
            runs = mean_over_severities(curves[noise])
            if not runs:  # no seed has all severities
                continue
            mean = _mean_curve(curves[noise])
            accuracy = mean_interval(runs, bounds=(0, 1))
            rows.append(
                (
                    Entry(noise),
                    Entry(framework),
                    Entry(system),
                    Entry(estimate(accuracy, 100), accuracy.value),
                    _number(normalised_area(mean, chance) if chance == chance else math.nan),
                    _half(mean, chance),
                )
            )
    columns = ("noise", "framework", "system", "accuracy (%)", "area", "half margin")
    note = "Accuracy: mean over severities 1 to 5 [95 % interval over seeds]. Area and half margin: of the mean curve."
    return Table(f"Every noise in numbers: {where}", columns, alike(rows, 1), 3, note, collapsed=True)


def _half(curve: Mapping[int, float], chance: float) -> Entry:
    if chance != chance:
        return ABSENT
    severity = half_margin_severity(curve, chance)
    last = max(curve)
    return Entry(f"> {last}", float(last + 1)) if severity is None else _number(severity)


def _number(value: float) -> Entry:
    return ABSENT if math.isnan(value) else Entry(number(value), value)


def _curves(contender: Cells, noises: list[str]) -> ByNoise:
    """Complete curves only: those with the clean point and a noisy one."""
    curves = {noise: curve_of(contender, noise) for noise in noises}
    return {noise: curve for noise, curve in curves.items() if 0 in curve and len(curve) > 1}


def _seeds(curves: ByNoise) -> list[int]:
    """Seeds that have every point."""
    return sorted(set.intersection(*(set(runs) for curve in curves.values() for runs in curve.values())))


def _of_seed(curves: ByNoise, seed: int) -> dict[str, dict[int, float]]:
    return {noise: {s: runs[seed] for s, runs in curve.items()} for noise, curve in curves.items()}


def _mean_curve(curve: Mapping[int, Mapping[int, float]]) -> dict[int, float]:
    return {severity: math.fsum(runs.values()) / len(runs) for severity, runs in curve.items()}
