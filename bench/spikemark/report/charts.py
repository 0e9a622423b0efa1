"""Interactive charts as plotly's own JSON; the page's script adds the colours of the reader's theme."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from spikemark.core.statistics import Interval
from spikemark.report.model import Chart, estimate, slug
from spikemark.report.plots import HEAT_RANGE, Curves, EnergyAccuracy, HeatMap, Ratios, colours

SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "cross", "star", "hexagon")
_COLUMNS = 3
_ROW_HEIGHT = 300
_FEW = 10  # Up to here every whole number has its tick.
Trace = dict[str, Any]


def curve_chart(curves: Curves) -> Chart:
    """A line with its band per system, a panel per noise; the framework is chosen."""
    colour, panels = colours(curves.systems), curves.panels
    data: list[Trace] = []
    for framework, drawn in curves.curves.items():
        legend = set()
        for number, panel in enumerate(panels):
            for system, points in drawn.get(panel, {}).items():
                first = system not in legend
                legend.add(system)
                data += _line_with_band(framework, system, points, number, colour[system], first)
    layout = panels_layout(panels, x=curves.x, y="accuracy (%)", shared_y=True)
    if max((x for trace in data for x in trace["x"]), default=0) <= _FEW:
        for number in range(len(panels)):
            layout[panel_axis("xaxis", number)] |= {"dtick": 1}
    name, title = f"{curves.name}-{slug(curves.where)}", f"{curves.title}: {curves.where}"
    return Chart(name, title, data, layout, tuple(curves.curves), "Framework")


def heat_chart(heat: HeatMap) -> Chart:
    """Noises down, systems across; the framework is chosen. Blue is more robust than the baseline, red is less."""
    noises = heat.noises
    data: list[Trace] = []
    for framework, systems in heat.values.items():
        values = [[row.get(noise, math.nan) for row in systems.values()] for noise in noises]
        shown = [[None if math.isnan(value) else round(value, 3) for value in row] for row in values]
        data.append(
            {
                "type": "heatmap",
                "meta": framework,
                "x": [escape(system) for system in systems],
                "y": [escape(noise) for noise in noises],
                "z": shown,
                "zmin": HEAT_RANGE[0],
                "zmax": HEAT_RANGE[1],
                "colorscale": [[0, "#2166ac"], [1 / 3, "#f7f7f7"], [1, "#b2182b"]],
                "texttemplate": "%{z:.2f}",
                "hovertemplate": "%{y}, %{x}: %{z:.3f}<extra></extra>",
            }
        )
    layout = {
        "height": 140 + 20 * len(noises),
        "margin": {"l": 150, "r": 10, "t": 20, "b": 60},
        "yaxis": {"autorange": "reversed"},
    }
    title = f"{heat.quantity.capitalize()}: {heat.where}"
    return Chart(f"heat-{slug(heat.where)}", title, data, layout, tuple(heat.values), "Framework")


def _line_with_band(
    framework: str, system: str, points: Mapping[int, Interval], panel: int, colour: str, in_legend: bool
) -> list[Trace]:
    severities = sorted(points)
    shared = {"meta": framework, "legendgroup": system, **on_panel(panel)}
    banded = [s for s in severities if points[s].low == points[s].low]
    upper, lower = [100 * points[s].high for s in banded], [100 * points[s].low for s in banded]
    band: Trace = {
        "type": "scatter",
        "x": banded + banded[::-1],
        "y": upper + lower[::-1],
        "fill": "toself",
        "fillcolor": f"rgba({_rgb(colour)}, 0.13)",
        "line": {"width": 0},
        "mode": "lines",
        "hoverinfo": "skip",
        "showlegend": False,
    }
    line: Trace = {
        "type": "scatter",
        "x": severities,
        "y": [100 * points[s].value for s in severities],
        "name": escape(system),
        "mode": "lines+markers",
        "line": {"color": colour, "width": 2},
        "marker": {"size": 6},
        "text": [f"{estimate(points[s], 100)}, n = {points[s].n}" for s in severities],
        "hovertemplate": "%{text}",
        "showlegend": in_legend,
    }
    return [band | shared, line | shared] if banded else [line | shared]


def energy_chart(points: EnergyAccuracy) -> Chart:
    """A panel per hardware profile: energy across, accuracy up; colour: system, shape: framework."""
    systems = list(dict.fromkeys(p.system for panel in points.points.values() for p in panel))
    frameworks = list(dict.fromkeys(p.framework for panel in points.points.values() for p in panel))
    colour, symbol = colours(systems), _symbols(frameworks)
    data: list[Trace] = []
    for panel, of_profile in enumerate(points.points.values()):
        for p in of_profile:
            trace: Trace = {
                "type": "scatter",
                "mode": "markers",
                "name": escape(p.system),
                "legendgroup": p.system,
                "showlegend": False,
                "x": [p.energy.value / 1e3],
                "y": [100 * p.accuracy.value],
                "error_x": _error([p.energy], 1e-3),
                "error_y": _error([p.accuracy], 100),
                "marker": {"color": colour[p.system], "symbol": symbol[p.framework], "size": 10},
                "text": [
                    f"{escape(p.framework)}<br>{estimate(p.accuracy, 100)} %<br>{estimate(p.energy, 1e-3)} nJ, "
                    f"n = {p.accuracy.n}"
                ],
                "hovertemplate": "%{text}",
            }
            data.append(trace | on_panel(panel))
    data += [_key(system, colour[system], "circle", system) for system in systems]
    data += [_key(framework, "#888888", symbol[framework], f"shape of {framework}") for framework in frameworks]
    layout = panels_layout(list(points.points), x="energy per sample (nJ)", y="accuracy (%)", shared_y=True)
    return Chart(f"energy-{slug(points.where)}", f"Energy against accuracy: {points.where}", data, layout)


def _key(name: str, colour: str, symbol: str, group: str) -> Trace:
    """An entry of the legend without a point; those of systems switch the system's points."""
    marker = {"color": colour, "symbol": symbol, "size": 9}
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [None],
        "y": [None],
        "name": escape(name),
        "legendgroup": group,
        "marker": marker,
    }


