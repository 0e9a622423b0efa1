"""A first-spike classifier: images, features by an unsupervised extractor, one layer of neurons, the earliest wins.

Inference is exact (event form) where the neurons are the oracle's, and runs on the framework's clock elsewhere. The
learner makes the weights.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from spikemark.core.adapter import SpikingLayer
from spikemark.core.counts import LayerCount, OperationCount, SpikingCount
from spikemark.core.options import Options
from spikemark.errors import InputError
from spikemark.methods.first_spike.convolution import count_work
from spikemark.methods.first_spike.events import SILENT, clocked_spikes, first_spikes, quantised
from spikemark.methods.first_spike.extractor import Extraction, FeatureExtractor

Form = Literal["auto", "event", "clocked"]


class Synapses(nn.Linear):
    """Weights of the output layer, drawn from a normal distribution within a range.

    Args:
        inputs: number of features.
        outputs: number of neurons.
        mean: of the first weights.
        deviation: of the first weights.
        low: of the range that weights keep.
        high: likewise.
    """

    def __init__(self, inputs: int, outputs: int, mean: float, deviation: float, low: float, high: float) -> None:
        self.mean, self.deviation, self.low, self.high = mean, deviation, low, high
        super().__init__(inputs, outputs, bias=False)
        self.requires_grad_(False)

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        with torch.no_grad():
            self.weight.normal_(self.mean, self.deviation).clamp_(self.low, self.high)


class FirstSpikeNetwork(nn.Module):
    """Maps images ``[1, B, C, H, W]`` in 0..1 to scores ``[1, B, classes]``.

    Args:
        extractor: of the features.
        synapses: of the output neurons, which come in groups of equal size, one per class.
        neurons: of the output layer; their thresholds are those of tests.
        classes: number of classes.
        steps: K of the clocked form.
        clocked: whether inference runs on the framework's clock.
    """

    def __init__(
        self,
        extractor: FeatureExtractor,
        synapses: Synapses,
        neurons: SpikingLayer,
        classes: int,
        steps: int,
        clocked: bool,
    ) -> None:
        super().__init__()
        self.extractor = extractor
        self.synapses = synapses
        self.neurons = neurons
        self.classes = classes
        self.steps = steps
        self.clocked = clocked

    def spiking_layers(self) -> list[SpikingLayer]:
        """The output neurons."""
        return [self.neurons]

    @torch.no_grad()
    def forward(self, inputs: Tensor) -> Tensor:
        """Scores whose largest is the class of the earliest neuron; see `ranked_scores`.

        Raises:
            InputError: more than one step, values outside 0..1 or NaN, or neurons that the event form cannot compute.
        """
        times, potentials = self.output_spikes(self.extractor(self.images(inputs)))
        return ranked_scores(*self.of_classes(times, potentials)).to(inputs.device).unsqueeze(0)

    def images(self, inputs: Tensor) -> Tensor:
        """``[1, B, ...]`` without its time axis.

        Raises:
            InputError: there is more than one step.
        """
        if len(inputs) != 1:
            raise InputError(
                f"steps: {len(inputs)} steps; first-spike networks code time themselves: encoder 'direct' with 1 step"
            )
        return inputs[0]

    def output_spikes(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Spike times and potentials ``[B, neurons]`` of the output layer, on the CPU.

        Raises:
            InputError: neurons that the event form cannot compute.
        """
        if self.clocked:
            return clocked_spikes(features.cpu(), self.synapses.weight, self.neurons, self.steps)
        if bool((self.neurons.decay != 1).any()):
            raise InputError("neuron: the event form has no decay; ask for form = 'clocked', or for another framework")
        if self.neurons._forward_hooks:
            raise InputError(
                "noise: spikes of the event form are times, which noise on steps cannot reach; ask for "
                "form = 'clocked', or for another framework"
            )
        groups = torch.arange(len(self.synapses.weight)) // (len(self.synapses.weight) // self.classes)
        return first_spikes(features.cpu(), self.synapses.weight.cpu(), self.neurons.threshold.cpu(), groups)

    def of_classes(self, times: Tensor, potentials: Tensor) -> tuple[Tensor, Tensor]:
        """The first neuron of each class, ``[B, classes]``: of equal times the one with the larger potential."""
        grouped, levels = (values.unflatten(1, (self.classes, -1)) for values in (times, potentials))
        earliest = grouped.amin(2)
        highest = levels.masked_fill(grouped != earliest.unsqueeze(2), -torch.inf).amax(2)
        return earliest, highest

    def count_operations(self, inputs: Tensor) -> OperationCount:
        """Operations up to the decision; see `count_up_to`."""
        images = self.images(inputs)
        features = self.extractor(images).cpu()
        return count_up_to(self.output_spikes(features)[0].amin(1), self, images, features)


