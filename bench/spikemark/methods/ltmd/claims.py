"""What LTMD claims."""

from __future__ import annotations

from collections.abc import Mapping

from spikemark.core.claims import Claim, Learned, Side, contrast

_LTMD = "LTMD: Wang, Cheng and Lim, NeurIPS 2022"


_OURS = (
    "ours: small MLP and convnet, joint batch norm, Adam with a cosine; learning rates of weights and thresholds tuned "
    "for each arm"
)
_RECIPE = (
    "the paper's network for MNIST at a smaller width, on Fashion-MNIST, 30 epochs with a cosine; learning rates tuned "
    "for each arm"
)
_MOVES: Mapping[Side, Learned] = {"first": "threshold"}
_WHERE = ("fashion-mnist",)


CLAIMS = (
    Claim(
        "lt-over-lif",
        "One learned threshold per layer beats a fixed one",
        _LTMD,
        "MNIST 99.53 to 99.57, CIFAR-10 92.88 to 93.51",
        tuple(
            contrast(f"{network}-lt", f"{network}-lt-sl", margin=0.2, published=0.63, learned=_MOVES)
            for network in ("mlp", "convnet")
        ),
        _OURS,
        _WHERE,
    ),
    Claim(
        "lt-over-lif-recipe",
        "One learned threshold per layer beats a fixed one, by the authors' recipe",
        _LTMD,
        "MNIST 99.53 to 99.57, CIFAR-10 92.88 to 93.51",
        (
            contrast(
                "ltmd-mnist-small-lt",
                "ltmd-mnist-small-lif",
                margin=0.2,
                published=0.63,
                variant="ltmd",
                learned=_MOVES,
            ),
        ),
        _RECIPE,
        _WHERE,
    ),
    Claim(
        "ltmd-over-lt",
        "Moderate dropout with lateral interaction adds to learned thresholds",
        _LTMD,
        "MNIST 99.57 to 99.60, CIFAR-10 93.51 to 93.75",
        (contrast("ltmd-mnist-small", "ltmd-mnist-small-lt", margin=0.2, published=0.24, variant="ltmd"),),
        _RECIPE,
        _WHERE,
    ),
    Claim(
        "ltmd-cost",
        "Learned thresholds cost some additions",
        _LTMD,
        "additions +9.14 % (LT), +7.99 % (LTMD)",
        (
            contrast(
                "ltmd-mnist-small-lt",
                "ltmd-mnist-small-lif",
                "higher",
                "additions",
                1,
                variant="ltmd",
                published=9.14,
                learned=_MOVES,
            ),
            contrast(
                "ltmd-mnist-small", "ltmd-mnist-small-lif", "higher", "additions", 1, variant="ltmd", published=7.99
            ),
        ),
        _RECIPE,
        _WHERE,
    ),
)
