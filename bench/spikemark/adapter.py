"""What a framework must provide to take part: `Adapter` and `SpikingLayer`, found through entry points.

An adapter turns a `NeuronSpec` into a layer of its framework. This module owns the parameters of such a layer
(scopes, transforms, first values), so that every framework trains the very same ones; the dynamics are the
framework's. It imports no framework: adapters are loaded by name, when asked for.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from spikemark.errors import InputError, unknown
from spikemark.neurons import Learnable, NeuronSpec

ENTRY_POINT_GROUP = "spikemark.adapters"


class Unsupported(ValueError):
    """The framework cannot express the spec; the message says which field, and why."""


class MissingFramework(InputError, ImportError):
    """The adapter is known, but its framework is not installed; the message holds the command that installs it."""


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


class SpikingLayer(nn.Module, ABC):
    """A layer of spiking neurons, stateless between calls.

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
        for name, learnable in (("threshold", spec.threshold), ("decay", spec.decay)):
            raw = _first_raw(learnable, self.shape, generator)
            if learnable.learned:
                self.register_parameter(f"raw_{name}", nn.Parameter(raw))
            else:
                self.register_buffer(f"raw_{name}", raw)

    @property
    def threshold(self) -> Tensor:
        """Effective thresholds, broadcastable to `shape`."""
        return _effective(self.get_parameter_or_buffer("threshold"), self.spec.threshold)

    @property
    def decay(self) -> Tensor:
        """Effective decay ``a``, broadcastable to `shape`."""
        return _effective(self.get_parameter_or_buffer("decay"), self.spec.decay)

    def get_parameter_or_buffer(self, name: Literal["threshold", "decay"]) -> Tensor:
        """The raw tensor behind `threshold` or `decay`, trained or not."""
        raw = getattr(self, f"raw_{name}")
        assert isinstance(raw, Tensor)
        return raw

    def learnables(self) -> dict[str, nn.Parameter]:
        """The raw trainable parameters, under "threshold" and "decay"."""
        raw = {name: self.get_parameter_or_buffer(name) for name in ("threshold", "decay")}
        return {name: tensor for name, tensor in raw.items() if isinstance(tensor, nn.Parameter)}

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


class Adapter(ABC):
    """One framework.

    Attributes:
        name: as users write it, the entry point's name.
    """

    name: str

    @abstractmethod
    def version(self) -> str:
        """Version of the framework."""

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

    @abstractmethod
    def native(self, shape: tuple[int, ...]) -> nn.Module:
        """The framework's own LIF with its own defaults: currents ``[T, B, *shape]`` to spikes of the same shape."""


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


@cache
def _entry_points() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda e: e.name)}


def adapter_names() -> tuple[str, ...]:
    """Names of all adapters that installed packages announce, whether or not their framework is installed."""
    return tuple(_entry_points())


def install_command(name: str) -> str:
    """The pip command that installs the framework of the adapter `name`."""
    distribution = _entry_points()[name].dist
    package = distribution.name if distribution is not None else "spikemark"
    return f"pip install '{package}[{name}]'"


@cache
def get_adapter(name: str) -> Adapter:
    """The adapter called `name`.

    Raises:
        UnknownNameError: no such adapter; the message lists the known ones.
        MissingFramework: its framework is not installed.
    """
    known = _entry_points()
    if name not in known:
        raise unknown("adapter", name, known)
    try:
        loaded = known[name].load()
    except ModuleNotFoundError as error:
        message = f"the framework of adapter {name!r} is not installed ({error}): {install_command(name)}"
        raise MissingFramework(message) from error
    adapter: Adapter = loaded()
    return adapter
