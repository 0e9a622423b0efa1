"""Training of first-spike networks: samples per second of the sequential loop, on one core.

The published size: 4,608 features, 10 classes, 5 neurons each, a third of the features spiking, weights as trained on
MNIST begin. CPU time is measured, so that what else the machine does plays no part.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from spikemark.methods.first_spike.kernels import learn_samples
from spikemark.methods.first_spike.systems import SYSTEMS

FEATURES, CLASSES, SAMPLES, ROUNDS = 4608, 10, 400, 7
GOAL = 2000


@pytest.mark.parametrize("name", ["ncg-mnist", "s2-stdp-mnist", "r-stdp-mnist"])
def test_training_throughput(name: str, tell: Callable[[str], None], benchmark) -> None:
    system = SYSTEMS[name]
    rule = system.rule
    size = system.options["neurons_per_class"]
    neurons = CLASSES * size
    random = np.random.default_rng(0)
    times = np.where(random.random((SAMPLES, FEATURES)) < 0.3, random.uniform(0.6, 1, (SAMPLES, FEATURES)), 1)
    weights = random.normal(system.options["mean"], 0.01, (FEATURES, neurons)).clip(0, 1).astype(np.float32)
    thresholds = np.full(neurons, system.options["threshold"])
    arguments = (
        times.astype(np.float32),
        random.integers(0, CLASSES, SAMPLES),
        weights,
        weights.sum(0, dtype=np.float64),
        thresholds,
        thresholds.copy(),
        np.arange(neurons) % size < size - rule.non_target,
        np.ones((SAMPLES, neurons), dtype=bool),
        rule.constants(1.0, 1.0, rule.threshold_rate, 0.0, 1.0, system.options["threshold"]),
        np.empty((SAMPLES, CLASSES), dtype=np.float32),
        np.empty((SAMPLES, CLASSES)),
        np.empty(SAMPLES),
    )
    learn_samples(*arguments)  # compiles
    seconds = []

    def once() -> None:
        start = time.process_time()
        learn_samples(*arguments)
        seconds.append(time.process_time() - start)

    benchmark.pedantic(once, rounds=ROUNDS)
    rate = SAMPLES / sorted(seconds)[len(seconds) // 2]
    tell(f"{name}: {rate:,.0f} training samples per second of CPU time, {neurons} outputs (goal {GOAL:,})")
