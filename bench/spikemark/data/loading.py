"""From a data set's name to tensors in three fixed splits.

Which sample belongs to which split, and the order within a split, follow from the data set's name alone: they are the
same for every seed, framework and size. A smaller split is the beginning of the larger one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spikemark.core.streams import generator
from spikemark.data.card import DATASETS, Binning, Card, Sizes
from spikemark.data.pools import Loader, Pool, SplitName
from spikemark.data.recordings import Recordings, scaled
from spikemark.errors import DataError, InputError
from spikemark.registry import imported

_SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Samples of one split.

    Attributes:
        inputs: ``[N, *shape]``, or ``[N, steps, *shape]`` where samples have a time axis; float32 in 0..1.
        labels: ``[N]`` int64.
        recordings: of event sets, the event lists behind the samples; for noise on events.
    """

    inputs: Tensor
    labels: Tensor
    recordings: Recordings | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Dataset:
    """A data set in memory.

    Attributes:
        name: in the registry.
        shape: of one sample at one time step.
        classes: number of classes.
        train: to train on.
        validation: to select on.
        test: to report on, once.
        steps: length of a sample's own time axis; None for static samples.
    """

    name: str
    shape: tuple[int, ...]
    classes: int
    train: Split
    validation: Split
    test: Split
    steps: int | None = None


def load_dataset(
    name: str, data_dir: Path | None = None, sizes: Sizes | None = None, binning: Binning | None = None
) -> Dataset:
    """Read a data set.

    Args:
        name: in `DATASETS`.
        data_dir: folder with the data sets; None: the environment variable ``SPIKEMARK_DATA``, else the download cache.
        sizes: how many samples of each split to take; None: all.
        binning: of event sets: how recordings become frames; what it leaves open, and None, is as the card says.

    Raises:
        UnknownNameError: no such data set.
        InputError: `sizes` asks for more samples than there are, or `binning` does not fit the data set.
        DataError: a file is missing or damaged.
    """
    card = DATASETS[name] if binning is None else DATASETS[name].binned(binning)
    if not isinstance(card, Card):
        raise InputError(f"data set {name!r}: is a {type(card).__name__}; expected a Card, or use @dataset")
    sizes = sizes or Sizes()
    if card.samples.known:
        _counts(name, card.samples, sizes)  # too many asked for is said before anything is read
    pools = _loader(card)(card, data_dir)
    for pool in pools.values():
        pool.check(card)
    samples = card.samples if card.samples.known else _found(pools)
    counts = _counts(name, samples, sizes)
    chosen = _partition(card.name, samples, pools)
    splits = {split: _take(card, *chosen[split], counts[split]) for split in _SPLITS}
    return Dataset(name, card.shape, card.classes, **splits, steps=card.steps)


def _loader(card: Card) -> Loader:
    loader: Loader = imported(card.loader) if isinstance(card.loader, str) else card.loader
    return loader


def _found(pools: Mapping[SplitName, Pool]) -> Sizes:
    """Sizes of a set that does not say them: validation is a tenth of the training samples, where it is not there."""
    sizes = {split: len(pool.labels) for split, pool in pools.items()}
    if "validation" not in sizes:
        if sizes["train"] == 1:
            raise DataError(f"{pools['train'].origin}: 1 sample; validation is a tenth of them, 1 at least")
        sizes["validation"] = max(1, sizes["train"] // 10)
        sizes["train"] -= sizes["validation"]
    if "test" not in sizes:
        raise DataError(f"{next(iter(pools.values())).origin}: there is no test split")
    return Sizes(**sizes)


def _counts(name: str, samples: Sizes, sizes: Sizes) -> dict[SplitName, int]:
    """Samples to take from each split."""
    counts: dict[SplitName, int] = {}
    for split in _SPLITS:
        available, asked = getattr(samples, split), getattr(sizes, split)
        if asked is not None and asked > available:
            raise InputError(f"sizes.{split}: {asked} asked for, but {name} has {available} {split} samples")
        counts[split] = available if asked is None else asked
    return counts


def _partition(name: str, samples: Sizes, pools: Mapping[SplitName, Pool]) -> dict[SplitName, tuple[Pool, Tensor]]:
    """Each split's pool and its samples' indices there; a split without a pool is drawn from the training pool."""
    parts: dict[SplitName, tuple[Pool, Tensor]] = {}
    orders = {
        split: torch.randperm(len(pool.labels), generator=generator("split", name, split))
        for split, pool in pools.items()
    }
    rest = orders["train"]
    for split in ("test", "validation"):
        if split in pools:
            parts[split] = pools[split], orders[split]
        else:
            held = getattr(samples, split)
            parts[split], rest = (pools["train"], rest[:held]), rest[held:]
    parts["train"] = pools["train"], rest
    for split, (_, indices) in parts.items():
        expected = getattr(samples, split)
        assert len(indices) == expected, f"{name}: {len(indices)} {split} samples, its card says {expected}"
    return parts


def _take(card: Card, pool: Pool, indices: Tensor, count: int) -> Split:
    chosen = indices[:count].numpy()
    recordings = None
    if pool.read is not None:
        assert card.sensor is not None
        assert card.binning is not None
        recordings = Recordings(card.name, card.sensor, card.binning, pool.read, chosen)
    return Split(scaled(pool.inputs[chosen]), torch.from_numpy(np.ascontiguousarray(pool.labels[chosen])), recordings)
