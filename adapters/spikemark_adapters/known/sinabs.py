"""sinabs's neurons: all steps in one call, the batch first, or folded into the batch; states are buffers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from sinabs import activation, layers
from torch import Tensor, nn

from spikemark.core.adapter import Held
from spikemark.core.neuron_class import NeuronClass


def _states(module: Any) -> int:
    # ALIF keeps its threshold beside the adaptation that it follows from.
    return sum(name != "spike_threshold" for name, _ in module.named_buffers(recurse=False))


def _single(module: Any) -> bool:
    """Several spikes in a step are the default."""
    return module.spike_fn is activation.SingleSpike


def _decay(name: str) -> Held:
    """The factor of a step, which sinabs holds as a time constant in steps."""
    return Held(name, lambda tau: torch.exp(-1 / tau), lambda decay: -1 / torch.log(decay))


def constants_of(module: Any) -> Mapping[str, Held]:
    """Where a layer holds its constants; the threshold of ALIF follows the spikes from one value for the layer."""
    adapts = hasattr(module, "b0")
    found = {"threshold": Held("b0", held=None) if adapts else Held("spike_threshold")}
    for name, part in (("decay", "mem"), ("adaptation_decay", "adapt")):
        if isinstance(getattr(module, f"alpha_{part}", None), Tensor):
            found[name] = Held(f"alpha_{part}")
        elif isinstance(getattr(module, f"tau_{part}", None), Tensor):
            found[name] = _decay(f"tau_{part}")
    return found


_LAYER = NeuronClass(_states, "BT", binary=_single, constants=constants_of)
_FOLDED = replace(_LAYER, form=None)
_RECURRENT = replace(_LAYER, weights=True)

NEURONS: Mapping[type[nn.Module], NeuronClass] = {
    layers.LIF: _LAYER,
    layers.LIFSqueeze: _FOLDED,
    layers.LIFRecurrent: _RECURRENT,
    layers.IAF: _LAYER,
    layers.IAFSqueeze: _FOLDED,
    layers.IAFRecurrent: _RECURRENT,
    layers.ALIF: _LAYER,
    layers.ALIFRecurrent: _RECURRENT,
    layers.ExpLeak: replace(_LAYER, spiking=False),
    layers.ExpLeakSqueeze: replace(_FOLDED, spiking=False),
}


def forget(module: nn.Module) -> None:
    """Set the states to 0; `sinabs.reset_states` would skip a layer that is the model, and recurrent ones."""
    if isinstance(module, layers.StatefulLayer):
        module.reset_states()
