"""SpikingJelly: its LIF or PLIF multi-step function where that computes the spec, else a node of its kind."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from spikingjelly.activation_based import functional, neuron, surrogate
from torch import Tensor, nn

from spikemark.core.adapter import Firing, Route, SpikingLayer, Unsupported
from spikemark.core.neuron_class import NeuronClass
from spikemark.core.neurons import Learnable, NeuronSpec
from spikemark.core.nir import ImportedGraph
from spikemark.core.surrogates import spike_function
from spikemark_adapters.framework import FrameworkAdapter
from spikemark_adapters.known import spikingjelly as known
from spikemark_adapters.native.spikingjelly import lif


def _constant(learnable: Learnable) -> bool:
    return not learnable.learned and learnable.transform == "identity" and learnable.jitter == 0


def _step_function(spec: NeuronSpec) -> Literal["lif", "plif"] | None:
    """Which of SpikingJelly's multi-step functions computes the spec, bit for bit where its arithmetic is exact."""
    if spec.reset == "none" or spec.adaptation is not None:
        return None
    if spec.reset == "subtract" and not spec.detach_reset and not _constant(spec.threshold):
        return None  # one threshold serves comparison and reset, so it cannot be detached in the first alone
    a = spec.decay.init
    if _constant(spec.decay) and 0 < a < 1 and math.frexp(1 - a)[0] == 0.5:
        return "lif"  # it divides by tau = 1 / (1 - a), which must be above 1; exact for powers of two alone
    if spec.decay.scope == "layer" and spec.decay.transform == "sigmoid":
        return "plif"  # its 1 / tau is the logistic of one parameter, which is minus ours
    return None


def _own_surrogate(spec: NeuronSpec) -> surrogate.SurrogateFunctionBase | None:
    """SpikingJelly's surrogate of the same formula, which its fused kernels know; it fires at the threshold."""
    if not spec.fires_at_threshold or spec.surrogate.relative or spec.surrogate.scale != 1:
        return None
    alpha = spec.surrogate.alpha
    own = {
        "atan": surrogate.ATan(alpha),
        "sigmoid": surrogate.Sigmoid(alpha),
        "triangle": surrogate.PiecewiseQuadratic(1 / alpha),
        "rectangle": surrogate.Rect(1 / alpha),
    }
    return own.get(spec.surrogate.name)


def _v_reset(spec: NeuronSpec) -> float | None:
    return 0.0 if spec.reset == "zero" else None


