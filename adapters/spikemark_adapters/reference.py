"""The oracle: the spec's equations written out in plain PyTorch, in whatever floating-point type is asked for."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikemark.adapter import Adapter, Route, SpikingLayer
from spikemark.neurons import NEURONS, NeuronSpec
from spikemark_adapters.surrogates import derivative


class ReferenceLayer(SpikingLayer):
    """The equations of `spikemark.neurons`, one line each."""

    oracle = True

    def spikes(self, currents: Tensor) -> Tensor:
        """See `SpikingLayer.spikes`."""
        spec, a, theta = self.spec, self.decay, self.threshold
        b = 1 - a if spec.decay_input else torch.ones_like(a)
        v = torch.zeros_like(currents[0])
        out = []
        for x in currents:
            u = a * v + b * x
            o = self._fire(u, theta)
            out.append(o)
            o_reset, theta_reset = (o.detach(), theta.detach()) if spec.detach_reset else (o, theta)
            v = u * (1 - o_reset) if spec.reset == "zero" else u - theta_reset * o_reset
        return torch.stack(out)

    def _fire(self, u: Tensor, theta: Tensor) -> Tensor:
        z = (u - theta) / theta if self.spec.surrogate.relative else u - theta
        fired = u >= theta if self.spec.fires_at_threshold else u > theta
        slope = derivative(self.spec.surrogate, z.detach())
        # A NaN membrane does not fire; without nan_to_num the zero added for its gradient would be NaN too.
        return fired.to(u.dtype) + torch.nan_to_num(slope * (z - z.detach()))


class ReferenceAdapter(Adapter):
    """Plain PyTorch."""

    name = "reference"

    def version(self) -> str:
        """See `Adapter.version`."""
        return str(torch.__version__)

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
        return ReferenceLayer(NEURONS["lif"], shape)