def throughput_chart(ratios: Ratios) -> Chart:
    """Bars of the ratio to the reference, grouped by system; the quantity is chosen."""
    frameworks = list(dict.fromkeys(bar.framework for bars in ratios.bars.values() for bar in bars))
    colour = colours(frameworks)
    data: list[Trace] = []
    for quantity, bars in ratios.bars.items():
        for framework, track in dict.fromkeys((bar.framework, bar.track) for bar in bars):
            own = [bar for bar in bars if (bar.framework, bar.track) == (framework, track)]
            pattern = {"pattern": {"shape": "/", "solidity": 0.25}} if track == "native" else {}
            data.append(
                {
                    "type": "bar",
                    "name": escape(f"{framework}, {track}"),
                    "legendgroup": f"{framework} {track}",
                    "x": [escape(bar.system) for bar in own],
                    "y": [bar.ratio.value for bar in own],
                    "error_y": _error([bar.ratio for bar in own], 1),
                    "marker": {"color": colour[framework], **pattern},
                    "text": [f"{estimate(bar.ratio)}, n = {bar.ratio.n}" for bar in own],
                    "textposition": "none",
                    "hovertemplate": "%{text}",
                    "meta": quantity,
                }
            )
    layout: dict[str, Any] = {
        "height": 380,
        "barmode": "group",
        "yaxis": {"title": {"text": "ratio to the reference"}, "rangemode": "tozero"},
        "xaxis": {"title": {"text": ""}},
        "shapes": [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1, "line": {"dash": "dot"}}],
    }
    return Chart(
        f"throughput-{slug(ratios.where)}",
        f"Ratio to the reference: {ratios.where}",
        data,
        layout,
        tuple(quantity for quantity, bars in ratios.bars.items() if bars),
        "Quantity",
    )


def _symbols(names: Sequence[str]) -> dict[str, str]:
    return {name: SYMBOLS[i % len(SYMBOLS)] for i, name in enumerate(names)}


def _rgb(colour: str) -> str:
    return ", ".join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5))


def _error(intervals: Sequence[Interval], scale: float) -> dict[str, Any]:
    """Error bars from low to high; none of no length where there is no interval."""
    lengths = [
        [scale * length if length == length else 0.0 for length in (i.high - i.value, i.value - i.low)]
        for i in intervals
    ]
    up, down = zip(*lengths, strict=True)
    return {
        "type": "data",
        "symmetric": False,
        "array": list(up),
        "arrayminus": list(down),
        "thickness": 1.2,
        "width": 3,
    }


def panel_axis(kind: str, panel: int) -> str:
    """Name of a panel's axis in a layout; `kind` is "x", "y", "xaxis" or "yaxis"."""
    return f"{kind}{panel + 1}" if panel else kind


def on_panel(panel: int) -> dict[str, str]:
    """What puts a trace on a panel."""
    return {"xaxis": panel_axis("x", panel), "yaxis": panel_axis("y", panel)}


def panels_layout(titles: Sequence[str], *, x: str, y: str, shared_y: bool) -> dict[str, Any]:
    """A grid of panels with a title each, at most three side by side."""
    columns = min(_COLUMNS, len(titles))
    rows = -(-len(titles) // columns)
    gap_x, gap_y = 0.05, 0.3 / rows
    width, height = (1 - gap_x * (columns - 1)) / columns, (1 - gap_y * (rows - 1)) / rows
    layout: dict[str, Any] = {"height": 115 + _ROW_HEIGHT * rows, "annotations": []}
    for panel, title in enumerate(titles):
        row, column = divmod(panel, columns)
        left, top = column * (width + gap_x), 1 - row * (height + gap_y)
        matches = {"matches": "y"} if shared_y and panel else {}
        layout[panel_axis("xaxis", panel)] = {
            "domain": [left, min(1.0, left + width)],
            "anchor": panel_axis("y", panel),
            "title": {"text": x},
        }
        layout[panel_axis("yaxis", panel)] = {
            "domain": [max(0.0, top - height), top],
            "anchor": panel_axis("x", panel),
            "title": {"text": "" if column else y},
            **matches,
        }
        layout["annotations"].append(
            {
                "text": f"<b>{escape(title)}</b>",
                "showarrow": False,
                "x": left,
                "y": top,
                "xref": "paper",
                "yref": "paper",
                "xanchor": "left",
                "yanchor": "bottom",
            }
        )
    return layout
