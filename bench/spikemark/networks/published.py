"""The papers' networks by name, at full size, and a twin of each that a CPU can train (``-small``, ours).

Sizes are those of the authors' code. Convolutions and FC layers have no bias unless said otherwise. Where a paper
runs its first convolution once on the static image, here it runs at every step, with the same result.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

_MNIST, _CIFAR10, _N_MNIST, _CIFAR10_DVS = (1, 28, 28), (3, 32, 32), (2, 34, 34), (2, 128, 128)


@dataclass(frozen=True)
class Published:
    """A network of a paper.

    Attributes:
        input_shape: of the samples it was made for.
        classes: of that data set.
        layers: its layer string; None for LTMD's DenseNet, which is none.
        options: of the architecture.
    """

    input_shape: tuple[int, ...]
    classes: int = 10
    layers: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


PUBLISHED: Mapping[str, Published] = MappingProxyType(
    {
        # STL-SNN: Sun et al., IEEE TCDS 16(2), 2024.
        "stl-mnist": Published(_MNIST, layers="(128C5-BN-SN-MP2)x2-SD0.5-FC2048-SN-SD0.5-FC100-SN-VOTE10"),
        "stl-mnist-small": Published(_MNIST, layers="(12C5-BN-SN-MP2)x2-SD0.5-FC128-SN-SD0.5-FC100-SN-VOTE10"),
        # PLIF: Fang et al., ICCV 2021. The CIFAR10 net has one dropout only.
        "plif-mnist": Published(_MNIST, layers="(128C3-BN-SN-MP2)x2-DP0.5-FC2048-SN-DP0.5-FC100-SN-VOTE10"),
        "plif-mnist-small": Published(_MNIST, layers="(12C3-BN-SN-MP2)x2-DP0.5-FC128-SN-DP0.5-FC100-SN-VOTE10"),
        "plif-cifar10": Published(_CIFAR10, layers="((256C3-BN-SN)x3-MP2)x2-DP0.5-FC2048-SN-FC100-SN-VOTE10"),
        "plif-cifar10-small": Published(_CIFAR10, layers="((16C3-BN-SN)x3-MP2)x2-DP0.5-FC128-SN-FC100-SN-VOTE10"),
        "plif-n-mnist": Published(_N_MNIST, layers="(128C3-BN-SN-MP2)x2-DP0.5-FC2048-SN-DP0.5-FC100-SN-VOTE10"),
        "plif-n-mnist-small": Published(_N_MNIST, layers="(12C3-BN-SN-MP2)x2-DP0.5-FC128-SN-DP0.5-FC100-SN-VOTE10"),
        "plif-cifar10-dvs": Published(_CIFAR10_DVS, layers="(128C3-BN-SN-MP2)x4-DP0.5-FC2048-SN-DP0.5-FC100-SN-VOTE10"),
        "plif-cifar10-dvs-small": Published(
            _CIFAR10_DVS, layers="(8C3-BN-SN-MP2)x4-DP0.5-FC128-SN-DP0.5-FC100-SN-VOTE10"
        ),
        "plif-dvs128": Published(_CIFAR10_DVS, 11, "(128C3-BN-SN-MP2)x5-DP0.5-FC512-SN-DP0.5-FC110-SN-VOTE10"),
        "plif-dvs128-small": Published(_CIFAR10_DVS, 11, "(8C3-BN-SN-MP2)x5-DP0.5-FC64-SN-DP0.5-FC110-SN-VOTE10"),
        # LTMD: Wang, Cheng and Lim, NeurIPS 2022.
        "ltmd-mnist": Published(_MNIST, layers="((256C3-BN-SN)x3-AP2)x2-LF2048-MD0.2-LF10"),
        "ltmd-mnist-small": Published(_MNIST, layers="(12C3-BN-SN-AP2)x2-LF128-MD0.2-LF10"),
        "ltmd-cifar10": Published(_CIFAR10),
        "ltmd-cifar10-small": Published(_CIFAR10, options={"blocks": (2, 2), "growth": 8, "first": 16, "hidden": 32}),
        # TEBN: Duan et al., NeurIPS 2022. Convolutions and FC layers have a bias, FC layers no neurons.
        "tebn-vgg9": Published(
            _CIFAR10,
            layers="(64C3-BN-SN)x2-AP2-(128C3-BN-SN)x2-AP2-(256C3-BN-SN)x3-AP2-DP0.25-FC1024-DP0.25-FC100-VOTE10",
            options={"bias": True},
        ),
        "tebn-vgg9-small": Published(
            _CIFAR10,
            layers="(8C3-BN-SN)x2-AP2-(16C3-BN-SN)x2-AP2-(32C3-BN-SN)x3-AP2-DP0.25-FC128-DP0.25-FC100-VOTE10",
            options={"bias": True},
        ),
    }
)
