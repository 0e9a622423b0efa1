"""What a first-spike rule can be told: one validated set of options for S2-STDP, SSTDP and R-STDP.

Symbols: time gap g, rates A+ (causal inputs) and A- (the others), threshold rate eta, its annealing rho.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple, get_args

from pydantic import Field

from spikemark.errors import InputError
from spikemark.training.rule import Learner, Protocol, Rule

if TYPE_CHECKING:
    from torch import nn

RuleName = Literal["s2-stdp", "sstdp", "r-stdp"]
Regulation = Literal["none", "cr-1", "cr-2"]
Fraction = Annotated[float, Field(ge=0, le=1)]


class Constants(NamedTuple):
    """The rule at one moment of training, as the compiled loop takes it."""

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


class FirstSpike(Rule):
    """S2-STDP, SSTDP or R-STDP; the defaults are those of all published configurations.

    Attributes:
        rule: "s2-stdp" (errors to two target times), "sstdp" (no error on the right side of them) or "r-stdp" (the
            first neuron of all learns, with or against its inputs).
        gap: g, between the target times of the right class and of the others; unused by R-STDP.
        causal: A+, of inputs that spike no later than the neuron.
        other: A-, of the other inputs, silent ones included; not positive.
        annealing: factor on both rates after each epoch.
        winner_take_all: whether only the first neuron of each class's group learns (PCN, NCG).
        non_target: neurons of each group labelled non-target.
        normalised: whether each neuron's weights keep the sum they began with.
        regulation: of the competition inside a group: "none", "cr-1" (one learned threshold per neuron) or "cr-2"
            (two-compartment thresholds: a fixed one for tests, an adaptive one for training).
        threshold_rate: eta.
        threshold_annealing: rho, after each epoch.
        dropout: probability that an output neuron sits out a training sample.
    """

    name = "first-spike"

    rule: RuleName
    causal: Annotated[float, Field(ge=0)]
    other: Annotated[float, Field(le=0)]
    gap: Fraction = 0.0
    annealing: Fraction = 0.98
    winner_take_all: bool = False
    non_target: Annotated[int, Field(ge=0)] = 0
    normalised: bool = False
    regulation: Regulation = "none"
    threshold_rate: Annotated[float, Field(ge=0)] = 0.0
    threshold_annealing: Fraction = 1.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0

    def learner(self, model: nn.Module, protocol: Protocol, seed: int) -> Learner[FirstSpike]:
        """See `Rule.learner`."""
        from spikemark.methods.first_spike.rule import FirstSpikeLearner

        return FirstSpikeLearner(model, self, protocol, seed)

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
