"""Networks by name, and how one is built so that its first weights are the same in every framework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from spikemark.adapter import Adapter, SpikingLayer, Unsupported
from spikemark.errors import InputError, unknown
from spikemark.networks.adaptive import Adaptation, adaptive_neurons
from spikemark.networks.densenet import densenet
from spikemark.networks.dropout import Masked
from spikemark.networks.joint import JointReadout, JointVote
from spikemark.networks.layers import from_layers
from spikemark.networks.plain import convnet, mlp
from spikemark.networks.published import PUBLISHED
from spikemark.networks.srm import SRM_NETWORKS
from spikemark.networks.stages import MakeNeurons, MakeNorm, SpikingNetwork
from spikemark.neurons import NeuronSpec
from spikemark.normalization import NORMALIZATIONS, Surroundings
from spikemark.streams import generator, stream_seed
from spikemark.systems import System

MakeNetwork = Callable[..., SpikingNetwork]
_SINGLE: Mapping[str, MakeNetwork] = {"mlp": mlp, "convnet": convnet, "layers": from_layers}


def joint_readout(
    input_shape: tuple[int, ...], classes: int, neurons: MakeNeurons, norm: MakeNorm, *, of: str, **options: Any
) -> SpikingNetwork:
    """`JointReadout` of the network `of` with the given options."""
    return JointReadout(_SINGLE[of](input_shape, classes, neurons, norm, **options), classes)


def joint_vote(
    input_shape: tuple[int, ...],
    classes: int,
    neurons: MakeNeurons,
    norm: MakeNorm,
    *,
    of: str,
    members: int = 3,
    **options: Any,
) -> SpikingNetwork:
    """`JointVote` of `members` networks `of` with the given options, alike but for their first weights."""
    vote = JointVote()
    for i in range(members):
        vote.add_module(f"member{i + 1}", _SINGLE[of](input_shape, classes, neurons, norm, **options))
    return vote


def _published() -> dict[str, MakeNetwork]:
    made: dict[str, MakeNetwork] = {}
    for name, row in PUBLISHED.items():
        if row.layers is None:
            made[name] = partial(densenet, **row.options)
        else:
            made[name] = partial(from_layers, layers=row.layers, **row.options)
    return made


def _elsewhere(module: str, function: str) -> MakeNetwork:
    """A network that lives beside its rule of learning, imported when it is built: it may bring a compiler along."""

    def make(*arguments: Any, **options: Any) -> SpikingNetwork:
        made: SpikingNetwork = getattr(import_module(module), function)(*arguments, **options)
        return made

    return make


NETWORKS: Mapping[str, MakeNetwork] = MappingProxyType(
    {
        **_SINGLE,
        "joint-readout": joint_readout,
        "joint-vote": joint_vote,
        **_published(),
        **SRM_NETWORKS,
        "first-spike": _elsewhere("spikemark.training.first_spike.network", "first_spike"),
        "sleep-stdp": _elsewhere("spikemark.training.sleep.network", "sleep_network"),
        "resized-mlp": _elsewhere("spikemark.training.sleep.network", "resized_mlp"),
    }
)
# These compute neurons of their own, which are the same whatever the framework.
_WITH_OWN_NEURONS = frozenset({*SRM_NETWORKS, "sleep-stdp"})


def build_network(
    network: str,
    adapter: Adapter,
    spec: NeuronSpec | None,
    input_shape: tuple[int, ...],
    classes: int,
    seed: int,
    *,
    normalization: str = "joint-bn",
    options: Mapping[str, Any] | None = None,
    steps: int | None = None,
    meta: bool = False,
) -> SpikingNetwork:
    """A network whose first weights depend on `seed` and on nothing of the framework.

    Args:
        network: a name in `NETWORKS`.
        adapter: who computes the neurons.
        spec: of all its neurons; None for a network that computes neurons of its own.
        input_shape: of one sample.
        classes: number of classes.
        seed: of the run.
        normalization: a name in `NORMALIZATIONS`.
        options: further arguments of the architecture, for example ``{"hidden": (64,)}``. One is known to all:
            "adaptation", the fields of `spikemark.networks.adaptive.Adaptation`.
        steps: T, which normalisations with parameters for every step need.
        meta: shapes alone, on torch's meta device: for counting what a network has without building it.

    Raises:
        UnknownNameError: unknown network or normalisation.
        InputError: the network does not fit the samples, or steps are needed.
        spikemark.adapter.Unsupported: the framework cannot express the spec, or the network computes neurons of its
            own, which would be the same in every framework: it runs with the adapter reference only.
    """
    _check(network, normalization, adapter, spec)
    if meta and spec is not None:  # draws would be of no use, and on the meta device their first one loads a compiler
        spec = _without_jitter(spec)
    jitter = None if meta else generator("jitter", seed)
    further = dict(options or {})
    adaptation = further.pop("adaptation", None)
    around = Surroundings(steps) if spec is None else Surroundings(steps, spec.threshold.init)

    def neurons(shape: tuple[int, ...]) -> SpikingLayer:
        assert spec is not None
        if adaptation is None:
            return adapter.neuron(spec, shape, generator=jitter)
        return adaptive_neurons(adapter, spec, shape, Adaptation(**adaptation), jitter)

    def norm(channels: int) -> nn.Module:
        return NORMALIZATIONS[normalization](channels, around)

    # Layers draw weights when made; those are replaced.
    with torch.random.fork_rng(devices=[]), torch.device("meta" if meta else "cpu"):
        model = NETWORKS[network](input_shape, classes, neurons, norm, **further)
        if not meta:
            _name_streams(model, seed)
    return model


def build_system(
    system: System,
    adapter: Adapter,
    input_shape: tuple[int, ...],
    classes: int,
    seed: int,
    *,
    steps: int | None = None,
    meta: bool = False,
) -> SpikingNetwork:
    """The network of a system, see `build_network` for the arguments and errors."""
    return build_network(
        system.network,
        adapter,
        system.spec,
        input_shape,
        classes,
        seed,
        normalization=system.normalization,
        options=system.options,
        steps=steps,
        meta=meta,
    )


def _check(network: str, normalization: str, adapter: Adapter, spec: NeuronSpec | None) -> None:
    for kind, name, known in (("network", network, NETWORKS), ("normalization", normalization, NORMALIZATIONS)):
        if name not in known:
            raise unknown(kind, name, known)
    if network in _WITH_OWN_NEURONS and adapter.name != "reference":
        raise Unsupported(
            f"neuron: no framework computes the neurons of {network}, which are Spikemark's own ({adapter.name} was "
            "asked for them); the reference runs it"
        )
    if spec is None and network not in _WITH_OWN_NEURONS:
        raise InputError(f"spec: network {network} needs one")


def _without_jitter(spec: NeuronSpec) -> NeuronSpec:
    return replace(spec, threshold=replace(spec.threshold, jitter=0.0), decay=replace(spec.decay, jitter=0.0))


def _name_streams(model: nn.Module, seed: int) -> None:
    """Redraw every plain layer's weights, and have masks drawn, from streams of their own.

    Whatever the frameworks drew before plays no part.
    """
    for name, module in model.named_modules():
        if isinstance(module, Masked):
            module.stream = ("dropout", seed, name)
        reset = getattr(module, "reset_parameters", None)
        if reset is not None and any(True for _ in module.parameters(recurse=False)):
            torch.manual_seed(stream_seed("weights", seed, name))
            reset()
