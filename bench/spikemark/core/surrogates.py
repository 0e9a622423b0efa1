"""The home of surrogate slopes: their constants, their formulas for tensors, and the spike that has them as derivative.

The formulas are those of `spikemark.core.neurons.Surrogate`. Knows nothing of any framework. Kernels that are written
in another language than torch's spell a formula out once more, and take its constants from here (`reach_and_top`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from spikemark.core.neurons import NeuronSpec, Surrogate


@cache
def reach_and_top(surrogate: Surrogate) -> tuple[float, float]:
    """A surrogate's two constants: its width in ``z`` and its height.

    With ``y = reach * abs(z)`` the derivative is

    ==========  ======================================
    atan        ``top / (1 + y ** 2)``
    superspike  ``top / (1 + y) ** 2``
    sigmoid     ``top * exp(-y) / (1 + exp(-y)) ** 2``
    triangle    ``top * max(0, 1 - y)``
    rectangle   ``top`` where ``abs(z) < reach``, else 0
    ==========  ======================================
    """
    alpha, scale = surrogate.alpha, surrogate.scale
    match surrogate.name:
        case "atan":
            return math.pi / 2 * alpha, scale * alpha / 2
        case "superspike":
            return alpha, scale
        case "sigmoid":
            return alpha, scale * alpha
        case "triangle":
            return 1 / alpha, scale / alpha
        case "rectangle":
            return alpha / 2, scale / alpha


def derivative(surrogate: Surrogate, z: Tensor) -> Tensor:
    """The surrogate's derivative ``d(z)``, elementwise; a new tensor, through which no gradient flows.

    The constants are folded and the steps done in place: this runs once per time step in every backward pass.
    """
    (reach, top), z = reach_and_top(surrogate), z.detach()
    match surrogate.name:
        case "atan":
            return z.square().mul_(reach**2 / top).add_(1 / top).reciprocal_()
        case "superspike":
            root = math.sqrt(1 / top)
            return z.abs().mul_(reach * root).add_(root).square_().reciprocal_()
        case "sigmoid":
            s = z.mul(reach).sigmoid_()
            return (1 - s).mul_(s).mul_(top)
        case "triangle":
            return z.abs().div_(-surrogate.alpha).add_(1).clamp_(min=0).mul_(top)
        case "rectangle":
            return z.abs().lt_(reach).mul_(top)


def spike_function(spec: NeuronSpec, threshold: Tensor) -> Callable[[Tensor], Tensor]:
    """The spike ``H(u - theta)`` with the spec's surrogate gradient, as a function of ``u - threshold.detach()``.

    The shift comes from a *detached* threshold; the threshold's whole gradient is passed by this function. That saves
    one operation per step, and lets a reset with a detached threshold use the very tensor that the comparison uses.
    With a relative surrogate the gradients are those of the quotient: ``do/du = d(z) / theta`` and
    ``do/dtheta = -d(z) * u / theta ** 2``. A NaN membrane does not fire.

    Args:
        spec: which step and surrogate.
        threshold: effective thresholds, broadcastable to the shift.

    Returns:
        A function for one forward pass, under the gradient mode in which it was made.
    """
    if not torch.is_grad_enabled():
        return partial(_step, fires_at_threshold=spec.fires_at_threshold)

    def spike(shift: Tensor) -> Tensor:
        spikes: Tensor = _Spike.apply(shift, threshold, spec)  # type: ignore[no-untyped-call]
        return spikes

    return spike


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, shift: Tensor, threshold: Tensor, spec: NeuronSpec) -> Tensor:
        ctx.save_for_backward(shift, threshold)
        ctx.surrogate = spec.surrogate
        return _step(shift, spec.fires_at_threshold)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None]:
        shift, threshold = ctx.saved_tensors
        relative = ctx.surrogate.relative
        z = shift / threshold if relative else shift
        to_shift = derivative(ctx.surrogate, z).mul_(grads[0])
        if relative:
            to_shift.div_(threshold)
        if not ctx.needs_input_grad[1]:
            return to_shift, None, None
        to_threshold = to_shift * (z + 1) if relative else to_shift  # u / theta = z + 1
        return to_shift, to_threshold.sum_to_size(threshold.shape).neg(), None


def _step(shift: Tensor, fires_at_threshold: bool) -> Tensor:
    # Comparing into a floating-point tensor is several times faster than through one of booleans.
    compare = torch.ge if fires_at_threshold else torch.gt
    return compare(shift, 0, out=torch.empty_like(shift))
