"""What the fused layer gains over every framework's matched layer, and how far it is from what memory allows.

``pytest tests/benchmarks/test_fused.py --benchmark-only`` prints the ratios and fails where a goal is missed that was
reached before; the others are expected failures that name what was found. Needs a quiet machine: with both cores
taken, a kernel that uses both waits for the slower one.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch

from spikemark.core.neurons import NEURONS
from spikemark.core.statistics import Interval, median_ratio_interval
from spikemark.measures.speed.footprint import can_measure, footprint
from spikemark.measures.speed.layer_work import COPY, LayerTimings, LayerWork, layer_throughput
from spikemark.measures.speed.machine import LayerPhase, bytes_moved
from spikemark.measures.speed.timing import Budget

from .conftest import contender, contenders

STEPS, BATCH, SHAPE = 16, 64, (1024,)
SPEC = NEURONS["stl"]  # one learned threshold a neuron
PHASE: LayerPhase = "forward+backward"
SPEEDUPS = {"reference": 6.0, "spikingjelly": 8.0, "snntorch": 18.0, "norse": 12.0}
# Found on a quiet machine, two threads; see docs/performance.md for what limits them.
MISSED = {
    "spikingjelly": "7.6 to 8.6 x found, above the goal in five of six runs: by no more than the machine strays",
    "snntorch": "6.0 to 7.0 x found: the goal was set from a layer 2.8 x slower than reference, this one is faster",
    "norse": "7.8 to 9.1 x found: the goal was set from a layer 1.8 x slower than reference, this one is faster",
}
FROM_THE_LIMIT = 3.0
MEMORY = 0.5
FIRST_CALL = 5.0


@pytest.fixture(scope="module")
def timings() -> LayerTimings:
    """All contenders, interleaved once for this module."""
    adapters = contenders(SPEC)
    return layer_throughput(
        adapters, SPEC, SHAPE, STEPS, BATCH, phases=[PHASE], tracks=["matched"], budget=Budget(20.0, min_rounds=20)
    )[PHASE]


def times_faster(timings: LayerTimings, name: str) -> Interval:
    """Time of a framework's layer by that of ours, round by round."""
    seconds = timings.timings.seconds
    pairs = zip(seconds[f"{name} matched"], seconds["fused matched"], strict=True)
    return median_ratio_interval([[theirs / ours for theirs, ours in pairs]])


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.xfail(strict=False, reason=MISSED[name]) if name in MISSED else ())
        for name in SPEEDUPS
    ],
)
def test_speed(benchmark: Any, tell: Callable[[str], None], timings: LayerTimings, name: str) -> None:
    contender(name, SPEC)
    benchmark.pedantic(lambda: None, rounds=1)
    ratio = times_faster(timings, name)
    benchmark.extra_info["times_faster"] = [ratio.low, ratio.value, ratio.high]
    tell(
        f"fused {timings.timings.median('fused matched') * 1e3:.2f} ms, {name} "
        f"{timings.timings.median(f'{name} matched') * 1e3:.2f} ms: {ratio.value:.1f} x faster "
        f"[{ratio.low:.1f}, {ratio.high:.1f}], goal {SPEEDUPS[name]:g}"
    )
    assert ratio.value >= SPEEDUPS[name]


@pytest.mark.xfail(strict=False, reason="4.9 to 5.0 x found: tensors come from memory, the copy from a cache")
def test_distance_from_the_memory_limit(benchmark: Any, tell: Callable[[str], None], timings: LayerTimings) -> None:
    """The limit counts six passes over the tensor; the kernels make five, since they keep no membranes."""
    benchmark.pedantic(lambda: None, rounds=1)
    fraction = timings.bandwidth_fraction("fused matched")
    tell(
        f"fused: {1 / fraction.value:.2f} x the copy-bandwidth limit [{1 / fraction.high:.2f}, {1 / fraction.low:.2f}]"
        f" of six passes ({timings.copy_bandwidth / 1e9:.0f} GB/s; a copy takes "
        f"{timings.timings.median(COPY) * 1e3:.3f} ms), goal {FROM_THE_LIMIT:g}"
    )
    assert 1 / fraction.value <= FROM_THE_LIMIT


@pytest.mark.skipif(not can_measure("cpu"), reason="peaks on a CPU need Linux")
def test_peak_memory(benchmark: Any, tell: Callable[[str], None]) -> None:
    threads = torch.get_num_threads()
    peaks = {
        a.name: footprint(LayerWork(a, SPEC, SHAPE, STEPS, BATCH, threads=threads)).peak_memory
        for a in contenders(SPEC)
    }
    benchmark.pedantic(lambda: None, rounds=1)
    tensor = bytes_moved(SHAPE, STEPS, BATCH, torch.float32, "forward") / 2
    tell(
        "peak memory, in tensors of the currents' size: " + ", ".join(f"{n} {p / tensor:.1f}" for n, p in peaks.items())
    )
    ours = peaks.pop("fused")
    assert ours <= MEMORY * min(peaks.values())


def test_first_call(benchmark: Any, tell: Callable[[str], None]) -> None:
    """Forward and backward in a fresh process, from loading the adapter to the gradient; torch is imported before."""
    program = (
        "import time, torch; from spikemark import NEURONS, get_adapter; start = time.perf_counter();"
        "layer = get_adapter('fused').neuron(NEURONS['stl'], (8,)); layer(torch.rand(2, 2, 8)).sum().backward();"
        "first = time.perf_counter() - start; start = time.perf_counter();"
        "layer(torch.rand(2, 2, 8)).sum().backward(); print(first, time.perf_counter() - start)"
    )

    def run() -> list[float]:
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
        return [float(seconds) for seconds in done.stdout.split()]

    first, second = benchmark.pedantic(run, rounds=1)
    tell(f"first call, compiling: {first:.2f} s, goal {FIRST_CALL:g}; second {second * 1e3:.1f} ms")
    assert first < FIRST_CALL


@pytest.mark.parametrize("steps", [4, 16, 64, 256])
@pytest.mark.parametrize("width", [16, 256, 4096])
def test_sizes(benchmark: Any, tell: Callable[[str], None], steps: int, width: int) -> None:
    adapters = [contender("reference"), contender("fused")]
    batch = max(1, 2**20 // (steps * width))
    result = benchmark.pedantic(
        lambda: layer_throughput(
            adapters, SPEC, (width,), steps, batch, phases=[PHASE], tracks=["matched"], budget=Budget(1.0)
        )[PHASE],
        rounds=1,
    )
    ratio, fraction = times_faster(result, "reference"), result.bandwidth_fraction("fused matched")
    tell(
        f"[T, B, N] = {[steps, batch, width]}: {ratio.value:.1f} x faster than reference "
        f"[{ratio.low:.1f}, {ratio.high:.1f}], {1 / fraction.value:.2f} x the limit"
    )
    assert ratio.low > 1
