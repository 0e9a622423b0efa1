"""Growth of a network: time and memory of a whole training step at several points of one axis."""

from __future__ import annotations

import time
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from spikemark.core.measurement import Measurement, Metric
from spikemark.errors import InputError
from spikemark.measures.along_axes import AlongAxes, Axes
from spikemark.measures.measure import SubjectKind
from spikemark.measures.speed.points import InputKind, NetworkPoint

if TYPE_CHECKING:
    from spikemark.measures.subject import Subject
    from spikemark.training.system import System

Count = Annotated[int, Field(ge=1)]


class GrowthAxes(Axes):
    """Along which axes networks grow, and where they are measured; an axis that is left out is not measured."""

    steps: tuple[Count, ...] = ()
    batch: tuple[Count, ...] = ()
    width: tuple[Count, ...] = ()
    depth: tuple[Count, ...] = ()


class Growth(AlongAxes):
    """How growth is measured: the axes, the batch that they start from, and seconds for each point.

    T is that of the encoding; widths and depth are those of the system's hidden layers. With the clock "processor" only
    what one thread takes counts, and not a machine's other work.
    """

    name = "growth"
    subject: ClassVar[SubjectKind] = "network"
    exclusive = True
    metrics = (
        Metric("step_seconds", "s", "cost", timed=True),
        Metric("step_seconds_ratio", "x reference", "cost", watched=False, timed=True),
        Metric("peak_memory", "bytes", "cost"),
    )
    section = "spikemark.report.network_growth:growth_section"

    axes: GrowthAxes = GrowthAxes()
    batch_size: Count = 32
    seconds: Annotated[float, Field(gt=0)] = 1.0
    input: InputKind = "changing"
    clock: Literal["wall", "processor"] = "wall"

    @model_validator(mode="after")
    def _one_thread(self) -> Self:
        if self.clock == "processor" and self.threads_per_job > 1:
            raise ValueError("clock: processor time is that of one thread; set threads = 1")
        return self

    def run(self, subject: Subject) -> list[Measurement]:
        """See `Measure.run`.

        Raises:
            InputError: the network is a brought one, or one whose layers have no width and depth to vary.
        """
        from spikemark.core.frameworks import get_adapter
        from spikemark.measures.speed.networks import growth
        from spikemark.measures.speed.timing import Budget

        if subject.given:
            raise InputError("growth: a network that was brought has one size")
        ((axis, places),) = self._measured.items()
        base = base_point(subject.trained_system, subject.protocol.steps, self.batch_size)
        if getattr(base, axis) is None:
            raise InputError(
                f"growth.axes.{axis}: network {subject.trained_system.network!r} has no hidden layers to vary"
            )
        return growth(
            subject.adapter,
            get_adapter("reference"),
            subject.trained_system,
            subject.card.shape,
            subject.card.classes,
            [replace(base, **{axis: place}) for place in places],
            held=self.input == "constant",
            budget=Budget(seconds=self.seconds),
            threads=self.threads,
            device=subject.device,
            check=subject.watch.check,
            clock={"wall": time.perf_counter, "processor": time.process_time}[self.clock],
        )


def base_point(system: System, steps: int, batch: int) -> NetworkPoint:
    """Where axes start: the system's own hidden layers, as wide as the first of them."""
    from spikemark.networks.build import NETWORKS

    option = signature(NETWORKS[system.network]).parameters.get("hidden")
    hidden = () if option is None else system.options.get("hidden", option.default)
    return NetworkPoint(steps, batch, hidden[0], len(hidden)) if hidden else NetworkPoint(steps, batch)
