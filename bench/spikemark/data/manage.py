"""What ``spikemark data`` does: which data sets are at hand, download them, check every checksum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spikemark.data import files
from spikemark.data.card import DATASETS, Card, File
from spikemark.errors import DataError


def data_table(data_dir: Path | None = None) -> list[dict[str, Any]]:
    """A row a data set: name, kind, shape, classes, samples of each split, licence, and whether it is present.

    Presence means that the files exist; `verify` reads them.

    Raises:
        DataError: the data folder does not exist.
    """
    return [
        {
            "name": card.name,
            "kind": card.kind,
            "shape": " x ".join(map(str, card.shape)) + (f", {card.steps} steps" if card.steps else ""),
            "classes": card.classes,
            "train": card.samples.train,
            "validation": card.samples.validation,
            "test": card.samples.test,
            "present": _presence(card, data_dir),
            "licence": card.licence,
        }
        for card in DATASETS.values()
    ]


def fetch(name: str, data_dir: Path | None = None, progressbar: Any = False) -> list[Path]:
    """Download what is missing of a data set, and check what is there.

    Args:
        name: in `DATASETS`.
        data_dir: folder to complete, created if need be; None: the download cache.
        progressbar: as in `spikemark.data.files.download`.

    Returns:
        The files that were downloaded; none for a set that was complete, embedded or generated.

    Raises:
        UnknownNameError: no such data set.
        DataError: a file cannot be downloaded, or one that is there is damaged.
    """
    card = DATASETS[name]
    if data_dir is not None:
        data_dir.mkdir(parents=True, exist_ok=True)
    missing = [file for file in card.files if files.find(file, data_dir) is None]
    fetched = [files.download(card, file, data_dir or files.cache_folder(), progressbar) for file in missing]
    problems = verify(name, data_dir)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise DataError(problems[0] + more)
    return fetched


def verify(name: str, data_dir: Path | None = None) -> list[str]:
    """Read every file of a data set and compare checksums.

    Returns:
        A line for each file that is missing or damaged; empty when all is well.

    Raises:
        UnknownNameError: no such data set.
        DataError: the data folder does not exist.
    """
    problems = []
    for file in _all_files(DATASETS[name], data_dir):
        path = files.find(file, data_dir)
        if path is None:
            unpacked = files.find_unpacked(file, data_dir)
            kept = f"; what was unpacked from it into {unpacked} has no checksum to compare" if unpacked else ""
            problem: str | None = f"{file.path} is missing{kept}"
        else:
            problem = files.fault(path, file)
        if problem is not None:
            problems.append(problem)
    return problems


def _presence(card: Card, data_dir: Path | None) -> str:
    if not card.files:
        return "needs no files"
    found = [bool(files.find(f, data_dir) or files.find_unpacked(f, data_dir)) for f in _all_files(card, data_dir)]
    if all(found):
        return "yes"
    return f"{sum(found)} of {len(found)} files" if any(found) else "no"


def _all_files(card: Card, data_dir: Path | None) -> list[File]:
    """The card's files and those that its manifests list, as far as these are at hand and right."""
    everything: list[File] = []
    for file in card.files:
        everything.append(file)
        path = files.find(file, data_dir) if file.is_manifest else None
        if path is not None and files.fault(path, file) is None:
            everything.extend(files.listed(file, path.read_bytes()))
    return everything
