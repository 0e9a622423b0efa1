"""Rate-based backpropagation beside backpropagation through time, on the suite's own two networks.

The neuron is the paper's: decay 0.2, soft detached reset, sigmoid surrogate. Loss, optimiser and readout are those of
the other rows (the paper: cross-entropy on a readout without neurons, SGD), so that the rule alone differs.
"""

from __future__ import annotations

from typing import Any

from spikemark.methods.rate_based.neurons import NEURONS
from spikemark.methods.rate_based.options import RateM, RateS
from spikemark.methods.stl.neurons import NEURONS as STL
from spikemark.training.bptt import Bptt
from spikemark.training.system import System

_SOURCE = NEURONS["lif-soft"].source


def _rows(name: str, network: str, **options: Any) -> dict[str, System]:
    return {
        f"{name}-{row}": System(neuron, network, rule, options=options, source=source)
        for row, neuron, rule, source in (
            ("lif-soft", "lif-soft", Bptt(), f"{_SOURCE}; its BPTT baseline"),
            ("rate-m", "lif-soft", RateM(), _SOURCE),
            ("rate-s", "lif-soft", RateS(), _SOURCE),
            ("stl-rate-m", "stl", RateM(), f"{_SOURCE}, with the thresholds of {STL['stl'].source} (ours)"),
        )
    }


SYSTEMS = _rows("mlp", "mlp") | _rows("convnet", "convnet") | _rows("convnet-wide", "convnet", channels=(64, 128))
