"""Samples at hand: arrays, tensors, or a torch `Dataset` or `DataLoader`, as the test split of a data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from spikemark.core.streams import fingerprint
from spikemark.data.arrays import pool
from spikemark.data.card import DATASETS, Card, Kind, Sizes
from spikemark.data.loading import Dataset, Split, load_dataset
from spikemark.data.recordings import scaled
from spikemark.errors import DataError, InputError

Given = Any
"""Name of a data set, ``(inputs, labels)``, or a torch `Dataset` or `DataLoader` of ``(x, y)``."""


def given_data(
    data: Given, *, timed: bool = False, samples: int | None = None, data_dir: Path | None = None
) -> tuple[Card, Dataset]:
    """What is known of the samples, and a data set whose test split they are.

    Args:
        data: see `Given`; samples are floats in 0..1 or bytes, labels whole numbers from 0.
        timed: whether samples that are not of a registered set have a time axis of their own, ``[N, steps, *shape]``.
        samples: the first so many; all when None.
        data_dir: folder of the registered data sets.

    Raises:
        InputError: fewer samples than asked for, or data of another form.
        DataError: samples or labels are not what they may be.
    """
    if isinstance(data, str):
        dataset = load_dataset(data, data_dir, None if samples is None else Sizes(test=samples))
        return DATASETS[data], dataset
    found = pool("data", _pair(data))
    inputs, labels = scaled(found.inputs), torch.from_numpy(found.labels)
    if samples is not None and samples > len(labels):
        raise InputError(f"samples: {samples} asked for, but there are {len(labels)}")
    inputs, labels = inputs[:samples], labels[:samples]
    if bool((labels < 0).any()):
        raise DataError(f"data: label {int(labels.min())}; expected whole numbers from 0")
    steps, *shape = inputs.shape[1:] if timed else (None, *inputs.shape[1:])
    if not shape:
        raise DataError(f"data: samples have shape {list(inputs.shape[1:])}; expected [N, *shape]")
    kind: Kind = "series" if timed else "image" if len(shape) == 3 else "points"
    card = Card(
        name=f"own-{fingerprint(inputs, labels)[:8]}",
        kind=kind,
        shape=tuple(shape),
        classes=int(labels.max()) + 1,
        samples=Sizes(test=len(labels)),
        encoder="frames" if timed else "direct",
        loader="spikemark.data.given:given_data",
        licence="of whoever brings them",
        source="samples at hand",
        split="all of them are the test split",
        steps=steps,
    )
    split = Split(inputs, labels)
    return card, Dataset(card.name, card.shape, card.classes, split, split, split, card.steps)


def _pair(data: Given) -> tuple[Any, Any]:
    if isinstance(data, tuple | list) and len(data) == 2:
        return data[0], data[1]
    if isinstance(data, DataLoader):
        batches = [_sample(batch) for batch in data]
        if not batches:
            raise DataError("data: the loader has no batches")
        return np.concatenate([np.asarray(x) for x, _ in batches]), np.concatenate([np.asarray(y) for _, y in batches])
    if isinstance(data, TorchDataset):
        rows = [_sample(data[i]) for i in range(len(data))]  # type: ignore[arg-type]
        if not rows:
            raise DataError("data: the torch data set has no samples")
        return np.stack([np.asarray(x) for x, _ in rows]), np.array([int(y) for _, y in rows])
    found = "a mapping" if isinstance(data, Mapping) else f"a {type(data).__name__}"
    raise InputError(
        f"data: {found} is no name of a data set, (inputs, labels), torch Dataset or DataLoader of (x, y) pairs"
    )


def _sample(row: Any) -> tuple[Any, Any]:
    if not isinstance(row, tuple | list) or len(row) != 2:
        raise DataError(f"data: gives a {type(row).__name__}; expected pairs of (inputs, labels)")
    return row[0], row[1]
