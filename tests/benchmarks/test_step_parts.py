"""What else of a training step might be faster: each attempt against what is done now, in interleaved rounds.

``pytest tests/benchmarks/test_step_parts.py --benchmark-only -s -n 0``; docs/performance.md says what came of each.
Nothing is asserted about time; where an attempt must not change a result, that it does not is said with the time.
``SPIKEMARK_CLOCK=processor`` with ``OMP_NUM_THREADS=1`` takes processor time.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikemark.core.adapter import SpikingNeurons
from spikemark.core.neurons import NEURONS
from spikemark.core.statistics import median_ratio_interval
from spikemark.measures.speed.timing import Budget, interleave
from spikemark.networks.build import build_network

from .conftest import contender

SPEC, SHAPE, CLASSES, STEPS, BATCH = NEURONS["stl"], (1, 28, 28), 10, 4, 128
CLOCK = time.process_time if os.environ.get("SPIKEMARK_CLOCK") == "processor" else time.perf_counter
Tell = Callable[[str], None]


def compared(benchmark: Any, tell: Tell, what: str, runs: Mapping[str, Callable[[], object]], note: str = "") -> None:
    """Time the contenders; the first is what is done now."""
    now, *_ = runs
    timings = benchmark.pedantic(
        lambda: interleave(runs, Budget(2.0, min_rounds=10), reference=now, clock=CLOCK), rounds=1
    )
    tell(f"{what}, {torch.get_num_threads()} threads{note}: {now} {timings.median(now) * 1e3:.3f} ms")
    for name in list(runs)[1:]:
        ratio = median_ratio_interval([timings.ratios(name)])
        benchmark.extra_info[name] = [ratio.low, ratio.value, ratio.high]
        tell(f"  {name:<44} takes {ratio.value:.2f} x as long [{ratio.low:.2f}, {ratio.high:.2f}]")


def network(name: str) -> nn.Module:
    """On `fused`, in training mode."""
    return build_network(name, contender("fused", SPEC), SPEC, SHAPE, CLASSES, 0, steps=STEPS).train()


def samples() -> Tensor:
    """Constant input."""
    return torch.rand((1, BATCH, *SHAPE), generator=torch.Generator().manual_seed(0)).expand(STEPS, BATCH, *SHAPE)


def differentiated(model: nn.Module, inputs: Tensor) -> None:
    """One forward and backward pass."""
    labels = torch.arange(BATCH) % CLASSES
    torch.nn.functional.cross_entropy(model(inputs).mean(0), labels).backward()


@pytest.mark.parametrize("name", ["convnet", "mlp"])
def test_adam(benchmark: Any, tell: Tell, name: str) -> None:
    """Torch's three Adams: a loop over the parameters (its default on CPUs), lists of tensors, one kernel."""
    inputs, states, runs = samples(), {}, {}
    for kind, options in {"loop": {"foreach": False}, "foreach": {"foreach": True}, "fused": {"fused": True}}.items():
        model = network(name)
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, **options)
        for _ in range(5):
            optimizer.zero_grad()
            differentiated(model, inputs)
            optimizer.step()
        states[kind] = [p.detach().clone() for p in model.parameters()]
        runs[kind] = optimizer.step
    same = {
        kind: all(torch.equal(a, b) for a, b in zip(states[kind], states["loop"], strict=True))
        for kind in ("foreach", "fused")
    }
    note = ", ".join(f"{kind} {'the same bits' if equal else 'other bits'}" for kind, equal in same.items())
    compared(benchmark, tell, f"Adam's step of {name}", runs, f" ({note} after 5 steps)")


@pytest.mark.parametrize("name", ["convnet", "mlp"])
def test_denormals(benchmark: Any, tell: Tell, name: str) -> None:
    """Numbers below 1e-38 as zeros: a step after 300 on one batch, where moments have had time to shrink."""
    if not torch.set_flush_denormal(True):
        pytest.skip("this processor cannot flush denormals")
    torch.set_flush_denormal(False)
    model, inputs = network(name), samples()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> None:
        optimizer.zero_grad()
        differentiated(model, inputs)
        optimizer.step()

    for _ in range(300):
        step()
    moments = [value for state in optimizer.state.values() for value in (state["exp_avg"], state["exp_avg_sq"])]
    tiny = torch.finfo(torch.float32).tiny
    count = sum(int(((m != 0) & (m.abs() < tiny)).sum()) for m in moments)
    share = count / sum(m.numel() for m in moments)

    def flushed() -> None:
        torch.set_flush_denormal(True)
        try:
            step()
        finally:
            torch.set_flush_denormal(False)

    note = f" ({share:.2%} of the moments are denormal after 300 steps)"
    compared(benchmark, tell, f"a step of {name}", {"as it is": step, "denormals flushed": flushed}, note)


