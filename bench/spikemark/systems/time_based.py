"""Time-based training: its losses on a small network, and the paper's networks with their hyper-parameters.

Steps and batch size (50) are the suite's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from spikemark.systems.system import Optimizer, System

SOURCE = "Time-based training: Zhu et al., NeurIPS 2023"
_ADAM = Optimizer("adam", 5e-4, 0.05)
_SGD = Optimizer("sgd", 1e-4, 5e-4)


def _system(
    network: str,
    what: str,
    optimizer: Optimizer = _ADAM,
    made_for: tuple[int, ...] | None = None,
    **rule_options: Any,
) -> System:
    return System(
        "srm",
        network,
        f"{SOURCE}; {what}",
        normalization="none",
        optimizer=optimizer,
        rule="spike-time",
        rule_options=rule_options,
        made_for=made_for,
    )


def _rows() -> dict[str, System]:
    small = "srm-mnist-small"
    rows = {
        f"time-{loss}": _system(small, what, loss=loss)
        for loss, what in (
            ("count+", "enhanced counting loss"),
            ("count", "counting loss"),
            ("count0", "enhanced counting without overall gradient"),
            ("kernel", "kernel loss"),
            ("TET", "cross-entropy of every step"),
            ("TTFS", "time to first spike"),
        )
    }
    rows["time-nonorm"] = _system(small, "enhanced counting, scale of the weights not transferred", transfer=False)
    rows["time-mnist"] = _system("srm-mnist", "its MNIST network")
    rows["time-fashion"] = _system("srm-fashion", "its Fashion-MNIST network", Optimizer("adam", 5e-4, 0.005))
    rows["time-nmnist"] = _system(
        "srm-nmnist",
        "its N-MNIST network",
        Optimizer("adam", 5e-4, 0.002),
        (2, 34, 34),
        desired=15.0,
        undesired=2.0,
        first_spikes=2.0,
    )
    for size in ("", "-small"):
        rows[f"time-cifar10{size}"] = _system(
            f"srm-vgg{size}", "its CIFAR-10 network", _SGD, (3, 32, 32), desired=10.0, undesired=1.0, first_spikes=1.0
        )
    return rows


TIME_ROWS: Mapping[str, System] = MappingProxyType(_rows())
