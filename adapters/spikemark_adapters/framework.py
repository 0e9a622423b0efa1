"""What the adapters of frameworks have in common: the frameworks' own neurons, and what is known and stated of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import nn

from spikemark.core.adapter import Adapter, Stated
from spikemark.core.neuron_class import NeuronClass
from spikemark.core.neurons import FrameworkNeuron
from spikemark_adapters.native import variants
from spikemark_adapters.native.stated import stated


class FrameworkAdapter(Adapter):
    """An adapter of a framework with neurons of its own.

    Attributes:
        neuron_classes: what `known_neurons` gives.
    """

    neuron_classes: ClassVar[Mapping[type[nn.Module], NeuronClass]]

    def variants(self) -> Mapping[str, FrameworkNeuron]:
        """See `Adapter.variants`."""
        return variants(self.name)

    def stated(self) -> Mapping[str, Stated]:
        """See `Adapter.stated`."""
        return stated(self.name)

    def known_neurons(self) -> Mapping[type[nn.Module], NeuronClass]:
        """See `Adapter.known_neurons`."""
        return self.neuron_classes
