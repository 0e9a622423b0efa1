"""What a network does for one sample: operations by layer, and the activity of its neurons. Plain data, no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["binary", "ternary", "scaled", "integer", "graded", "analog", "ruled"]
"""Of an input: 0/1; -1/0/1; 0 and plus or minus one constant; whole numbers; few distinct values; or any. "ruled" is a
layer that is counted by a rule of its own."""
ACCUMULATING: frozenset[Kind] = frozenset({"binary", "ternary", "scaled", "integer"})
"""Where operations are accumulates: the weights can absorb the constant, and a whole number n is n additions."""


@dataclass(frozen=True)
class LayerCount:
    """Operations of one layer with weights, per sample.

    Attributes:
        name: qualified name of the module.
        kind: of its input over the whole call, see `Kind`; of a product of two activations, of the one whose
            operations cost less.
        macs: multiply-accumulates; 0 unless the input is graded or analog.
        acs: accumulates; 0 if the input is graded or analog.
        dense: pairs of an input and a weight, zeros of both included.
    """

    name: str
    kind: Kind
    macs: float
    acs: float
    dense: float


@dataclass(frozen=True)
class SpikingCount:
    """Activity of one layer of neurons.

    Attributes:
        name: qualified name of the module.
        neuron_updates: neurons times steps, per sample.
        firing_rate: spikes per neuron and step; a graded spike is one, whatever its value.
        words: state variables that each update reads and writes back.
    """

    name: str
    neuron_updates: float
    firing_rate: float
    words: int = 1


@dataclass(frozen=True)
class OperationCount:
    """What a network does for one sample, on average over the batch.

    Attributes:
        layers: the layers with weights that were called, in the order of their first call.
        spiking: the spiking layers that were called, likewise.
        integrating: layers of neurons that do not spike, likewise; their rate is 0.
    """

    layers: tuple[LayerCount, ...]
    spiking: tuple[SpikingCount, ...]
    integrating: tuple[SpikingCount, ...] = ()

    @property
    def macs(self) -> float:
        """Multiply-accumulates."""
        return sum(layer.macs for layer in self.layers)

    @property
    def acs(self) -> float:
        """Accumulates."""
        return sum(layer.acs for layer in self.layers)

    @property
    def dense(self) -> float:
        """Operations if no input and no weight were zero."""
        return sum(layer.dense for layer in self.layers)

    @property
    def neuron_updates(self) -> float:
        """Neurons times steps, of all neurons."""
        return sum(layer.neuron_updates for layer in (*self.spiking, *self.integrating))

    @property
    def firing_rate(self) -> float:
        """Spikes per neuron and step over all spiking neurons; NaN without any."""
        spikes = sum(layer.firing_rate * layer.neuron_updates for layer in self.spiking)
        updates = sum(layer.neuron_updates for layer in self.spiking)
        return spikes / updates if updates else math.nan

    @property
    def weight_reads(self) -> float:
        """Weights fetched when every operation fetches its own."""
        return self.macs + self.acs

    @property
    def state_accesses(self) -> float:
        """State variables of neurons that are read and written back, once each per neuron update."""
        return sum(2 * layer.words * layer.neuron_updates for layer in (*self.spiking, *self.integrating))


@runtime_checkable
class CountsItself(Protocol):
    """A model whose work no watching of tensors can see, such as events without time steps: it counts it itself."""

    def count_operations(self, inputs: Tensor) -> OperationCount:
        """As `spikemark.count_operations`, of inference, exactly."""
