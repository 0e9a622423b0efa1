"""The tables of a suite file below its axes: what each measure may be told.

They become settings of cells, so that they determine results and enter keys.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from spikemark.datasets import ENCODERS, Binning
from spikemark.errors import unknown
from spikemark.measures.points import DType, LayerPhase, Mode, TrainingStep
from spikemark.noise import NOISES

Count = Annotated[int, Field(ge=1)]
Axis = Annotated[tuple[str, ...], Field(min_length=1)]


class Table(BaseModel):
    """A table of a suite file: no key but the known ones, no value of another type."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Sizes(Table):
    """How many samples of each split; all of them when left out."""

    train: Count | None = None
    validation: Count | None = None
    test: Count | None = None


class Encoding(Table):
    """How samples become currents over `steps` time steps."""

    name: str = "direct"
    steps: Count = 4

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return in_registry("encoder", name, ENCODERS)


class Training(Table):
    """Epochs and batch size, the same for every contender."""

    epochs: Count = 10
    batch_size: Annotated[int, Field(ge=2)] = 64


class Events(Table):
    """How event recordings become frames, see `spikemark.datasets.Binning`; what is left out is as the data set's."""

    by: Literal["time", "count"] | None = None
    steps: Count | None = None
    window_us: Count | None = None
    polarities: Literal["split", "merge"] | None = None
    mode: Literal["binary", "count"] | None = None
    size: tuple[Count, Count] | None = None
    full_scale: Count | None = None

    def binning(self) -> Binning:
        """The same for the loaders."""
        return Binning(**self.model_dump())


class Robustness(Table):
    """Which noises at which severities, on how many test samples (all when left out)."""

    noises: Axis = ("gaussian", "salt-and-pepper", "spike-deletion")
    severities: Annotated[tuple[Annotated[int, Field(ge=1, le=5)], ...], Field(min_length=1)] = (1, 2, 3, 4, 5)
    samples: Count | None = None

    @field_validator("noises")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(in_registry("noise", name, NOISES) for name in names)


class Energy(Table):
    """On how many test samples operations are counted."""

    samples: Count = 128


class Throughput(Table):
    """How throughput is measured: batch, threads, and seconds for each of its phases.

    Training is forward and backward ("gradients"), or one batch as the system's own rule learns from it, optimiser and
    all ("rule"); the former does not enter a record's key, so that it outlives the coming of the latter.
    """

    batch_size: Count = 64
    threads: Count = 1
    seconds: Annotated[float, Field(gt=0)] = 1.0
    training: Annotated[TrainingStep, Field(exclude_if=lambda step: step == "gradients")] = "gradients"


class LayerAxes(Table):
    """Along which axes layers are measured, and where; an axis that is left out is not measured."""

    steps: tuple[Count, ...] = ()
    batch: tuple[Count, ...] = ()
    width: tuple[Count, ...] = ()
    dtype: tuple[DType, ...] = ()
    compile: tuple[Mode, ...] = ()
    convolution: tuple[tuple[Count, Count, Count], ...] = ()

    @field_validator("*")
    @classmethod
    def _no_doubles(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return each_once(values)


class Layers(Table):
    """How single layers are measured: the point from which the axes start, and seconds for each phase at each point."""

    steps: Count = 16
    batch: Count = 64
    width: Count = 1024
    axes: LayerAxes = LayerAxes()
    phases: Annotated[tuple[LayerPhase, ...], Field(min_length=1)] = ("forward", "forward+backward")
    seconds: Annotated[float, Field(gt=0)] = 1.0
    threads: Count = 1
    memory: bool = True

    @field_validator("phases")
    @classmethod
    def _no_doubles(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return each_once(values)

    def by_axis(self) -> dict[str, dict[str, Any]]:
        """For each axis that is measured, the settings of its cells."""
        shared = self.model_dump(mode="json", exclude={"axes"})
        measured = {axis: points for axis, points in self.axes.model_dump(mode="json").items() if points}
        return {axis: {"layers": shared | {"axis": axis, "points": points}} for axis, points in measured.items()}


def each_once(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values.

    Raises:
        ValueError: one of them stands there twice.
    """
    doubles = sorted({str(value) for value in values if values.count(value) > 1})
    if doubles:
        raise ValueError(f"named twice: {', '.join(doubles)}")
    return values


def in_registry(kind: str, name: str, known: Iterable[str]) -> str:
    """The name.

    Raises:
        UnknownNameError: it is not known.
    """
    names = list(known)
    if name not in names:
        raise unknown(kind, name, names)
    return name
