"""What imperfect hardware does to a trained network. Every noise works on a copy; the network itself is never changed.

One draw stands for one chip: it stays the same for all samples and time steps. Synapses are the weights of linear and
convolutional layers; biases and normalisation are left alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from spikemark.core.adapter import Adapter, SpikingLayer
from spikemark.core.neurons import Learnable, NeuronSpec
from spikemark.errors import InputError
from spikemark.noise.case import Case, Perturb
from spikemark.noise.spikes import spiking_layers

STORED_BITS = 8


def on_synapses(function: Callable[[Tensor, float, torch.Generator], Tensor]) -> Perturb:
    """A noise that maps each weight tensor (on the CPU) to a new one."""

    def perturb(case: Case, level: float, generator: torch.Generator) -> AbstractContextManager[Case]:
        model = copy.deepcopy(case.model)
        with torch.no_grad():
            for weight in synapses(model):
                weight.copy_(function(weight.cpu(), level, generator))
        return nullcontext(replace(case, model=model))

    return perturb


def synapses(model: nn.Module) -> list[Tensor]:
    """The weights of its linear and convolutional layers.

    Raises:
        InputError: there are none, so that a noise on them would silently do nothing.
    """
    plain = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    weights = [module.weight for module in model.modules() if isinstance(module, plain)]
    if not weights:
        raise InputError(f"this noise disturbs synapses; the {type(model).__name__} has no linear or convolution")
    return weights


def weight_mismatch(weights: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Multiply each weight by ``1 + level * normal``."""
    return weights * (1 + level * torch.randn(weights.shape, generator=generator))


def stuck_synapses(weights: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Set each weight to 0 with probability `level`."""
    return weights.masked_fill(torch.rand(weights.shape, generator=generator) < level, 0.0)


def quantisation(weights: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Round to `level` bits: ``2 ** level - 1`` evenly spaced values, symmetric about 0, one scale a tensor."""
    codes, scale = _store(weights, int(level))
    return codes * scale


def bit_flips(weights: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Store in 8 bits (two's complement, as `quantisation`), flip each bit with probability `level`, and read back."""
    codes, scale = _store(weights, STORED_BITS)
    flips = torch.rand((STORED_BITS, *weights.shape), generator=generator) < level
    place = (2 ** torch.arange(STORED_BITS)).view(-1, *(1 for _ in weights.shape))
    pattern = codes.long() % 2**STORED_BITS ^ (flips * place).sum(0)
    signed = torch.where(pattern >= 2 ** (STORED_BITS - 1), pattern - 2**STORED_BITS, pattern)
    return signed * scale


def _store(weights: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Whole numbers in ``-(2 ** (bits - 1) - 1)..2 ** (bits - 1) - 1`` and the scale that gives the weights back."""
    largest = 2 ** (bits - 1) - 1
    scale = weights.abs().max() / largest
    codes = torch.round(weights / scale) if scale > 0 else torch.zeros_like(weights)
    return codes, scale


@contextmanager
def stuck_neurons(case: Case, level: float, generator: torch.Generator, *, output: float) -> Iterator[Case]:
    """A fraction `level` of all neurons gives `output` (0 dead, 1 always firing) at every step."""
    model = copy.deepcopy(case.model)
    for layer in spiking_layers(model):
        stuck = torch.rand(layer.shape, generator=generator) < level
        layer.register_forward_hook(partial(_stick, stuck, output))
    yield replace(case, model=model)


def _stick(stuck: Tensor, output: float, layer: nn.Module, arguments: object, spikes: Tensor) -> Tensor:
    return spikes.masked_fill(stuck.to(spikes.device), output)


@contextmanager
def neuron_mismatch(
    case: Case, level: float, generator: torch.Generator, *, parameter: Literal["threshold", "decay"]
) -> Iterator[Case]:
    """Give every neuron its own threshold or decay, the trained one times ``1 + level * normal``.

    Thresholds stay positive, decays within 0..1. The framework builds the layers anew, with one value a neuron.

    Raises:
        InputError: the case has no adapter to build them.
    """
    if case.adapter is None:
        raise InputError(f"{parameter} mismatch builds new neurons: the robustness measure needs the adapter")
    model = copy.deepcopy(case.model)
    named = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, SpikingLayer)]
    for (name, _), layer in zip(named, spiking_layers(model), strict=True):
        values: Tensor = getattr(layer, parameter).detach().cpu().expand(layer.shape)
        drawn = values * (1 + level * torch.randn(layer.shape, generator=generator))
        kept = drawn.clamp(0, 1) if parameter == "decay" else torch.maximum(drawn, 1e-3 * values)
        model.set_submodule(name, _rebuilt(case, layer, parameter, kept))
    yield replace(case, model=model)


def _rebuilt(case: Case, layer: SpikingLayer, parameter: Literal["threshold", "decay"], values: Tensor) -> SpikingLayer:
    """The layer with one effective value of `parameter` a neuron, all else as trained."""
    assert case.adapter is not None
    other: Literal["threshold", "decay"]
    spec: NeuronSpec
    if parameter == "threshold":
        other, spec = "decay", replace(layer.spec, threshold=Learnable(layer.spec.threshold.init, "neuron"))
    else:
        other, spec = "threshold", replace(layer.spec, decay=Learnable(layer.spec.decay.init, "neuron"))
    check_described(case.adapter, layer)
    new = case.adapter.neuron(spec, layer.shape)
    with torch.no_grad():
        new.get_parameter_or_buffer(parameter).copy_(values)
        new.get_parameter_or_buffer(other).copy_(layer.get_parameter_or_buffer(other).cpu())
    return new.to(layer.get_parameter_or_buffer(other).device).train(layer.training)


def check_described(adapter: Adapter, layer: SpikingLayer) -> None:
    """That the layer is what its spec says, so that it can be built anew from it.

    Raises:
        InputError: it is more than that, such as neurons with adaptation, which no spec describes.
    """
    if type(adapter.neuron(layer.spec, layer.shape)) is not type(layer):
        raise InputError(f"this noise builds neurons anew; {adapter.name} cannot do so for a {type(layer).__name__}")


dead_neurons: Perturb = partial(stuck_neurons, output=0.0)
firing_neurons: Perturb = partial(stuck_neurons, output=1.0)
threshold_mismatch: Perturb = partial(neuron_mismatch, parameter="threshold")
decay_mismatch: Perturb = partial(neuron_mismatch, parameter="decay")
