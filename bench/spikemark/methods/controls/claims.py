"""Claims of other publications on learned thresholds, and the controls that a referee would ask for."""

from __future__ import annotations

from collections.abc import Mapping

from spikemark.core.claims import Claim, Learned, Side, contrast

_OURS = "Ours: a control"
_SETUP = (
    "ours: small MLP and convnet, joint batch norm, direct encoding, Adam with a cosine; learning rates of weights and "
    "thresholds tuned for each arm"
)
_MOVES: Mapping[Side, Learned] = {"first": "threshold"}
_WHERE = ("fashion-mnist",)


CLAIMS = (
    Claim(
        "learned-thresholds-fire-more",
        "Thresholds learned by gradients raise firing rates",
        "DS-ATGO, AAAI 2026, of DIET-SNN and LTMD",
        "in words only (figure 8 there)",
        tuple(
            contrast(f"{network}-{first}", f"{network}-{second}", "higher", "firing rate", 2, learned=_MOVES)
            for network in ("mlp", "convnet")
            for first, second in (("lt", "lt-sl"), ("stl", "stl-sl"))
        ),
        _SETUP,
        _WHERE,
    ),
    Claim(
        "threshold-or-gain",
        "Behind a batch norm the threshold of a layer does no more than the norm's gain",
        _OURS,
        "none",
        (
            contrast("mlp-lt-gamma", "mlp-lt-no-gamma", "equal", learned={"second": "threshold"}),
            contrast("mlp-lt-sl", "mlp-lt", "not lower", learned={"second": "threshold"}),
            contrast("convnet-lt-sl", "convnet-lt", "not lower", learned={"second": "threshold"}),
        ),
        _SETUP,
        _WHERE,
    ),
    Claim(
        "thresholds-alone",
        "Thresholds alone learn no more than the norm's gains alone",
        _OURS,
        "none",
        tuple(
            contrast(f"{network}-stl-gamma", f"{network}-stl-tl", "not lower", learned={"second": "threshold"})
            for network in ("mlp", "convnet")
        ),
        _SETUP,
        _WHERE,
    ),
    Claim(
        "threshold-learning-rate",
        "The learning rate of thresholds hardly matters",
        _OURS,
        "none",
        tuple(
            contrast(f"mlp-{neuron}-threshold-lr-x{factor}", f"mlp-{neuron}", "equal", variant="untuned")
            for neuron in ("stl", "lt")
            for factor in ("0.1", "10")
        ),
        "ours: as above, at the learning rate 0.001 for weights",
        _WHERE,
    ),
    Claim(
        "threshold-weight-decay",
        "Weight decay on thresholds hardly matters",
        _OURS,
        "none",
        tuple(
            contrast(f"mlp-{neuron}-wd", f"mlp-{neuron}-wd-weights", "equal", learned=_MOVES)
            for neuron in ("stl", "lt")
        ),
        _SETUP,
        _WHERE,
    ),
    Claim(
        "adaptive-threshold",
        "A threshold that follows the spikes, without learning, beats a fixed one on data with a time axis",
        "LSNN: Bellec et al., NeurIPS 2018",
        "sequential MNIST above 96; no such comparison",
        (contrast("mlp-alif", "mlp-lif", variant="time-axis"),),
        "ours: MLP without recurrence, T = 10",
        ("nmnist1k", "fsdd"),
    ),
)
