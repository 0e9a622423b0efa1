"""Backpropagation through time with surrogate gradients (Neftci, Mostafa and Zenke 2019, arXiv 1901.09948)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, TypeVar

from pydantic import Field

from spikemark.training.rule import Learner, Optimizer, Protocol, Rule

if TYPE_CHECKING:
    from torch import Tensor, nn

    from spikemark.core.neurons import NeuronSpec

Loss = Literal["mse-rate", "cross-entropy-rate"]
Trains = Literal[
    "all", "weights", "thresholds", "thresholds+norm", "norm", "gamma", "weights+gamma", "weights+thresholds"
]


class Gradient(Rule):
    """What rules that descend along a gradient have in common.

    Attributes:
        loss: on the mean output rate of each class.
        trains: all parameters, only the "weights" with the norm, only the "thresholds" (and decays), or
            "thresholds+norm". Controls train the "norm" alone, its gains "gamma" alone, "weights+gamma" (neither
            offsets nor thresholds) or "weights+thresholds" (no norm).
        optimizer: see `Optimizer`.
        norm_gain: times the first gain of every norm; above 1 for membranes that take in little of a current.
    """

    loss: Loss = "mse-rate"
    trains: Trains = "all"
    optimizer: Optimizer = Optimizer()
    norm_gain: Annotated[float, Field(gt=0)] = 1.0

    def idle(self, spec: NeuronSpec | None) -> frozenset[str]:
        """See `Rule.idle`: step sizes of what is not learned. Of neurons without a spec nothing is known."""
        if spec is None:
            return frozenset()
        neurons_learn = self.trains in ("all", "thresholds", "thresholds+norm", "weights+thresholds")
        return frozenset(
            f"optimizer.{name}_learning_rate_factor"
            for name in ("threshold", "decay")
            if not (neurons_learn and spec.parameters[name].learned)
        )


class Bptt(Gradient):
    """Backpropagation through time.

    Attributes:
        readings: whether the loss is the "mean" over a sample's readings or their "sum" (members of a vote, each with
            a gradient of its own).
    """

    name = "bptt"

    readings: Literal["mean", "sum"] = "mean"

    def learner(self, model: nn.Module, protocol: Protocol, seed: int) -> Learner[Bptt]:
        """See `Rule.learner`."""
        return BpttLearner(model, self, protocol, seed)


OfGradient = TypeVar("OfGradient", bound=Gradient)


class GradientLearner(Learner[OfGradient]):
    """One optimiser step per batch, along the gradient that `differentiate` leaves."""

    def __init__(self, model: nn.Module, rule: OfGradient, protocol: Protocol, seed: int) -> None:
        from spikemark.training.losses import LOSSES
        from spikemark.training.optimisers import make_optimizer, parameter_groups, scale_gains, select_trained

        super().__init__(model, rule, protocol, seed)
        self.loss = LOSSES[rule.loss]
        if rule.norm_gain != 1:
            scale_gains(model, rule.norm_gain)
        trained = parameter_groups(model, rule.optimizer, select_trained(model, rule.trains))
        self.optimizer, self.schedule = make_optimizer(rule.optimizer, trained, protocol.epochs)

    def learn(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """See `Learner.learn`."""
        self.optimizer.zero_grad(set_to_none=True)
        loss, outputs = self.differentiate(inputs, labels)
        self.optimizer.step()
        return loss.detach(), outputs.detach()

    def differentiate(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Fill the gradients of the trained parameters; the loss and the scores ``[B, classes]`` it was taken from."""
        outputs = rates(self.model, inputs)
        readings = outputs.unflatten(0, (-1, len(labels)))
        loss = self.loss_of(outputs, readings, labels)
        loss.backward()
        return loss, readings.mean(0)

    def loss_of(self, outputs: Tensor, readings: Tensor, labels: Tensor) -> Tensor:
        """What is differentiated.

        Args:
            outputs: mean scores ``[readings * B, classes]``.
            readings: the same as ``[readings, B, classes]``.
            labels: ``[B]``.
        """
        return self.loss(outputs, labels)

    def end_epoch(self) -> None:
        """One step of the learning rate's schedule."""
        self.schedule.step()


class BpttLearner(GradientLearner[Bptt]):
    """Backpropagation through all time steps."""

    def loss_of(self, outputs: Tensor, readings: Tensor, labels: Tensor) -> Tensor:
        """See `GradientLearner.loss_of`; a vote of members has the sum of their losses."""
        loss = self.loss(outputs, labels)
        return loss * len(readings) if self.rule.readings == "sum" else loss


def rates(model: nn.Module, inputs: Tensor) -> Tensor:
    """Mean scores ``[B, classes]`` over the steps for encoded inputs ``[T, B, ...]``; firing rates for most models."""
    outputs: Tensor = model(inputs)
    return outputs.mean(0)
