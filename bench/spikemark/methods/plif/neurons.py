"""LIF with a learned decay (PLIF), and its fixed baselines."""

from __future__ import annotations

from spikemark.core.neurons import Learnable, NeuronSpec, Surrogate

NEURONS = {
    "lif": NeuronSpec(
        decay=Learnable(0.5),
        threshold=Learnable(1.0),
        decay_input=True,
        reset="zero",
        detach_reset=True,
        fires_at_threshold=True,
        surrogate=Surrogate("atan", alpha=2.0),
        source="LIF with tau = 2, the fixed baseline of Fang et al., ICCV 2021 (arXiv 2007.05785)",
    ),
    "plif": NeuronSpec(
        decay=Learnable(0.5, "layer", "sigmoid"),
        threshold=Learnable(1.0),
        decay_input=True,
        reset="zero",
        detach_reset=True,
        fires_at_threshold=True,
        surrogate=Surrogate("atan", alpha=2.0),
        source="PLIF, tau0 = 2: Fang et al., ICCV 2021 (arXiv 2007.05785)",
    ),
    "lif16": NeuronSpec(
        decay=Learnable(0.9375),
        threshold=Learnable(1.0),
        decay_input=True,
        reset="zero",
        detach_reset=True,
        fires_at_threshold=True,
        surrogate=Surrogate("atan", alpha=2.0),
        source="LIF with tau = 16, a fixed baseline of Fang et al., ICCV 2021 (arXiv 2007.05785)",
    ),
    "plif16": NeuronSpec(
        decay=Learnable(0.9375, "layer", "sigmoid"),
        threshold=Learnable(1.0),
        decay_input=True,
        reset="zero",
        detach_reset=True,
        fires_at_threshold=True,
        surrogate=Surrogate("atan", alpha=2.0),
        source="PLIF, tau0 = 16: Fang et al., ICCV 2021 (arXiv 2007.05785)",
    ),
}
