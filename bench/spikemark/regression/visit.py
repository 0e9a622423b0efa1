"""One visit: a fresh process that times a list of cases once, or counts their instructions, and writes what it saw.

Run by path, ``python -P visit.py ORDER.json OUT.json``, in the environment of the commit under test. The very same file
times both sides of a comparison, so that a change of the measuring code is never taken for a change of the measured
code; for that reason it has its own loop rather than the side's `spikemark.measures.speed.timing`, which would also
pull SciPy into every process. From the side it imports its adapters and its neurons alone.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Work = Callable[[], object]

YARDSTICK = "yardstick"
"""Work that no commit changes, timed among the cases: what is slower together with it was the machine."""

_TURN_SECONDS = 1e-3
_MOST_CALLS = 1 << 16
# CPython specialises a function's bytecode in its first calls; counts settle after that.
_WARM_CALLS = 50


def time_in_turns(works: Mapping[str, Work], seconds: float) -> dict[str, list[float]]:
    """Processor seconds per call of each work, one entry per round.

    Pairs of rounds start one work later, and the second of a pair runs backwards. Every turn begins with a call that is
    not timed: it brings back to the caches what the work before pushed out. Calibration and warm-up come first and
    take part in the budget. At least three rounds are run.

    Args:
        works: what to time, by name.
        seconds: of wall time, when to stop.
    """
    end = time.perf_counter() + seconds
    names = list(works)
    gc.collect()
    gc.disable()
    calls = {name: _calls_in_a_turn(works[name]) for name in names}
    timed: dict[str, list[float]] = {name: [] for name in names}
    rounds = 0
    while rounds < 3 or time.perf_counter() < end:
        first = rounds // 2 % len(names)
        order = [*names[first:], *names[:first]]
        for name in order if rounds % 2 == 0 else reversed(order):
            works[name]()
            timed[name].append(_turn(works[name], calls[name]))
        rounds += 1
    gc.enable()
    return timed


def _turn(work: Work, calls: int) -> float:
    # The thread's own processor time: works run in one thread and wait for nothing, so all that a wall clock would add
    # is the time in which the machine ran something else.
    start = time.thread_time()
    for _ in range(calls):
        work()
    return (time.thread_time() - start) / calls


def _calls_in_a_turn(work: Work) -> int:
    """How many calls last about a millisecond, found while warming up."""
    _turn(work, 1)
    calls = 1
    while calls < _MOST_CALLS and _turn(work, calls) * calls < _TURN_SECONDS:
        calls *= 2
    return calls


def yardstick() -> Work:
    """Plain torch in the size of the cases: many small operations and an interpreter between them."""
    import torch

    start = torch.linspace(0.0, 2.0, 16 * 128).view(16, 128)

    def work() -> None:
        with torch.no_grad():
            membrane = torch.zeros_like(start)
            for _ in range(8):
                membrane = 0.5 * membrane + start
                membrane = membrane * (membrane < 1.0)

    return work


def layer_work(case: Mapping[str, Any]) -> Work:
    """The work of a case: the forward pass of one spiking layer, or forward and backward.

    Args:
        case: with "framework", "neuron", "phase", "steps", "batch" and "shape", see `spikemark.regression.ab`.
    """
    import torch

    from spikemark.core.frameworks import get_adapter
    from spikemark.core.neurons import NEURONS

    shape = tuple(case["shape"])
    random = torch.Generator().manual_seed(0)
    spec: Any = NEURONS[case["neuron"]]
    layer: Any
    if ":" in case["neuron"]:  # a framework's own, which commits that are older than those cannot have
        from spikemark.core.adapter import FrameworkLayer

        layer = FrameworkLayer(case["neuron"], spec, shape, generator=random, steps=case["steps"])
    else:
        layer = get_adapter(case["framework"]).neuron(spec, shape, generator=random)
    currents = 2 * torch.rand((case["steps"], case["batch"], *shape), generator=random)

    def forward() -> None:
        with torch.no_grad():
            layer(currents)

    if case["phase"] == "forward":
        return forward
    leaf = currents.requires_grad_()
    upstream = torch.linspace(-1, 1, leaf.numel()).view(leaf.shape)

    def forward_and_backward() -> None:
        leaf.grad = None
        layer.zero_grad(set_to_none=True)
        layer(leaf).backward(upstream)

    return forward_and_backward


def prepare(cases: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Work], dict[str, str]]:
    """Works of the cases by name, and for cases that this commit cannot run, why not."""
    import torch

    torch.set_num_threads(1)
    works: dict[str, Work] = {}
    failed: dict[str, str] = {}
    for case in cases:
        try:
            work = layer_work(case)
            work()
        except Exception as error:  # noqa: BLE001 - whatever a commit raises is a finding about that case
            failed[case["name"]] = f"{type(error).__name__}: {error}"
        else:
            works[case["name"]] = work
    return works, failed


def count_in_turns(works: Mapping[str, Work], repeats: int) -> None:
    """Let callgrind dump its counts after each of `repeats` calls of each work, in the order of `works`.

    Counting is switched on by torch's own hooks around the call alone, and instrumentation only once all is warm: what
    comes before runs several times faster that way.
    """
    import torch

    for work in works.values():
        for _ in range(_WARM_CALLS):
            work()
    gc.collect()
    gc.disable()
    subprocess.run(["callgrind_control", "-i", "on", str(os.getpid())], check=True, stdout=subprocess.DEVNULL)
    for _ in range(repeats):
        for work in works.values():
            torch._C._valgrind_toggle()
            work()
            torch._C._valgrind_toggle_and_dump_stats()


def main(order: Path, out: Path) -> None:
    """Carry out `order`: ``{"cases": [...]}`` with ``"seconds"`` to time for, or ``"repeats"`` to count.

    Writes ``{"values": {case: [seconds, ...]}, "failed": {case: why}, "measuring": seconds}``. When counting, the
    values are empty lists in the order in which callgrind's dumps go through the cases.
    """
    asked = json.loads(order.read_text(encoding="utf-8"))
    works, failed = prepare(asked["cases"])
    start = time.perf_counter()
    if "repeats" in asked:
        count_in_turns(works, asked["repeats"])
        timed: dict[str, list[float]] = {name: [] for name in works}
    else:
        timed = time_in_turns({YARDSTICK: yardstick()} | works, asked["seconds"])
    seen = {"values": timed, "failed": failed, "measuring": time.perf_counter() - start}
    out.write_text(json.dumps(seen), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
