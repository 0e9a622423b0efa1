"""The rule "spike-time": moves output spikes in time, and with them every weight that they came from."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from spikemark.datasets.encoders import encode
from spikemark.errors import InputError, unknown
from spikemark.networks.srm import SrmNetwork
from spikemark.srm.synapses import WEIGHT_LIMIT, transfer_scale
from spikemark.streams import generator
from spikemark.systems import System
from spikemark.training.learner import Learner, Protocol
from spikemark.training.spike_time.first_thresholds import set_first_thresholds
from spikemark.training.spike_time.losses import TIME_LOSSES, Targets


@dataclass(frozen=True)
class Options:
    """Rule options; the defaults are the paper's for MNIST.

    Attributes:
        loss: a name in `TIME_LOSSES`.
        desired: spikes of the label's output.
        undesired: spikes of the others.
        transfer: whether the weights' scale moves into the thresholds before every step.
        first_spikes: mean spikes a neuron over T that first thresholds are set for.
        scale_decay: weight decay of gamma and beta.
        clip: largest norm of the gradient.
    """

    loss: str = "count+"
    desired: float = 5.0
    undesired: float = 1.0
    transfer: bool = True
    first_spikes: float = 0.6
    scale_decay: float = 0.001
    clip: float = 1000.0


class SpikeTimeLearner(Learner):
    """Gradients by spike times, AdamW or plain SGD, and thresholds that take the weights' scale.

    Raises:
        InputError: an option or schedule is unknown, or the model is no `SrmNetwork`.
    """

    def __init__(self, model: nn.Module, system: System, protocol: Protocol, seed: int) -> None:
        super().__init__(model, system, protocol, seed)
        if not isinstance(model, SrmNetwork):
            raise InputError(f"rule spike-time trains networks of spike response neurons, not {type(model).__name__}")
        self.network = model
        self.options = _options(system)
        self.targets = Targets(self.options.desired, self.options.undesired, model.stages()[0].neurons.kernel.tau_s)
        self.optimizer = self._optimizer()
        self.schedule = self._schedule()

    def begin(self, inputs: Tensor) -> None:
        """Set the first thresholds on the first samples, as many as a batch holds."""
        first = inputs[: self.protocol.batch_size]
        random = generator("encoding", "first-thresholds", self.seed)
        encoded = encode(self.protocol.encoder, first, self.protocol.steps, random)
        device = next(self.network.parameters()).device
        set_first_thresholds(self.network, encoded.to(device), self.options.first_spikes)

    def learn(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """See `Learner.learn`."""
        if self.options.transfer:
            self.transfer()
        self.optimizer.zero_grad(set_to_none=True)
        spikes, own = self.network.trained(inputs, labels)
        loss, by_time = TIME_LOSSES[self.options.loss](spikes.detach(), labels, self.targets)
        spikes.backward(by_time)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.options.clip)
        self.optimizer.step()
        with torch.no_grad():
            for stage in self.network.stages():
                stage.synapses.weight.clamp_(-WEIGHT_LIMIT, WEIGHT_LIMIT)
        return loss / inputs.shape[1], self.network.scores(own).mean(0)

    def transfer(self) -> None:
        """Move every layer's scale into its thresholds."""
        for stage in self.network.stages():
            transfer_scale(stage.synapses, stage.neurons.thresholds)

    def end_epoch(self) -> None:
        """One step of the learning rate's schedule; the state that selection keeps has the scale transferred."""
        self.schedule.step()
        if self.options.transfer:
            self.transfer()

    def _optimizer(self) -> torch.optim.Optimizer:
        stages, asked = self.network.stages(), self.system.optimizer
        groups = [
            {"params": [stage.synapses.weight for stage in stages], "weight_decay": asked.weight_decay},
            {
                "params": [p for stage in stages for p in (stage.synapses.gamma, stage.synapses.beta)],
                "weight_decay": self.options.scale_decay,
            },
        ]
        if asked.name == "sgd":
            return torch.optim.SGD(groups, lr=asked.learning_rate)
        return torch.optim.AdamW(groups, lr=asked.learning_rate)

    def _schedule(self) -> torch.optim.lr_scheduler.LRScheduler:
        match self.system.optimizer.schedule:
            case "cosine":
                return torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, T_max=self.protocol.epochs)
            case "constant":
                return torch.optim.lr_scheduler.ConstantLR(self.optimizer, factor=1.0)
            case other:
                raise InputError(f"optimizer.schedule: rule spike-time has cosine and constant, not {other}")


def _options(system: System) -> Options:
    known = [f.name for f in fields(Options)]
    for name in system.rule_options:
        if name not in known:
            raise unknown("rule option", name, known)
    options = Options(**system.rule_options)
    if options.loss not in TIME_LOSSES:
        raise unknown("time-based loss", options.loss, TIME_LOSSES)
    return options
