"""What can be set: constants of the neurons, of plasticity and of sleep, checked field by field."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from spikemark.errors import InputError
from spikemark.training.options import require_choice, require_count, require_number

Sign = Literal["classical", "reversed"]
Schedule = Literal["exact", "published"]


@dataclass(frozen=True)
class NeuronConstants:
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

    tau_membrane: float = 30.0
    tau_synapse: float = 30.0
    resistance: float = 30.0
    rest: float = -70.0
    reset: float = -80.0
    lowest: float = -100.0
    highest: float = 40.0
    threshold: float = -55.0
    threshold_lowest: float = -90.0
    threshold_highest: float = 0.0
    tau_adaptation: float = 100.0
    adaptation: float = 3.0

    def __post_init__(self) -> None:
        for name in ("tau_membrane", "tau_synapse", "tau_adaptation"):
            require_number(name, getattr(self, name), 1.0)
        require_number("resistance", self.resistance, 0.0, open_low=True)
        require_number("adaptation", self.adaptation, 0.0)
        for name in ("rest", "reset", "lowest", "highest", "threshold", "threshold_lowest", "threshold_highest"):
            require_number(name, getattr(self, name), -math.inf)
        if not self.lowest < self.highest:
            raise InputError(f"lowest: {self.lowest:g} is not below highest, {self.highest:g}")
        if not self.threshold_lowest < self.threshold_highest:
            raise InputError(f"threshold_lowest: {self.threshold_lowest:g} is not below {self.threshold_highest:g}")


@dataclass(frozen=True)
class SleepOptions:
    """Options of the rule "sleep-stdp".

    Attributes:
        fraction: steps of sleep for each step awake, p, 0 to 1.
        interval: steps awake between two sleeps.
        cap: most steps of one sleep; None for no cap (published: 10,000, which makes all p above 0.286 alike).
        decay: exponent of one step of sleep, the published lambda.
        baseline: magnitude to which weights decay, w*.
        noise: standard deviation of the membrane noise in sleep, mV a step.
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

    fraction: float = 0.1
    interval: int = 35_000
    cap: int | None = None
    decay: float = 0.99997
    baseline: float = 0.01
    noise: float = 2.0
    tolerance: float | None = 1e-3
    sign: Sign = "classical"
    learning_rate: float = 0.0008
    potentiation: float = 1.0
    depression: float = 1.0
    tau_potentiation: float = 10.0
    tau_depression: float = 7.5
    smallest: float = 0.01
    largest: float = 25.0

    def __post_init__(self) -> None:
        require_number("fraction", self.fraction, 0.0, 1.0)
        require_count("interval", self.interval)
        if self.cap is not None:
            require_count("cap", self.cap)
        require_number("decay", self.decay, 0.0, 1.0, open_low=True)
        require_number("noise", self.noise, 0.0)
        if self.tolerance is not None:
            require_number("tolerance", self.tolerance, 0.0)
        require_choice("sign", self.sign, get_args(Sign))
        for name in ("learning_rate", "potentiation", "depression"):
            require_number(name, getattr(self, name), 0.0)
        for name in ("tau_potentiation", "tau_depression", "smallest"):
            require_number(name, getattr(self, name), 0.0, open_low=True)
        require_number("largest", self.largest, self.smallest, open_low=True)
        # Between the bounds, decay can never leave them, and a weight between clips is a power of its old self alone.
        require_number("baseline", self.baseline, self.smallest, self.largest)

    @property
    def length(self) -> int:
        """Steps of one sleep, if it does not end early."""
        if self.fraction == 0:
            return 0
        steps = max(1, round(self.interval * self.fraction))
        return steps if self.cap is None else min(steps, self.cap)


@dataclass(frozen=True)
class SurrogateSleepOptions:
    """Options of the rule "bptt+sleep".

    Attributes:
        fraction: sleeps a training step, p, 0 to 1.
        schedule: when to sleep: "exact" (after step k when ``floor(k p)`` grows, so p sleeps a step for every p) or
            "published" (every ``int(1 / p)`` steps, so that 0.4 and 0.5 are the same, and all above 0.5 are 1).
        steps: time steps of a sleep; None for as many as the training's.
        batch: independent copies of the network that sleep side by side; None for the training's batch size.
        noise: standard deviation of the membrane noise a step, in the unit of the threshold.
        decay: exponent of one sleep, lambda.
        baseline: magnitude to which weights decay, w*.
        learning_rate: of the plasticity.
        potentiation: A+.
        depression: A-.
        tau_pre: time constant of the presynaptic trace, steps.
        tau_post: time constant of the postsynaptic trace, steps.
    """

    fraction: float = 0.1
    schedule: Schedule = "exact"
    steps: int | None = None
    batch: int | None = None
    noise: float = 3.0
    decay: float = 0.999
    baseline: float = 0.2
    learning_rate: float = 1e-3
    potentiation: float = 0.01
    depression: float = 0.012
    tau_pre: float = 20.0
    tau_post: float = 20.0

    def __post_init__(self) -> None:
        require_number("fraction", self.fraction, 0.0, 1.0)
        require_choice("schedule", self.schedule, get_args(Schedule))
        for name in ("steps", "batch"):
            if getattr(self, name) is not None:
                require_count(name, getattr(self, name))
        for name in ("noise", "learning_rate", "potentiation", "depression"):
            require_number(name, getattr(self, name), 0.0)
        require_number("decay", self.decay, 0.0, 1.0, open_low=True)
        for name in ("baseline", "tau_pre", "tau_post"):
            require_number(name, getattr(self, name), 0.0, open_low=True)

    def due(self, step: int) -> bool:
        """Whether training step `step` (the first is 1) is followed by a sleep."""
        if self.fraction == 0:
            return False
        if self.schedule == "published":
            return step % int(1 / self.fraction) == 0
        # Rounding: ten steps of 0.1 must make one sleep, though their sum in floating point falls short of it.
        return math.floor(step * self.fraction + 1e-9) > math.floor((step - 1) * self.fraction + 1e-9)
