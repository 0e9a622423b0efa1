"""Readers of time series: spoken digits as log-mel frames, and ECG that was coded into spikes."""

from __future__ import annotations

import io
import wave
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from spikemark.core.streams import stream_seed
from spikemark.data import files
from spikemark.data.card import Card
from spikemark.data.decoded import cached
from spikemark.data.pools import Pool, SplitName
from spikemark.errors import DataError

SPEECH_RATE, SPEECH_WINDOW, SPEECH_HOP = 8_000, 256, 160  # Hz, samples, samples
SPEECH_RANGE = 60.0  # decibels
ECG_WINDOW = 100
ECG_HELD_OUT = 93  # sequences, 15 %


def spoken_digits(card: Card, data_dir: Path | None) -> Mapping[SplitName, Pool]:
    """The first second of each recording as ``[50 frames of 20 ms, 32 mel bands]``.

    The split is the official one: takes 0 to 4 of every speaker and digit are for testing. Speakers are the same in
    all splits.

    Raises:
        DataError: a file is missing, damaged, or not 8 kHz, 16 bit, mono.
    """

    def build() -> Mapping[SplitName, Pool]:
        manifest = card.files[0]
        recordings = list(files.listed(manifest, files.read(card, manifest, data_dir)))
        names = [PurePosixPath(file.path).stem.split("_") for file in recordings]
        inputs = np.stack([log_mel(files.read(card, file, data_dir), file.path, card) for file in recordings])
        labels = np.array([int(digit) for digit, _, _ in names], dtype=np.int64)
        test = np.array([int(take) < 5 for _, _, take in names])
        return {
            "train": Pool(inputs[~test], labels[~test], manifest.path),
            "test": Pool(inputs[test], labels[test], manifest.path),
        }

    return cached(card, 1, build)


def log_mel(content: bytes, origin: str, card: Card) -> NDArray[np.float32]:
    """A wav file as ``[steps, bands]``: 0 is 60 dB or more below the loudest band of the recording, 1 is the loudest.

    Windows of 32 ms (Hann) every 20 ms; shorter recordings are silent at the end, longer ones cut off.

    Raises:
        DataError: not a wav file of 8 kHz, 16 bit, mono.
    """
    try:
        with wave.open(io.BytesIO(content)) as file:
            form = file.getframerate(), file.getsampwidth(), file.getnchannels()
            sound = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.float64)
    except (wave.Error, EOFError) as error:
        raise DataError(f"{origin}: not a wav file ({error})") from error
    if form != (SPEECH_RATE, 2, 1):
        raise DataError(f"{origin}: {form[0]} Hz, {form[1]} bytes, {form[2]} channels; expected 8000 Hz, 2 bytes, 1")
    assert card.steps is not None
    length = (card.steps - 1) * SPEECH_HOP + SPEECH_WINDOW
    padded = np.zeros(length)
    padded[: len(sound)] = sound[:length]
    windows = np.lib.stride_tricks.sliding_window_view(padded, SPEECH_WINDOW)[::SPEECH_HOP]
    power = np.abs(np.fft.rfft(windows * np.hanning(SPEECH_WINDOW), axis=1)) ** 2
    bands = power @ _mel_filters(card.shape[0]).T
    decibels = 10 * np.log10(np.maximum(bands, 1e-10) / max(bands.max(), 1e-10))
    scaled: NDArray[np.float32] = np.clip(1 + decibels / SPEECH_RANGE, 0, 1).astype(np.float32)
    return scaled


def _mel_filters(bands: int) -> NDArray[np.float64]:
    """Triangles evenly spaced on the mel scale ``2595 log10(1 + f / 700)`` up to half the rate, ``[bands, bins]``."""
    top = 2595 * np.log10(1 + SPEECH_RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, bands + 2) / 2595) - 1)
    frequencies = np.fft.rfftfreq(SPEECH_WINDOW, 1 / SPEECH_RATE)
    rising = (frequencies - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - frequencies) / np.diff(edges)[1:, None]
    return np.maximum(0, np.minimum(rising, falling))


def ecg(card: Card, data_dir: Path | None) -> Mapping[SplitName, Pool]:
    """Windows of 100 steps of the level-crossing coded ECG; the label is the wave that the last step belongs to.

    A sequence of 1,300 steps gives 13 windows, less those whose last step has no label; its 1,301st step is a marker.
    Validation takes whole sequences, so that no window has a neighbour in training.

    Raises:
        DataError: a file is missing, damaged, or not of that form.
    """
    train, labels, sequences = _ecg_windows(card, 0, data_dir)
    test, test_labels, _ = _ecg_windows(card, 1, data_dir)
    order = np.random.default_rng(stream_seed("split", card.name, "sequences")).permutation(sequences.max() + 1)
    held_out = np.isin(sequences, order[:ECG_HELD_OUT])
    return {
        "train": Pool(train[~held_out], labels[~held_out], card.files[0].path),
        "validation": Pool(train[held_out], labels[held_out], card.files[0].path),
        "test": Pool(test, test_labels, card.files[1].path),
    }


def _ecg_windows(
    card: Card, index: int, data_dir: Path | None
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    """Windows ``[N, 100, 4]``, their labels, and the sequence that each comes from."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    file = card.files[index]
    try:
        data = loadmat(io.BytesIO(files.read(card, file, data_dir)), variable_names=["x", "y"])
        spikes, waves = data["x"], data["y"]
    except (MatReadError, KeyError, ValueError, TypeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{file.path}: not a MATLAB file with x and y ({error})") from error
    windows = (spikes.shape[1] - 1) // ECG_WINDOW
    cut = spikes[:, : windows * ECG_WINDOW].reshape(-1, ECG_WINDOW, spikes.shape[2]).astype(np.float32)
    last = waves[:, ECG_WINDOW - 1 : windows * ECG_WINDOW : ECG_WINDOW].reshape(-1, waves.shape[2])
    labelled = last.sum(1) == 1
    sequences = np.arange(len(spikes)).repeat(windows)
    return cut[labelled], last.argmax(1)[labelled].astype(np.int64), sequences[labelled]
