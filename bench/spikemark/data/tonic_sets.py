"""The event sets that tonic knows, through its classes and in its layout of files: unpacked archives below one folder.

Archives are downloaded and checked by this project's means, so that offline there is one clear line and nothing is
printed, and unpacked here, so that nothing leaves their folder; tonic reads. Its own check for completeness is left
out: it wants the archive beside what came out of it.
"""

from __future__ import annotations

import logging
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikemark.core.files import locked
from spikemark.data import files
from spikemark.data.binning import Events, check_events, make_events
from spikemark.data.card import Card, File
from spikemark.data.decoded import cached
from spikemark.data.events import binned
from spikemark.data.pools import Pool, SplitName
from spikemark.errors import DataError, InputError, needs

log = logging.getLogger(__name__)
_OWN = (".spikemark-", ".part")
FROM_FIRST_EVENT = ("CIFAR10DVS", "DVSGesture")
"""Sets whose times count from when the camera was switched on."""

Open = Callable[[Any, str], Any]
"""From tonic's module of data sets and the folder that holds the set's own, its data set of one split."""


def nmnist(card: Card, data_dir: Path | None) -> Mapping[SplitName, Pool]:
    """N-MNIST as published: 60,000 and 10,000 recordings.

    Raises:
        InputError: tonic is not installed.
        DataError: an archive is missing, damaged, or holds what is no recording of the sensor.
    """
    return _pools(card, data_dir, {split: _opener("NMNIST", train=split == "train") for split in ("train", "test")})


def cifar10_dvs(card: Card, data_dir: Path | None) -> Mapping[SplitName, Pool]:
    """CIFAR10-DVS: 10,000 recordings without a split. Its format needs the package aedat.

    Raises:
        InputError: tonic or aedat is not installed.
        DataError: see `nmnist`.
    """
    return _pools(card, data_dir, {"train": _opener("CIFAR10DVS")})


def dvs_gesture(card: Card, data_dir: Path | None) -> Mapping[SplitName, Pool]:
    """DVS128 Gesture, cut into single gestures.

    Raises:
        InputError: tonic is not installed.
        DataError: see `nmnist`.
    """
    return _pools(card, data_dir, {split: _opener("DVSGesture", train=split == "train") for split in ("train", "test")})


def shd(card: Card, data_dir: Path | None) -> Mapping[SplitName, Pool]:
    """Spiking Heidelberg Digits.

    Raises:
        InputError: tonic is not installed.
        DataError: see `nmnist`.
    """
    return _pools(card, data_dir, {split: _opener("SHD", train=split == "train") for split in ("train", "test")})


def ssc(card: Card, data_dir: Path | None) -> Mapping[SplitName, Pool]:
    """Spiking Speech Commands.

    Raises:
        InputError: tonic is not installed.
        DataError: see `nmnist`.
    """
    parts = {"train": "train", "validation": "valid", "test": "test"}
    return _pools(card, data_dir, {split: _opener("SSC", split=part) for split, part in parts.items()})


def _opener(name: str, **options: Any) -> Open:
    """Tonic's class `name`, told where the files are, without its check that archives lie beside their content."""

    def open_set(module: Any, folder: str) -> Any:
        cls = getattr(module, name)
        # The class's name is the folder's name in tonic's layout.
        present = type(name, (cls,), {"_check_exists": lambda self: True})
        return present(folder, **options)

    return open_set


def _pools(card: Card, data_dir: Path | None, openers: Mapping[str, Open]) -> Mapping[SplitName, Pool]:
    @lru_cache(maxsize=1)
    def sets() -> dict[str, Any]:
        with needs("events", f"{card.name}: reading events"):
            from tonic import datasets
        folder = str(_unpacked(card, data_dir))
        found = {}
        for split, opener in openers.items():
            try:
                found[split] = opener(datasets, folder)
                count = len(found[split])
            except (OSError, KeyError, ValueError) as error:
                raise DataError(f"{folder}, {card.name} {split}: not as tonic lays it out ({error})") from error
            if count == 0:
                raise DataError(f"{folder}, {card.name} {split}: holds no recordings")
        return found

    def build() -> Mapping[SplitName, Pool]:
        pools: dict[SplitName, Pool] = {}
        for split, recordings in sets().items():
            frames = binned(card, (read(card, recordings, index) for index in range(len(recordings))))
            pools[split] = Pool(frames, _labels(recordings), f"{card.name} {split}")  # type: ignore[index]
        return pools

    def reader(split: str, index: int) -> Events:
        return read(card, sets()[split], index)

    return {split: replace(pool, read=partial(reader, split)) for split, pool in cached(card, 1, build).items()}