@pytest.mark.parametrize("shape", [(1, 8, 28), (8, 16, 14)], ids=["first", "second"])
def test_channels_last(benchmark: Any, tell: Tell, shape: tuple[int, int, int]) -> None:
    """The convolutions alone, forward and backward, in torch's two orders of memory."""
    fan_in, channels, side = shape
    frames = BATCH if fan_in == 1 else STEPS * BATCH
    runs = {}
    for name, order in (("channels first", torch.contiguous_format), ("channels last", torch.channels_last)):
        layer = nn.Conv2d(fan_in, channels, 3, padding=1, bias=False).to(memory_format=order)
        x = torch.rand(frames, fan_in, side, side).to(memory_format=order).requires_grad_(fan_in > 1)
        upstream = torch.rand(frames, channels, side, side).to(memory_format=order)
        runs[name] = _differentiating(layer, x, upstream)
    compared(benchmark, tell, f"convolution {fan_in} to {channels}, {frames} frames of {side} x {side}", runs)


def _differentiating(layer: nn.Module, x: Tensor, upstream: Tensor) -> Callable[[], None]:
    def run() -> None:
        layer.zero_grad()
        x.grad = None
        layer(x).backward(upstream)

    return run


def test_zero_filling(benchmark: Any, tell: Tell) -> None:
    """Gradients that are made anew for each step, against zeros in the memory of the last."""
    anew, kept, inputs = network("convnet"), network("convnet"), samples()

    def run(model: nn.Module, drop: bool) -> Callable[[], None]:
        def step() -> None:
            model.zero_grad(set_to_none=drop)
            differentiated(model, inputs)

        return step

    model = copy.deepcopy(anew)
    run(model, True)()
    with torch.profiler.profile() as profile:
        run(model, True)()
    whole = sum(event.self_cpu_time_total for event in profile.key_averages())
    filled = sum(e.self_cpu_time_total for e in profile.key_averages() if e.key in ("aten::zero_", "aten::fill_"))
    note = f" (filling is {filled / whole:.1%} of torch's profile)"
    compared(benchmark, tell, "forward and backward", {"none": run(anew, True), "zeros": run(kept, False)}, note)


@pytest.mark.parametrize("name", ["convnet", "mlp"])
def test_evaluation_batches(benchmark: Any, tell: Tell, name: str) -> None:
    """A batch in evaluation mode, and one with hooks on the neurons, for which stages fall back to modules."""
    model, hooked, inputs = network(name).eval(), network(name).eval(), samples()
    for layer in hooked.modules():
        if isinstance(layer, SpikingNeurons):
            layer.register_forward_pre_hook(lambda _, x: None)

    def run(model: nn.Module) -> Callable[[], None]:
        def forward() -> None:
            with torch.no_grad():
                model(inputs)

        return forward

    compared(benchmark, tell, f"an evaluation batch of {name}", {"bare": run(model), "hooked": run(hooked)})


def test_spikes_as_bytes(benchmark: Any, tell: Tell) -> None:
    """What the second convolution would save by reading bytes is at most what writing and reading floats takes more.

    No convolution of torch's takes bytes and knows gradients, so bytes have to become floats before it.
    """
    spikes = (torch.rand(STEPS * BATCH, 8, 14, 14) < 0.1).float()
    as_bytes, floats, small = spikes.to(torch.uint8), torch.empty_like(spikes), torch.empty_like(spikes).to(torch.uint8)
    layer = nn.Conv2d(8, 16, 3, padding=1, bias=False)
    run = _differentiating(layer, spikes.requires_grad_(), torch.rand(STEPS * BATCH, 16, 14, 14))
    source = spikes.detach()
    runs = {
        "the second convolution, forward and backward": run,
        "writing and reading its input as floats": lambda: floats.copy_(source),
        "writing and reading it as bytes": lambda: small.copy_(as_bytes),
        "bytes to floats": lambda: floats.copy_(as_bytes),
    }
    compared(benchmark, tell, "spikes of the first stage", runs)
