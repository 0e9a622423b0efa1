"""The tables of a suite file that every measure shares: data, encoding and training.

They become settings of jobs, so that they determine results and enter keys.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator

from spikemark.core.options import Options
from spikemark.data.binning import Binning
from spikemark.registry import known

Count = Annotated[int, Field(ge=1)]


class Sizes(Options):
    """How many samples of each split; all of them when left out."""

    train: Count | None = None
    validation: Count | None = None
    test: Count | None = None


class Encoding(Options):
    """How samples become currents over `steps` time steps."""

    name: str = "direct"
    steps: Count = 4

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return known("encoder", (name,))[0]


class Training(Options):
    """Epochs and batch size, the same for every contender."""

    epochs: Count = 10
    batch_size: Annotated[int, Field(ge=2)] = 64


class Events(Options):
    """How event recordings become frames, see `spikemark.data.binning.Binning`; what is left out is the data set's."""

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
