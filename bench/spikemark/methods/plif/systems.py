"""PLIF and its fixed baselines on the suite's own two networks and on the paper's.

Where the paper lets a cosine swing, here it falls once over all epochs.
"""

from __future__ import annotations

from spikemark.methods.plif.neurons import NEURONS
from spikemark.training.system import System

_MADE_FOR = {
    "mnist": ((1, 28, 28), 10),
    "cifar10": ((3, 32, 32), 10),
    "n-mnist": ((2, 34, 34), 10),
    "cifar10-dvs": ((2, 128, 128), 10),
    "dvs128": ((2, 128, 128), 11),
}


def _ours(network: str) -> dict[str, System]:
    return {f"{network}-{name}": System(name, network, source=neuron.source) for name, neuron in NEURONS.items()}


def _average_pooling() -> dict[str, System]:
    return {
        f"convnet-{name}-avgpool": System(
            name, "convnet", options={"pool": "average"}, source=f"{NEURONS[name].source}; average pooling"
        )
        for name in ("lif", "plif")
    }


def _published(size: str) -> dict[str, System]:
    rows: dict[str, System] = {}
    for data, (shape, classes) in _MADE_FOR.items():
        network = f"plif-{data}{size}"
        for name, neuron in NEURONS.items():
            rows[network if name == "plif" else f"{network}-{name}"] = System(
                name, network, normalization="step-bn", source=neuron.source, made_for=shape, classes=classes
            )
        rows[f"{network}-avgpool"] = System(
            "plif",
            network,
            normalization="step-bn",
            options={"replace": {"MP": "AP"}},
            source=f"{NEURONS['plif'].source}; average pooling",
            made_for=shape,
            classes=classes,
        )
    return rows


SYSTEMS = _ours("mlp") | _ours("convnet") | _average_pooling() | _published("") | _published("-small")
