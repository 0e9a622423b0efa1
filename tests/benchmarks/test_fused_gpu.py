"""What the fused layer gains on a GPU over SpikingJelly's own kernels, and how far it is from what memory allows.

``pytest tests/benchmarks/test_fused_gpu.py --benchmark-only`` prints the ratios and fails where a goal is missed; it
skips without a GPU. SpikingJelly decides when it is imported which implementation its layers use, from an environment
variable, so each one is timed in a process of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import pytest
import torch

from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.core.statistics import median_ratio_interval
from spikemark.measures.speed.layer_work import LayerTimings, layer_throughput
from spikemark.measures.speed.machine import LayerPhase
from spikemark.measures.speed.timing import Budget

from .conftest import contender

# Beyond what a GPU's cache holds: 256 MiB of float32. The threshold is fixed, and the surrogate one that SpikingJelly's
# kernels know.
STEPS, BATCH, SHAPE = 16, 1024, (4096,)
SPEC = NEURONS["lif"]
PHASE: LayerPhase = "forward+backward"
IMPLEMENTATIONS = ("cuda", "triton", "torch")  # "cuda" is compiled when SpikingJelly is installed, if asked to.
SPEEDUP = 1.0
FRACTION = 0.6

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def measured(
    device: str = "cuda", batch: int = BATCH, seconds: float = 20.0, min_rounds: int = 20
) -> tuple[LayerTimings, list[float]]:
    """Timings of SpikingJelly's layer and ours, interleaved, and the ratio of their times, round by round."""
    adapters = [get_adapter("spikingjelly"), get_adapter("fused")]
    budget = Budget(seconds, min_rounds=min_rounds)
    timings = layer_throughput(
        adapters, SPEC, SHAPE, STEPS, batch, phases=[PHASE], tracks=["matched"], budget=budget, device=device
    )[PHASE]
    own = timings.timings.seconds
    pairs = zip(own["spikingjelly matched"], own["fused matched"], strict=True)
    return timings, [theirs / ours for theirs, ours in pairs]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_speed(
    benchmark: Any, tell: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, implementation: str
) -> None:
    assert contender("spikingjelly").route(SPEC).kind == "native"
    monkeypatch.setenv("SJ_LIF_CUDA_IMPLEMENTATION", implementation)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            timings, ratios = pool.submit(measured).result()
        except RuntimeError as error:
            if "implementation" not in str(error):
                raise
            pytest.skip(str(error))
    benchmark.pedantic(lambda: None, rounds=1)
    ratio, fraction = median_ratio_interval([ratios]), timings.bandwidth_fraction("fused matched")
    benchmark.extra_info["times_faster"] = [ratio.low, ratio.value, ratio.high]
    benchmark.extra_info["bandwidth_fraction"] = [fraction.low, fraction.value, fraction.high]
    tell(
        f"GPU: fused {timings.timings.median('fused matched') * 1e3:.2f} ms, spikingjelly ({implementation}) "
        f"{timings.timings.median('spikingjelly matched') * 1e3:.2f} ms: {ratio.value:.2f} x faster "
        f"[{ratio.low:.2f}, {ratio.high:.2f}], goal {SPEEDUP:g}; {fraction.value:.2f} of the copy bandwidth of "
        f"{timings.copy_bandwidth / 1e9:.0f} GB/s [{fraction.low:.2f}, {fraction.high:.2f}], goal {FRACTION:g}"
    )
    assert ratio.value >= SPEEDUP
    assert fraction.value >= FRACTION
