"""The rule "spike-time": moves output spikes in time, and with them every weight that they came from."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikemark.core.adapter import device_of
from spikemark.core.streams import generator
from spikemark.data.encoders import encode
from spikemark.errors import InputError
from spikemark.methods.spike_time.first_thresholds import set_first_thresholds
from spikemark.methods.spike_time.losses import TIME_LOSSES, Targets
from spikemark.methods.spike_time.network import SrmNetwork
from spikemark.methods.spike_time.options import SpikeTime
from spikemark.methods.spike_time.synapses import WEIGHT_LIMIT, transfer_scale
from spikemark.training.optimisers import make_optimizer
from spikemark.training.rule import Learner, Protocol


class SpikeTimeLearner(Learner[SpikeTime]):
    """Gradients by spike times, and thresholds that take the weights' scale.

    Raises:
        InputError: the model is no `SrmNetwork`.
    """

    def __init__(self, model: nn.Module, rule: SpikeTime, protocol: Protocol, seed: int) -> None:
        super().__init__(model, rule, protocol, seed)
        if not isinstance(model, SrmNetwork):
            raise InputError(f"rule spike-time trains networks of spike response neurons, not {type(model).__name__}")
        self.network = model
        self.targets = Targets(self.rule.desired, self.rule.undesired, model.stages()[0].neurons.kernel.tau_s)
        stages, optimizer = model.stages(), rule.optimizer
        groups = [
            {"params": [stage.synapses.weight for stage in stages], "weight_decay": optimizer.weight_decay},
            {
                "params": [p for stage in stages for p in (stage.synapses.gamma, stage.synapses.beta)],
                "weight_decay": rule.scale_decay,
            },
        ]
        self.optimizer, self.schedule = make_optimizer(optimizer, groups, protocol.epochs)

    def begin(self, inputs: Tensor) -> None:
        """Set the first thresholds on the first samples, as many as a batch holds."""
        first = inputs[: self.protocol.batch_size]
        random = generator("encoding", "first-thresholds", self.seed)
        encoded = encode(self.protocol.encoder, first, self.protocol.steps, random)
        set_first_thresholds(self.network, encoded.to(device_of(self.network)), self.rule.first_spikes)

    def learn(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """See `Learner.learn`."""
        if self.rule.transfer:
            self.transfer()
        self.optimizer.zero_grad(set_to_none=True)
        spikes, own = self.network.trained(inputs, labels)
        loss, by_time = TIME_LOSSES[self.rule.loss](spikes.detach(), labels, self.targets)
        spikes.backward(by_time)
        nn.utils.clip_grad_norm_(self.network.parameters(), self.rule.clip)
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
        if self.rule.transfer:
            self.transfer()
