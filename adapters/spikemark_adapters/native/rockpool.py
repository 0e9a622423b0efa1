"""Rockpool's own neurons, which take ``[B, T, N]``; their states are emptied after every call."""

from __future__ import annotations

import math
from typing import Any

from rockpool.nn import modules
from rockpool.nn.modules.torch import lif_torch
from rockpool.parameters import Constant
from torch import Tensor

from spikemark.core.adapter import OwnNeurons, held_inside
from spikemark_adapters.known.rockpool import constants_of


class _Flat(OwnNeurons):
    """One of Rockpool's modules."""

    neuron: Any

    def __init__(self, neuron: Any) -> None:
        neuron._force_set_attributes = True  # or one threshold of a layer could not become one for each neuron
        super().__init__(held_inside("neuron", constants_of(neuron)))
        self.neuron = neuron

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
    return _Flat(modules.LIFTorch(math.prod(shape), **options))


def lif_of_constants(shape: tuple[int, ...]) -> OwnNeurons:
    """`LIFTorch` of which nothing learns, as in "Hello MNIST with Rockpool"."""
    values = {"tau_mem": 0.1, "tau_syn": 0.05, "threshold": 1.0, "bias": 0.0}
    return lif(shape, dt=0.01, **{name: Constant(value) for name, value in values.items()})


def lif_bitshift(shape: tuple[int, ...]) -> OwnNeurons:
    """`LIFBitshiftTorch`, whose decays are rounded to ``1 - 2 ** -n``; its time constants get no gradient."""
    neuron = modules.LIFBitshiftTorch(math.prod(shape))
    for constant in (neuron.tau_mem, neuron.tau_syn):
        constant.requires_grad_(False)
    return _Flat(neuron)


def lif_neuron(shape: tuple[int, ...], **options: Any) -> OwnNeurons:
    """`LIFNeuronTorch`, without a synapse; its bias is one for the layer."""
    return _Flat(modules.LIFNeuronTorch(math.prod(shape), **options))


def alif(shape: tuple[int, ...]) -> OwnNeurons:
    """`aLIFTorch`, whose spikes come back to it as an inhibitory current."""
    return _Flat(modules.aLIFTorch(math.prod(shape)))
