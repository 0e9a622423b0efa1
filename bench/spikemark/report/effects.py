"""Intervals at a glance, a line each: the effects of the ledger, and what learned values became."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from spikemark.report.figures import new_canvas, styled, titled_figure
from spikemark.report.model import TIMES, Chart, Figure

_GAP = 1.0  # Between claims, in lines.
_INCHES, _PIXELS = 0.1, 11  # A line is high.


@dataclass(frozen=True)
class Effect:
    """One contrast of a claim at one place.

    Attributes:
        claim: its name.
        words: what is compared, where.
        value: first minus second in percentage points, or first divided by second.
        low: where its interval begins; NaN without one.
        high: where it ends.
        shown: value and interval in words.
        outcome: one of those of a `Plot`.
    """

    claim: str
    words: str
    value: float
    low: float
    high: float
    shown: str
    outcome: str


@dataclass(frozen=True)
class Scale:
    """An axis across.

    Attributes:
        name: of the plot.
        title: what is shown.
        place: where a value is drawn.
        ticks: values that may be marked; the first one is no difference.
        label: of a tick.
    """

    name: str
    title: str
    place: Callable[[float], float]
    ticks: tuple[float, ...]
    label: Callable[[float], str]


POINTS = Scale(
    "effects-accuracy",
    "Accuracy, first minus second, in points (linear up to 1, then logarithmic)",
    math.asinh,  # About linear up to 1, then logarithmic.
    (0, *(sign * size for size in (1, 2, 5, 10, 20, 50) for sign in (-1, 1))),
    lambda value: f"{value:+g}" if value else "0",
)
RATIOS = Scale(
    "effects-costs",
    "Costs, first divided by second (logarithmic)",
    math.log,
    (1, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 1.25, 2, 5, 10, 20, 50),
    lambda value: f"{value:g}{TIMES}",
)


@dataclass(frozen=True)
class Plot:
    """Effects on one scale.

    Attributes:
        scale: which.
        effects: those of a claim one after the other.
        styles: for each outcome its colour, matplotlib's marker and plotly's symbol.
    """

    scale: Scale
    effects: Sequence[Effect]
    styles: Mapping[str, tuple[str, str, str]]

    def lines(self) -> list[tuple[float, Effect]]:
        """Where each effect is drawn, counted from the top."""
        order = list(dict.fromkeys(effect.claim for effect in self.effects))
        return [(number + _GAP * order.index(effect.claim), effect) for number, effect in enumerate(self.effects)]

    def claims(self) -> dict[str, tuple[float, float]]:
        """The first and last line of each claim."""
        grouped = groupby(self.lines(), key=lambda line: line[1].claim)
        places = {claim: [at for at, _ in lines] for claim, lines in grouped}
        return {claim: (at[0], at[-1]) for claim, at in places.items()}

    def ticks(self) -> list[float]:
        """Those within the range of the effects, and no difference."""
        ends = [end for effect in self.effects for end in (effect.value, effect.low, effect.high) if end == end]
        none, *others = self.scale.ticks
        return sorted([none, *(tick for tick in others if min(ends) <= tick <= max(ends))])


def effects_figure(plot: Plot, name: str, title: str) -> Figure:
    """A block of lines per claim; colour and marker are the outcome."""
    lines, claims, scale = plot.lines(), plot.claims(), plot.scale
    bottom = lines[-1][0] + _GAP
    with styled():
        canvas = new_canvas(8.5, 1.2 + _INCHES * bottom)
        axes = canvas.add_subplot(1, 1, 1)
        for outcome, (colour, marker, _) in plot.styles.items():
            _draw(axes, scale, [(at, effect) for at, effect in lines if effect.outcome == outcome], colour, marker)
        for number, (first, last) in enumerate(claims.values()):
            if number % 2:
                axes.axhspan(first - _GAP, last + _GAP, color="#f3f3f3", linewidth=0, zorder=0)
        axes.axvline(scale.place(scale.ticks[0]), color="#444444", linewidth=0.9)
        axes.set_ylim(bottom, lines[0][0] - _GAP)
        axes.set_yticks([(first + last) / 2 for first, last in claims.values()], list(claims))
        axes.set_xticks([scale.place(tick) for tick in plot.ticks()], [scale.label(tick) for tick in plot.ticks()])
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(scale.title)
        handles = [
            Line2D([], [], color=colour, marker=marker, markersize=4, label=outcome)
            for outcome, (colour, marker, _) in plot.styles.items()
        ]
        canvas.legend(handles=handles, loc="outside upper center", ncols=len(handles))
        return titled_figure(canvas, name, "", title)


def _draw(axes: Axes, scale: Scale, lines: Sequence[tuple[float, Effect]], colour: str, marker: str) -> None:
    for at, effect in lines:
        if effect.low == effect.low:
            axes.plot([scale.place(effect.low), scale.place(effect.high)], [at, at], color=colour, linewidth=1.1)
        axes.plot(scale.place(effect.value), at, color=colour, marker=marker, markersize=3.2)


def effects_chart(plot: Plot, name: str, title: str) -> Chart:
    """As `effects_figure`; what a line compares is told where a reader points at it."""
    claims, scale = plot.claims(), plot.scale
    data = [
        _trace(scale, outcome, colour, symbol, [line for line in plot.lines() if line[1].outcome == outcome])
        for outcome, (colour, _, symbol) in plot.styles.items()
    ]
    none = scale.place(scale.ticks[0])
    height = plot.lines()[-1][0] + 2 * _GAP
    layout: dict[str, Any] = {
        "height": 150 + _PIXELS * height,
        "margin": {"l": 210, "r": 10, "t": 20, "b": 60},
        "xaxis": {
            "title": {"text": scale.title},
            "tickvals": [scale.place(tick) for tick in plot.ticks()],
            "ticktext": [scale.label(tick) for tick in plot.ticks()],
            "zeroline": False,
        },
        "yaxis": {
            "tickvals": [(first + last) / 2 for first, last in claims.values()],
            "ticktext": [escape(claim) for claim in claims],
            "range": [height - _GAP, -_GAP],
            "showgrid": False,
            "zeroline": False,
        },
        "shapes": [
            {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": none, "x1": none, "line": {"dash": "dot"}}
        ],
    }
    return Chart(name, title, [trace for trace in data if trace["x"]], layout)


def _trace(
    scale: Scale, outcome: str, colour: str, symbol: str, lines: Sequence[tuple[float, Effect]]
) -> dict[str, Any]:
    def reach(end: float, value: float) -> float:
        return abs(scale.place(end) - scale.place(value)) if end == end else 0.0

    return {
        "type": "scatter",
        "mode": "markers",
        "name": escape(outcome),
        "x": [scale.place(effect.value) for _, effect in lines],
        "y": [at for at, _ in lines],
        "error_x": {
            "type": "data",
            "symmetric": False,
            "array": [reach(effect.high, effect.value) for _, effect in lines],
            "arrayminus": [reach(effect.low, effect.value) for _, effect in lines],
            "thickness": 1.2,
            "width": 0,
        },
        "marker": {"color": colour, "symbol": symbol, "size": 7},
        "text": [f"{escape(effect.claim)}<br>{escape(effect.words)}<br>{escape(effect.shown)}" for _, effect in lines],
        "hovertemplate": "%{text}",
    }