class _Node(neuron.BaseNode):  # type: ignore[misc]  # SpikingJelly is untyped
    """A node in SpikingJelly's explicit-state form: the spec's charge, the given spike, SpikingJelly's reset or none.

    Decay and thresholds are arguments, because `BaseNode` insists on a threshold that is a float (the first value).
    """

    def multi_step_functional_forward(
        self, inputs: tuple[Tensor, ...], states: tuple[Tensor, ...], **given: Any
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Spikes and the last membrane; `given` are ``decay``, ``fire``, ``resets`` and ``reset_threshold``."""
        decay, fire, resets, reset_threshold = (given[name] for name in ("decay", "fire", "resets", "reset_threshold"))
        (v,), out = states, []
        for x in inputs[0].unbind():
            u = torch.addcmul(x, decay, v)
            o = fire(u)
            out.append(o)
            v = functional.voltage_reset(u, o, reset_threshold, self.v_reset, self.detach_reset) if resets else u
        return (torch.stack(out),), (v,)


class _FunctionLayer(SpikingLayer):
    """`functional.lif_multi_step` or `plif_multi_step`, called with an explicit state."""

    def __init__(self, spec: NeuronSpec, shape: tuple[int, ...], *, generator: torch.Generator | None = None) -> None:
        super().__init__(spec, shape, generator=generator)
        self._plif = _step_function(spec) == "plif"
        # With a constant threshold the framework gets what its own nodes pass: a float, and its own surrogate.
        self._constant = float(self.threshold) if _constant(spec.threshold) else None
        self._surrogate = _own_surrogate(spec) if self._constant is not None else None

    def spikes(self, currents: Tensor) -> Tensor:
        """See `SpikingLayer.spikes`."""
        spec = self.spec
        function = functional.plif_multi_step if self._plif else functional.lif_multi_step
        leak = -self.get_parameter_or_buffer("decay") if self._plif else 1 / (1 - spec.decay.init)
        theta = self.threshold
        spike = self._surrogate or spike_function(spec, theta)
        fixed = theta.detach() if self._constant is None else self._constant
        v = torch.zeros_like(currents[0])
        result = function(currents, v, leak, spec.decay_input, fixed, _v_reset(spec), spike, spec.detach_reset)
        spikes: Tensor = result[0]
        return spikes


class _NodeLayer(SpikingLayer):
    """`_Node`, for every other spec."""

    def __init__(self, spec: NeuronSpec, shape: tuple[int, ...], *, generator: torch.Generator | None = None) -> None:
        super().__init__(spec, shape, generator=generator)
        self._node = _Node(float(spec.threshold.init), _v_reset(spec), detach_reset=spec.detach_reset, step_mode="m")

    def spikes(self, currents: Tensor) -> Tensor:
        """See `SpikingLayer.spikes`."""
        spec, theta, a = self.spec, self.threshold, self.decay
        if spec.decay_input:
            currents = (1 - a) * currents
        (spikes,), _ = self._node.multi_step_functional_forward(
            (currents,),
            (torch.zeros_like(currents[0]),),
            decay=a,
            fire=Firing(self),
            resets=spec.reset != "none",
            reset_threshold=theta.detach() if spec.detach_reset else theta,
        )
        return spikes


class SpikingJellyAdapter(FrameworkAdapter):
    """SpikingJelly."""

    name = "spikingjelly"
    resets = ("zero", "subtract", "none")
    adapts = True
    neuron_classes = known.NEURONS

    def require(self, spec: NeuronSpec) -> None:
        """See `Adapter.require`."""
        super().require(spec)
        if not hasattr(functional, "lif_multi_step"):
            raise Unsupported(f"spikingjelly {self.version()} has no functions of explicit states; 2.0.0 has")

    def route(self, spec: NeuronSpec) -> Route:
        """See `Adapter.route`."""
        function = _step_function(spec)
        if function is None and spec.reset == "none":
            return Route("custom", "a BaseNode in explicit-state form: our charge and spike; nothing is reset")
        if function is None:
            return Route("custom", "a BaseNode in explicit-state form: our charge and spike, SpikingJelly's reset")
        node = "LIFNode" if function == "lif" else "ParametricLIFNode"
        if _constant(spec.threshold):
            return Route("native", f"{function}_multi_step, the whole computation of {node}")
        return Route("composed", f"{function}_multi_step of {node}, given tensors of thresholds and our spike")

    def neuron(
        self, spec: NeuronSpec, shape: tuple[int, ...], *, generator: torch.Generator | None = None
    ) -> SpikingLayer:
        """See `Adapter.neuron`."""
        layer = _NodeLayer if _step_function(spec) is None else _FunctionLayer
        return layer(spec, shape, generator=generator)

    def native(self, shape: tuple[int, ...]) -> nn.Module:
        """See `Adapter.native`; `LIFNode` in multi-step mode."""
        return lif(shape, tutorial=False)

    def forget(self, module: nn.Module) -> None:
        """See `Adapter.forget`."""
        known.forget(module)

    def from_nir(self, graph: Any, dt: float) -> ImportedGraph:
        """See `Adapter.from_nir`; `nir_exchange.import_from_nir`, step by step."""
        from spikingjelly.activation_based.nir_exchange import import_from_nir

        imported = import_from_nir(graph, dt=dt)
        # It runs its nodes by another method than `forward`, inside modules of a class of its own.
        wrappers = {type(p) for p in imported.children() if isinstance(getattr(p, "module", None), neuron.BaseNode)}
        wrapper = NeuronClass(lambda part: len(part.module._memories))
        return ImportedGraph(imported, neurons=dict.fromkeys(wrappers, wrapper))
