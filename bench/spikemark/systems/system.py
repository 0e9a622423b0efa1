"""What a system is: network + neuron + normalisation + loss + what is trained + optimiser + rule of learning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from spikemark.neurons import NEURONS, OWN_NEURONS, NeuronSpec

Loss = Literal["mse-rate", "cross-entropy-rate"]
Trains = Literal[
    "all", "weights", "thresholds", "thresholds+norm", "norm", "gamma", "weights+gamma", "weights+thresholds"
]


@dataclass(frozen=True)
class Optimizer:
    """How parameters move.

    Attributes:
        name: "adam" or "sgd" (momentum 0.9).
        learning_rate: at the start.
        weight_decay: L2, on weights and learned neuron parameters alike, as STL-SNN and LTMD do.
        threshold_learning_rate_factor: times `learning_rate` is the learning rate of thresholds.
        threshold_weight_decay: of thresholds, instead of `weight_decay`.
        schedule: "constant", "cosine" (to 0 over all epochs) or "exponential" (`gamma` an epoch).
        gamma: of the exponential schedule.
    """

    name: Literal["adam", "sgd"] = "adam"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine", "exponential"] = "cosine"
    gamma: float = 0.93
    threshold_learning_rate_factor: float = 1.0
    threshold_weight_decay: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain data; fields that came later enter where they are not as usual, so that records' keys outlive them."""
        data = asdict(self)
        if self.threshold_learning_rate_factor == 1:
            del data["threshold_learning_rate_factor"]
        if self.threshold_weight_decay is None:
            del data["threshold_weight_decay"]
        return data


@dataclass(frozen=True)
class System:
    """One contender of a suite.

    Attributes:
        neuron: a name in `NEURONS`, or in `OWN_NEURONS` where the network computes neurons of its own.
        network: a name in `spikemark.networks.NETWORKS`.
        source: the publication.
        normalization: a name in `spikemark.normalization.NORMALIZATIONS`.
        loss: on the mean output rate of each class.
        trains: all parameters (STL), only the "weights" with the norm (SL), only the "thresholds" (TL), or
            "thresholds+norm" (TL with trainable norm; the paper does not say which). Controls train the "norm" alone,
            its gains "gamma" alone, "weights+gamma" (neither offsets nor thresholds) or "weights+thresholds" (no norm).
        optimizer: see `Optimizer`.
        options: further arguments of the network.
        decay: first effective decay of the neurons, instead of the neuron's own.
        threshold: first effective threshold of the neurons, likewise.
        rule: of learning, a name in `spikemark.training.learner.RULES`.
        rule_options: further arguments of the rule.
        made_for: shape of the samples that it is tuned for, where the network does not tell; it determines nothing.
    """

    neuron: str
    network: str
    source: str
    normalization: str = "joint-bn"
    loss: Loss = "mse-rate"
    trains: Trains = "all"
    optimizer: Optimizer = Optimizer()
    options: Mapping[str, Any] = field(default_factory=dict)
    decay: float | None = None
    threshold: float | None = None
    rule: str = "bptt"
    rule_options: Mapping[str, Any] = field(default_factory=dict)
    made_for: tuple[int, ...] | None = None

    @property
    def spec(self) -> NeuronSpec | None:
        """The neurons' spec; None for the network's own neurons."""
        if self.neuron in OWN_NEURONS:
            return None
        spec = NEURONS[self.neuron]
        if self.decay is not None:
            spec = replace(spec, decay=replace(spec.decay, init=self.decay))
        if self.threshold is not None:
            spec = replace(spec, threshold=replace(spec.threshold, init=self.threshold))
        return spec

    def to_dict(self) -> dict[str, Any]:
        """Everything that determines its results, as plain data (without ``source`` and ``made_for``).

        The rule enters where it is not the usual one, so that a record's key outlives the coming of new rules.
        """
        data = asdict(self) | {
            "options": dict(self.options),
            "optimizer": self.optimizer.to_dict(),
            "neuron_spec": self.spec and self.spec.to_dict(),
        }
        for name in (
            "source",
            "made_for",
            "rule",
            "rule_options",
            "decay",
            "threshold",
        ):  # the last two stand in the spec
            del data[name]
        if self.rule != "bptt" or self.rule_options:
            data |= {"rule": self.rule, "rule_options": dict(self.rule_options)}
        return data
