"""Results that others hand in: checked, packed, and kept with who has reproduced them.

A submission is a folder ``NAME/REVISION`` with the packed records and ``about.json``. The revision is a hash of the
records, so nothing handed in can change unnoticed.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spikemark.core.files import write_files
from spikemark.data.card import DATASETS
from spikemark.data.files import verify
from spikemark.errors import InputError, explain
from spikemark.suites.packed import PACKED, packed
from spikemark.suites.records import Record, key_of, load_records

FEWEST_SEEDS = 5
HERE = "spikemark"
"""Who reproduces in the name of this project."""

Tier = Literal["reported", "reproduced by others", "reproduced here"]
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,62}")
_ABOUT, _RECORDS = "about.json", f"results{PACKED}"
_USABLE = ("ok", "degenerate", "unsupported")
_EXACT = ("parameters", "compared_spikes", "differing_spikes", "spikes_at_threshold")
_EXACT_ON_ONE_KIND_OF_MACHINE = (*_EXACT, "macs", "acs", "neuron_updates", "accuracy")


class Reproduction(BaseModel):
    """Somebody measured it again.

    Attributes:
        by: who.
        jobs: how many of the submission's jobs came out the same.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    by: Annotated[str, Field(min_length=1, max_length=100)]
    jobs: Annotated[int, Field(ge=1)]


