"""The papers' networks with their neurons, losses and optimisers, at full size and as small twins.

Schedules are those of `Optimizer`: where a paper steps its learning rate by a table (LTMD) or lets a cosine swing
(PLIF), here a cosine falls over all epochs. Epochs, T, batch size and encoding are the suite's.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from spikemark.neurons import NEURONS
from spikemark.systems.system import Loss, Optimizer, System, Trains
from spikemark.systems.thresholds import CONSISTENCY, LTMD_SOURCE

_TEBN = "TEBN: Duan et al., NeurIPS 2022"


def _rows() -> dict[str, System]:
    rows: dict[str, System] = {}
    for size in ("", "-small"):
        rows |= _stl(size) | _plif(size) | _ltmd(size) | _tebn(size)
    return rows


def _stl(size: str) -> dict[str, System]:
    source = NEURONS["stl"].source
    recipe = Optimizer(weight_decay=1e-6, schedule="exponential")

    def system(what: str, trains: Trains) -> System:
        return System("stl", f"stl-mnist{size}", f"{source}{what}", "step-bn", "mse-rate", trains, recipe)

    return {
        f"stl-mnist{size}": system("", "all"),
        f"stl-mnist{size}-sl": system("; synaptic learning", "weights"),
        f"stl-mnist{size}-tl": system("; threshold learning", "thresholds"),
        f"stl-mnist{size}-tl-norm": system("; threshold learning, norm trained too", "thresholds+norm"),
    }


def _plif(size: str) -> dict[str, System]:
    rows: dict[str, System] = {}
    for data in ("mnist", "cifar10", "n-mnist", "cifar10-dvs", "dvs128"):
        network = f"plif-{data}{size}"
        rows[network] = System("plif", network, NEURONS["plif"].source, "step-bn")
        for neuron in ("plif16", "lif", "lif16"):
            rows[f"{network}-{neuron}"] = System(neuron, network, NEURONS[neuron].source, "step-bn")
        rows[f"{network}-avgpool"] = System(
            "plif", network, f"{NEURONS['plif'].source}; average pooling", "step-bn", options={"replace": {"MP": "AP"}}
        )
    return rows


def _ltmd(size: str) -> dict[str, System]:
    rows: dict[str, System] = {}
    for data, rate in (("mnist", 0.01), ("cifar10", 0.04)):
        network = f"ltmd-{data}{size}"
        plain = {"replace": {"MD0.2-": ""}} if data == "mnist" else {"dropout": 0.0}
        recipe = Optimizer("sgd", rate, 1e-4)
        loss: Loss = "cross-entropy-rate"
        rows[network] = System("lt", network, LTMD_SOURCE, loss=loss, optimizer=recipe, rule_options=CONSISTENCY)
        rows[f"{network}-lt"] = System(
            "lt", network, f"{LTMD_SOURCE}; learned thresholds alone", loss=loss, optimizer=recipe, options=plain
        )
        rows[f"{network}-lif"] = System(
            "lt",
            network,
            f"{LTMD_SOURCE}; fixed thresholds",
            loss=loss,
            trains="weights",
            optimizer=recipe,
            options=plain,
        )
    return rows


def _tebn(size: str) -> dict[str, System]:
    rows: dict[str, System] = {}
    for norm in ("tebn", "joint-bn", "step-bn"):
        name = f"tebn-vgg9{size}" if norm == "tebn" else f"tebn-vgg9{size}-{norm}"
        source = _TEBN if norm == "tebn" else f"Baseline of {_TEBN}; {norm}"
        rows[name] = System(
            "lif-tebn", f"tebn-vgg9{size}", source, norm, "cross-entropy-rate", optimizer=Optimizer("sgd", 0.02, 5e-4)
        )
    return rows


PUBLISHED_ROWS: Mapping[str, System] = MappingProxyType(_rows())
