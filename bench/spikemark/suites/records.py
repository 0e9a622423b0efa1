"""Records: one JSON file per job, written once and atomically; validated whole, loaded as data or as one tidy table.

This module knows the form of a record, not how its numbers came about. Reading changes nothing on disk.
"""

from __future__ import annotations

import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NotRequired

import orjson
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic needs this one on Python 3.11

from spikemark.core.measurement import FEATURES, Measurement
from spikemark.errors import InputError, explain

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 2
SUFFIX = ".json"
Status = Literal["ok", "degenerate", "unsupported", "diverged", "timeout", "failed"]
FINAL: tuple[Status, ...] = ("ok", "degenerate", "unsupported", "diverged")
"""Statuses that running again would not change."""
_OF_CELL = ("measure", "framework", "neuron", "network", "system", "dataset", "axis", "seed", "variant")
COLUMNS = ["suite", *_OF_CELL, "status", *FEATURES, "value", "low", "high", "key"]
log = logging.getLogger(__name__)


class Epoch(TypedDict):
    """One point of a learning curve."""

    epoch: int
    loss: float
    validation_accuracy: float
    seconds: float


class ParameterChange(TypedDict):
    """What training did to one kind of parameter of one layer, see `spikemark.training.parameters`."""

    layer: str
    parameter: str
    count: int
    first: list[float]
    last: list[float]
    share_moved: float
    share_not_positive: float
    late: NotRequired[float]


class Trial(TypedDict):
    """One training of the search for a rule's options, see `spikemark.training.tuning`."""

    options: dict[str, Any]
    validation_accuracy: float | None


class TrainingRecord(TypedDict):
    """What training did.

    Attributes:
        rule: all options of the rule, those with their default too.
        best_epoch: whose weights were measured.
        curve: loss and validation accuracy after each epoch.
        parameters: thresholds and decays before and after.
        recall: for each class the fraction of its test samples that is recognised; None for a class without samples.
        silent: by layer, the share of neurons that never fired on the test samples.
        tuning: the trials that chose options of the rule; left out where it was trained as it is.
    """

    rule: dict[str, Any]
    best_epoch: int
    curve: list[Epoch]
    parameters: list[ParameterChange]
    recall: list[float | None]
    silent: dict[str, float]
    tuning: NotRequired[list[Trial]]


@with_config(ConfigDict(extra="allow", allow_inf_nan=False))
class Cell(TypedDict):
    """Everything that determines a job's result; `Record.key` is its hash."""

    measure: str
    subject: str
    framework: str
    neuron: str
    seed: int
    settings: dict[str, Any]
    network: NotRequired[str]
    system: NotRequired[str]
    dataset: NotRequired[str]
    axis: NotRequired[str]
    variant: NotRequired[str]
    track: NotRequired[str]
    framework_version: NotRequired[str]
    system_definition: NotRequired[dict[str, Any]]
    noises: NotRequired[dict[str, Any]]
    plugins: NotRequired[dict[str, str]]


@with_config(ConfigDict(extra="forbid", allow_inf_nan=False))
class Record(TypedDict):
    """The result of one job.

    Attributes:
        schema: `SCHEMA`.
        key: hash of `cell`.
        training: hash of what determines the training behind it; jobs of one training share it.
        suite: the suite's name.
        cell: everything that determines the result.
        chance: accuracy of guessing, where there are classes.
        route: how the framework computes the neuron, and why so.
        environment: machine and software.
        status: "ok", or why the numbers cannot be used.
        error: what happened, on its first line; a traceback may follow.
        measurements: the numbers.
        fingerprints: hashes of weights, batches and noises that contenders must share.
        started: UTC.
        seconds: that the job took.
        trained: what training did; of the measure accuracy.
        correct: packed correctness of each test sample, see `spikemark.core.measurement.unpack_correct`.
    """

    schema: int
    key: str
    training: str | None
    suite: str
    cell: Cell
    chance: float | None
    route: dict[str, str]
    environment: dict[str, Any]
    status: Status
    error: str | None
    measurements: list[Measurement]
    fingerprints: dict[str, str]
    started: str
    seconds: float
    trained: NotRequired[TrainingRecord]
    correct: NotRequired[str]


class ResultsError(InputError):
    """A results folder or file is not what it should be; the message names it."""


@cache
def _reader() -> TypeAdapter[Record]:
    return TypeAdapter(Record)


