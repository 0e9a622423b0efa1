"""What TEBN claims."""

from __future__ import annotations

from spikemark.core.claims import Claim, contrast

_TEBN = "TEBN: Duan et al., NeurIPS 2022"


CLAIMS = (
    Claim(
        "tebn-over-joint",
        "TEBN beats batch norm with joint statistics (tdBN), which beats batch norm of each step",
        _TEBN,
        "CIFAR-10, VGG-9, T = 4: 92.81; the others in a figure only",
        (
            contrast("mlp-tebn", "mlp-joint-bn"),
            contrast("mlp-joint-bn", "mlp-step-bn"),
            contrast("mlp-tebn", "mlp-joint-bn", variant="t8"),
            contrast("mlp-joint-bn", "mlp-step-bn", variant="t8"),
        ),
    ),
    Claim(
        "tebn-fewer-steps",
        "TEBN needs fewer time steps: with half of them it is no worse",
        _TEBN,
        "ResNet-19, CIFAR-10: 94.57 at T = 2, 94.71 at T = 6",
        (
            contrast("mlp-tebn", "mlp-joint-bn", "not lower", variant=("t2", "")),
            contrast("mlp-tebn", "mlp-joint-bn", "not lower", variant=("", "t8")),
        ),
    ),
    Claim(
        "tebn-decays",
        "TEBN beats joint statistics at other decays, too",
        _TEBN,
        "spread over decays 0.1 to 1.0: 0.6 points, without TEBN 1.4",
        (
            contrast("mlp-tebn-decay-0.5", "mlp-joint-bn-decay-0.5"),
            contrast("mlp-tebn-decay-0.9", "mlp-joint-bn-decay-0.9"),
        ),
    ),
)
