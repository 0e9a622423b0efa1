"""Models that a function builds: the decorator `model` makes one a contender of suites under its own name.

This module imports no torch: suites plan with names alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast, get_args

from spikemark.core.neurons import NetworkNeuron
from spikemark.errors import InputError
from spikemark.registry import Registry, register, registry
from spikemark.training.system import System

if TYPE_CHECKING:
    from torch import nn

    from spikemark.networks.stages import MakeNeurons, MakeNorm

Layout = Literal["TB", "BT", "B", "step"]
Build = Callable[[tuple[int, ...], int, int], "nn.Module"]
"""``build(input_shape, classes, steps)``: from the shape of one sample, the number of classes and T to a module."""


@dataclass(frozen=True)
class Model:
    """A module of a user's own, made by a function.

    Attributes:
        name: as users write it in suites.
        build: see `Build`.
        framework: whose neurons it is made of, for the tables; "torch" for plain PyTorch.
        layout: of its input: "TB" ``[T, B, *shape]``, "BT" ``[B, T, *shape]``, "B" ``[B, *shape]`` for a model that
            keeps its own loop over time, or "step" ``[B, *shape]`` for one that is called once per step and keeps its
            states from call to call, or hands them on.
        steps: T that it is made for; None for whatever a suite asks for.
        source: the publication, or whose it is.
    """

    name: str
    build: Build
    framework: str
    layout: Layout
    steps: int | None = None
    source: str = ""

    def network(
        self,
        input_shape: tuple[int, ...],
        classes: int,
        neurons: MakeNeurons,
        norm: MakeNorm,
        *,
        steps: int | None = None,
    ) -> nn.Module:
        """The model as an entry of `spikemark.networks.build.NETWORKS`.

        Raises:
            InputError: it is made for another number of steps, the number is not known, or `build` gives no module.
        """
        from spikemark.models.wrapping import BuiltModel

        own = self.steps if self.steps is not None else steps
        if own is None:
            raise InputError(f"model {self.name!r}: the number of steps must be given")
        if self.layout != "B" and steps not in (None, own):
            raise InputError(f"model {self.name!r}: it is made for {own} steps, and the suite's encoding has {steps}")
        return BuiltModel(self.name, self.build(input_shape, classes, own), self.layout, classes)


MODELS: Registry[Model] = registry("model")


def model(
    name: str, *, framework: str, layout: str = "TB", steps: int | None = None, source: str = ""
) -> Callable[[Build], Build]:
    """Register a function that builds a model, and a system of that name which backpropagation through time trains.

    A system with another rule is ``System(name, name, rule, normalization="none")``.

    Args:
        name: as users write it in suites, among the systems.
        framework: whose neurons the model is made of; it runs under this name alone.
        layout: of its input, see `Model`.
        steps: T that it is made for; None for whatever a suite asks for.
        source: the publication, or whose it is.

    Raises:
        InputError: there is no such layout, or `steps` is below 1.
        spikemark.registry.PluginError: the name is taken; the message names both origins.
    """
    if layout not in get_args(Layout):
        raise InputError(f"model {name!r}: layout {layout!r} is not one of {', '.join(get_args(Layout))}")
    if steps is not None and steps < 1:
        raise InputError(f"model {name!r}: steps: {steps} is below 1")

    def keep(build: Build) -> Build:
        made = Model(name, build, framework, cast("Layout", layout), steps, source)
        neurons = NetworkNeuron(f"neurons of the model {name}, written for {framework}", framework, source)
        register("model", name, made, source=source)
        register("neuron", name, neurons, source=source)
        register("network", name, made.network, source=source)
        register("system", name, System(name, name, normalization="none", source=source), source=source)
        return build

    return keep
