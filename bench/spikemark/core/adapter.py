"""What a framework must provide to take part: `Adapter` and `SpikingLayer`, found through entry points.

An adapter turns a `NeuronSpec` into a layer of its framework. This module owns the parameters of such a layer
(scopes, transforms, first values), so that every framework trains the very same ones; the dynamics are the
framework's. It imports no framework: adapters are loaded by name, when asked for.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import reduce, wraps
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from spikemark.core.frameworks import framework_version
from spikemark.core.neuron_class import NeuronClass
from spikemark.core.neurons import FrameworkNeuron, Learnable, NeuronSpec, ParameterName, Reset
from spikemark.core.stages import StageForm
from spikemark.core.surrogates import spike_function
from spikemark.errors import InputError

if TYPE_CHECKING:
    from spikemark.core.nir import GraphModel


class Unsupported(ValueError):
    """The framework cannot express the spec; the message says which field, and why."""


@dataclass(frozen=True)
class Route:
    """How a framework computes a spec.

    Attributes:
        kind: "native" (its class as it is), "composed" (its functions in our order) or "custom" (a subclass of
            its class that overrides the dynamics).
        why: one sentence, for the reports.
    """

    kind: Literal["native", "composed", "custom"]
    why: str


class Neurons(nn.Module):
    """Neurons of a network, spiking or graded, that may hold learned parameters; ``[T, B, ...]`` to the same shape."""

    @property
    def words(self) -> int:
        """State variables that an update of one neuron reads and writes back: its membrane potential, and others."""
        return 1

    def learnables(self) -> dict[str, nn.Parameter]:
        """Its raw trainable parameters by name, "threshold" and "decay" above all."""
        return {}

    def observed(self) -> dict[str, Tensor]:
        """Effective values of what training may move, by name; what records report of them."""
        return dict(self.learnables())


class SpikingNeurons(Neurons):
    """Neurons whose output is spikes: what noise on spikes disturbs, and whose updates are counted.

    Attributes:
        shape: of the features of one sample.
    """

    shape: tuple[int, ...]


def _same(value: Tensor) -> Tensor:
    return value


@dataclass(frozen=True)
class Held:
    """Where a framework's own class holds a threshold, a decay or the like.

    Attributes:
        place: dotted path of the attribute.
        effective: from what is held to the value in the neuron's equations.
        held: the way back, for one value per neuron; None where the class has no room for that.
        by_currents: of a threshold that is one number for all neurons, where membranes are proportional to currents
            between resets to 0: currents divided by a factor act as a threshold multiplied by it.
    """

    place: str
    effective: Callable[[Tensor], Tensor] = _same
    held: Callable[[Tensor], Tensor] | None = _same
    by_currents: bool = False

    def inside(self, name: str) -> Held:
        """The same, of a module that holds the class as an attribute of that name."""
        return replace(self, place=f"{name}.{self.place}")


def held_inside(name: str, constants: Mapping[str, Held]) -> dict[str, Held]:
    """Where a module holds the constants of a class that is its attribute of that name."""
    return {key: held.inside(name) for key, held in constants.items()}


class Constants:
    """The thresholds, decays and the like of a module of neurons: read, and set to one value for every neuron.

    Args:
        module: the neurons, or what holds them.
        held: where, by name.
        title: of the class, for messages.
    """

    def __init__(self, module: nn.Module, held: Mapping[str, Held], title: str) -> None:
        self._module, self._constants, self._title = module, held, title

    def held(self, name: str) -> Any:
        """What the class holds of a constant."""
        return _at(self._module, self._constants[name].place)

    def effective(self, name: str) -> Tensor:
        """The effective value of a constant, learned or not."""
        scaled = next(self._scalings(name), None)
        if scaled is not None:
            return scaled.thresholds
        return self._constants[name].effective(torch.as_tensor(self.held(name)))

    def each(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """The effective values of a constant, one for every neuron, ``[*shape]``.

        Raises:
            Unsupported: the class has no such constant, or does not hold one for every neuron.
        """
        self._settable(name)
        values = self.effective(name).detach()
        return values.view(shape) if values.numel() == torch.Size(shape).numel() else values.expand(shape)

    def set_each(self, name: str, values: Tensor) -> None:
        """Give every neuron its own effective value, ``[*shape]``.

        Raises:
            Unsupported: see `each`.
        """
        constant, held = self._settable(name)
        values = values.to(self.effective(name)).detach()
        if constant.by_currents:
            for scaled in self._scalings(name):
                scaled.thresholds = values
                return
            self._owner(name).register_forward_pre_hook(_ScaledCurrents(float(self.held(name)), values))
            return
        new = held(values).detach()
        _put(self._module, constant.place, nn.Parameter(new) if isinstance(self.held(name), nn.Parameter) else new)

    def _owner(self, name: str) -> Any:
        path, _, _ = self._constants[name].place.rpartition(".")
        return _at(self._module, path)

    def _scalings(self, name: str) -> Iterator[_ScaledCurrents]:
        if self._constants[name].by_currents:
            hooks = self._owner(name)._forward_pre_hooks.values()
            yield from (hook for hook in hooks if isinstance(hook, _ScaledCurrents))

    def _settable(self, name: str) -> tuple[Held, Callable[[Tensor], Tensor]]:
        constant = self._constants.get(name)
        if not self._constants:
            raise Unsupported(f"{name}: nothing says where a {self._title} holds one")
        if constant is None:
            raise Unsupported(f"{name}: {self._title} has none")
        if constant.held is None:
            raise Unsupported(f"{name}: {self._title} does not hold one for every neuron, so they cannot differ")
        return constant, constant.held


def _at(module: Any, path: str) -> Any:
    return reduce(getattr, path.split("."), module) if path else module


def _put(module: nn.Module, place: str, value: Any) -> None:
    """Set an attribute, or the field of a named tuple that is one."""
    path, _, attribute = place.rpartition(".")
    owner = _at(module, path)
    if isinstance(owner, tuple):
        _put(module, path, owner._replace(**{attribute: value}))  # type: ignore[attr-defined]
    else:
        setattr(owner, attribute, value)


@dataclass
class _ScaledCurrents:
    """A hook that gives every neuron its own threshold in a class that has one, see `Held.by_currents`."""

    held: float
    thresholds: Tensor

    def __call__(self, module: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
        currents, *others = given
        return (currents * (self.held / self.thresholds.to(currents)), *others)


class OwnNeurons(nn.Module):
    """A framework's own class as a module of `FrameworkNeuron.make`, which says where its constants are held.

    Args:
        constants: by name, "threshold" and "decay" above all.
    """

    def __init__(self, constants: Mapping[str, Held]) -> None:
        super().__init__()
        self.constants = dict(constants)

    def learnables(self) -> dict[str, nn.Parameter]:
        """Those of its constants that are parameters and learn, as they are held."""
        found = {name: self._constants().held(name) for name in self.constants}
        return {n: value for n, value in found.items() if isinstance(value, nn.Parameter) and value.requires_grad}

    def effective(self, name: str) -> Tensor:
        """The effective value of one of its constants, learned or not."""
        return self._constants().effective(name)

    def traced(self, currents: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Spikes of every step, and by name the states that the framework's class gives beside them."""
        calls: list[list[Tensor]] = []

        def keep(module: nn.Module, given: Any, output: Any) -> None:
            calls.append(_states(output[1:]) if isinstance(output, tuple) else [])

        hooks = [child.register_forward_hook(keep) for child in self.children()]
        try:
            spikes: Tensor = self(currents)
        finally:
            for hook in hooks:
                hook.remove()
        states = [torch.stack(states).detach() for states in zip(*calls, strict=True)]
        return spikes, {f"state {number}": state for number, state in enumerate(states, 1)}

    def each(self, name: str, shape: tuple[int, ...]) -> Tensor:
        """See `Constants.each`."""
        return self._constants().each(name, shape)

    def set_each(self, name: str, values: Tensor) -> None:
        """See `Constants.set_each`."""
        self._constants().set_each(name, values)

    def _constants(self) -> Constants:
        return Constants(self, self.constants, type(next(self.children(), self)).__name__)


