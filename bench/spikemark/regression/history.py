"""The past of every series of one branch: a file each, JSON lines, one commit per line, none ever changed or removed.

Series of different machines never share a file: a hash of the machine is part of the file's name, and the machine
itself of every line. A torn last line, as other programs may leave it, is an error for `add`, which must not write
behind it, and the file stays as it is.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic needs this one on Python 3.11

from spikemark.core.files import locked, sweep, write_files
from spikemark.errors import InputError, explain
from spikemark.regression.series import Series, Side, metrics
from spikemark.suites.reading import content

log = logging.getLogger(__name__)


@with_config(ConfigDict(extra="forbid", allow_inf_nan=False))
class _Entry(TypedDict):
    """A line of the file."""

    benchmark: str
    label: str
    metric: str
    unit: str
    machine: str
    commit: Annotated[str, Field(min_length=1)]
    when: str
    value: float


@cache
def _reader() -> TypeAdapter[_Entry]:
    return TypeAdapter(_Entry)


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
        values: one for each commit.
        when: each was added, in ISO format.
    """

    benchmark: str
    label: str
    metric: str
    unit: str
    machine: str
    commits: tuple[str, ...]
    values: tuple[float, ...]
    when: tuple[str, ...]


def add(folder: Path, side: Side, commit: str, when: datetime | None = None) -> int:
    """Write one line for every watched series that does not have the commit yet; how many.

    All files are written or none; one process at a time adds to a folder. Adding again changes nothing, and a commit
    that only some series have is completed: the lines come where the commit stands in the others.

    Raises:
        InputError: nothing to add, or a file with a torn or foreign line.
        OSError: the folder cannot be written.
    """
    stamp = (when or datetime.now(UTC)).isoformat(timespec="seconds")
    watched = [series for series in side.series.values() if series.watched]
    if not watched:
        raise InputError(f"{side.label} holds no series to add to a history")
    if not re.fullmatch(r"\w[\w.+/@-]*", commit):
        raise InputError(f"--commit {commit!r}: expected a hash, a tag or a branch")
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder, lambda: log.warning("another process adds to %s; waiting for it", folder)):
        sweep(folder, older_than=0)
        paths = {folder / _file_name(series, side.machine): series for series in watched}
        entries = {path: _entries(path) if path.exists() else [] for path in paths}
        commits = {path: [entry["commit"] for entry in found] for path, found in entries.items()}
        later = {name for order in commits.values() if commit in order for name in order[order.index(commit) + 1 :]}
        texts: dict[Path, bytes] = {}
        for path, series in paths.items():
            if commit in commits[path]:
                continue
            entry: _Entry = {
                "benchmark": series.benchmark,
                "label": series.label,
                "metric": series.metric.name,
                "unit": series.unit,
                "machine": side.machine,
                "commit": commit,
                "when": stamp,
                "value": typical(series),
            }
            lines = content(path).splitlines(keepends=True) if path.exists() else []
            at = next((number for number, name in enumerate(commits[path]) if name in later), len(lines))
            texts[path] = b"".join([*lines[:at], (json.dumps(entry) + "\n").encode(), *lines[at:]])
        write_files(texts)
    return len(texts)


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


def _entries(path: Path) -> list[_Entry]:
    text = content(path)
    lines = text.splitlines()
    entries = []
    for number, line in enumerate(lines, start=1):
        last = number == len(lines)
        try:
            entries.append(_reader().validate_json(line, strict=True))
            torn = last and not text.endswith(b"\n")
        except ValidationError as error:
            if not last:
                raise InputError(f"{path}, line {number}: no line of a history ({explain(error)})") from None
            torn = True
        if torn:
            raise InputError(f"{path}, line {number}: the last line is torn; delete it and add that commit again")
    return entries


def _past(path: Path) -> Past:
    entries = _entries(path)
    if not entries:
        raise InputError(f"{path} is empty; delete it")
    kinds = {(e["benchmark"], e["label"], e["metric"], e["unit"], e["machine"]) for e in entries}
    if len(kinds) > 1:
        raise InputError(f"{path} mixes series or machines: {', '.join(sorted(str(kind) for kind in kinds))}")
    benchmark, label, metric, unit, machine = kinds.pop()
    if metric not in metrics():
        raise InputError(f"{path}: {metric!r} is no metric of this version")
    commits = tuple(entry["commit"] for entry in entries)
    values, when = tuple(entry["value"] for entry in entries), tuple(entry["when"] for entry in entries)
    return Past(benchmark, label, metric, unit, machine, commits, values, when)
