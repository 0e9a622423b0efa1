"""Time-based training: its losses on a small network, and the paper's networks with their hyper-parameters.

Steps and batch size (50) are the suite's.
"""

from __future__ import annotations

from typing import Any

from spikemark.methods.spike_time.options import SpikeTime
from spikemark.training.rule import Optimizer
from spikemark.training.system import System

SOURCE = "Time-based training: Zhu et al., NeurIPS 2023"
_SGD = Optimizer(name="sgd", momentum=0.0, learning_rate=1e-4, weight_decay=5e-4)


def _adamw(weight_decay: float) -> Optimizer:
    return Optimizer(name="adamw", learning_rate=5e-4, weight_decay=weight_decay)


def _system(network: str, what: str, shape: tuple[int, ...] = (1, 28, 28), **options: Any) -> System:
    rule = SpikeTime(**options)
    return System("srm", network, rule, "none", source=f"{SOURCE}; {what}", made_for=shape)


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
    rows["time-fashion"] = _system("srm-fashion", "its Fashion-MNIST network", optimizer=_adamw(0.005))
    rows["time-nmnist"] = _system(
        "srm-nmnist",
        "its N-MNIST network",
        (2, 34, 34),
        optimizer=_adamw(0.002),
        desired=15.0,
        undesired=2.0,
        first_spikes=2.0,
    )
    for size in ("", "-small"):
        rows[f"time-cifar10{size}"] = _system(
            f"srm-vgg{size}",
            "its CIFAR-10 network",
            (3, 32, 32),
            optimizer=_SGD,
            desired=10.0,
            undesired=1.0,
            first_spikes=1.0,
        )
    return rows


SYSTEMS = _rows()
