"""Backpropagation through time with surrogate gradients (Neftci, Mostafa and Zenke 2019, arXiv 1901.09948)."""

from __future__ import annotations

from torch import Tensor, nn

from spikemark.systems import System
from spikemark.training.learner import Learner, Protocol, rates
from spikemark.training.losses import LOSSES, make_optimizer, select_trained


class BpttLearner(Learner):
    """One optimiser step a batch, along the gradient of the system's loss through all time steps."""

    def __init__(self, model: nn.Module, system: System, protocol: Protocol, seed: int) -> None:
        super().__init__(model, system, protocol, seed)
        trained = select_trained(model, system.trains)
        self.optimizer, self.schedule = make_optimizer(system.optimizer, trained, protocol.epochs)

    def learn(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """See `Learner.learn`."""
        self.optimizer.zero_grad(set_to_none=True)
        loss, outputs = self.differentiate(inputs, labels)
        self.optimizer.step()
        return loss.detach(), outputs.detach()

    def differentiate(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Fill the gradients of the trained parameters; the loss and the scores it was taken from."""
        outputs = rates(self.model, inputs)
        loss = LOSSES[self.system.loss](outputs, labels)
        loss.backward()
        return loss, outputs

    def end_epoch(self) -> None:
        """One step of the learning rate's schedule."""
        self.schedule.step()
