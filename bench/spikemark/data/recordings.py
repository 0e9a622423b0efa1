"""The event lists behind the frames of an event set: read when asked for, disturbed before binning, never kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikemark.data.binning import Events, bin_events
from spikemark.data.card import Binning, Sensor
from spikemark.errors import InputError

ReadEvents = Callable[[int], Events]
"""One recording of a pool by its number there; not to be written to."""


@dataclass(frozen=True)
class Recordings:
    """The recordings of some samples, in the samples' order.

    Attributes:
        name: of the data set, for messages.
        sensor: that recorded them.
        binning: that gives the samples' frames.
        read: gives a recording of the pool.
        indices: the samples' numbers in the pool.
    """

    name: str
    sensor: Sensor
    binning: Binning
    read: ReadEvents
    indices: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Events]:
        return (self.read(int(index)) for index in self.indices)

    def first(self, count: int) -> Recordings:
        """The recordings of the first `count` samples.

        Raises:
            InputError: there are fewer.
        """
        if count > len(self):
            raise InputError(f"{self.name}: {count} recordings asked for, {len(self)} at hand")
        return replace(self, indices=self.indices[:count])

    def frames(self, change: Callable[[Events], Events] | None = None) -> Tensor:
        """The samples ``[N, steps, *shape]``, float32 in 0..1, as the network's encoder takes them.

        Args:
            change: applied to every recording before binning; it must not write to what it is given.
        """
        frames = [
            bin_events(events if change is None else change(events), self.sensor, self.binning) for events in self
        ]
        return scaled(np.stack(frames))


def scaled(inputs: NDArray[np.uint8] | NDArray[np.float32]) -> Tensor:
    """float32 in 0..1 from uint8 in 0..255 or from float32 in 0..1."""
    tensor = torch.from_numpy(inputs)
    return tensor.float().div_(255) if tensor.dtype == torch.uint8 else tensor.float()
