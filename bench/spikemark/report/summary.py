"""Every measurement of a suite, summed up over seeds, as one tidy table: the report's CSV."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

import pandas as pd

from spikemark.core.measurement import FEATURES, Measurement, identity
from spikemark.core.statistics import Interval, Runs, mean_interval, median_ratio_interval
from spikemark.core.tables import to_csv
from spikemark.measures.speed.points import label_of
from spikemark.report.cells import Cells, axis, problem
from spikemark.suites.records import Record

_AXES = ("measure", "dataset", "network", "variant", "axis", "framework", "system", "neuron")
COLUMNS = ("suite", *_AXES, "edition", "status", *FEATURES, "n", "value", "low", "high")

_HEADLINE = identity({"metric": "accuracy", "unit": "fraction", "split": "test", "value": 0.0})


def summary(suite: str, cells: Cells) -> pd.DataFrame:
    """A row for each contender and measurement, and one for each contender and reason without a result.

    ``edition`` says how settings, versions or definitions differ from those of other records. ``n`` counts cells.
    ``value`` is the mean over them with its 95 % interval, over test samples too where headline accuracy is; for
    timings, which hold several rounds, it is their median, see `median_ratio_interval`.
    """
    rows: list[dict[str, Any]] = []
    for place in cells.names(*_AXES):
        for words, contender in cells.where(**dict(zip(_AXES, place, strict=True))).editions():
            cell = contender.records[0]["cell"]
            shared = {"suite": suite, **{name: cell.get(name) for name in _AXES}, "edition": ", ".join(words)}
            counted = Counter(word for record in contender if (word := problem(record)) is not None)
            rows += [shared | {"status": word, "n": count} for word, count in sorted(counted.items())]
            rows += [shared | {"status": "ok", **row} for row in _measurements(contender)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _measurements(contender: Cells) -> list[dict[str, Any]]:
    found: defaultdict[tuple[Any, ...], list[tuple[Record, Measurement]]] = defaultdict(list)
    for record in contender.ok:
        for row in record["measurements"]:
            found[identity(row)].append((record, row))
    headline = contender.accuracy()
    rows = []
    for measured in found.values():
        first = measured[0][1]
        named: dict[str, Any] = {name: first.get(name) for name in FEATURES}
        if "point" in first:
            named["point"] = label_of(first["point"])
        is_headline = bool(headline) and identity(first) == _HEADLINE
        interval = mean_interval(headline, bounds=(0, 1)) if is_headline else interval_of([row for _, row in measured])
        runs = len({axis(record, "seed") for record, _ in measured})
        rows.append(named | {"n": runs, "value": interval.value, "low": interval.low, "high": interval.high})
    return rows


def interval_of(rows: list[Measurement]) -> Interval:
    """Of the same measurement in several records; of one alone as it was recorded."""
    if len(rows) == 1:
        return Interval(rows[0]["value"], rows[0].get("low", math.nan), rows[0].get("high", math.nan), 1)
    # Memory too little to be seen is 0, which has no ratios.
    if all(min(row.get("values", [0.0])) > 0 for row in rows):
        return median_ratio_interval([row["values"] for row in rows])
    return mean_interval({i: row["value"] for i, row in enumerate(rows)})


def positive(runs: Runs) -> Interval | None:
    """The mean of what cannot be below 0; None without runs."""
    return mean_interval(runs, bounds=(0, float("inf"))) if runs else None


def csv(frame: pd.DataFrame) -> str:
    """The table as CSV with six significant digits, which do not depend on the machine that renders it."""
    return to_csv(frame, float_format="%.6g")


def counts(cells: Cells) -> Mapping[str, int]:
    """How many cells there are of each status, "ok" first."""
    words = Counter(problem(record) or "ok" for record in cells)
    return dict(sorted(words.items(), key=lambda item: (item[0] != "ok", item[0])))
