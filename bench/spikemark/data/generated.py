"""Data sets that are computed, for machines with no data: Yin-Yang and spikes on smooth random manifolds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spikemark.core.streams import generator
from spikemark.data.binning import Events, bin_events, make_events
from spikemark.data.card import Card
from spikemark.data.pools import Pool, SplitName

YIN_YANG_RADIUS, YIN_YANG_DOT = 0.5, 0.1
MANIFOLD_SMOOTHNESS, MANIFOLD_CUTOFF, MANIFOLD_STEPS = 3.0, 100, 100


def yin_yang(card: Card, data_dir: Path | None) -> Mapping[SplitName, Pool]:
    """Points ``(x, y, 1 - x, 1 - y)`` in a disc, by the part of the Yin-Yang symbol: 0 yin, 1 yang, 2 dots.

    Kriener, Göltz and Petrovici, NICE 2022 (arXiv 2102.08211): classes are drawn evenly, then points until one falls
    into the class.
    """
    random = generator("data", card.name)
    count = _total(card)
    goals = torch.randint(3, (count,), generator=random)
    points = torch.empty(count, 2, dtype=torch.float64)
    missing = torch.arange(count)
    while len(missing):
        drawn = 2 * YIN_YANG_RADIUS * torch.rand(len(missing), 2, dtype=torch.float64, generator=random)
        fits = yin_yang_class(drawn) == goals[missing]
        points[missing[fits]] = drawn[fits]
        missing = missing[~fits]
    inputs = torch.cat((points, 1 - points), dim=1).float().numpy()
    return {"train": Pool(inputs, goals.numpy(), card.name)}


def yin_yang_class(points: Tensor) -> Tensor:
    """Class of each point ``[N, 2]``; -1 outside the disc."""
    r, dot = YIN_YANG_RADIUS, YIN_YANG_DOT
    x, y = points.unbind(1)
    right = torch.hypot(x - 1.5 * r, y - r)
    left = torch.hypot(x - 0.5 * r, y - r)
    yin = (right <= dot) | ((left > dot) & (left <= 0.5 * r)) | ((y > r) & (right > 0.5 * r))
    parts = torch.where((right < dot) | (left < dot), 2, (~yin).long())
    return torch.where(torch.hypot(x - r, y - r) > r, -1, parts)


def randman(card: Card, data_dir: Path | None) -> Mapping[SplitName, Pool]:
    """Each neuron fires once, at a smooth random function of a hidden position; every class has its own functions.

    ``sum_k k^-alpha A_k sin(2 pi (k z B_k + C_k))`` of Zenke and Vogels, Neural Computation 33(4), 2021, A, B, C and z
    uniform in 0..1, one dimension, alpha = 3, each neuron's times stretched to the whole window. The sum ends at 100
    terms (theirs at 1,000: the rest adds less than 1e-4 of the first term).
    """
    assert card.sensor is not None
    assert card.binning is not None
    random = generator("data", card.name)
    per_class = _total(card) // card.classes
    k = torch.arange(1, MANIFOLD_CUTOFF + 1, dtype=torch.float64)
    times = []
    for _ in range(card.classes):
        a, b, c = torch.rand(3, card.sensor[0], MANIFOLD_CUTOFF, dtype=torch.float64, generator=random)
        z = torch.rand(per_class, 1, 1, dtype=torch.float64, generator=random)
        heights = (k**-MANIFOLD_SMOOTHNESS * a * torch.sin(2 * math.pi * (k * z * b + c))).sum(2)
        low, high = heights.amin(0), heights.amax(0)
        times.append(((heights - low) / (high - low) * (MANIFOLD_STEPS - 1)).round().long())
    steps = torch.cat(times).numpy()
    sensor, binning = card.sensor, card.binning

    def read(index: int) -> Events:
        order = np.argsort(steps[index], kind="stable")
        # In the middle of a step of 1 ms, so that noise on times moves events either way.
        return make_events(order, 0, 1_000 * steps[index][order] + 500, 0)

    frames = np.stack([bin_events(read(index), sensor, binning) for index in range(len(steps))])
    labels = np.arange(card.classes, dtype=np.int64).repeat(per_class)
    return {"train": Pool(frames, labels, card.name, read)}


def _total(card: Card) -> int:
    sizes = card.samples
    assert sizes.train is not None
    assert sizes.validation is not None
    assert sizes.test is not None
    return sizes.train + sizes.validation + sizes.test
