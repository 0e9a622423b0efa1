"""Interactive charts as plotly's own JSON; the page's script adds the colours of the reader's theme."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from spikemark.core.statistics import Interval
from spikemark.report.model import TIMES, Chart, estimate, number, slug
from spikemark.report.plots import (
    HEAT_RANGE,
    VAGUE,
    Bar,
    Curves,
    EnergyAccuracy,
    HeatMap,
    Ratios,
    Style,
    framework_style,
    front,
)

_COLUMNS = 3
_ROW_HEIGHT = 300
VAGUE_COLOUR = "#c4c8ce"
HEAT_TICKS = (0.5, 0.75, 1, 1.5, 2)
_FEW = 10  # Up to here every whole number has its tick.
Trace = dict[str, Any]


def curve_chart(curves: Curves) -> Chart:
    """A line with its band per system, a panel per noise; the framework is chosen."""
    styles, panels = curves.styles, curves.panels
    data: list[Trace] = []
    for framework, drawn in curves.curves.items():
        legend = set()
        for place, panel in enumerate(panels):
            for system, points in drawn.get(panel, {}).items():
                first = system not in legend
                legend.add(system)
                data.append(_line(framework, system, points, place, styles[system], first))
    layout = panels_layout(panels, x=[curves.across(panel) for panel in panels], y="accuracy (%)", shared_y=True)
    if max((x for trace in data for x in trace["x"]), default=0) <= _FEW:
        for place in range(len(panels)):
            layout[panel_axis("xaxis", place)] |= {"dtick": 1}
    for place, panel in enumerate(panels):
        if panel in curves.ticks:
            values = curves.ticks[panel][1]
            layout[panel_axis("xaxis", place)] |= {"tickvals": list(values), "ticktext": list(values.values())}
    name, title = f"{curves.name}-{slug(curves.where)}", says(curves.says, f"{curves.title}: {curves.where}")
    return Chart(name, title, data, layout, tuple(curves.curves), "Framework")


def heat_chart(heat: HeatMap) -> Chart:
    """Noises down, systems across; the framework is chosen. Blue is more robust than the baseline, red is less."""
    noises = heat.noises
    data: list[Trace] = []
    for framework, systems in heat.values.items():
        values = [[row.get(noise, math.nan) for row in systems.values()] for noise in noises]
        data.append(
            {
                "type": "heatmap",
                "meta": framework,
                "x": [escape(system) for system in systems],
                "y": [escape(noise) for noise in noises],
                "z": values,
                "zmin": HEAT_RANGE[0],
                "zmax": HEAT_RANGE[1],
                "colorbar": {
                    "title": {"text": f"1 = {escape(heat.baseline)}"},
                    "tickvals": list(HEAT_TICKS),
                    "ticktext": [f"{tick:g}" for tick in HEAT_TICKS],
                    "len": 0.8,
                },
                "colorscale": [[0, "#2166ac"], [1 / 3, "#f7f7f7"], [1, "#b2182b"]],
                "text": [["" if math.isnan(value) else number(value) for value in row] for row in values],
                "texttemplate": "%{text}",
                "hovertemplate": "%{y}, %{x}: %{text}<extra></extra>",
            }
        )
    layout = {
        "height": 140 + 20 * len(noises),
        "margin": {"l": 150, "r": 10, "t": 70, "b": 20},
        "xaxis": {"side": "top", "title": {"text": ""}},
        "yaxis": {"autorange": "reversed", "title": {"text": ""}},
    }
    title = says(heat.says, heat_title(heat))
    return Chart(f"heat-{slug(heat.where)}", title, data, layout, tuple(heat.values), "Framework")


def _line(
    framework: str, system: str, points: Mapping[int, Interval], panel: int, style: Style, in_legend: bool
) -> Trace:
    """A line whose ``customdata`` holds the ends of its band and n; the page draws the band from them."""
    severities = sorted(points)
    shown = [points[s] for s in severities]
    banded = any(not math.isnan(interval.low) for interval in shown)
    ends = " [%{customdata[0]:.2f}, %{customdata[1]:.2f}]" if banded else ""
    return {
        "type": "scatter",
        "meta": framework,
        "legendgroup": system,
        "x": severities,
        "y": [_percent(interval.value) for interval in shown],
        "customdata": [[_percent(interval.low), _percent(interval.high), interval.n] for interval in shown],
        "name": escape(system),
        "mode": "lines+markers",
        "line": {"color": style.colour, "width": 2, "dash": style.dash[1]},
        "marker": {"size": 6, "symbol": style.marker[1]},
        "hovertemplate": f"%{{y:.2f}}{ends}, n = %{{customdata[2]}}",
        "showlegend": in_legend,
        **on_panel(panel),
    }


def _percent(share: float) -> float | None:
    """With the digits of tables; None where there is none."""
    return None if math.isnan(share) else round(100 * share, 2)


def energy_chart(points: EnergyAccuracy) -> Chart:
    """A panel per hardware profile: energy across, accuracy up; a line joins the Pareto front."""
    styles = points.styles
    data: list[Trace] = []
    for panel, of_profile in enumerate(points.points.values()):
        best = front(of_profile)
        line: Trace = {
            "type": "scatter",
            "mode": "lines",
            "name": "Pareto front",
            "legendgroup": "front",
            "showlegend": panel == 0,
            "x": [p.energy.value / 1e3 for p in best],
            "y": [100 * p.accuracy.value for p in best],
            "line": {"color": "#888888", "width": 1, "dash": "dot"},
            "hoverinfo": "skip",
        }
        data.append(line | on_panel(panel))
        for p in of_profile:
            style = styles[p.system]
            trace: Trace = {
                "type": "scatter",
                "mode": "markers",
                "name": escape(p.system),
                "legendgroup": p.system,
                "showlegend": panel == 0,
                "x": [p.energy.value / 1e3],
                "y": [100 * p.accuracy.value],
                "error_x": _error([p.energy], 1e-3),
                "error_y": _error([p.accuracy], 100),
                "marker": {"color": style.colour, "symbol": style.marker[1], "size": 10},
                "text": [
                    f"{escape(p.system)}, {escape(p.framework)}<br>{estimate(p.accuracy, 100)} %<br>"
                    f"{estimate(p.energy, 1e-3)} nJ, n = {p.accuracy.n}"
                ],
                "hovertemplate": "%{text}<extra></extra>",
            }
            data.append(trace | on_panel(panel))
    across = ["energy per sample (nJ)"] * len(points.points)
    layout = panels_layout(list(points.points), x=across, y="accuracy (%)", shared_y=True)
    title = says(points.says, f"Energy against accuracy: {points.where}")
    return Chart(f"energy-{slug(points.where)}", title, data, layout)


def throughput_chart(ratios: Ratios) -> Chart:
    """Bars of the ratio to the reference, grouped by system; the quantity is chosen."""
    data: list[Trace] = []
    for quantity, bars in ratios.bars.items():
        for framework, track in dict.fromkeys((bar.framework, bar.track) for bar in bars):
            own = [bar for bar in bars if (bar.framework, bar.track) == (framework, track)]
            colour = framework_style(framework).colour
            pattern = {"pattern": {"shape": "/", "solidity": 0.25}} if track == "native" else {}
            data.append(
                {
                    "type": "bar",
                    "name": escape(f"{framework}, {track}"),
                    "legendgroup": f"{framework} {track}",
                    "x": [escape(bar.system) for bar in own],
                    "y": [bar.ratio.value for bar in own],
                    "error_y": _error([bar.ratio for bar in own], 1),
                    "marker": {"color": [VAGUE_COLOUR if bar.vague else colour for bar in own], **pattern},
                    "text": [f"{estimate(bar.ratio)}, n = {bar.ratio.n}<br>{escape(told_route(bar))}" for bar in own],
                    "textposition": "none",
                    "hovertemplate": "%{text}",
                    "meta": quantity,
                }
            )
    layout: dict[str, Any] = {
        "height": 380,
        "barmode": "group",
        "yaxis": {"title": {"text": f"{TIMES} plain PyTorch"}, "rangemode": "tozero"},
        "xaxis": {"title": {"text": ""}},
        "shapes": [{"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 1, "y1": 1, "line": {"dash": "dot"}}],
    }
    return Chart(
        f"throughput-{slug(ratios.where)}",
        says(ratios.says, f"Speed relative to plain PyTorch: {ratios.where}"),
        data,
        layout,
        tuple(quantity for quantity, bars in ratios.bars.items() if bars),
        "Quantity",
    )


def told_route(bar: Bar) -> str:
    """In words, of the number that a bar shows."""
    words = [f"route: {bar.route}"] if bar.route else []
    if bar.vague:
        words.append(f"interval spans more than a factor of {VAGUE:g}: not measured")
    return ", ".join(words)


def says(finding: str, title: str) -> str:
    """A caption: what the picture says, then what it is of."""
    return f"{finding} {title}" if finding else title


def heat_title(heat: HeatMap) -> str:
    """What a heat map shows, and what it leaves out."""
    title = f"{heat.quantity.capitalize()}: {heat.where}; 1 = {heat.baseline}, blue is more robust"
    few = f"; left out, since they cost {heat.baseline} too little: {', '.join(heat.empty)}" if heat.empty else ""
    return title + few


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


def panels_layout(titles: Sequence[str], *, x: Sequence[str], y: str, shared_y: bool) -> dict[str, Any]:
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
            "title": {"text": x[panel]},
        }
        layout[panel_axis("yaxis", panel)] = {
            "domain": [max(0.0, top - height), top],
            "anchor": panel_axis("x", panel),
            "title": {"text": "" if column else y},
            **matches,
        }
        layout["annotations"].append(
            {
                "name": "panel",
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
