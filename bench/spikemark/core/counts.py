"""What a network does for one sample: operations by layer, and the activity of its neurons. Plain data, no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

Kind = Literal["binary", "ternary", "scaled", "integer", "graded", "analog", "ruled"]
"""Of an input: 0/1; -1/0/1; 0 and plus or minus one constant; whole numbers; few distinct values; or any. "ruled" is a
layer that is counted by a rule of its own."""
ACCUMULATING: frozenset[Kind] = frozenset({"binary", "ternary", "scaled", "integer"})
"""Where operations are accumulates: the weights can absorb the constant, and a whole number n is n additions."""

FULL_BITS = 32
"""Of a weight, unless its layer says otherwise by an attribute ``weight_bits``."""


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
        products: pairs of nonzeros of an integer input, whose `acs` are as many as its numbers say; None for others.
        additions: accumulates if a graded input is read as whole multiples of one unit, which the weights absorb, such
            as the average of spikes; None where it is no such multiples, and for other inputs.
        bits: of a weight.
    """

    name: str
    kind: Kind
    macs: float
    acs: float
    dense: float
    products: float | None = None
    additions: float | None = None
    bits: int = FULL_BITS

    def __mul__(self, share: float) -> LayerCount:
        """A share of the operations."""
        return replace(
            self,
            macs=share * self.macs,
            acs=share * self.acs,
            dense=share * self.dense,
            products=None if self.products is None else share * self.products,
            additions=None if self.additions is None else share * self.additions,
        )


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

    def as_additions(self) -> OperationCount:
        """The same work with graded inputs read as additions wherever they are whole multiples of a unit.

        Those of the first layer are the data, such as pixels of 16 grey levels, and stay what they are.
        """
        return self.with_layers(
            replace(layer, macs=0.0, acs=layer.additions) if i and layer.additions is not None else layer
            for i, layer in enumerate(self.layers)
        )

    def as_products(self) -> OperationCount:
        """The same work with integer inputs read as one multiplication for each nonzero, whatever its value."""
        return self.with_layers(
            layer if layer.products is None else replace(layer, macs=layer.products, acs=0.0) for layer in self.layers
        )

    def with_bits(self, bits: int) -> OperationCount:
        """The same work with weights of so many bits."""
        return self.with_layers(replace(layer, bits=bits) for layer in self.layers)

    def with_layers(self, layers: Iterable[LayerCount]) -> OperationCount:
        """The same neurons behind other layers."""
        return replace(self, layers=tuple(layers))

    def once(self, steps: int) -> OperationCount:
        """The same work where the first layer is computed once instead of at each of `steps`, its input being held."""
        return self.with_layers(layer if i else layer * (1 / steps) for i, layer in enumerate(self.layers))

    def silent(self) -> OperationCount:
        """What is left if no neuron fires: layers with analog inputs, and the updates of neurons."""
        return self.with_layers(layer for layer in self.layers if layer.kind not in ACCUMULATING)

    def driven(self) -> OperationCount:
        """What comes to that if every spiking input fires at every step, one accumulate for each pair."""
        layers = (layer for layer in self.layers if layer.kind in ACCUMULATING)
        return OperationCount(tuple(replace(layer, macs=0.0, acs=layer.dense) for layer in layers), ())

    def dense_pass(self, steps: int) -> OperationCount:
        """A dense network of the same layers that makes one pass: every pair is a multiply-accumulate."""
        return OperationCount(
            tuple(
                LayerCount(n.name, "analog", n.dense / steps, 0.0, n.dense / steps, bits=n.bits) for n in self.layers
            ),
            (),
        )


@runtime_checkable
class CountsItself(Protocol):
    """A model whose work no watching of tensors can see, such as events without time steps: it counts it itself."""

    def count_operations(self, inputs: Tensor) -> OperationCount:
        """As `spikemark.count_operations`, of inference, exactly."""
