"""Neurons in models that were written elsewhere: which modules they are, what they keep, and how they forget it.

A framework's classes are known from its adapter (`Adapter.known_neurons`), which is asked for only when a model holds
modules of the package that it is called after; others are declared by whoever brings the model. This module imports
no framework.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikemark.core.adapter import Constants, Neurons, SpikingNeurons
from spikemark.core.frameworks import FRAMEWORKS, get_adapter
from spikemark.core.neuron_class import Form, NeuronClass
from spikemark.errors import InputError

Declared = Iterable[type[nn.Module]] | Mapping[type[nn.Module], int]
"""Classes of spiking neurons, or numbers of state variables per neuron by class."""


@dataclass(frozen=True)
class Site:
    """A module of neurons in a model.

    Attributes:
        name: qualified name of the module.
        module: the neurons.
        known: what is known of its class.
    """

    name: str
    module: nn.Module
    known: NeuronClass

    @property
    def words(self) -> int:
        """State variables of each neuron."""
        words = self.known.words
        return words(self.module) if callable(words) else words

    @property
    def constants(self) -> Constants:
        """Thresholds, decays and the like, as far as it is known where the class holds them."""
        return Constants(self.module, self.known.constants_of(self.module), type(self.module).__name__)

    @property
    def form(self) -> Form | None:
        """Of what the neurons give; None where the class does not say."""
        form = self.known.form
        return form(self.module) if callable(form) else form

    @property
    def weights(self) -> bool:
        """Whether weights are inside, whose operations are to be counted."""
        weights = self.known.weights
        return weights(self.module) if callable(weights) else weights

    @property
    def binary(self) -> bool:
        """Whether spikes are 0 or 1."""
        binary = self.known.binary
        return binary(self.module) if callable(binary) else binary

    def form_of(self, spikes: Tensor, samples: int) -> Form:
        """The same, told by the shape of what was given for so many samples where the class does not say.

        Raises:
            InputError: the shape does not tell.
        """
        if self.form is not None:
            return self.form
        shape = spikes.shape
        if shape[0] == samples and (spikes.dim() < 3 or shape[1] != samples):
            return "B"
        if spikes.dim() > 2 and shape[1] == samples and shape[0] != samples:
            return "TB"
        raise InputError(f"neurons {self.name!r}: spikes of shape {list(shape)} do not tell the {samples} samples")

    def per_neuron(self, spikes: Tensor, samples: int) -> Tensor:
        """What they gave as ``[N, *shape]``, one row for each step and sample."""
        return spikes if self.form_of(spikes, samples) == "B" else spikes.flatten(0, 1)

    def changed(self, output: Any, samples: int, change: Callable[[Tensor, Form], Tensor]) -> Any:
        """The output with the spikes that `change` makes of its own, ``[T, B, *shape]``; T is 1 for a single step."""
        spikes = output[0] if isinstance(output, tuple | list) else output
        form = self.form_of(spikes, samples)
        steps = {"B": lambda: spikes[None], "TB": lambda: spikes, "BT": lambda: spikes.transpose(0, 1)}[form]()
        new = change(steps, form)
        back = {"B": lambda: new[0], "TB": lambda: new, "BT": lambda: new.transpose(0, 1)}[form]()
        return type(output)((back, *output[1:])) if isinstance(output, tuple | list) else back


def spiking_sites(model: nn.Module) -> list[Site]:
    """The neurons of a model that give spikes of 0 and 1, in the order of its modules.

    Raises:
        InputError: there are none, so that a noise on them would silently do nothing.
    """
    if not takes_batches(model):
        raise InputError(f"this noise disturbs spikes; the {title_of(model)} runs one sample at a time inside")
    spiking = [site for site in neuron_sites(model) if site.known.spiking and site.known.counted]
    sites = [site for site in spiking if site.binary]
    if not sites:
        lacks = "none that gives one spike in a step" if spiking else "none that is known"
        raise InputError(f"this noise disturbs spiking layers; the {title_of(model)} has {lacks}")
    return sites


def modules_of(model: nn.Module) -> Iterator[nn.Module]:
    """Every module of a model, itself first; frameworks may have another meaning for its own `modules()`."""
    return nn.Module.modules(model)


def takes_batches(model: nn.Module) -> bool:
    """Whether neurons are given whole batches; importers of NIR graphs may make modules that take a sample alone."""
    return all(getattr(module, "batched", True) for module in modules_of(model))


def title_of(model: nn.Module) -> str:
    """What messages call a model: by its name, else by its class."""
    return str(getattr(model, "name", type(model).__name__))


def neuron_sites(model: nn.Module, declared: Declared = ()) -> list[Site]:
    """All neurons of a model, in the order of its modules; those inside other neurons are not among them.

    Args:
        model: of any framework.
        declared: further classes of neurons, beside those that the model declares itself (`Declares`).

    Raises:
        InputError: what is declared is no class of modules, or the model has none of it.
    """
    further = _checked(model, declared)
    for module in modules_of(model):
        if isinstance(module, Declares):
            further |= module.declared_neurons
    known: dict[type[nn.Module], NeuronClass] = {}
    for framework in frameworks_of(model):
        known |= get_adapter(framework).known_neurons()
    known |= further
    sites: list[Site] = []
    inside: set[nn.Module] = set()
    for name, module in model.named_modules():
        found = None if module in inside else _known(module, known)
        if found is not None:
            sites.append(Site(name or type(module).__name__, module, found))
            inside.update(modules_of(module))
    return sites


class Declares:
    """A module that says which classes of neurons it has that nobody else knows."""

    declared_neurons: Mapping[type[nn.Module], NeuronClass]


def declared_classes(declared: Declared) -> dict[type[nn.Module], NeuronClass]:
    """What is known of declared classes; without a number of state variables it is one.

    Raises:
        InputError: something is no class of modules, or a number is below 0.
    """
    words = declared if isinstance(declared, Mapping) else dict.fromkeys(declared, 1)
    for kind, count in words.items():
        if not (isinstance(kind, type) and issubclass(kind, nn.Module)):
            raise InputError(f"neurons: {kind!r} is no class of torch modules")
        if not isinstance(count, int) or count < 0:
            raise InputError(f"neurons: {kind.__name__}: {count!r} is no number of state variables")
    return {kind: NeuronClass(count, None, weights=True) for kind, count in words.items()}


def _checked(model: nn.Module, declared: Declared) -> dict[type[nn.Module], NeuronClass]:
    classes = declared_classes(declared)
    for kind in classes:
        if not any(isinstance(module, kind) for module in modules_of(model)):
            raise InputError(f"neurons: the model has no {kind.__name__}")
    return classes


def _known(module: nn.Module, known: Mapping[type[nn.Module], NeuronClass]) -> NeuronClass | None:
    if isinstance(module, Neurons):
        inner = [Site("", part, found).words for part in modules_of(module) if (found := _of_class(part, known))]
        words = max(inner, default=module.words)
        return NeuronClass(words, "TB", weights=not _weightless(module), binary=isinstance(module, SpikingNeurons))
    return _of_class(module, known)


def _of_class(module: nn.Module, known: Mapping[type[nn.Module], NeuronClass]) -> NeuronClass | None:
    return next((known[kind] for kind in type(module).__mro__ if kind in known), None)


def _weightless(module: Neurons) -> bool:
    learnables = {id(parameter) for parameter in module.learnables().values()}
    return all(id(parameter) in learnables for parameter in module.parameters())


def frameworks_of(model: nn.Module) -> list[str]:
    """The frameworks whose classes a model is made of, by the package that an adapter is called after."""
    packages = {kind.__module__.partition(".")[0] for module in modules_of(model) for kind in type(module).__mro__}
    return [name for name in FRAMEWORKS if name in packages]


def hands_states_on(model: nn.Module) -> bool:
    """Whether a model of several neurons takes their states beside the input, and gives the next ones."""
    return any(get_adapter(framework).hands_states_on for framework in frameworks_of(model))


def reset_states(model: nn.Module, reset: Callable[[Any], object] | None = None) -> None:
    """Forget what a model remembers of earlier calls, as far as its frameworks and `reset` know it."""
    for framework in frameworks_of(model):
        adapter = get_adapter(framework)
        for module in modules_of(model):
            adapter.forget(module)
    if reset is not None:
        reset(model)


def first_tensor(value: Any) -> Tensor | None:
    """A tensor, or the first of a tuple or list that begins with one."""
    if isinstance(value, tuple | list) and value:
        value = value[0]
    return value if isinstance(value, Tensor) else None


@contextmanager
def unchanged(model: nn.Module) -> Iterator[None]:
    """Whatever happens inside, the model is afterwards as it was: attributes, states, weights, modes and hooks.

    So are the global generators of Python, NumPy and torch. Inside, no attribute belongs to a graph of autograd, so
    that the model can be copied.
    """
    before = [_Kept(vars(module)) for module in modules_of(model)]
    python, legacy = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices=devices):
            for kept in before:
                kept.detach()
            yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)
        with torch.no_grad():
            for kept in before:
                kept.restore()


class _Kept:
    """The content of a dictionary or list, and of those in it, to be put back in place."""

    def __init__(self, container: dict[Any, Any] | list[Any]) -> None:
        self.container = container
        self.items = list(container.items() if isinstance(container, dict) else enumerate(container))
        self.tensors = [(value, value.detach().clone()) for _, value in self.items if isinstance(value, Tensor)]
        self.inner = [_Kept(value) for _, value in self.items if isinstance(value, dict | list)]

    def detach(self) -> None:
        for key, value in self.items:
            if isinstance(value, Tensor) and not value.is_leaf:
                self.container[key] = value.detach()
        for kept in self.inner:
            kept.detach()

    def restore(self) -> None:
        if isinstance(self.container, dict):
            self.container.clear()
            self.container.update(self.items)
        else:
            self.container[:] = [value for _, value in self.items]
        for tensor, value in self.tensors:
            if tensor.shape != value.shape or not torch.equal(tensor, value):
                tensor.data = value  # past autograd, whose graph it may belong to
        for kept in self.inner:
            kept.restore()
