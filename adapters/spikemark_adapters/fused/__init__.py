"""The fast path: a layer of neurons as one compiled kernel forward and one backward, over all time steps.

It shows what a framework could reach on a CPU, and on GPUs that Triton compiles for. How it works is told in
`kernels` and `gpu`, what it gives in ``docs/performance.md``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikemark.core.adapter import Adapter, Route, SpikingLayer, Unsupported
from spikemark.core.neurons import NeuronSpec
from spikemark.core.oracle import LIF
from spikemark.core.stages import StageForm, has_line
from spikemark_adapters.fused.ops import DTYPES, fused_spikes
from spikemark_adapters.fused.stages import FusedStage, pooling_of


class FusedLayer(SpikingLayer):
    """A layer that computes on CPUs and CUDA devices, in the types that `DTYPES` names for each."""

    def __init__(self, spec: NeuronSpec, shape: tuple[int, ...], *, generator: torch.Generator | None = None) -> None:
        super().__init__(spec, shape, generator=generator)
        self._spec_text = spec.to_json()

    def spikes(self, currents: Tensor) -> Tensor:
        """See `SpikingLayer.spikes`.

        Raises:
            Unsupported: the currents are on another device, or of a type that is not computed there.
        """
        device = "cuda" if currents.device.type == "meta" else currents.device.type
        if device not in DTYPES:
            raise Unsupported(f"fused layers compute on CPUs and CUDA devices; these currents are on {currents.device}")
        if currents.dtype not in DTYPES[device]:
            known = ", ".join(str(dtype) for dtype in DTYPES[device])
            raise Unsupported(f"fused layers on {device} compute in {known}, not in {currents.dtype}")
        spikes: Tensor = fused_spikes(currents, self.threshold, self.decay, self._spec_text)
        return spikes


class FusedAdapter(Adapter):
    """Our own kernels, compiled by llvmlite."""

    name = "fused"
    resets = ("zero", "subtract", "none")

    def route(self, spec: NeuronSpec) -> Route:
        """See `Adapter.route`."""
        return Route("custom", "Spikemark's own kernels: one forward and one backward over all time steps")

    def neuron(
        self, spec: NeuronSpec, shape: tuple[int, ...], *, generator: torch.Generator | None = None
    ) -> SpikingLayer:
        """See `Adapter.neuron`."""
        return FusedLayer(spec, shape, generator=generator)

    def stage(self, norm: nn.Module, neurons: nn.Module, pool: nn.Module | None) -> StageForm | None:
        """See `Adapter.stage`; of layers whose channels are planes. Flat ones gain nothing (docs/performance.md)."""
        pooling = pooling_of(pool)
        normed = has_line(norm)
        known = (normed or type(norm) is nn.Identity) and (pool is None or pooling)
        if not known or type(neurons) is not FusedLayer or len(neurons.shape) == 1 or not (normed or pooling):
            return None
        kinds = (type(norm), type(neurons), type(pool))
        pooled = (f"{pooling.kind} pooling",) if pooling else ()
        parts = (*(("norm",) if normed else ()), "neurons", *pooled)
        return FusedStage(kinds, pooling, parts, channels_last=len(neurons.shape) == 3)

    def native(self, shape: tuple[int, ...]) -> nn.Module:
        """See `Adapter.native`."""
        return FusedLayer(LIF, shape)
