"""Claims of other publications on learned thresholds, and the controls that a referee would ask for."""

from __future__ import annotations

from spikemark.core.claims import Claim, contrast

_OURS = "Ours: a control"


CLAIMS = (
    Claim(
        "learned-thresholds-fire-more",
        "Thresholds learned by gradients raise firing rates",
        "DS-ATGO, AAAI 2026, of DIET-SNN and LTMD",
        "in words only (figure 8 there)",
        (
            contrast("mlp-lt", "mlp-lt-sl", "higher", "firing rate", 2),
            contrast("mlp-stl", "mlp-stl-sl", "higher", "firing rate", 2),
        ),
    ),
    Claim(
        "threshold-or-gain",
        "Behind a batch norm the threshold of a layer does no more than the norm's gain",
        _OURS,
        "none",
        (
            contrast("mlp-lt-gamma", "mlp-lt-no-gamma", "equal"),
            contrast("mlp-lt-sl", "mlp-lt", "not lower"),
        ),
    ),
    Claim(
        "thresholds-alone",
        "Thresholds alone learn no more than the norm's gains alone",
        _OURS,
        "none",
        (contrast("mlp-stl-gamma", "mlp-stl-tl", "not lower"),),
    ),
    Claim(
        "threshold-learning-rate",
        "The learning rate of thresholds hardly matters",
        _OURS,
        "none",
        tuple(
            contrast(f"mlp-{neuron}-threshold-lr-x{factor}", f"mlp-{neuron}", "equal")
            for neuron in ("stl", "lt")
            for factor in ("0.1", "10")
        ),
    ),
    Claim(
        "threshold-weight-decay",
        "Weight decay on thresholds hardly matters",
        _OURS,
        "none",
        tuple(contrast(f"mlp-{neuron}-wd", f"mlp-{neuron}-wd-weights", "equal") for neuron in ("stl", "lt")),
    ),
    Claim(
        "adaptive-threshold",
        "A threshold that follows the spikes, without learning, beats a fixed one",
        "LSNN: Bellec et al., NeurIPS 2018",
        "sequential MNIST above 96; no such comparison",
        (contrast("mlp-alif", "mlp-lif"),),
    ),
)
