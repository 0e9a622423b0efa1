"""Synapses of time-based networks: standardised weights whose scale moves into the thresholds, and pooling.

A gradient by the times of spikes is not the gradient of the currents: weights and input times get different ones. So
each layer of synapses is two things: the plain layer, differentiable by its weights, and a *token*, a tensor of zeros
of the same shape that costs no memory and stands for the path to the times of the input's spikes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

EPSILON = 1e-5
WEIGHT_LIMIT = 4.0


class StandardisedLinear(nn.Linear):
    """A linear layer whose weights are standardised per output: ``gamma * (W - mean) / sqrt(var + 1e-5) + beta``.

    `gamma` and `beta` act on the weights, ``[out]`` each; the variance is the unbiased one. There is no bias.
    """

    def __init__(self, in_features: int, out_features: int) -> None:
        super().__init__(in_features, out_features, bias=False)
        self.gamma = nn.Parameter(torch.ones(out_features))
        self.beta = nn.Parameter(torch.zeros(out_features))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        """``[N, in]`` to ``[N, out]``."""
        return F.linear(input, standardised(self))

    def times(self, spikes: Tensor) -> Tensor:
        """The token of the path to the times of `spikes` ``[N, in]``."""
        token: Tensor = _LinearTimes.apply(spikes, standardised(self).detach())  # type: ignore[no-untyped-call]
        return token


class StandardisedConv2d(nn.Conv2d):
    """A convolution with weights standardised per output channel; see `StandardisedLinear`."""

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, padding: int = 0) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=padding, bias=False)
        self.gamma = nn.Parameter(torch.ones(out_channels))
        self.beta = nn.Parameter(torch.zeros(out_channels))

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        """``[N, in, H, W]`` to ``[N, out, H', W']``."""
        return F.conv2d(input, standardised(self), padding=self.padding)

    def times(self, spikes: Tensor) -> Tensor:
        """The token of the path to the times of `spikes` ``[N, in, H, W]``."""
        token: Tensor = _ConvTimes.apply(spikes, standardised(self).detach(), self.padding)  # type: ignore[no-untyped-call]
        return token


Synapses = StandardisedLinear | StandardisedConv2d


def standardised(layer: Synapses) -> Tensor:
    """The weights that the layer really uses, of the shape of its parameter."""
    rows = layer.weight.flatten(1)
    variance, mean = torch.var_mean(rows, 1, keepdim=True)
    unit = (rows - mean) / (variance + EPSILON).sqrt()
    return (layer.gamma.unsqueeze(1) * unit + layer.beta.unsqueeze(1)).view_as(layer.weight)


@torch.no_grad()
def transfer_scale(layer: Synapses, thresholds: Tensor) -> None:
    """Move the weights' scale into the thresholds, in place: ``theta /= gamma``, ``beta /= gamma``, ``gamma = 1``.

    Currents and thresholds shrink by the same positive factor, so no spike changes; weights stay at unit scale.

    Args:
        layer: the synapses.
        thresholds: of the neurons behind it, ``[out, 1, ...]``.

    Raises:
        ValueError: a gamma is not positive, and dividing by it would turn the comparison around.
    """
    if not bool((layer.gamma > 0).all()):
        raise ValueError(f"gamma: {layer.gamma.min().item():g} is not positive, so it cannot move into the threshold")
    thresholds.div_(layer.gamma.view_as(thresholds))
    layer.beta.div_(layer.gamma)
    layer.gamma.fill_(1.0)


class AdjustedAvgPool2d(nn.Module):
    """Mean over `size` x `size`; backwards, each spike gets its window's gradient over the number of spikes in it."""

    def __init__(self, size: int = 2) -> None:
        super().__init__()
        self.size = size

    def forward(self, spikes: Tensor) -> Tensor:
        """``[N, C, H, W]`` to ``[N, C, H // size, W // size]``."""
        pooled: Tensor = _AdjustedPool.apply(spikes, self.size)  # type: ignore[no-untyped-call]
        return pooled

    def extra_repr(self) -> str:
        """Its size."""
        return f"size={self.size}"


class _LinearTimes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(spikes > 0, weight)
        return spikes.new_zeros(()).expand(len(spikes), len(weight))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        present, weight = ctx.saved_tensors
        return (grads[0] @ weight).mul_(present), None


class _ConvTimes(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: Tensor, weight: Tensor, padding: tuple[int, int]) -> Tensor:
        ctx.save_for_backward(spikes > 0, weight)
        ctx.padding = padding
        size = (
            n + 2 * pad - side + 1 for n, pad, side in zip(spikes.shape[2:], padding, weight.shape[2:], strict=True)
        )
        return spikes.new_zeros(()).expand(len(spikes), len(weight), *size)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        present, weight = ctx.saved_tensors
        to_input = F.conv_transpose2d(grads[0], weight, padding=ctx.padding)  # stride 1: the exact adjoint
        return to_input.mul_(present), None, None


class _AdjustedPool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, spikes: Tensor, size: int) -> Tensor:
        pooled = F.avg_pool2d(spikes, size)
        ctx.save_for_backward(pooled)
        ctx.size, ctx.shape = size, spikes.shape
        return pooled

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (pooled,) = ctx.saved_tensors
        size: int = ctx.size
        each = grads[0] / (pooled * size**2).clamp(min=1)
        spread = each.repeat_interleave(size, 2).repeat_interleave(size, 3)
        height, width = ctx.shape[2:]
        return F.pad(spread, (0, width - spread.shape[3], 0, height - spread.shape[2])), None
