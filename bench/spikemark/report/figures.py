"""Figures for Markdown: SVG by matplotlib, the same bytes for the same data."""

from __future__ import annotations

import io
import math
import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure as Canvas
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from spikemark.core.statistics import Interval
from spikemark.report.charts import HEAT_TICKS, VAGUE_COLOUR, heat_title, says
from spikemark.report.model import TIMES, Figure, number, slug
from spikemark.report.plots import HEAT_RANGE, Curves, EnergyAccuracy, HeatMap, Ratios, Style, framework_style, front

_LETTERS = 12.5  # Of a bold title in an inch.
_COLUMNS = 3
_ENTRY = 1.75  # Inches of a legend's entry with a framework and a track.
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "spikemark",  # ids of clip paths are random otherwise
    "svg.fonttype": "none",
    "text.parse_math": False,  # a name may hold a dollar sign
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.7,
    "xtick.color": "#444444",
    "ytick.color": "#444444",
    "legend.frameon": False,
    "lines.linewidth": 1.6,
}
# Hundredths of a point: what is finer is not seen, makes files long, and depends on the machine's arithmetic.
_LONG_NUMBER = re.compile(r"(?<![\w.#-])-?\d+\.\d{3,}(?![\w.])")


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the style of all figures, whatever a reader's settings."""
    with mpl.rc_context():
        mpl.rcdefaults()  # a reader's own matplotlibrc must not change committed figures
        mpl.rcParams.update(_STYLE)
        yield


def new_canvas(width: float, height: float) -> Canvas:
    """An empty figure, inches wide and high."""
    return Canvas(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1))


def svg_text(canvas: Canvas) -> str:
    """A figure as the text of an SVG file, the same each time."""
    file = io.StringIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "constrained_layout not applied")  # names longer than the figure is wide
        canvas.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = _LONG_NUMBER.sub(lambda match: f"{float(match[0]):.2f}", file.getvalue())
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def curve_figure(curves: Curves) -> Figure:
    """A line with its band per system, a panel per noise, for one framework: matched ones would show it all again."""
    with styled():
        framework, styles = next(iter(curves.curves)), curves.styles
        rows = -(-len(curves.panels) // _COLUMNS)
        columns = min(_COLUMNS, len(curves.panels))
        canvas = new_canvas(2.9 * columns + 0.5, 2.5 * rows + 0.5)
        axes = None
        for place, panel in enumerate(curves.panels, start=1):
            axes = canvas.add_subplot(rows, columns, place, sharey=axes)
            for system, points in curves.curves[framework].get(panel, {}).items():
                _curve(axes, points, styles[system])
            axes.set_title(panel)
            axes.set_xlabel(curves.across(panel))
            axes.set_ylabel("" if (place - 1) % columns else "accuracy (%)")
            if panel in curves.ticks:
                axes.set_xticks(list(curves.ticks[panel][1]), list(curves.ticks[panel][1].values()))
            else:
                axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        handles = [_handle(styles[system], system) for system in curves.systems]
        canvas.legend(handles=handles, loc="outside lower center", ncols=min(2 * columns, len(handles)))
        title = f"{curves.title}, {curves.where}, {framework}: mean and 95 % interval over seeds"
        return titled_figure(canvas, f"{curves.name}-{slug(curves.where)}", curves.says, title)


def titled_figure(canvas: Canvas, name: str, finding: str, title: str) -> Figure:
    """The finding above the picture, as wide as that is; with the title in the caption."""
    text = finding or title
    width = max(20, int(canvas.get_figwidth() * _LETTERS))
    canvas.suptitle("\n".join(textwrap.wrap(text, width)), x=0.01, ha="left", fontsize=10, fontweight="bold")
    return Figure(name, says(finding, title), svg_text(canvas))


def _handle(style: Style, label: str, line: bool = True) -> Line2D:
    dash: Any = style.dash[0] if line else ""
    return Line2D([], [], color=style.colour, marker=style.marker[0], linestyle=dash, markersize=4, label=label)


def _curve(axes: Axes, points: Mapping[int, Interval], style: Style) -> None:
    severities = sorted(points)
    axes.plot(
        severities,
        [100 * points[s].value for s in severities],
        color=style.colour,
        marker=style.marker[0],
        linestyle=style.dash[0],
        markersize=3.5,
        linewidth=1.3,
    )
    low, high = ([100 * getattr(points[s], end) for s in severities] for end in ("low", "high"))
    axes.fill_between(severities, low, high, color=style.colour, alpha=0.1, linewidth=0)


def energy_figure(points: EnergyAccuracy) -> Figure:
    """A panel per hardware profile: energy across, accuracy up; a line joins the Pareto front."""
    with styled():
        styles = points.styles
        canvas = new_canvas(2.9 * len(points.points) + 0.8, 3.4)
        grid = canvas.subplots(1, len(points.points), sharey=True, squeeze=False)[0]
        for axes, (profile, of_profile) in zip(grid, points.points.items(), strict=True):
            best = front(of_profile)
            axes.plot(
                [point.energy.value / 1e3 for point in best],
                [100 * point.accuracy.value for point in best],
                color="#888888",
                linewidth=0.9,
                linestyle=":",
            )
            for point in of_profile:
                style = styles[point.system]
                axes.errorbar(
                    [point.energy.value / 1e3],
                    [100 * point.accuracy.value],
                    xerr=_lengths([point.energy], 1e-3),
                    yerr=_lengths([point.accuracy], 100),
                    color=style.colour,
                    ecolor=(style.colour, 0.4),
                    marker=style.marker[0],
                    markersize=6,
                    markeredgecolor="white",
                    markeredgewidth=0.6,
                    elinewidth=0.8,
                )
            axes.set_title(profile)
            axes.set_xlabel("energy per sample (nJ)")
        grid[0].set_ylabel("accuracy (%)")
        handles = [_handle(style, system, line=False) for system, style in styles.items()]
        handles.append(Line2D([], [], color="#888888", linestyle=":", linewidth=0.9, label="Pareto front"))
        canvas.legend(handles=handles, loc="outside lower center", ncols=min(2 * len(points.points), len(handles)))
        title = f"Energy against accuracy, {points.where}: mean and 95 % interval over seeds"
        return titled_figure(canvas, f"energy-{slug(points.where)}", points.says, title)


def throughput_figure(ratios: Ratios) -> Figure:
    """A panel per quantity: ratio to the reference, grouped by system; the native track is hatched."""
    with styled():
        shown = {quantity: bars for quantity, bars in ratios.bars.items() if bars}
        everything = [bar for bars in shown.values() for bar in bars]
        systems = list(dict.fromkeys(bar.system for bar in everything))
        colour = {bar.framework: framework_style(bar.framework).colour for bar in everything}
        groups = list(dict.fromkeys((bar.framework, bar.track) for bar in everything))
        across = max(5.4, 2.0 + 1.5 * len(systems))
        canvas = new_canvas(across, 2.0 * len(shown) + 0.6)
        grid = canvas.subplots(len(shown), 1, sharex=True, squeeze=False)[:, 0]
        width = 0.84 / len(groups)
        for axes, (quantity, bars) in zip(grid, shown.items(), strict=True):
            for i, group in enumerate(groups):
                own = [bar for bar in bars if (bar.framework, bar.track) == group]
                axes.bar(
                    [systems.index(bar.system) + (i - (len(groups) - 1) / 2) * width for bar in own],
                    [bar.ratio.value for bar in own],
                    width * 0.92,
                    yerr=_lengths([_none(bar.ratio) if bar.vague else bar.ratio for bar in own], 1),
                    color=[VAGUE_COLOUR if bar.vague else colour[group[0]] for bar in own],
                    alpha=0.55 if group[1] == "native" else 1.0,
                    hatch="////" if group[1] == "native" else None,
                    edgecolor="white",
                    linewidth=0,
                    error_kw={"elinewidth": 0.9, "ecolor": "#222222", "capsize": 1.5},
                )
            axes.axhline(1, color="#444444", linewidth=0.9, linestyle=":")
            better = "shorter is better" if quantity == "latency" else "more is better"
            axes.set_title(f"{quantity}, {TIMES} plain PyTorch ({better})")
            axes.grid(axis="x", visible=False)
        grid[-1].set_xticks(range(len(systems)), systems)
        handles = [
            Patch(
                facecolor=colour[framework],
                alpha=0.55 if track == "native" else 1.0,
                hatch="////" if track == "native" else None,
                edgecolor="white",
                linewidth=0,
                label=f"{framework}, {track}",
            )
            for framework, track in groups
        ]
        if any(bar.vague for bar in everything):
            handles.append(Patch(facecolor=VAGUE_COLOUR, label="not measured: interval too wide"))
        canvas.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), int(across / _ENTRY)))
        title = f"Speed relative to plain PyTorch, {ratios.where}: median and its 95 % interval"
        return titled_figure(canvas, f"throughput-{slug(ratios.where)}", ratios.says, title)


