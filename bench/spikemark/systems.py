"""Published methods as data: a system is network + neuron + normalisation + loss + what is trained + optimiser.

Adding a method is adding a row. A system names no framework and no data set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from spikemark.neurons import NEURONS, NeuronSpec

Loss = Literal["mse-rate", "cross-entropy-rate"]
Trains = Literal["all", "weights", "thresholds", "thresholds+norm"]


@dataclass(frozen=True)
class Optimizer:
    """How parameters move.

    Attributes:
        name: "adam" or "sgd" (momentum 0.9).
        learning_rate: at the start.
        weight_decay: L2, on weights and learned neuron parameters alike, as STL-SNN and LTMD do.
        schedule: "constant", "cosine" (to 0 over all epochs) or "exponential" (`gamma` an epoch).
        gamma: of the exponential schedule.
    """

    name: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine", "exponential"] = "cosine"
    gamma: float = 0.93


@dataclass(frozen=True)
class System:
    """One contender of a suite.

    Attributes:
        neuron: a name in `NEURONS`.
        network: a name in `spikemark.networks.NETWORKS`.
        source: the publication.
        normalization: a name in `spikemark.normalization.NORMALIZATIONS`.
        loss: on the mean output rate of each class.
        trains: all parameters (STL), only the "weights" with the norm (SL), only the "thresholds" (TL), or
            "thresholds+norm" (TL with trainable norm; the paper does not say which).
        optimizer: see `Optimizer`.
        options: further arguments of the network.
        rule: of learning, a name in `spikemark.training.learner.RULES`.
        rule_options: further arguments of the rule.
    """

    neuron: str
    network: str
    source: str
    normalization: str = "joint-bn"
    loss: Loss = "mse-rate"
    trains: Trains = "all"
    optimizer: Optimizer = Optimizer()
    options: Mapping[str, Any] = field(default_factory=dict)
    rule: str = "bptt"
    rule_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spec(self) -> NeuronSpec:
        """The neuron's spec."""
        return NEURONS[self.neuron]

    def to_dict(self) -> dict[str, Any]:
        """Everything that determines its results, as plain data (without ``source``).

        The rule enters where it is not the usual one, so that a record's key outlives the coming of new rules.
        """
        data = asdict(self) | {"options": dict(self.options), "neuron_spec": self.spec.to_dict()}
        del data["source"], data["rule"], data["rule_options"]
        if self.rule != "bptt" or self.rule_options:
            data |= {"rule": self.rule, "rule_options": dict(self.rule_options)}
        return data


def _rows() -> dict[str, System]:
    rows: dict[str, System] = {}
    for network in ("mlp", "convnet"):
        for neuron, spec in NEURONS.items():
            rows[f"{network}-{neuron}"] = System(neuron, network, spec.source)
        stl = NEURONS["stl"].source
        rows[f"{network}-stl-sl"] = System("stl", network, f"{stl}; synaptic learning", trains="weights")
        rows[f"{network}-stl-tl"] = System("stl", network, f"{stl}; threshold learning", trains="thresholds")
        rows[f"{network}-stl-tl-norm"] = System(
            "stl", network, f"{stl}; threshold learning, norm trained too", trains="thresholds+norm"
        )
    return rows


SYSTEMS: Mapping[str, System] = MappingProxyType(_rows())
