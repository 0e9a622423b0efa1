"""First thresholds from data: layer by layer, such that neurons fire as often as asked on one batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spikemark.methods.spike_time.network import SrmNetwork
from spikemark.methods.spike_time.neuron import SrmLayer, charge

_LOWEST_GAIN, _HIGHEST_GAIN = 0.01, 100.0
_TOLERANCE = 0.01
_ROUNDS = 25


@torch.no_grad()
def set_first_thresholds(network: SrmNetwork, inputs: Tensor, spikes_per_neuron: float) -> None:
    """Set every layer's thresholds to ``1 / m``, with the gain m of its currents found by bisection in 0.01..100.

    Args:
        network: changed in place; evaluated without dropout.
        inputs: one encoded batch ``[T, B, *shape]``.
        spikes_per_neuron: wanted mean count over the T steps, as seen in the last third of them.
    """
    training = network.training
    network.eval()
    x = inputs
    for stage in network.stages():
        currents = stage.currents(x)
        stage.neurons.thresholds.fill_(1 / _gain(stage.neurons, currents, spikes_per_neuron))
        x = stage.pooled(stage.neurons(currents))
    network.train(training)


def _gain(layer: SrmLayer, currents: Tensor, wanted: float) -> float:
    """The gain that came nearest to `wanted`.

    A larger gain mostly means more spikes, but not always in the last steps: neurons charged alike fire in step with
    each other. So the bisection may end beside the tolerance.
    """
    ones = torch.ones_like(layer.thresholds)
    steps = len(currents)
    tail = max(1, round(steps / 3))

    def miss(gain: float) -> float:
        spikes = charge(currents, ones / gain, layer.kernel)[0]
        return float(spikes[-tail:].mean()) * steps - wanted

    low, high = _LOWEST_GAIN, _HIGHEST_GAIN
    seen: list[tuple[float, float]] = []
    for _ in range(_ROUNDS):
        gain = math.sqrt(low * high)
        missed = miss(gain)
        seen.append((abs(missed), gain))
        if abs(missed) <= _TOLERANCE * wanted:
            break
        low, high = (gain, high) if missed < 0 else (low, gain)
    return min(seen)[1]