def ranked_scores(times: Tensor, potentials: Tensor) -> Tensor:
    """``1 - t``, raised by the least float where the order of decisions would be lost otherwise.

    Args:
        times: ``[B, classes]`` float32.
        potentials: ``[B, classes]``.

    Returns:
        ``[B, classes]`` float32: of two classes the one with the earlier time, or of equal times with the larger
        potential, has the larger score; both equal, equal scores.
    """
    by_potential = potentials.argsort(dim=1, stable=True)
    order = by_potential.gather(1, times.gather(1, by_potential).argsort(dim=1, descending=True, stable=True))
    late, low = times.gather(1, order), potentials.gather(1, order)
    plain = 1 - late
    scores = plain.clone()
    above = torch.full_like(scores[:, 0], torch.inf)
    for k in range(1, scores.shape[1]):
        same = (late[:, k] == late[:, k - 1]) & (low[:, k] == low[:, k - 1])
        least = torch.where(same, scores[:, k - 1], torch.nextafter(scores[:, k - 1], above))
        scores[:, k] = torch.maximum(plain[:, k], least)
    return torch.empty_like(scores).scatter_(1, order, scores)


def count_up_to(decisions: Tensor, model: FirstSpikeNetwork, images: Tensor, features: Tensor) -> OperationCount:
    """Operations per sample up to its decision, exactly.

    The first output spike decides, so work stops there: every event no later than the decision is delivered to every
    neuron that it reaches, events after it are not. Without any output spike everything is delivered.

    An accumulate is a pair of an event and a nonzero weight. The contrast filter multiplies: pairs of a nonzero pixel
    and a tap, replicated edges excluded. A neuron is updated once for every distinct time at which events reach it; in
    the clocked form the output neurons are updated in every step up to the decision.

    Args:
        decisions: time of the first output spike, ``[B]``; 1 without one.
        model: the network.
        images: ``[B, C, H, W]``.
        features: their spike times ``[B, features]``, on the CPU, like the decisions.
    """
    batch = len(images)
    extractor = model.extractor
    times = extractor.encode(images).cpu()
    if model.clocked:
        arrivals, ends = quantised(features, model.steps), _last_moments(decisions, model.steps)
    else:
        arrivals, ends = features, decisions
    counted = (arrivals <= decisions.unsqueeze(1)) & (features < SILENT)
    nonzero = (model.synapses.weight.cpu() != 0).sum(0)
    outputs = len(model.synapses.weight)
    accumulates = int((counted * nonzero).sum())
    down, across = (side * extractor.extraction.pool for side in extractor.windows)
    thresholds = extractor.thresholds.cpu().numpy()
    pairs, updates, spikes = count_work(times.numpy(), ends.numpy(), extractor.taps(), thresholds, down, across)
    moments = _clock_steps(decisions, model.steps) if model.clocked else _distinct(arrivals, counted)
    output_updates = outputs * moments
    output_spikes = int(
        (model.output_spikes(features)[0] <= decisions.unsqueeze(1))
        .logical_and((decisions < SILENT).unsqueeze(1))
        .sum()
    )
    filters = extractor.filters.weight
    dense = down * across * filters.numel()
    return OperationCount(
        layers=(
            _contrast_count(extractor, images.cpu()),
            LayerCount("extractor.filters", "binary", 0.0, pairs / batch, float(dense)),
            LayerCount("synapses", "binary", 0.0, accumulates / batch, float(model.synapses.weight.numel())),
        ),
        spiking=(
            SpikingCount("extractor", updates / batch, spikes / max(updates, 1)),
            SpikingCount("neurons", output_updates / batch, output_spikes / max(output_updates, 1)),
        ),
    )


