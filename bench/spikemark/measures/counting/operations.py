"""Exact counts of the synaptic operations that a network really does, layer by layer.

An operation is a pair of a nonzero input and a nonzero weight that a layer multiplies or adds; padding is no input.
This module turns what a `Trace` has seen into counts per sample; it knows nothing of energy.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from spikemark.core.counts import ACCUMULATING, CountsItself, LayerCount, OperationCount, SpikingCount
from spikemark.measures.counting.pairs import Tally
from spikemark.measures.counting.tracing import Activity, Trace


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
    inputs = inputs.contiguous()  # a constant input is counted at every step, though networks compute it once
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
