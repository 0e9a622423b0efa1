"""Readers of event recordings, binned into frames: N-MNIST (subset) and the tones of a neuromorphic auditory sensor."""

from __future__ import annotations

import io
import lzma
import tarfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikemark.datasets import files
from spikemark.datasets.cards import Card, DataError
from spikemark.datasets.decoded import cached
from spikemark.datasets.pools import Pool, SplitName
from spikemark.errors import InputError

NMNIST_BIN = 10_000  # microseconds
TONES = (130, 174, 261, 349, 523, 698, 1046, 1396)  # Hz
TONE_BIN, TONE_WINDOW, TONE_FULL_SCALE = 1_000, 20, 32  # microseconds, bins, events a bin


def nmnist(card: Card, data_dir: Path | None) -> Mapping[SplitName, Pool]:
    """N-MNIST files in bins of 10 ms: 1 where a pixel gave at least one event of a polarity, ``[30, 2, 34, 34]``.

    The bins cover the three saccades of 100 ms; what some recordings hold after 300 ms is left out.

    Raises:
        InputError: tonic is not installed.
        DataError: a file is missing, damaged, empty, or holds events outside the sensor or out of order.
    """

    def build() -> Mapping[SplitName, Pool]:
        manifest = card.files[0]
        recordings = list(files.listed(manifest, files.read(card, manifest, data_dir)))
        pools: dict[SplitName, Pool] = {}
        for split, folder in (("train", "Train"), ("test", "Test")):
            chosen = [file for file in recordings if PurePosixPath(file.path).parts[1] == folder]
            frames = np.stack([nmnist_frames(files.read(card, f, data_dir), f.path, card) for f in chosen])
            labels = np.array([int(PurePosixPath(file.path).parts[2]) for file in chosen], dtype=np.int64)
            pools[split] = Pool(frames, labels, manifest.path)  # type: ignore[index]
        return pools

    return cached(card, 1, build)


def nmnist_frames(content: bytes, origin: str, card: Card) -> NDArray[np.uint8]:
    """One recording as ``[steps, 2, 34, 34]`` of 0 and 255.

    Raises:
        InputError: tonic is not installed.
        DataError: not a whole number of events, none at all, or one outside the sensor or before its predecessor.
    """
    try:
        from tonic.io import events_struct, read_mnist_file
    except ModuleNotFoundError as error:
        raise InputError(f"{card.name}: reading events needs tonic: pip install 'spikemark[events]'") from error
    if len(content) == 0 or len(content) % 5:
        raise DataError(f"{origin}: {len(content)} bytes are not a whole number of 5-byte events")
    events = read_mnist_file(io.BytesIO(content), dtype=events_struct, is_stream=True)
    x, y, t, p = (events[axis].astype(np.int64) for axis in "xytp")
    _, height, width = card.shape
    outside = np.flatnonzero((x >= width) | (y >= height))
    if outside.size:
        i = int(outside[0])
        raise DataError(f"{origin}, event {i}: pixel ({x[i]}, {y[i]}) lies outside the sensor of {width} x {height}")
    backwards = np.flatnonzero(np.diff(t) < 0)
    if backwards.size:
        i = int(backwards[0]) + 1
        raise DataError(f"{origin}, event {i}: time {t[i]} us comes after {t[i - 1]} us")
    assert card.steps is not None
    bins = t // NMNIST_BIN
    kept = bins < card.steps
    frames = np.zeros((card.steps, *card.shape), dtype=np.uint8)
    frames[bins[kept], p[kept], y[kept], x[kept]] = 255
    return frames


def tones(card: Card, data_dir: Path | None) -> Mapping[SplitName, Pool]:
    """Windows of 20 ms in bins of 1 ms, events counted: ``[20, 2 polarities, 64 channels]``, 32 events a bin as 1.

    There is one recording a tone and noise level, so windows are split in time: the first 15 of a recording's 25
    are for training, the next 3 for validation, the last 7 for testing.

    Raises:
        DataError: an archive is missing, damaged, or holds what is no recording.
    """

    def build() -> Mapping[SplitName, Pool]:
        windows, labels = [], []
        for file in card.files:
            for tone, recording in _recordings(files.read(card, file, data_dir), file.path):
                windows.append(tone_windows(recording, f"{file.path}, {tone} Hz"))
                labels.append(TONES.index(tone))
        inputs, answers = np.stack(windows), np.array(labels, dtype=np.int64)
        parts: tuple[tuple[SplitName, slice], ...] = (
            ("train", slice(0, 15)),
            ("validation", slice(15, 18)),
            ("test", slice(18, 25)),
        )
        pools: dict[SplitName, Pool] = {}
        for split, part in parts:
            chosen = inputs[:, part]
            pools[split] = Pool(chosen.reshape(-1, *chosen.shape[2:]), answers.repeat(chosen.shape[1]), card.name)
        return pools

    return cached(card, 1, build)


def tone_windows(content: bytes, origin: str) -> NDArray[np.float32]:
    """One recording as ``[25 windows, 20 bins, 2, 64]`` in 0..1.

    An event is a big-endian uint32 address (channel * 2 + polarity) and a uint32 time in microseconds.

    Raises:
        DataError: not a whole number of events, or an address outside the sensor.
    """
    if len(content) == 0 or len(content) % 8:
        raise DataError(f"{origin}: {len(content)} bytes are not a whole number of 8-byte events")
    events = np.frombuffer(content, dtype=[("address", ">u4"), ("time", ">u4")])
    address, time = events["address"].astype(np.int64), events["time"].astype(np.int64)
    if address.max() >= 128:
        raise DataError(f"{origin}, event {int(address.argmax())}: address {address.max()} lies outside 0..127")
    bins = time // TONE_BIN
    kept = bins < 25 * TONE_WINDOW
    counts = np.bincount(bins[kept] * 128 + address[kept], minlength=25 * TONE_WINDOW * 128)
    by_channel = counts.reshape(25, TONE_WINDOW, 64, 2).swapaxes(2, 3)
    return np.minimum(by_channel / TONE_FULL_SCALE, 1).astype(np.float32)


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
