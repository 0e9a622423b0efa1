"""Norse's neurons: cells called by step, and their lifted forms for all steps; states are passed, never kept."""

from __future__ import annotations

from collections.abc import Mapping

import norse.torch as norse
from norse.torch.module.snn import SNN, SNNCell, SNNRecurrent, SNNRecurrentCell
from torch import nn

from spikemark.core.neuron_class import NeuronClass

_ENCODER = NeuronClass(0, None, counted=False)

# The spikes that recurrent cells feed back are a state as well.
_CLASSES = {
    "IAFCell": NeuronClass(1),
    "IAF": NeuronClass(1, "TB"),
    "LIFBoxCell": NeuronClass(1),
    "LSNNCell": NeuronClass(3),
    "LSNN": NeuronClass(3, "TB"),
    "LSNNRecurrentCell": NeuronClass(4, weights=True),
    "LSNNRecurrent": NeuronClass(4, "TB", weights=True),
    "LIFRefracCell": NeuronClass(3),
    "LIFRefracRecurrentCell": NeuronClass(4, weights=True),
    "LIFRefracRecurrent": NeuronClass(4, "TB", weights=True),
    "LIFAdExCell": NeuronClass(3),
    "LIFAdEx": NeuronClass(3, "TB"),
    "LIFAdExRecurrentCell": NeuronClass(4, weights=True),
    "LIFAdExRecurrent": NeuronClass(4, "TB", weights=True),
    "LIFAdExRefracCell": NeuronClass(4),
    "LIFAdExRefracRecurrentCell": NeuronClass(5, weights=True),
    "LIFAdExRefracRecurrent": NeuronClass(5, "TB", weights=True),
    "CobaLIFCell": NeuronClass(4, weights=True),
    "LICell": NeuronClass(2, spiking=False),
    "LI": NeuronClass(2, "TB", spiking=False),
    "LIBoxCell": NeuronClass(1, spiking=False),
    "LILinearCell": NeuronClass(2, weights=True, spiking=False),
    "ConstantCurrentLIFEncoder": _ENCODER,
    "PoissonEncoder": _ENCODER,
    "PopulationEncoder": _ENCODER,
    "SignedPoissonEncoder": _ENCODER,
    "SpikeLatencyEncoder": _ENCODER,
    "SpikeLatencyLIFEncoder": _ENCODER,
}
# Versions differ in the classes that they have.
NEURONS: Mapping[type[nn.Module], NeuronClass] = {
    SNNCell: NeuronClass(2),
    SNN: NeuronClass(2, "TB"),
    SNNRecurrentCell: NeuronClass(3, weights=True),
    SNNRecurrent: NeuronClass(3, "TB", weights=True),
} | {getattr(norse, name): known for name, known in _CLASSES.items() if hasattr(norse, name)}
