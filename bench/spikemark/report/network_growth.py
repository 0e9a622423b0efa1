"""The section on growth of whole networks: exponents of time and memory of a training step, and log-log plots."""

from __future__ import annotations

import math

from spikemark.core.measurement import Measurement
from spikemark.core.statistics import Interval
from spikemark.errors import InputError
from spikemark.measures.speed.points import NETWORK_GROWTH, TRACKS, NetworkPoint
from spikemark.report.cells import Cells
from spikemark.report.growth import Line, LogPlot, Panel, exponent, positive
from spikemark.report.logplots import log_chart, log_figures
from spikemark.report.model import ABSENT, TIMES, Entry, Section, Table, estimate, number, slug
from spikemark.suites.records import flat

READING = """\
One whole training step (forward, backward, optimiser) as a network grows along one axis at a time. Time is the median
over interleaved rounds, memory what a step adds at its peak in a fresh process, with the optimiser's moments. An
exponent of 1 means that twice the size takes twice as much; below 1, calls are paid for more than numbers, above 1,
caches no longer hold the work. Its interval tells scatter around a straight line. Ratios are to the reference at the
ends of an axis, timed in the same rounds: above 1 is slower."""
_QUANTITIES = (("step_seconds", "time", "s"), ("peak_memory", "memory", "B"))


def growth_section(cells: Cells) -> Section:
    """A table and a plot for every network that was grown; empty where none was."""
    section = Section("Growth of whole networks", READING)
    for where, group in cells.where(measure="growth").groups():
        axes = [axis for axis in NETWORK_GROWTH if group.where(axis=axis).records]
        section.tables.append(_table(where, group, axes))
        plot = _plot(where, group, axes)
        if plot is not None:
            section.charts.append(log_chart(plot))
            section.figures.extend(log_figures(plot))
    return section


def _table(where: str, group: Cells, axes: list[str]) -> Table:
    rows = []
    for framework, system in group.names("framework", "system"):
        own = group.where(framework=framework, system=system)
        names = (Entry(framework), Entry(system))
        for track in TRACKS:
            row = [exponent(_points(own, metric, axis, track)) for metric, _, _ in _QUANTITIES for axis in axes]
            row += [_ends(own, axis, track) for axis in axes]
            if any(entry is not ABSENT for entry in row):
                rows.append((*names, Entry(track), *row))
        if problems := own.problems():
            rows.append((*names, Entry(problems, tone="bad"), *[ABSENT] * 3 * len(axes)))
    heads = [f"{what} in {NETWORK_GROWTH[axis]}" for what in ("time", "memory") for axis in axes]
    heads += [f"{TIMES} reference along {NETWORK_GROWTH[axis]}" for axis in axes]
    settings = [flat(record["cell"]["settings"]) for record in group]
    clocks = " and ".join(sorted({str(own.get("growth.clock", "wall")) for own in settings}))
    note = f"Ranges: {'; '.join(_range(group, axis) for axis in axes)}. Clock: {clocks} time."
    return Table(
        f"Growth exponents of a training step: {where}", ("framework", "system", "track", *heads), tuple(rows), 3, note
    )


def _points(cells: Cells, metric: str, axis: str, track: str) -> dict[float, Interval]:
    """Numbers of one contender by their place on `axis`."""
    found = {}
    for record in cells.where(axis=axis).ok:
        for row in record["measurements"]:
            if (row["metric"], row.get("track")) == (metric, track):
                low, high = row.get("low", math.nan), row.get("high", math.nan)
                found[_sizes(row, axis)[axis]] = Interval(row["value"], low, high, len(row.get("values", [0])))
    return dict(sorted(found.items()))


def _sizes(row: Measurement, axis: str) -> dict[str, int]:
    """The sizes at which something was measured, that along `axis` among them.

    Raises:
        InputError: they are no sizes, or it is missing.
    """
    sizes = NetworkPoint(**row.get("point", {})).to_dict()
    if axis not in sizes:
        raise InputError(f"growth along {axis}: a measurement of {row['metric']} has no {axis}")
    return sizes


def _ends(cells: Cells, axis: str, track: str) -> Entry:
    """The ratios to the reference at the first and the last place."""
    ratios = list(_points(cells, "step_seconds_ratio", axis, track).values())
    if not ratios:
        return ABSENT
    return Entry(f"{estimate(ratios[0])} to {estimate(ratios[-1])}", ratios[-1].value)


def _range(group: Cells, axis: str) -> str:
    """From where to where an axis was measured, and what the other sizes were."""
    points = [_sizes(row, axis) for r in group.where(axis=axis).ok for row in r["measurements"] if "point" in row]
    if not points:
        return f"{NETWORK_GROWTH[axis]} nowhere"
    places = sorted({point[axis] for point in points})
    others = [f"{NETWORK_GROWTH[name]} = {number(value, 0)}" for name, value in points[0].items() if name != axis]
    ends = f"{number(places[0], 0)} to {number(places[-1], 0)} ({len(places)} points)"
    return f"{NETWORK_GROWTH[axis]} {ends} at {', '.join(others)}"


def _plot(where: str, group: Cells, axes: list[str]) -> LogPlot | None:
    """Time and memory over the axes, for each system."""
    panels = {}
    for (system,) in group.names("system"):
        own = group.where(system=system)
        made = [
            Panel(f"{name} over {NETWORK_GROWTH[axis]}", NETWORK_GROWTH[axis], name, unit, _lines(own, metric, axis))
            for metric, name, unit in _QUANTITIES
            for axis in axes
        ]
        if any(panel.lines for panel in made):
            panels[system] = tuple(made)
    title = f"Growth of a training step, {where}"
    return LogPlot(f"growth-{slug(where)}", title, panels) if panels else None


def _lines(cells: Cells, metric: str, axis: str) -> tuple[Line, ...]:
    lines = [
        Line(framework, track, positive(_points(cells.where(framework=framework), metric, axis, track)))
        for (framework,) in cells.names("framework")
        for track in TRACKS
    ]
    return tuple(line for line in lines if line.points)
