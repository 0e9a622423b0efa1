"""snnTorch's neurons: called step by step, with their states in buffers; the parallel ones are called once."""

from __future__ import annotations

from collections.abc import Mapping

import snntorch as snn
import torch
from torch import Tensor, nn

from spikemark.core.neuron_class import NeuronClass

_CLASSES = {
    "SpikingNeuron": NeuronClass(),
    "Synaptic": NeuronClass(words=2),
    "Alpha": NeuronClass(words=3),
    "DeltaLeaky": NeuronClass(words=2),
    # The spikes that are fed back are a state as well.
    "RLeaky": NeuronClass(words=2, weights=True),
    "RSynaptic": NeuronClass(words=3, weights=True),
    "SLSTM": NeuronClass(words=2, weights=True),
    "SConv2dLSTM": NeuronClass(words=2, weights=True),
    "LeakyParallel": NeuronClass(form="TB", weights=True),
    "StateLeaky": NeuronClass(form="TB"),
    "LinearLeaky": NeuronClass(form="TB", weights=True),
    "AssociativeLeaky": NeuronClass(form="TB", weights=True, binary=False),
}
# Versions differ in the classes that they have.
NEURONS: Mapping[type[nn.Module], NeuronClass] = {
    getattr(snn, name): known for name, known in _CLASSES.items() if hasattr(snn, name)
}
_WITHOUT_A_FIRST_STATE = getattr(snn, "DeltaLeaky", ())
_STATES = ("spk", "mem", "mem_prev", "syn", "syn_exc", "syn_inh")


def forget(module: nn.Module) -> None:
    """Empty the states; `snntorch.utils.reset` would not find neurons in nested modules, but those of other models."""
    if isinstance(module, snn.SpikingNeuron):
        for name in _STATES:
            state = getattr(module, name, None)
            if isinstance(state, Tensor):
                setattr(module, name, None if isinstance(module, _WITHOUT_A_FIRST_STATE) else torch.zeros_like(state))
