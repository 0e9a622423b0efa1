"""What the adapters of frameworks have in common: the frameworks' own neurons, and what is known and stated of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import nn

from spikemark.core.adapter import Adapter, SpikingLayer, Stated
from spikemark.core.neuron_class import NeuronClass
from spikemark.core.neurons import FrameworkNeuron, NeuronSpec
from spikemark_adapters.native import variants
from spikemark_adapters.native.stated import stated


class FrameworkAdapter(Adapter):
    """An adapter of a framework with neurons of its own.

    Attributes:
        neuron_classes: what `known_neurons` gives.
        layer: what `neuron` gives, of the framework's own machinery.
    """

    neuron_classes: ClassVar[Mapping[type[nn.Module], NeuronClass]]
    layer: ClassVar[type[SpikingLayer]]

    def neuron(
        self, spec: NeuronSpec, shape: tuple[int, ...], *, generator: torch.Generator | None = None
    ) -> SpikingLayer:
        """See `Adapter.neuron`."""
        return self.layer(spec, shape, generator=generator)

    def variants(self) -> Mapping[str, FrameworkNeuron]:
        """See `Adapter.variants`."""
        return variants(self.name)

    def stated(self) -> Mapping[str, Stated]:
        """See `Adapter.stated`."""
        return stated(self.name)

    def known_neurons(self) -> Mapping[type[nn.Module], NeuronClass]:
        """See `Adapter.known_neurons`."""
        return self.neuron_classes
