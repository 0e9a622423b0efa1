"""Records: one JSON file per job, written once and atomically; validated whole, loaded as data or as one tidy table.

This module knows the form of a record, not how its numbers came about. Reading changes nothing on disk.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

import orjson
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, with_config
from typing_extensions import TypedDict  # pydantic needs this one on Python 3.11

from spikemark.core.files import write_files
from spikemark.core.measurement import FEATURES, Checked, Packed
from spikemark.errors import explain
from spikemark.suites.reading import SUFFIX, Remarks, ResultsError, contents

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 2
LONGEST_NAME = 100
"""Of a suite, in characters: names of files begin with it."""
Status = Literal["ok", "degenerate", "unsupported", "diverged", "timeout", "failed"]
FINAL: tuple[Status, ...] = ("ok", "degenerate", "unsupported", "diverged")
"""Statuses that running again would not change."""
_OF_CELL = ("measure", "framework", "neuron", "network", "system", "dataset", "axis", "seed", "variant")
COLUMNS = ["suite", *_OF_CELL, "status", *FEATURES, "value", "low", "high", "key"]


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
    """Everything that determines a job's result; `Record.key` is its hash.

    Of a network that was brought, ``weights`` is the hash of its parameters and buffers.
    """

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
    noises: NotRequired[dict[str, dict[str, Any]]]
    plugins: NotRequired[dict[str, str]]
    weights: NotRequired[str]


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
        left_out: parts of the measure that do not apply to the network, and why; only where there are any.
        fused: norms, neurons and poolings that the framework computes as one, by stage; only where there are any.
        correct: packed correctness of each test sample, see `spikemark.core.measurement.unpack_correct`.
    """

    schema: int
    key: str
    training: str | None
    suite: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    cell: Cell
    chance: float | None
    route: dict[str, str]
    environment: dict[str, Any]
    status: Status
    error: str | None
    measurements: list[Checked]
    fingerprints: dict[str, str]
    started: str
    seconds: float
    trained: NotRequired[TrainingRecord]
    left_out: NotRequired[dict[str, str]]
    fused: NotRequired[dict[str, list[str]]]
    correct: NotRequired[Packed]


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


def key_of(content: Mapping[str, Any]) -> str:
    """Hash of everything that determines a result: 16 hexadecimal digits of the canonical JSON's SHA-256."""
    text = json.dumps({"schema": SCHEMA, **content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check_record(record: Record) -> None:
    """That a record can be written and read again.

    Raises:
        ResultsError: a number is NaN or infinite, or a value is of a type that records do not have.
    """
    try:
        _reader().validate_python(record, strict=True)
        _text(record)
    except ValidationError as error:
        raise ResultsError(explain(error)) from None
    except (ValueError, TypeError) as error:
        raise ResultsError(str(error)) from None


def write_record(folder: Path, record: Record) -> Path:
    """Write a record so that a crash at any moment leaves either the whole file or none.

    Raises:
        OSError: the folder cannot be written.
    """
    path = folder / record_name(record)
    write_files({path: _text(record)})
    return path


def _text(record: Record) -> bytes:
    # A path that is no text, in a message, must not make a file that nobody can read.
    return (json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode(errors="replace")


def parse_record(text: bytes, where: str, remarks: Remarks) -> Record | None:
    """The record that `text` holds; None, with a remark, where it is torn or not ours.

    Args:
        text: a file's content.
        where: what messages call it.
        remarks: are added to.

    Raises:
        ResultsError: it is a record of another schema, or one with a field that is missing or wrong.
    """
    try:
        data = orjson.loads(text)
    except orjson.JSONDecodeError:
        data = _lenient(text)
    if data is None:
        remarks.add("left as they are, torn or no JSON", where)
        return None
    if not isinstance(data, dict) or not {"schema", "cell", "measurements"} <= data.keys():
        remarks.add("left as they are, no records of spikemark", where)
        return None
    if data["schema"] != SCHEMA:
        raise ResultsError(f"{where} has schema {data['schema']!r}; this version reads schema {SCHEMA}")
    try:
        record = _reader().validate_python(data, strict=True)
    except ValidationError as error:
        raise ResultsError(f"{where}: {explain(error)}") from None
    if key_of(record["cell"]) != record["key"]:
        remarks.add("the cell does not hash to the record's key, so it was changed after it was measured", where)
    return record


def _lenient(text: bytes) -> Any:
    """JSON with the numbers NaN and Infinity, which other programs write; validation names the place. None if torn."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def iter_records(path: Path) -> Iterator[Record]:
    """All records in a file, or in a folder and the folders below it, in the order of their paths; each copy once.

    Packed results (`spikemark.suites.packed`) are read like the folders that they hold. Hidden folders are passed over.
    What is left out, and why, is logged.

    Raises:
        ResultsError: no such path, or a record that is damaged or of another schema.
    """
    remarks = Remarks()
    yield from distinct(
        ((where, parse_record(text, where, remarks)) for where, text in contents(path, remarks)), remarks
    )
    remarks.tell()


def distinct(found: Iterable[tuple[str, Record | None]], remarks: Remarks) -> Iterator[Record]:
    """The records, each once: a copied file is not a second measurement."""
    seen: dict[str, list[Record]] = {}
    for where, record in found:
        if record is None:
            continue
        others = seen.setdefault(record["key"], [])
        if record in others:
            remarks.add("left out, copies of other records", where)
            continue
        others.append(record)
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