def read(card: Card, recordings: Any, index: int) -> Events:
    """One recording of a data set of tonic's, its times counted from its first event where they are not.

    Raises:
        InputError: its format needs a package that is not installed.
        DataError: it cannot be read, is empty, or holds events outside the sensor or out of order.
    """
    origin = _origin(recordings, index)
    try:
        raw, _ = recordings[index]
    except ModuleNotFoundError as error:
        raise InputError(
            f"{card.name}: reading {origin} needs the package {error.name}: pip install {error.name}"
        ) from error
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise DataError(f"{origin}: not a recording ({error})") from error
    names = raw.dtype.names
    columns = {name: raw[name].astype(np.int64) if name in names else np.zeros(len(raw), np.int64) for name in "xytp"}
    assert card.sensor is not None
    if card.sensor[2] == 1:
        columns["p"][:] = 0  # tonic gives the one polarity of these sets the number 1
    if len(raw) and recordings.__class__.__name__ in FROM_FIRST_EVENT:
        columns["t"] -= columns["t"][0]
    check_events(columns, card.sensor, origin)
    return make_events(**columns)


def _origin(recordings: Any, index: int) -> str:
    if recordings.data:
        return str(recordings.data[index])
    return f"{recordings.location_on_system}/{recordings.data_filename}, sample {index}"


def _labels(recordings: Any) -> NDArray[np.int64]:
    if recordings.targets:
        return np.array(recordings.targets, dtype=np.int64)
    import h5py

    with h5py.File(Path(recordings.location_on_system, recordings.data_filename)) as file:
        labels: NDArray[np.int64] = file["labels"][:].astype(np.int64)
        return labels


def _unpacked(card: Card, data_dir: Path | None) -> Path:
    """The folder below which all of the card's archives lie unpacked; unpacks into the cache what does not.

    Raises:
        DataError: an archive is missing, damaged or cut off.
    """
    folders = [folder for folder in (files.data_folder(data_dir), files.cache_folder()) if folder is not None]
    for folder in folders:
        if all((folder / str(file.unpacked)).exists() for file in card.files):
            return folder
    for file in card.files:
        if not (files.cache_folder() / str(file.unpacked)).exists():
            _unpack(files.archive(card, file, data_dir), file)
    return files.cache_folder()


def _unpack(archive: Path, file: File) -> None:
    """Into a folder of this process's own, then renamed, so that what was broken off is never taken for whole.

    Other processes wait, and find it there.
    """
    target = files.cache_folder() / Path(file.path).parent
    target.mkdir(parents=True, exist_ok=True)
    wait = partial(log.warning, "another process unpacks %s; this one goes on when it has ended", archive)
    with locked(target, wait), TemporaryDirectory(dir=target, prefix=_OWN[0], suffix=_OWN[1]) as own:
        for killed in set(target.glob("*".join(_OWN))) - {Path(own)}:
            shutil.rmtree(killed)
        if (files.cache_folder() / str(file.unpacked)).exists():
            return
        folder = Path(own)
        try:
            _extract(archive, folder)
            for inner in sorted(folder.glob("*.zip")):  # CIFAR10-DVS: an archive per class
                _extract(inner, folder)
                inner.unlink()
        except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as error:
            raise DataError(f"{archive}: not a whole archive ({error})") from error
        for part in sorted(folder.iterdir()):
            part.replace(target / part.name)


def _extract(archive: Path, folder: Path) -> None:
    """Plain files and folders below `folder`, and nothing else: no links out of it, no devices, no absolute paths."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as members:
            members.extractall(folder)  # which drops "..", roots and drives
    else:
        with tarfile.open(archive) as members:
            members.extractall(folder, filter="data")
