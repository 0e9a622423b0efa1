"""What imperfect hardware does to a trained network. Every noise works on a copy; the network itself is never changed.

One draw stands for one chip: it stays the same for all samples and time steps. Synapses are the weights of linear and
convolutional layers; biases and normalisation are left alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from spikemark.core.lazy import LazyModule
from spikemark.core.neurons import Learnable
from spikemark.errors import InputError
from spikemark.noise.case import Case, noise

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from spikemark.core.adapter import Adapter, SpikingLayer
    from spikemark.core.foreign import Site
    from spikemark.core.neuron_class import Form
    from spikemark.noise.targets import Change
else:
    torch = LazyModule("torch")

STORED_BITS = 8
_BUCHEL = "Büchel et al., Scientific Reports 11, 2021 (arXiv 2102.06408)"
_SPYROU = "Spyrou et al., Neuron fault tolerance in spiking neural networks, DATE 2021"
_STUTZ = "Stutz et al., MLSys 2021 (arXiv 2006.13977)"
_KRISHNAMOORTHI = "Krishnamoorthi 2018 (arXiv 1806.08342)"


@noise(
    "weight-mismatch",
    domain="hardware",
    levels=(0.4, 0.7, 1.0, 1.5, 2.0),
    unit="relative standard deviation",
    summary="Every weight off by its own factor.",
    source=_BUCHEL,
)
def weight_mismatch(weights: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Multiply each weight by ``1 + level * normal``."""
    return weights * (1 + level * torch.randn(weights.shape, generator=generator))


