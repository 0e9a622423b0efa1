"""What is compared: the watched numbers of one side, read from records or from pytest-benchmark files.

A `Series` is one number of one benchmark, with all its repeats. Which numbers there are, and how they are judged, is
declared by the measures that give them; `verdicts` says whether a change of one matters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikemark.core.measurement import Metric, Rule
from spikemark.measures.measure import MEASURES

Values = tuple[float, ...]

TIME = Metric("time", "s", "cost", timed=True)
"""Of a benchmark: a visit of `spikemark ab`, or pytest-benchmark's."""
INSTRUCTIONS = Metric("instructions", "1", "exact", timed=True)
"""That callgrind counts."""
GOLDEN = Metric("golden_trace", "1", "exact")
"""Of a layer of a framework's own: in how many settings it is not what it was, see `spikemark.regression.golden`."""


def metrics() -> Mapping[str, Metric]:
    """All metrics that can be asked for, by name: those of all registered measures, and our own."""
    declared = [metric for measure in MEASURES.values() for metric in measure.metrics]
    return {metric.name: metric for metric in [*reversed(declared), TIME, INSTRUCTIONS, GOLDEN]}


def metric_of(measure: str, name: str) -> Metric | None:
    """How a measure's number is judged; None for one that it does not declare."""
    declared = MEASURES[measure].metrics if measure in MEASURES else ()
    return next((metric for metric in declared if metric.name == name), None)


@dataclass
class Series:
    """One number of one benchmark.

    Attributes:
        benchmark: for example "snntorch mlp-lif digits".
        label: the metric with what tells it apart, such as "accuracy under gaussian".
        metric: how it is judged.
        unit: of the numbers.
        watched: whether it is looked at unless others are asked for.
        exact: for an exact metric, the numbers by place (seed and layer); the place "" of a seed is its total.
        scores: for a score, by seed: one number, or one for every test sample.
        runs: for a cost, the repeats of every run; a run is one process.
        said: what else is known of the numbers.
        machines: what they were measured on; none when unknown.
    """

    benchmark: str
    label: str
    metric: Metric
    unit: str
    watched: bool = True
    exact: dict[tuple[int, str], float] = field(default_factory=dict)
    scores: dict[int, float | NDArray[Any]] = field(default_factory=dict)
    runs: list[Values] = field(default_factory=list)
    said: str = ""
    machines: set[str] = field(default_factory=set)

    @property
    def kind(self) -> Rule:
        """Of the metric."""
        return self.metric.rule

    @property
    def family(self) -> str:
        """Which numbers are judged together: costs, scores, and scores under noise, of which there are many."""
        return "score under noise" if self.kind == "score" and " under " in self.label else self.kind

    @property
    def places(self) -> set[object]:
        """Where there is a number, for a metric that has one per seed."""
        return {*self.exact, *self.scores}

    def equals(self, other: Series) -> bool:
        """Whether every number is the same, of costs too."""
        if (self.exact, self.runs, self.scores.keys()) != (other.exact, other.runs, other.scores.keys()):
            return False
        return all(np.array_equal(score, other.scores[seed]) for seed, score in self.scores.items())


@dataclass
class Side:
    """All that is known of one side of a comparison.

    Attributes:
        label: how it is called: a path, a commit.
        series: by benchmark and label.
        broken: benchmarks without a result, and why.
        cells: benchmarks by name, each with the settings it was measured with.
        machines: what it was measured on; none when unknown.
        versions: of packages and the like, by name; several where the side mixes them.
        degenerate: cells whose network says nothing, and why; they are among `broken`, too.
        unjudged: metrics that were there and that no measure says how to judge.
        notes: what a reader must know of how the side was read.
    """

    label: str
    series: dict[tuple[str, str], Series] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    cells: dict[str, object] = field(default_factory=dict)
    machines: set[str] = field(default_factory=set)
    versions: dict[str, set[str]] = field(default_factory=dict)
    degenerate: dict[str, str] = field(default_factory=dict)
    unjudged: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    @property
    def machine(self) -> str:
        """What it was measured on; empty when unknown."""
        return "; ".join(sorted(self.machines))

    def take_in(self, other: Side) -> None:
        """Add all that is known of another part of this side."""
        self.series |= other.series
        self.broken |= other.broken
        self.cells |= other.cells
        self.machines |= other.machines
        self.degenerate |= other.degenerate
        self.unjudged |= other.unjudged
        self.notes += other.notes
        for name, versions in other.versions.items():
            self.versions.setdefault(name, set()).update(versions)

    def place(
        self, benchmark: str, metric: Metric, label: str = "", unit: str = "", *, watched: bool | None = None
    ) -> Series:
        """The series of this name, made when it is not there yet; the metric's own name, unit and watch by default."""
        self.cells.setdefault(benchmark, None)
        label, watched = label or metric.name, metric.watched if watched is None else watched
        made = Series(benchmark, label, metric, unit or metric.unit, watched)
        return self.series.setdefault((benchmark, label), made)
