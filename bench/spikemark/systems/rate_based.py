"""Rate-based backpropagation beside backpropagation through time, on the suite's own two networks.

The neuron is the paper's: decay 0.2, soft detached reset, sigmoid surrogate. Loss, optimiser and readout are those of
the other rows (the paper: cross-entropy on a readout without neurons, SGD), so that the rule alone differs.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from spikemark.neurons import NEURONS
from spikemark.systems.system import System


def _rows() -> dict[str, System]:
    rows: dict[str, System] = {}
    source = NEURONS["lif-soft"].source
    for network in ("mlp", "convnet"):
        rows[f"{network}-lif-soft"] = System("lif-soft", network, f"{source}; its BPTT baseline")
        for rule in ("rate-m", "rate-s"):
            rows[f"{network}-{rule}"] = System("lif-soft", network, source, rule=rule)
        rows[f"{network}-stl-rate-m"] = System(
            "stl", network, f"{source}, with the thresholds of {NEURONS['stl'].source} (ours)", rule="rate-m"
        )
    return rows


RATE_ROWS: Mapping[str, System] = MappingProxyType(_rows())
