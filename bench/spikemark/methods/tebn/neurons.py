"""The LIF that TEBN is published with."""

from __future__ import annotations

from spikemark.core.neurons import Learnable, NeuronSpec, Surrogate

NEURONS = {
    "lif-tebn": NeuronSpec(
        decay=Learnable(0.25),
        threshold=Learnable(1.0),
        decay_input=False,
        reset="zero",
        detach_reset=False,
        fires_at_threshold=False,
        surrogate=Surrogate("triangle", alpha=1.0),
        source="LIF of TEBN: Duan et al., NeurIPS 2022",
    ),
}