def _states(output: Any) -> list[Tensor]:
    """The tensors in what a class gives beside its spikes, of which some hold tuples of tuples."""
    if isinstance(output, Tensor):
        return [output]
    return [state for part in output for state in _states(part)] if isinstance(output, tuple) else []


class FrameworkLayer(SpikingNeurons):
    """A layer of a `FrameworkNeuron`.

    Args:
        name: of the neuron, for messages.
        neuron: makes the module.
        shape: of the features of one sample.
        generator: source of the module's first parameters.
        steps: T, for neurons that must know it.

    Raises:
        Unsupported: the framework does not have such a neuron.
        InputError: what the neuron makes is no module, or lacks a parameter that it announces.
    """

    def __init__(
        self,
        name: str,
        neuron: FrameworkNeuron,
        shape: tuple[int, ...],
        *,
        generator: torch.Generator | None = None,
        steps: int | None = None,
    ) -> None:
        super().__init__()
        if neuron.lacks:
            raise Unsupported(f"neuron {name!r}: {neuron.lacks}")
        self.name, self.shape, self.learned = name, tuple(shape), neuron.learned
        told = {"steps": steps} if "steps" in signature(neuron.make).parameters else {}
        made = neuron.make(self.shape, generator=generator, **told)
        if not isinstance(made, nn.Module):
            raise InputError(f"neuron {name!r}: made a {type(made).__name__}; expected a torch module")
        parameters = dict(made.named_parameters())
        for wanted in neuron.learned:
            if wanted not in parameters:
                has = ", ".join(parameters) or "none"
                raise InputError(f"neuron {name!r}: its module has no parameter {wanted!r} (it has: {has})")
        self.module = made

    def learnables(self) -> dict[str, nn.Parameter]:
        """Those that the neuron announces, by the names of its module; or that its module knows itself."""
        if isinstance(self.module, OwnNeurons):
            return self.module.learnables()
        return {name: self.module.get_parameter(name) for name in self.learned}

    def observed(self) -> dict[str, Tensor]:
        """See `Neurons.observed`."""
        if isinstance(self.module, OwnNeurons):
            return {name: self.module.effective(name) for name in self.module.learnables()}
        return super().observed()

    def each(self, name: str) -> Tensor:
        """The effective thresholds, decays or the like, learned or not, one for every neuron.

        Raises:
            Unsupported: the framework's class does not hold so many, or nothing says where it holds one.
        """
        return self._own().each(name, self.shape)

    def set_each(self, name: str, values: Tensor) -> None:
        """Give every neuron its own effective value, ``[*shape]``.

        Raises:
            Unsupported: see `each`.
        """
        self._own().set_each(name, values)

    def _own(self) -> OwnNeurons:
        if not isinstance(self.module, OwnNeurons):
            raise Unsupported(f"neuron {self.name!r}: nothing says where its thresholds and decays are held")
        return self.module

    def forward(self, currents: Tensor) -> Tensor:
        """Spikes of the layer, ``[T, B, *shape]`` like the currents.

        Raises:
            InputError: the module gave something else.
        """
        spikes = self.module(currents)
        if not isinstance(spikes, Tensor):
            raise InputError(f"neuron {self.name!r}: gave a {type(spikes).__name__}; expected a tensor of spikes")
        if spikes.shape != currents.shape:
            raise InputError(
                f"neuron {self.name!r}: gave spikes of shape {list(spikes.shape)} for currents of shape "
                f"{list(currents.shape)}; they must be the same"
            )
        return spikes


