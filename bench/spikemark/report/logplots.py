"""Log-log plots of layers, interactive for the page and as SVG for Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

from spikemark.report.charts import Trace, on_panel, panel_axis, panels_layout
from spikemark.report.figures import new_canvas, styled, titled_figure
from spikemark.report.growth import Line, LogPlot, Panel
from spikemark.report.model import Chart, Figure, slug
from spikemark.report.plots import framework_style

_COLUMNS = 3
_SHORT = EngFormatter(places=0, sep="")
_LARGE, _FEW = 1024, 5
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
# Beyond this ratio of the largest to the smallest number, powers of ten are ticks enough.
_WIDE = 100
_LIMIT = "#7f7f7f"
# For matplotlib and for plotly.
_DASHES: Mapping[str, tuple[Any, str]] = {"matched": ("-", "solid"), "native": ("--", "dash"), "limit": (":", "dot")}


def log_chart(plot: LogPlot) -> Chart:
    """Panels of lines, a colour per framework, dashed where it is the native track; the neuron is chosen."""
    colour = _colours(plot)
    data: list[Trace] = []
    for neuron, panels in plot.panels.items():
        legend: set[tuple[str, str]] = set()
        for number, panel in enumerate(panels):
            for line in panel.lines:
                whose = (line.name, line.track)
                data.append(_trace(neuron, number, line, colour[line.name], whose not in legend))
                legend.add(whose)
    first = next(iter(plot.panels.values()))
    layout = panels_layout([panel.title for panel in first], x=[panel.x for panel in first], y="", shared_y=False)
    for number, panel in enumerate(first):
        sizes = _sizes([panels[number] for panels in plot.panels.values()])
        ticks = {"tickvals": sizes, "ticktext": [size_label(size) for size in sizes]}
        layout[panel_axis("xaxis", number)] |= {"type": "log"} | ticks
        title = "" if number % _COLUMNS else panel.y
        heights = _decades([panels[number] for panels in plot.panels.values()])
        named = {"tickvals": heights, "ticktext": [_with_unit(panel)(height) for height in heights]}
        layout[panel_axis("yaxis", number)] |= {"type": "log", "title": {"text": title}} | named
    return Chart(plot.name, plot.title, data, layout, tuple(plot.panels), "Neuron")


def _trace(neuron: str, panel: int, line: Line, colour: str, in_legend: bool) -> Trace:
    name = line.name if line.track == "limit" else f"{line.name}, {line.track}"
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": escape(name),
        "legendgroup": name,
        "showlegend": in_legend,
        "meta": neuron,
        "x": list(line.points),
        "y": [interval.value for interval in line.points.values()],
        "line": {"color": colour, "width": 2, "dash": _DASHES[line.track][1]},
        "marker": {"size": 6, "symbol": framework_style(line.name).marker[1]},
        "text": [
            f"{i.value:.3g} [{i.low:.3g}, {i.high:.3g}]" if i.low == i.low else f"{i.value:.3g}"
            for i in line.points.values()
        ],
        "hovertemplate": "%{x}: %{text}",
        **on_panel(panel),
    }


def log_figures(plot: LogPlot) -> list[Figure]:
    """A figure per neuron, drawn as in `log_chart`."""
    return [_figure(plot, neuron) for neuron in plot.panels]


def _figure(plot: LogPlot, neuron: str) -> Figure:
    panels = plot.panels[neuron]
    with styled():
        colour = _colours(plot)
        frameworks = [name for name in colour if any(line.name == name for p in panels for line in p.lines)]
        marker = {name: framework_style(name).marker[0] for name in colour}
        rows, columns = -(-len(panels) // _COLUMNS), min(_COLUMNS, len(panels))
        canvas = new_canvas(3.1 * columns + 0.5, 2.6 * rows + 0.6)
        for place, panel in enumerate(panels, start=1):
            axes = canvas.add_subplot(rows, columns, place)
            for line in panel.lines:
                _line(axes, line, colour[line.name], marker[line.name])
            if panel.lines:
                _scales(axes, panel)
            axes.set_title(panel.title)
            axes.set_xlabel(panel.x)
            axes.set_ylabel("" if (place - 1) % columns else panel.y)
        tracks = dict.fromkeys(line.track for panel in panels for line in panel.lines if line.track != "limit")
        limits = {line.name for panel in panels for line in panel.lines if line.track == "limit"}
        handles = [
            Line2D(
                [], [], color=colour[n], linestyle=":" if n in limits else "-", marker=marker[n], markersize=4, label=n
            )
            for n in frameworks
        ]
        handles += [Line2D([], [], color="#444444", linestyle=_DASHES[track][0], label=track) for track in tracks]
        canvas.legend(handles=handles, loc="outside lower center", ncols=min(8, len(handles)))
        return titled_figure(canvas, f"{plot.name}-{slug(neuron)}", "", f"{plot.title}, {neuron}")


def _scales(axes: Axes, panel: Panel) -> None:
    """Both logarithmic; ticks across at the sizes that were measured, and prefixes instead of powers of ten."""
    axes.set_xscale("log")
    axes.set_yscale("log")
    sizes = _sizes([panel])
    axes.set_xticks(sizes, [size_label(size) for size in sizes], rotation=45 if len(sizes) > _FEW else 0)
    axes.xaxis.set_minor_locator(NullLocator())
    values = [interval.value for line in panel.lines for interval in line.points.values()]
    axes.yaxis.set_major_locator(LogLocator(subs=(1,) if max(values) > _WIDE * min(values) else (1, 2, 5)))
    axes.yaxis.set_major_formatter(_with_unit(panel))
    axes.yaxis.set_minor_locator(NullLocator())


def size_label(size: float) -> str:
    """A power of two as such, where it is one and large; else the number with its prefix."""
    exponent = math.log2(size)
    if size >= _LARGE and exponent.is_integer():
        return "2" + str(int(exponent)).translate(_RAISED)
    return _SHORT(size)


def _with_unit(panel: Panel) -> EngFormatter:
    """Of the ticks up: seconds as "10 ms", bytes as "1 MB", seconds per byte as "1 ns/byte"."""
    return EngFormatter(unit=panel.unit)


def _decades(panels: Sequence[Panel]) -> list[float]:
    """Powers of ten around all numbers; with 2 and 5 between where there are few."""
    values = [interval.value for panel in panels for line in panel.lines for interval in line.points.values()]
    if not values:
        return []
    steps = (1,) if max(values) > _WIDE * min(values) else (1, 2, 5)
    first, last = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [float(f"{step}e{power}") for power in range(first, last + 1) for step in steps]


def _sizes(panels: Sequence[Panel]) -> list[float]:
    return sorted({size for panel in panels for line in panel.lines for size in line.points})


def _line(axes: Axes, line: Line, colour: str, marker: str) -> None:
    axes.plot(
        list(line.points),
        [interval.value for interval in line.points.values()],
        color=colour,
        linestyle=_DASHES[line.track][0],
        marker=marker,
        markersize=3.5,
        linewidth=1.2,
    )


def _colours(plot: LogPlot) -> dict[str, str]:
    """A colour per framework, the same for every neuron; what is a limit is grey."""
    lines = [line for panels in plot.panels.values() for panel in panels for line in panel.lines]
    named = {line.name: framework_style(line.name).colour for line in lines if line.track != "limit"}
    return named | {line.name: _LIMIT for line in lines if line.track == "limit"}
