"""Noise floors: how far runs of the same code lie apart on one machine, kept beside the baseline they belong to.

A floor is measured, never assumed: from at least three runs of the same code. One JSON object per line, one
line per series.
"""

from __future__ import annotations

import json
import math
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic needs this one on Python 3.11

from spikemark.core.files import write_files
from spikemark.errors import InputError, explain
from spikemark.regression.series import Series, Side
from spikemark.regression.verdicts import FEWEST_FLOOR_RUNS, Floor
from spikemark.suites.reading import content


def floors_path(baseline: Path) -> Path:
    """Where the floors of a baseline are: in its folder, or beside its file."""
    return baseline / "noise.jsonl" if baseline.is_dir() else baseline.with_suffix(".noise.jsonl")


@with_config(ConfigDict(extra="forbid", allow_inf_nan=False))
class _Entry(TypedDict):
    """A line of the file."""

    benchmark: str
    label: str
    deviation: Annotated[float, Field(ge=0)]
    runs: Annotated[int, Field(ge=FEWEST_FLOOR_RUNS)]
    machine: str


@cache
def _reader() -> TypeAdapter[_Entry]:
    return TypeAdapter(_Entry)


def read_floors(path: Path, machine: str) -> dict[tuple[str, str], Floor]:
    """The floors in `path` that were measured on `machine`; none when there is no file.

    Raises:
        InputError: a line is not a floor, or the file cannot be read.
    """
    entries = [entry for entry in _entries(path) if entry["machine"] == machine]
    return {(entry["benchmark"], entry["label"]): Floor(entry["deviation"], entry["runs"]) for entry in entries}


def _entries(path: Path) -> list[_Entry]:
    entries = []
    for number, line in enumerate(content(path).splitlines() if path.exists() else (), start=1):
        try:
            entries.append(_reader().validate_json(line, strict=True))
        except ValidationError as error:
            raise InputError(f"{path}, line {number}: not a noise floor ({explain(error)})") from None
    return entries


def measure_floors(sides: list[Side]) -> dict[tuple[str, str], Floor]:
    """Floors from runs of the same code, spread over any number of sides.

    Raises:
        InputError: the sides are of different machines, or no series has three runs.
    """
    if len({side.machine for side in sides}) > 1:
        raise InputError("runs of different machines cannot give one noise floor")
    runs: dict[tuple[str, str], list[float]] = {}
    for side in sides:
        for key, series in side.series.items():
            if series.kind == "cost":
                runs.setdefault(key, []).extend(_medians(series))
    floors = {
        key: Floor(float(np.std(np.log(medians), ddof=1)), len(medians))
        for key, medians in runs.items()
        if len(medians) >= FEWEST_FLOOR_RUNS
    }
    if not floors:
        raise InputError(f"a noise floor needs at least {FEWEST_FLOOR_RUNS} runs of the same code; no series has them")
    return floors


def write_floors(path: Path, floors: dict[tuple[str, str], Floor], machine: str) -> None:
    """Add floors to `path`; a series that is there already on this machine is replaced, all others stay."""
    entries = {(entry["machine"], entry["benchmark"], entry["label"]): entry for entry in _entries(path)}
    for (benchmark, label), floor in floors.items():
        entries[machine, benchmark, label] = {
            "benchmark": benchmark,
            "label": label,
            "deviation": floor.deviation,
            "runs": floor.runs,
            "machine": machine,
        }
    write_files({path: "".join(f"{json.dumps(entry)}\n" for entry in entries.values())})


def _medians(series: Series) -> list[float]:
    return [float(np.median(run)) for run in series.runs if all(value > 0 and math.isfinite(value) for value in run)]
