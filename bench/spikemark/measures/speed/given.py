"""Throughput of a network that was brought: its inference alone, since nobody else computes the same neurons."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from spikemark.core.measurement import Measurement
from spikemark.measures.speed.footprint import Run
from spikemark.measures.speed.machine import copy_bandwidth, pinned_threads, synchronizer
from spikemark.measures.speed.networks import COPY_BYTES
from spikemark.measures.speed.timing import Budget, Clock, interleave, rounded, timed_row


def given_throughput(
    model: nn.Module,
    encoded: Callable[[int], Tensor],
    batch: int,
    *,
    budget: Budget,
    threads: int,
    device: str,
    clock: Clock = time.perf_counter,
) -> list[Measurement]:
    """Samples per second and the latency of a single sample, without gradients, in evaluation mode.

    Args:
        model: ``[T, B, ...]`` to anything.
        encoded: so many encoded samples, on the model's device.
        batch: samples at a time.
        budget: for each of the two.
        threads: for torch.
        device: "cpu" or "cuda".
        clock: seconds.

    Returns:
        ``samples_per_second`` and ``latency`` (s), ``copy_bandwidth`` (bytes/s) and ``threads`` of the machine.
    """

    def seconds(samples: int) -> list[float]:
        inputs = encoded(samples)
        runs: dict[str, Run] = {"model": lambda: model(inputs)}
        timings = interleave(runs, budget, reference="model", clock=clock, synchronize=synchronizer(device))
        return list(timings.seconds["model"])

    with pinned_threads(threads) as pinned, torch.no_grad():
        rows = [
            timed_row("samples_per_second", "samples/s", [batch / taken for taken in seconds(batch)]),
            timed_row("latency", "s", seconds(1)),
        ]
        bandwidth = copy_bandwidth(COPY_BYTES, device=device)
    return [
        *(row | {"track": "native"} for row in rows),
        {"metric": "copy_bandwidth", "value": rounded(bandwidth), "unit": "bytes/s"},
        {"metric": "threads", "value": float(pinned), "unit": "threads"},
    ]
