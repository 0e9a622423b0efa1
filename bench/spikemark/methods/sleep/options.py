"""What can be set: constants of the neurons, of plasticity and of sleep, checked field by field; no torch."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from spikemark.core.options import Options
from spikemark.training.bptt import Gradient
from spikemark.training.rule import Learner, Protocol, Rule

if TYPE_CHECKING:
    from torch import nn

Sign = Literal["classical", "reversed"]
Schedule = Literal["exact", "published"]
NotNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
TimeConstant = Annotated[float, Field(ge=1)]


class NeuronConstants(Options):
    """Leaky integrate-and-fire neurons with an adaptive threshold; the published values (steps of 1 ms).

    Attributes:
        tau_membrane: time constant of the potential, steps.
        tau_synapse: time constant of the synaptic current, steps.
        resistance: of the membrane, mV per unit of current.
        rest: resting potential, mV.
        reset: potential after a spike, mV.
        lowest: bound of the potential, mV.
        highest: bound of the potential, mV.
        threshold: without adaptation, mV.
        threshold_lowest: bound of the adapted threshold, mV.
        threshold_highest: bound of the adapted threshold, mV.
        tau_adaptation: time constant of the adaptation, steps.
        adaptation: what a spike adds to its neuron's threshold, mV.
    """

    tau_membrane: TimeConstant = 30.0
    tau_synapse: TimeConstant = 30.0
    resistance: Positive = 30.0
    rest: float = -70.0
    reset: float = -80.0
    lowest: float = -100.0
    highest: float = 40.0
    threshold: float = -55.0
    threshold_lowest: float = -90.0
    threshold_highest: float = 0.0
    tau_adaptation: TimeConstant = 100.0
    adaptation: NotNegative = 3.0

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.lowest < self.highest:
            raise ValueError(f"lowest: {self.lowest:g} is not below highest, {self.highest:g}")
        if not self.threshold_lowest < self.threshold_highest:
            raise ValueError(f"threshold_lowest: {self.threshold_lowest:g} is not below {self.threshold_highest:g}")
        return self


class SleepStdp(Rule):
    """Spike-timing-dependent plasticity while images pass, and sleep every so many steps.

    Attributes:
        fraction: steps of sleep for each step awake, p, 0 to 1.
        interval: steps awake between two sleeps.
        cap: most steps of one sleep; None for no cap (published: 10,000, which makes all p above 0.286 alike).
        decay: exponent of one step of sleep, the published lambda.
        baseline: magnitude to which weights decay, w*.
        noise: standard deviation of the membrane noise in sleep, mV per step.
        tolerance: a sleep ends early once the summed magnitudes of both the excitatory and the inhibitory weights are
            within this fraction of their first values; None: never early.
        sign: of the plasticity: "classical" (a spike that comes before the other neuron's strengthens) or "reversed"
            (as the published code computes).
        learning_rate: of the plasticity, eta.
        potentiation: factor A+.
        depression: factor A-.
        tau_potentiation: steps.
        tau_depression: steps.
        smallest: least magnitude of a weight.
        largest: greatest magnitude of a weight.
    """

    name = "sleep-stdp"

    fraction: Fraction = 0.1
    interval: Count = 35_000
    cap: Count | None = None
    decay: Annotated[float, Field(gt=0, le=1)] = 0.99997
    baseline: float = 0.01
    noise: NotNegative = 2.0
    tolerance: NotNegative | None = 1e-3
    sign: Sign = "classical"
    learning_rate: NotNegative = 0.0008
    potentiation: NotNegative = 1.0
    depression: NotNegative = 1.0
    tau_potentiation: Positive = 10.0
    tau_depression: Positive = 7.5
    smallest: Positive = 0.01
    largest: float = 25.0

    @model_validator(mode="after")
    def _in_bounds(self) -> Self:
        if not self.smallest < self.largest:
            raise ValueError(f"largest: {self.largest:g} is not above smallest, {self.smallest:g}")
        # Between the bounds, decay can never leave them, and a weight between clips is a power of its old self alone.
        if not self.smallest <= self.baseline <= self.largest:
            raise ValueError(
                f"baseline: {self.baseline:g} is not at least {self.smallest:g} and at most {self.largest:g}"
            )
        return self

    def learner(self, model: nn.Module, protocol: Protocol, seed: int) -> Learner[SleepStdp]:
        """See `Rule.learner`."""
        from spikemark.methods.sleep.rule import SleepStdpLearner

        return SleepStdpLearner(model, self, protocol, seed)

    @property
    def length(self) -> int:
        """Steps of one sleep, if it does not end early."""
        if self.fraction == 0:
            return 0
        steps = max(1, round(self.interval * self.fraction))
        return steps if self.cap is None else min(steps, self.cap)


class BpttSleep(Gradient):
    """Backpropagation through time that sleeps after some of its steps.

    Attributes:
        fraction: sleeps per training step, p, 0 to 1.
        schedule: when to sleep: "exact" (after step k when ``floor(k p)`` grows, so p sleeps per step for every p) or
            "published" (every ``int(1 / p)`` steps, so that 0.4 and 0.5 are the same, and all above 0.5 are 1).
        steps: time steps of a sleep; None for as many as the training's.
        batch: independent copies of the network that sleep side by side; None for the training's batch size.
        noise: standard deviation of the membrane noise per step, in the unit of the threshold.
        decay: exponent of one sleep, lambda.
        baseline: magnitude to which weights decay, w*.
        learning_rate: of the plasticity.
        potentiation: A+.
        depression: A-.
        tau_pre: time constant of the presynaptic trace, steps.
        tau_post: time constant of the postsynaptic trace, steps.
    """

    name = "bptt+sleep"

    fraction: Fraction = 0.1
    schedule: Schedule = "exact"
    steps: Count | None = None
    batch: Count | None = None
    noise: NotNegative = 3.0
    decay: Annotated[float, Field(gt=0, le=1)] = 0.999
    baseline: Positive = 0.2
    learning_rate: NotNegative = 1e-3
    potentiation: NotNegative = 0.01
    depression: NotNegative = 0.012
    tau_pre: Positive = 20.0
    tau_post: Positive = 20.0

    def learner(self, model: nn.Module, protocol: Protocol, seed: int) -> Learner[BpttSleep]:
        """See `Rule.learner`."""
        from spikemark.methods.sleep.surrogate import BpttSleepLearner

        return BpttSleepLearner(model, self, protocol, seed)

    def due(self, step: int) -> bool:
        """Whether training step `step` (the first is 1) is followed by a sleep."""
        if self.fraction == 0:
            return False
        if self.schedule == "published":
            return step % int(1 / self.fraction) == 0
        # Rounding: ten steps of 0.1 must make one sleep, though their sum in floating point falls short of it.
        return math.floor(step * self.fraction + 1e-9) > math.floor((step - 1) * self.fraction + 1e-9)
