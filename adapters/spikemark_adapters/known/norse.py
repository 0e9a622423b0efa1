"""Norse's neurons: cells called by step, and their lifted forms for all steps; states are passed, never kept."""

from __future__ import annotations

from collections.abc import Mapping

import norse.torch as norse
from norse.torch.module.snn import SNN, SNNCell, SNNRecurrent, SNNRecurrentCell
from torch import nn

from spikemark.core.neuron_class import NeuronClass

_ENCODER = NeuronClass(0, None, counted=False)

# The spikes that recurrent cells feed back are a state as well.
NEURONS: Mapping[type[nn.Module], NeuronClass] = {
    SNNCell: NeuronClass(2),
    SNN: NeuronClass(2, "TB"),
    SNNRecurrentCell: NeuronClass(3, weights=True),
    SNNRecurrent: NeuronClass(3, "TB", weights=True),
    norse.IAFCell: NeuronClass(1),
    norse.IAF: NeuronClass(1, "TB"),
    norse.LIFBoxCell: NeuronClass(1),
    norse.LSNNCell: NeuronClass(3),
    norse.LSNN: NeuronClass(3, "TB"),
    norse.LSNNRecurrentCell: NeuronClass(4, weights=True),
    norse.LSNNRecurrent: NeuronClass(4, "TB", weights=True),
    norse.LIFRefracCell: NeuronClass(3),
    norse.LIFRefracRecurrentCell: NeuronClass(4, weights=True),
    norse.LIFRefracRecurrent: NeuronClass(4, "TB", weights=True),
    norse.LIFAdExCell: NeuronClass(3),
    norse.LIFAdEx: NeuronClass(3, "TB"),
    norse.LIFAdExRecurrentCell: NeuronClass(4, weights=True),
    norse.LIFAdExRecurrent: NeuronClass(4, "TB", weights=True),
    norse.LIFAdExRefracCell: NeuronClass(4),
    norse.LIFAdExRefracRecurrentCell: NeuronClass(5, weights=True),
    norse.LIFAdExRefracRecurrent: NeuronClass(5, "TB", weights=True),
    norse.CobaLIFCell: NeuronClass(4, weights=True),
    norse.LICell: NeuronClass(2, spiking=False),
    norse.LI: NeuronClass(2, "TB", spiking=False),
    norse.LIBoxCell: NeuronClass(1, spiking=False),
    norse.LILinearCell: NeuronClass(2, weights=True, spiking=False),
    norse.ConstantCurrentLIFEncoder: _ENCODER,
    norse.PoissonEncoder: _ENCODER,
    norse.PopulationEncoder: _ENCODER,
    norse.SignedPoissonEncoder: _ENCODER,
    norse.SpikeLatencyEncoder: _ENCODER,
    norse.SpikeLatencyLIFEncoder: _ENCODER,
}
