"""The neuron of STL-SNN: one learned threshold per neuron."""

from __future__ import annotations

from spikemark.core.neurons import Learnable, NeuronSpec, Surrogate

NEURONS = {
    "stl": NeuronSpec(
        decay=Learnable(0.5),
        threshold=Learnable(2.0, "neuron", jitter=1e-4),
        decay_input=False,
        reset="zero",
        detach_reset=False,
        fires_at_threshold=True,
        surrogate=Surrogate("atan", alpha=2.0),
        source="STL-SNN: Sun et al., IEEE TCDS 16(2), 2024 (arXiv 2206.06129)",
    ),
}
