"""What TEBN claims."""

from __future__ import annotations

from spikemark.core.claims import Claim, contrast

_TEBN = "TEBN: Duan et al., NeurIPS 2022"


_TIME = "ours: MLP on data with a time axis, T = 10; learning rate tuned for each arm"
_IMAGES = "the paper's VGG-9 at a smaller width, CIFAR-10 recompressed as JPEG, 30 epochs; learning rate tuned"
_AXIS = ("nmnist1k", "fsdd")


CLAIMS = (
    Claim(
        "tebn-over-joint",
        "TEBN beats batch norm with joint statistics (tdBN), which beats batch norm of each step",
        _TEBN,
        "CIFAR-10, VGG-9, T = 4: 92.81; the others in a figure only",
        (
            contrast("mlp-tebn", "mlp-joint-bn", variant="time-axis"),
            contrast("mlp-joint-bn", "mlp-step-bn", variant="time-axis"),
        ),
        _TIME,
        _AXIS,
    ),
    Claim(
        "tebn-over-bntt",
        "TEBN beats statistics and gains of each step (BNTT)",
        "Ours: a control",
        "none",
        (contrast("mlp-tebn", "mlp-bntt", variant="time-axis"),),
        _TIME,
        _AXIS,
    ),
    Claim(
        "tebn-over-joint-images",
        "TEBN beats batch norm with joint statistics on images",
        _TEBN,
        "CIFAR-10, VGG-9, T = 4: 92.81; the others in a figure only",
        (contrast("tebn-vgg9-small", "tebn-vgg9-small-joint-bn", variant="vgg"),),
        _IMAGES,
        ("cifar10-jpeg-q75",),
    ),
    Claim(
        "tebn-decays",
        "TEBN beats joint statistics at other decays, too",
        _TEBN,
        "spread over decays 0.1 to 1.0: 0.6 points, without TEBN 1.4",
        tuple(
            contrast(f"mlp-tebn-decay-{decay}", f"mlp-joint-bn-decay-{decay}", variant="time-axis")
            for decay in ("0.5", "0.9")
        ),
        _TIME,
        _AXIS,
    ),
)
