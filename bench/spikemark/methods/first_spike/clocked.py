"""The clocked twin of the event form: the same layer of neurons on a framework's clock of K steps.

An input of time t arrives in step ``floor(t K)``; a neuron that fires in step k has fired at ``k / K``. Times closer
than ``1 / K`` become ties, which the potential decides; the time gap of training is lost when ``K < 1 / g``.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from spikemark.core.adapter import SpikingLayer
from spikemark.methods.first_spike.compiled import Floats, compiled
from spikemark.methods.first_spike.events import SILENT, by_input


def quantised(times: Tensor, steps: int) -> Tensor:
    """Times on the clock: ``floor(t K) / K``; 1 stays silent."""
    return torch.where(times < SILENT, (times.double() * steps).floor() / steps, SILENT).to(times.dtype)


def clocked_spikes(times: Tensor, weights: Tensor, neurons: SpikingLayer, steps: int) -> tuple[Tensor, Tensor]:
    """Spike times of a layer for a batch, from a framework's neurons.

    Args:
        times: of the inputs, ``[B, inputs]`` in 0..1.
        weights: ``[neurons, inputs]``.
        neurons: integrate-and-fire, without decay.
        steps: K.

    Returns:
        Times ``[B, neurons]``, multiples of ``1 / K`` or 1, and the potentials at them, float64; those of silent
        neurons are the last ones.
    """
    currents = np.zeros((steps, len(times), len(weights)))
    _bin_currents(times.cpu().numpy(), by_input(weights.cpu()), currents)
    inflow = torch.from_numpy(currents)
    spikes = neurons(inflow.to(neurons.threshold.device, neurons.threshold.dtype)).cpu()
    potentials = inflow.cumsum(0)
    first = spikes.argmax(0)  # the first of equal values, so the first spike
    fired = spikes.amax(0) > 0
    at_spike = potentials.gather(0, first.unsqueeze(0)).squeeze(0)
    when = torch.where(fired, first.double() / steps, SILENT).to(times.dtype)
    return when, torch.where(fired, at_spike, potentials[-1])


@compiled
def _bin_currents(times: Floats, weights: Floats, currents: Floats) -> None:
    """Add the weights ``[inputs, neurons]`` of every input to the currents ``[steps, B, neurons]`` of its step."""
    steps, batch, neurons = currents.shape
    for b in range(batch):
        for i in range(len(weights)):
            if times[b, i] < SILENT:
                row = currents[int(np.float64(times[b, i]) * steps), b]
                for j in range(neurons):
                    row[j] += weights[i, j]
