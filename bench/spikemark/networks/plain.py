"""The suite's own two architectures, small enough for any machine: fully connected, and convolutional."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

from torch import nn

from spikemark.errors import InputError
from spikemark.networks.stages import MakeNeurons, MakeNorm, PopulationReadout, SpikingNetwork, Stage

POOLS = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


def mlp(
    input_shape: tuple[int, ...],
    classes: int,
    neurons: MakeNeurons,
    norm: MakeNorm,
    *,
    hidden: tuple[int, ...] = (256,),
    population: int = 10,
) -> SpikingNetwork:
    """Fully connected: hidden layers of the given widths, then ``classes * population`` output neurons."""
    network = SpikingNetwork()
    network.add_module("flatten", nn.Flatten(start_dim=2))
    widths = [math.prod(input_shape), *hidden, classes * population]
    for i, (fan_in, width) in enumerate(pairwise(widths)):
        name = "output" if i == len(hidden) else f"hidden{i + 1}"
        synapses = nn.Linear(fan_in, width, bias=False)
        network.add_module(name, Stage(synapses, norm(width), neurons((width,)), out_shape=(width,)))
    network.add_module("readout", PopulationReadout(classes))
    return network


def convnet(
    input_shape: tuple[int, ...],
    classes: int,
    neurons: MakeNeurons,
    norm: MakeNorm,
    *,
    channels: tuple[int, ...] = (8, 16),
    population: int = 10,
    pool: Literal["max", "average"] = "max",
) -> SpikingNetwork:
    """Blocks of 3x3 convolution, norm, neurons and 2x2 pooling, then ``classes * population`` output neurons.

    Raises:
        InputError: the input is not an image ``(C, H, W)``, or too small for the number of poolings.
    """
    if len(input_shape) != 3:
        raise InputError(f"convnet takes images (C, H, W); these samples have shape {input_shape}")
    network = SpikingNetwork()
    fan_in, height, width = input_shape
    for i, channel in enumerate(channels):
        if min(height, width) < 2:
            raise InputError(f"images of shape {input_shape} are too small for {len(channels)} poolings")
        synapses = nn.Conv2d(fan_in, channel, 3, padding=1, bias=False)
        pooled = (channel, height // 2, width // 2)
        layer = neurons((channel, height, width))
        network.add_module(f"conv{i + 1}", Stage(synapses, norm(channel), layer, POOLS[pool](2), out_shape=pooled))
        fan_in, height, width = pooled
    network.add_module("flatten", nn.Flatten(start_dim=2))
    outputs = classes * population
    synapses_out = nn.Linear(fan_in * height * width, outputs, bias=False)
    network.add_module("output", Stage(synapses_out, norm(outputs), neurons((outputs,)), out_shape=(outputs,)))
    network.add_module("readout", PopulationReadout(classes))
    return network
