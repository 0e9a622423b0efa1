"""The neuron of DIET-SNN: one learned threshold and decay per layer."""

from __future__ import annotations

from spikemark.core.neurons import Learnable, NeuronSpec, Surrogate

# DIET-SNN sets its first thresholds from a trained ANN; without one, 1.0 is our stand-in.
# Its leak may grow to 1 but is clamped there; 0.95 with a sigmoid keeps it inside (ours).
NEURONS = {
    "diet": NeuronSpec(
        decay=Learnable(0.95, "layer", "sigmoid"),
        threshold=Learnable(1.0, "layer"),
        decay_input=False,
        reset="subtract",
        detach_reset=True,
        fires_at_threshold=False,
        surrogate=Surrogate("triangle", alpha=1.0, scale=0.3, relative=True),
        source="DIET-SNN: Rathi and Roy, IEEE TNNLS 34(6), 2023 (arXiv 2008.03658)",
    ),
}
