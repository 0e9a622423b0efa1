"""A cache of decoded samples, for sets whose files take seconds to decode.

An entry is keyed by everything it was made from: the checksums of the card's files, its form and the reader's version.
Only checked files are ever decoded, so an entry stands for them; data folders are not read again.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from spikemark.datasets import files
from spikemark.datasets.cards import Card, DataError
from spikemark.datasets.pools import Pool, SplitName

log = logging.getLogger(__name__)


def cached(card: Card, version: int, build: Callable[[], Mapping[SplitName, Pool]]) -> Mapping[SplitName, Pool]:
    """The pools that `build` makes, made once.

    Args:
        card: the data set.
        version: of the reader; raise it whenever the reader changes what it makes.
        build: reads and decodes the files.

    Raises:
        DataError: the entry is damaged, or `build` found a file that is.
    """
    content = repr((card.name, card.loader, card.shape, card.steps, [file.sha256 for file in card.files], version))
    key = hashlib.sha256(content.encode()).hexdigest()[:16]
    path = files.cache_folder() / "decoded" / f"{card.name}-{key}.npz"
    if path.is_file():
        return _load(path)
    pools = build()
    try:
        _save(path, pools)
    except OSError as error:
        log.warning("%s: decoded samples could not be cached (%s); they will be decoded again", path, error)
    return pools


def _save(path: Path, pools: Mapping[SplitName, Pool]) -> None:
    """Write to a temporary name and rename, so that an entry is whole or not there."""
    arrays = {f"{split} {part}": getattr(pool, part) for split, pool in pools.items() for part in ("inputs", "labels")}
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.savez(file, **arrays)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _load(path: Path) -> Mapping[SplitName, Pool]:
    splits: tuple[SplitName, ...] = ("train", "validation", "test")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {
                split: Pool(arrays[f"{split} inputs"], arrays[f"{split} labels"], str(path))
                for split in splits
                if f"{split} inputs" in arrays
            }
    except (zipfile.BadZipFile, EOFError, KeyError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); delete it and it is made anew") from error
