"""Rockpool's neurons: all steps in one call, ``[B, T, N]``; states are buffers, of the first sample after a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rockpool.nn import modules
from torch import nn

from spikemark.core.neuron_class import NeuronClass


def _words(module: Any) -> int:
    synapses: int = module.isyn.shape[-1]
    # The spikes of the last step are read again where they come back: over weights, or through a current of their own.
    coming_back = 2 if isinstance(module, modules.aLIFTorch) else int(_recurrent(module))
    return 1 + synapses + coming_back


def _recurrent(module: Any) -> bool:
    """Whether its weights are synapses: without `has_rec` they are zeros, which it multiplies all the same."""
    return bool(module._has_rec)


def _single(module: Any) -> bool:
    return bool(module.max_spikes_per_dt <= 1)  # by default there are several in a step


_SYNAPTIC = NeuronClass(_words, "BT", weights=_recurrent, binary=_single)
_INTEGRATOR = NeuronClass(1, "BT", spiking=False)

NEURONS: Mapping[type[nn.Module], NeuronClass] = {
    modules.LIFTorch: _SYNAPTIC,
    modules.aLIFTorch: _SYNAPTIC,
    modules.LIFNeuronTorch: NeuronClass(1, "BT", binary=_single),
    modules.ExpSynTorch: _INTEGRATOR,
    modules.LowPass: _INTEGRATOR,
    modules.UpDownTorch: NeuronClass(1, "BT", binary=False, counted=False),
}


def forget(module: nn.Module) -> None:
    """Set the states to 0, as Rockpool does."""
    if isinstance(module, modules.TorchModule):
        module.reset_state()
