"""What a data set's loader hands over: labelled samples, before they are split, cut down and scaled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikemark.data.card import Card
from spikemark.data.recordings import ReadEvents
from spikemark.errors import DataError

SplitName = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Pool:
    """Labelled samples in the order of their files.

    Attributes:
        inputs: ``[N, *shape]`` (``[N, steps, *shape]`` with a time axis), uint8 in 0..255 or float32 in 0..1.
        labels: ``[N]``, int64 in 0..classes - 1.
        origin: what messages call the samples, usually the file.
        read: of event sets, gives the recording behind a sample.

    Raises:
        DataError: unequal lengths, or no samples.
    """

    inputs: NDArray[Any]
    labels: NDArray[np.int64]
    origin: str
    read: ReadEvents | None = None

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.labels) or len(self.inputs) == 0:
            raise DataError(f"{self.origin}: {len(self.inputs)} samples with {len(self.labels)} labels")

    def check(self, card: Card) -> None:
        """That samples have the card's shape and labels lie in its classes.

        Raises:
            DataError: one does not; the message names origin and sample.
        """
        expected = (*(() if card.steps is None else (card.steps,)), *card.shape)
        if self.inputs.shape[1:] != expected:
            raise DataError(f"{self.origin}: samples have shape {self.inputs.shape[1:]}, expected {expected}")
        outside = np.flatnonzero((self.labels < 0) | (self.labels >= card.classes))
        if outside.size:
            first = int(outside[0])
            label = int(self.labels[first])
            raise DataError(f"{self.origin}, sample {first}: label {label}, expected 0..{card.classes - 1}")


Loader = Callable[[Card, Path | None], Mapping[SplitName, Pool]]
"""Reads a card's pools from the data folder. "train" must be there; what else is missing is drawn from it."""
