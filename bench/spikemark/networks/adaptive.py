"""Spike-driven adaptive thresholds (ALIF of LSNN): every spike raises the neuron's threshold, which then falls back.

After Bellec et al., NeurIPS 2018 (arXiv 1803.09574)::

    A[t] = theta + beta * b[t]                        the threshold of step t
    b[t+1] = rho * b[t] + (1 - rho) * o[t],           b[0] = 0, rho = exp(-1 / tau)

put on top of any `NeuronSpec`, all else of which stays: so a system with adaptation differs from the one without in
nothing else. A reset "subtract" takes theta away, not A. Neither beta nor tau is learned. The state b is no part of
a `NeuronSpec`, so frameworks cannot be asked for it: this is plain torch, offered where the reference computes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from spikemark.adapter import Adapter, SpikingLayer, Unsupported
from spikemark.errors import InputError
from spikemark.neurons import NeuronSpec, Surrogate


@dataclass(frozen=True)
class Adaptation:
    """How a threshold follows the neuron's spikes.

    Attributes:
        beta: rise of the threshold for a lasting rate of 1.
        tau: time constant, in steps.
    """

    beta: float
    tau: float

    def __post_init__(self) -> None:
        if self.tau <= 0:
            raise InputError(f"adaptation: tau: {self.tau} is not positive")


class AdaptiveLayer(SpikingLayer):
    """Neurons of a spec, with adaptation."""

    def __init__(
        self,
        spec: NeuronSpec,
        shape: tuple[int, ...],
        adaptation: Adaptation,
        *,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(spec, shape, generator=generator)
        self.adaptation = adaptation

    def spikes(self, currents: Tensor) -> Tensor:
        """See `SpikingLayer.spikes`."""
        spec, a, theta = self.spec, self.decay, self.threshold
        gain = 1 - a if spec.decay_input else torch.ones_like(a)
        rho = math.exp(-1 / self.adaptation.tau)
        v, b = torch.zeros_like(currents[0]), torch.zeros_like(currents[0])
        out = []
        for x in currents:
            u = a * v + gain * x
            o = self._fire(u, theta + self.adaptation.beta * b)
            out.append(o)
            b = rho * b + (1 - rho) * o
            o_reset, theta_reset = (o.detach(), theta.detach()) if spec.detach_reset else (o, theta)
            v = u * (1 - o_reset) if spec.reset == "zero" else u - theta_reset * o_reset
        return torch.stack(out)

    def _fire(self, u: Tensor, threshold: Tensor) -> Tensor:
        z = u - threshold
        if self.spec.surrogate.relative:
            z = z / threshold
        fired = z >= 0 if self.spec.fires_at_threshold else z > 0
        return fired.to(u.dtype) + _slope(self.spec.surrogate, z.detach()) * (z - z.detach())


def adaptive_neurons(
    adapter: Adapter,
    spec: NeuronSpec,
    shape: tuple[int, ...],
    adaptation: Adaptation,
    generator: torch.Generator | None,
) -> SpikingLayer:
    """A layer with adaptation.

    Raises:
        Unsupported: of any adapter but the reference.
    """
    if adapter.name != "reference":
        raise Unsupported(
            f"adaptation: a threshold that follows the spikes is no part of a neuron spec, so {adapter.name} cannot be "
            "asked for it; the reference computes it"
        )
    return AdaptiveLayer(spec, shape, adaptation, generator=generator)


def _slope(surrogate: Surrogate, z: Tensor) -> Tensor:
    """The surrogate's formula in `spikemark.neurons.Surrogate`."""
    alpha = surrogate.alpha
    match surrogate.name:
        case "atan":
            slope = (alpha / 2) / (1 + (math.pi / 2 * alpha * z) ** 2)
        case "superspike":
            slope = 1 / (1 + alpha * z.abs()) ** 2
        case "sigmoid":
            s = torch.sigmoid(alpha * z)
            slope = alpha * s * (1 - s)
        case "triangle":
            slope = torch.relu(1 - z.abs() / alpha) / alpha
        case "rectangle":
            slope = (z.abs() < alpha / 2).to(z.dtype) / alpha
    return slope * surrogate.scale
