"""The populations of the recurrent network and the sparse synapses between them."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from spikemark.core.options import Options

Density = Annotated[float, Field(ge=0, le=1)]
Excitation = Annotated[float, Field(gt=0)]
Inhibition = Annotated[float, Field(lt=0)]


class Projection(nn.Linear):
    """Sparse synapses between two populations; absent ones are 0 in `weight` and are not connected.

    Args:
        sources: presynaptic neurons.
        targets: postsynaptic neurons.
        density: probability of each synapse.
        first: weight of every synapse at the start.
        loops: whether a neuron may be connected to itself.
        opposite: a projection the other way round; where it has a synapse, this one has none.
    """

    mask: Tensor

    def __init__(
        self,
        sources: int,
        targets: int,
        density: float,
        first: float,
        *,
        loops: bool = True,
        opposite: Projection | None = None,
    ) -> None:
        nn.Module.__init__(self)  # not nn.Linear's, which draws dense weights
        self._density, self._first, self._loops = density, first, loops
        self._opposite = [opposite] if opposite is not None else []  # in a list, or it would become a submodule
        self.in_features, self.out_features = sources, targets
        self.weight = nn.Parameter(torch.zeros(targets, sources, dtype=torch.float64), requires_grad=False)
        self.register_parameter("bias", None)
        self.register_buffer("mask", torch.zeros(targets, sources, dtype=torch.bool))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the synapses from torch's generator, and set them to their first weight."""
        if self.weight.is_meta:  # shapes alone are wanted
            return
        mask = torch.rand(self.weight.shape) < self._density
        if not self._loops:
            mask.fill_diagonal_(False)
        for opposite in self._opposite:
            mask &= ~opposite.mask.T
        self.mask.copy_(mask)
        with torch.no_grad():
            self.weight.copy_(mask.double() * self._first)


class Architecture(Options):
    """Sizes, densities and first weights; the published values.

    Attributes:
        side: images are resized to ``side x side``.
        excitatory: neurons.
        inhibitory: neurons.
        intensity: mean probability of an input spike, over the pixels of an image.
        densities: of input-excitatory, excitatory-excitatory, excitatory-inhibitory, inhibitory-excitatory synapses.
        weights: their first weights; the last is negative.
    """

    side: Annotated[int, Field(ge=1)] = 15
    excitatory: Annotated[int, Field(ge=1)] = 200
    inhibitory: Annotated[int, Field(ge=1)] = 50
    intensity: Annotated[float, Field(gt=0, le=1)] = 0.1
    densities: Annotated[tuple[Density, Density, Density, Density], Field(strict=False)] = (0.10, 0.15, 0.20, 0.25)
    weights: Annotated[tuple[Excitation, Excitation, Excitation, Inhibition], Field(strict=False)] = (
        0.15,
        0.30,
        0.40,
        -0.50,
    )
