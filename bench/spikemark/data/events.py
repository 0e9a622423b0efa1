"""Readers of event recordings: N-MNIST (subset) and the tones of a neuromorphic auditory sensor."""

from __future__ import annotations

import io
import lzma
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikemark.data import files
from spikemark.data.binning import Events, bin_events, check_events, make_events
from spikemark.data.card import Card, File
from spikemark.data.decoded import cached, cached_arrays
from spikemark.data.pools import Pool, SplitName
from spikemark.data.recordings import ReadEvents
from spikemark.errors import DataError, needs

TONES = (130, 174, 261, 349, 523, 698, 1046, 1396)  # Hz
TONE_WINDOW, TONE_WINDOWS = 20_000, 25  # microseconds, windows a recording
_TONE_SPLITS: tuple[tuple[SplitName, range], ...] = (
    ("train", range(15)),
    ("validation", range(15, 18)),
    ("test", range(18, 25)),
)


def nmnist(card: Card, data_dir: Path | None) -> Mapping[SplitName, Pool]:
    """N-MNIST files; with the card's binning 30 bins of 10 ms, 1 where a pixel gave an event of a polarity.

    The bins cover the three saccades of 100 ms; what some recordings hold after 300 ms is left out.

    Raises:
        InputError: tonic is not installed.
        DataError: a file is missing, damaged, empty, or holds events outside the sensor or out of order.
    """
    readers: dict[SplitName, ReadEvents] = {
        "train": partial(_read_nmnist, card, data_dir, "Train"),
        "test": partial(_read_nmnist, card, data_dir, "Test"),
    }

    def build() -> Mapping[SplitName, Pool]:
        pools: dict[SplitName, Pool] = {}
        for split, folder in (("train", "Train"), ("test", "Test")):
            chosen = _nmnist_files(card, data_dir, folder)
            labels = np.array([int(PurePosixPath(file.path).parts[2]) for file in chosen], dtype=np.int64)
            frames = binned(card, (readers[split](index) for index in range(len(chosen))))  # type: ignore[index]
            pools[split] = Pool(frames, labels, card.files[0].path)  # type: ignore[index]
        return pools

    return {split: replace(pool, read=readers[split]) for split, pool in cached(card, 1, build).items()}


def binned(card: Card, recordings: Iterable[Events]) -> NDArray[Any]:
    """Frames ``[N, steps, *shape]`` of recordings with the card's binning."""
    assert card.sensor is not None
    assert card.binning is not None
    return np.stack([bin_events(events, card.sensor, card.binning) for events in recordings])


@lru_cache(maxsize=4)
def _nmnist_files(card: Card, data_dir: Path | None, folder: str) -> tuple[File, ...]:
    manifest = card.files[0]
    recordings = files.listed(manifest, files.read(card, manifest, data_dir))
    return tuple(file for file in recordings if PurePosixPath(file.path).parts[1] == folder)


@lru_cache(maxsize=2_000)  # some 40 kB each; a sweep reads the same ones many times
def _read_nmnist(card: Card, data_dir: Path | None, folder: str, index: int) -> Events:
    file = _nmnist_files(card, data_dir, folder)[index]
    return nmnist_events(files.read(card, file, data_dir), file.path, card)


def nmnist_events(content: bytes, origin: str, card: Card) -> Events:
    """One recording in N-MNIST's format.

    Raises:
        InputError: tonic is not installed.
        DataError: not a whole number of events, none at all, or one outside the sensor or before its predecessor.
    """
    with needs("events", f"{card.name}: reading events"):
        from tonic.io import events_struct, read_mnist_file
    if len(content) == 0 or len(content) % 5:
        raise DataError(f"{origin}: {len(content)} bytes are not a whole number of 5-byte events")
    raw = read_mnist_file(io.BytesIO(content), dtype=events_struct, is_stream=True)
    events = make_events(raw["x"], raw["y"], raw["t"], raw["p"])
    assert card.sensor is not None
    check_events(events, card.sensor, origin)
    return events


