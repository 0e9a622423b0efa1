"""The LIF that rate-based backpropagation is published with."""

from __future__ import annotations

from spikemark.core.neurons import Learnable, NeuronSpec, Surrogate

NEURONS = {
    "lif-soft": NeuronSpec(
        decay=Learnable(0.2),
        threshold=Learnable(1.0),
        decay_input=False,
        reset="subtract",
        detach_reset=True,
        fires_at_threshold=True,
        surrogate=Surrogate("sigmoid", alpha=4.0),
        source="Rate-based backpropagation: Yu et al., NeurIPS 2024",
    ),
}