class About(BaseModel):
    """What is said of a submission.

    Attributes:
        name: of the submission.
        revision: hash of its records.
        suites: that its records are from.
        source: a publication or a repository.
        reproductions: in the order in which they came.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    revision: str
    suites: tuple[str, ...]
    source: str = ""
    reproductions: tuple[Reproduction, ...] = ()

    @property
    def tier(self) -> Tier:
        """How far its numbers are confirmed."""
        if any(one.by == HERE for one in self.reproductions):
            return "reproduced here"
        return "reproduced by others" if self.reproductions else "reported"


def problems(records: Sequence[Record], data_dir: Path | None = None) -> list[str]:
    """What keeps records from being handed in, one line each; empty when nothing does.

    Args:
        records: whole ones, as `load_records` gives them.
        data_dir: folder of the data sets, whose checksums are compared.
    """
    found = [f"{_cell(record)}: it was changed after it was measured" for record in records if _changed(record)]
    found += [f"{_cell(record)}: {record['status']}" for record in records if record["status"] not in _USABLE]
    dirty = {str(record["environment"].get("commit")) for record in records}
    found += [f"commit {commit}: measured with changes that no commit has" for commit in dirty if "-dirty" in commit]
    return [*found, *_too_few_seeds(records), *_not_conformant(records), *_wrong_data(records, data_dir)]


def submit(
    results: Path, name: str, out: Path = Path("submissions"), *, source: str = "", data_dir: Path | None = None
) -> Path:
    """Check results and write them as a submission; the folder.

    Raises:
        InputError: the name, or the results; every problem is named.
    """
    if not _NAME.fullmatch(name):
        raise InputError(f"--name {name}: expected 2 to 63 small letters, digits and hyphens")
    records = load_records(results)
    found = problems(records, data_dir)
    if found:
        raise InputError(f"{results} cannot be submitted: {'; '.join(found)}")
    content = packed(records)
    revision = hashlib.sha256(content).hexdigest()[:12]
    folder = out / name / revision
    if (folder / _ABOUT).exists():
        raise InputError(f"{folder} is there already")
    suites = tuple(sorted({record["suite"] for record in records}))
    _write(folder, About(name=name, revision=revision, suites=suites, source=source), content)
    return folder


def read(folder: Path) -> About:
    """What is said of a submission, whose records are those that were handed in.

    Raises:
        InputError: it is none, or its records have changed.
    """
    try:
        about = About.model_validate_json((folder / _ABOUT).read_bytes())
        content = (folder / _RECORDS).read_bytes()
    except ValidationError as error:
        raise InputError(f"{folder / _ABOUT}: {explain(error)}") from None
    except OSError as error:
        raise InputError(f"{folder} is no submission: {error.filename}: {error.strerror}") from None
    if hashlib.sha256(content).hexdigest()[:12] != about.revision or folder.resolve().name != about.revision:
        raise InputError(f"{folder}: its records are not those of revision {about.revision}")
    return about


def submissions(folder: Path) -> list[About]:
    """All submissions below a folder, by name and revision.

    Raises:
        InputError: see `read`.
    """
    return [read(path.parent) for path in sorted(folder.glob(f"*/*/{_ABOUT}"))]


def records_of(folder: Path) -> list[Record]:
    """What was measured for a submission.

    Raises:
        ResultsError: a record cannot be used.
    """
    return load_records(folder / _RECORDS)


def reproduce(folder: Path, results: Path, by: str) -> About:
    """Compare what was measured again with a submission, and note who did; only what is deterministic is compared.

    Everywhere that is conformance and the number of parameters. Where processor and packages are the same, training
    gives the same weights, and operations and accuracy are compared, too.

    Raises:
        InputError: no job in common, or one came out differently; every such job is named.
    """
    about = read(folder)
    theirs = {record["key"]: record for record in records_of(folder)}
    ours = {record["key"]: record for record in load_records(results)}
    shared = sorted(theirs.keys() & ours.keys())
    pairs = {key: _comparable(theirs[key], ours[key]) for key in shared}
    compared = {key: pair for key, pair in pairs.items() if any(pair)}
    if not compared:
        raise InputError(f"{results} has no job of {folder} whose result is deterministic")
    differing = [_cell(theirs[key]) for key, (one, other) in compared.items() if one != other]
    if differing:
        raise InputError(f"{len(differing)} of {len(compared)} jobs came out differently: {'; '.join(differing)}")
    told = (*(one for one in about.reproductions if one.by != by), Reproduction(by=by, jobs=len(compared)))
    about = about.model_copy(update={"reproductions": told})
    _write(folder, about)
    return about


def _write(folder: Path, about: About, content: bytes | None = None) -> None:
    texts: dict[Path, str | bytes] = {folder / _ABOUT: json.dumps(about.model_dump(), indent=1) + "\n"}
    write_files(texts if content is None else texts | {folder / _RECORDS: content})


def _cell(record: Record) -> str:
    cell: Mapping[str, Any] = record["cell"]
    what = cell.get("system") or cell["neuron"]
    return " ".join(
        filter(None, [cell["measure"], cell["framework"], what, cell.get("dataset"), f"seed {cell['seed']}"])
    )


def _changed(record: Record) -> bool:
    return key_of(record["cell"]) != record["key"]


def _too_few_seeds(records: Iterable[Record]) -> list[str]:
    seeds: dict[str, set[int]] = defaultdict(set)
    for record in records:
        if record["cell"]["measure"] == "accuracy":
            seeds[_cell(record).rpartition(" seed")[0]].add(record["cell"]["seed"])
    few = {name: len(found) for name, found in seeds.items() if len(found) < FEWEST_SEEDS}
    return [f"{name}: {count} seeds, {FEWEST_SEEDS} are needed" for name, count in few.items()]


def _not_conformant(records: Iterable[Record]) -> list[str]:
    """Neurons with equations whose framework was not shown to compute them in these very results."""
    shown: set[tuple[str, str]] = set()
    used: set[tuple[str, str]] = set()
    for record in records:
        cell: Mapping[str, Any] = record["cell"]
        place = (cell["framework"], cell["neuron"])
        if cell["measure"] == "conformance":
            differing = sum(row["value"] for row in record["measurements"] if row["metric"] == "differing_spikes")
            if record["status"] == "ok" and not differing:
                shown.add(place)
        elif "neuron_spec" in cell.get("system_definition", {}):
            used.add(place)
    return [f"{framework} {neuron}: no conformance in these results" for framework, neuron in sorted(used - shown)]


def _wrong_data(records: Iterable[Record], data_dir: Path | None) -> list[str]:
    names = sorted({str(record["cell"].get("dataset")) for record in records if "dataset" in record["cell"]})
    found = [f"data set {name}: it is not registered, so nobody can get it" for name in names if name not in DATASETS]
    return found + [f"data set {n}: {line}" for n in names if n in DATASETS for line in verify(n, data_dir)]


def _comparable(first: Record, second: Record) -> tuple[list[str], list[str]]:
    """The rows of both that must be equal, in one order."""
    alike = all(first["environment"].get(part) == second["environment"].get(part) for part in ("processor", "packages"))
    names = _EXACT_ON_ONE_KIND_OF_MACHINE if alike else _EXACT

    def rows(record: Record) -> list[str]:
        return sorted(json.dumps(row, sort_keys=True) for row in record["measurements"] if row["metric"] in names)

    return rows(first), rows(second)
