"""What STL-SNN claims, and who says otherwise."""

from __future__ import annotations

from spikemark.core.claims import Claim, contrast

_STL = "STL-SNN: Sun et al., IEEE TCDS 16(2), 2024"
_NO_FIGURES = "no figures found"


CLAIMS = (
    Claim(
        "stl-over-sl",
        "Learning weights and thresholds beats learning weights alone",
        _STL,
        _NO_FIGURES,
        (
            contrast("mlp-stl", "mlp-stl-sl"),
            contrast("mlp-stl", "mlp-stl-sl", variant="poisson"),
        ),
    ),
    Claim(
        "stl-over-tl",
        "Learning weights and thresholds beats learning thresholds alone",
        _STL,
        _NO_FIGURES,
        (
            contrast("mlp-stl", "mlp-stl-tl"),
            contrast("mlp-stl", "mlp-stl-tl-norm"),
            contrast("mlp-stl", "mlp-stl-tl", variant="poisson"),
        ),
    ),
    Claim(
        "stl-robust",
        "Learned thresholds make a network more robust to noise",
        _STL,
        _NO_FIGURES,
        (
            contrast("mlp-stl", "mlp-stl-sl", quantity="noisy accuracy"),
            contrast("mlp-stl", "mlp-lif", quantity="noisy accuracy"),
        ),
    ),
    Claim(
        "stl-firing",
        "Learned thresholds lower firing rates and energy",
        _STL,
        f"{_NO_FIGURES}; DS-ATGO (AAAI 2026) reports the opposite",
        (
            contrast("mlp-stl", "mlp-stl-sl", "lower", "firing rate", 2),
            contrast("mlp-stl", "mlp-stl-sl", "lower", "energy", 2),
        ),
    ),
    Claim(
        "joint-decision",
        "Joint decision adds accuracy (both readings are ours: the paper does not define it in what we found)",
        _STL,
        _NO_FIGURES,
        (
            contrast("mlp-stl-joint-readout", "mlp-stl"),
            contrast("mlp-stl-joint-vote", "mlp-stl"),
            contrast("mlp-stl-joint-vote", "mlp-stl-wide"),
        ),
    ),
)
