"""The learner of first-spike networks: the extractor before the first epoch, then one sample after the other."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from spikemark.core.streams import generator
from spikemark.data.encoders import encode
from spikemark.errors import InputError
from spikemark.methods.first_spike.events import by_input
from spikemark.methods.first_spike.kernels import learn_samples
from spikemark.methods.first_spike.network import FirstSpikeNetwork, ranked_scores
from spikemark.methods.first_spike.options import FirstSpike
from spikemark.training.rule import Learner, Protocol


class FirstSpikeLearner(Learner[FirstSpike]):
    """S2-STDP, SSTDP or R-STDP on a `FirstSpikeNetwork`.

    The loss it reports is the mean squared timing error of the neurons that learned (R-STDP: the share of wrong
    winners); no rule descends along it.

    Raises:
        InputError: the network is no first-spike network, or its groups are too small for the labels.
    """

    def __init__(self, model: nn.Module, rule: FirstSpike, protocol: Protocol, seed: int) -> None:
        super().__init__(model, rule, protocol, seed)
        if not isinstance(model, FirstSpikeNetwork):
            raise InputError(f"rule first-spike trains first-spike networks, not {type(model).__name__}")
        self.network = model
        neurons = model.synapses.out_features
        size = neurons // model.classes
        self.rule.check_groups(size)
        self._target = np.arange(neurons) % size < size - self.rule.non_target
        self._norms = model.synapses.weight.double().abs().sum(1).cpu().numpy()
        self._floor = float(model.neurons.threshold.min())
        self._adaptive = self._fixed()
        self._dropout = generator("dropout", seed)
        self._decay = 1.0
        self._threshold_rate = self.rule.threshold_rate
        self._accuracy = 1 / model.classes
        self._right, self._seen = 0, 0

    def begin(self, inputs: Tensor) -> None:
        """Train the feature extractor on the training split.

        Raises:
            InputError: values outside 0..1 or NaN, or more than one step.
        """
        protocol, random = self.protocol, generator("encoding", "extractor", self.seed)
        encoded = encode(protocol.encoder, inputs, protocol.steps, random)
        self.network.extractor.fit(self.network.images(encoded), self.seed)

    @torch.no_grad()
    def learn(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """See `Learner.learn`; the scores are those of the training thresholds, each before its sample's update.

        Raises:
            InputError: values outside 0..1 or NaN, more than one step, or a label outside the classes.
        """
        classes = self.network.classes
        if not bool(((labels >= 0) & (labels < classes)).all()):
            raise InputError(f"labels: range over {labels.min()}..{labels.max()}; the network has {classes} classes")
        times = self.network.extractor(self.network.images(inputs)).cpu().numpy()
        synapses = self.network.synapses
        weights = by_input(synapses.weight.cpu()).copy()
        kept = torch.rand((len(times), synapses.out_features), generator=self._dropout) >= self.rule.dropout
        first = np.empty((len(times), classes), dtype=np.float32)
        potentials, losses = np.empty((len(times), classes)), np.empty(len(times))
        r_stdp = self.rule.rule == "r-stdp"
        constants = self.rule.constants(
            self._decay * (1 - self._accuracy if r_stdp else 1.0),
            self._decay * self._accuracy if r_stdp else 1.0,
            self._threshold_rate,
            synapses.low,
            synapses.high,
            self._floor,
        )
        self._right += learn_samples(
            times,
            labels.cpu().numpy(),
            weights,
            self._norms,
            self._fixed(),
            self._adaptive,
            self._target,
            kept.numpy(),
            constants,
            first,
            potentials,
            losses,
        )
        self._seen += len(times)
        synapses.weight.copy_(torch.from_numpy(weights).t())
        scores = ranked_scores(torch.from_numpy(first), torch.from_numpy(potentials))
        return torch.tensor(losses.mean(), dtype=torch.float32, device=inputs.device), scores.to(inputs.device)

    def end_epoch(self) -> None:
        """Anneal the rates; one-threshold regulation passes its thresholds on, two-threshold regulation resets them."""
        self._decay *= self.rule.annealing
        self._threshold_rate *= self.rule.threshold_annealing
        self._accuracy = self._right / self._seen if self._seen else self._accuracy
        self._right, self._seen = 0, 0
        if self.rule.regulation == "cr-1":
            raw = self.network.neurons.get_parameter_or_buffer("threshold")
            with torch.no_grad():
                raw.copy_(torch.from_numpy(self._adaptive))
        elif self.rule.regulation == "cr-2":
            self._adaptive = self._fixed()

    def _fixed(self) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        thresholds: np.ndarray[tuple[int, ...], np.dtype[np.float64]] = (
            self.network.neurons.threshold.detach().double().cpu().numpy().copy()
        )
        return thresholds
