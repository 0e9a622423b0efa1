"""What STL-SNN claims, and who says otherwise."""

from __future__ import annotations

from collections.abc import Mapping

from spikemark.core.claims import Claim, Learned, Side, contrast

_STL = "STL-SNN: Sun et al., IEEE TCDS 16(2), 2024"
_NO_FIGURES = "no figures found"
_OURS = (
    "ours: small MLP and convnet, joint batch norm, direct encoding, no dropout, Adam with a cosine; learning rates of "
    "weights and thresholds tuned for each arm"
)
_RECIPE = (
    "the paper's network for MNIST at about a tenth of its width, on Fashion-MNIST, 30 epochs instead of 100; learning "
    "rates tuned for each arm"
)
_MOVES: Mapping[Side, Learned] = {"first": "threshold"}
_BOTH: Mapping[Side, Learned] = {"first": "threshold", "second": "threshold"}
_NETWORKS = ("mlp", "convnet")
_WHERE = ("fashion-mnist",)


CLAIMS = (
    Claim(
        "stl-over-sl",
        "Learning weights and thresholds beats learning weights alone",
        _STL,
        _NO_FIGURES,
        tuple(contrast(f"{network}-stl", f"{network}-stl-sl", margin=0.2, learned=_MOVES) for network in _NETWORKS),
        _OURS,
        _WHERE,
    ),
    Claim(
        "stl-over-sl-recipe",
        "Learning weights and thresholds beats learning weights alone, by the authors' recipe",
        _STL,
        _NO_FIGURES,
        (contrast("stl-mnist-small", "stl-mnist-small-sl", margin=0.2, variant="recipe", learned=_MOVES),),
        _RECIPE,
        _WHERE,
    ),
    Claim(
        "stl-over-tl",
        "Learning weights and thresholds beats learning thresholds alone",
        _STL,
        _NO_FIGURES,
        tuple(
            contrast(f"{network}-stl", f"{network}-stl-{arm}", learned=_BOTH)
            for network in _NETWORKS
            for arm in ("tl", "tl-norm")
        ),
        _OURS,
        _WHERE,
    ),
    Claim(
        "stl-robust",
        "Learned thresholds make a network more robust to noise",
        _STL,
        _NO_FIGURES,
        tuple(
            contrast(f"{network}-stl", f"{network}-stl-sl", quantity="noisy accuracy", learned=_MOVES)
            for network in _NETWORKS
        ),
        _OURS,
        _WHERE,
    ),
    Claim(
        "stl-firing",
        "Learned thresholds lower firing rates, and with them the additions of the layers behind the first",
        _STL,
        f"{_NO_FIGURES}; DS-ATGO (AAAI 2026) reports the opposite",
        tuple(
            contrast(f"{network}-stl", f"{network}-stl-sl", "lower", quantity, 2, learned=_MOVES)
            for network in _NETWORKS
            for quantity in ("firing rate", "additions")
        ),
        _OURS,
        _WHERE,
    ),
    Claim(
        "joint-decision",
        "A joint decision, as a readout of all layers or a vote of three members, adds accuracy",
        "Ours: the publication on STL-SNN names a joint decision and does not define it in what we found",
        "none",
        (
            contrast("mlp-stl-joint-readout", "mlp-stl", margin=0.2),
            contrast("mlp-stl-joint-vote", "mlp-stl", margin=0.2),
            contrast("mlp-stl-joint-vote", "mlp-stl-wide", margin=0.2),
        ),
        _OURS,
        _WHERE,
    ),
)
