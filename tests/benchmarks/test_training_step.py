"""One whole training step (forward, backward, Adam) of networks on `fused`: every goal that docs/performance.md names.

``pytest tests/benchmarks/test_training_step.py --benchmark-only -s -n 0`` prints ratios of interleaved rounds, peaks of
memory and the goals; docs/performance.md says what was found, and what limits it. Two contenders need a process of
their own (`peers`), and their tests are skipped where they are missing: JAX, with ``SPIKEMARK_JAX`` naming the
interpreter of an environment that has it (``uv venv jax; uv pip install --python jax/bin/python "jax[cpu]"``), and the
last commit of the first edition, which a shallow clone does not have. ``SPIKEMARK_CLOCK=processor`` with
``OMP_NUM_THREADS=1`` takes processor time instead, which says more where a machine has other work.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikemark.core.adapter import Adapter
from spikemark.core.neurons import NEURONS
from spikemark.core.statistics import Interval, median_ratio_interval
from spikemark.measures.speed.footprint import can_measure, footprint
from spikemark.measures.speed.networks import NetworkWork
from spikemark.measures.speed.timing import Budget, Timings, interleave
from spikemark.networks.build import build_network
from spikemark.networks.stages import SpikingNetwork, Stage
from spikemark.training.system import SYSTEMS

from .conftest import contender, contenders
from .peers import Peer, peer

SPEC, SHAPE, CLASSES = NEURONS["stl"], (1, 28, 28), 10
GOALS = {  # network, constant input, T, batch: times faster than the reference, and than every framework
    ("convnet", True, 4, 128): (3.0, 2.5),
    ("mlp", True, 4, 128): (3.0, None),
    ("convnet", False, 4, 128): (2.8, 2.2),
    ("mlp", False, 4, 128): (2.0, None),
    ("convnet", False, 32, 32): (5.0, None),
    ("mlp", False, 32, 128): (5.0, None),
    ("convnet", True, 32, 32): (5.0, None),
    ("mlp", True, 32, 128): (5.0, None),
}
SHARED = "synapses and Adam alone"
MEMORY = 0.5
JAX_GOAL = 8.0
FIRST_EDITION, FIRST_EDITION_GOAL = "cf971ca", 73.6 / 31
ROUNDS = Budget(8.0, min_rounds=12)
PROCESSOR = os.environ.get("SPIKEMARK_CLOCK") == "processor"


def network_of(adapter: Adapter, network: str, steps: int) -> SpikingNetwork:
    """In training mode, with the same first weights in every framework."""
    return build_network(network, adapter, SPEC, SHAPE, CLASSES, 0, steps=steps).train()


def training_step(model: SpikingNetwork, constant: bool, steps: int, batch: int) -> Callable[[], None]:
    """A step on the same samples in every framework; constant ones are one frame for all time steps."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    frames = torch.rand((1 if constant else steps, batch, *SHAPE), generator=torch.Generator().manual_seed(0))
    inputs, labels = frames.expand(steps, batch, *SHAPE), torch.arange(batch) % CLASSES

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(model(inputs).mean(0), labels).backward()
        optimizer.step()

    return step


