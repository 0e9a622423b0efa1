"""The neuron of first-spike networks."""

from __future__ import annotations

from spikemark.core.neurons import Learnable, NeuronSpec, Surrogate

# Only its first spike counts, so its reset does not; no rule here uses the surrogate.
NEURONS = {
    "if": NeuronSpec(
        decay=Learnable(1.0),
        threshold=Learnable(1.0, "neuron"),
        decay_input=False,
        reset="zero",
        detach_reset=True,
        fires_at_threshold=False,
        surrogate=Surrogate("atan", alpha=2.0),
        source="non-leaky, of first-spike networks: Goupy, Tirilly and Bilasco, NeurIPS 2024 (arXiv 2410.17066)",
    ),
}
