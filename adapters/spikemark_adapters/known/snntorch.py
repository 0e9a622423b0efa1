"""snnTorch's neurons: called step by step, with their states in buffers; the parallel ones are called once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn

from spikemark.core.adapter import Held
from spikemark.core.neuron_class import NeuronClass


def _tau(decay: Tensor) -> Tensor:
    """At a decay of 0 or 1 the kernel of `StateLeaky` is not a number."""
    return -1 / decay.flatten().clamp(1e-6, 1 - 1e-6).log()


def _lapicque(neuron: Any) -> Mapping[str, Held]:
    """An RC circuit, whose decay follows from its capacity."""
    resistance, step = float(neuron.R), float(neuron.time_step)
    decay = Held("C", lambda c: 1 - step / (resistance * c), lambda a: step / (resistance * (1 - a)))
    return _FIRES | {"decay": decay}


_ALPHA = Held("alpha", lambda alpha: alpha.clamp(0, 1))
_BETA = Held("beta", lambda beta: beta.clamp(0, 1))
_FIRES = {"threshold": Held("threshold")}
_LEAKY = _FIRES | {"decay": _BETA}
_SYNAPTIC = _LEAKY | {"synaptic_decay": _ALPHA}
# Its membrane is the difference of two currents, so it has no decay of its own.
_ALPHAS = _FIRES | {"excitatory_decay": _ALPHA, "inhibitory_decay": _BETA}
_CONVOLVED = {
    "threshold": Held("threshold", held=torch.flatten),
    "decay": Held("tau", lambda tau: torch.exp(-1 / tau), _tau),
}

_CLASSES = {
    "SpikingNeuron": NeuronClass(),
    "Leaky": NeuronClass(constants=_LEAKY),
    "Lapicque": NeuronClass(constants=_lapicque),
    "Synaptic": NeuronClass(words=2, constants=_SYNAPTIC),
    "Alpha": NeuronClass(words=3, constants=_ALPHAS),
    # It fires where its membrane has changed by more than that since the step before.
    "DeltaLeaky": NeuronClass(words=2, constants={"decay": _BETA, "threshold": Held("delta_threshold")}),
    # The spikes that are fed back are a state as well.
    "RLeaky": NeuronClass(words=2, weights=True, constants=_LEAKY),
    "RSynaptic": NeuronClass(words=3, weights=True, constants=_SYNAPTIC),
    "SLSTM": NeuronClass(words=2, weights=True, constants=_FIRES),
    "SConv2dLSTM": NeuronClass(words=2, weights=True, constants=_FIRES),
    # Its decays are weights, which beta sets when it is made.
    "LeakyParallel": NeuronClass(form="TB", weights=True, constants=_FIRES),
    "StateLeaky": NeuronClass(form="TB", constants=_CONVOLVED),
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
