"""Rockpool's own neurons, which take ``[B, T, N]``; their states are emptied after every call."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from rockpool.nn import modules
from rockpool.nn.modules.torch import lif_torch
from rockpool.parameters import Constant
from torch import Tensor

from spikemark.core.adapter import Held, OwnNeurons

_DT = 1e-3


def _decay(name: str, held: Callable[[Tensor], Tensor] = torch.flatten, dt: float = _DT) -> Held:
    """The factor of a step, which Rockpool holds as a time constant in seconds."""
    return Held(f"neuron.{name}", lambda tau: torch.exp(-dt / tau), lambda decay: held(-dt / decay.log()))


def _columns(values: Tensor) -> Tensor:
    """One row for each neuron, with its only synapse."""
    return values.reshape(-1, 1)


def _shifted(bits: Tensor) -> Tensor:
    """The factor of a step that a shift by so many bits makes."""
    return 1 - 2.0**-bits


_THRESHOLD, _BIAS = Held("neuron.threshold", held=torch.flatten), Held("neuron.bias", held=torch.flatten)


def _synaptic(dt: float = _DT) -> dict[str, Held]:
    return {"decay": _decay("tau_mem", dt=dt), "synaptic_decay": _decay("tau_syn", _columns, dt)}


class _Flat(OwnNeurons):
    """One of Rockpool's modules."""

    neuron: Any

    def __init__(self, neuron: Any, **constants: Held) -> None:
        super().__init__({"threshold": _THRESHOLD, "bias": _BIAS} | constants)
        self.neuron = neuron
        neuron._force_set_attributes = True  # or one threshold of a layer could not become one for each neuron

    def forward(self, currents: Tensor) -> Tensor:
        """Spikes of every step."""
        return self._run(currents)[0]

    def traced(self, currents: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """See `OwnNeurons.traced`: every membrane and synaptic current, which Rockpool records."""
        spikes, record = self._run(currents, record=True)
        states = {name: value.detach().transpose(0, 1) for name, value in record.items()}
        return spikes, {name: states[name] for name in ("vmem", "isyn", "iahp") if name in states}

    def _run(self, currents: Tensor, **options: bool) -> tuple[Tensor, dict[str, Tensor]]:
        try:
            spikes, _, record = self.neuron(currents.flatten(2).transpose(0, 1), **options)
        finally:  # what it keeps is of the first sample
            self.neuron.reset_state()
        return spikes.transpose(0, 1).reshape(currents.shape), record


def lif(shape: tuple[int, ...], *, generation: str | None = None, **options: Any) -> OwnNeurons:
    """`LIFTorch`, a synapse before the membrane; time constants, thresholds and biases learn by default.

    Args:
        shape: of the features of one sample.
        generation: the name of another spike function of Rockpool's.
        options: of the class.
    """
    if generation is not None:
        options["spike_generation_fn"] = getattr(lif_torch, generation)
    return _Flat(modules.LIFTorch(math.prod(shape), **options), **_synaptic())


def lif_of_constants(shape: tuple[int, ...]) -> OwnNeurons:
    """`LIFTorch` of which nothing learns, as in "Hello MNIST with Rockpool"."""
    values = {"tau_mem": 0.1, "tau_syn": 0.05, "threshold": 1.0, "bias": 0.0}
    constants = {name: Constant(value) for name, value in values.items()}
    return _Flat(modules.LIFTorch(math.prod(shape), dt=0.01, **constants), **_synaptic(0.01))


def lif_in(shape: tuple[int, ...], *, mode: str) -> OwnNeurons:
    """`LIFTorch` whose parameters are decays, or numbers of bits."""
    neuron = modules.LIFTorch(math.prod(shape), leak_mode=mode)
    if mode == "decays":
        return _Flat(neuron, decay=Held("neuron.alpha"), synaptic_decay=Held("neuron.beta"))
    return _Flat(neuron, decay=Held("neuron.dash_mem", _shifted), synaptic_decay=Held("neuron.dash_syn", _shifted))


def lif_bitshift(shape: tuple[int, ...]) -> OwnNeurons:
    """`LIFBitshiftTorch`, whose decays are rounded to ``1 - 2 ** -n``; its time constants get no gradient."""
    neuron = modules.LIFBitshiftTorch(math.prod(shape))
    for constant in (neuron.tau_mem, neuron.tau_syn):
        constant.requires_grad_(False)
    decay = Held("neuron.tau_mem", lambda tau: _shifted((tau / _DT).log2().round()), held=None)
    return _Flat(neuron, decay=decay)


def lif_neuron(shape: tuple[int, ...], **options: Any) -> OwnNeurons:
    """`LIFNeuronTorch`, without a synapse; its bias is one for the layer."""
    return _Flat(modules.LIFNeuronTorch(math.prod(shape), **options), decay=_decay("tau_mem"))


def alif(shape: tuple[int, ...]) -> OwnNeurons:
    """`aLIFTorch`, whose spikes come back to it as an inhibitory current."""
    neuron = modules.aLIFTorch(math.prod(shape))
    strength = Held("neuron.w_ahp", held=torch.flatten)
    return _Flat(neuron, **_synaptic(), adaptation_decay=_decay("tau_ahp"), adaptation_strength=strength)
