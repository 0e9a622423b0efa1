"""What PLIF claims."""

from __future__ import annotations

from collections.abc import Mapping

from spikemark.core.claims import Claim, Learned, Side, contrast

_PLIF = "PLIF: Fang et al., ICCV 2021"


_OURS = (
    "ours: small MLP and convnet, joint batch norm, direct encoding, Adam with a cosine, 60 and 30 epochs; learning "
    "rates of weights and decays tuned for each arm"
)
_MOVES: Mapping[Side, Learned] = {"first": "decay"}
_NETWORKS = ("mlp", "convnet")
_WHERE = ("fashion-mnist",)


CLAIMS = (
    Claim(
        "plif-over-lif",
        "A learned decay beats a fixed one",
        _PLIF,
        "maximum of test accuracy on Fashion-MNIST: tau 2, 94.17 to 94.38; tau 16, 94.47 to 94.65",
        tuple(
            contrast(
                f"{network}-plif{tau}", f"{network}-lif{tau}", margin=0.18, published=0.18, variant="t8", learned=_MOVES
            )
            for network in _NETWORKS
            for tau in ("", "16")
        ),
        _OURS,
        _WHERE,
    ),
    Claim(
        "plif-first-tau",
        "PLIF hardly depends on its first time constant",
        _PLIF,
        "tau 2 and 16, CIFAR-10: PLIF 93.50 and 93.23; Fashion-MNIST 94.38 and 94.65",
        tuple(
            contrast(f"{network}-plif16", f"{network}-plif", "not lower", variant="t8", learned=_MOVES)
            for network in _NETWORKS
        ),
        _OURS,
        _WHERE,
    ),
    Claim(
        "lif-first-tau",
        "LIF with a fixed, long time constant is not worse on static images of clothes",
        _PLIF,
        "Fashion-MNIST: LIF 94.17 at tau 2 and 94.47 at tau 16, where CIFAR-10 has 93.03 and 47.50",
        tuple(contrast(f"{network}-lif16", f"{network}-lif", "not lower", variant="t8") for network in _NETWORKS),
        _OURS,
        _WHERE,
    ),
    Claim(
        "max-pooling",
        "Max-pooling of spikes is no worse than average pooling",
        _PLIF,
        "max less average: MNIST +0.01, Fashion-MNIST -0.36, CIFAR-10 +0.20, CIFAR10-DVS +2.10",
        (contrast("convnet-plif", "convnet-plif-avgpool", "not lower", margin=0.5, variant="t8"),),
        _OURS,
        _WHERE,
    ),
)
