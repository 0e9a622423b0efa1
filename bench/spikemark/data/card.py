"""What a data set's card says: plain data, so that this module imports nothing that a card needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from spikemark.core.options import checked
from spikemark.errors import InputError
from spikemark.registry import Registry, registry

Kind = Literal["image", "points", "events", "series"]
OFFICIAL_TEST = "test: the official one; validation: drawn from the official training samples"
Count = Annotated[int, Field(ge=1)]

Sensor = tuple[int, int, int]
"""In the order that tonic has: width, height (1 for a line of channels) and number of polarities."""


@checked
class Binning:
    """How event recordings become frames; what is None is as the data set's card says.

    Attributes:
        by: "time": bins of equal length; "count": bins of equal numbers of events (the last may hold more or fewer).
        steps: number of bins, the length of the sample's own time axis.
        window_us: microseconds from the recording's start that are binned; later events are left out.
        polarities: "split" gives each polarity a plane, "merge" puts both into one.
        mode: "binary": 1 where a bin holds at least one event; "count": events over `full_scale`, at most 1.
        size: height and width of a frame, at most the sensor's; pixels that fall together are merged.
        full_scale: events of one pixel and bin that stand as 1 in mode "count".

    Raises:
        InputError: a field is not what it may be; the message names it.
    """

    by: Literal["time", "count"] | None = None
    steps: Count | None = None
    window_us: Count | None = None
    polarities: Literal["split", "merge"] | None = None
    mode: Literal["binary", "count"] | None = None
    size: tuple[Count, Count] | None = None
    full_scale: Count | None = None

    def over(self, default: Binning) -> Binning:
        """This binning, with the fields that are None taken from `default`."""
        names = self.__dataclass_fields__
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return replace(default, **given)

    def shape(self, sensor: Sensor) -> tuple[int, ...]:
        """Of one frame: ``(polarities, height, width)``, without the axes that a sensor does not have.

        Raises:
            InputError: `size` is larger than the sensor.
        """
        width, height, polarities = sensor
        rows, columns = self.size or (height, width)
        if rows > height or columns > width:
            raise InputError(f"binning.size: {rows} x {columns} is larger than the sensor of {height} x {width}")
        pixels = (rows, columns) if height > 1 else (columns,)
        return pixels if polarities == 1 else (1 if self.polarities == "merge" else polarities, *pixels)


@checked
class Sizes:
    """Numbers of samples in the three splits; None stands for all there are.

    Raises:
        InputError: a number is below 1.
    """

    train: Count | None = None
    validation: Count | None = None
    test: Count | None = None

    @property
    def known(self) -> bool:
        """Whether all three are given."""
        return None not in (self.train, self.validation, self.test)

    def of(self, whole: Sizes) -> Sizes:
        """These sizes, with those of `whole` where all are asked for."""
        return Sizes(self.train or whole.train, self.validation or whole.validation, self.test or whole.test)


@checked
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

    @model_validator(mode="after")
    def _one_checksum(self) -> Self:
        if bool(self.sha256) == bool(self.md5):
            raise ValueError(f"{self.path}: one checksum is needed, SHA-256 or MD5")
        return self

    @property
    def checksum(self) -> tuple[str, str]:
        """Name of the algorithm as hashlib has it, and the digest."""
        return ("sha256", self.sha256) if self.sha256 else ("md5", self.md5)

    @property
    def is_manifest(self) -> bool:
        """Whether the file lists further files."""
        return self.path.endswith("/SHA256SUMS")


@checked
class Card:
    """What is known of a data set before reading it.

    Attributes:
        name: as users write it.
        kind: "image" or "points" (static), "events" or "series" (with a time axis of their own).
        shape: of one sample at one time step; what the network sees.
        classes: number of classes.
        samples: sizes of the whole splits; a size is None where it is not known before reading.
        encoder: the encoder used when a suite names none.
        loader: what reads the pools (`spikemark.data.pools.Loader`), or its ``module:function``.
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
    shape: Annotated[tuple[Count, ...], Field(min_length=1)]
    classes: Count
    samples: Sizes
    encoder: str
    loader: str | Callable[..., Any]
    licence: str
    source: str
    split: str
    files: tuple[File, ...] = ()
    steps: Count | None = None
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
