"""What rate-based backpropagation costs beside backpropagation through time, as T grows: time and peak memory.

One training step of the small convolutional network. Run with
``pytest tests/benchmarks/test_rate.py --benchmark-only -s``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from spikemark import SYSTEMS, get_adapter
from spikemark.measures.speed.footprint import Run, can_measure, footprint
from spikemark.networks.build import build_network
from spikemark.training.rule import Learner, Protocol

BATCH = 8
STEPS = (4, 8, 16, 32, 64)
CONTENDERS = {"bptt": "convnet-lif-soft", "rate-m": "convnet-rate-m", "rate-s": "convnet-rate-s"}
ROUNDS = 3


@dataclass(frozen=True)
class TrainingStep:
    """One batch through one rule, for `footprint`."""

    framework: str
    system: str
    steps: int
    threads: int = 1
    device: str = "cpu"

    def build(self) -> tuple[Run, Run]:
        """A step at T = 2, and at the T asked for."""
        random = torch.Generator().manual_seed(0)
        images, labels = torch.rand(BATCH, 1, 28, 28, generator=random), torch.arange(BATCH) % 10
        learner = self.learner()

        def run(steps: int) -> Run:
            return lambda: learner.learn(images.expand(steps, *images.shape), labels)

        return run(2), run(self.steps)

    def learner(self) -> Learner:
        """A fresh one."""
        row = SYSTEMS[self.system]
        model = build_network(row.network, get_adapter(self.framework), row.spec, (1, 28, 28), 10, 0).train()
        return row.rule.learner(model, Protocol(1, BATCH, "direct", self.steps), 0)


def seconds(runs: dict[str, Run]) -> dict[str, float]:
    """Median processor seconds of each, round-robin after a warm-up."""
    taken: dict[str, list[float]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(ROUNDS):
        for name, run in runs.items():
            start = time.process_time()
            run()
            taken[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in taken.items()}


@pytest.mark.skipif(not can_measure("cpu"), reason="peaks of a CPU need Linux")
@pytest.mark.parametrize("framework", ["reference", "fused"])
@pytest.mark.parametrize("steps", STEPS)
def test_time_and_memory(benchmark: Any, tell: Callable[[str], None], framework: str, steps: int) -> None:
    torch.set_num_threads(1)
    works = {rule: TrainingStep(framework, system, steps) for rule, system in CONTENDERS.items()}
    took = seconds({rule: work.build()[1] for rule, work in works.items()})
    peaks = {rule: footprint(work).peak_memory / 2**20 for rule, work in works.items()}
    cells = "  ".join(f"{rule} {1e3 * took[rule]:7.1f} ms {peaks[rule]:7.1f} MiB" for rule in works)
    tell(f"{framework:10s} T {steps:3d}  {cells}")
    benchmark.pedantic(works["rate-m"].build()[1], rounds=1)
