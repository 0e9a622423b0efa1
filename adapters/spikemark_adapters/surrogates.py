"""The spike of every adapter that lets its framework take one: a step with a surrogate derivative.

The formulas are those of `spikemark.neurons.Surrogate`. Knows nothing of any framework.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from spikemark.neurons import NeuronSpec, Surrogate


def derivative(surrogate: Surrogate, z: Tensor) -> Tensor:
    """The surrogate's derivative ``d(z)``, elementwise; zero-argument conventions as in the table of `Surrogate`."""
    alpha, scale = surrogate.alpha, surrogate.scale
    match surrogate.name:
        case "atan":
            return (scale * alpha / 2) / (1 + (math.pi / 2 * alpha * z).square())
        case "superspike":
            return scale / (1 + alpha * z.abs()).square()
        case "sigmoid":
            s = torch.sigmoid(alpha * z)
            return scale * alpha * s * (1 - s)
        case "triangle":
            return (1 - z.abs() / alpha).clamp(min=0) * (scale / alpha)
        case "rectangle":
            return (z.abs() < alpha / 2).to(z.dtype) * (scale / alpha)


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, shift: Tensor, spec: NeuronSpec) -> Tensor:
        ctx.save_for_backward(z)
        ctx.surrogate = spec.surrogate
        fired = shift >= 0 if spec.fires_at_threshold else shift > 0
        return fired.to(z.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (z,) = ctx.saved_tensors
        return grads[0] * derivative(ctx.surrogate, z), None, None


def fire(spec: NeuronSpec, shift: Tensor, threshold: Tensor) -> Tensor:
    """Spikes ``H(shift)`` for ``shift = u - threshold``, with the spec's surrogate gradient.

    With a relative surrogate the gradient is that of ``z = shift / threshold``; autograd then gives
    ``do/du = d(z) / theta`` and ``do/dtheta = -d(z) * u / theta ** 2``.

    Args:
        spec: which step and surrogate.
        shift: any shape.
        threshold: broadcastable to `shift`.
    """
    z = shift / threshold if spec.surrogate.relative else shift
    spikes: Tensor = _Step.apply(z, shift.detach(), spec)  # type: ignore[no-untyped-call]
    return spikes
