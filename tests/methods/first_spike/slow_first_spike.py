"""The published equations event by event in plain Python: slow, and sharing no code with what it checks."""

import math

import numpy as np


def integrate(times, weights, thresholds):
    """Times and potentials of neurons `weights[j][i]`; a spike when the potential first exceeds the threshold."""
    spikes, potentials = [], []
    for row, threshold in zip(weights, thresholds, strict=True):
        when, level = 1.0, 0.0
        for now in sorted({t for t in times if t < 1}):
            level += sum(w for w, t in zip(row, times, strict=True) if t == now)
            if level > threshold:
                when = now
                break
        spikes.append(when)
        potentials.append(level)
    return spikes, potentials


def first(members, spikes, potentials):
    return sorted(members, key=lambda j: (spikes[j], -potentials[j], j))[0]


def learn(times, y, weights, fixed, adaptive, labelled, rule, norms, classes, kept, accuracy=None):
    """One sample; returns new weights, adaptive thresholds, and the winner of each class. `rule` is a dict."""
    neurons = len(weights)
    size = neurons // classes

    def group(c):
        return list(range(c * size, (c + 1) * size))

    limits = []
    for j in range(neurons):
        adapts = rule["regulation"] == "cr-1" or (rule["regulation"] == "cr-2" and j in group(y) and labelled[j])
        limits.append(adaptive[j] if adapts else fixed[j])
    spikes, potentials = integrate(times, weights, limits)
    for j in range(neurons):
        if not kept[j]:
            spikes[j], potentials[j] = 1.0, 0.0
    adaptive = list(adaptive)
    candidates = [j for j in group(y) if labelled[j]]
    if rule["regulation"] != "none" and len(candidates) >= 2:
        best = first(candidates, spikes, potentials)
        for j in candidates:
            m = len(candidates)
            adaptive[j] += rule["eta"] * (m - 1) / m if j == best else -rule["eta"] / m
            if rule["regulation"] == "cr-2":
                adaptive[j] = max(adaptive[j], rule["floor"])
    winners = [first(group(c), spikes, potentials) for c in range(classes)]
    overall = first(range(neurons), spikes, potentials)
    errors = {}
    causal, other = rule["causal"], rule["other"]
    if rule["rule"] == "r-stdp":
        right = overall in group(y) and labelled[overall]
        errors[overall] = 1.0
        share = (1 - accuracy) if right else -accuracy
        causal, other = causal * share, other * share
    else:
        who = winners if rule["wta"] else list(range(neurons))
        n, n_t = len(who), (1 if rule["wta"] else size)
        g = rule["gap"]
        fired = [spikes[j] for j in who if spikes[j] < 1]
        base = 1 - g * n_t / n
        if fired:
            base = min(base, sum(fired) / len(fired))
        for j in who:
            wanted = base - g * (n - n_t) / n if (j in group(y) and labelled[j]) else base + g * n_t / n
            if rule["rule"] == "sstdp":
                good = spikes[j] <= wanted if (j in group(y) and labelled[j]) else spikes[j] >= wanted
                if good:
                    wanted = spikes[j]
            errors[j] = spikes[j] - wanted
    new = [list(row) for row in weights]
    for j, e in errors.items():
        if e == 0:
            continue
        for i, t in enumerate(times):
            w = new[j][i] + e * (causal if t <= spikes[j] else other)
            new[j][i] = min(rule["high"], max(rule["low"], w))
        if rule["normalised"]:
            total = sum(abs(w) for w in new[j])
            if total > 0:
                new[j] = [w * norms[j] / total for w in new[j]]
    return new, adaptive, winners, spikes, potentials, errors


def patch_step(patch, weights, thresholds, rate, eta, goal, floor, beta):
    """One patch for filters `weights[k][i]`; returns winner (or None), new weights and thresholds."""
    spikes, potentials = integrate(patch, weights, thresholds)
    winner = first(range(len(weights)), spikes, potentials)
    t = spikes[winner]
    if t == 1:
        return None, weights, thresholds
    k = len(weights)
    moved = []
    for f, theta in enumerate(thresholds):
        theta = theta - eta * (t - goal)
        theta = theta + eta if f == winner else theta - eta / (k - 1)
        moved.append(max(floor, theta))
    new = [list(row) for row in weights]
    for i, w in enumerate(weights[winner]):
        w = w + rate * math.exp(-beta * w) if patch[i] <= t else w - rate * math.exp(beta * (w - 1))
        new[winner][i] = min(1.0, max(0.0, w))
    return winner, new, moved


CASES = 10


def spike_times(random, *shape):
    """Times on a coarse grid, so that many are equal, about a third of them silent; exact in single precision."""
    return np.minimum(random.integers(0, 24, shape) / 16, 1).astype(np.float32)


def dyadic(random, *shape, low=0.0, high=1.0):
    """Weights on a grid of 1/64, so that sums are exact and ties of potentials happen."""
    return (np.round(random.uniform(low, high, shape) * 64) / 64).astype(np.float32)
