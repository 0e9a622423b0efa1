"""Exact operation counts of a first-spike network, up to its decision.

The first output spike decides, so work stops there: every event no later than the decision is delivered to every neuron
that it reaches, events after it are not. Without any output spike everything is delivered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from spikemark.core.counts import LayerCount, OperationCount, SpikingCount
from spikemark.methods.first_spike.clocked import quantised
from spikemark.methods.first_spike.convolution import count_work
from spikemark.methods.first_spike.events import SILENT

if TYPE_CHECKING:
    from spikemark.methods.first_spike.extractor import FeatureExtractor
    from spikemark.methods.first_spike.network import FirstSpikeNetwork


def count_first_spike_operations(
    model: FirstSpikeNetwork, images: Tensor, features: Tensor, decisions: Tensor
) -> OperationCount:
    """Operations per sample.

    An accumulate is a pair of an event and a nonzero weight. The contrast filter multiplies: pairs of a nonzero pixel
    and a tap, replicated edges excluded. A neuron is updated once for every distinct time at which events reach it; in
    the clocked form the output neurons are updated in every step up to the decision.

    Args:
        model: the network.
        images: ``[B, C, H, W]``.
        features: their spike times ``[B, features]``.
        decisions: time of the first output spike, ``[B]``; 1 without one.
    """
    batch = len(images)
    extractor = model.extractor
    times = extractor.encode(images).cpu()
    features, decisions = features.cpu(), decisions.cpu()
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
