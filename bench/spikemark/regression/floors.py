"""Noise floors: how far runs of the same code lie apart on one machine, kept beside the baseline they belong to.

A floor is measured, never assumed: from at least three runs of the same code. One JSON object per line, one
line per series.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from spikemark.core.files import write_files
from spikemark.errors import InputError
from spikemark.regression.series import Series, Side
from spikemark.regression.verdicts import Floor

FEWEST_RUNS = 3


def floors_path(baseline: Path) -> Path:
    """Where the floors of a baseline are: in its folder, or beside its file."""
    return baseline / "noise.jsonl" if baseline.is_dir() else baseline.with_suffix(".noise.jsonl")


def read_floors(path: Path, machine: str) -> dict[tuple[str, str], Floor]:
    """The floors in `path` that were measured on `machine`; none when there is no file.

    Raises:
        InputError: a line is not a floor.
    """
    if not path.exists():
        return {}
    floors: dict[tuple[str, str], Floor] = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            entry = json.loads(line)
            key, floor = (entry["benchmark"], entry["label"]), Floor(float(entry["deviation"]), int(entry["runs"]))
            where = entry["machine"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path}, line {number}: not a noise floor ({error})") from None
        if where == machine:
            floors[key] = floor
    return floors


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
        if len(medians) >= FEWEST_RUNS
    }
    if not floors:
        raise InputError(f"a noise floor needs at least {FEWEST_RUNS} runs of the same code; no series has them")
    return floors


def write_floors(path: Path, floors: dict[tuple[str, str], Floor], machine: str) -> None:
    """Add floors to `path`; a series that is there already on this machine is replaced, all others stay."""
    lines = {}
    if path.exists():
        read_floors(path, machine)  # refuses what is damaged, before anything is written
        for line in path.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            lines[entry["machine"], entry["benchmark"], entry["label"]] = line
    for (benchmark, label), floor in floors.items():
        entry = {"benchmark": benchmark, "label": label, "deviation": floor.deviation, "runs": floor.runs}
        lines[machine, benchmark, label] = json.dumps(entry | {"machine": machine})
    write_files({path: "".join(f"{line}\n" for line in lines.values())})


def _medians(series: Series) -> list[float]:
    return [float(np.median(run)) for run in series.runs if all(value > 0 and math.isfinite(value) for value in run)]
