"""The rule "sleep-stdp": spike-timing-dependent plasticity while images pass, and sleep every so many steps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikemark.core.streams import stream_seed
from spikemark.errors import InputError
from spikemark.methods.sleep import kernels
from spikemark.methods.sleep.model import SleepNetwork, draw
from spikemark.methods.sleep.options import SleepStdp
from spikemark.methods.sleep.structures import at_rest, membrane_of, plasticity_of, rest_of
from spikemark.training.rule import Learner, Protocol


class SleepStdpLearner(Learner[SleepStdp]):
    """Plasticity without labels; labels only fit the readout, once per epoch, on responses with weights at rest.

    The images of all batches and epochs are one stream: potentials, thresholds and the count of steps until the next
    sleep go on from image to image, as published. Input spikes come from a stream of the seed alone, so that networks
    that sleep more or less see the same ones.

    Args:
        model: a `SleepNetwork`.
        rule: its options.
        protocol: epochs, batch size and encoding.
        seed: of the run.

    Raises:
        InputError: another model.
    """

    def __init__(self, model: nn.Module, rule: SleepStdp, protocol: Protocol, seed: int) -> None:
        super().__init__(model, rule, protocol, seed)
        if not isinstance(model, SleepNetwork):
            raise InputError(f"rule: sleep-stdp trains the network sleep-stdp, not a {type(model).__name__}")
        self.network = model
        self.wiring, self.weight = model.wiring()
        low, high = self.rule.smallest, self.rule.largest
        sign = self.wiring.sign[self.wiring.pre]
        excitatory = sign > 0
        magnitude = np.clip(self.weight * sign, low, high)
        self.weight = magnitude * sign
        model.bounds.copy_(torch.tensor([low, high]))
        self.state = at_rest(model.inputs, model.neurons, model.constants)
        self._membrane = membrane_of(model.constants)
        self._plasticity = plasticity_of(self.rule)
        self._rest = rest_of(self.rule, np.array([magnitude[excitatory].sum(), magnitude[~excitatory].sum()]))
        self._draws = np.random.default_rng(stream_seed("sleep-stdp", "input", seed))
        self._noise = np.random.default_rng(stream_seed("sleep-stdp", "noise", seed))
        self._seen: list[tuple[Tensor, Tensor]] = []

    def learn(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """See `Learner.learn`; scores are those of the last epoch's readout on the responses during plasticity.

        In the first epoch there is no readout yet: every class gets the mean rate.

        Raises:
            InputError: the inputs are not images of the network's shape, or not finite numbers of at least 0.
        """
        network = self.network
        probabilities = network.probabilities(inputs).numpy()
        steps, batch = inputs.shape[:2]
        counts = np.zeros((batch, network.neurons), dtype=np.int64)
        for b in range(batch):
            self._live(draw(probabilities[:, b], steps, self._draws), counts[b])
        network.store(self.wiring, self.weight)
        self._seen.append((inputs.detach(), labels.detach()))
        rates = torch.from_numpy(counts / steps).to(inputs.device)
        with torch.no_grad():
            scores: Tensor = network.readout(rates).float()
        return F.cross_entropy(scores, labels), scores

    def _live(self, spikes: np.ndarray, counts: np.ndarray) -> None:
        """One image, with the sleeps that fall into it."""
        network, interval = self.network, self.rule.interval
        delivered = np.zeros(network.inputs + network.neurons, dtype=np.int64)
        while len(spikes):
            woken = int(network.woken)
            now = spikes[: interval - woken % interval]
            kernels.wake(
                self.wiring, self.state, self._membrane, self.weight, self._plasticity, True, now, counts, delivered
            )
            network.woken += len(now)
            spikes = spikes[len(now) :]
            if int(network.woken) % interval == 0:
                self.sleep()

    def sleep(self) -> int:
        """One sleep; the steps it took."""
        if self.rule.length == 0:
            return 0
        asleep = np.zeros(self.network.neurons, dtype=np.int64)
        steps = kernels.sleep(
            self.wiring,
            self.state,
            self._membrane,
            self.weight,
            self._plasticity,
            self._rest,
            self._noise,
            asleep,
        )
        self.network.slept += steps
        return int(steps)

    def end_epoch(self) -> None:
        """Present the epoch's images once more, with weights at rest, and fit the readout to the responses."""
        rates = [torch.from_numpy(self.network.responses(x)[0] / x.shape[0]) for x, _ in self._seen]
        labels = [y.cpu() for _, y in self._seen]
        self._seen.clear()
        if not rates:
            raise InputError("training split: it has no batch of at least two images to learn from")
        self.network.fit_readout(torch.cat(rates), torch.cat(labels))

    def diagnostics(self) -> Mapping[str, float]:
        """See `SleepNetwork.diagnostics`."""
        return self.network.diagnostics()
