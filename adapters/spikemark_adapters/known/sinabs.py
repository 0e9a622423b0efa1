"""sinabs's neurons: all steps in one call, the batch first, or folded into the batch; states are buffers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sinabs import activation, layers
from torch import nn

from spikemark.core.neuron_class import NeuronClass


def _states(module: Any) -> int:
    # ALIF keeps its threshold beside the adaptation that it follows from.
    return sum(name != "spike_threshold" for name, _ in module.named_buffers(recurse=False))


def _single(module: Any) -> bool:
    return module.spike_fn is activation.SingleSpike  # by default there are several in a step


_LAYER = NeuronClass(_states, "BT", binary=_single)
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
