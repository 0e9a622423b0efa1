"""Timings as rows of a record."""

from __future__ import annotations

from collections.abc import Sequence

from spikemark.results import Measurement
from spikemark.statistics import median_ratio_interval


def timed_row(metric: str, unit: str, values: Sequence[float]) -> Measurement:
    """The median over rounds with its 95 % interval and the rounds themselves."""
    rounds = [rounded(value) for value in values]
    interval = median_ratio_interval([rounds])
    return {
        "metric": metric,
        "value": rounded(interval.value),
        "unit": unit,
        "low": interval.low,
        "high": interval.high,
        "values": rounds,
    }


def rounded(value: float) -> float:
    """Six digits: finer than any timing repeats, a third of the text in a record."""
    return float(f"{value:.6g}")
