"""What a measure is: its settings, what it measures and how, how its numbers are judged and shown. Each has one file.

A measure is registered under its name; its table in a suite file holds its settings. No other file needs to know of it.
This module and those of measures import no torch: suites plan with the settings alone.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from spikemark.core.measurement import Measurement, Metric
from spikemark.core.options import Options
from spikemark.errors import InputError
from spikemark.registry import Registry, registry

if TYPE_CHECKING:
    from spikemark.data.card import Card
    from spikemark.measures.subject import Subject

SubjectKind = Literal["system", "network", "neuron"]
"""A trained system; the untrained network of a system; a single layer of neurons."""

MEASURES: Registry[type[Measure]]


class Measure(Options, ABC):
    """A measure with its settings, which are its fields.

    Attributes:
        name: under which it is registered; also of its table in suite files.
        subject: what one of its jobs measures.
        exclusive: whether a job needs the machine to itself.
        metrics: what it gives, and how each is judged.
        section: who shows it: ``"module:function"`` from the records of a suite to a `spikemark.report.model.Section`;
            None for a plain table of its metrics.
    """

    name: ClassVar[str]
    subject: ClassVar[SubjectKind] = "system"
    exclusive: ClassVar[bool] = False
    metrics: ClassVar[tuple[Metric, ...]] = ()
    section: ClassVar[str | None] = None

    @abstractmethod
    def run(self, subject: Subject) -> list[Measurement]:
        """Measure.

        Args:
            subject: what is measured; it makes data, networks and training when they are asked for.

        Raises:
            spikemark.core.adapter.Unsupported: the framework cannot do what is asked for.
        """

    def split(self) -> dict[str, Measure]:
        """The jobs that one point of a suite becomes, by each one's place on the axis ``axis``; "" for the only one."""
        return {"": self}

    @property
    def threads(self) -> int:
        """Torch's threads while a job runs; one for jobs that run side by side."""
        return 1

    def uses(self) -> list[tuple[str, str]]:
        """Kind and name of the registered entries that determine the result beside the subject."""
        return [("measure", self.name)]

    def determines(self) -> dict[str, Any]:
        """What else determines the result, as plain data: the definitions of the entries that it uses."""
        return {}

    def check(self, card: Card) -> None:
        """That the measure makes sense for a data set.

        Args:
            card: of the data set, whose `samples` are those that the suite takes.

        Raises:
            InputError: it does not.
        """

    def check_samples(self, samples: int | None, card: Card) -> None:
        """That a data set has as many test samples as the setting ``samples`` asks for; a default takes what there is.

        Raises:
            InputError: it has fewer.
        """
        there = card.samples.test
        if "samples" in self.model_fields_set and samples is not None and there is not None and samples > there:
            raise InputError(f"{self.name}.samples: {samples} asked for, {card.name} gives {there} test samples")

    def to_dict(self) -> Mapping[str, Any]:
        """Its settings as plain data."""
        return self.model_dump(mode="json")


MEASURES = registry("measure")
