"""The plain table of a measure that brings no section of its own."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from spikemark.core.measurement import FEATURES, Measurement, Metric, identity
from spikemark.core.statistics import Interval
from spikemark.measures.speed.points import label_of
from spikemark.report.cells import Cells
from spikemark.report.model import ABSENT, DASH, Entry, Section, Table, decimals, estimate, n_entry, titled
from spikemark.report.summary import interval_of

READING = "Mean [95 % interval] over seeds; for timings, the median over rounds."
_MANY = 12
_Key = tuple[Any, ...]


def generic_section(name: str, kind: Any, cells: Cells) -> Section:
    """Contenders down, metrics across.

    Args:
        name: of the measure.
        kind: its class; None where it is not registered any more.
        cells: of the suite.
    """
    metrics: Mapping[str, Metric] = {metric.name: metric for metric in getattr(kind, "metrics", ())}
    told = "" if kind is None else (inspect.getdoc(kind) or "").partition("\n\n")[0]
    section = Section(name.capitalize(), " ".join([*told.split(), READING]))
    for where, group in cells.where(measure=name).groups():
        section.tables.append(_table(titled(name.capitalize(), where), group, metrics))
    return section


def _table(title: str, group: Cells, metrics: Mapping[str, Metric]) -> Table:
    who = "neuron" if group.names("system") == [(DASH,)] else "system"
    contenders = [group.where(framework=framework, **{who: name}) for framework, name in group.names("framework", who)]
    measured = [_measured(contender) for contender in contenders]
    columns, left_out = _columns([rows[0] for found in measured for rows in found.values()], metrics)
    intervals = [[interval_of(found[key]) if key in found else None for found in measured] for key in columns]
    entries = [_entries(column) for column in intervals]
    lines = []
    for i, contender in enumerate(contenders):
        names = [Entry(name) for name in contender.names("framework", who)[0]]
        n = n_entry([column[i] for column in intervals], contender.problems())
        lines.append((*names, *(column[i] for column in entries), n))
    better = [name for name, metric in metrics.items() if metric.more]
    note = "n: seeds." + (f" More is better: {', '.join(better)}." if better else "")
    if left_out:
        note += f" {left_out} further numbers, by layer or the like, are in the CSV file."
    return Table(title, ("framework", who, *columns.values(), "n"), tuple(lines), 2, note)


def _measured(contender: Cells) -> dict[_Key, list[Measurement]]:
    found: dict[_Key, list[Measurement]] = {}
    for record in contender.ok:
        for row in record["measurements"]:
            found.setdefault(identity(row), []).append(row)
    return found


def _columns(rows: list[Measurement], metrics: Mapping[str, Metric]) -> tuple[dict[_Key, str], int]:
    """Headings by what they show, those that the measure declares first; and how many numbers have none.

    Where there are many, only metrics as a whole have a column.
    """
    order = [*metrics, *dict.fromkeys(row["metric"] for row in rows)]
    told = {identity(row): row for row in sorted(rows, key=lambda row: order.index(row["metric"]))}
    shown = told if len(told) <= _MANY else {key: row for key, row in told.items() if not _apart(row)}
    shown = shown or dict(list(told.items())[:_MANY])
    return {key: _heading(row, metrics) for key, row in shown.items()}, len(told) - len(shown)


def _apart(row: Measurement) -> list[str]:
    """Words for what tells a row from others of its metric."""
    names = [name for name in FEATURES if name not in ("metric", "unit") and name in row]
    return [label_of(row["point"]) if name == "point" else str(row[name]) for name in names]  # type: ignore[literal-required]


def _heading(row: Measurement, metrics: Mapping[str, Metric]) -> str:
    unit = metrics[row["metric"]].unit if row["metric"] in metrics else row["unit"]
    words = " ".join([row["metric"].replace("_", " "), *_apart(row)])
    return words if unit in ("", "1") else f"{words} ({unit})"


def _entries(column: list[Interval | None]) -> list[Entry]:
    digits = decimals(interval.value for interval in column if interval is not None)
    return [ABSENT if i is None else Entry(estimate(i, digits=digits), i.value) for i in column]