def _last_moments(decisions: Tensor, steps: int) -> Tensor:
    """The last float before the end of each decision's step; 1 without a decision."""
    end = (decisions + 1 / steps).clamp(max=SILENT)
    return torch.where(decisions < SILENT, torch.nextafter(end, torch.zeros_like(end)), SILENT)


def _clock_steps(decisions: Tensor, steps: int) -> int:
    ran = torch.where(decisions < SILENT, (decisions * steps).round() + 1, float(steps))
    return int(ran.sum())


def _distinct(times: Tensor, counted: Tensor) -> int:
    """Number of distinct counted times, summed over the samples."""
    return sum(len(row[mask].unique()) for row, mask in zip(times, counted, strict=True))


def _contrast_count(extractor: FeatureExtractor, images: Tensor) -> LayerCount:
    taps = (extractor.blob.cpu() != 0).float()
    nonzero = (images != 0).float().reshape(-1, 1, *images.shape[-2:])
    margin = taps.shape[-1] // 2
    pairs = int(F.conv2d(nonzero, taps, padding=margin).double().sum())
    everything = F.conv2d(torch.ones_like(nonzero[:1]), taps, padding=margin).sum() * images.shape[1]
    return LayerCount("extractor.contrast", "analog", pairs / len(images), 0.0, float(everything))


class Head(Options):
    """The classifier behind the features.

    Attributes:
        threshold: of every output neuron in tests; it depends on number and earliness of the features' spikes.
        neurons_per_class: M.
        mean: of the first weights.
        deviation: of the first weights.
        low: of the range that weights keep.
        high: likewise.
        extractor: of the features.
        steps: K of the clocked form.
        form: "event", "clocked", or "auto": the event form where the neurons are the oracle's.
    """

    threshold: Annotated[float, Field(gt=0)]
    neurons_per_class: Annotated[int, Field(ge=1)] = 1
    mean: float = 0.3
    deviation: float = 0.01
    low: float = 0.0
    high: float = 1.0
    extractor: Annotated[Extraction, Field(strict=False)] = Extraction()
    steps: Annotated[int, Field(ge=1)] = 256
    form: Form = "auto"

    @model_validator(mode="after")
    def _range_of_weights(self) -> Self:
        if not self.low < self.high:
            raise ValueError(f"low: {self.low} is not below high = {self.high}")
        return self


def first_spike(
    input_shape: tuple[int, ...],
    classes: int,
    neurons: Callable[[tuple[int, ...]], SpikingLayer],
    norm: Callable[[int, bool], nn.Module],
    **options: Any,
) -> FirstSpikeNetwork:
    """A `FirstSpikeNetwork`, as an entry of ``NETWORKS``.

    Args:
        input_shape: of one image, ``(C, H, W)``.
        classes: number of classes.
        neurons: makes the output layer; its spec needs decay 1, no scaling of the input and one threshold per neuron.
        norm: unused; there are no currents to normalise.
        options: fields of `Head`.

    Raises:
        InputError: an option is out of its range; the message begins with its name.
    """
    head = Head(**options)
    features = FeatureExtractor(input_shape, head.extractor)
    outputs = classes * head.neurons_per_class
    layer = neurons((outputs,))
    spec = layer.spec
    if (
        spec.decay_input
        or spec.decay.init != 1
        or (spec.threshold.scope, spec.threshold.transform)
        != (
            "neuron",
            "identity",
        )
    ):
        raise InputError(
            "neuron: first-spike networks need decay 1, plain input and an untransformed threshold per neuron"
        )
    with torch.no_grad():
        layer.get_parameter_or_buffer("threshold").fill_(head.threshold)
    layer.requires_grad_(False)
    synapses = Synapses(features.features, outputs, head.mean, head.deviation, head.low, head.high)
    clocked = head.form == "clocked" or (head.form == "auto" and not layer.oracle)
    return FirstSpikeNetwork(features, synapses, layer, classes, head.steps, clocked)
