"""The past of every series of one branch: an append-only file each, JSON lines, one commit per line.

Series of different machines never share a file: a hash of the machine is part of the file's name, and the machine
itself of every line. A torn last line, left by a crash or a full disk, is an error for `add`, which must not write
behind it, and the file stays as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from spikemark.errors import InputError
from spikemark.regression.series import Series, Side, metrics

_FIELDS = ("benchmark", "label", "metric", "unit", "machine", "commit", "when", "value")


@dataclass(frozen=True)
class Past:
    """One series over time.

    Attributes:
        benchmark: whose number.
        label: which number.
        metric: its name.
        unit: of the values.
        machine: what all of it was measured on.
        commits: in the order in which they were added.
        values: one a commit.
    """

    benchmark: str
    label: str
    metric: str
    unit: str
    machine: str
    commits: tuple[str, ...]
    values: tuple[float, ...]


def add(folder: Path, side: Side, commit: str, when: datetime | None = None) -> int:
    """Append one line for every watched series of a commit; how many.

    All files are looked at before the first is written, so an error leaves the history as it was.

    Raises:
        InputError: nothing to add, a file with a torn or foreign line, or a commit that is there already.
    """
    stamp = (when or datetime.now(UTC)).isoformat(timespec="seconds")
    lines: dict[Path, str] = {}
    for series in side.series.values():
        if not series.watched:
            continue
        path = folder / _file_name(series, side.machine)
        if path.exists() and any(entry["commit"] == commit for entry in _entries(path)):
            raise InputError(f"{path} has {commit} already; a history is only ever appended to")
        entry = {
            "benchmark": series.benchmark,
            "label": series.label,
            "metric": series.metric.name,
            "unit": series.unit,
            "machine": side.machine,
            "commit": commit,
            "when": stamp,
            "value": typical(series),
        }
        lines[path] = json.dumps(entry) + "\n"
    if not lines:
        raise InputError(f"{side.label} holds no series to add to a history")
    folder.mkdir(parents=True, exist_ok=True)
    for path, line in lines.items():
        _append(path, line)
    return len(lines)


def load(folder: Path) -> list[Past]:
    """Every series in `folder`, sorted by name.

    Raises:
        InputError: no history there, or a file with a torn or foreign line.
    """
    files = sorted(folder.glob("*.jsonl")) if folder.is_dir() else []
    if not files:
        raise InputError(f"{folder} holds no history; `spikemark history add` starts one")
    pasts = [_past(path) for path in files]
    return sorted(pasts, key=lambda past: (past.benchmark, past.label, past.machine))


def typical(series: Series) -> float:
    """One value for a series: the median of costs, the mean of scores over seeds, the mean total of exact numbers."""
    if series.kind == "cost":
        return float(np.median([np.median(run) for run in series.runs]))
    if series.kind == "score":
        return float(np.mean([np.mean(score) for score in series.scores.values()]))
    totals = [value for place, value in series.exact.items() if not place[1]] or list(series.exact.values())
    return float(np.mean(totals))


def _file_name(series: Series, machine: str) -> str:
    name = f"{series.benchmark} {series.label}"
    words = "".join(c if c.isalnum() else "-" for c in name).strip("-")[:80]
    return f"{words}-{hashlib.sha256(f'{name}|{machine}'.encode()).hexdigest()[:10]}.jsonl"


def _append(path: Path, line: str) -> None:
    """In one write, on disk before it returns."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _entries(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8")
    entries = []
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            missing = [field for field in _FIELDS if field not in entry]
        except (json.JSONDecodeError, TypeError):
            missing = ["valid JSON"]
        torn = number == len(lines) and (missing or not text.endswith("\n"))
        if torn:
            raise InputError(f"{path}, line {number}: the last line is torn; delete it and add that commit again")
        if missing:
            raise InputError(f"{path}, line {number}: no line of a history (lacks {', '.join(missing)})")
        entries.append(entry)
    return entries


def _past(path: Path) -> Past:
    entries = _entries(path)
    if not entries:
        raise InputError(f"{path} is empty; delete it")
    kinds = {tuple(str(entry[field]) for field in _FIELDS[:5]) for entry in entries}
    if len(kinds) > 1:
        raise InputError(f"{path} mixes series or machines: {', '.join(sorted(str(kind) for kind in kinds))}")
    benchmark, label, metric, unit, machine = kinds.pop()
    if metric not in metrics():
        raise InputError(f"{path}: {metric!r} is no metric of this version")
    commits = tuple(str(entry["commit"]) for entry in entries)
    return Past(benchmark, label, metric, unit, machine, commits, tuple(float(entry["value"]) for entry in entries))
