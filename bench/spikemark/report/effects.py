"""Intervals at a glance, a line each: the effects of the ledger, and what learned values became."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby
from typing import Any

from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from spikemark.report.charts import says
from spikemark.report.figures import new_canvas, styled, titled_figure
from spikemark.report.model import TIMES, Chart, Figure

_GAP = 0.7  # Between claims, in lines.
_INCHES, _PIXELS = 0.15, 15  # A line is high.
_LETTERS = 70, 46  # Of a claim in one line, in figures and on pages.


@dataclass(frozen=True)
class Effect:
    """One contrast of a claim at one place.

    Attributes:
        claim: its statement.
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
        what: is counted by outcome; nothing when empty.
        title: of the axis.
        place: where a value is drawn.
        ticks: values that may be marked; the first one is no difference.
        label: of a tick.
    """

    name: str
    what: str
    title: str
    place: Callable[[float], float]
    ticks: tuple[float, ...]
    label: Callable[[float], str]


POINTS = Scale(
    "effects-accuracy",
    "Contrasts of accuracy",
    "Points of accuracy, first minus second (log beyond 1)",
    math.asinh,  # About linear up to 1, then logarithmic.
    (0, *(sign * size for size in (1, 2, 5, 10, 20, 50) for sign in (-1, 1))),
    lambda value: f"{value:+g}" if value else "0",
)
RATIOS = Scale(
    "effects-costs",
    "Contrasts of costs",
    "Costs, first divided by second (logarithmic)",
    math.log,
    (1, 0.02, 0.05, 0.1, 0.2, 0.5, 0.8, 1.25, 2, 5, 10, 20, 50),
    lambda value: f"{value:g}{TIMES}",
)


@dataclass(frozen=True)
class Block:
    """The effects of one claim.

    Attributes:
        top: where it begins, in lines from the top.
        heading: the claim's statement, in lines.
        lines: where each effect is drawn.
    """

    top: float
    heading: tuple[str, ...]
    lines: tuple[tuple[float, Effect], ...]


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

    def blocks(self, letters: int) -> list[Block]:
        """One per claim, its statement in lines of so many letters."""
        blocks, top = [], 0.0
        for claim, effects in groupby(self.effects, key=lambda effect: effect.claim):
            heading = textwrap.wrap(claim, letters)
            lines = tuple((top + len(heading) + number, effect) for number, effect in enumerate(effects))
            blocks.append(Block(top, tuple(heading), lines))
            top = lines[-1][0] + 1 + _GAP
        return blocks

    @property
    def told(self) -> str:
        """How many effects came out how; "" where that says nothing."""
        counts = Counter(effect.outcome for effect in self.effects)
        counted = [f"{outcome} in {counts[outcome]}" for outcome in self.styles if counts[outcome]]
        return f"{self.scale.what}: {', '.join(counted)}." if self.scale.what else ""

    def ticks(self) -> list[float]:
        """Those within the range of the effects, and no difference."""
        ends = [end for effect in self.effects for end in (effect.value, effect.low, effect.high) if end == end]
        none, *others = self.scale.ticks
        return sorted([none, *(tick for tick in others if min(ends) <= tick <= max(ends))])


def effects_figure(plot: Plot, name: str, title: str) -> Figure:
    """Below the statement of each claim a line per contrast; colour and marker are the outcome."""
    scale, blocks = plot.scale, plot.blocks(_LETTERS[0])
    lines = [line for block in blocks for line in block.lines]
    bottom = lines[-1][0] + 1
    with styled():
        canvas = new_canvas(8.5, 1.4 + _INCHES * bottom)
        axes = canvas.add_subplot(1, 1, 1)
        for outcome, (colour, marker, _) in plot.styles.items():
            _draw(axes, scale, [(at, effect) for at, effect in lines if effect.outcome == outcome], colour, marker)
        for number, block in enumerate(blocks):
            ground = "#f3f3f3" if number % 2 else "white"
            axes.axhspan(block.top - 1, block.lines[-1][0] + 0.6, color=ground, linewidth=0, zorder=0)
            _head(axes, block, ground)
        axes.axvline(scale.place(scale.ticks[0]), color="#444444", linewidth=0.9)
        axes.set_ylim(bottom, -1)
        axes.set_yticks([at for at, _ in lines], [effect.words for _, effect in lines], fontsize=6.5)
        axes.set_xticks([scale.place(tick) for tick in plot.ticks()], [scale.label(tick) for tick in plot.ticks()])
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(scale.title)
        handles = [
            Line2D([], [], color=colour, marker=marker, markersize=4, label=outcome)
            for outcome, (colour, marker, _) in plot.styles.items()
        ]
        canvas.legend(handles=handles, loc="outside lower center", ncols=len(handles))
        return titled_figure(canvas, name, plot.told, title)


def _head(axes: Axes, block: Block, ground: str) -> None:
    """The claim's statement, on its ground, so that no line crosses it."""
    behind = {"facecolor": ground, "edgecolor": "none", "pad": 0.8}
    words: dict[str, Any] = {"fontsize": 7.5, "fontweight": "bold", "va": "center", "bbox": behind}
    for line, text in enumerate(block.heading):
        axes.text(0.01, block.top + line, text, transform=axes.get_yaxis_transform(), **words)


def _draw(axes: Axes, scale: Scale, lines: Sequence[tuple[float, Effect]], colour: str, marker: str) -> None:
    for at, effect in lines:
        if effect.low == effect.low:
            axes.plot([scale.place(effect.low), scale.place(effect.high)], [at, at], color=colour, linewidth=1.1)
        axes.plot(scale.place(effect.value), at, color=colour, marker=marker, markersize=3.2)


def effects_chart(plot: Plot, name: str, title: str) -> Chart:
    """As `effects_figure`; what a line compares is told where a reader points at it."""
    scale, blocks = plot.scale, plot.blocks(_LETTERS[1])
    lines = [line for block in blocks for line in block.lines]
    data = [
        _trace(scale, outcome, colour, symbol, [line for line in lines if line[1].outcome == outcome])
        for outcome, (colour, _, symbol) in plot.styles.items()
    ]
    none = scale.place(scale.ticks[0])
    bottom = lines[-1][0] + 1
    layout: dict[str, Any] = {
        "height": 150 + _PIXELS * (bottom + 1),
        "margin": {"l": 10, "r": 10, "t": 20, "b": 60},
        "xaxis": {
            "title": {"text": scale.title},
            "tickvals": [scale.place(tick) for tick in plot.ticks()],
            "ticktext": [scale.label(tick) for tick in plot.ticks()],
            "zeroline": False,
        },
        "yaxis": {"range": [bottom, -1], "showticklabels": False, "showgrid": False, "zeroline": False},
        "shapes": [
            {"type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": none, "x1": none, "line": {"dash": "dot"}}
        ],
        "annotations": [
            {
                "text": f"<b>{'<br>'.join(map(escape, block.heading))}</b>",
                "align": "left",
                "font": {"size": 11},
                "showarrow": False,
                "x": 0,
                "xanchor": "left",
                "xref": "paper",
                "y": block.top - 0.5,
                "yanchor": "top",
            }
            for block in blocks
        ],
    }
    return Chart(name, says(plot.told, title), [trace for trace in data if trace["x"]], layout)


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
