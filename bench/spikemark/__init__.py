"""Spikemark: identical accuracy, robustness, energy and throughput benchmarks for spiking networks across frameworks.

Importing the package imports no framework, and torch only when a name that needs it is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from spikemark.neurons import NEURONS, Learnable, NeuronSpec, Surrogate

if TYPE_CHECKING:
    from spikemark.adapter import adapter_names, get_adapter
    from spikemark.measures.energy import count_operations
    from spikemark.results import load_results
    from spikemark.systems import SYSTEMS

__version__ = "0.1.0"
__all__ = [
    "NEURONS",
    "SYSTEMS",
    "Learnable",
    "NeuronSpec",
    "Surrogate",
    "adapter_names",
    "count_operations",
    "get_adapter",
    "load_results",
]

_LAZY = {
    "SYSTEMS": "spikemark.systems",
    "adapter_names": "spikemark.adapter",
    "get_adapter": "spikemark.adapter",
    "count_operations": "spikemark.measures.energy",
    "load_results": "spikemark.results",
}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
