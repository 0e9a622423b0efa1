"""Exact counts of the synaptic operations that a network really does, layer by layer.

An operation is a pair of a nonzero input and a nonzero weight that a layer multiplies or adds; padding is no input.
This module turns what a `Trace` has seen into counts per sample; it knows nothing of energy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from spikemark.measures.input_kinds import ACCUMULATING, Kind
from spikemark.measures.pairs import Tally
from spikemark.measures.tracing import Activity, Trace, UncountableError

__all__ = ["CountsItself", "LayerCount", "OperationCount", "SpikingCount", "UncountableError", "count_operations"]


@dataclass(frozen=True)
class LayerCount:
    """Operations of one layer with weights, per sample.

    Attributes:
        name: qualified name of the module.
        kind: of its input over the whole call: "binary" (0/1), "ternary" (-1/0/1), "scaled" (0 and plus or
            minus one constant), "graded" (few distinct values) or "analog"; see `spikemark.measures.input_kinds`.
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
    """Activity of one spiking layer.

    Attributes:
        name: qualified name of the module.
        neuron_updates: neurons times steps, per sample.
        firing_rate: spikes per neuron and step.
    """

    name: str
    neuron_updates: float
    firing_rate: float


@dataclass(frozen=True)
class OperationCount:
    """What a network does for one sample, on average over the batch.

    Attributes:
        layers: the layers with weights that were called, in the order of their first call.
        spiking: the spiking layers that were called, likewise.
    """

    layers: tuple[LayerCount, ...]
    spiking: tuple[SpikingCount, ...]

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
        """Neurons times steps."""
        return sum(layer.neuron_updates for layer in self.spiking)

    @property
    def firing_rate(self) -> float:
        """Spikes per neuron and step over all spiking neurons; NaN without any."""
        spikes = sum(layer.firing_rate * layer.neuron_updates for layer in self.spiking)
        return spikes / self.neuron_updates if self.spiking else math.nan

    @property
    def weight_reads(self) -> float:
        """Weights fetched when every operation fetches its own."""
        return self.macs + self.acs

    @property
    def state_accesses(self) -> float:
        """Membrane potentials read and written back, one each a neuron update."""
        return 2 * self.neuron_updates


@runtime_checkable
class CountsItself(Protocol):
    """A model whose work no watching of tensors can see, such as events without time steps: it counts it itself."""

    def count_operations(self, inputs: Tensor) -> OperationCount:
        """As `count_operations`, of inference, exactly."""


def count_operations(model: nn.Module, inputs: Tensor) -> OperationCount:
    """Run the model once and count its operations, exactly.

    The counts are those of inference: the model runs without gradients and in evaluation mode; afterwards every
    module is back in the mode it was in, and nothing of the model has changed.

    Args:
        model: maps ``[T, B, ...]`` to anything.
        inputs: ``[T, B, ...]``, on the model's device.

    Returns:
        Counts per sample: totals over the T steps, divided by B.

    Raises:
        UncountableError: a layer does work that cannot be counted exactly: a recurrent, attention, bilinear or
            embedding layer, a product of tensors outside a counted layer, or an operator from outside PyTorch.
        ValueError: the inputs are not ``[T, B, ...]`` with at least one sample.
    """
    if inputs.dim() < 2 or inputs.shape[1] == 0:
        raise ValueError(f"inputs have shape {list(inputs.shape)}; expected [T, B, ...] with B of at least 1")
    if isinstance(model, CountsItself):
        with torch.no_grad(), _evaluating(model):
            return model.count_operations(inputs)
    trace = Trace()
    with torch.no_grad(), _evaluating(model), trace.watching(model):
        model(inputs)
    batch = inputs.shape[1]
    return OperationCount(
        layers=tuple(_layer_count(name, tally, batch) for name, tally in trace.layers.items()),
        spiking=tuple(_spiking_count(name, activity, batch) for name, activity in trace.spiking.items()),
    )


def _layer_count(name: str, tally: Tally, batch: int) -> LayerCount:
    kind = tally.values.kind
    macs, acs = (0, tally.operations) if kind in ACCUMULATING else (tally.operations, 0)
    return LayerCount(name, kind, macs / batch, acs / batch, tally.dense / batch)


def _spiking_count(name: str, activity: Activity, batch: int) -> SpikingCount:
    return SpikingCount(name, activity.updates / batch, activity.spikes / activity.updates)


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, training in modes.items():
            module.training = training