def shared_work(network: str, constant: bool, steps: int, batch: int) -> Callable[[], None]:
    """What no contender gets around: its convolutions and matrix products, forward and backward, and Adam.

    With channels in the order of `fused`, which takes less time than that of the others.
    """
    model = network_of(contender("fused"), network, steps)
    calls: list[tuple[nn.Module, Tensor, Tensor]] = []

    def keep(synapses: nn.Module, inputs: tuple[Tensor, ...], currents: Tensor) -> None:
        given = inputs[0].detach().requires_grad_(bool(calls))  # no gradient goes to the samples
        calls.append((synapses, given, torch.rand_like(currents)))

    handles = [stage.synapses.register_forward_hook(keep) for stage in model.modules() if isinstance(stage, Stage)]
    training_step(model, constant, steps, batch)()
    for handle in handles:
        handle.remove()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    gradients = [torch.rand_like(p) for p in model.parameters()]

    def run() -> None:
        for synapses, inputs, upstream in calls:
            inputs.grad = None
            synapses(inputs).backward(upstream)
        for parameter, gradient in zip(model.parameters(), gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()

    return run


def words(network: str, constant: bool, steps: int, batch: int) -> str:
    """What is timed."""
    kind = "constant" if constant else "changing"
    return f"{network}-stl, T = {steps}, batch {batch}, {kind} input, {torch.get_num_threads()} threads" + (
        ", processor time" if PROCESSOR else ""
    )


def interleaved(benchmark: Any, runs: Mapping[str, Callable[[], object]], *peers: Peer) -> Timings:
    """Time contenders, some of which are processes of their own."""

    def processor() -> float:
        return time.process_time() + sum(peer.processor for peer in peers)

    clock = processor if PROCESSOR else time.perf_counter
    timings: Timings = benchmark.pedantic(lambda: interleave(runs, ROUNDS, reference="fused", clock=clock), rounds=1)
    return timings


def times_faster(timings: Timings, name: str) -> Interval:
    """Time of a contender by that of `fused`, round by round."""
    pairs = zip(timings.seconds[name], timings.seconds["fused"], strict=True)
    return median_ratio_interval([[theirs / ours for theirs, ours in pairs]])


def say(tell: Callable[[str], None], timings: Timings, name: str, goal: float | None) -> Interval:
    """Tell one line of a comparison."""
    ratio = times_faster(timings, name)
    tell(
        f"  {name:<14} {timings.median(name) * 1e3:8.2f} ms: fused is {ratio.value:.2f} x faster "
        f"[{ratio.low:.2f}, {ratio.high:.2f}]" + ("" if goal is None else f", goal {goal:.3g}")
    )
    return ratio


@pytest.mark.parametrize("case", GOALS, ids=lambda c: f"{c[0]}-{'constant' if c[1] else 'changing'}-{c[2]}")
def test_training_step(benchmark: Any, tell: Callable[[str], None], case: tuple[str, bool, int, int]) -> None:
    network, *sizes = case
    runs = {a.name: training_step(network_of(a, network, case[2]), *sizes) for a in contenders(SPEC)}
    runs[SHARED] = shared_work(*case)
    timings = interleaved(benchmark, runs)
    of_reference, of_each = GOALS[case]
    tell(f"{words(*case)}, {timings.rounds} rounds; fused {timings.median('fused') * 1e3:.2f} ms")
    shared = median_ratio_interval([[1 / r for r in timings.ratios(SHARED)]])
    most = timings.median("reference") / timings.median(SHARED)
    tell(
        f"  {SHARED}: {timings.median(SHARED) * 1e3:.2f} ms; fused takes {shared.value:.2f} x as long "
        f"[{shared.low:.2f}, {shared.high:.2f}], the reference {most:.2f} x"
    )
    for name in (name for name in timings.seconds if name not in ("fused", SHARED)):
        ratio = say(tell, timings, name, of_reference if name == "reference" else of_each)
        benchmark.extra_info[name] = [ratio.low, ratio.value, ratio.high]
        assert name != "reference" or ratio.value > 1


@pytest.mark.skipif(not can_measure("cpu"), reason="peaks on a CPU need Linux")
@pytest.mark.parametrize("constant", [True, False], ids=["constant", "changing"])
@pytest.mark.parametrize("network", ["convnet", "mlp"])
def test_peak_memory(benchmark: Any, tell: Callable[[str], None], network: str, constant: bool) -> None:
    """What a training step adds at its peak, the optimiser's moments included; the median of three processes."""
    system, threads = SYSTEMS[f"{network}-stl"], torch.get_num_threads()

    def peak(adapter: Adapter) -> int:
        work = NetworkWork(adapter, system, SHAPE, CLASSES, 4, 128, 0, threads, "cpu", "rule", held=constant)
        return sorted(footprint(work).peak_memory for _ in range(3))[1]

    peaks = benchmark.pedantic(lambda: {a.name: peak(a) for a in contenders(SPEC)}, rounds=1)
    benchmark.extra_info.update(peaks)
    shares = ", ".join(f"{name} {peaks[name] / 2**20:.1f}" for name in peaks)
    share = peaks["fused"] / peaks["reference"]
    tell(f"{words(network, constant, 4, 128)}, peak MiB: {shares}; fused is {share:.2f} of reference, goal {MEMORY:g}")
    assert share < 1


@pytest.mark.parametrize("constant", [True, False], ids=["constant", "changing"])
@pytest.mark.parametrize("network", ["convnet", "mlp"])
def test_against_jax(benchmark: Any, tell: Callable[[str], None], network: str, constant: bool) -> None:
    """A jitted scan over the steps, its first layer computed once where the input is constant."""
    python = os.environ.get("SPIKEMARK_JAX", "")
    if not python:
        pytest.skip("SPIKEMARK_JAX names no interpreter that has JAX")
    case = (network, constant, 4, 128)
    arguments = {"network": network, "constant": constant, "steps": 4, "batch": 128}
    arguments |= {"threads": torch.get_num_threads()}
    keeping = dict.fromkeys(("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_"), str(2**30))  # as this process does
    with peer(python, "jax_step.py", arguments, **keeping) as jax:
        losses = [jax() for _ in range(6)]
        assert losses[-1] < losses[0]  # it learns: the work is done
        runs = {"fused": training_step(network_of(contender("fused", SPEC), network, 4), *case[1:]), "JAX": jax}
        timings = interleaved(benchmark, runs, jax)
    tell(f"{words(*case)}, {timings.rounds} rounds; fused {timings.median('fused') * 1e3:.2f} ms")
    ratio = say(tell, timings, "JAX", JAX_GOAL if network == "convnet" else None)
    benchmark.extra_info["JAX"] = [ratio.low, ratio.value, ratio.high]


def test_against_the_first_edition(benchmark: Any, tell: Callable[[str], None], tmp_path: Path) -> None:
    """The same step of the last commit of the first edition and of this one, in a process each."""
    contender("fused", SPEC)
    root, tree = Path(__file__).parents[2], tmp_path / "first-edition"
    git = ["git", "-C", str(root), "worktree"]
    if subprocess.run([*git, "add", "--detach", tree, FIRST_EDITION], capture_output=True, check=False).returncode:
        pytest.skip(f"commit {FIRST_EDITION} is not in this clone")
    arguments = {"framework": "fused", "network": "convnet", "steps": 4, "batch": 128}
    arguments |= {"threads": torch.get_num_threads()}
    trees = {name: os.pathsep.join(str(t / part) for part in ("bench", "adapters")) for name, t in
             (("fused", root), ("first edition", tree))}  # fmt: skip
    try:
        with (
            peer(sys.executable, "commit_step.py", arguments, PYTHONPATH=trees["fused"]) as now,
            peer(sys.executable, "commit_step.py", arguments, PYTHONPATH=trees["first edition"]) as before,
        ):
            assert now() == pytest.approx(before(), rel=1e-4)  # the same work
            runs = {"fused": now, "first edition": before}
            timings = interleaved(benchmark, runs, now, before)
    finally:
        subprocess.run([*git, "remove", "--force", tree], capture_output=True, check=True)
    tell(f"{words('convnet', True, 4, 128)}, {timings.rounds} rounds; now {timings.median('fused') * 1e3:.2f} ms")
    ratio = say(tell, timings, "first edition", FIRST_EDITION_GOAL)
    benchmark.extra_info["first edition"] = [ratio.low, ratio.value, ratio.high]
    assert ratio.value > 1
