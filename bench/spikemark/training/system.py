"""What a system is: a neuron, a network and a rule of learning, each with its own options.

Plain data: no torch, no framework and no data set are named or imported here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from spikemark.core.neurons import NEURONS, Neuron, NeuronSpec
from spikemark.errors import InputError
from spikemark.registry import Registry, registry
from spikemark.training.bptt import Bptt
from spikemark.training.rule import Rule


@dataclass(frozen=True)
class System:
    """One contender of a suite.

    Attributes:
        neuron: a name in `NEURONS`.
        network: a name in `spikemark.networks.build.NETWORKS`.
        rule: of learning, with all its options.
        normalization: a name in `spikemark.networks.normalization.NORMALIZATIONS`; "none" for networks without norms.
        options: further arguments of the network.
        decay: first effective decay of the neurons, instead of the neuron's own.
        threshold: first effective threshold of the neurons, likewise.
        source: the publication; it determines nothing.
        made_for: shape of the samples that it is made for, where it is made for some; it determines nothing.
        classes: of those samples, likewise.
    """

    neuron: str
    network: str
    rule: Rule = field(default_factory=Bptt)
    normalization: str = "joint-bn"
    options: Mapping[str, Any] = field(default_factory=dict)
    decay: float | None = None
    threshold: float | None = None
    source: str = ""
    made_for: tuple[int, ...] | None = None
    classes: int = 10

    def __post_init__(self) -> None:
        if not isinstance(self.rule, Rule):
            raise InputError(f"system: rule is {self.rule!r}; expected options such as Bptt(loss='mse-rate')")

    @property
    def architecture(self) -> str:
        """The network whose layers it has: that of which a network is a twin, else its own; where tables put it."""
        return str(self.options.get("twin_of", self.network))

    @property
    def resolved_neuron(self) -> Neuron:
        """The neuron, with the system's own first decay and threshold.

        Raises:
            UnknownNameError: there is no such neuron.
            InputError: decay or threshold are given for a neuron that is no spec.
        """
        neuron = NEURONS[self.neuron]
        if self.decay is None and self.threshold is None:
            return neuron
        if not isinstance(neuron, NeuronSpec):
            raise InputError(f"system: neuron {self.neuron!r} is no spec, so it has no decay or threshold to set")
        if self.decay is not None:
            neuron = replace(neuron, decay=replace(neuron.decay, init=self.decay))
        if self.threshold is not None:
            neuron = replace(neuron, threshold=replace(neuron.threshold, init=self.threshold))
        return neuron

    @property
    def spec(self) -> NeuronSpec | None:
        """The neurons' spec; None for neurons that no spec can say."""
        neuron = self.resolved_neuron
        return neuron if isinstance(neuron, NeuronSpec) else None

    def to_dict(self) -> dict[str, Any]:
        """Everything that determines its results, as plain data."""
        data: dict[str, Any] = {
            "neuron": self.neuron,
            "network": self.network,
            "normalization": self.normalization,
            "rule": self.rule.to_dict(),
        }
        data |= {name: value for name in ("decay", "threshold") if (value := getattr(self, name)) is not None}
        if self.options:
            data["options"] = dict(self.options)
        spec = self.spec
        return data if spec is None else data | {"neuron_spec": spec.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> System:
        """The system that `to_dict` wrote.

        Raises:
            InputError: the rule's options are wrong.
        """
        fields = {name: value for name, value in data.items() if name not in ("rule", "neuron_spec")}
        return cls(**fields, rule=Rule.from_dict(data.get("rule", {})))

    @property
    def uses(self) -> list[tuple[str, str]]:
        """Kind and name of every registered entry that it is made of."""
        return [
            ("neuron", self.neuron),
            ("network", self.network),
            ("normalization", self.normalization),
            ("rule", self.rule.name),
        ]


SYSTEMS: Registry[System] = registry("system")


def specified_neurons(systems: Iterable[System]) -> list[str]:
    """The neurons of the systems that have a spec, each once."""
    return list(dict.fromkeys(system.neuron for system in systems if system.spec is not None))
