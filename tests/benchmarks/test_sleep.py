"""What the published sleep schedule costs: 6,000 images of 100 steps at each sleep fraction, on one core.

Run with ``pytest tests/benchmarks/test_sleep.py --benchmark-only -s``. It prints seconds of wall and processor time for
learning and for fitting the readout; ``SPIKEMARK_SLEEP_IMAGES`` asks for fewer images. Data: MNIST where
``SPIKEMARK_DATA`` is set, else scikit-learn's digits, over and over.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import torch

from spikemark.data.card import Sizes
from spikemark.data.loading import load_dataset
from spikemark.methods.sleep.model import SleepNetwork
from spikemark.methods.sleep.options import SleepStdp
from spikemark.methods.sleep.rule import SleepStdpLearner
from spikemark.methods.sleep.systems import FRACTIONS
from spikemark.training.rule import Protocol

IMAGES = int(os.environ.get("SPIKEMARK_SLEEP_IMAGES", "6000"))
STEPS, BATCH = 100, 300
LIMIT = 15 * 60


def test_published_schedule(benchmark: Any) -> None:
    """All fractions of one seed, with the sign of the published code, under which the network is lively."""
    torch.set_num_threads(1)
    folder = os.environ.get("SPIKEMARK_DATA")
    dataset = load_dataset("mnist", Path(folder), Sizes(IMAGES, 1, 1)) if folder else load_dataset("digits")
    which = torch.arange(IMAGES) % len(dataset.train)
    inputs, labels = dataset.train.inputs[which], dataset.train.labels[which]

    def schedule() -> float:
        total = 0.0
        for fraction in FRACTIONS:
            torch.manual_seed(0)
            model = SleepNetwork(dataset.shape, dataset.classes)
            rule = SleepStdp(fraction=fraction, sign="reversed")
            learner = SleepStdpLearner(model, rule, Protocol(1, BATCH, "direct", STEPS), 0)
            wall, cpu = time.perf_counter(), time.process_time()
            for x, y in zip(inputs.split(BATCH), labels.split(BATCH), strict=True):
                learner.learn(x.unsqueeze(0).expand(STEPS, *x.shape), y)
            learned = time.process_time()
            learner.end_epoch()
            total += time.process_time() - cpu
            found = learner.diagnostics()
            steps = found["wake_steps"] + found["sleep_steps"]
            print(  # noqa: T201
                f"\np = {fraction:g}: {steps:,.0f} steps, {time.perf_counter() - wall:.1f} s wall, learning "
                f"{learned - cpu:.1f} s of processor time ({(learned - cpu) / steps * 1e6:.1f} us per step), readout "
                f"{time.process_time() - learned:.1f} s; mean weight {found['mean_excitatory_weight']:.2f}, "
                f"runaway {found['runaway_neurons']:.2f}",
                end="",
            )
        print(f"\nall fractions: {total:.0f} s of processor time; the limit is {LIMIT} s")  # noqa: T201
        return total

    benchmark.pedantic(schedule, rounds=1, iterations=1)
