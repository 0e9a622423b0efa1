"""A first-spike classifier: images, features by an unsupervised extractor, one layer of neurons, the earliest wins.

Inference is exact (event form) where the neurons are the oracle's, and runs on the framework's clock elsewhere. How the
weights come about is the learner's business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from spikemark.core.adapter import SpikingLayer
from spikemark.core.counts import OperationCount
from spikemark.core.options import Options
from spikemark.errors import InputError
from spikemark.methods.first_spike.clocked import clocked_spikes
from spikemark.methods.first_spike.counting import count_first_spike_operations
from spikemark.methods.first_spike.events import first_spikes
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
        synapses: of the output neurons, which come in groups of equal size, one a class.
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
        """Operations up to the decision; see `count_first_spike_operations`."""
        features = self.extractor(self.images(inputs))
        decisions = self.output_spikes(features)[0].amin(1)
        return count_first_spike_operations(self, self.images(inputs), features, decisions)


def ranked_scores(times: Tensor, potentials: Tensor) -> Tensor:
    """``1 - t``, raised by the least float wherever that is needed to keep the order of decisions.

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


class Head(Options):
    """The classifier behind the features.

    Attributes:
        threshold: of every output neuron in tests; it depends on number and earliness of the features' spikes.
        neurons_per_class: M.
        mean: of the first weights.
        deviation: of the first weights.
        low: of the range that weights keep.
        high: likewise.
        extractor: fields of `Extraction`.
        steps: K of the clocked form.
        form: "event", "clocked", or "auto": the event form where the neurons are the oracle's.
    """

    threshold: Annotated[float, Field(gt=0)]
    neurons_per_class: Annotated[int, Field(ge=1)] = 1
    mean: float = 0.3
    deviation: float = 0.01
    low: float = 0.0
    high: float = 1.0
    extractor: Mapping[str, Any] = {}
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
        neurons: makes the output layer; its spec needs decay 1, no scaling of the input and a threshold a neuron.
        norm: unused; there are no currents to normalise.
        options: fields of `Head`.

    Raises:
        InputError: an option is out of its range; the message begins with its name.
    """
    head = Head(**options)
    features = FeatureExtractor(input_shape, Extraction(**head.extractor))
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
