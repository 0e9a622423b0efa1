"""Spiking layers of every framework as pytest-benchmark cases, and the same contenders interleaved.

``pytest tests/benchmarks/test_throughput.py --benchmark-only`` prints a table for each neuron and phase and, with
``--benchmark-json FILE``, writes the JSON that standard tools read. Those cases run one after another, so
their differences include whatever the machine did meanwhile; the ratios in the summary are interleaved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from spikemark.core.neurons import NEURONS
from spikemark.measures.speed.layer_work import COPY, LayerWork, layer_throughput
from spikemark.measures.speed.machine import LayerPhase, bytes_moved
from spikemark.measures.speed.timing import Budget

from .conftest import contender, contenders

STEPS, BATCH, SHAPE = 16, 64, (1024,)
PHASES: tuple[LayerPhase, ...] = ("forward", "forward+backward")


@pytest.mark.benchmark(warmup=True, warmup_iterations=2, min_rounds=5, max_time=0.5, disable_gc=True)
@pytest.mark.parametrize("phase", PHASES)
def test_layer(benchmark: Any, framework: str, neuron: str, phase: LayerPhase) -> None:
    spec = NEURONS[neuron]
    work = LayerWork(contender(framework, spec), spec, SHAPE, STEPS, BATCH)
    _time(benchmark, work, framework, neuron, phase)


@pytest.mark.benchmark(warmup=True, warmup_iterations=2, min_rounds=5, max_time=0.5, disable_gc=True)
@pytest.mark.parametrize("phase", PHASES)
def test_native_layer(benchmark: Any, framework: str, phase: LayerPhase) -> None:
    work = LayerWork(contender(framework), NEURONS["lif"], SHAPE, STEPS, BATCH, native=True)
    _time(benchmark, work, framework, "native", phase)


def _time(benchmark: Any, work: LayerWork, framework: str, neuron: str, phase: LayerPhase) -> None:
    benchmark.group = f"{framework} {neuron}"
    benchmark.extra_info |= {
        "framework": framework,
        "neuron": neuron,
        "phase": phase,
        "shape": [STEPS, BATCH, *SHAPE],
        "threads": torch.get_num_threads(),
        "bytes_moved": bytes_moved(SHAPE, STEPS, BATCH, work.dtype, phase),
    }
    benchmark(work.run(phase, BATCH))


@pytest.mark.parametrize("phase", PHASES)
def test_interleaved(benchmark: Any, tell: Callable[[str], None], neuron: str, phase: LayerPhase) -> None:
    spec = NEURONS[neuron]
    benchmark.group = "interleaved"

    def run() -> Any:
        return layer_throughput(contenders(spec), spec, SHAPE, STEPS, BATCH, phases=[phase], budget=Budget(4.0))[phase]

    result = benchmark.pedantic(run, rounds=1)
    timings = result.timings
    tell(
        f"{neuron} {phase} [T, B, N] = {[STEPS, BATCH, *SHAPE]}, {torch.get_num_threads()} threads: "
        f"{timings.rounds} rounds, copy {result.copy_bandwidth / 1e9:.1f} GB/s"
    )
    for name in timings.seconds:
        if name == COPY:
            continue
        ratio, fraction = timings.ratio(name), result.bandwidth_fraction(name)
        benchmark.extra_info[name] = {
            "seconds": timings.median(name),
            "ratio": [ratio.low, ratio.value, ratio.high],
            "bandwidth_fraction": fraction.value,
        }
        tell(
            f"  {name:<22} {timings.median(name) * 1e3:8.2f} ms   {ratio.value:6.2f} x reference "
            f"[{ratio.low:.2f}, {ratio.high:.2f}]   {fraction.value:6.1%} of copy bandwidth"
        )