def record_name(record: Mapping[str, Any]) -> str:
    """File name of a record: readable axes first, the key last."""
    cell = record["cell"]
    axes = [str(cell[n]) for n in ("measure", "framework", "system", "neuron", "dataset", "axis", "seed") if n in cell]
    if "system" in cell:
        axes.remove(cell["neuron"])
    readable = re.sub(r"[^\w.+-]+", "-", "_".join(axes))[:180]
    return f"{readable}_{record['key']}{SUFFIX}"


def write_record(folder: Path, record: Record) -> Path:
    """Write a record so that a crash at any moment leaves either the whole file or none.

    Raises:
        OSError: the folder cannot be written.
    """
    path = folder / record_name(record)
    write_atomically(path, json.dumps(record, indent=1, allow_nan=False) + "\n")
    return path


def write_atomically(path: Path, text: str | bytes) -> None:
    """Write to a temporary name beside `path`, fsync, and rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode() if isinstance(text, str) else text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def parse_record(text: bytes, where: str) -> Record | None:
    """The record that `text` holds; None, with a warning, where it is torn or not ours.

    Args:
        text: a file's content.
        where: what messages call it.

    Raises:
        ResultsError: it is a record of another schema, or one with a field that is missing or wrong.
    """
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        log.warning("%s is torn or no JSON (%s): left as it is", where, error)
        return None
    if not isinstance(data, dict) or not {"schema", "cell", "measurements"} <= data.keys():
        log.warning("%s is no spikemark record: left as it is", where)
        return None
    if data["schema"] != SCHEMA:
        raise ResultsError(f"{where} has schema {data['schema']!r}; this version reads schema {SCHEMA}")
    try:
        return _reader().validate_python(data, strict=True)
    except ValidationError as error:
        raise ResultsError(f"{where}: {explain(error)}") from None


def iter_records(path: Path) -> Iterator[Record]:
    """All records in a file, or in a folder and the folders below it, in the order of their paths.

    Packed results (`spikemark.suites.packed`) are read like the folders that they hold.

    Raises:
        ResultsError: no such path, or a record that is damaged or of another schema.
    """
    from spikemark.suites.packed import PACKED, unpacked

    if not path.exists():
        raise ResultsError(f"{path} does not exist; expected a results folder")
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.name.endswith((SUFFIX, PACKED)))
    for file in files:
        if file.name.endswith(PACKED):
            for name, text in unpacked(file):
                record = parse_record(text, f"{file}: {name}")
                if record is not None:
                    yield record
        else:
            record = parse_record(file.read_bytes(), str(file))
            if record is not None:
                yield record


def load_records(path: str | Path) -> list[Record]:
    """All records below `path`.

    Raises:
        ResultsError: nothing there, or a record that is damaged or of another schema.
    """
    records = list(iter_records(Path(path)))
    if not records:
        raise ResultsError(f"{path} holds no records; run a suite with --out {path} first")
    return records


def load_results(path: str | Path) -> pd.DataFrame:
    """The records below `path` as a tidy table: one row per measurement (one without metric for a job that has none).

    Columns: `COLUMNS`, and ``settings.*`` for every setting of a suite; what a row lacks is None (NaN for numbers).

    Raises:
        ResultsError: nothing there, or a record that is damaged or of another schema.
    """
    return to_frame(load_records(path))


def to_frame(records: list[Record]) -> pd.DataFrame:
    """`load_results` for records at hand."""
    import numpy as np
    import pandas as pd

    rows: list[list[Mapping[str, Any]]] = [list(record["measurements"]) or [{}] for record in records]
    numbers = ("value", "low", "high")
    measurements = pd.DataFrame(
        {name: [row.get(name) for some in rows for row in some] for name in (*FEATURES, *numbers)}
    )
    cells = pd.DataFrame(
        {name: [record["cell"].get(name) for record in records] for name in _OF_CELL}
        | {name: [record[name] for record in records] for name in ("suite", "status", "key")}
    )
    settings = pd.DataFrame([flat(record["cell"]["settings"], "settings.") for record in records])
    of_row = np.repeat(np.arange(len(rows)), [len(some) for some in rows])
    told = pd.concat([cells, settings], axis="columns").take(of_row).reset_index(drop=True)
    frame = pd.concat([told, measurements], axis="columns")[COLUMNS + list(settings.columns)]
    return frame.astype(dict.fromkeys((*numbers, "severity"), "float64"))


def flat(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, keys joined by dots."""
    found: dict[str, Any] = {}
    for key, value in data.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = tuple(value) if isinstance(value, list) else value
    return found
