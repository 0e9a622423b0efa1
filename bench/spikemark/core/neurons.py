"""What a spiking neuron is: the spec of its dynamics, free of any framework; or a neuron that no spec can say.

This module knows nothing of tensors, frameworks or training; a spec is plain, frozen, hashable data.
The dynamics of one layer, for currents ``x[t]`` (``v[0] = 0``)::

    u[t] = a * v[t-1] + b * x[t]          b = 1, or 1 - a with decay_input
    o[t] = H(u[t] - theta[t])             H(0) = 1 with fires_at_threshold, else 0
    v[t] = u[t] * (1 - o[t])              reset "zero"
         | u[t] - theta * o[t]            reset "subtract"
         | u[t]                           reset "none"

The threshold is constant, ``theta[t] = theta``, unless it adapts (Bellec et al., NeurIPS 2018, arXiv 1803.09574)::

    theta[t] = theta + strength * e[t],   e[t+1] = rho * e[t] + (1 - rho) * o[t],   e[0] = 0
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from spikemark.core.options import checked
from spikemark.errors import InputError, explain
from spikemark.registry import Registry, register, registry

if TYPE_CHECKING:
    from torch import nn

Scope = Literal["fixed", "layer", "channel", "neuron"]
Transform = Literal["identity", "sigmoid", "tanh", "softplus", "exp"]
Reset = Literal["zero", "subtract", "none"]
SurrogateName = Literal["atan", "superspike", "sigmoid", "triangle", "rectangle"]
ParameterName = Literal["threshold", "decay", "adaptation_decay", "adaptation_strength"]
"""What a spec may have learned, in the order in which layers hold it."""

_TRANSFORM_RANGE: Mapping[str, tuple[float, float]] = {
    "identity": (-math.inf, math.inf),
    "sigmoid": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "softplus": (0.0, math.inf),
    "exp": (0.0, math.inf),
}


@checked
class Learnable:
    """A parameter of the neuron, fixed or trained.

    Attributes:
        init: the effective value at the start; the raw parameter is its inverse transform.
        scope: "fixed" (never trained), or one value per "layer", per "channel" (first feature axis) or per "neuron".
        transform: map from the raw to the effective value.
        jitter: standard deviation of a Gaussian added to the raw parameter at the start.
    """

    init: float
    scope: Scope = "fixed"
    transform: Transform = "identity"
    jitter: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        low, high = _TRANSFORM_RANGE[self.transform]
        if not low < self.init < high:
            raise ValueError(
                f"init: {self.init} lies outside the range ({low}, {high}) of the transform {self.transform!r}"
            )
        return self

    @property
    def learned(self) -> bool:
        """Whether training may change it."""
        return self.scope != "fixed"


@checked
class Surrogate:
    """Stand-in for the derivative of the Heaviside step, as a function of ``z = u - theta``.

    ==========  =====================================================
    atan        ``(alpha / 2) / (1 + (pi / 2 * alpha * z) ** 2)``
    superspike  ``1 / (1 + alpha * abs(z)) ** 2``
    sigmoid     ``alpha * s(alpha * z) * (1 - s(alpha * z))``
    triangle    ``max(0, 1 - abs(z) / alpha) / alpha``
    rectangle   ``1 / alpha`` where ``abs(z) < alpha / 2``, else 0
    ==========  =====================================================

    each times ``scale``. With ``relative``, ``z = (u - theta) / theta`` and gradients follow the quotient.
    """

    name: SurrogateName
    alpha: Annotated[float, Field(gt=0)]
    scale: Annotated[float, Field(gt=0)] = 1.0
    relative: bool = False


@checked
class Adaptation:
    """A threshold that follows the neuron's own spikes (see the module's equations).

    Attributes:
        decay: ``rho``, the fraction of the excess that is left after a step; between 0 and 1.
        strength: rise of the threshold for a lasting rate of 1.
    """

    decay: Learnable
    strength: Learnable

    @model_validator(mode="after")
    def _in_range(self) -> Self:
        _check_unit("decay", self.decay)
        return self


@checked
class NeuronSpec:
    """The discrete dynamics of a layer of spiking neurons (see the module's equations).

    Attributes:
        decay: ``a``, the factor that the membrane keeps each step; between 0 and 1.
        threshold: ``theta``.
        decay_input: whether currents are scaled by ``1 - a``.
        reset: what a spike does to the membrane: set it to "zero", "subtract" the threshold, or "none".
        detach_reset: whether the reset passes no gradient through the spike nor the threshold.
        fires_at_threshold: whether ``u == theta`` is a spike.
        surrogate: the derivative used for the spike.
        adaptation: of the threshold to the neuron's own spikes; None where it is constant.
        source: the publication; not part of the dynamics, so it takes no part in equality, hash or JSON.

    Raises:
        InputError: a field is out of its range; the message begins with the field's path.
    """

    decay: Learnable
    threshold: Learnable
    decay_input: bool
    reset: Reset
    detach_reset: bool
    fires_at_threshold: bool
    surrogate: Surrogate
    adaptation: Adaptation | None = None
    source: str = field(default="", compare=False)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.surrogate.relative and not self.threshold.init > 0:
            raise ValueError("threshold.init: a relative surrogate divides by it: must be positive")
        _check_unit("decay", self.decay)
        return self

    @property
    def framework(self) -> None:
        """The only framework that has it: none, every adapter may be asked for a spec."""
        return None

    @property
    def parameters(self) -> dict[ParameterName, Learnable]:
        """Everything that may be learned, by name, in the order in which layers hold it."""
        found: dict[ParameterName, Learnable] = {"threshold": self.threshold, "decay": self.decay}
        if self.adaptation is not None:
            found |= {"adaptation_decay": self.adaptation.decay, "adaptation_strength": self.adaptation.strength}
        return found

    def to_dict(self) -> dict[str, Any]:
        """The dynamics as plain data (without ``source``; without ``adaptation`` where there is none)."""
        data = asdict(self)
        del data["source"]
        if self.adaptation is None:
            del data["adaptation"]
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> NeuronSpec:
        """The spec that `to_dict` wrote.

        Raises:
            InputError: a field is missing, unknown or out of range; the message names it.
        """
        return cls.from_json(json.dumps(data))

    def to_json(self) -> str:
        """The dynamics as JSON with sorted keys; equal specs give equal text."""
        return json.dumps(self.to_dict(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> NeuronSpec:
        """The spec that `to_json` wrote.

        Raises:
            InputError: not JSON, or not a neuron spec.
        """
        try:
            return _reader().validate_json(text)
        except ValidationError as error:
            names = [name for name in cls.__dataclass_fields__ if name != "source"]
            raise InputError(f"neuron spec: {explain(error, names)}") from None


@cache
def _reader() -> TypeAdapter[NeuronSpec]:
    return TypeAdapter(NeuronSpec)


def _check_unit(name: str, decay: Learnable) -> None:
    if not 0 <= decay.init <= 1:
        raise ValueError(f"{name}.init: {decay.init} lies outside [0, 1]")


@dataclass(frozen=True)
class FrameworkNeuron:
    """A framework's own class, or a user's module: a neuron that no spec can say, in one framework.

    Attributes:
        framework: whose it is; "torch" for plain PyTorch.
        make: ``make(shape, *, generator=None) -> nn.Module``: currents ``[T, B, *shape]`` to spikes of the same shape.
            It is told ``steps``, the number T, where it has an argument of that name.
        learned: names of the module's parameters that are thresholds, decays and the like; a module that is
            `spikemark.core.adapter.OwnNeurons` knows them itself.
        source: the publication, or whose it is.
        about: what is made, in a line, for the reports.
        lacks: why the framework does not have such a neuron; "" where it does.
    """

    framework: str
    make: Callable[..., nn.Module]
    learned: tuple[str, ...] = ()
    source: str = ""
    about: str = ""
    lacks: str = ""


@dataclass(frozen=True)
class NetworkNeuron:
    """A neuron that only its own network computes, in plain PyTorch or compiled, whatever the frameworks.

    Attributes:
        why: what it is, for the reports.
        framework: under whose name it runs.
        source: the publication.
    """

    why: str
    framework: str = "reference"
    source: str = ""


Neuron = NeuronSpec | FrameworkNeuron | NetworkNeuron
NEURONS: Registry[Neuron] = registry("neuron")


def own_neurons(frameworks: Collection[str]) -> tuple[str, ...]:
    """Names of the own neurons of some frameworks, which are called ``framework:class``."""
    return tuple(name for name in NEURONS if ":" in name and name.partition(":")[0] in frameworks)


def neuron(
    name: str, *, framework: str, learned: tuple[str, ...] = (), source: str = ""
) -> Callable[[Callable[..., nn.Module]], Callable[..., nn.Module]]:
    """Register a function that makes a layer of neurons, as `FrameworkNeuron.make` says.

    Args:
        name: as users write it in suites.
        framework: whose neurons these are; "torch" for plain PyTorch.
        learned: names of the module's parameters that learn beside the weights.
        source: the publication, or whose it is.
    """

    def keep(make: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
        register("neuron", name, FrameworkNeuron(framework, make, tuple(learned), source), source=source)
        return make

    return keep
