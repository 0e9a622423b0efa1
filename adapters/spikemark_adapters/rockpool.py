"""Rockpool: `LIFNeuronTorch` as it is, lent the spec's constants and our spike in every pass."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import torch
from rockpool.nn.modules import LIFNeuronTorch
from torch import Tensor, nn
from torch.func import functional_call

from spikemark.core.adapter import Firing, Route, SpikingLayer, Unsupported
from spikemark.core.neurons import NeuronSpec
from spikemark.core.nir import GraphModel
from spikemark_adapters.framework import FrameworkAdapter
from spikemark_adapters.known import rockpool as known
from spikemark_adapters.native.rockpool import lif

_FAR_BELOW_ROUNDING = 1e-17
_ABOVE_ZERO = ("sigmoid", "softplus", "exp")


@cache
def _neuron(count: int) -> Any:
    """So many neurons, whose time constants are in steps. Nothing of a layer stays in them, so layers share them."""
    return LIFNeuronTorch(count, dt=1.0)


def _time_constant(decay: Tensor) -> Tensor:
    """In steps: `LIFNeuronTorch` makes ``exp(-1 / tau)`` of it, which is the decay again.

    The time constant of a decay of 1 would be infinite, and so would its derivative be. A finite one whose decay
    rounds to 1 passes the gradient.
    """
    return 1 / (_FAR_BELOW_ROUNDING - decay.log())


class RockpoolLayer(SpikingLayer):
    """`LIFNeuronTorch`: its loop over time, leak and reset.

    `LIFTorch` will not do: a synapse stands before its membrane, and the decay of that is the gain of the currents,
    too. What the neuron puts out is of torch's default type, and the reset subtracts the very same tensor. So spikes
    are kept as our function makes them, and the reset is given what the spec lets through.
    """

    def spikes(self, currents: Tensor) -> Tensor:
        """See `SpikingLayer.spikes`."""
        spec, theta, first = self.spec, self.threshold, currents[0]
        if not first.numel():  # the neuron keeps the state of the first sample
            return currents * 0
        if spec.decay_input:
            currents = (1 - self.decay) * currents
        fire, out = Firing(self), list[Tensor]()

        def spike(u: Tensor, *_: Tensor) -> Tensor:
            out.append(fire(u.view_as(first)))
            return (out[-1].detach() if spec.detach_reset else out[-1]).flatten(1)

        lent = {
            "tau_mem": self._each(_time_constant(self.decay)),
            "threshold": self._each(theta.detach() if spec.detach_reset else theta),
            "bias": first.new_zeros(()),
            "vmem": first.new_zeros(first[0].numel()),
        }
        neuron = _neuron(first[0].numel())
        before, neuron.spike_generation_fn = neuron.spike_generation_fn, spike
        try:
            functional_call(neuron, lent, (currents.flatten(2).transpose(0, 1),))
        finally:
            neuron.spike_generation_fn = before
        return torch.stack(out)

    def _each(self, value: Tensor) -> Tensor:
        """One for each neuron, flat."""
        return value.expand(self.shape).reshape(math.prod(self.shape))


class RockpoolAdapter(FrameworkAdapter):
    """Rockpool, its torch backend."""

    name = "rockpool"
    resets = ("subtract",)
    adapts = True
    neuron_classes = known.NEURONS
    layer = RockpoolLayer

    def require(self, spec: NeuronSpec) -> None:
        """See `Adapter.require`."""
        super().require(spec)
        decay = spec.decay
        if (decay.learned or decay.jitter) and decay.transform not in _ABOVE_ZERO:
            raise Unsupported(
                f"decay.transform: rockpool holds a time constant, so a decay is above 0; {decay.transform} does not "
                f"keep it there, {', '.join(_ABOVE_ZERO)} do"
            )

    def route(self, spec: NeuronSpec) -> Route:
        """See `Adapter.route`."""
        if spec.adaptation is not None:
            return Route("composed", "LIFNeuronTorch with a spike of ours whose thresholds follow the spikes")
        if spec.detach_reset:
            return Route("composed", "LIFNeuronTorch with our spike, which its reset is given without a gradient")
        return Route("native", "LIFNeuronTorch with our spike as its spike_generation_fn")

    def native(self, shape: tuple[int, ...]) -> nn.Module:
        """See `Adapter.native`; `LIFTorch`, which also has a synaptic current, dt = 1 ms."""
        return lif(shape)

    def forget(self, module: nn.Module) -> None:
        """See `Adapter.forget`."""
        known.forget(module)

    def from_nir(self, graph: Any, dt: float) -> GraphModel:
        """See `Adapter.from_nir`."""
        raise Unsupported(
            "nir: rockpool's importer asks a nir.LIF for `tau_mem`, which is called `tau`, and has no nir.IF"
        )
