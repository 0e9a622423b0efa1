"""Where a series changed for good, and the page that shows it. The change points are `ruptures`' (PELT)."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
import ruptures
from tabulate import tabulate

from spikemark.regression.history import Past
from spikemark.regression.series import metrics

FEWEST_POINTS = 6
FEWEST_BETWEEN = 3
# In units of the noise's variance times log n; BIC's is 2 for a change of mean. More, since a false alarm costs trust:
# `tests/regression/test_history.py` checks the rate on series without a change.
_PENALTY = 5.0


@dataclass(frozen=True)
class Change:
    """A change point.

    Attributes:
        index: of the first commit after the change.
        commit: that commit.
        before: median of the stretch before.
        after: median of the stretch after.
    """

    index: int
    commit: str
    before: float
    after: float

    @property
    def relative(self) -> float:
        """Of `before`; infinite when that is 0."""
        return (self.after - self.before) / abs(self.before) if self.before else math.copysign(math.inf, self.after)


def changes(past: Past) -> list[Change]:
    """Where the level of a series changed and stayed so for at least three commits.

    A deterministic number has no noise: each of its changes counts. The noise of others is taken from the
    differences of neighbours, which a change of level hardly touches.
    """
    values = np.asarray(past.values)
    if metrics()[past.metric].rule == "exact":
        found = [int(index) + 1 for index in np.flatnonzero(np.diff(values))]
    else:
        found = _breakpoints(values)
    edges = [0, *found, len(values)]
    levels = [float(np.median(values[a:b])) for a, b in pairwise(edges)]
    return [Change(at, past.commits[at], levels[i], levels[i + 1]) for i, at in enumerate(found)]


def _breakpoints(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[int]:
    if len(values) < FEWEST_POINTS:
        return []
    signal = np.log(values) if np.all(values > 0) else values
    steps = np.diff(signal)
    noise = float(np.median(np.abs(steps - np.median(steps)))) * 1.4826 / math.sqrt(2)
    if noise == 0:
        noise = float(steps.std()) / math.sqrt(2)
    if noise == 0:
        return []
    search = ruptures.Pelt(model="l2", min_size=FEWEST_BETWEEN, jump=1).fit(signal[:, None] / noise)
    return [int(index) for index in search.predict(pen=_PENALTY * math.log(len(values)))[:-1]]


def summary(pasts: Sequence[Past]) -> str:
    """A table of all series with their last change."""
    rows = []
    for past in pasts:
        found = changes(past)
        last = f"{100 * found[-1].relative:+.2f} % at {found[-1].commit[:12]}" if found else "none"
        rows.append([past.benchmark, past.label, len(past.values), f"{past.values[-1]:.6g} {past.unit}", last])
    headers = ["benchmark", "metric", "commits", "latest", "last change"]
    return str(tabulate(rows, headers=headers, disable_numparse=True))


def trend_page(pasts: Sequence[Past]) -> str:
    """One HTML page, complete in itself: a figure for every series, its change points marked with their commits."""
    figures = [_figure(past) for past in pasts]
    parts = [
        figure.to_html(full_html=False, include_plotlyjs=index == 0, div_id=f"series-{index}")
        for index, figure in enumerate(figures)
    ]
    body = "\n".join(parts)
    text = html.escape(summary(pasts))
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>Spikemark: history</title></head>\n"
        f"<body style='font-family: sans-serif; max-width: 72rem; margin: auto'>\n<h1>History</h1>\n<pre>{text}</pre>\n"
        f"{body}\n</body></html>\n"
    )


def _figure(past: Past) -> go.Figure:
    shown = [commit[:12] for commit in past.commits]
    figure = go.Figure(
        go.Scatter(x=list(range(len(shown))), y=list(past.values), text=shown, mode="lines+markers", name=past.label)
    )
    for change in changes(past):
        figure.add_vline(
            x=change.index - 0.5,
            line_dash="dash",
            annotation_text=f"{change.commit[:12]}: {100 * change.relative:+.1f} %",
        )
    figure.update_layout(
        title=f"{html.escape(past.benchmark)}: {html.escape(past.label)} ({html.escape(past.machine)})",
        xaxis={"tickvals": list(range(len(shown))), "ticktext": shown},
        yaxis_title=past.unit,
        height=360,
    )
    return figure
