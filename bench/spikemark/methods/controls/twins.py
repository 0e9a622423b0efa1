"""The dense twin of a spiking network, and networks with weights of few bits.

A twin has the layers, widths and norms of the spiking network, ReLUs where that has neurons, and makes one pass for
each sample. It learns from the first weights, by the rule and in the epochs of the spiking network.

Few bits are learned with (quantisation-aware training): weights on a symmetric grid per output channel (Krishnamoorthi
2018, arXiv 1806.08342), activations on a grid whose step is learned (LSQ: Esser et al., ICLR 2020, arXiv 1902.08153),
gradients straight through the rounding (Bengio, Leonard and Courville 2013, arXiv 1308.3432). Ours: the step is held as
its logarithm, so that Adam moves it by a fraction of itself; the norm's standardised currents give its first value; all
layers have as many bits, the first and the last, too, and inputs are as the data have them; norms are not folded.
"""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikemark.errors import InputError
from spikemark.networks.build import NETWORKS
from spikemark.networks.stages import MakeNeurons, MakeNorm, SpikingNetwork, is_constant

_MEAN = 1 / math.sqrt(2 * math.pi)
"""Of the positive part of a standard normal variable."""


class OnePass(nn.Module):
    """``[T, B, ...]`` to one step ``[1, B, ...]``: the mean of all steps, which for a held image is the image."""

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return x[:1] if is_constant(x) else x.mean(0, keepdim=True)


def rounded(x: Tensor) -> Tensor:
    """To whole numbers; gradients pass as if nothing had happened."""
    correction: Tensor = (x.round() - x).detach()
    return x + correction


class Rectifier(nn.Module):
    """ReLU, on a grid of so many bits where they are given: 0 to ``2^bits - 1`` steps.

    Args:
        bits: of an activation; None for floating point.
    """

    def __init__(self, bits: int | None = None) -> None:
        super().__init__()
        self.highest = None if bits is None else 2**bits - 1
        if bits is not None:
            self.log_step = nn.Parameter(torch.empty(()))
            self.reset_parameters()

    def reset_parameters(self) -> None:
        """LSQ's first step, twice the mean over the root of the highest number, for standardised currents."""
        if self.highest is not None:
            nn.init.constant_(self.log_step, math.log(2 * _MEAN / math.sqrt(self.highest)))

    def forward(self, x: Tensor) -> Tensor:
        """Currents of any shape to activations of the same shape."""
        if self.highest is None:
            return x.relu()
        step = self.log_step.exp()
        level = rounded((x / step).clamp(0, self.highest))
        return level * step


def on_grid(weight: Tensor, bits: int) -> Tensor:
    """Weights ``[out, ...]`` on a symmetric grid of ``2^bits - 1`` values per output channel."""
    highest = 2 ** (bits - 1) - 1
    largest = weight.detach().abs().flatten(1).amax(1).clamp_min(torch.finfo(weight.dtype).tiny)
    step: Tensor = (largest / highest).view(-1, *[1] * (weight.dim() - 1))
    level: Tensor = rounded(weight / step)
    return level * step


class FewBitsLinear(nn.Linear):
    """A linear layer whose weights have few bits in every call."""

    weight_bits = 8

    def forward(self, x: Tensor) -> Tensor:
        """See `torch.nn.Linear`."""
        return F.linear(x, on_grid(self.weight, self.weight_bits), self.bias)


class FewBitsConv2d(nn.Conv2d):
    """A convolution whose weights have few bits in every call."""

    weight_bits = 8

    def forward(self, x: Tensor) -> Tensor:
        """See `torch.nn.Conv2d`."""
        convolved: Tensor = self._conv_forward(x, on_grid(self.weight, self.weight_bits), self.bias)
        return convolved


_FEW_BITS: dict[type[nn.Module], type[nn.Module]] = {nn.Linear: FewBitsLinear, nn.Conv2d: FewBitsConv2d}


def dense_twin(
    input_shape: tuple[int, ...],
    classes: int,
    neurons: MakeNeurons,
    norm: MakeNorm,
    *,
    twin_of: str,
    bits: int | None = None,
    **options: Any,
) -> SpikingNetwork:
    """The dense twin of the network `twin_of` with the given options, its weights and activations of so many bits.

    Raises:
        InputError: there is no such network, or none of it can be made.
    """

    def rectifier(shape: tuple[int, ...]) -> nn.Module:
        return Rectifier(bits)

    made = _plain(twin_of, input_shape, classes, cast("MakeNeurons", rectifier), norm, bits, options)
    network = SpikingNetwork()
    network.single_pass = True
    network.add_module("one_pass", OnePass())
    for name, module in made.named_children():
        network.add_module(name, module)
    return network


def few_bits(
    input_shape: tuple[int, ...],
    classes: int,
    neurons: MakeNeurons,
    norm: MakeNorm,
    *,
    twin_of: str,
    bits: int,
    **options: Any,
) -> SpikingNetwork:
    """The network `twin_of` with weights of so many bits; potentials keep theirs, and spikes need none.

    Raises:
        InputError: there is no such network, or none of it can be made.
    """
    return _plain(twin_of, input_shape, classes, neurons, norm, bits, options)


def _plain(
    twin_of: str,
    input_shape: tuple[int, ...],
    classes: int,
    neurons: MakeNeurons,
    norm: MakeNorm,
    bits: int | None,
    options: dict[str, Any],
) -> SpikingNetwork:
    """A network that is a stack of torch's own layers, with weights of so many bits."""
    if bits is not None and not 2 <= bits <= 16:
        raise InputError(f"twin of {twin_of}: {bits} bits; a grid has 2 to 16")
    made = NETWORKS[twin_of](input_shape, classes, neurons, norm, **options)
    if type(made) is not SpikingNetwork:
        raise InputError(f"twin of {twin_of}: a {type(made).__name__} is more than a stack of layers and has no twin")
    if bits is not None:
        for name, module in list(made.named_modules()):
            if any(isinstance(module, kind) for kind in _FEW_BITS):
                made.set_submodule(name, _with_few_bits(twin_of, module, bits))
    return made


def _with_few_bits(twin_of: str, layer: nn.Module, bits: int) -> nn.Module:
    kind = _FEW_BITS.get(type(layer))
    if kind is None:
        raise InputError(f"twin of {twin_of}: a {type(layer).__name__} has no counterpart of few bits")
    new: nn.Module
    bias = layer.bias is not None
    if isinstance(layer, nn.Conv2d):
        new = FewBitsConv2d(
            layer.in_channels, layer.out_channels, cast("tuple[int, int]", layer.kernel_size),
            cast("tuple[int, int]", layer.stride), cast("tuple[int, int]", layer.padding),
            cast("tuple[int, int]", layer.dilation), layer.groups, bias,
        )  # fmt: skip
    else:
        assert isinstance(layer, nn.Linear)
        new = FewBitsLinear(layer.in_features, layer.out_features, bias)
    new.weight_bits = bits
    return new
