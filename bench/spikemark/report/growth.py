"""How time, memory and distance from the memory limit grow with the size of a layer: exponents and log-log plots."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import scipy

from spikemark.core.measurement import Measurement
from spikemark.core.statistics import ALPHA, Interval
from spikemark.measures.speed.points import GROWTH, TRACKS, LayerAxis, Point
from spikemark.report.cells import Cells
from spikemark.report.model import ABSENT, Entry, Table, estimate, number, slug, titled

PHASE = "forward+backward"
COPY = "copy (limit)"
_FEWEST = 3


@dataclass(frozen=True)
class Line:
    """Numbers along an axis.

    Attributes:
        name: whose: a framework, or the limit.
        track: "matched", "native", or "limit".
        points: numbers by their place on the axis.
    """

    name: str
    track: str
    points: Mapping[float, Interval]


@dataclass(frozen=True)
class Panel:
    """Lines over one axis, both directions logarithmic.

    Attributes:
        title: above it.
        x: what grows.
        y: what is shown.
        unit: of it, on ticks.
        lines: in order.
    """

    title: str
    x: str
    y: str
    unit: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class LogPlot:
    """Panels, the same for every neuron.

    Attributes:
        name: unique in the report.
        title: a caption.
        panels: by neuron.
    """

    name: str
    title: str
    panels: Mapping[str, tuple[Panel, ...]]


def growth_table(cells: Cells, where: str = "") -> Table | None:
    """Exponents of time and memory along each axis; None where no axis was measured at three points."""
    axes = [axis for axis in GROWTH if cells.where(axis=axis).ok.records]
    rows = []
    for neuron, framework in cells.names("neuron", "framework"):
        for track in TRACKS:
            row = []
            for metric, phase in (("seconds", PHASE), ("peak_memory", None)):
                for axis in axes:
                    own = cells.where(axis=axis, neuron=neuron, framework=framework)
                    row.append(exponent(points_of(own, metric, axis, phase, track)))
            if any(entry is not ABSENT for entry in row):
                rows.append((Entry(neuron), Entry(framework), Entry(track), *row))
    if not rows:
        return None
    heads = [f"{what} in {GROWTH[axis]}" for what in ("time", "memory") for axis in axes]
    note = f"Ranges: {'; '.join(text for axis in axes if (text := _range(cells, axis)))}."
    title = titled(f"Growth exponents, {PHASE}", where)
    return Table(title, ("neuron", "framework", "track", *heads), tuple(rows), 3, note)


def told_growth(cells: Cells) -> Iterator[str]:
    """How time grows with the number of steps, as a sentence."""
    own = cells.where(axis="steps")
    found = {}
    for neuron, framework in own.names("neuron", "framework"):
        points = points_of(own.where(neuron=neuron, framework=framework), "seconds", "steps", PHASE, "matched")
        grown = exponent(points)
        if grown.sort is not None:
            found[f"{framework}, {neuron}"] = grown.sort
    if len(found) > 1:
        least, most = min(found, key=lambda name: found[name]), max(found, key=lambda name: found[name])
        yield (
            f"The time of a layer grows with the number of steps to the power of {number(found[least])} ({least}) to "
            f"{number(found[most])} ({most}); at 1, twice the steps take twice the time."
        )


def power_law(points: Mapping[float, float]) -> Interval:
    """The exponent k of ``y = c x^k`` by least squares on logarithms, with Student's 95 % interval of the slope.

    The interval tells scatter around a straight line, so it is wide where there is no single exponent.

    Raises:
        ValueError: fewer than three points, or one that is not positive.
    """
    if len(points) < _FEWEST or min([*points, *points.values()]) <= 0:
        raise ValueError(f"an exponent takes {_FEWEST} positive points, found {dict(points)}")
    x, y = (np.log(np.array(values, dtype=float)) for values in (list(points), list(points.values())))
    fit = scipy.stats.linregress(x, y)
    reach = float(scipy.stats.t.ppf(1 - ALPHA / 2, len(points) - 2)) * float(fit.stderr)
    slope = float(fit.slope)
    return Interval(slope, slope - reach, slope + reach, len(points))


def points_of(cells: Cells, metric: str, axis: LayerAxis, phase: str | None, track: str) -> dict[float, Interval]:
    """Numbers of one contender by their place on `axis`."""
    found = {}
    for point, row in measured(cells, metric, phase, track):
        low, high = row.get("low", math.nan), row.get("high", math.nan)
        found[point.along(axis)] = Interval(row["value"], low, high, len(row.get("values", [0])))
    return dict(sorted(found.items()))


def measured(
    cells: Cells, metric: str, phase: str | None, track: str | None = None
) -> Iterator[tuple[Point, Measurement]]:
    """All rows of a metric in cells of layers, with their points."""
    wanted = (metric, phase, track)
    for record in cells.ok:
        for row in record["measurements"]:
            if (row["metric"], row.get("split"), row.get("track")) == wanted and "point" in row:
                yield Point.from_dict(row["point"]), row


def growth_plot(cells: Cells, where: str = "") -> LogPlot | None:
    """Time and memory over T, batch and width; None where there is no growth to show."""
    axes = [axis for axis in GROWTH if cells.where(axis=axis).ok.records]
    panels = {}
    for (neuron,) in cells.names("neuron"):
        of_neuron = []
        for metric, phase, name, unit in (("seconds", PHASE, "time", "s"), ("peak_memory", None, "memory", "B")):
            for axis in axes:
                lines = _lines(cells.where(neuron=neuron, axis=axis), metric, axis, phase)
                of_neuron.append(Panel(f"{name} over {axis}", f"{axis} ({GROWTH[axis]})", name, unit, lines))
        if any(panel.lines for panel in of_neuron):
            panels[neuron] = tuple(of_neuron)
    return _plot("layers-growth", f"Growth of layers, {PHASE}", where, panels)


def roofline_plot(cells: Cells, where: str = "") -> LogPlot | None:
    """Seconds per byte that must be moved over those bytes, beside what a copy takes; None where there is nothing."""
    grown = [axis for axis in GROWTH if cells.where(axis=axis).ok.records]
    panels = {}
    for (neuron,) in cells.names("neuron"):
        of_neuron = []
        for axis in grown:
            own = cells.where(neuron=neuron, axis=axis)
            lines = [
                Line(framework, track, _seconds_per_byte(own.where(framework=framework), track))
                for (framework,) in own.names("framework")
                for track in TRACKS
            ]
            lines.append(Line(COPY, "limit", _copy(own)))
            shown = tuple(line for line in lines if line.points)
            of_neuron.append(Panel(f"by {axis}", "bytes that must be moved", "time per byte", "s/byte", shown))
        if any(panel.lines for panel in of_neuron):
            panels[neuron] = tuple(of_neuron)
    return _plot("layers-roofline", f"Distance from the memory limit, {PHASE}", where, panels)


def _plot(name: str, title: str, where: str, panels: Mapping[str, tuple[Panel, ...]]) -> LogPlot | None:
    return LogPlot(f"{name}-{slug(where)}" if where else name, titled(title, where), panels) if panels else None


def _lines(cells: Cells, metric: str, axis: LayerAxis, phase: str | None) -> tuple[Line, ...]:
    """A line per contender; what is 0, memory too little to be seen, has no place on a logarithmic scale."""
    lines = [
        Line(framework, track, positive(points_of(cells.where(framework=framework), metric, axis, phase, track)))
        for (framework,) in cells.names("framework")
        for track in TRACKS
    ]
    return tuple(line for line in lines if line.points)


def positive(points: Mapping[float, Interval]) -> dict[float, Interval]:
    """Without what is 0, which has no place on a logarithmic scale."""
    return {x: interval for x, interval in points.items() if interval.value > 0}


def _seconds_per_byte(cells: Cells, track: str) -> dict[float, Interval]:
    moved = {point: row["value"] for point, row in measured(cells, "bytes_moved", PHASE)}
    found = {}
    for point, row in measured(cells, "seconds", PHASE, track):
        low, high = row.get("low", math.nan), row.get("high", math.nan)
        size, rounds = moved.get(point, 0.0), len(row.get("values", [0]))
        if size > 0:
            found[size] = Interval(row["value"] / size, low / size, high / size, rounds)
    return dict(sorted(found.items()))


def _copy(cells: Cells) -> dict[float, Interval]:
    """Median over all cells of what a copy took for a byte, by the bytes that a layer must move at that size."""
    seen: dict[float, list[float]] = {}
    for record in cells.ok:
        alone = Cells((record,))
        moved = {point: row["value"] for point, row in measured(alone, "bytes_moved", PHASE)}
        for point, row in measured(alone, "copy_bandwidth", PHASE):
            if moved.get(point, 0.0) > 0 and row["value"] > 0:
                seen.setdefault(moved[point], []).append(1 / row["value"])
    return {
        size: Interval(float(np.median(values)), min(values), max(values), len(values))
        for size, values in sorted(seen.items())
    }


def exponent(points: Mapping[float, Interval]) -> Entry:
    """An exponent; ABSENT where there are too few points, or one of them is 0 (memory below what can be seen)."""
    values = {x: interval.value for x, interval in points.items()}
    if len(values) < _FEWEST or min(values.values()) <= 0:
        return ABSENT
    exponent = power_law(values)
    return Entry(estimate(exponent), exponent.value)


def _range(cells: Cells, axis: LayerAxis) -> str:
    """From where to where an axis was measured, and what the other sizes were."""
    own = cells.where(axis=axis)
    points = [point for point, _ in measured(own, "seconds", PHASE, "matched")]
    if not points:
        return ""
    places = sorted({point.along(axis) for point in points})
    others = [f"{letter} = {number(points[0].along(other), 0)}" for other, letter in GROWTH.items() if other != axis]
    ends = f"{number(places[0], 0)} to {number(places[-1], 0)} ({len(places)} points)"
    return f"{GROWTH[axis]} {ends} at {', '.join(others)}"
