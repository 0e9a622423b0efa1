"""Reads a side of a comparison: records, or pytest-benchmark files with raw data; knows their forms."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Annotated, Any, NotRequired

import numpy as np
import orjson
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic needs this one on Python 3.11

from spikemark.core.measurement import Measurement, Metric, unpack_correct
from spikemark.errors import InputError, explain, first_line
from spikemark.measures.speed.points import label_of
from spikemark.regression.series import TIME, Series, Side, metric_of
from spikemark.suites.reading import Remarks, contents
from spikemark.suites.records import Cell, Record, distinct, parse_record


def read_side(path: Path) -> Side:
    """Whatever `path` holds: records (a folder or packed file, as `load_records` reads it) or pytest-benchmark results.

    Several files of pytest-benchmark in a folder count as several runs of the same code, as does a cell that is found
    in several folders. JSON files of another form are left out, with a warning.

    Raises:
        InputError: nothing there, a record of another schema, records and benchmarks together, or no raw data.
    """
    remarks = Remarks()
    benchmarked: dict[str, _Benchmarks] = {}

    def parsed() -> Iterator[tuple[str, Record | None]]:
        for where, text in contents(path, remarks):
            found = _benchmarks(text, where)
            if found is None:
                yield where, parse_record(text, where, remarks)
            else:
                benchmarked[where] = found

    records = list(distinct(parsed(), remarks))
    remarks.tell()
    if records and benchmarked:
        raise InputError(f"{path} mixes records and pytest-benchmark results, such as {next(iter(benchmarked))}")
    if not records and not benchmarked:
        raise InputError(f"{path} holds no records and no pytest-benchmark results")
    side = records_side(str(path), records)
    for data in benchmarked.values():
        _add_benchmarks(side, data)
    return side


def records_side(label: str, records: Iterable[Record]) -> Side:
    """A side from records at hand.

    Where a benchmark was measured with several versions or definitions, the records that were started last count, and
    the side's notes name what was left out.

    Raises:
        InputError: a benchmark was measured with several settings, and nothing says which of them are meant.
    """
    side = Side(label)
    grouped: dict[str, dict[str, list[Record]]] = {}
    for record in records:
        edition = json.dumps({**record["cell"], "seed": None, "suite": record["suite"]}, sort_keys=True)
        grouped.setdefault(_name(record["cell"]), {}).setdefault(edition, []).append(record)
    # Accuracy first: what went wrong with a training is told there.
    for name, editions in sorted(grouped.items(), key=lambda item: ("(" in item[0], item[0])):
        *older, newest = sorted(editions.values(), key=lambda some: max(record["started"] for record in some))
        for some in older:
            earlier, later = (edition[0]["cell"]["settings"] for edition in (some, newest))
            if earlier != later:
                what = difference(earlier, later, "earlier records", "later ones", "settings")
                raise InputError(f"{label} holds {name} with two settings: {what}; keep them in folders of their own")
        if older:
            kinds = [{**some[0]["cell"], "suite": some[0]["suite"]} for some in (older[-1], newest)]
            what = difference(kinds[0], kinds[1], "earlier ones", "the last ones")
            side.notes.append(f"{name}: {sum(map(len, older))} older records are left out, since {what}")
        for record in sorted(newest, key=lambda record: record["started"]):
            _add_record(side, name, record)
    return side


def difference(before: object, after: object, first: str, second: str, path: str = "") -> str:
    """The first thing in which two nested mappings differ, in words; `first` and `second` are what they are called."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(set(before) | set(after)):
            if before.get(key) != after.get(key) and (path or key != "seed"):
                return difference(before.get(key), after.get(key), first, second, f"{path}.{key}" if path else key)
    return f"{path} is {before!r} in {first}, {after!r} in {second}"


@with_config(ConfigDict(allow_inf_nan=False))
class _Stats(TypedDict):
    data: Annotated[list[float], Field(min_length=1)]


class _Benchmark(TypedDict):
    fullname: str
    stats: _Stats


class _Machine(TypedDict):
    cpu: NotRequired[dict[str, Any]]
    system: NotRequired[str]


class _Benchmarks(TypedDict):
    """What is read of a pytest-benchmark file."""

    machine_info: NotRequired[_Machine]
    benchmarks: list[_Benchmark]


@cache
def _reader() -> TypeAdapter[_Benchmarks]:
    return TypeAdapter(_Benchmarks)


def _benchmarks(text: bytes, where: str) -> _Benchmarks | None:
    """The content of a pytest-benchmark file; None for anything else.

    Raises:
        InputError: a benchmark has no raw data, or a field is wrong.
    """
    if b'"benchmarks"' not in text:
        return None
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(data, dict) or not isinstance(data.get("benchmarks"), list):
        return None
    try:
        return _reader().validate_python(data, strict=True)
    except ValidationError as error:
        way = "" if ".stats.data: " not in str(explain(error)) else "; save raw data with --benchmark-json"
        raise InputError(f"{where}: {explain(error)}{way}") from None


