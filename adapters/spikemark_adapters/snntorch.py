"""snnTorch: `Leaky` as it is where it computes the spec, else a subclass that resets in the step of the spike."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import torch
from snntorch import Leaky, SpikingNeuron
from torch import Tensor, nn

from spikemark.core.adapter import Firing, Route, SpikingLayer
from spikemark.core.neurons import NeuronSpec
from spikemark.core.nir import ImportedGraph, with_batch, without_logs
from spikemark.core.surrogates import spike_function
from spikemark_adapters.framework import FrameworkAdapter
from spikemark_adapters.known import snntorch as known
from spikemark_adapters.native.snntorch import leaky, unlisted


class _SameStepLeaky(Leaky):  # type: ignore[misc]  # snnTorch is untyped
    """`Leaky` that resets in the step of the spike, with the gradients that the spec asks for.

    Its leak has no clamp of beta to [0, 1], for the spec has none. `Leaky`'s own ``reset_delay=False`` will not do: it
    always passes the reset's gradient, and a membrane that stays above its threshold after one reset, or a threshold
    below 0, makes it reset twice or not at all.
    """

    def __init__(self, spec: NeuronSpec) -> None:
        super().__init__(beta=0.0, reset_mechanism=spec.reset)
        self.detach_reset = spec.detach_reset

    def forward(self, input_: Tensor, mem: Tensor, reset_threshold: Tensor) -> tuple[Tensor, Tensor]:
        """Spikes of one step and the membrane after it."""
        mem = torch.addcmul(input_, self.beta, mem)
        spikes = self.fire(mem)
        if self.reset_mechanism == "none":
            return spikes, mem
        fired = spikes.detach() if self.detach_reset else spikes
        if self.reset_mechanism == "zero":
            return spikes, (1 - fired) * mem
        return spikes, torch.addcmul(mem, fired, reset_threshold, value=-1)


def _native(spec: NeuronSpec) -> bool:
    """Whether `Leaky` computes the spec.

    It stores the membrane of the spike and sets it to zero at the start of the next step, where it evaluates the very
    same spike once more; so the delay cannot be seen in the spikes. It detaches that, and clamps beta.
    """
    if spec.adaptation is not None:
        return False  # it asks for the spikes of a step twice, and thresholds that follow them would rise twice
    bounded = spec.decay.transform == "sigmoid" or not (spec.decay.learned or spec.decay.jitter)
    return bounded and (spec.reset == "none" or (spec.reset == "zero" and spec.detach_reset))


class SnnTorchLayer(SpikingLayer):
    """A loop over a `Leaky`, to which every forward pass lends the effective decay, threshold and spike."""

    def __init__(self, spec: NeuronSpec, shape: tuple[int, ...], *, generator: torch.Generator | None = None) -> None:
        super().__init__(spec, shape, generator=generator)
        neuron = Leaky(beta=0.0, reset_mechanism=spec.reset) if _native(spec) else _SameStepLeaky(spec)
        neuron.spike_grad = None
        # In a tuple it is no submodule: the state_dict holds the spec's parameters alone, as in every framework.
        self._leaky = (unlisted(neuron),)

    def spikes(self, currents: Tensor) -> Tensor:
        """See `SpikingLayer.spikes`."""
        (leaky,) = self._leaky
        spec, theta, a = self.spec, self.threshold, self.decay
        if spec.decay_input:
            currents = (1 - a) * currents
        extra = () if type(leaky) is Leaky else (theta.detach() if spec.detach_reset else theta,)
        # A view, because a Parameter would be registered as one of Leaky's own.
        leaky.beta = a.view_as(a)
        if spec.adaptation is None:
            leaky.threshold, leaky.spike_grad = theta.detach(), spike_function(spec, theta)
        else:
            leaky.threshold, leaky.spike_grad = torch.zeros_like(theta), Firing(self)
        try:
            mem, out = torch.zeros_like(currents[0]), []
            for x in currents.unbind():
                spikes, mem = leaky(x, mem, *extra)
                out.append(spikes)
        finally:
            # What it was lent belongs to this pass's graph: it must not outlive the pass, nor be copied or pickled.
            leaky.beta = leaky.threshold = leaky.mem = leaky.reset = torch.zeros(())
            leaky.spike_grad = None
        return torch.stack(out)


class SnnTorchAdapter(FrameworkAdapter):
    """snnTorch."""

    name = "snntorch"
    resets = ("zero", "subtract", "none")
    adapts = True
    neuron_classes = known.NEURONS
    layer = SnnTorchLayer

    def route(self, spec: NeuronSpec) -> Route:
        """See `Adapter.route`."""
        if _native(spec) and spec.reset == "none":
            return Route("native", "snn.Leaky without a reset")
        if _native(spec):
            return Route("native", "snn.Leaky; its reset to zero in the next step is the spec's when detached")
        if spec.adaptation is not None:
            return Route("custom", "a Leaky with thresholds that follow the spikes; its own are constant")
        if spec.reset == "subtract":
            return Route("custom", "a Leaky that subtracts in the step of the spike; its own subtracts after the leak")
        if spec.reset == "zero" and not spec.detach_reset:
            return Route("custom", "a Leaky that passes the gradient of the reset; its own is always detached")
        return Route("custom", "a Leaky without the clamp of beta to [0, 1]")

    def native(self, shape: tuple[int, ...]) -> nn.Module:
        """See `Adapter.native`; `snn.Leaky` has no default beta: 0.95 as in its tutorials (tutorial 5)."""
        return leaky(shape)

    def forget(self, module: nn.Module) -> None:
        """See `Adapter.forget`."""
        known.forget(module)

    def from_nir(self, graph: Any, dt: float) -> ImportedGraph:
        """See `Adapter.from_nir`; `snntorch.import_nir.import_from_nir`, which takes no dt: 1e-4 is built in."""
        from snntorch.import_nir import import_from_nir

        with redirect_stdout(StringIO()), without_logs():  # it prints what it does
            imported = import_from_nir(with_batch(graph))
        for module in imported.modules():
            if isinstance(module, SpikingNeuron):
                unlisted(module)
        return ImportedGraph(imported, forget=known.forget)
