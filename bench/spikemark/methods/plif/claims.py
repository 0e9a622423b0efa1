"""What PLIF claims."""

from __future__ import annotations

from spikemark.core.claims import Claim, contrast

_PLIF = "PLIF: Fang et al., ICCV 2021"


CLAIMS = (
    Claim(
        "plif-over-lif",
        "A learned decay beats a fixed one",
        _PLIF,
        "tau 2, maximum of test accuracy: MNIST 99.69 to 99.72, Fashion-MNIST 94.17 to 94.38",
        (contrast("mlp-plif", "mlp-lif", variant="t8"), contrast("mlp-plif16", "mlp-lif16", variant="t8")),
    ),
    Claim(
        "plif-first-tau",
        "PLIF hardly depends on its first time constant, where LIF collapses with a long one",
        _PLIF,
        "tau 2 and 16, CIFAR-10: PLIF 93.50 and 93.23, LIF 93.03 and 47.50",
        (
            contrast("mlp-plif16", "mlp-plif", "not lower", margin=1, variant="t8"),
            contrast("mlp-lif16", "mlp-lif", "lower", margin=1, variant="t8"),
        ),
    ),
    Claim(
        "max-pooling",
        "Max-pooling of spikes is no worse than average pooling",
        _PLIF,
        "max less average: MNIST +0.01, Fashion-MNIST -0.36, CIFAR-10 +0.20, CIFAR10-DVS +2.10",
        (contrast("convnet-plif", "convnet-plif-avgpool", "not lower", margin=0.5, variant="pool"),),
    ),
)
