"""Spyx, which runs on JAX: `PSU_LIF`, which resets nothing, and `IF`, which does not leak, with our spike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, ClassVar

from flax import nnx
from jax import custom_jvp
from jax import numpy as jnp
from spyx.experimental import PSU_LIF
from spyx.nn import IF, run
from torch import Tensor, nn

from spikemark.core.adapter import Route, SpikingLayer, Unsupported
from spikemark.core.neuron_class import NeuronClass
from spikemark.core.neurons import NeuronSpec, Surrogate
from spikemark.core.nir import GraphModel
from spikemark.core.surrogates import reach_and_top
from spikemark_adapters.framework import FrameworkAdapter
from spikemark_adapters.native.spyx import lif
from spikemark_adapters.through_jax import through_jax

_Function = Callable[[Any], Any]


def _derivative(surrogate: Surrogate, z: Any) -> Any:
    """The formulas of `spikemark.core.surrogates.reach_and_top`, once more, for JAX."""
    reach, top = reach_and_top(surrogate)
    y = reach * jnp.abs(z)
    match surrogate.name:
        case "atan":
            return top / (1 + y * y)
        case "superspike":
            return top / (1 + y) ** 2
        case "sigmoid":
            return top * jnp.exp(-y) / (1 + jnp.exp(-y)) ** 2
        case "triangle":
            return top * jnp.maximum(0, 1 - y)
        case "rectangle":
            return jnp.where(jnp.abs(z) < reach, top, 0.0).astype(z.dtype)


def _activation(spec: NeuronSpec, theta: Any) -> _Function:
    """The spec's spike as a function of the distance to the threshold, which is all that Spyx's neurons tell it."""

    def step(shift: Any, theta: Any) -> Any:
        return (shift >= 0 if spec.fires_at_threshold else shift > 0).astype(shift.dtype)

    def moved(values: tuple[Any, Any], changes: tuple[Any, Any]) -> tuple[Any, Any]:
        (shift, theta), (of_shift, of_theta) = values, changes
        if not spec.surrogate.relative:
            return fire(shift, theta), _derivative(spec.surrogate, shift) * of_shift
        z = shift / theta
        slope = _derivative(spec.surrogate, z) / theta
        return fire(shift, theta), slope * of_shift - slope * z * of_theta

    fire = custom_jvp(step)
    fire.defjvp(moved)
    return lambda shift: fire(shift, theta)


@cache
def _layer(spec: NeuronSpec, shape: tuple[int, ...]) -> Callable[..., Tensor]:
    """Currents, decay and threshold to spikes, in Spyx."""

    def spikes(currents: Any, decay: Any, theta: Any) -> Any:
        start = jnp.zeros_like(currents[0])
        if spec.reset == "none":
            leaky = PSU_LIF(shape, 0.0, theta, _activation(spec, theta), rngs=nnx.Rngs(0))
            leaky.beta = nnx.Param(decay)
            return run(leaky, currents, start)[0]
        late = IF(shape, theta, _activation(spec, theta))
        return run(late, jnp.concatenate([currents[1:], start[None]]), currents[0])[0]

    return through_jax(spikes)


class SpyxLayer(SpikingLayer):
    """`spyx.nn.run` over one of its neurons.

    `IF` emits the spike of a membrane in the step after the one in which a current reached it. So the first current is
    given to it as its first membrane, and every other one a step early.
    """

    def spikes(self, currents: Tensor) -> Tensor:
        """See `SpikingLayer.spikes`."""
        a = self.decay
        if self.spec.decay_input:
            currents = (1 - a) * currents
        return _layer(self.spec, self.shape)(currents, a, self.threshold)


class SpyxAdapter(FrameworkAdapter):
    """Spyx. Its neurons run in JAX; what is around them, and what trains them, is torch's."""

    name = "spyx"
    resets = ("subtract", "none")
    layer = SpyxLayer
    neuron_classes: ClassVar[Mapping[type[nn.Module], NeuronClass]] = {}  # none is a module of torch

    def require(self, spec: NeuronSpec) -> None:
        """See `Adapter.require`."""
        if spec.adaptation is not None:
            raise Unsupported("adaptation: spyx's ALIF subtracts the risen threshold, after the leak")
        super().require(spec)
        decay = spec.decay
        constant = not (decay.learned or decay.jitter)
        if spec.reset == "subtract" and not (constant and decay.init == 1):
            raise Unsupported(
                "reset: spyx subtracts the threshold after the leak; without a leak (decay 1) alone it fits"
            )
        if spec.reset == "subtract" and spec.detach_reset:
            raise Unsupported("detach_reset: a gradient flows through spyx's reset")
        if not constant and decay.transform != "sigmoid":
            raise Unsupported("decay.transform: spyx clips a decay to [0, 1]; only through sigmoid it stays inside")

    def route(self, spec: NeuronSpec) -> Route:
        """See `Adapter.route`."""
        if spec.reset == "none":
            return Route("composed", "PSU_LIF (experimental) with our spike; values are copied to JAX and back")
        return Route(
            "composed",
            "IF with our spike, given currents a step early, as it fires a step late; copied to JAX and back",
        )

    def native(self, shape: tuple[int, ...]) -> nn.Module:
        """See `Adapter.native`; `LIF`, with the decays that it draws by itself."""
        return lif(shape)

    def from_nir(self, graph: Any, dt: float) -> GraphModel:
        """See `Adapter.from_nir`."""
        raise Unsupported("nir: spyx's importer makes a module of JAX of a graph")
