"""LTMD's spiking DenseNet-BC (Wang, Cheng and Lim, NeurIPS 2022), as its authors' code builds it.

3x3 convolution - norm - neurons - 3x3 convolution of stride 2, then blocks of dense layers (norm - neurons - 1x1
convolution - norm - neurons - 3x3 convolution, output concatenated to the input) with a transition (norm - neurons -
1x1 convolution - 2x2 average) between them, then norm - neurons - mean over space, and two graded layers with
moderate dropout between.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn

from spikemark.errors import InputError
from spikemark.methods.ltmd.dropout import ModerateDropout
from spikemark.methods.ltmd.graded import GradedStage
from spikemark.networks.stages import MakeNeurons, MakeNorm, OverTime, SpikingNetwork


class Dense(nn.Sequential):
    """Layers whose output is put beside their input, along the channels."""

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, C, H, W]`` to ``[T, B, C + growth, H, W]``."""
        grown = x
        for layer in self:
            grown = layer(grown)
        return torch.cat((x, grown), dim=2)


class SpaceMean(nn.Module):
    """``[T, B, C, H, W]`` to ``[T, B, C]``."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x.mean((3, 4))


def densenet(
    input_shape: tuple[int, ...],
    classes: int,
    neurons: MakeNeurons,
    norm: MakeNorm,
    *,
    blocks: tuple[int, ...] = (12, 12, 24),
    growth: int = 32,
    first: int = 256,
    hidden: int = 256,
    dropout: float = 0.2,
    lateral: int = 5,
) -> SpikingNetwork:
    """LTMD's CIFAR-10 network at its default size.

    Args:
        input_shape: ``(C, H, W)``.
        classes: number of classes.
        neurons: makes a layer of the system's neurons.
        norm: makes the system's normalisation.
        blocks: dense layers of each block.
        growth: channels that a dense layer adds.
        first: channels of the two first convolutions.
        hidden: width of the first graded layer.
        dropout: mean rate of the moderate dropout; 0 for none.
        lateral: kernel of the lateral interaction; 0 for none.

    Raises:
        InputError: no images, or too small for the number of blocks.
    """
    if len(input_shape) != 3 or min(input_shape[1:]) < 2 ** len(blocks):
        raise InputError(f"densenet with {len(blocks)} blocks takes images (C, H, W), not samples of {input_shape}")
    channels, sides = first, (input_shape[1], input_shape[2])
    network = SpikingNetwork()

    def firing(width: int) -> list[nn.Module]:
        return [norm(width), neurons((width, *sides))]

    def convolution(fan_in: int, width: int, size: int, stride: int = 1) -> nn.Module:
        return OverTime(nn.Conv2d(fan_in, width, size, stride, size // 2, bias=False))

    stem = [convolution(input_shape[0], first, 3), *firing(first), convolution(first, first, 3, stride=2)]
    network.add_module("stem", nn.Sequential(*stem))
    sides = ((sides[0] + 1) // 2, (sides[1] + 1) // 2)
    for i, layers in enumerate(blocks, 1):
        for j in range(layers):
            narrow = [*firing(channels), convolution(channels, 4 * growth, 1)]
            wide = [*firing(4 * growth), convolution(4 * growth, growth, 3)]
            network.add_module(f"block{i}_layer{j + 1}", Dense(*narrow, *wide))
            channels += growth
        if i < len(blocks):
            halved = [*firing(channels), convolution(channels, channels // 2, 1), OverTime(nn.AvgPool2d(2))]
            network.add_module(f"transition{i}", nn.Sequential(*halved))
            channels, sides = channels // 2, (sides[0] // 2, sides[1] // 2)
    network.add_module("last", nn.Sequential(*firing(channels), SpaceMean()))
    network.add_module("graded1", GradedStage(channels, hidden, lateral=lateral))
    if dropout:
        network.add_module("dropout1", ModerateDropout(dropout))
    network.add_module("graded2", GradedStage(hidden, classes, lateral=lateral))
    return network


small_densenet = partial(densenet, blocks=(2, 2), growth=8, first=16, hidden=32)
"""A small twin that a CPU can train (ours)."""
