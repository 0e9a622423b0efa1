"""Rate-based backpropagation beside backpropagation through time, on the suite's own two networks.

The neuron is the paper's: decay 0.2, soft detached reset, sigmoid surrogate. Loss, optimiser and readout are those of
the other rows (the paper: cross-entropy on a readout without neurons, SGD), so that the rule alone differs.
"""

from __future__ import annotations

from spikemark.methods.rate_based.neurons import NEURONS
from spikemark.methods.rate_based.options import RateM, RateS
from spikemark.methods.stl.neurons import NEURONS as STL
from spikemark.training.system import System

_SOURCE = NEURONS["lif-soft"].source


def _ours(network: str) -> dict[str, System]:
    return {
        f"{network}-lif-soft": System("lif-soft", network, source=f"{_SOURCE}; its BPTT baseline"),
        f"{network}-rate-m": System("lif-soft", network, RateM(), source=_SOURCE),
        f"{network}-rate-s": System("lif-soft", network, RateS(), source=_SOURCE),
        f"{network}-stl-rate-m": System(
            "stl", network, RateM(), source=f"{_SOURCE}, with the thresholds of {STL['stl'].source} (ours)"
        ),
    }


SYSTEMS = _ours("mlp") | _ours("convnet")
