"""Rockpool's neurons: all steps in one call, ``[B, T, N]``; states are buffers, of the first sample after a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from rockpool.nn import modules
from torch import Tensor, nn

from spikemark.core.adapter import Held
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
    """Several spikes in a step are the default."""
    return bool(module.max_spikes_per_dt <= 1)


def constants_of(module: Any) -> Mapping[str, Held]:
    """Where a module holds its constants; of those that noise disturbs, whether there is room for one per neuron."""
    found = {"threshold": Held("threshold", held=_flat(module, "threshold")), "bias": Held("bias", held=None)}
    found["decay"] = _decay(module, "mem")
    if not isinstance(module, modules.LIFNeuronTorch):
        found["synaptic_decay"] = replace(_decay(module, "syn"), held=None)
    if isinstance(module, modules.aLIFTorch):
        found["adaptation_decay"] = replace(_of_tau("tau_ahp", module), held=None)
        found["adaptation_strength"] = Held("w_ahp", held=None)
    return found


def _flat(module: Any, name: str) -> Callable[[Tensor], Tensor] | None:
    """The way from one value per neuron to what is held; Rockpool does not let one per layer become so many."""
    room = module._force_set_attributes or getattr(module, name).shape == (module.size_out,)
    return torch.flatten if room else None


def _of_tau(name: str, module: Any) -> Held:
    """The factor of a step, which Rockpool holds as a time constant in seconds."""
    dt, flat = module.dt, _flat(module, name)
    return Held(name, lambda tau: torch.exp(-dt / tau), None if flat is None else lambda decay: flat(-dt / decay.log()))


def _decay(module: Any, part: str) -> Held:
    if isinstance(module, modules.LIFBitshiftTorch):
        dt = module.dt
        return Held(f"tau_{part}", lambda tau: _shifted((tau / dt).log2().round()), held=None)
    match getattr(module, "leak_mode", "taus"):
        case "decays":
            name = {"mem": "alpha", "syn": "beta"}[part]
            return Held(name, held=_flat(module, name))
        case "bitshifts":
            return Held(f"dash_{part}", _shifted, held=None)
        case _:
            return _of_tau(f"tau_{part}", module)


def _shifted(bits: Tensor) -> Tensor:
    """The factor of a step that a shift by so many bits makes."""
    return 1 - 2.0**-bits


_SYNAPTIC = NeuronClass(_words, "BT", weights=_recurrent, binary=_single, constants=constants_of)
_INTEGRATOR = NeuronClass(1, "BT", spiking=False)

NEURONS: Mapping[type[nn.Module], NeuronClass] = {
    modules.LIFTorch: _SYNAPTIC,
    modules.aLIFTorch: _SYNAPTIC,
    modules.LIFNeuronTorch: NeuronClass(1, "BT", binary=_single, constants=constants_of),
    modules.ExpSynTorch: _INTEGRATOR,
    modules.LowPass: _INTEGRATOR,
    modules.UpDownTorch: NeuronClass(1, "BT", binary=False, counted=False),
}


def forget(module: nn.Module) -> None:
    """Set the states to 0, as Rockpool does."""
    if isinstance(module, modules.TorchModule):
        module.reset_state()