def tones(card: Card, data_dir: Path | None) -> Mapping[SplitName, Pool]:
    """Windows of 20 ms; with the card's binning 20 bins of 1 ms, events counted, 32 events a bin as 1.

    There is one recording a tone and noise level, so windows are split in time: the first 15 of a recording's 25
    are for training, the next 3 for validation, the last 7 for testing.

    Raises:
        DataError: an archive is missing, damaged, or holds what is no recording.
    """

    def build() -> Mapping[SplitName, Pool]:
        pools: dict[SplitName, Pool] = {}
        for split, part in _TONE_SPLITS:
            offsets = _tone_events(card, data_dir, split)[1]
            frames = binned(card, (_read_tone(card, data_dir, split, index) for index in range(len(offsets) - 1)))
            labels = np.tile(np.arange(len(TONES)).repeat(len(part)), len(card.files))
            pools[split] = Pool(frames, labels, card.name)
        return pools

    pools = cached(card, 1, build)
    return {split: replace(pool, read=partial(_read_tone, card, data_dir, split)) for split, pool in pools.items()}


@lru_cache(maxsize=1)
def _tone_events(card: Card, data_dir: Path | None, split: SplitName) -> tuple[Events, NDArray[np.int64]]:
    """All windows of a split, one after the other, and where each begins (and the last ends)."""

    def build() -> Mapping[str, NDArray[Any]]:
        windows: dict[SplitName, list[Events]] = {name: [] for name, _ in _TONE_SPLITS}
        for file in card.files:
            for tone, recording in _recordings(files.read(card, file, data_dir), file.path):
                found = tone_windows(recording, f"{file.path}, {tone} Hz", card)
                for name, part in _TONE_SPLITS:
                    windows[name] += found[part.start : part.stop]
        arrays: dict[str, NDArray[Any]] = {}
        for name, events in windows.items():
            arrays[f"{name} events"] = np.concatenate(events)
            arrays[f"{name} offsets"] = np.cumsum([0, *map(len, events)])
        return arrays

    arrays = cached_arrays(card, "windows of events", 1, build, only=lambda name: name.startswith(f"{split} "))
    return arrays[f"{split} events"], arrays[f"{split} offsets"]


def _read_tone(card: Card, data_dir: Path | None, split: SplitName, index: int) -> Events:
    events, offsets = _tone_events(card, data_dir, split)
    return events[offsets[index] : offsets[index + 1]]


def tone_windows(content: bytes, origin: str, card: Card) -> list[Events]:
    """One recording as 25 windows of 20 ms, each beginning at time 0; x is the channel.

    An event is a big-endian uint32 address (channel * 2 + polarity) and a uint32 time in microseconds. The sensor's
    events are out of order now and then; they are sorted.

    Raises:
        DataError: not a whole number of events, an address outside the sensor, or a window without events.
    """
    if len(content) == 0 or len(content) % 8:
        raise DataError(f"{origin}: {len(content)} bytes are not a whole number of 8-byte events")
    raw = np.frombuffer(content, dtype=[("address", ">u4"), ("time", ">u4")])
    address, time = raw["address"].astype(np.int64), raw["time"].astype(np.int64)
    if address.max() >= 128:
        raise DataError(f"{origin}, event {int(address.argmax())}: address {address.max()} lies outside 0..127")
    order = np.argsort(time, kind="stable")
    address, time = address[order], time[order]
    bounds = np.searchsorted(time, TONE_WINDOW * np.arange(TONE_WINDOWS + 1))
    windows = []
    assert card.sensor is not None
    for index, (start, stop) in enumerate(pairwise(bounds)):
        part = slice(start, stop)
        window = make_events(address[part] // 2, 0, time[part] - TONE_WINDOW * index, address[part] % 2)
        check_events(window, card.sensor, f"{origin}, window {index}")
        windows.append(window)
    return windows


def _recordings(content: bytes, origin: str) -> list[tuple[int, bytes]]:
    """Tone in Hz and content of every recording in an archive, by tone."""
    found: dict[int, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:xz") as archive:
            for member in archive:
                file: Any = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    found[int(PurePosixPath(member.name).stem)] = file.read()
    except (tarfile.TarError, lzma.LZMAError, EOFError, ValueError) as error:
        raise DataError(f"{origin}: not a whole archive of recordings named by their tone ({error})") from error
    if tuple(sorted(found)) != TONES:
        raise DataError(f"{origin}: holds the tones {sorted(found)}, expected {list(TONES)}")
    return sorted(found.items())
