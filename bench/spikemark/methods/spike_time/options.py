"""The options of time-based training; no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from spikemark.training.rule import Learner, Optimizer, Protocol, Rule

if TYPE_CHECKING:
    from torch import nn

TimeLossName = Literal["count+", "count", "count0", "kernel", "TET", "CE+", "TTFS", "TTFS0"]


class SpikeTime(Rule):
    """Time-based training; the defaults are the paper's for MNIST.

    Attributes:
        loss: of the output spikes' times, see `losses`.
        desired: spikes of the label's output.
        undesired: spikes of the others.
        transfer: whether the weights' scale moves into the thresholds before every step.
        first_spikes: mean spikes per neuron over T that first thresholds are set for.
        optimizer: of weights; the schedule "exponential" is not among the paper's, and no threshold has a gradient.
        scale_decay: weight decay of gamma and beta.
        clip: largest norm of the gradient.
    """

    name = "spike-time"

    loss: TimeLossName = "count+"
    desired: Annotated[float, Field(ge=0)] = 5.0
    undesired: Annotated[float, Field(ge=0)] = 1.0
    transfer: bool = True
    first_spikes: Annotated[float, Field(gt=0)] = 0.6
    optimizer: Optimizer = Optimizer(name="adamw", learning_rate=5e-4, weight_decay=0.05)
    scale_decay: Annotated[float, Field(ge=0)] = 0.001
    clip: Annotated[float, Field(gt=0)] = 1000.0

    @model_validator(mode="after")
    def _as_published(self) -> Self:
        if self.optimizer.schedule == "exponential":
            raise ValueError("optimizer.schedule: time-based training has cosine and constant, not exponential")
        for name in ("threshold_learning_rate_factor", "threshold_weight_decay"):
            if name in self.optimizer.model_fields_set:
                raise ValueError(f"optimizer.{name}: time-based training moves no thresholds along a gradient")
        return self

    def learner(self, model: nn.Module, protocol: Protocol, seed: int) -> Learner[SpikeTime]:
        """See `Rule.learner`."""
        from spikemark.methods.spike_time.rule import SpikeTimeLearner

        return SpikeTimeLearner(model, self, protocol, seed)
