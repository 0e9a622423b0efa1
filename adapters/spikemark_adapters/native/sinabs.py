"""sinabs's own neurons, which take ``[B, T, ...]``; their states are emptied after every call."""

from __future__ import annotations

from typing import Any

import torch
from sinabs import activation, layers
from torch import Tensor

from spikemark.core.adapter import OwnNeurons, held_inside
from spikemark_adapters.known.sinabs import constants_of


class _BatchFirst(OwnNeurons):
    """One of sinabs's layers."""

    neuron: Any

    def __init__(self, neuron: Any) -> None:
        super().__init__(held_inside("neuron", constants_of(neuron)))
        self.neuron = neuron

    def forward(self, currents: Tensor) -> Tensor:
        """Spikes of every step."""
        try:
            spikes: Tensor = self.neuron(currents.transpose(0, 1))
        finally:  # what it keeps is of this batch and belongs to this pass's graph
            for name, state in self.neuron.named_buffers():
                setattr(self.neuron, name, state.new_zeros(0))
            self.neuron.firing_rate = 0.0
        return spikes.transpose(0, 1)

    def traced(self, currents: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """See `OwnNeurons.traced`: every membrane, which sinabs records."""
        self.neuron.record_states = True
        try:
            spikes = self(currents)
            states = {name: value.detach().transpose(0, 1) for name, value in self.neuron.recordings.items()}
        finally:
            self.neuron.record_states, self.neuron.recordings = False, {}
        return spikes, states


def lif(shape: tuple[int, ...], *, tau_mem: float = 20.0, **options: Any) -> OwnNeurons:
    """`LIF`, whose time constant learns by default."""
    return _BatchFirst(layers.LIF(tau_mem, **_given(options)))


def lif_alphas(shape: tuple[int, ...]) -> OwnNeurons:
    """`LIF` whose decay is the parameter."""
    return _BatchFirst(layers.LIF(20.0, train_alphas=True, **_given({})))


def iaf(shape: tuple[int, ...], **options: Any) -> OwnNeurons:
    """`IAF`, which does not leak."""
    return _BatchFirst(layers.IAF(**_given(options)))


def alif(shape: tuple[int, ...], *, tau_mem: float = 20.0, tau_adapt: float = 20.0, **options: Any) -> OwnNeurons:
    """`ALIF`, whose threshold follows the spikes from one value for the layer."""
    return _BatchFirst(layers.ALIF(tau_mem, tau_adapt, **_given(options)))


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """Options with classes of sinabs in place of their names, and a threshold that no other layer shares."""
    options = {"spike_threshold": torch.tensor(1.0), **options}
    classes = {name: getattr(activation, value) for name, value in options.items() if isinstance(value, str)}
    # Of spikes it takes the class, of resets and surrogates an instance.
    return options | {name: found if name == "spike_fn" else found() for name, found in classes.items()}
