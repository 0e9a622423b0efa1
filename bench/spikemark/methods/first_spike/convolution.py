"""The compiled loops of the convolutional feature extractor: inference, unsupervised STDP and counting.

Weights are ``[channels, size, size, filters]``, so that one event adds one row to all filters of a position. Thresholds
and weights of one filter are shared by all positions; neurons are non-leaky and spike at most once.
"""

from __future__ import annotations

import math

import numpy as np

from spikemark.core.compiling import compiled
from spikemark.methods.first_spike.events import SILENT, Floats, Integers, sort_events

_MARGIN = 1e-4  # what rounding of single-precision sums could make of a bound


@compiled
def pooled_spikes(times: Floats, weights: Floats, thresholds: Floats, pool: int, features: Floats) -> None:
    """Earliest spike of every filter in every pooling window.

    Positions whose events cannot lift any filter above the lowest threshold are left out.

    Args:
        times: of the input, ``[B, channels, H, W]``.
        weights: ``[channels, size, size, filters]``.
        thresholds: ``[filters]``.
        pool: side of a window.
        features: written, ``[B, windows down, windows across, filters]``; 1 is silent.
    """
    batch, channels, height, width = times.shape
    size, filters = weights.shape[1], weights.shape[3]
    down, across = features.shape[1] * pool, features.shape[2] * pool
    flat = times.reshape(batch, channels * height * width)
    order, spare = np.empty(flat.shape[1], dtype=np.int32), np.empty(flat.shape[1], dtype=np.int32)
    sums = np.empty((down, across, filters), dtype=np.float32)
    lifts = _lifts(weights)
    lowest = thresholds.min() * (1 - _MARGIN) - _MARGIN
    in_all, so_far = np.empty((down, across)), np.empty((down, across))
    for b in range(batch):
        count = sort_events(flat[b], order, spare)
        sums[:], so_far[:], in_all[:] = 0, 0, 0
        features[b] = SILENT
        for e in range(count):
            c, y, x = _place(order[e], height, width)
            for i in range(max(0, y - size + 1), min(y + 1, down)):
                for j in range(max(0, x - size + 1), min(x + 1, across)):
                    in_all[i, j] += lifts[c, y - i, x - j]
        k = 0
        while k < count:
            now, first = flat[b, order[k]], k
            while k < count and flat[b, order[k]] == now:
                k += 1
            alone = k == first + 1
            for phase in range(1 if alone else 2):  # of equal times, all are added before any neuron may fire
                for e in range(first, k):
                    c, y, x = _place(order[e], height, width)
                    for i in range(max(0, y - size + 1), min(y + 1, down)):
                        for j in range(max(0, x - size + 1), min(x + 1, across)):
                            if in_all[i, j] <= lowest:
                                continue
                            if phase == 0:
                                _add(sums[i, j], weights[c, y - i, x - j])
                                so_far[i, j] += lifts[c, y - i, x - j]
                            if (phase == 1 or alone) and so_far[i, j] > lowest:
                                _fire(sums[i, j], thresholds, features[b, i // pool, j // pool], now)


@compiled
def _lifts(weights: Floats) -> Floats:
    """The most that an event can add to any filter, for every tap."""
    lifts = np.zeros(weights.shape[:3])
    for c in range(weights.shape[0]):
        for i in range(weights.shape[1]):
            for j in range(weights.shape[2]):
                lifts[c, i, j] = max(0.0, weights[c, i, j].max())
    return lifts


@compiled
def _place(index: int, height: int, width: int) -> tuple[int, int, int]:
    """Channel, row and column of a flat index."""
    return index // (height * width), (index // width) % height, index % width


@compiled
def _add(sums: Floats, row: Floats) -> None:
    for f in range(len(sums)):
        sums[f] += row[f]


@compiled
def _fire(sums: Floats, thresholds: Floats, out: Floats, now: float) -> None:
    """Note `now` for the filters above their threshold; times arrive in order, so the earliest stays."""
    fired = 0
    for f in range(len(sums)):  # without a branch, so that many are looked at at once
        fired += (sums[f] > thresholds[f]) & (out[f] > now)
    if fired > 0:
        for f in range(len(sums)):
            if sums[f] > thresholds[f] and out[f] > now:
                out[f] = now


@compiled
def learn_patches(
    times: Floats,
    rows: Integers,
    columns: Integers,
    weights: Floats,
    thresholds: Floats,
    rate: float,
    threshold_rate: float,
    goal: float,
    floor: float,
    beta: float,
) -> int:
    """Unsupervised learning from one patch of every image, one after the other.

    Only the first filter to fire learns (of equal times the larger potential, then the lower index). At its spike time
    t all thresholds move by ``-eta (t - t_goal)``, then the winner's by ``+eta`` and the others' by ``-eta / (K - 1)``,
    none below the floor; its weights by ``A exp(-beta w)`` where the input spikes no later, else by
    ``-A exp(beta (w - 1))``, within 0..1.

    Args:
        times: of the input, ``[N, channels, H, W]``.
        rows: of the patches' upper left corners, ``[N]``.
        columns: likewise.
        weights: ``[channels, size, size, filters]``; changed.
        thresholds: ``[filters]``; changed.
        rate: A.
        threshold_rate: eta.
        goal: t_goal, the spike time that thresholds seek.
        floor: of the thresholds.
        beta: of the multiplicative rule.

    Returns:
        How many patches made a filter fire.
    """
    channels, size, filters = weights.shape[0], weights.shape[1], weights.shape[3]
    taps = weights.reshape(channels * size * size, filters)
    patch = np.empty(len(taps), dtype=np.float32)
    order = np.empty(len(taps), dtype=np.int32)
    sums = np.empty(filters, dtype=np.float32)
    fired = 0
    for n in range(len(times)):
        i = 0
        for c in range(channels):
            for y in range(size):
                for x in range(size):
                    patch[i] = times[n, c, rows[n] + y, columns[n] + x]
                    i += 1
        winner, time = _first_filter(patch, order, _sort_few(patch, order), taps, thresholds, sums)
        if winner < 0:
            continue
        fired += 1
        for f in range(filters):
            change = threshold_rate if f == winner else -threshold_rate / (filters - 1)
            thresholds[f] = max(floor, thresholds[f] - threshold_rate * (time - goal) + change)
        for i in range(len(taps)):
            w = taps[i, winner]
            step = rate * math.exp(-beta * w) if patch[i] <= time else -rate * math.exp(beta * (w - 1))
            taps[i, winner] = min(max(w + step, 0.0), 1.0)
    return fired


@compiled
def _sort_few(times: Floats, order: Integers) -> int:
    """As `sort_events`, by insertion: faster for the few events of a patch."""
    count = 0
    for i in range(len(times)):
        if times[i] < SILENT:
            k = count
            while k > 0 and times[order[k - 1]] > times[i]:
                order[k] = order[k - 1]
                k -= 1
            order[k] = i
            count += 1
    return count


@compiled
def _first_filter(
    patch: Floats, order: Integers, count: int, taps: Floats, thresholds: Floats, sums: Floats
) -> tuple[int, float]:
    """The filter that fires first and its time; -1 when none does."""
    sums[:] = 0
    k = 0
    while k < count:
        now = patch[order[k]]
        while k < count and patch[order[k]] == now:
            _add(sums, taps[order[k]])
            k += 1
        above = 0
        for f in range(len(sums)):
            above += sums[f] > thresholds[f]
        if above > 0:
            winner = -1
            for f in range(len(sums)):
                if sums[f] > thresholds[f] and (winner < 0 or sums[f] > sums[winner]):
                    winner = f
            return winner, now
    return -1, 1.0


@compiled
def count_work(
    times: Floats, ends: Floats, weights: Floats, thresholds: Floats, height: int, width: int
) -> tuple[int, int, int]:
    """Work of the extractor up to a time of each sample, counted event by event.

    Args:
        times: of the input, ``[B, channels, H, W]``.
        ends: the last time that counts, ``[B]``; events at it count.
        weights: ``[channels, size, size, filters]``.
        thresholds: ``[filters]``.
        height: positions down.
        width: positions across.

    Returns:
        Pairs of an event and a nonzero weight; neuron updates, one for every neuron and distinct time of its events;
        and spikes.
    """
    batch, channels = times.shape[:2]
    size, filters = weights.shape[1], weights.shape[3]
    pairs, updates, spikes = 0, 0, 0
    patch = np.empty(channels * size * size, dtype=np.float32)
    order = np.empty(len(patch), dtype=np.int32)
    taps = weights.reshape(len(patch), filters)
    nonzero = np.zeros(len(patch), dtype=np.int64)
    for i in range(len(patch)):
        for f in range(filters):
            nonzero[i] += taps[i, f] != 0
    sums, fired = np.empty(filters, dtype=np.float32), np.empty(filters, dtype=np.bool_)
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                patch[:] = times[b, :, y : y + size, x : x + size].copy().reshape(len(patch))
                count = _sort_few(patch, order)
                sums[:] = 0
                fired[:] = False
                k = 0
                while k < count and patch[order[k]] <= ends[b]:
                    now = patch[order[k]]
                    while k < count and patch[order[k]] == now:
                        _add(sums, taps[order[k]])
                        pairs += nonzero[order[k]]
                        k += 1
                    updates += filters
                    for f in range(filters):
                        if sums[f] > thresholds[f] and not fired[f]:
                            fired[f] = True
                            spikes += 1
    return pairs, updates, spikes
