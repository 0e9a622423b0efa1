"""Architectures: plain torch layers around the spiking layers of an adapter.

Every network maps ``[T, B, *input_shape]`` to ``[T, B, classes]``: per step, the mean spike of each class's
population of output neurons. Averaged over T this is the firing rate that losses and predictions use.
Which framework computes the neurons, a network does not know.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise
from types import MappingProxyType

import torch
from torch import Tensor, nn

from spikemark.adapter import Adapter, SpikingLayer
from spikemark.neurons import NeuronSpec
from spikemark.normalization import NORMALIZATIONS
from spikemark.streams import generator, stream_seed

MakeNeurons = Callable[[tuple[int, ...]], SpikingLayer]
MakeNorm = Callable[[int, bool], nn.Module]


class Stage(nn.Module):
    """Synapses, normalisation, neurons and, optionally, pooling of the spikes.

    Args:
        synapses: a linear or convolutional layer, on ``[T * B, ...]``.
        norm: normalisation of its output.
        neurons: the spiking layer, on ``[T, B, *shape]``.
        pool: pooling of the spikes, on ``[T * B, ...]``.
    """

    def __init__(self, synapses: nn.Module, norm: nn.Module, neurons: nn.Module, pool: nn.Module | None = None) -> None:
        super().__init__()
        self.synapses = synapses
        self.norm = norm
        self.neurons = neurons
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, *in_shape]`` to spikes ``[T, B, *out_shape]``."""
        time_and_batch = x.shape[:2]
        currents = self.norm(self.synapses(x.flatten(0, 1)))
        spikes: Tensor = self.neurons(currents.unflatten(0, time_and_batch))
        if self.pool is None:
            return spikes
        pooled: Tensor = self.pool(spikes.flatten(0, 1))
        unfolded: Tensor = pooled.unflatten(0, time_and_batch)
        return unfolded


class PopulationReadout(nn.Module):
    """Mean over the population of each class: ``[T, B, classes * population]`` to ``[T, B, classes]``."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, spikes: Tensor) -> Tensor:
        """See the class."""
        populations: Tensor = spikes.unflatten(-1, (self.classes, -1))
        return populations.mean(-1)


class SpikingNetwork(nn.Sequential):
    """A feed-forward stack of named stages that ends in a population readout."""

    def spiking_layers(self) -> list[SpikingLayer]:
        """Its spiking layers, from input to output."""
        return [module for module in self.modules() if isinstance(module, SpikingLayer)]


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
        network.add_module(name, Stage(synapses, norm(width, False), neurons((width,))))
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
) -> SpikingNetwork:
    """Blocks of 3x3 convolution, norm, neurons and 2x2 max-pooling, then ``classes * population`` output neurons.

    Raises:
        ValueError: the input is not an image ``(C, H, W)``, or too small for the number of poolings.
    """
    if len(input_shape) != 3:
        raise ValueError(f"convnet takes images (C, H, W); these samples have shape {input_shape}")
    network = SpikingNetwork()
    fan_in, height, width = input_shape
    for i, channel in enumerate(channels):
        if min(height, width) < 2:
            raise ValueError(f"images of shape {input_shape} are too small for {len(channels)} poolings")
        synapses = nn.Conv2d(fan_in, channel, 3, padding=1, bias=False)
        stage = Stage(synapses, norm(channel, True), neurons((channel, height, width)), nn.MaxPool2d(2))
        network.add_module(f"conv{i + 1}", stage)
        fan_in, height, width = channel, height // 2, width // 2
    network.add_module("flatten", nn.Flatten(start_dim=2))
    outputs = classes * population
    synapses_out = nn.Linear(fan_in * height * width, outputs, bias=False)
    network.add_module("output", Stage(synapses_out, norm(outputs, False), neurons((outputs,))))
    network.add_module("readout", PopulationReadout(classes))
    return network


NETWORKS: Mapping[str, Callable[..., SpikingNetwork]] = MappingProxyType({"mlp": mlp, "convnet": convnet})


def build_network(
    network: str,
    adapter: Adapter,
    spec: NeuronSpec,
    input_shape: tuple[int, ...],
    classes: int,
    seed: int,
    *,
    normalization: str = "joint-bn",
    options: Mapping[str, object] | None = None,
) -> SpikingNetwork:
    """A network whose first weights depend on `seed` and on nothing of the framework.

    Args:
        network: a name in `NETWORKS`.
        adapter: who computes the neurons.
        spec: of all its neurons.
        input_shape: of one sample.
        classes: number of classes.
        seed: of the run.
        normalization: a name in `NORMALIZATIONS`.
        options: further arguments of the architecture, for example ``{"hidden": (64,)}``.

    Raises:
        KeyError: unknown network or normalisation.
        spikemark.adapter.Unsupported: the framework cannot express the spec.
    """
    jitter = generator("jitter", seed)
    with torch.random.fork_rng(devices=[]):  # layers draw weights when made; those are replaced
        model = NETWORKS[network](
            input_shape,
            classes,
            lambda shape: adapter.neuron(spec, shape, generator=jitter),
            NORMALIZATIONS[normalization],
            **(options or {}),
        )
        _first_weights(model, seed)
    return model


def _first_weights(model: nn.Module, seed: int) -> None:
    """Redraw the weights of every plain layer from a stream of its own, whatever the frameworks drew before."""
    for name, module in model.named_modules():
        reset = getattr(module, "reset_parameters", None)
        if reset is not None and any(True for _ in module.parameters(recurse=False)):
            torch.manual_seed(stream_seed("weights", seed, name))
            reset()
