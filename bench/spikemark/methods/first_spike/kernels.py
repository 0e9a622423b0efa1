"""The compiled loop of the first-spike rules: one sample after the other, as published.

For a sample of class y: forward with the training thresholds, regulation of thresholds, update of weights. Output
neurons come in groups of equal size, one per class, in the order of the classes.
"""

from __future__ import annotations

import numpy as np

from spikemark.core.compiling import compiled
from spikemark.methods.first_spike.events import SILENT, Booleans, Floats, Integers, integrate, sort_events
from spikemark.methods.first_spike.options import Constants

S2_STDP, SSTDP, R_STDP = 0, 1, 2
NO_REGULATION, ONE_THRESHOLD, TWO_THRESHOLDS = 0, 1, 2


@compiled
def learn_samples(
    times: Floats,
    labels: Integers,
    weights: Floats,
    norms: Floats,
    fixed: Floats,
    adaptive: Floats,
    target: Booleans,
    kept: Booleans,
    constants: Constants,
    class_times: Floats,
    class_potentials: Floats,
    losses: Floats,
) -> int:
    """Learn from a batch, strictly one sample after the other.

    Args:
        times: of the inputs, ``[B, inputs]``.
        labels: ``[B]``.
        weights: ``[inputs, neurons]``; changed.
        norms: the sums that normalised weights keep, ``[neurons]``.
        fixed: thresholds of tests, ``[neurons]``.
        adaptive: thresholds of training, ``[neurons]``; changed by regulation.
        target: whether a neuron is labelled target, ``[neurons]``.
        kept: whether dropout spares a neuron, ``[B, neurons]``.
        constants: of the rule.
        class_times: written: first spike of each class, ``[B, classes]``.
        class_potentials: written: the potential at it.
        losses: written: mean squared timing error of the neurons that learned; R-STDP: 1 for a wrong winner.

    Returns:
        How many samples the first neuron of all classified rightly.
    """
    inputs, neurons = weights.shape
    classes = class_times.shape[1]
    size = neurons // classes
    order, spare = np.empty(inputs, dtype=np.int32), np.empty(inputs, dtype=np.int32)
    limits, potentials, spikes = np.empty(neurons), np.empty(neurons), np.empty(neurons, dtype=np.float32)
    groups, waiting = np.empty(neurons, dtype=np.int64), np.empty(neurons + 1, dtype=np.int64)
    learners, errors = np.empty(neurons, dtype=np.int64), np.empty(neurons)
    right = 0
    for b in range(len(times)):
        y = labels[b]
        _set_limits(limits, fixed, adaptive, target, kept[b], y, size, constants.regulation)
        _set_groups(groups, waiting, target, y, size, constants)
        count = sort_events(times[b], order, spare)
        integrate(times[b], order, count, weights, limits, waiting, groups, spikes, potentials)
        for j in range(neurons):
            if not kept[b, j]:
                spikes[j], potentials[j] = SILENT, 0.0
        if constants.regulation != NO_REGULATION:
            regulate(adaptive, spikes, potentials, target, y, size, constants)
        for c in range(classes):
            winner = first_of(spikes, potentials, c * size, (c + 1) * size)
            class_times[b, c], class_potentials[b, c] = spikes[winner], potentials[winner]
        winner = first_of(spikes, potentials, 0, neurons)
        right += winner // size == y
        if constants.rule == R_STDP:
            correct = winner // size == y and target[winner]
            learners[0], errors[0], learning = winner, 1.0, 1
            losses[b] = 0.0 if correct else 1.0
            causal, other = constants.causal, constants.other
            if not correct:
                causal, other = constants.anti_causal, constants.anti_other
        else:
            learning = timing_errors(learners, errors, spikes, potentials, target, y, size, constants)
            losses[b] = (errors[:learning] ** 2).mean()
            causal, other = constants.causal, constants.other
        update(weights, times[b], spikes, learners[:learning], errors[:learning], causal, other, norms, constants)
    return right


