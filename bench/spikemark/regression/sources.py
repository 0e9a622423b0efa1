"""Reads a side of a comparison: a folder of records, or pytest-benchmark files with raw data; knows their forms."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np

from spikemark.core.measurement import Measurement, unpack_correct
from spikemark.errors import InputError
from spikemark.regression.series import METRICS, Side
from spikemark.suites.records import SCHEMA, Record

_FINAL = "ok"


def read_side(path: Path) -> Side:
    """Whatever `path` holds: records (a folder, searched with the folders below it) or pytest-benchmark results.

    Several files of the latter in a folder, like the same cell found in several folders, are several runs of
    the same code.

    Raises:
        InputError: nothing there, a file that is truncated or of another form or schema, or no raw data.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist; expected a results folder or a pytest-benchmark JSON file")
    files = [path] if path.is_file() else sorted(path.rglob("*.json"))
    if not files:
        raise InputError(f"{path} holds no records and no pytest-benchmark results (no *.json in it)")
    contents = [(file, _json(file)) for file in files]
    benchmarked = [isinstance(data.get("benchmarks"), list) for _, data in contents]
    if any(benchmarked) and not all(benchmarked):
        odd = contents[benchmarked.index(False)][0]
        raise InputError(f"{path} mixes pytest-benchmark results and others, such as {odd}")
    side = Side(str(path))
    for file, data in contents:
        if benchmarked[0]:
            _add_benchmarks(side, file, data)
        else:
            _add_record(side, _record(file, data))
    return side


def records_side(label: str, records: list[Record]) -> Side:
    """A side from records at hand."""
    side = Side(label)
    for record in records:
        _add_record(side, record)
    return side


def _json(file: Path) -> dict[str, Any]:
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{file} is truncated or not JSON: {error}") from None
    if not isinstance(data, dict):
        raise InputError(f"{file} is neither a record nor a pytest-benchmark file (not a JSON object)")
    return data


def _record(file: Path, data: dict[str, Any]) -> Record:
    # `read_record` would set a torn file aside; a comparison leaves what it reads as it was.
    missing = sorted(Record.__required_keys__ - set(data))
    if missing:
        form = "neither a spikemark record nor a pytest-benchmark file"
        raise InputError(f"{file} is {form} (as a record it lacks: {', '.join(missing)})")
    if data["schema"] != SCHEMA:
        raise InputError(f"{file} has schema {data['schema']!r}; this version reads schema {SCHEMA}")
    record: Record = data  # type: ignore[assignment]
    return record


def _machine(environment: dict[str, Any]) -> str:
    """What times depend on: records of two machines are never compared by time."""
    parts = [environment.get(name) for name in ("processor", "cores", "system", "gpu", "device", "threads")]
    return ", ".join(str(part) for part in parts[:3] if part is not None) + "".join(f", {p}" for p in parts[3:5] if p)


def _add_record(side: Side, record: Record) -> None:
    cell = record["cell"]
    measure = "" if cell["measure"] == "train" else f" ({cell['measure']})"
    name = f"{cell['framework']} {cell['system']} {cell['dataset']}{measure}"
    side.cells[name] = {"suite": record["suite"], "settings": cell.get("settings")}
    side.machine = side.machine or _machine(record["environment"])
    if record["status"] != _FINAL:
        reason = (record["error"] or "no reason given").splitlines()[0]
        side.broken[f"{name} seed {cell['seed']}"] = f"{record['status']}: {reason}"
        return
    noisy: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in record["measurements"]:
        metric = row["metric"]
        if metric not in METRICS:
            side.unjudged.add(metric)
            continue
        if METRICS[metric].kind == "score":
            if row.get("noise") and row.get("severity"):
                noisy[metric, row["noise"]].append(row["value"])
            elif not row.get("noise") and row.get("split") == "test":
                packed = record.get("correct") if metric == "accuracy" else None
                score = row["value"] if packed is None else unpack_correct(packed).astype(np.float64)
                side.place(name, metric, metric, row["unit"]).scores[cell["seed"]] = score
        else:
            _add_row(side, name, cell["seed"], row)
    for (metric, noise), values in noisy.items():
        series = side.place(name, f"{metric} under {noise}", metric, "fraction")
        series.scores[cell["seed"]] = float(np.mean(values))


def _add_row(side: Side, name: str, seed: int, row: Measurement) -> None:
    metric, unit = row["metric"], row["unit"]
    told_apart = f" [{unit}]" if metric in ("energy", "gradient_error") else ""
    split = f" {row['split']}" if row.get("split") else ""
    # Costs of several layers in one record are several numbers, not repeats of one.
    layer = f" at {row['layer']}" if row.get("layer") and METRICS[metric].kind == "cost" else ""
    series = side.place(name, f"{metric}{split}{layer}{told_apart}", metric, unit)
    if series.kind == "exact":
        series.exact[seed, row.get("layer") or ""] = row["value"]
    else:
        series.runs.append(tuple(row.get("values") or [row["value"]]))


def _add_benchmarks(side: Side, file: Path, data: dict[str, Any]) -> None:
    machine = data.get("machine_info") or {}
    cpu = machine.get("cpu") or {}
    side.machine = side.machine or ", ".join(
        str(part) for part in (cpu.get("brand_raw"), cpu.get("count"), machine.get("system")) if part is not None
    )
    for benchmark in data["benchmarks"]:
        name = benchmark.get("fullname") or benchmark.get("name")
        values = (benchmark.get("stats") or {}).get("data")
        if not name or not values:
            way = "save it with --benchmark-json or --benchmark-save-data"
            raise InputError(f"{file}: {name or 'a benchmark'} has no raw data; {way}")
        side.place(name, "time", "time", "s").runs.append(tuple(float(value) for value in values))
