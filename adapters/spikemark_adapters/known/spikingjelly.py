"""SpikingJelly's neurons: called by step or for all steps, as their mode says, with states registered as memories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from spikingjelly.activation_based import base, encoding, neuron
from torch import nn

from spikemark.core.adapter import Held
from spikemark.core.neuron_class import Form, NeuronClass


def _form(module: Any) -> Form:
    return "TB" if getattr(module, "step_mode", "m") == "m" else "B"


def _memories(module: Any) -> int:
    return len(module._memories)


_TAU = Held("tau", lambda tau: 1 - 1 / tau, None)
_SIGMOID_DECAY = Held("w", lambda w: 1 - torch.sigmoid(w), lambda decay: torch.logit(1 - decay))
_PROPORTIONAL = ("IFNode", "LIFNode", "ParametricLIFNode", "KLIFNode")
"""Classes whose membrane is proportional to their currents between resets to 0; not their subclasses."""


def constants_of(module: Any) -> Mapping[str, Held]:
    """Where a node holds its constants; its threshold is one float for all neurons."""
    found = {}
    if isinstance(getattr(module, "v_threshold", None), float):
        own = type(module) in {getattr(neuron, name) for name in _PROPORTIONAL} and not module.v_reset
        found["threshold"] = Held("v_threshold", by_currents=True) if own else Held("v_threshold", held=None)
    if isinstance(module, neuron.ParametricLIFNode):
        found["decay"] = _SIGMOID_DECAY
    elif isinstance(getattr(module, "tau", None), float):
        found["decay"] = _TAU
    return found


_NODE = NeuronClass(_memories, _form, constants=constants_of)
_GRADED = replace(_NODE, binary=False)
_OVER_TIME = NeuronClass(0, _form, weights=True)

_CLASSES = {
    (neuron, "BaseNode"): _NODE,
    (neuron, "SimpleBaseNode"): _NODE,
    (neuron, "GatedLIFNode"): _NODE,
    (neuron, "ActivationAwareIFNode"): _NODE,
    (neuron, "FlexSN"): _NODE,
    (neuron, "ILIFNode"): _GRADED,
    (neuron, "TernaryIFNode"): _GRADED,
    (neuron, "TernaryLIFNode"): _GRADED,
    (neuron, "LIAFNode"): _GRADED,
    (neuron, "STBIFNode"): _GRADED,
    # They keep nothing between calls, but integrate over the steps of one.
    (neuron, "DSRIFNode"): NeuronClass(1, _form, binary=False),
    (neuron, "DSRLIFNode"): NeuronClass(1, _form, binary=False),
    (neuron, "FewSpikeNode"): NeuronClass(1, _form, binary=False),
    (neuron, "ILCBaseNode"): NeuronClass(1, _form),
    (neuron, "NoisyBaseNode"): NeuronClass(2, _form),
    # A weighted sum over time stands in for the membrane.
    (neuron, "PSN"): _OVER_TIME,
    (neuron, "MaskedPSN"): _OVER_TIME,
    (neuron, "SlidingPSN"): _OVER_TIME,
    (neuron, "NonSpikingBaseNode"): NeuronClass(1, _form, spiking=False),
    (neuron, "NoisyNonSpikingBaseNode"): NeuronClass(1, _form, spiking=False),
    (encoding, "StatelessEncoder"): NeuronClass(0, None, counted=False),
    (encoding, "StatefulEncoder"): NeuronClass(0, None, counted=False),
}
# Versions differ in the classes that they have.
NEURONS: Mapping[type[nn.Module], NeuronClass] = {
    getattr(module, name): known for (module, name), known in _CLASSES.items() if hasattr(module, name)
}


def forget(module: nn.Module) -> None:
    """Reset the memories; `functional.reset_net` would skip modules that were added after its first call."""
    if isinstance(module, base.MemoryModule):
        module.reset()
