"""Where a series changed for good, and whether its newest value is worse. Change points are `ruptures`' (PELT)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import ruptures
from numpy.typing import NDArray
from scipy import stats
from tabulate import tabulate

from spikemark.core.statistics import holm
from spikemark.errors import InputError
from spikemark.regression.history import Past
from spikemark.regression.series import metrics

FEWEST_POINTS = 6
FEWEST_BETWEEN = 3
# In units of the noise's variance times log n; BIC's is 2 for a change of mean. More, since a false alarm costs trust:
# `tests/regression/test_history.py` checks the rate on series without a change.
_PENALTY = 5.0
NEWEST_ALPHA = 0.01
"""Chance that the newest values of all noisy series together raise a false alarm, where their noise is normal."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """A change point, or a newest value that is no longer what came before.

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

    def __str__(self) -> str:
        """Its size, in percent where that shows it."""
        shown = 5e-5 <= abs(self.relative) < math.inf
        return f"{100 * self.relative:+.2f} %" if shown else f"{self.after - self.before:+.6g}"


@dataclass(frozen=True)
class Regression:
    """A change for the worse.

    Attributes:
        past: the series.
        change: where and how large.
    """

    past: Past
    change: Change

    def __str__(self) -> str:
        """One line."""
        change, past = self.change, self.past
        moved = f"{change.before:.6g} to {change.after:.6g} {past.unit} ({change})"
        return f"worse since {change.commit[:12]}: {past.benchmark}: {past.label}: {moved} on {past.machine}"


def changes(past: Past) -> list[Change]:
    """Where the level of a series changed and stayed so for at least three commits.

    A deterministic number has no noise: each of its changes counts. The noise of others is taken from the
    differences of neighbours, which a change of level hardly touches.
    """
    values = np.asarray(past.values)
    found = [int(index) + 1 for index in np.flatnonzero(np.diff(values))] if _exact(past) else _breakpoints(values)
    edges = [0, *found, len(values)]
    levels = [float(np.median(values[a:b])) for a, b in pairwise(edges)]
    return [Change(at, past.commits[at], levels[i], levels[i + 1]) for i, at in enumerate(found)]


def regressions(pasts: Sequence[Past], since: str | None = None) -> list[Regression]:
    """What became worse at the newest commit, or at any from `since` on; the largest first.

    Three commits make a change of level certain. The newest one is judged before that by its distance from the level
    before it, in units of the noise; all noisy series share one chance of a false alarm (Holm).

    Raises:
        InputError: no series has a commit that begins with `since`, or several do.
    """
    looked_at = _commits_since(pasts, since)
    found = [Regression(past, change) for past in pasts for change in changes(past) if change.commit in looked_at]
    newest = [(past, *judged) for past in pasts if past.commits[-1] in looked_at and (judged := _newest(past))]
    sure = holm([p for _, _, p in newest])
    found += [Regression(past, change) for (past, change, _), p in zip(newest, sure, strict=True) if p < NEWEST_ALPHA]
    return sorted((one for one in found if _worse(one)), key=lambda one: -abs(one.change.relative))


def by_size(pasts: Sequence[Past]) -> list[tuple[Past, list[Change]]]:
    """All series with their changes, those that moved most first."""
    found = [(past, changes(past)) for past in pasts]
    return sorted(found, key=lambda pair: -max((abs(change.relative) for change in pair[1]), default=-1.0))


def summary(pasts: Sequence[Past]) -> str:
    """A table of all series with their last change, those that moved most first."""
    rows = []
    for past, found in by_size(pasts):
        last = f"{found[-1]} at {found[-1].commit[:12]}" if found else "none"
        rows.append([past.benchmark, past.label, len(past.values), f"{past.values[-1]:.6g} {past.unit}", last])
    headers = ["benchmark", "metric", "commits", "latest", "last change"]
    return str(tabulate(rows, headers=headers, disable_numparse=True))


def _exact(past: Past) -> bool:
    return metrics()[past.metric].rule == "exact"


def _worse(found: Regression) -> bool:
    return (found.change.after < found.change.before) == metrics()[found.past.metric].more


def _commits_since(pasts: Sequence[Past], since: str | None) -> set[str]:
    """Commits by when each was first added: those from `since` on, the newest alone when it is None."""
    added: dict[str, str] = {}
    for past in pasts:
        for commit, when in zip(past.commits, past.when, strict=True):
            added[commit] = min(when, added.get(commit, when))
    start = max(added.values())
    if since is not None:
        meant = [commit for commit in added if commit.startswith(since)]
        if len(meant) != 1:
            raise InputError(f"--since {since}: {len(meant) or 'no'} commits of the history begin with that")
        start = added[meant[0]]
    return {commit for commit, when in added.items() if when >= start}


def _signal(values: Floats) -> Floats:
    return np.log(values) if np.all(values > 0) else values


def _noise(signal: Floats) -> float:
    """Standard deviation around the level, from the differences of neighbours."""
    steps = np.diff(signal)
    noise = float(np.median(np.abs(steps - np.median(steps)))) * 1.4826 / math.sqrt(2)
    return noise if noise > 0 else float(steps.std()) / math.sqrt(2)


def _breakpoints(values: Floats) -> list[int]:
    if len(values) < FEWEST_POINTS:
        return []
    signal = _signal(values)
    noise = _noise(signal)
    if noise == 0:
        return []
    search = ruptures.Pelt(model="l2", min_size=FEWEST_BETWEEN, jump=1).fit(signal[:, None] / noise)
    return [int(index) for index in search.predict(pen=_PENALTY * math.log(len(values)))[:-1]]


def _newest(past: Past) -> tuple[Change, float] | None:
    """The newest value of a noisy series against the level before it, with the two-sided p-value of "no change"."""
    if _exact(past) or len(past.values) <= FEWEST_POINTS:
        return None
    values = np.asarray(past.values)
    earlier = values[:-1]
    level = earlier[[0, *_breakpoints(earlier)][-1] :]
    change = Change(len(earlier), past.commits[-1], float(np.median(level)), float(values[-1]))
    noise = _noise(_signal(values)[:-1])
    moved = abs(float(_signal(values)[-1] - np.median(_signal(values)[:-1][-len(level) :])))
    if noise == 0:
        return change, 0.0 if moved > 0 else 1.0
    error = noise * math.sqrt(1 + math.pi / 2 / len(level))
    return change, float(2 * stats.t.sf(moved / error, len(earlier) - 2))