class SpikingLayer(SpikingNeurons, ABC):
    """A layer of neurons of a spec, stateless between calls.

    Args:
        spec: the dynamics.
        shape: of the features of one sample, for example ``(128,)`` or ``(C, H, W)``.
        generator: source of the jitter of the first parameters; the global one when None.

    Attributes:
        oracle: whether this is the suite's own yardstick rather than a framework; in its place a network may compute
            the same spikes without time steps.
    """

    oracle: ClassVar[bool] = False

    def __init__(self, spec: NeuronSpec, shape: tuple[int, ...], *, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.shape = tuple(shape)
        for name, learnable in spec.parameters.items():
            raw = _first_raw(learnable, self.shape, generator)
            if learnable.learned:
                self.register_parameter(f"raw_{name}", nn.Parameter(raw))
            else:
                self.register_buffer(f"raw_{name}", raw)

    @property
    def words(self) -> int:
        """See `Neurons.words`; an adapting threshold is a state of its own."""
        return 1 if self.spec.adaptation is None else 2

    @property
    def threshold(self) -> Tensor:
        """Effective thresholds, broadcastable to `shape`."""
        return self.effective("threshold")

    @property
    def decay(self) -> Tensor:
        """Effective decay ``a``, broadcastable to `shape`."""
        return self.effective("decay")

    def effective(self, name: ParameterName) -> Tensor:
        """The effective value of a parameter of the spec, broadcastable to `shape`."""
        return _effective(self.get_parameter_or_buffer(name), self.spec.parameters[name])

    def get_parameter_or_buffer(self, name: ParameterName) -> Tensor:
        """The raw tensor behind a parameter of the spec, trained or not."""
        raw = getattr(self, f"raw_{name}")
        assert isinstance(raw, Tensor)
        return raw

    def learnables(self) -> dict[str, nn.Parameter]:
        """The raw trainable parameters, under the names of `NeuronSpec.parameters`."""
        raw = {name: self.get_parameter_or_buffer(name) for name in self.spec.parameters}
        return {name: tensor for name, tensor in raw.items() if isinstance(tensor, nn.Parameter)}

    def observed(self) -> dict[str, Tensor]:
        """See `Neurons.observed`."""
        return {name: self.effective(name) for name in self.spec.parameters if name in self.learnables()}

    def forward(self, currents: Tensor) -> Tensor:
        """Spikes of the layer.

        Args:
            currents: ``[T, B, *shape]``, of the layer's floating-point type.

        Returns:
            Spikes 0/1, of the same shape and type.

        Raises:
            ValueError: the shape does not fit the layer, or T is 0.
            TypeError: the type is not the layer's.
        """
        if currents.dim() != 2 + len(self.shape) or tuple(currents.shape[2:]) != self.shape:
            raise ValueError(
                f"currents have shape {list(currents.shape)}; this layer takes [T, B, *{list(self.shape)}]"
            )
        if currents.shape[0] == 0:
            raise ValueError("currents have T = 0 time steps; at least 1 is needed")
        if currents.dtype != self.raw_threshold.dtype:
            raise TypeError(f"currents are {currents.dtype}; this layer computes in {self.raw_threshold.dtype}")
        return self.spikes(currents)

    @abstractmethod
    def spikes(self, currents: Tensor) -> Tensor:
        """The framework's computation of `forward`, on checked currents."""

    def extra_repr(self) -> str:
        """Shape and spec, for printing."""
        return f"shape={self.shape}, spec={self.spec}"


class Firing:
    """Spikes of one forward pass of a layer, step by step: at constant thresholds, or at ones that follow the spikes.

    Args:
        layer: whose parameters are taken now.
    """

    def __init__(self, layer: SpikingLayer) -> None:
        self._spec, self._theta = layer.spec, layer.threshold
        self._fixed, self._spike = self._theta.detach(), spike_function(layer.spec, self._theta)
        self._adaptation: tuple[Tensor, Tensor] | None = None
        if layer.spec.adaptation is not None:
            self._adaptation = layer.effective("adaptation_decay"), layer.effective("adaptation_strength")
        self._excess: Tensor | None = None

    def __call__(self, u: Tensor) -> Tensor:
        """Spikes 0/1 of the next step, given its membranes before the reset; with the spec's surrogate gradient."""
        if self._adaptation is None:
            return self._spike(u - self._fixed)
        decay, strength = self._adaptation
        excess = torch.zeros_like(u) if self._excess is None else self._excess
        risen = self._theta + strength * excess
        spikes = spike_function(self._spec, risen)(u - risen.detach())
        self._excess = decay * excess + (1 - decay) * spikes
        return spikes


@dataclass(frozen=True)
class Stated:
    """What the documentation of a framework's class states, as a spec, with the class as it is.

    Attributes:
        neuron: the class.
        spec: its dynamics as they are stated; one that `each` names is of scope "neuron".
        states: the statement in words.
        each: which of the spec's parameters every neuron has a value of its own of.
        gradients: whether its surrogate is stated, too, and is one of the spec's.
    """

    neuron: FrameworkNeuron
    spec: NeuronSpec
    states: str
    each: ParameterName | None = None
    gradients: bool = True


class Adapter(ABC):
    """One framework.

    Attributes:
        name: as users write it, the entry point's name.
        resets: those of `NeuronSpec.reset` that it computes.
        adapts: whether it computes thresholds that follow the spikes.
        hands_states_on: whether its neurons are given their states beside the input, and give the next ones beside the
            spikes; others keep them.
    """

    name: str
    resets: ClassVar[tuple[Reset, ...]] = ("zero", "subtract")
    adapts: ClassVar[bool] = False
    hands_states_on: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        """Whatever an adapter makes of a spec, it is asked first whether it has all that the spec says."""
        super().__init_subclass__()
        for name in {"route", "neuron"} & vars(cls).keys():
            setattr(cls, name, _requiring(vars(cls)[name]))

    def require(self, spec: NeuronSpec) -> None:
        """That the framework has the spec's reset and adaptation; `route` and `neuron` are preceded by it.

        Raises:
            Unsupported: it lacks one of them.
        """
        if spec.reset not in self.resets:
            raise Unsupported(f"reset: {self.name} has {' and '.join(self.resets)}, not {spec.reset}")
        if spec.adaptation is not None and not self.adapts:
            raise Unsupported(f"adaptation: {self.name} has no thresholds that follow the spikes; the reference does")

    def version(self) -> str:
        """Version of the framework, from the metadata of its packages."""
        return framework_version(self.name)

    @abstractmethod
    def route(self, spec: NeuronSpec) -> Route:
        """How this framework computes `spec`.

        Raises:
            Unsupported: it cannot.
        """

    @abstractmethod
    def neuron(
        self, spec: NeuronSpec, shape: tuple[int, ...], *, generator: torch.Generator | None = None
    ) -> SpikingLayer:
        """A layer of neurons of `spec` with features of `shape`.

        Raises:
            Unsupported: the framework cannot express the spec.
        """

    def known_neurons(self) -> Mapping[type[nn.Module], NeuronClass]:
        """The framework's own classes of neurons, as models of its users hold them."""
        return {}

    def forget(self, module: nn.Module) -> None:
        """Bring a module of the framework's, if it is one that remembers earlier calls, to its first state.

        Models of users are reset by this, one module after the other, and never by a function of the framework's that
        knows only some of its classes.
        """
        return

    def stage(self, norm: nn.Module, neurons: nn.Module, pool: nn.Module | None) -> StageForm | None:
        """A form that computes a stage of these modules as one; None where there is none, as in most frameworks."""
        return None

    def variants(self) -> Mapping[str, FrameworkNeuron]:
        """Its classes with every other surrogate and reset: layers for golden traces beside the registered neurons."""
        return {}

    def stated(self) -> Mapping[str, Stated]:
        """What the documentation of its classes states, by class and options; compared in the matrix of versions."""
        return {}

    @abstractmethod
    def native(self, shape: tuple[int, ...]) -> nn.Module:
        """The framework's own LIF with its own defaults: currents ``[T, B, *shape]`` to spikes of the same shape."""

    def from_nir(self, graph: Any, dt: float) -> GraphModel:
        """A `nir.NIRGraph` through the framework's own importer, which may change the graph it is given.

        Args:
            graph: to import.
            dt: length of a step in seconds, where the importer takes one.

        Raises:
            Unsupported: the framework has no importer.
        """
        raise Unsupported(f"nir: {self.name} has no importer of NIR graphs")


def _requiring(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def checked(self: Adapter, spec: NeuronSpec, *arguments: Any, **options: Any) -> Any:
        self.require(spec)
        return method(self, spec, *arguments, **options)

    return checked


def device_of(model: nn.Module) -> torch.device:
    """Where a network's parameters are; the CPU for one that has none."""
    parameter = next(model.parameters(), None)
    return torch.device("cpu") if parameter is None else parameter.device


def _first_raw(learnable: Learnable, shape: tuple[int, ...], generator: torch.Generator | None) -> Tensor:
    sizes = {
        "fixed": (),
        "layer": (),
        "channel": (shape[0], *(1 for _ in shape[1:])),
        "neuron": shape,
    }
    value = _inverse(learnable)
    raw = torch.full(sizes[learnable.scope], value)
    if learnable.jitter:
        raw = raw + learnable.jitter * torch.randn(raw.shape, generator=generator)
    return raw


def _inverse(learnable: Learnable) -> float:
    y = learnable.init
    match learnable.transform:
        case "identity":
            return y
        case "sigmoid":
            return math.log(y / (1 - y))
        case "tanh":
            return math.atanh(y)
        case "softplus":
            return y + math.log(-math.expm1(-y))
        case "exp":
            return math.log(y)


def _effective(raw: Tensor, learnable: Learnable) -> Tensor:
    match learnable.transform:
        case "identity":
            return raw
        case "sigmoid":
            return torch.sigmoid(raw)
        case "tanh":
            return torch.tanh(raw)
        case "softplus":
            return nn.functional.softplus(raw)
        case "exp":
            return torch.exp(raw)


def neurons_of(model: nn.Module) -> list[Neurons]:
    """All neurons of a model that may hold learned parameters, in the order of its modules."""
    return [module for module in model.modules() if isinstance(module, Neurons)]
