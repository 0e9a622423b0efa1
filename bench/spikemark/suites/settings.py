"""The tables of a suite file that every measure shares: data, encoding and training.

They become settings of jobs, so that they determine results and enter keys.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator

from spikemark.core.options import Options
from spikemark.data.card import Count
from spikemark.registry import known

OF_TRAINING = ("sizes", "training", "encoding", "events", "tuning", "alone")
"""The tables that determine a training; those that a suite does not have are left out."""


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
