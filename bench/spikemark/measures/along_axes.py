"""What measures have in common whose jobs take several threads, or several points of one axis."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, field_validator

from spikemark.core.options import Options, each_once
from spikemark.errors import InputError
from spikemark.measures.measure import Measure


class OnThreads(Measure):
    """A measure whose jobs may take several of torch's threads."""

    threads_per_job: Annotated[int, Field(ge=1, alias="threads")] = 1

    @property
    def threads(self) -> int:
        """See `Measure.threads`."""
        return self.threads_per_job


class Axes(Options):
    """Points by the name of their axis; an axis that has none is not measured."""

    @field_validator("*")
    @classmethod
    def _no_doubles(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return each_once(values)


class AlongAxes(OnThreads):
    """A measure of which each job takes the points of one axis.

    Attributes:
        axes: the points; subclasses say which axes there are.
    """

    axes: Axes

    @property
    def _measured(self) -> dict[str, tuple[Any, ...]]:
        return {name: points for name in type(self.axes).model_fields if (points := getattr(self.axes, name))}

    def split(self) -> dict[str, Measure]:
        """One job per axis.

        Raises:
            InputError: no axis is named.
        """
        kind = type(self.axes)
        if not self._measured:
            raise InputError(f"{self.name}.axes: name at least one of {', '.join(kind.model_fields)}")
        return {
            name: self.model_copy(update={"axes": kind(**{name: points})}) for name, points in self._measured.items()
        }
