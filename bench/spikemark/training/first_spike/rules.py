"""What a first-spike rule can be told: one validated set of options for S2-STDP, SSTDP and R-STDP.

Symbols: time gap g, rates A+ (causal inputs) and A- (the others), threshold rate eta, its annealing rho.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Self, get_args

from spikemark.errors import InputError
from spikemark.training.options import options_from, require_choice, require_count, require_number

RuleName = Literal["s2-stdp", "sstdp", "r-stdp"]
Regulation = Literal["none", "cr-1", "cr-2"]


class Constants(NamedTuple):
    """A `Rule` at one moment of training, as the compiled loop takes it."""

    rule: int
    gap: float
    causal: float
    other: float
    anti_causal: float
    anti_other: float
    low: float
    high: float
    winner_take_all: bool
    normalised: bool
    regulation: int
    threshold_rate: float
    threshold_floor: float


@dataclass(frozen=True)
class Rule:
    """Options of one rule; the defaults are those of all published configurations.

    Attributes:
        rule: "s2-stdp" (errors to two target times), "sstdp" (no error on the right side of them) or "r-stdp" (the
            first neuron of all learns, with or against its inputs).
        gap: g, between the target times of the right class and of the others; unused by R-STDP.
        causal: A+, of inputs that spike no later than the neuron.
        other: A-, of the other inputs, silent ones included; not positive.
        annealing: of both rates, an epoch.
        winner_take_all: whether only the first neuron of each class's group learns (PCN, NCG).
        non_target: neurons of each group labelled non-target.
        normalised: whether each neuron's weights keep the sum they began with.
        regulation: of the competition inside a group: "none", "cr-1" (one threshold a neuron, learned) or "cr-2"
            (two-compartment thresholds: a fixed one for tests, an adaptive one for training).
        threshold_rate: eta.
        threshold_annealing: rho, an epoch.
        dropout: probability that an output neuron sits out a training sample.

    Raises:
        InputError: an option is out of its range; the message begins with its name.
    """

    rule: RuleName
    causal: float
    other: float
    gap: float = 0.0
    annealing: float = 0.98
    winner_take_all: bool = False
    non_target: int = 0
    normalised: bool = False
    regulation: Regulation = "none"
    threshold_rate: float = 0.0
    threshold_annealing: float = 1.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        require_choice("rule", self.rule, get_args(RuleName))
        require_choice("regulation", self.regulation, get_args(Regulation))
        for name in ("gap", "annealing", "threshold_annealing", "dropout"):
            require_number(name, getattr(self, name), 0.0, 1.0)
        for name in ("causal", "threshold_rate"):
            require_number(name, getattr(self, name), 0.0)
        require_number("other", self.other, -math.inf, 0.0)
        require_count("non_target", self.non_target, 0)
        if self.dropout == 1:
            raise InputError("dropout: 1 leaves no neuron to learn")

    @classmethod
    def from_options(cls, options: Any) -> Self:
        """The rule of a system's ``rule_options``.

        Raises:
            InputError: an option is missing, unknown or out of range.
        """
        for name in ("rule", "causal", "other"):
            if name not in options:
                raise InputError(f"rule_options.{name}: is missing")
        return options_from(cls, "rule first-spike", options)

    def check_groups(self, neurons: int) -> None:
        """That groups of so many neurons can carry the labels.

        Raises:
            InputError: there are fewer neurons than labels, or no target neuron is left.
        """
        if neurons < self.non_target:
            raise InputError(
                f"neurons_per_class: {neurons} are fewer than the {self.non_target} labels of `non_target`"
            )
        if neurons == self.non_target:
            raise InputError(f"non_target: {self.non_target} of {neurons} neurons leaves no target neuron in a group")

    def constants(
        self, scale: float, anti_scale: float, threshold_rate: float, low: float, high: float, floor: float
    ) -> Constants:
        """The rule with rates scaled by `scale` (R-STDP: `anti_scale` for wrong winners) and weights in low..high."""
        return Constants(
            rule=get_args(RuleName).index(self.rule),
            gap=self.gap,
            causal=self.causal * scale,
            other=self.other * scale,
            anti_causal=-self.causal * anti_scale,
            anti_other=-self.other * anti_scale,
            low=low,
            high=high,
            winner_take_all=self.winner_take_all,
            normalised=self.normalised,
            regulation=get_args(Regulation).index(self.regulation),
            threshold_rate=threshold_rate,
            threshold_floor=floor,
        )
