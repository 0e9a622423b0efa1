"""sinabs: its loop over time and its resets, with our spike between them."""

from __future__ import annotations

from typing import Any

import torch
from sinabs import activation
from sinabs.layers.functional.lif import lif_forward
from torch import Tensor, nn

from spikemark.core.adapter import Firing, Route, SpikingLayer
from spikemark.core.neurons import NeuronSpec
from spikemark.core.nir import ImportedGraph, without_logs
from spikemark_adapters.framework import FrameworkAdapter
from spikemark_adapters.known import sinabs as known
from spikemark_adapters.native.sinabs import lif

_State = dict[str, Tensor]


class _Spikes:
    """Our spike in the form that sinabs calls: an object with the names of the states that it is given."""

    required_states = ("v_mem",)

    def __init__(self, layer: SpikingLayer) -> None:
        self._fire = Firing(layer)

    def apply(self, u: Tensor, *_: Any) -> Tensor:
        """Spikes of one step."""
        return self._fire(u)


class _Reset:
    """sinabs's reset, given what the spec lets through; a reset to zero that passes a gradient is ours.

    `MembraneReset` multiplies by ``spikes == 0``, through which no gradient flows.
    """

    def __init__(self, spec: NeuronSpec) -> None:
        self._spec = spec
        self._subtract, self._zero = activation.MembraneSubtract(), activation.MembraneReset()

    def __call__(self, spikes: Tensor, state: _State, threshold: Tensor) -> _State:
        """The state after one step."""
        spec = self._spec
        if spec.reset == "none":
            return state.copy()
        if spec.detach_reset:
            spikes, threshold = spikes.detach(), threshold.detach()
        if spec.reset == "subtract":
            after: _State = self._subtract(spikes, state, threshold)
        elif spec.detach_reset:
            after = self._zero(spikes, state, threshold)
        else:
            after = state | {"v_mem": state["v_mem"] * (1 - spikes)}
        return after


class SinabsLayer(SpikingLayer):
    """`lif_forward`, the whole computation of `sinabs.layers.LIF`, with our spike in place of `SingleSpike`.

    That one passes no gradient to the threshold, fires at equality alone, and gives float32 whatever it is given.
    """

    def spikes(self, currents: Tensor) -> Tensor:
        """See `SpikingLayer.spikes`."""
        spikes: Tensor = lif_forward(
            currents.transpose(0, 1),
            alpha_mem=self.decay,
            alpha_syn=None,
            state={"v_mem": torch.zeros_like(currents[0])},
            spike_threshold=self.threshold,
            spike_fn=_Spikes(self),
            reset_fn=_Reset(self.spec),
            surrogate_grad_fn=None,
            min_v_mem=None,
            norm_input=self.spec.decay_input,
        )[0]
        return spikes.transpose(0, 1)


class SinabsAdapter(FrameworkAdapter):
    """sinabs."""

    name = "sinabs"
    resets = ("zero", "subtract", "none")
    adapts = True
    neuron_classes = known.NEURONS
    layer = SinabsLayer

    def route(self, spec: NeuronSpec) -> Route:
        """See `Adapter.route`."""
        if spec.reset == "none":
            return Route("composed", "lif_forward with our spike; nothing is reset")
        if spec.reset == "zero" and not spec.detach_reset:
            return Route("composed", "lif_forward with our spike and reset; its own passes no gradient of the spike")
        name = "MembraneSubtract" if spec.reset == "subtract" else "MembraneReset"
        return Route("composed", f"lif_forward and {name} with our spike; its own has no gradient of the threshold")

    def native(self, shape: tuple[int, ...]) -> nn.Module:
        """See `Adapter.native`; `LIF` has no default time constant: 20 steps as in its documentation."""
        return lif(shape)

    def forget(self, module: nn.Module) -> None:
        """See `Adapter.forget`."""
        known.forget(module)

    def from_nir(self, graph: Any, dt: float) -> ImportedGraph:
        """See `Adapter.from_nir`; `sinabs.nir.from_nir`, which takes no dt, step by step."""
        from sinabs.nir import from_nir

        with without_logs():  # of nirtorch, where a node was left out
            return ImportedGraph(from_nir(graph, num_timesteps=1), forget=known.forget)
