"""Spikemark: identical accuracy, robustness, energy and throughput benchmarks for spiking networks across frameworks.

Importing the package imports no framework, and everything heavy only when a name that needs it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikemark.api import (
        Results,
        claim,
        compare,
        conformance,
        dataset,
        encoder,
        load_results,
        measure,
        model,
        network,
        neuron,
        noise,
        register,
        report,
        robustness,
        rule,
        run,
    )
    from spikemark.core.adapter import Adapter, Route, SpikingLayer, Unsupported
    from spikemark.core.frameworks import adapter_names, get_adapter
    from spikemark.core.neurons import NEURONS, Adaptation, Learnable, NeuronSpec, Surrogate
    from spikemark.data.arrays import from_arrays, from_tonic, from_torch
    from spikemark.measures.counting.operations import count_operations
    from spikemark.training.bptt import Bptt
    from spikemark.training.rule import Optimizer
    from spikemark.training.system import SYSTEMS, System

__version__ = "0.2.0"

_API = (
    "Results", "claim", "compare", "conformance", "dataset", "encoder", "load_results", "measure", "model", "network",
    "neuron", "noise", "register", "report", "robustness", "rule", "run",
)  # fmt: skip
_LAZY = {
    **dict.fromkeys(_API, "spikemark.api"),
    **dict.fromkeys(("Adapter", "Route", "SpikingLayer", "Unsupported"), "spikemark.core.adapter"),
    **dict.fromkeys(("adapter_names", "get_adapter"), "spikemark.core.frameworks"),
    **dict.fromkeys(("NEURONS", "Adaptation", "Learnable", "NeuronSpec", "Surrogate"), "spikemark.core.neurons"),
    **dict.fromkeys(("from_arrays", "from_tonic", "from_torch"), "spikemark.data.arrays"),
    "count_operations": "spikemark.measures.counting.operations",
    "Bptt": "spikemark.training.bptt",
    "Optimizer": "spikemark.training.rule",
    **dict.fromkeys(("SYSTEMS", "System"), "spikemark.training.system"),
}

__all__ = [
    "NEURONS", "SYSTEMS", "Adaptation", "Adapter", "Bptt", "Learnable", "NeuronSpec", "Optimizer", "Results", "Route",
    "SpikingLayer", "Surrogate", "System", "Unsupported", "adapter_names", "claim", "compare", "conformance",
    "count_operations", "dataset", "encoder", "from_arrays", "from_tonic", "from_torch", "get_adapter", "load_results",
    "measure", "model", "network", "neuron", "noise", "register", "report", "robustness", "rule", "run",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
