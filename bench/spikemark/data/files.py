"""Where the files of data sets are, and that they are the right ones: every read is checked against its checksum.

A file is looked for in the data folder (the argument, else the environment variable ``SPIKEMARK_DATA``), then in the
download cache, and is downloaded into that cache when its card knows an address. The data folder is only ever read;
nothing falls back from a damaged file to a download. What ``spikemark data`` does is here too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pooch

from spikemark.data.card import DATASETS, Card, File
from spikemark.errors import DataError

DATA_VARIABLE = "SPIKEMARK_DATA"
_NAMES = {"sha256": "SHA-256", "md5": "MD5"}


def data_folder(data_dir: Path | None) -> Path | None:
    """The folder with the data sets: the argument, else ``SPIKEMARK_DATA``, else None.

    Raises:
        DataError: the folder named does not exist.
    """
    named = str(data_dir) if data_dir is not None else os.environ.get(DATA_VARIABLE)
    if not named:
        return None
    folder = Path(named)
    if not folder.is_dir():
        origin = "the data folder" if data_dir is not None else f"{DATA_VARIABLE}:"
        raise DataError(f"{origin} {folder} is not a folder; expected one with sub-folders such as MNIST/")
    return folder


def cache_folder() -> Path:
    """Where downloads go: pooch's cache for this project."""
    return Path(pooch.os_cache("spikemark"))


def find(file: File, data_dir: Path | None) -> Path | None:
    """Where `file` is present, unchecked; None when it is nowhere.

    Raises:
        DataError: the data folder does not exist.
    """
    inside = PurePosixPath(file.path)
    # torchvision keeps idx files in MNIST/raw; by hand they often lie one level higher.
    names = [inside, PurePosixPath(*(part for part in inside.parts if part != "raw"))]
    folders = [folder for folder in (data_folder(data_dir), cache_folder()) if folder is not None]
    candidates = (folder / name for folder in folders for name in names)
    return next((path for path in candidates if path.is_file()), None)


def find_unpacked(file: File, data_dir: Path | None) -> Path | None:
    """Where the content of an archive already lies unpacked, unchecked; None when it is nowhere.

    Raises:
        DataError: the data folder does not exist.
    """
    folders = [folder for folder in (data_folder(data_dir), cache_folder()) if folder is not None]
    if file.unpacked is None:
        return None
    return next((path for folder in folders if (path := folder / file.unpacked).exists()), None)


def fault(path: Path, file: File) -> str | None:
    """What is wrong with the copy of `file` at `path`; None when it is the right one."""
    algorithm, expected = file.checksum
    with path.open("rb") as content:
        found = hashlib.file_digest(content, algorithm).hexdigest()
    return None if found == expected else _damaged(path, algorithm, found, expected)


def read(card: Card, file: File, data_dir: Path | None) -> bytes:
    """The content of `file`, from the data folder, the cache or its address, with the right checksum.

    Raises:
        DataError: it is nowhere and cannot be downloaded, or is damaged.
    """
    path = find(file, data_dir) or download(card, file, cache_folder())
    content = path.read_bytes()
    algorithm, expected = file.checksum
    found = hashlib.new(algorithm, content).hexdigest()
    if found != expected:
        raise DataError(_damaged(path, algorithm, found, expected))
    return content


def archive(card: Card, file: File, data_dir: Path | None) -> Path:
    """Where `file` is, for archives too large to be read at once; downloaded if need be, with the right checksum.

    Raises:
        DataError: it is nowhere and cannot be downloaded, or is damaged.
    """
    path = find(file, data_dir) or download(card, file, cache_folder())
    wrong = fault(path, file)
    if wrong is not None:
        raise DataError(wrong)
    return path


def listed(manifest: File, content: bytes) -> Iterator[File]:
    """The files that a manifest names, in its order; `content` is the manifest's.

    Raises:
        DataError: a line is not ``SHA256  PATH``.
    """
    folder = PurePosixPath(manifest.path).parent
    for number, line in enumerate(content.decode().splitlines(), start=1):
        digest, separator, name = line.partition("  ")
        if not separator or len(digest) != 64:
            raise DataError(f"{manifest.path}, line {number}: {line!r} is not 'SHA256  PATH'")
        yield File(str(folder / name), digest)


def download(card: Card, file: File, folder: Path, progressbar: Any = False) -> Path:
    """Download `file` below `folder`; a partial or wrong download leaves nothing behind.

    Args:
        card: its data set, for the message.
        file: what to download.
        folder: the data folder or cache to put it in.
        progressbar: passed to `pooch.HTTPDownloader`: True for tqdm's, or an object with tqdm's methods.

    Raises:
        DataError: no address is known, no connection, or what came is not the right file.
    """
    place = f"put it in DIR/{file.path} and name DIR with --data-dir or {DATA_VARIABLE}"
    if file.url is None:
        raise DataError(f"{card.name}: {file.path} is missing and has no known download; {place}")
    target = folder / file.path
    algorithm, digest = file.checksum
    pooch.get_logger().setLevel("WARNING")
    try:
        pooch.retrieve(
            file.url,
            known_hash=f"{algorithm}:{digest}",
            fname=target.name,
            path=target.parent,
            downloader=pooch.HTTPDownloader(progressbar=progressbar, timeout=30),
        )
    except OSError as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{card.name}: {file.path} is missing and {file.url} failed ({reason}); {place}") from error
    except ValueError as error:
        raise DataError(
            f"{card.name}: {file.url} gave another file than {_NAMES[algorithm]} {digest}; {place}"
        ) from error
    return target


def data_table(data_dir: Path | None = None) -> list[dict[str, Any]]:
    """One row per data set: name, kind, shape, classes, samples of each split, licence, and whether it is present.

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
        progressbar: as in `download`.

    Returns:
        The files that were downloaded; none for a set that was complete, embedded or generated.

    Raises:
        UnknownNameError: no such data set.
        DataError: a file cannot be downloaded, or one that is there is damaged.
    """
    card = DATASETS[name]
    if data_dir is not None:
        data_dir.mkdir(parents=True, exist_ok=True)
    missing = [file for file in card.files if find(file, data_dir) is None]
    fetched = [download(card, file, data_dir or cache_folder(), progressbar) for file in missing]
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
        path = find(file, data_dir)
        if path is None:
            unpacked = find_unpacked(file, data_dir)
            kept = f"; what was unpacked from it into {unpacked} has no checksum to compare" if unpacked else ""
            problem: str | None = f"{file.path} is missing{kept}"
        else:
            problem = fault(path, file)
        if problem is not None:
            problems.append(problem)
    return problems


def _presence(card: Card, data_dir: Path | None) -> str:
    if not card.files:
        return "needs no files"
    found = [bool(find(f, data_dir) or find_unpacked(f, data_dir)) for f in _all_files(card, data_dir)]
    if all(found):
        return "yes"
    return f"{sum(found)} of {len(found)} files" if any(found) else "no"


def _all_files(card: Card, data_dir: Path | None) -> list[File]:
    """The card's files and those that its manifests list, as far as these are at hand and right."""
    everything: list[File] = []
    for file in card.files:
        everything.append(file)
        path = find(file, data_dir) if file.is_manifest else None
        if path is not None and fault(path, file) is None:
            everything.extend(listed(file, path.read_bytes()))
    return everything


def _damaged(path: Path, algorithm: str, found: str, expected: str) -> str:
    return f"{path} is damaged: its {_NAMES[algorithm]} is {found}, expected {expected}; replace it"
