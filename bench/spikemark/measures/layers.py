"""Throughput of single layers: time, traffic and memory of one framework's layer at several points of one axis."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field, field_validator

from spikemark.core.measurement import Measurement, Metric
from spikemark.core.options import each_once
from spikemark.measures.along_axes import AlongAxes, Axes
from spikemark.measures.measure import SubjectKind
from spikemark.measures.speed.points import DType, LayerPhase, Mode

if TYPE_CHECKING:
    from spikemark.measures.subject import Subject

Count = Annotated[int, Field(ge=1)]


class LayerAxes(Axes):
    """Along which axes layers are measured, and where; an axis that is left out is not measured."""

    steps: tuple[Count, ...] = ()
    batch: tuple[Count, ...] = ()
    width: tuple[Count, ...] = ()
    dtype: tuple[DType, ...] = ()
    compile: tuple[Mode, ...] = ()
    convolution: tuple[tuple[Count, Count, Count], ...] = ()


class Layers(AlongAxes):
    """How single layers are measured: the point from which the axes start, and seconds for each phase at each point."""

    name = "layers"
    subject: ClassVar[SubjectKind] = "neuron"
    exclusive = True
    metrics = (
        Metric("seconds", "s", "cost", timed=True),
        Metric("seconds_ratio", "x reference", "cost", watched=False, timed=True),
        Metric("peak_memory", "bytes", "cost"),
        Metric("first_call", "s", "cost", watched=False, timed=True),
    )
    section = "spikemark.report.layers:layers_section"

    steps: Count = 16
    batch: Count = 64
    width: Count = 1024
    axes: LayerAxes = LayerAxes()
    phases: Annotated[tuple[LayerPhase, ...], Field(min_length=1)] = ("forward", "forward+backward")
    seconds: Annotated[float, Field(gt=0)] = 1.0
    memory: bool = True

    @field_validator("phases")
    @classmethod
    def _no_doubles(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return each_once(values)

    def run(self, subject: Subject) -> list[Measurement]:
        """See `Measure.run`."""
        from spikemark.core.frameworks import get_adapter
        from spikemark.measures.speed.layers import layers
        from spikemark.measures.speed.points import Point
        from spikemark.measures.speed.timing import Budget

        ((axis, places),) = self._measured.items()
        base = Point(self.steps, self.batch, (self.width,))
        return layers(
            subject.adapter,
            get_adapter("reference"),
            subject.spec,
            [base.at(axis, place) for place in places],  # type: ignore[arg-type]
            self.phases,
            budget=Budget(seconds=self.seconds),
            threads=self.threads,
            device=subject.device,
            memory=self.memory,
            check=subject.watch.check,
        )
