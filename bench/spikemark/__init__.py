"""Spikemark: identical accuracy, robustness, energy and throughput benchmarks for spiking networks across frameworks.

Importing the package imports no framework, and everything heavy only when a name that needs it is used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikemark.api import (
        Results,
        claim,
        compare,
        conformance,
        energy_table,
        evaluate,
        load_results,
        measure,
        network,
        register,
        report,
        robustness,
        rule,
        run,
    )
    from spikemark.core.adapter import Adapter, Route, SpikingLayer, Unsupported
    from spikemark.core.frameworks import adapter_names, get_adapter
    from spikemark.core.neurons import NEURONS, Adaptation, Learnable, NeuronSpec, Surrogate, neuron
    from spikemark.data.arrays import dataset, from_arrays, from_tonic, from_torch
    from spikemark.data.encoders import encoder
    from spikemark.measures.counting.operations import count_operations
    from spikemark.measures.counting.rules import count_rule
    from spikemark.models.model import model
    from spikemark.noise.case import noise
    from spikemark.training.bptt import Bptt
    from spikemark.training.rule import Optimizer
    from spikemark.training.system import SYSTEMS, System

__version__ = "0.2.0"

_HOMES = {
    "spikemark.api": (
        "Results", "claim", "compare", "conformance", "energy_table", "evaluate", "load_results", "measure", "network",
        "register", "report", "robustness", "rule", "run",
    ),
    "spikemark.core.adapter": ("Adapter", "Route", "SpikingLayer", "Unsupported"),
    "spikemark.core.frameworks": ("adapter_names", "get_adapter"),
    "spikemark.core.neurons": ("NEURONS", "Adaptation", "Learnable", "NeuronSpec", "Surrogate", "neuron"),
    "spikemark.data.arrays": ("dataset", "from_arrays", "from_tonic", "from_torch"),
    "spikemark.data.encoders": ("encoder",),
    "spikemark.measures.counting.operations": ("count_operations",),
    "spikemark.measures.counting.rules": ("count_rule",),
    "spikemark.models.model": ("model",),
    "spikemark.noise.case": ("noise",),
    "spikemark.training.bptt": ("Bptt",),
    "spikemark.training.rule": ("Optimizer",),
    "spikemark.training.system": ("SYSTEMS", "System"),
}  # fmt: skip
_LAZY = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "NEURONS", "SYSTEMS", "Adaptation", "Adapter", "Bptt", "Learnable", "NeuronSpec", "Optimizer", "Results", "Route",
    "SpikingLayer", "Surrogate", "System", "Unsupported", "adapter_names", "claim", "compare", "conformance",
    "count_operations", "count_rule", "dataset", "encoder", "energy_table", "evaluate", "from_arrays", "from_tonic",
    "from_torch", "get_adapter", "load_results", "measure", "model", "network", "neuron", "noise", "register", "report",
    "robustness", "rule", "run",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])


class _Function(ModuleType):
    """A package that shares its name with a function of the API, and is called as that."""

    def __call__(self, *values: Any, **options: Any) -> Any:
        name = self.__name__.rpartition(".")[2]
        return getattr(import_module(_LAZY[name]), name)(*values, **options)


class _Package(ModuleType):
    """This package: once `noise` and `report` are imported, their names are no less those of functions."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _LAZY and isinstance(value, ModuleType):
            value.__class__ = _Function
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
