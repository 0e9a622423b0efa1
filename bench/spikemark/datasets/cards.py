"""The registry of data sets: what each one is, where its files are, and which function reads them.

A card is plain data; the reading function is named by its module path and imported when the data set is loaded, so
that this module imports nothing that a card needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from spikemark.errors import InputError, unknown

Kind = Literal["image", "events", "series"]


class DataError(InputError):
    """A data set's file is missing, damaged or not what it should be; the message names it and what would be right."""


@dataclass(frozen=True)
class Sizes:
    """Numbers of samples in the three splits; None stands for all there are.

    Raises:
        InputError: a number is below 1.
    """

    train: int | None = None
    validation: int | None = None
    test: int | None = None

    def __post_init__(self) -> None:
        for split, count in (("train", self.train), ("validation", self.validation), ("test", self.test)):
            if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
                raise InputError(f"sizes.{split}: {count!r} is not a positive whole number")


@dataclass(frozen=True)
class File:
    """One file of a data set.

    Attributes:
        path: below the data folder, with forward slashes. A file called ``SHA256SUMS`` is a manifest: the files that
            it lists, beside it, belong to the data set too.
        sha256: of the content.
        url: where it can be downloaded; None where no stable address is known.
    """

    path: str
    sha256: str
    url: str | None = None

    @property
    def is_manifest(self) -> bool:
        """Whether the file lists further files."""
        return self.path.endswith("/SHA256SUMS")


@dataclass(frozen=True)
class Card:
    """What is known of a data set before reading it.

    Attributes:
        name: as users write it.
        kind: "image" (static), "events" or "series" (with a time axis of their own).
        shape: of one sample at one time step; what the network sees.
        classes: number of classes.
        samples: sizes of the whole splits.
        encoder: the encoder used when a suite names none.
        loader: ``module:function`` that reads the pools (`spikemark.datasets.pools.Loader`).
        licence: as its publisher states it.
        source: publication and origin.
        split: how the three splits come about.
        files: all its files; empty for embedded and generated sets.
        steps: length of a sample's own time axis; None for static samples.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    classes: int
    samples: Sizes
    encoder: str
    loader: str
    licence: str
    source: str
    split: str
    files: tuple[File, ...] = ()
    steps: int | None = None


def find_card(name: str) -> Card:
    """The card called `name`.

    Raises:
        UnknownNameError: no such data set; the message lists the known ones.
    """
    if name not in DATASETS:
        raise unknown("data set", name, DATASETS)
    return DATASETS[name]


def _idx_files(folder: str, url: str, hashes: tuple[str, str, str, str]) -> tuple[File, ...]:
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    return tuple(File(f"{folder}/raw/{n}.gz", h, f"{url}/{n}.gz") for n, h in zip(names, hashes, strict=True))


_OFFICIAL_TEST = "test: the official one; validation: drawn from the official training samples"

_CARDS = (
    Card(
        name="digits",
        kind="image",
        shape=(1, 8, 8),
        classes=10,
        samples=Sizes(1000, 300, 497),
        encoder="direct",
        loader="spikemark.datasets.images:digits",
        licence="CC BY 4.0 (UCI)",
        source="Alpaydin and Kaynak 1998, UCI Optical Recognition of Handwritten Digits; embedded in scikit-learn",
        split="all three drawn at random from the 1,797 samples (no official split; writers are not kept apart)",
    ),
    Card(
        name="mnist",
        kind="image",
        shape=(1, 28, 28),
        classes=10,
        samples=Sizes(54_000, 6_000, 10_000),
        encoder="direct",
        loader="spikemark.datasets.images:idx_images",
        licence="CC BY-SA 3.0 (according to Keras; copyright LeCun and Cortes)",
        source="LeCun, Bottou, Bengio and Haffner, Proceedings of the IEEE 86(11), 1998",
        split=_OFFICIAL_TEST,
        files=_idx_files(
            "MNIST",
            "https://ossci-datasets.s3.amazonaws.com/mnist",
            (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ),
    ),
    Card(
        name="fashion-mnist",
        kind="image",
        shape=(1, 28, 28),
        classes=10,
        samples=Sizes(54_000, 6_000, 10_000),
        encoder="direct",
        loader="spikemark.datasets.images:idx_images",
        licence="MIT (Zalando SE)",
        source="Xiao, Rasul and Vollgraf 2017 (arXiv 1708.07747)",
        split=_OFFICIAL_TEST,
        files=_idx_files(
            "FashionMNIST",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
            "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion",
            (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ),
    ),
)

DATASETS: Mapping[str, Card] = MappingProxyType({card.name: card for card in _CARDS})
