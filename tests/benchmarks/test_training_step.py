"""One whole training step (forward, backward, Adam) of networks on `fused`, against every other framework.

``pytest tests/benchmarks/test_training_step.py --benchmark-only -s`` prints ratios of interleaved rounds and the goals;
docs/performance.md says what was found, and what limits it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from spikemark.core.adapter import Adapter
from spikemark.core.neurons import NEURONS
from spikemark.core.statistics import median_ratio_interval
from spikemark.measures.speed.timing import Budget, interleave
from spikemark.networks.build import build_network

from .conftest import contenders

SPEC, SHAPE, CLASSES, STEPS, BATCH = NEURONS["stl"], (1, 28, 28), 10, 4, 128
GOALS = {  # of the reference, of every framework
    ("convnet", True): (3.0, 2.5),
    ("convnet", False): (2.8, 2.2),
    ("mlp", True): (3.0, None),
    ("mlp", False): (2.0, None),
}


def training_step(adapter: Adapter, network: str, *, constant: bool) -> Callable[[], None]:
    """A step on the same samples in every framework; constant ones are one frame for all time steps."""
    model = build_network(network, adapter, SPEC, SHAPE, CLASSES, 0, steps=STEPS).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    frames = torch.rand((1 if constant else STEPS, BATCH, *SHAPE), generator=torch.Generator().manual_seed(0))
    inputs, labels = frames.expand(STEPS, BATCH, *SHAPE), torch.arange(BATCH) % CLASSES

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(inputs).mean(0), labels).backward()
        optimizer.step()

    return step


@pytest.mark.parametrize("constant", [True, False], ids=["constant", "changing"])
@pytest.mark.parametrize("network", ["convnet", "mlp"])
def test_training_step(benchmark: Any, tell: Callable[[str], None], network: str, constant: bool) -> None:
    runs = {adapter.name: training_step(adapter, network, constant=constant) for adapter in contenders(SPEC)}

    def run() -> Any:
        return interleave(runs, Budget(20.0, min_rounds=10), reference="fused")

    timings = benchmark.pedantic(run, rounds=1)
    of_reference, of_each = GOALS[network, constant]
    tell(
        f"{network}-stl, T = {STEPS}, batch {BATCH}, {'constant' if constant else 'changing'} input, "
        f"{torch.get_num_threads()} threads, {timings.rounds} rounds; fused {timings.median('fused') * 1e3:.2f} ms"
    )
    for name in (name for name in timings.seconds if name != "fused"):
        pairs = zip(timings.seconds[name], timings.seconds["fused"], strict=True)
        ratio = median_ratio_interval([[theirs / ours for theirs, ours in pairs]])
        benchmark.extra_info[name] = [ratio.low, ratio.value, ratio.high]
        goal = of_reference if name == "reference" else of_each
        tell(
            f"  {name:<14} {timings.median(name) * 1e3:8.2f} ms: fused is {ratio.value:.2f} x faster "
            f"[{ratio.low:.2f}, {ratio.high:.2f}]" + ("" if goal is None else f", goal {goal:g}")
        )
        assert name != "reference" or ratio.value > 1