def _none(interval: Interval) -> Interval:
    """The value without an interval."""
    return Interval(interval.value, math.nan, math.nan, interval.n)


def heat_figure(heat: HeatMap) -> Figure:
    """A panel per framework: noises down, systems across; blue is more robust than the baseline, red is less."""
    with styled():
        noises = heat.noises
        columns = [len(systems) for systems in heat.values.values()]
        canvas = new_canvas(max(5.5, 2.8 + 0.62 * sum(columns)), 1.9 + 0.21 * len(noises))
        grid = canvas.subplots(1, len(columns), sharey=True, squeeze=False, width_ratios=columns)[0]
        norm = TwoSlopeNorm(1.0, *HEAT_RANGE)
        for axes, (framework, systems) in zip(grid, heat.values.items(), strict=True):
            values = [[row.get(noise, math.nan) for row in systems.values()] for noise in noises]
            mesh = axes.pcolormesh(values, cmap="RdBu_r", norm=norm, edgecolors="white", linewidth=0.6)
            for y, row in enumerate(values):
                for x, value in enumerate(row):
                    text = "" if math.isnan(value) else number(value)
                    dark = abs(norm(value) - 0.5) > 0.35
                    colour = "white" if dark else "black"
                    axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=6.5, color=colour)
            axes.set_title(framework)
            axes.set_xticks([x + 0.5 for x in range(len(systems))], list(systems), rotation=60, ha="right")
            axes.set_yticks([y + 0.5 for y in range(len(noises))], noises)
            axes.grid(visible=False)
            axes.tick_params(length=0)
        grid[0].invert_yaxis()
        bar = canvas.colorbar(mesh, ax=list(grid), ticks=HEAT_TICKS, fraction=0.04, aspect=30)
        bar.set_ticklabels([f"1 = {heat.baseline}" if tick == 1 else f"{tick:g}" for tick in HEAT_TICKS])
        bar.ax.tick_params(length=0)
        return titled_figure(canvas, f"heat-{slug(heat.where)}", heat.says, heat_title(heat))


def _lengths(intervals: Sequence[Interval], scale: float) -> list[list[float]]:
    """Lengths of error bars below and above; 0 where there is no interval."""
    pairs = [(i.value - i.low, i.high - i.value) for i in intervals]
    return [[scale * (length if length == length else 0.0) for length in side] for side in zip(*pairs, strict=True)]
