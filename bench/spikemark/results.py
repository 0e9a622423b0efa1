"""Records: one JSON file a cell, written once and atomically; loaded as dictionaries or as one tidy table.

A record holds ``schema, key, suite, cell, environment, status, error, measurements, fingerprints, started, seconds``
(and ``correct``, the packed per-sample correctness on the clean test set, where accuracy was measured). This module
knows the form of a record, not how its numbers came about.
"""

# No postponed annotations here: `NotRequired` must be seen when the record's required keys are computed.
import base64
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np
import orjson
import pandas as pd
from numpy.typing import NDArray

from spikemark.collector import collector_paused
from spikemark.errors import InputError

SCHEMA = 1
_OF_CELL = ("framework", "neuron", "system", "dataset", "seed")
_OF_MEASUREMENT = ("metric", "value", "unit", "split", "noise", "severity", "layer")
COLUMNS = ["suite", *_OF_CELL, "status", *_OF_MEASUREMENT, "key"]
Status = Literal["ok", "failed", "timeout", "diverged"]
log = logging.getLogger(__name__)


class Measurement(TypedDict):
    """One number: `values` are its raw repeats, `low` and `high` its 95 % interval, `why` a reason, if it has any."""

    metric: str
    value: float
    unit: str
    split: NotRequired[str]
    noise: NotRequired[str]
    severity: NotRequired[int]
    layer: NotRequired[str]
    low: NotRequired[float]
    high: NotRequired[float]
    values: NotRequired[list[float]]
    why: NotRequired[str]


class Record(TypedDict):
    """The result of one cell."""

    schema: int
    key: str
    suite: str
    cell: dict[str, Any]
    environment: dict[str, Any]
    status: Status
    error: str | None
    measurements: list[Measurement]
    fingerprints: dict[str, str]
    started: str
    seconds: float
    correct: NotRequired[str]


class ResultsError(InputError):
    """A results folder or file is not what it should be; the message names it."""


def key_of(content: Mapping[str, Any]) -> str:
    """Hash of everything that determines a result: 16 hexadecimal digits of the canonical JSON's SHA-256."""
    text = json.dumps({"schema": SCHEMA, **content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def record_path(folder: Path, record: Mapping[str, Any]) -> Path:
    """Where a record lives: readable axes first, the key last."""
    cell = record["cell"]
    axes = [str(cell[axis]) for axis in ("measure", "framework", "system", "dataset", "seed")]
    return folder / f"{'_'.join(axes)}_{record['key']}.json"


def write_record(folder: Path, record: Record) -> Path:
    """Write a record so that a crash at any moment leaves either the whole file or none.

    Raises:
        OSError: the folder cannot be written.
    """
    path = record_path(folder, record)
    write_atomically(path, json.dumps(record, indent=1, allow_nan=False) + "\n")
    return path


def write_atomically(path: Path, text: str) -> None:
    """Write `text` to a temporary name beside `path`, fsync, and rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_record(path: Path) -> Record | None:
    """The record in `path`; None, with a warning, when the file is torn. Reading changes nothing on disk.

    Raises:
        ResultsError: the file is whole but is no record of this schema.
    """
    try:
        data = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        log.warning("%s is torn (no JSON: %s): left as it is; its cell will run again", path, error)
        return None
    missing = sorted(Record.__required_keys__ - set(data)) if isinstance(data, dict) else ["every field"]
    if missing:
        raise ResultsError(f"{path} is not a spikemark record (missing: {', '.join(missing)}); move it elsewhere")
    if data["schema"] != SCHEMA:
        raise ResultsError(f"{path} has schema {data['schema']!r}; this version reads schema {SCHEMA}")
    record: Record = data
    return record


def iter_records(path: Path) -> Iterator[Record]:
    """All records in a file, or in a folder and the folders below it, in the order of their paths.

    Raises:
        ResultsError: no such path, or a file that is no record.
    """
    if not path.exists():
        raise ResultsError(f"{path} does not exist; expected a results folder")
    files = [path] if path.is_file() else sorted(path.rglob("*.json"))
    for file in files:
        record = read_record(file)
        if record is not None:
            yield record


def load_records(path: str | Path) -> list[Record]:
    """All records below `path`.

    Raises:
        ResultsError: nothing there, or something that is no record.
    """
    with collector_paused():  # Many objects without cycles: looking for some took a third of the time.
        records = list(iter_records(Path(path)))
    if not records:
        raise ResultsError(f"{path} holds no records; run a suite with --out {path} first")
    return records


def load_results(path: str | Path) -> pd.DataFrame:
    """The records below `path` as a tidy table: a row a measurement (a row without metric for a cell that has none).

    Columns: ``suite framework neuron system dataset seed status metric value unit split noise severity layer key``;
    what a measurement lacks is None (NaN in ``value`` and ``severity``).

    Raises:
        ResultsError: nothing there, or something that is no record.
    """
    return to_frame(load_records(path))


def to_frame(records: list[Record]) -> pd.DataFrame:
    """`load_results` for records at hand."""
    rows: list[list[Any]] = [record["measurements"] or [{}] for record in records]
    measurements = pd.DataFrame({name: [row.get(name) for some in rows for row in some] for name in _OF_MEASUREMENT})
    cells = pd.DataFrame(
        {name: [record["cell"].get(name) for record in records] for name in _OF_CELL}
        | {
            "suite": [record["suite"] for record in records],
            "status": [record["status"] for record in records],
            "key": [record["key"] for record in records],
        }
    )
    of_row = cells.take(np.repeat(np.arange(len(rows)), [len(some) for some in rows])).reset_index(drop=True)
    frame = pd.concat([of_row, measurements], axis="columns")[COLUMNS]
    return frame.astype({"value": "float64", "severity": "float64"})


def pack_correct(correct: NDArray[np.bool_]) -> str:
    """Per-sample correctness as text: the count, then packed bits in base64."""
    return f"{correct.size}:{base64.b64encode(np.packbits(correct).tobytes()).decode()}"


def unpack_correct(text: str) -> NDArray[np.bool_]:
    """What `pack_correct` packed."""
    size, packed = text.split(":")
    bits = np.frombuffer(base64.b64decode(packed), dtype=np.uint8)
    return np.unpackbits(bits, count=int(size)).astype(bool)
