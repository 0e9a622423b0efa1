"""What a data set's card says: plain data, so that this module imports nothing that a card needs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from spikemark.data.binning import Binning, Sensor
from spikemark.errors import InputError
from spikemark.registry import Registry, registry

Kind = Literal["image", "points", "events", "series"]
OFFICIAL_TEST = "test: the official one; validation: drawn from the official training samples"


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
        sha256: of the content; empty where only an MD5 was published.
        url: where it can be downloaded; None where no stable address is known.
        md5: of the content, as its publisher states it; empty where the SHA-256 is known.
        unpacked: for an archive, the file or folder below the data folder that comes out of it.
    """

    path: str
    sha256: str = ""
    url: str | None = None
    md5: str = ""
    unpacked: str | None = None

    def __post_init__(self) -> None:
        if bool(self.sha256) == bool(self.md5):
            raise InputError(f"{self.path}: one checksum is needed, SHA-256 or MD5")

    @property
    def checksum(self) -> tuple[str, str]:
        """Name of the algorithm as hashlib has it, and the digest."""
        return ("sha256", self.sha256) if self.sha256 else ("md5", self.md5)

    @property
    def is_manifest(self) -> bool:
        """Whether the file lists further files."""
        return self.path.endswith("/SHA256SUMS")


@dataclass(frozen=True)
class Card:
    """What is known of a data set before reading it.

    Attributes:
        name: as users write it.
        kind: "image" or "points" (static), "events" or "series" (with a time axis of their own).
        shape: of one sample at one time step; what the network sees.
        classes: number of classes.
        samples: sizes of the whole splits.
        encoder: the encoder used when a suite names none.
        loader: ``module:function`` that reads the pools (`spikemark.data.pools.Loader`).
        licence: as its publisher states it.
        source: publication and origin.
        split: how the three splits come about.
        files: all its files; empty for embedded and generated sets.
        steps: length of a sample's own time axis; None for static samples.
        sensor: of event sets: width, height and polarities.
        binning: of event sets: how recordings become frames.
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
    sensor: Sensor | None = None
    binning: Binning | None = None

    def binned(self, binning: Binning) -> Card:
        """The card with another binning, and the shape and steps that follow from it.

        Raises:
            InputError: the set has no event lists, or the binning does not fit its sensor.
        """
        if self.binning is None or self.sensor is None:
            raise InputError(f"binning: {self.name} is {self.kind} data and has no event lists to bin")
        whole = binning.over(self.binning)
        return replace(self, shape=whole.shape(self.sensor), steps=whole.steps, binning=whole)


DATASETS: Registry[Card] = registry("dataset")
