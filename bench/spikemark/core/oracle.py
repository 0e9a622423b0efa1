"""The oracle: the spec's equations written out in plain PyTorch, in whatever floating-point type is asked for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from spikemark.core.adapter import Adapter, Route, SpikingLayer
from spikemark.core.neurons import Learnable, NeuronSpec, Surrogate
from spikemark.core.nir import OracleGraph
from spikemark.core.surrogates import derivative

LIF = NeuronSpec(
    decay=Learnable(0.5),
    threshold=Learnable(1.0),
    decay_input=True,
    reset="zero",
    detach_reset=True,
    fires_at_threshold=True,
    surrogate=Surrogate("atan", alpha=2.0),
    source="LIF with tau = 2, as SpikingJelly has it by default",
)
"""What adapters of our own have as their native neuron."""


def fires(spec: NeuronSpec, u: Tensor, theta: Tensor) -> Tensor:
    """Whether membranes fire at their thresholds."""
    return u >= theta if spec.fires_at_threshold else u > theta


def after_reset(spec: NeuronSpec, u: Tensor, o: Tensor, theta: Tensor) -> Tensor:
    """Membranes after the reset, of membranes `u` with spikes `o`."""
    match spec.reset:
        case "zero":
            return u * (1 - o)
        case "subtract":
            return u - theta * o
        case "none":
            return u


class ReferenceLayer(SpikingLayer):
    """The equations of `spikemark.core.neurons`, one line each."""

    oracle = True

    def spikes(self, currents: Tensor) -> Tensor:
        """See `SpikingLayer.spikes`."""
        spec, a, theta = self.spec, self.decay, self.threshold
        b = 1 - a if spec.decay_input else torch.ones_like(a)
        v = e = torch.zeros_like(currents[0])
        out = []
        for x in currents:
            u = a * v + b * x
            o = self._fire(u, self._risen(theta, e))
            out.append(o)
            e = self._followed(e, o)
            v = self._reset(u, o, theta)
        return torch.stack(out)

    def _reset(self, u: Tensor, o: Tensor, theta: Tensor) -> Tensor:
        if self.spec.detach_reset:
            o, theta = o.detach(), theta.detach()
        return after_reset(self.spec, u, o, theta)

    def _risen(self, theta: Tensor, e: Tensor) -> Tensor:
        return theta if self.spec.adaptation is None else theta + self.effective("adaptation_strength") * e

    def _followed(self, e: Tensor, o: Tensor) -> Tensor:
        if self.spec.adaptation is None:
            return e
        rho = self.effective("adaptation_decay")
        return rho * e + (1 - rho) * o

    def _fire(self, u: Tensor, theta: Tensor) -> Tensor:
        z = (u - theta) / theta if self.spec.surrogate.relative else u - theta
        fired = fires(self.spec, u, theta)
        # A NaN membrane does not fire; without nan_to_num the zero added for its gradient would be NaN too.
        return fired.to(u.dtype) + torch.nan_to_num(self.slope(u.detach(), z.detach()) * (z - z.detach()))

    def slope(self, u: Tensor, z: Tensor) -> Tensor:
        """The surrogate's derivative for one step's membranes `u` ``[B, *shape]`` and their distances `z`."""
        return derivative(self.spec.surrogate, z)


class ReferenceAdapter(Adapter):
    """Plain PyTorch."""

    name = "reference"
    resets = ("zero", "subtract", "none")
    adapts = True

    def route(self, spec: NeuronSpec) -> Route:
        """See `Adapter.route`."""
        return Route("native", "the spec's equations as written, in plain PyTorch")

    def neuron(
        self, spec: NeuronSpec, shape: tuple[int, ...], *, generator: torch.Generator | None = None
    ) -> SpikingLayer:
        """See `Adapter.neuron`."""
        return ReferenceLayer(spec, shape, generator=generator)

    def native(self, shape: tuple[int, ...]) -> nn.Module:
        """See `Adapter.native`."""
        return ReferenceLayer(LIF, shape)

    def from_nir(self, graph: Any, dt: float) -> OracleGraph:
        """See `Adapter.from_nir`; NIR's equations in float64."""
        return OracleGraph(graph, dt)


def oracle_layer(spec: NeuronSpec, shape: tuple[int, ...], *, generator: torch.Generator | None = None) -> SpikingLayer:
    """The harness's own yardstick for a spec."""
    return ReferenceLayer(spec, shape, generator=generator)
