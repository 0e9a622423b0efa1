"""How a network is built so that its first weights are the same in every framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from inspect import signature
from typing import Any

import torch
from torch import nn

from spikemark.core.adapter import Adapter, FrameworkLayer, SpikingNeurons, Unsupported
from spikemark.core.neurons import NEURONS, FrameworkNeuron, NetworkNeuron, Neuron, NeuronSpec
from spikemark.core.streams import generator, stream_seed
from spikemark.errors import InputError
from spikemark.networks.dropout import Masked
from spikemark.networks.normalization import NORMALIZATIONS, Surroundings
from spikemark.networks.stages import Foreign, SpikingNetwork, Stage
from spikemark.registry import Registry, registry

NETWORKS: Registry[Callable[..., SpikingNetwork]] = registry("network")
"""``make(input_shape, classes, neurons, norm, **options)``, see `MakeNeurons` and `MakeNorm` in `networks.stages`."""


def build_network(
    network: str,
    adapter: Adapter,
    neuron: Neuron,
    input_shape: tuple[int, ...],
    classes: int,
    seed: int,
    *,
    normalization: str = "joint-bn",
    options: Mapping[str, Any] | None = None,
    steps: int | None = None,
    meta: bool = False,
    name: str = "",
) -> SpikingNetwork:
    """A network whose first weights depend on `seed` and on nothing of the framework.

    Args:
        network: a name in `NETWORKS`.
        adapter: who computes the neurons of a spec.
        neuron: of the whole network.
        input_shape: of one sample.
        classes: number of classes.
        seed: of the run.
        normalization: a name in `NORMALIZATIONS`; "none" for a network that normalises nothing.
        options: further arguments of the architecture, for example ``{"hidden": (64,)}``.
        steps: T, which normalisations with parameters for every step need; also for an architecture that has an
            argument ``steps``.
        meta: shapes alone, on torch's meta device: for counting what a network has without building it.
        name: of the neuron, for messages.

    Raises:
        UnknownNameError: unknown network or normalisation.
        InputError: the network does not fit the samples, the neuron or the normalisation, or steps are needed.
        spikemark.core.adapter.Unsupported: the framework cannot express the spec.
    """
    make, make_norm = NETWORKS[network], NORMALIZATIONS[normalization]
    jitter = None if meta else generator("jitter", seed)
    parts = _Parts(network, adapter, neuron, name or _name_of(neuron), jitter, steps)
    if meta:
        parts.neuron = _without_jitter(neuron)
    around = Surroundings(steps, neuron.threshold.init if isinstance(neuron, NeuronSpec) else 1.0)

    def norm(channels: int) -> nn.Module:
        parts.normalised = True
        return make_norm(channels, around)

    given = dict(options or {})
    if "steps" in signature(make).parameters:
        given.setdefault("steps", steps)
    # Layers draw weights when made; those are replaced, but for parts that keep their own.
    with torch.random.fork_rng(devices=[]), torch.device("meta" if meta else "cpu"):
        torch.manual_seed(stream_seed("weights", seed))
        model = _made(network, make, (input_shape, classes, parts.layer, norm), given)
        parts.check(normalization)
        if not meta:
            _name_streams(model, seed)
    for stage in (module for module in model.modules() if isinstance(module, Stage)):
        stage.form = adapter.stage(stage.norm, stage.neurons, stage.pool)
        stage.lay_out()
    return model


class _Parts:
    """Makes the layers of neurons that a network asks for, and knows afterwards what it asked for."""

    def __init__(
        self,
        network: str,
        adapter: Adapter,
        neuron: Neuron,
        name: str,
        jitter: torch.Generator | None,
        steps: int | None,
    ) -> None:
        self.network, self.adapter, self.neuron, self.name = network, adapter, neuron, name
        self.jitter, self.steps = jitter, steps
        self.normalised = False
        self.asked = False

    def layer(self, shape: tuple[int, ...]) -> SpikingNeurons:
        """Neurons with features of `shape`."""
        self.asked = True
        match self.neuron:
            case NeuronSpec():
                return self.adapter.neuron(self.neuron, shape, generator=self.jitter)
            case FrameworkNeuron():
                return FrameworkLayer(self.name, self.neuron, shape, generator=self.jitter, steps=self.steps)
            case NetworkNeuron():
                raise InputError(
                    f"network {self.network}: it takes any neurons, and {self.name!r} is computed by its own network "
                    "alone"
                )

    def check(self, normalization: str) -> None:
        """That what was given was used."""
        if not self.asked and not isinstance(self.neuron, NetworkNeuron):
            own = ", ".join(name for name in NEURONS if isinstance(NEURONS[name], NetworkNeuron))
            raise InputError(
                f"network {self.network}: it computes neurons of its own, so {self.name!r} would play no part; "
                f"name its own (one of {own})"
            )
        if not self.normalised and normalization != "none":
            raise InputError(f"network {self.network}: it normalises nothing, so normalization must be 'none'")


def _made(
    name: str, make: Callable[..., SpikingNetwork], arguments: tuple[Any, ...], options: dict[str, Any]
) -> SpikingNetwork:
    try:
        model = make(*arguments, **options)
    except (TypeError, ValueError) as error:
        refused = isinstance(error, (InputError, Unsupported))
        if not refused and (options or "required keyword-only" in str(error)):
            raise InputError(f"network {name}: {error} (options: {options})") from error
        raise
    if not isinstance(model, nn.Module):
        raise InputError(f"network {name}: made a {type(model).__name__}; expected a torch module")
    return model


def _name_of(neuron: Neuron) -> str:
    return next((name for name in NEURONS if NEURONS[name] is neuron or NEURONS[name] == neuron), "the neuron")


def _without_jitter(neuron: Neuron) -> Neuron:
    """Draws would be of no use on the meta device, where the first of them loads a compiler."""
    if not isinstance(neuron, NeuronSpec):
        return neuron
    return replace(
        neuron,
        threshold=replace(neuron.threshold, jitter=0.0),
        decay=replace(neuron.decay, jitter=0.0),
    )


def _name_streams(model: nn.Module, seed: int) -> None:
    """Redraw every plain layer's weights, and have masks drawn, from streams of their own.

    Whatever the frameworks drew before plays no part. Neurons draw their own parameters.
    """
    own = (FrameworkLayer, Foreign)
    inside = {id(m) for layer in model.modules() if isinstance(layer, own) for m in layer.modules()}
    for name, module in model.named_modules():
        if isinstance(module, Masked):
            module.stream = ("dropout", seed, name)
        reset = getattr(module, "reset_parameters", None)
        if id(module) not in inside and reset is not None and any(True for _ in module.parameters(recurse=False)):
            torch.manual_seed(stream_seed("weights", seed, name))
            reset()
