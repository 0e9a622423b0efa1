"""Norse: its leaky integrator and its reset functions in the spec's order, with our spike between them."""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn

from spikemark.core.adapter import Firing, Route, SpikingLayer, Unsupported
from spikemark.core.neurons import NeuronSpec
from spikemark.core.nir import ImportedGraph, with_batch, without_logs
from spikemark_adapters.framework import FrameworkAdapter
from spikemark_adapters.known import norse as known
from spikemark_adapters.native.norse import lif

with warnings.catch_warnings():
    # Norse scripts functions while it is imported, and recent torch warns about every one.
    warnings.simplefilter("ignore", FutureWarning)
    warnings.simplefilter("ignore", DeprecationWarning)
    HAS_BOXES = find_spec("norse.torch.functional.leaky_integrator_box") is not None
    if HAS_BOXES:
        from norse.torch.functional.leaky_integrator_box import LIBoxParameters, LIBoxState, li_box_feed_forward_step
        from norse.torch.functional.reset import reset_subtract, reset_value


def _no_reset(spikes: Tensor, u: Tensor, *_: Tensor | int) -> Tensor:
    return u


def _resets() -> dict[str, Any]:
    return {"zero": reset_value, "subtract": reset_subtract, "none": _no_reset}


class NorseLayer(SpikingLayer):
    """Norse's functions, composed.

    `li_box_feed_forward_step` computes ``v + dt * tau_mem_inv * (v_leak - v + i)``; with ``dt * tau_mem_inv = 1 - a``
    and no leak potential that is ``a * v + (1 - a) * i``. Currents that are not decayed jump onto the membrane after
    it, so that nothing is divided by ``1 - a`` and ``a = 1`` works. `lif_box_feed_forward_step` would also fire and
    reset, but takes no surrogate except its own and does not fire at equality.
    """

    def spikes(self, currents: Tensor) -> Tensor:
        """See `SpikingLayer.spikes`."""
        spec, theta = self.spec, self.threshold
        theta_reset = theta.detach() if spec.detach_reset else theta
        fire = Firing(self)
        reset = _resets()[spec.reset]
        leak = LIBoxParameters(tau_mem_inv=1 - self.decay, v_leak=0.0)
        v = torch.zeros_like(currents[0])
        out = []
        for x in currents.unbind():
            if spec.decay_input:
                u, _ = li_box_feed_forward_step(x, LIBoxState(v), leak, dt=1)
            else:
                u = li_box_feed_forward_step(0, LIBoxState(v), leak, dt=1)[0] + x
            o = fire(u)
            out.append(o)
            v = reset(o.detach() if spec.detach_reset else o, u, 0, theta_reset)
        return torch.stack(out)


class NorseAdapter(FrameworkAdapter):
    """Norse."""

    name = "norse"
    resets = ("zero", "subtract", "none")
    adapts = True
    hands_states_on = True
    neuron_classes = known.NEURONS
    layer = NorseLayer

    def require(self, spec: NeuronSpec) -> None:
        """See `Adapter.require`."""
        super().require(spec)
        if not HAS_BOXES:
            raise Unsupported(f"norse {self.version()} has no li_box_feed_forward_step; 1.1.0 has")

    def route(self, spec: NeuronSpec) -> Route:
        """See `Adapter.route`."""
        if spec.reset == "none":
            return Route("composed", "li_box_feed_forward_step, then our spike; nothing is reset")
        return Route("composed", "li_box_feed_forward_step, our spike, then Norse's reset_value or reset_subtract")

    def native(self, shape: tuple[int, ...]) -> nn.Module:
        """See `Adapter.native`; `norse.torch.LIF`, dt = 1 ms."""
        return lif(shape)

    def from_nir(self, graph: Any, dt: float) -> ImportedGraph:
        """See `Adapter.from_nir`; `norse.torch.from_nir`."""
        from norse.torch.utils.import_nir import from_nir

        with warnings.catch_warnings(), without_logs():
            warnings.simplefilter("ignore", DeprecationWarning)  # of nirtorch.load, which Norse calls
            return ImportedGraph(from_nir(with_batch(graph), ignore_warnings=True, dt=dt))
