"""The recurrent network: excitatory and inhibitory neurons, plastic synapses everywhere, a readout of firing rates."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from spikemark.core.adapter import SpikingLayer
from spikemark.core.counts import LayerCount, OperationCount, SpikingCount
from spikemark.errors import InputError
from spikemark.methods.sleep.options import NeuronConstants
from spikemark.methods.sleep.options import SleepStdp as SleepOptions
from spikemark.methods.sleep.projections import Architecture, Projection
from spikemark.methods.sleep.readout import RateReadout
from spikemark.methods.sleep.structures import Floats, Ints, Wiring, at_rest, membrane_of, plasticity_of, wire

RUNAWAY_RATE = 0.25
"""Spikes per step above which a neuron counts as running away (ours): every fourth step, 250 Hz at steps of 1 ms."""
BOUND_MARGIN = 1e-3
"""How near to a bound, relative to it, a weight counts as saturated (ours)."""


class SleepNetwork(nn.Module):
    """Scores ``[1, B, classes]`` from intensities ``[T, B, C, H, W]``; at inference the weights stand still.

    Images are averaged over channels, resized, scaled to a fixed mean and drawn as Bernoulli spikes inside the network.
    The draws of an image follow from its own values: they depend neither on its place in a batch nor on what was
    evaluated before, and are the same for every network. Every image starts from rest. Compiled loops compute on the
    CPU; a network on another device moves its inputs there and its scores back. No gradient passes.

    Args:
        input_shape: ``(C, H, W)``.
        classes: number of classes.
        architecture: sizes and first weights.
        constants: of the neurons.

    Raises:
        InputError: the samples are no images.
    """

    rates: Tensor
    diversity: Tensor
    woken: Tensor
    slept: Tensor
    bounds: Tensor

    def __init__(
        self,
        input_shape: tuple[int, ...],
        classes: int,
        architecture: Architecture | None = None,
        constants: NeuronConstants | None = None,
    ) -> None:
        super().__init__()
        if len(input_shape) != 3:
            raise InputError(f"input_shape: this network takes images (C, H, W), not {tuple(input_shape)}")
        self.input_shape, self.classes = tuple(input_shape), classes
        self.architecture = a = architecture or Architecture()
        self.constants = constants or NeuronConstants()
        self.inputs, self.neurons = a.side * a.side, a.excitatory + a.inhibitory
        densities, weights = a.densities, a.weights
        self.input_to_exc = Projection(self.inputs, a.excitatory, densities[0], weights[0])
        self.exc_to_exc = Projection(a.excitatory, a.excitatory, densities[1], weights[1], loops=False)
        self.exc_to_inh = Projection(a.excitatory, a.inhibitory, densities[2], weights[2])
        self.inh_to_exc = Projection(a.inhibitory, a.excitatory, densities[3], weights[3], opposite=self.exc_to_inh)
        self.readout = RateReadout(self.neurons, classes)
        self.register_buffer("rates", torch.zeros(self.neurons, dtype=torch.float64))
        self.register_buffer("diversity", torch.zeros((), dtype=torch.float64))
        self.register_buffer("woken", torch.tensor(0))
        self.register_buffer("slept", torch.tensor(0))
        self.register_buffer("bounds", torch.tensor([0.0, float("inf")], dtype=torch.float64))

    def spiking_layers(self) -> list[SpikingLayer]:
        """None: the neurons are its own, not an adapter's."""
        return []

    def projections(self) -> Iterator[tuple[str, Projection, int, int]]:
        """Name, synapses, first presynaptic and first postsynaptic neuron of each projection."""
        exc = self.architecture.excitatory
        yield "input_to_exc", self.input_to_exc, 0, 0
        yield "exc_to_exc", self.exc_to_exc, self.inputs, 0
        yield "exc_to_inh", self.exc_to_inh, self.inputs, exc
        yield "inh_to_exc", self.inh_to_exc, self.inputs + exc, 0

    def wiring(self) -> tuple[Wiring, Floats]:
        """Its synapses and their signed weights, in the order of the wiring."""
        pre, post, weight = self._synapses()
        order = np.argsort(pre, kind="stable")
        wiring = wire(self.inputs, self.neurons, pre[order], post[order], self.architecture.inhibitory)
        return wiring, weight[order]

    def store(self, wiring: Wiring, weight: Floats) -> None:
        """Put back weights in the order of `wiring`."""
        full = np.zeros((self.neurons, self.inputs + self.neurons))
        full[wiring.post, wiring.pre] = weight
        with torch.no_grad():
            for _, projection, pre, post in self.projections():
                block = full[post : post + projection.out_features, pre : pre + projection.in_features]
                projection.weight.copy_(torch.from_numpy(block) * projection.mask.cpu())

    def _synapses(self) -> tuple[Ints, Ints, Floats]:
        parts = []
        for _, projection, pre, post in self.projections():
            targets, sources = projection.mask.cpu().nonzero(as_tuple=True)
            weight = projection.weight.detach().cpu()[targets, sources].double()
            parts.append((sources.numpy() + pre, targets.numpy() + post, weight.numpy()))
        pres, posts, weights = zip(*parts, strict=True)
        return np.concatenate(pres), np.concatenate(posts), np.concatenate(weights)

    def probabilities(self, inputs: Tensor) -> Tensor:
        """Probability of an input spike at each step, ``[T, B, side * side]``; T is 1 where the input is constant.

        Each image is scaled so that its mean over pixels and steps is `Architecture.intensity`; what then exceeds 1
        spikes always. An empty image stays empty.

        Raises:
            InputError: the inputs have another shape, or are not finite numbers of at least 0.
        """
        if inputs.dim() != 5 or tuple(inputs.shape[2:]) != self.input_shape or 0 in inputs.shape[:2]:
            raise InputError(
                f"inputs: shape {list(inputs.shape)} is not [T, B, {', '.join(map(str, self.input_shape))}]"
            )
        constant = inputs.stride(0) == 0 or torch.equal(inputs, inputs[:1].expand_as(inputs))
        frames = inputs[:1] if constant else inputs
        if not torch.isfinite(frames).all() or (frames < 0).any():
            raise InputError("inputs: not all values are finite numbers of at least 0")
        side = self.architecture.side
        gray = frames.detach().cpu().float().mean(2).flatten(0, 1).unsqueeze(1)
        small = F.interpolate(gray, size=(side, side), mode="bilinear", antialias=True, align_corners=False)
        values = small.clamp_min(0).reshape(len(frames), -1, self.inputs)
        mean = values.mean((0, 2), keepdim=True)
        return values * torch.where(mean > 0, self.architecture.intensity / mean, torch.zeros_like(mean))

    def responses(self, inputs: Tensor) -> tuple[Ints, Ints]:
        """Spikes of every image with the weights as they stand.

        Args:
            inputs: ``[T, B, C, H, W]``.

        Returns:
            Spikes of each neuron ``[B, neurons]``, and those of each input and neuron that reached its synapses
            ``[B, inputs + neurons]``: a spike of the last step does not.
        """
        from spikemark.methods.sleep import kernels  # loads a compiler; those who only list systems need none

        probabilities = self.probabilities(inputs).numpy()
        steps, batch = inputs.shape[:2]
        counts = np.zeros((batch, self.neurons), dtype=np.int64)
        delivered = np.zeros((batch, self.inputs + self.neurons), dtype=np.int64)
        wiring, weight = self.wiring()
        membrane, idle = membrane_of(self.constants), plasticity_of(SleepOptions())
        for b in range(batch):
            image = probabilities[:, b]
            spikes = draw(image, steps, np.random.default_rng(_seed_of(image)))
            state = at_rest(self.inputs, self.neurons, self.constants)
            kernels.wake(wiring, state, membrane, weight, idle, False, spikes, counts[b], delivered[b])
        return counts, delivered

    def forward(self, inputs: Tensor) -> Tensor:
        """See the class."""
        counts, _ = self.responses(inputs)
        rates = torch.from_numpy(counts / inputs.shape[0]).to(self.rates.device)
        scores: Tensor = self.readout(rates)
        return scores.float().unsqueeze(0)

    def fit_readout(self, rates: Tensor, labels: Tensor) -> None:
        """Fit the readout to training responses ``[N, neurons]``, and keep what `diagnostics` tells of them."""
        self.readout.fit(rates, labels)
        spread = torch.cov(rates.double().T) if len(rates) > 1 else torch.zeros(self.neurons, self.neurons)
        total = spread.diagonal().sum()
        self.rates.copy_(rates.mean(0))
        self.diversity.fill_(float(total**2 / spread.square().sum()) if total > 0 else 0.0)

    def diagnostics(self) -> Mapping[str, float]:
        """Health of the network after its last epoch; see docs/sleep.md for what the names mean."""
        _, weight = self.wiring()
        size = np.abs(weight)
        low, high = self.bounds.tolist()
        return {
            "weights_at_lower_bound": float((size <= low * (1 + BOUND_MARGIN)).mean()),
            "weights_at_upper_bound": float((size >= high * (1 - BOUND_MARGIN)).mean()),
            "mean_excitatory_weight": float(size[weight > 0].mean()) if (weight > 0).any() else 0.0,
            "mean_inhibitory_weight": float(size[weight < 0].mean()) if (weight < 0).any() else 0.0,
            "silent_neurons": float((self.rates == 0).double().mean()),
            "runaway_neurons": float((self.rates > RUNAWAY_RATE).double().mean()),
            "representation_diversity": float(self.diversity),
            "sleep_steps": float(self.slept),
            "wake_steps": float(self.woken),
        }

    def count_operations(self, inputs: Tensor) -> OperationCount:
        """Operations for one image, on average over the batch; see `spikemark.measures.counting.operations`.

        A pair is a spike that reached a synapse whose weight is not 0; absent synapses are no weights. The readout
        multiplies rates, its own operations are counted whole.
        """
        counts, delivered = self.responses(inputs)
        steps, batch = inputs.shape[:2]
        layers = []
        for name, projection, pre, _ in self.projections():
            fan_out = ((projection.weight != 0) & projection.mask).sum(0).cpu().numpy()
            pairs = int((delivered[:, pre : pre + projection.in_features] * fan_out).sum())
            layers.append(LayerCount(name, "binary", 0.0, pairs / batch, float(steps * int(projection.mask.sum()))))
        macs = float(self.readout.macs)
        layers.append(LayerCount("readout", "analog", macs, 0.0, macs))
        exc = self.architecture.excitatory
        spiking = [
            SpikingCount(name, float(steps * part.shape[1]), float(part.mean() / steps))
            for name, part in (("excitatory", counts[:, :exc]), ("inhibitory", counts[:, exc:]))
        ]
        return OperationCount(tuple(layers), tuple(spiking))


def draw(probabilities: NDArray[np.float32], steps: int, random: np.random.Generator) -> NDArray[np.bool_]:
    """Bernoulli spikes ``[steps, inputs]`` with probabilities ``[T, inputs]``, T = `steps` or 1."""
    return random.random((steps, probabilities.shape[1]), dtype=np.float32) < probabilities


def _seed_of(image: NDArray[np.float32]) -> int:
    """A seed that follows from an image ``[T, pixels]``, constant ones from their first step alone.

    Rounded, so that no library's last bit decides about all draws.
    """
    frames = image[:1] if (image == image[:1]).all() else image
    rounded = np.round(frames * 2**12).astype(np.int32)
    return int.from_bytes(hashlib.blake2b(rounded.tobytes(), digest_size=8).digest(), "little")