def _machine(environment: dict[str, Any]) -> str:
    """What times depend on: records of two machines are never compared by time."""
    parts = [environment.get(name) for name in ("processor", "cores", "system", "gpu", "device", "threads")]
    return ", ".join(str(part) for part in parts[:3] if part is not None) + "".join(f", {p}" for p in parts[3:5] if p)


def _versions(environment: dict[str, Any]) -> Iterator[tuple[str, str]]:
    packages = environment.get("packages")
    own = {name: environment[name] for name in ("python", "threads") if environment.get(name) is not None}
    yield from ((name, str(text)) for name, text in ((packages if isinstance(packages, dict) else {}) | own).items())


def _name(cell: Cell) -> str:
    """Of a benchmark: whose, where, and what is measured; accuracy goes without saying."""
    words = [cell["framework"], cell.get("system", cell["neuron"])]
    words += [str(cell[name]) for name in ("dataset", "axis", "variant") if name in cell]
    return " ".join(words) + ("" if cell["measure"] == "accuracy" else f" ({cell['measure']})")


def _add_record(side: Side, name: str, record: Record) -> None:
    cell = record["cell"]
    definition = cell.get("system_definition")
    side.cells[name] = {"suite": record["suite"], "settings": cell["settings"], "system_definition": definition}
    side.machines.add(_machine(record["environment"]))
    for package, version in _versions(record["environment"]):
        side.versions.setdefault(package, set()).add(version)
    if record["status"] == "degenerate":
        side.degenerate[f"{name} seed {cell['seed']}"] = first_line(record["error"], "no reason given")
    if record["status"] != "ok":
        reason = f"{record['status']}: {first_line(record['error'], 'no reason given')}"
        trained = f"{_name({**cell, 'measure': 'accuracy'})} seed {cell['seed']}"
        if record["training"] is None or side.broken.get(trained) != reason:
            side.broken[f"{name} seed {cell['seed']}"] = reason
        return
    noisy: dict[tuple[Metric, str], list[float]] = defaultdict(list)
    for row in record["measurements"]:
        metric = metric_of(cell["measure"], row["metric"])
        if metric is None:
            side.unjudged.add(row["metric"])
        elif metric.rule != "score":
            _add_row(side, name, cell["seed"], row, metric).machines.add(_machine(record["environment"]))
        elif "noise" in row:
            if row.get("severity"):
                noisy[metric, row["noise"]].append(row["value"])
        elif row.get("split", "test") == "test":
            packed = record.get("correct") if metric.name == cell["measure"] == "accuracy" else None
            score = row["value"] if packed is None else unpack_correct(packed).astype(np.float64)
            side.place(name, metric, _label(row), row["unit"]).scores[cell["seed"]] = score
    for (metric, noise), values in noisy.items():
        side.place(name, metric, f"{metric.name} under {noise}").scores[cell["seed"]] = float(np.mean(values))


def _add_row(side: Side, name: str, seed: int, row: Measurement, metric: Metric) -> Series:
    """Exact numbers of several layers are places of one; costs of several layers are several numbers, not repeats."""
    layer = " ".join(str(row[part]) for part in ("layer", "input_kind") if part in row)
    label = _label(row) + (f" at {layer}" if layer and metric.rule == "cost" else "")
    # The framework's own default neuron is no neuron of ours: its numbers are shown, and judged when asked for.
    watched = metric.watched and row.get("track") != "native"
    series = side.place(name, metric, label, row["unit"], watched=watched)
    if series.kind == "exact":
        series.exact[seed, layer] = row["value"]
    else:
        series.runs.append(tuple(row.get("values") or [row["value"]]))
    return series


def _label(row: Measurement) -> str:
    """The metric with what tells it apart, layers aside."""
    words = [row["metric"], *(part for part in _parts(row) if part)]
    return " ".join(words)


def _parts(row: Measurement) -> Iterator[str]:
    yield row.get("split", "") if row.get("split") != "test" else ""
    yield row.get("track", "") if row.get("track") != "matched" else ""
    yield f"under {row['noise']} {row.get('severity', '')}".strip() if "noise" in row else ""
    yield f"at {label_of(row['point'])}" if "point" in row else ""
    told = [row[name] for name in ("profile", "dtype") if name in row]
    yield f"[{', '.join(told)}]" if told else ""


def _add_benchmarks(side: Side, data: _Benchmarks) -> None:
    machine = data.get("machine_info", {})
    cpu = machine.get("cpu", {})
    told = (cpu.get("brand_raw"), cpu.get("count"), machine.get("system"))
    name = ", ".join(str(part) for part in told if part is not None)
    side.machines.add(name)
    for benchmark in data["benchmarks"]:
        series = side.place(benchmark["fullname"], TIME)
        series.runs.append(tuple(benchmark["stats"]["data"]))
        series.machines.add(name)
