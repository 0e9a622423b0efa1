"""A cache of decoded samples, for sets whose files take seconds to decode.

An entry is keyed by everything it was made from: the checksums of the card's files, its form and the reader's version.
Only checked files are ever decoded, so an entry stands for them; data folders are not read again.
"""

from __future__ import annotations

import hashlib
import logging
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikemark.core.files import staged
from spikemark.data import files
from spikemark.data.card import Card
from spikemark.data.pools import Pool, SplitName
from spikemark.errors import DataError

log = logging.getLogger(__name__)
_SPLITS: tuple[SplitName, ...] = ("train", "validation", "test")


def cached(card: Card, version: int, build: Callable[[], Mapping[SplitName, Pool]]) -> Mapping[SplitName, Pool]:
    """The pools that `build` makes, made once.

    Args:
        card: the data set.
        version: of the reader; raise it whenever the reader changes what it makes.
        build: reads and decodes the files.

    Raises:
        DataError: the entry is damaged, or `build` found a file that is.
    """

    def arrays() -> dict[str, NDArray[Any]]:
        parts = ("inputs", "labels", "origin")
        return {f"{s} {part}": np.asarray(getattr(pool, part)) for s, pool in build().items() for part in parts}

    form = ("pools", card.shape, card.steps, *(() if card.binning is None else (card.binning,)))
    found = cached_arrays(card, repr(form), version, arrays)
    return {
        split: Pool(found[f"{split} inputs"], found[f"{split} labels"], str(found[f"{split} origin"]))
        for split in _SPLITS
        if f"{split} inputs" in found
    }


def cached_arrays(
    card: Card,
    form: str,
    version: int,
    build: Callable[[], Mapping[str, NDArray[Any]]],
    only: Callable[[str], bool] = lambda name: True,
) -> dict[str, NDArray[Any]]:
    """The arrays that `build` makes, made once.

    Args:
        card: the data set.
        form: what is made of its files.
        version: of the reader.
        build: reads and decodes the files.
        only: the names of the arrays that are wanted; the others are not read.

    Raises:
        DataError: the entry is damaged, or `build` found a file that is.
    """
    content = repr((card.name, card.loader, form, [file.checksum for file in card.files], version))
    key = hashlib.sha256(content.encode()).hexdigest()[:16]
    path = files.cache_folder() / "decoded" / f"{card.name}-{key}.npz"
    if not path.is_file():
        arrays = build()
        try:
            _save(path, arrays)
        except OSError as error:
            log.warning("%s: decoded samples could not be cached (%s); they will be decoded again", path, error)
        return {name: array for name, array in arrays.items() if only(name)}
    try:
        with np.load(path, allow_pickle=False) as found:
            return {name: found[name] for name in found.files if only(name)}
    except (zipfile.BadZipFile, EOFError, KeyError, ValueError) as error:
        raise DataError(f"{path} is damaged ({error}); delete it and it is made anew") from error


def _save(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Keep an entry, whole or not at all."""
    named: dict[str, Any] = dict(arrays)
    with staged(path) as (part,), part.open("wb") as file:
        np.savez(file, **named)
