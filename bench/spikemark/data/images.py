"""Readers of the image data sets: scikit-learn's digits, gzip-ed idx files, archives of JPEG files."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import tarfile
import zlib
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikemark.data import files
from spikemark.data.card import Card
from spikemark.data.decoded import cached
from spikemark.data.pools import Pool, SplitName
from spikemark.errors import DataError

_UNSIGNED_BYTE = 0x08


def digits(card: Card, data_dir: Path | None) -> Mapping[SplitName, Pool]:
    """The 8x8 digits that scikit-learn carries; pixels 0..16 become 0..1.

    Its file is read without it: its own reader takes seconds to import, for 1,797 lines of 64 pixels and a label.
    """
    carried = metadata.distribution("scikit-learn").locate_file("sklearn/datasets/data/digits.csv.gz")
    with gzip.open(str(carried), "rt") as lines:
        rows = np.loadtxt(lines, delimiter=",", dtype=np.uint8)
    inputs = (rows[:, :-1].reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    return {"train": Pool(inputs, rows[:, -1].astype(np.int64), "scikit-learn's digits")}


def idx_images(card: Card, data_dir: Path | None) -> Mapping[SplitName, Pool]:
    """Images and labels of an MNIST-like set: the card's four files are train images, labels, test images, labels.

    Raises:
        DataError: a file is missing, damaged or not in the idx format.
    """
    arrays = []
    for file, axes in zip(card.files, (3, 1, 3, 1), strict=True):
        arrays.append(read_idx(files.read(card, file, data_dir), axes, file.path))
    train, train_labels, test, test_labels = arrays
    return {
        "train": Pool(train[:, None], train_labels.astype(np.int64), card.files[0].path),
        "test": Pool(test[:, None], test_labels.astype(np.int64), card.files[2].path),
    }


def read_idx(content: bytes, axes: int, origin: str) -> NDArray[Any]:
    """The array of unsigned bytes in a gzip-ed idx file.

    The format (LeCun): two zero bytes, type code, number of axes, each axis' length as big-endian uint32, the data.

    Args:
        content: of the file.
        axes: how many axes the array must have.
        origin: what messages call the file.

    Raises:
        DataError: not gzip, not idx of that type and number of axes, or shorter or longer than its header says.
    """
    try:
        raw = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{origin}: not a whole gzip file ({error})") from error
    header = 4 + 4 * axes
    magic = bytes((0, 0, _UNSIGNED_BYTE, axes))
    if raw[:4] != magic or len(raw) < header:
        raise DataError(f"{origin}: begins with {raw[:4].hex()}, expected the idx magic number {magic.hex()}")
    shape = struct.unpack(f">{axes}I", raw[4:header])
    if len(raw) - header != np.prod(shape, dtype=np.int64):
        raise DataError(f"{origin}: {len(raw) - header} bytes of data, but its header says {shape}")
    return np.frombuffer(raw, dtype=np.uint8, offset=header).reshape(shape)


def jpeg_archives(card: Card, data_dir: Path | None) -> Mapping[SplitName, Pool]:
    """Colour images from the card's two archives, training and test, of ``SPLIT/CLASS/NAME.jpg``.

    Classes are numbered in alphabetical order, images taken in the order of their paths.

    Raises:
        DataError: an archive is missing, damaged, or holds something else.
    """

    def build() -> Mapping[SplitName, Pool]:
        train, test = (_jpegs(files.read(card, file, data_dir), file.path) for file in card.files)
        return {"train": train, "test": test}

    return cached(card, 1, build)


def _jpegs(content: bytes, origin: str) -> Pool:
    from PIL import Image, UnidentifiedImageError

    images: dict[str, NDArray[np.uint8]] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:xz") as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    pixels = np.asarray(Image.open(io.BytesIO(file.read())).convert("RGB"))
                    images[member.name] = pixels.transpose(2, 0, 1)
    except (tarfile.TarError, lzma.LZMAError, EOFError, UnidentifiedImageError) as error:
        raise DataError(f"{origin}: not a whole archive of JPEG files ({error})") from error
    paths = sorted(images)
    names = [PurePosixPath(path).parts[1] for path in paths]
    numbers = {name: number for number, name in enumerate(sorted(set(names)))}
    labels = np.array([numbers[name] for name in names], dtype=np.int64)
    return Pool(np.stack([images[path] for path in paths]), labels, origin)