@compiled
def _set_limits(
    limits: Floats,
    fixed: Floats,
    adaptive: Floats,
    target: Booleans,
    kept: Booleans,
    y: int,
    size: int,
    regulation: int,
) -> None:
    """Thresholds of a training sample: the adaptive ones of y's target neurons (two thresholds) or of all (one)."""
    for j in range(len(limits)):
        adapts = regulation == ONE_THRESHOLD or (regulation == TWO_THRESHOLDS and target[j] and j // size == y)
        limits[j] = adaptive[j] if adapts else fixed[j]
        if not kept[j]:
            limits[j] = np.inf


@compiled
def _set_groups(groups: Integers, waiting: Integers, target: Booleans, y: int, size: int, constants: Constants) -> None:
    """What a sample must wait for: the first neuron, the first of each group, or every neuron.

    Regulation also needs the first target neuron of group y, so that neurons of y labelled non-target do not end it.
    """
    neurons = len(groups)
    waiting[:] = 0
    for j in range(neurons):
        if constants.rule == R_STDP:
            groups[j] = 0
        elif constants.winner_take_all:
            groups[j] = j // size
        else:
            groups[j] = j
        if constants.regulation != NO_REGULATION and j // size == y and not target[j]:
            groups[j] = neurons
        else:
            waiting[groups[j]] = 1


@compiled
def first_of(spikes: Floats, potentials: Floats, start: int, stop: int) -> int:
    """The first neuron of start..stop to fire; of equal times the larger potential, then the lower index."""
    best = start
    for j in range(start + 1, stop):
        earlier = spikes[j] < spikes[best]
        if earlier or (spikes[j] == spikes[best] and potentials[j] > potentials[best]):
            best = j
    return best


@compiled
def regulate(
    adaptive: Floats,
    spikes: Floats,
    potentials: Floats,
    target: Booleans,
    y: int,
    size: int,
    constants: Constants,
) -> None:
    """Raise the threshold of the first target neuron of group y and lower those of the others.

    ``theta_winner += eta (M_t - 1) / M_t``, others ``-= eta / M_t``: the changes sum to zero. With two thresholds none
    falls below the first test threshold. A group with one target neuron has no competition to regulate.
    """
    start, stop = y * size, (y + 1) * size
    count, winner = 0, -1
    for j in range(start, stop):
        if target[j]:
            count += 1
            better = winner < 0 or spikes[j] < spikes[winner]
            if better or (spikes[j] == spikes[winner] and potentials[j] > potentials[winner]):
                winner = j
    if count < 2:
        return
    for j in range(start, stop):
        if target[j]:
            share = count - 1.0 if j == winner else -1.0
            adaptive[j] += constants.threshold_rate * share / count
            if constants.regulation == TWO_THRESHOLDS:
                adaptive[j] = max(adaptive[j], constants.threshold_floor)


@compiled
def timing_errors(
    learners: Integers,
    errors: Floats,
    spikes: Floats,
    potentials: Floats,
    target: Booleans,
    y: int,
    size: int,
    constants: Constants,
) -> int:
    """Write the neurons that learn and their errors ``t_j - t*_j`` (positive: too late); return how many.

    With N learning neurons of which N_t may be right, the base time is the mean of those that fired, at most
    ``1 - g N_t / N``; neurons of class y aim at ``g (N - N_t) / N`` before it, the others at ``g N_t / N`` after it.
    """
    neurons = len(spikes)
    if constants.winner_take_all:
        count, right = neurons // size, 1
        for c in range(count):
            learners[c] = first_of(spikes, potentials, c * size, (c + 1) * size)
    else:
        count, right = neurons, size
        for j in range(neurons):
            learners[j] = j
    early, late = constants.gap * (count - right) / count, constants.gap * right / count
    total, fired = 0.0, 0
    for k in range(count):
        if spikes[learners[k]] < SILENT:
            total += spikes[learners[k]]
            fired += 1
    base = SILENT - late
    if fired > 0:
        base = min(total / fired, base)
    for k in range(count):
        j = learners[k]
        time = float(spikes[j])
        if j // size == y and target[j]:
            aim = base - early
            if constants.rule == SSTDP:
                aim = min(time, aim)
        else:
            aim = base + late
            if constants.rule == SSTDP:
                aim = max(time, aim)
        errors[k] = time - aim
    return count


@compiled
def update(
    weights: Floats,
    times: Floats,
    spikes: Floats,
    learners: Integers,
    errors: Floats,
    causal: float,
    other: float,
    norms: Floats,
    constants: Constants,
) -> None:
    """Additive STDP of the learning neurons, then clipping, then normalisation.

    ``w_ji += e_j A+`` where the input spikes no later than the neuron, else ``e_j A-``; to a silent neuron every input
    is causal.
    """
    count = 0
    for k in range(len(learners)):  # those without an error stay as they are
        if errors[k] != 0:
            learners[count], errors[count] = learners[k], errors[k]
            count += 1
    sums = np.zeros(count)
    for i in range(len(times)):
        row = weights[i]
        for k in range(count):
            j = learners[k]
            rate = causal if times[i] <= spikes[j] else other
            row[j] = min(max(row[j] + errors[k] * rate, constants.low), constants.high)
            sums[k] += row[j]
    if not constants.normalised:
        return
    scales = np.empty(count)
    for k in range(count):
        # A neuron that lost all its weights has nothing left to scale.
        scales[k] = norms[learners[k]] / sums[k] if sums[k] > 0 else 1.0
    for i in range(len(times)):
        row = weights[i]
        for k in range(count):
            row[learners[k]] *= scales[k]
