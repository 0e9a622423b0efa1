"""The neuron of LTMD: one learned threshold per layer."""

from __future__ import annotations

import math

from spikemark.core.neurons import Learnable, NeuronSpec, Surrogate

NEURONS = {
    "lt": NeuronSpec(
        decay=Learnable(0.25),
        threshold=Learnable(math.tanh(0.5), "layer", "tanh"),
        decay_input=False,
        reset="zero",
        detach_reset=False,
        fires_at_threshold=False,
        surrogate=Surrogate("rectangle", alpha=1.0),
        source="Learnable threshold of LTMD: Wang, Cheng and Lim, NeurIPS 2022",
    ),
}