@noise(
    "stuck-synapses",
    domain="hardware",
    levels=(0.15, 0.27, 0.4, 0.53, 0.66),
    unit="fraction of synapses",
    summary="Weights stuck at zero.",
    source="Lee and Lim 2023 (arXiv 2312.04840): SA0 faults",
)
def stuck_synapses(weights: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Set each weight to 0 with probability `level`."""
    return weights.masked_fill(torch.rand(weights.shape, generator=generator) < level, 0.0)


@noise(
    "weight-quantisation",
    domain="hardware",
    levels=(8.0, 6.0, 4.0, 3.0, 2.0),
    unit="bits per weight",
    summary="Weights rounded to few values, symmetric, one scale per layer.",
    source=_KRISHNAMOORTHI,
)
def quantisation(weights: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Round to `level` bits: ``2 ** level - 1`` evenly spaced values, symmetric about 0, one scale per tensor."""
    codes, scale = _store(weights, int(level))
    return codes * scale


@noise(
    "bit-flips",
    domain="hardware",
    levels=(0.005, 0.015, 0.03, 0.07, 0.13),
    unit="probability per bit",
    summary="Bits flipped in weights stored as 8-bit integers.",
    source=_STUTZ,
)
def bit_flips(weights: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Store in 8 bits (two's complement, as `quantisation`), flip each bit with probability `level`, and read back."""
    codes, scale = _store(weights, STORED_BITS)
    flips = torch.rand((STORED_BITS, *weights.shape), generator=generator) < level
    place = (2 ** torch.arange(STORED_BITS)).view(-1, *(1 for _ in weights.shape))
    pattern = codes.long() % 2**STORED_BITS ^ (flips * place).sum(0)
    signed = torch.where(pattern >= 2 ** (STORED_BITS - 1), pattern - 2**STORED_BITS, pattern)
    return signed * scale


def _store(weights: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Whole numbers in ``-(2 ** (bits - 1) - 1)..2 ** (bits - 1) - 1`` and the scale that gives the weights back."""
    largest = 2 ** (bits - 1) - 1
    scale = weights.abs().max() / largest
    codes = torch.round(weights / scale) if scale > 0 else torch.zeros_like(weights)
    return codes, scale


@contextmanager
def stuck_neurons(case: Case, level: float, generator: torch.Generator, *, output: float) -> Iterator[Case]:
    """A fraction `level` of all neurons gives `output` (0 dead, 1 always firing) at every step."""
    from spikemark.noise.targets import change_spikes, seed_from

    def of_site(site: Site) -> Change:
        shape = getattr(site.module, "shape", None)
        # Neurons of other frameworks tell their shape only when they are called.
        random = generator if shape is not None else torch.Generator().manual_seed(seed_from(generator))
        masks = [] if shape is None else [_draw(shape, level, random)]

        def stick(spikes: Tensor, form: Form, step: int) -> Tensor:
            if not masks:
                masks.append(_draw(tuple(spikes.shape[2:]), level, random))
            return spikes.masked_fill(masks[0].to(spikes.device), output)

        return stick

    model = copy.deepcopy(case.model)
    change_spikes(model, of_site)
    yield replace(case, model=model)


def _draw(shape: tuple[int, ...], level: float, generator: torch.Generator) -> Tensor:
    return torch.rand(shape, generator=generator) < level


noise(
    "dead-neurons",
    domain="hardware",
    levels=(0.15, 0.3, 0.5, 0.65, 0.8),
    unit="fraction of neurons",
    summary="Neurons that never fire.",
    family="lost spikes",
    source=_SPYROU,
    on="case",
)(partial(stuck_neurons, output=0.0))
noise(
    "firing-neurons",
    domain="hardware",
    levels=(0.03, 0.06, 0.09, 0.12, 0.15),
    unit="fraction of neurons",
    summary="Neurons that fire at every step.",
    family="spurious spikes",
    source=f"{_SPYROU}: saturated neurons",
    on="case",
)(partial(stuck_neurons, output=1.0))


@contextmanager
def neuron_mismatch(
    case: Case, level: float, generator: torch.Generator, *, parameter: Literal["threshold", "decay"]
) -> Iterator[Case]:
    """Give every neuron its own threshold or decay, the trained one times ``1 + level * normal``.

    Thresholds stay positive, decays within 0..1. The framework builds the layers anew, with one value per neuron; its
    own neurons are given them in place, those in models that users bring among them.

    Raises:
        InputError: see `with_neurons`.
        spikemark.core.adapter.Unsupported: the framework's class does not hold one value for every neuron.
    """
    from spikemark.core.adapter import FrameworkLayer, SpikingNeurons

    def disturbed(values: Tensor) -> Tensor:
        drawn = values * (1 + level * torch.randn(values.shape, generator=generator))
        return drawn.clamp(0, 1) if parameter == "decay" else torch.maximum(drawn, 1e-3 * values)

    def mismatched(layer: SpikingLayer, adapter: Adapter) -> SpikingLayer:
        kept = disturbed(layer.effective(parameter).detach().cpu().expand(layer.shape))
        own = Learnable(layer.spec.parameters[parameter].init, "neuron")
        spec = replace(layer.spec, threshold=own) if parameter == "threshold" else replace(layer.spec, decay=own)
        new = as_trained(layer, adapter.neuron(spec, layer.shape, generator=torch.Generator()), but=parameter)
        _check_heeded(new, parameter)
        with torch.no_grad():
            new.get_parameter_or_buffer(parameter).copy_(kept)
        return new

    model = copy.deepcopy(case.model)
    of_frameworks = [layer for layer in model.modules() if isinstance(layer, FrameworkLayer)]
    for layer in of_frameworks:
        layer.set_each(parameter, disturbed(layer.each(parameter).cpu()))
    foreign = [] if of_frameworks else _firing_sites(model)
    if any(isinstance(site.module, SpikingNeurons) for site in foreign):
        foreign = []
    if foreign:
        shapes = _shapes(foreign, model, case)
        for site in foreign:
            values = site.constants.each(parameter, shapes[site.name])
            site.constants.set_each(parameter, disturbed(values.cpu()))
    yield replace(case, model=model if of_frameworks or foreign else with_neurons(case, mismatched))


def _firing_sites(model: nn.Module) -> list[Site]:
    """The neurons of a model that fire, once or several times in a step."""
    from spikemark.core.foreign import neuron_sites, takes_batches

    return [s for s in neuron_sites(model) if s.known.spiking and s.known.counted] if takes_batches(model) else []


def _shapes(sites: list[Site], model: nn.Module, case: Case) -> dict[str, tuple[int, ...]]:
    """The features of neurons, which those of other frameworks tell only when they are called."""
    from spikemark.core.adapter import device_of
    from spikemark.core.foreign import first_tensor

    shapes: dict[str, tuple[int, ...]] = {}
    encoded = case.encode_step(case.inputs[:2], torch.Generator().manual_seed(0)).to(device_of(model))

    def watch(site: Site) -> Callable[..., None]:
        def see(module: nn.Module, given: object, output: Any) -> None:
            spikes = first_tensor(output)
            assert spikes is not None  # of neurons that fire
            steps = 1 if site.form_of(spikes, encoded.shape[1]) == "B" else 2
            shapes[site.name] = tuple(spikes.shape[steps:])

        return see

    hooks = [site.module.register_forward_hook(watch(site)) for site in sites]
    with torch.no_grad():
        model(encoded)
    for hook in hooks:
        hook.remove()
    return shapes


def with_neurons(case: Case, change: Callable[[SpikingLayer, Adapter], SpikingLayer]) -> nn.Module:
    """A copy of the network with other layers of neurons, which `change` makes of each layer and its framework.

    Raises:
        InputError: the framework is not known, or there are no neurons.
        spikemark.core.adapter.Unsupported: some neurons are more than a spec says, so they cannot be built anew.
    """
    from spikemark.core.adapter import SpikingLayer, Unsupported
    from spikemark.core.foreign import spiking_sites

    if case.adapter is None:
        raise InputError("this noise builds neurons anew: it needs to know their framework")
    adapter, model = case.adapter, copy.deepcopy(case.model)
    for site in spiking_sites(model):
        layer = site.module
        if not isinstance(layer, SpikingLayer):
            raise Unsupported(f"this noise builds neurons anew from their spec; a {type(layer).__name__} has none")
        if type(adapter.neuron(layer.spec, layer.shape, generator=torch.Generator())) is not type(layer):
            raise Unsupported(f"this noise builds neurons anew; {adapter.name} has no {type(layer).__name__}")
        model.set_submodule(site.name, change(layer, adapter))
    return model


def as_trained(layer: SpikingLayer, new: SpikingLayer, but: str = "") -> SpikingLayer:
    """The new layer, on the device and with all trained tensors of the old one, except for the one called `but`.

    Raises:
        spikemark.core.adapter.Unsupported: the old one holds tensors that the new one has no place for.
    """
    from spikemark.core.adapter import Unsupported

    of_spec = {f"raw_{name}" for name in layer.spec.parameters}
    further = {name: tensor for name, tensor in layer.state_dict().items() if name not in of_spec}
    places = new.state_dict()
    for name, tensor in further.items():
        if name not in places or places[name].shape != tensor.shape:
            raise Unsupported(f"{type(layer).__name__} holds {name} beside its spec; a {type(new).__name__} does not")
    with torch.no_grad():
        for name in new.spec.parameters:
            if name != but:
                new.get_parameter_or_buffer(name).copy_(layer.get_parameter_or_buffer(name).cpu())
        for name, tensor in further.items():
            places[name].copy_(tensor.cpu())
    return new.to(layer.get_parameter_or_buffer("threshold").device).train(layer.training)


def _check_heeded(layer: SpikingLayer, parameter: Literal["threshold", "decay"]) -> None:
    """That a layer's spikes follow from the threshold or decay that it holds: steady currents tell extremes apart.

    Raises:
        spikemark.core.adapter.Unsupported: they do not, so that a noise on it would silently do nothing.
    """
    from spikemark.core.adapter import Unsupported

    trial = copy.deepcopy(layer)
    held = trial.get_parameter_or_buffer(parameter)
    with torch.no_grad():
        threshold = layer.effective("threshold").abs().clamp(min=1e-3).expand(layer.shape)
        currents = torch.stack([0.6 * threshold, 1.5 * threshold]).expand(4, 2, *layer.shape)
        seen = []
        for extreme in (0.0, 1.0) if parameter == "decay" else (1e-6, 1e6):
            held.fill_(extreme)
            seen.append(trial(currents))
    if torch.equal(*seen):
        raise Unsupported(f"{type(layer).__name__} ignores the {parameter} that it is given")


noise(
    "threshold-mismatch",
    domain="hardware",
    levels=(0.3, 0.5, 0.7, 0.9, 1.2),
    unit="relative standard deviation",
    summary="Every neuron's threshold off by its own factor.",
    source=_BUCHEL,
    on="case",
)(partial(neuron_mismatch, parameter="threshold"))
noise(
    "decay-mismatch",
    domain="hardware",
    levels=(0.1, 0.2, 0.4, 0.7, 1.0),
    unit="relative standard deviation",
    summary="Every neuron's decay off by its own factor, within 0..1.",
    source=_BUCHEL,
    on="case",
)(partial(neuron_mismatch, parameter="decay"))
