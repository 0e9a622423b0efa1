"""Backpropagation through time with surrogate gradients (Neftci, Mostafa and Zenke 2019, arXiv 1901.09948)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from spikemark.errors import InputError
from spikemark.systems import System
from spikemark.training.learner import Learner, Protocol, rates
from spikemark.training.losses import LOSSES, disagreement, make_optimizer, parameter_groups, select_trained


@dataclass(frozen=True)
class BpttOptions:
    """The rule options of backpropagation through time.

    Attributes:
        consistency: weight of the disagreement of two readings in the loss (LTMD: 0.5).
        readings: whether the loss is the "mean" over a sample's readings (LTMD's two masks) or their "sum" (members
            of a vote, each with a gradient of its own).
    """

    consistency: float = 0.0
    readings: Literal["mean", "sum"] = "mean"


class BpttLearner(Learner):
    """One optimiser step a batch, along the gradient of the system's loss through all time steps."""

    def __init__(self, model: nn.Module, system: System, protocol: Protocol, seed: int) -> None:
        super().__init__(model, system, protocol, seed)
        unknown = system.rule_options.keys() - BpttOptions.__dataclass_fields__.keys()
        if unknown:
            raise InputError(f"rule_options: bptt knows no {', '.join(sorted(unknown))}")
        self.options = BpttOptions(**system.rule_options)
        trained = parameter_groups(model, system.optimizer, select_trained(model, system.trains))
        self.optimizer, self.schedule = make_optimizer(system.optimizer, trained, protocol.epochs)

    def learn(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """See `Learner.learn`."""
        self.optimizer.zero_grad(set_to_none=True)
        loss, outputs = self.differentiate(inputs, labels)
        self.optimizer.step()
        return loss.detach(), outputs.detach()

    def differentiate(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Fill the gradients of the trained parameters; the loss and the scores ``[B, classes]`` it was taken from."""
        outputs = rates(self.model, inputs)
        loss = LOSSES[self.system.loss](outputs, labels)
        readings = outputs.unflatten(0, (-1, len(labels)))
        if self.options.readings == "sum":
            loss = loss * len(readings)
        if self.options.consistency:
            loss = loss + self.options.consistency * disagreement(readings)
        loss.backward()
        return loss, readings.mean(0)

    def end_epoch(self) -> None:
        """One step of the learning rate's schedule."""
        self.schedule.step()
