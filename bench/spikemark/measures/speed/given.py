"""Throughput of a network that was brought: alone, since nobody else computes the same neurons."""

from __future__ import annotations

import copy
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile, record_function

from spikemark.core.adapter import Unsupported
from spikemark.core.measurement import Measurement
from spikemark.errors import first_line
from spikemark.measures.speed.footprint import Run
from spikemark.measures.speed.machine import copy_bandwidth, pinned_threads, synchronizer
from spikemark.measures.speed.networks import COPY_BYTES
from spikemark.measures.speed.timing import Budget, Clock, interleave, rounded, timed_row
from spikemark.training.bptt import rates
from spikemark.training.losses import mse_rate

_MARK = "spikemark: measured run"


def given_throughput(
    model: nn.Module,
    encoded: Callable[[int], Tensor],
    batch: int,
    *,
    budget: Budget,
    threads: int,
    device: str,
    left_out: dict[str, str],
    clock: Clock = time.perf_counter,
) -> list[Measurement]:
    """Samples per second of inference and of training, the latency of a single sample, and the memory of training.

    Inference is without gradients and in evaluation mode. Training is forward and backward in training mode, of the
    mean squared error of mean scores, on a copy of the model.

    Args:
        model: ``[T, B, ...]`` to anything.
        encoded: so many encoded samples, on the model's device.
        batch: samples at a time.
        budget: for each of the three.
        threads: for torch.
        device: "cpu" or "cuda".
        left_out: told why, where the model cannot be trained.
        clock: seconds.

    Returns:
        ``samples_per_second``, ``training_samples_per_second``, ``latency`` (s) and ``peak_memory`` (bytes, of
        training), ``copy_bandwidth`` (bytes/s) and ``threads`` of the machine.
    """

    def seconds(run: Run) -> list[float]:
        timings = interleave({"model": run}, budget, reference="model", clock=clock, synchronize=synchronizer(device))
        return list(timings.seconds["model"])

    def inference(samples: int) -> Run:
        inputs = encoded(samples)
        return torch.no_grad()(lambda: model(inputs))

    with pinned_threads(threads) as pinned:
        rows = [
            timed_row("samples_per_second", "samples/s", [batch / taken for taken in seconds(inference(batch))]),
            timed_row("latency", "s", seconds(inference(1))),
        ]
        inputs = encoded(batch)
        try:
            train = training_step(model, inputs)
        except Unsupported as error:
            left_out["training"] = str(error)
        else:
            found = [batch / taken for taken in seconds(train)]
            rows.insert(1, timed_row("training_samples_per_second", "samples/s", found))
            memory = peak_memory(lambda: training_step(model, inputs), device)
            rows.append({"metric": "peak_memory", "value": float(memory), "unit": "bytes"})
        bandwidth = copy_bandwidth(COPY_BYTES, device=device)
    return [
        *(row | {"track": "native"} for row in rows),
        {"metric": "copy_bandwidth", "value": rounded(bandwidth), "unit": "bytes/s"},
        {"metric": "threads", "value": float(pinned), "unit": "threads"},
    ]


def training_step(model: nn.Module, inputs: Tensor) -> Run:
    """Forward and backward of a batch in training mode, on a copy of a model; it was run twice.

    Args:
        model: ``[T, B, ...]`` to scores ``[T, B, classes]``.
        inputs: ``[T, B, ...]``.

    Raises:
        Unsupported: the model has nothing that learns, or its scores have no gradient, or it cannot be trained.
    """
    own = copy.deepcopy(model).train()
    learning = [parameter for parameter in own.parameters() if parameter.requires_grad]
    if not learning:
        raise Unsupported("training: the model has no parameter that learns")

    def run() -> None:
        for parameter in learning:
            parameter.grad = None
        scores = rates(own, inputs)
        labels = torch.arange(len(scores), device=scores.device) % scores.shape[1]
        mse_rate(scores, labels).backward()

    try:
        for _ in range(2):  # a second time, for models that hold on to the graph of their first run
            run()
    except Exception as error:  # whatever a stranger's model raises is one line that names it
        raise Unsupported(
            f"training: forward and backward raised {type(error).__name__}: {first_line(error)}"
        ) from error
    if all(parameter.grad is None for parameter in learning):
        raise Unsupported("training: no gradient reaches a parameter of the model")
    return run


def peak_memory(build: Callable[[], Run], device: str) -> int:
    """Bytes by which a run raises what torch has allocated, at its peak: beside weights and gradients of a run before.

    A model that was brought cannot be sent to a fresh process, as `footprint` does, so its peak is that of tensors, as
    on a GPU. Of our own convnet both say the same within half a percent.

    Args:
        build: makes the run, with the tensors that it frees.
        device: "cpu" or "cuda".
    """
    if torch.device(device).type == "cuda":
        run = build()
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        run()
        torch.cuda.synchronize()
        return int(torch.cuda.max_memory_allocated() - before)
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler would tell of its stages
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        run = build()
        with record_function(_MARK):
            run()
        del run
    with TemporaryDirectory(prefix="spikemark-trace-") as folder:
        path = Path(folder, "trace.json")
        profiled.export_chrome_trace(str(path))
        events = json.loads(path.read_bytes())["traceEvents"]
    start, end = next((event["ts"], event["ts"] + event["dur"]) for event in events if event.get("name") == _MARK)
    told = [event for event in events if event.get("name") == "[memory]" and start <= event["ts"] <= end]
    peak = allocated = 0
    for event in sorted(told, key=lambda event: event["ts"]):
        allocated += event["args"]["Bytes"]
        peak = max(peak, allocated)
    return int(peak)
