"""What is compared: the watched numbers of one side, read from records or from pytest-benchmark files.

A `Series` is one number of one benchmark, with all its repeats. This module knows which numbers are watched and of
what kind they are; whether a change of one matters is the affair of `verdicts`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from numpy.typing import NDArray

Kind = Literal["exact", "score", "cost"]
Values = tuple[float, ...]


@dataclass(frozen=True)
class Metric:
    """How a number is judged.

    Attributes:
        kind: "exact" (deterministic: any difference is a finding), "score" (by seed, more is better) or "cost"
            (measured: time, rates, memory).
        more: whether more is better.
        watched: whether it is compared unless others are asked for.
        timed: whether its verdicts are called slower and faster; worse and better otherwise.
    """

    kind: Kind
    more: bool = False
    watched: bool = True
    timed: bool = False


_COUNTS = ("macs", "acs", "neuron_updates", "energy", "parameters", "neuron_parameters")
_CONFORMANCE = ("differing_spikes", "gradient_error")
_RATES = ("samples_per_second", "training_samples_per_second")

METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "accuracy": Metric("score", more=True),
        "accuracy_last_epoch": Metric("score", more=True, watched=False),
        **{name: Metric("exact") for name in (*_COUNTS, *_CONFORMANCE)},
        "compared_spikes": Metric("exact", more=True),
        "firing_rate": Metric("exact", watched=False),
        "instructions": Metric("exact", timed=True),
        "time": Metric("cost", timed=True),
        **{name: Metric("cost", more=True, timed=True) for name in _RATES},
        "latency": Metric("cost", timed=True),
        "seconds": Metric("cost", timed=True),
        "peak_memory": Metric("cost"),
        # The same, relative to the reference in the same cell; and of the framework's own default neuron.
        **{f"{name}_ratio": Metric("cost", more=True, watched=False, timed=True) for name in _RATES},
        "latency_ratio": Metric("cost", watched=False, timed=True),
        **{f"native_{name}": Metric("cost", more=True, watched=False, timed=True) for name in _RATES},
        "native_latency": Metric("cost", watched=False, timed=True),
        "seconds_ratio": Metric("cost", watched=False, timed=True),
        "native_seconds": Metric("cost", watched=False, timed=True),
        "native_peak_memory": Metric("cost", watched=False),
        "first_call": Metric("cost", watched=False, timed=True),
    }
)


@dataclass
class Series:
    """One number of one benchmark.

    Attributes:
        benchmark: for example "snntorch mlp-lif digits".
        label: the metric with what tells it apart, such as "accuracy under gaussian".
        metric: a row of `METRICS`.
        unit: of the numbers.
        exact: for an exact metric, the numbers by place (seed and layer); the place "" of a seed is its total.
        scores: for a score, by seed: one number, or one for every test sample.
        runs: for a cost, the repeats of every run; a run is one process.
    """

    benchmark: str
    label: str
    metric: str
    unit: str
    exact: dict[tuple[int, str], float] = field(default_factory=dict)
    scores: dict[int, float | NDArray[Any]] = field(default_factory=dict)
    runs: list[Values] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        """Of the metric."""
        return METRICS[self.metric].kind


@dataclass
class Side:
    """All that is known of one side of a comparison.

    Attributes:
        label: how it is called: a path, a commit.
        series: by benchmark and label.
        broken: benchmarks without a result, and why.
        cells: benchmarks by name, each with the settings it was measured with.
        machine: what it was measured on; empty when unknown.
        unjudged: metrics that were there and that nothing here judges.
    """

    label: str
    series: dict[tuple[str, str], Series] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)
    cells: dict[str, object] = field(default_factory=dict)
    machine: str = ""
    unjudged: set[str] = field(default_factory=set)

    def place(self, benchmark: str, label: str, metric: str, unit: str) -> Series:
        """The series of this name, made when it is not there yet."""
        self.cells.setdefault(benchmark, None)
        return self.series.setdefault((benchmark, label), Series(benchmark, label, metric, unit))
