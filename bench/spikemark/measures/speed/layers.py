"""Throughput of single layers as a cell: one framework and neuron at several points of one axis.

At every point the framework's layer of the spec, its own default LIF, the reference's layer of the spec and a plain
copy of the currents take turns in one process; memory and first call are seen from a fresh one.
``docs/throughput.md`` says how to read the numbers.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch

from spikemark.core.adapter import Adapter, Unsupported
from spikemark.core.measurement import Measurement
from spikemark.core.neurons import NeuronSpec
from spikemark.measures.speed.footprint import can_measure, footprint
from spikemark.measures.speed.layer_work import COPY, LayerTimings, LayerWork, time_layers
from spikemark.measures.speed.machine import LayerPhase, pinned_threads
from spikemark.measures.speed.points import TRACKS, Point
from spikemark.measures.speed.timing import Budget, Clock, rounded, timed_row

__all__ = ["layers"]

REFERENCE = "reference"


def layers(
    adapter: Adapter,
    reference: Adapter,
    spec: NeuronSpec,
    points: Sequence[Point],
    phases: Sequence[LayerPhase],
    *,
    budget: Budget | None = None,
    threads: int | None = None,
    device: str = "cpu",
    memory: bool = True,
    check: Callable[[], None] = lambda: None,
    clock: Clock = time.perf_counter,
) -> list[Measurement]:
    """Time, traffic and memory of one framework's layers, point by point.

    Where a point is compiled, the framework's two layers are and the reference is not, so that ratios show what
    compiling gives. In the cell of the reference itself the matched ratio compares two copies of one layer.

    Args:
        adapter: the framework.
        reference: what ratios are relative to.
        spec: the dynamics of the matched layers.
        points: where to measure.
        phases: what to time.
        budget: for each phase at each point.
        threads: for torch, while measuring; None for its present number.
        device: "cpu" or "cuda".
        memory: whether to measure memory and first calls too; they are those of forward and backward.
        check: called after every point; raises when time is up.
        clock: seconds.

    Returns:
        Rows with the point as ``point`` and the phase as ``split``. For each phase ``seconds``, ``seconds_ratio``
        (above 1: slower than the reference) and ``bandwidth_fraction``, of the track "matched" and, for the
        framework's own layer, "native"; ``reference_seconds``, ``bytes_moved`` (the fewest
        that any implementation must) and ``copy_bandwidth`` (of a tensor of this size, in the same rounds). For each
        point ``peak_memory`` and ``first_call``, on a CPU on Linux only. Where a layer cannot be had,
        ``unsupported`` with the reason as ``why``. ``threads`` once.

    Raises:
        spikemark.core.adapter.Unsupported: the matched layer can be had at no point.
        spikemark.measures.speed.footprint.FootprintError: a layer failed in a fresh process.
    """
    rows: list[Measurement] = []
    reasons: list[str] = []
    with pinned_threads(threads) as pinned:
        for point in points:
            if point.mode == "compile":
                torch.compiler.reset()  # what was compiled for another size would make it compile for all sizes
            works = _works(adapter, reference, spec, point, pinned, device)
            why = {track: reason for track in TRACKS if (reason := unsupported(works[track])) is not None}
            reasons += [why["matched"]] if "matched" in why else []
            for track, reason in why.items():
                del works[track]
                rows.append(_flag(point, track, reason))
            if len(works) > 1:
                timed = time_layers(works, phases, budget or Budget(), clock=clock)
                for phase, timings in timed.items():
                    rows += _phase_rows(point, phase, timings)
            for track in [name for name in TRACKS if name in works] if memory and can_measure(device) else []:
                rows += _footprint_rows(point, track, works[track])
            check()
    if len(reasons) == len(points):
        raise Unsupported(reasons[0])
    rows.append({"metric": "threads", "value": float(pinned), "unit": "threads"})
    return rows


def unsupported(work: LayerWork) -> str | None:
    """Why a layer cannot be had in the type asked for, None if it can; found out on two samples, uncompiled."""
    eager = replace(work, compiled=False)
    try:
        with torch.no_grad():
            spikes = eager.layer()(eager.currents(min(2, work.batch_size)))
    except Unsupported as error:
        return str(error)
    if spikes.dtype != work.dtype:
        return f"answers {work.dtype} currents in {spikes.dtype}"
    return None


def _works(
    adapter: Adapter, reference: Adapter, spec: NeuronSpec, point: Point, threads: int, device: str
) -> dict[str, LayerWork]:
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[point.dtype]
    base = LayerWork(reference, spec, point.shape, point.steps, point.batch, dtype, False, threads, device)
    matched = replace(base, adapter=adapter, compiled=point.mode == "compile")
    return {REFERENCE: base, "matched": matched, "native": replace(matched, native=True)}


def _phase_rows(point: Point, phase: LayerPhase, result: LayerTimings) -> list[Measurement]:
    timings = result.timings
    copies = [result.bytes_copied / seconds for seconds in timings.seconds[COPY]]
    rows: list[Measurement] = [
        timed_row("reference_seconds", "s", timings.seconds[REFERENCE]),
        timed_row("copy_bandwidth", "bytes/s", copies),
        {"metric": "bytes_moved", "value": float(result.bytes_moved), "unit": "bytes"},
    ]
    for track in TRACKS:
        if track in timings.seconds:
            found = [
                timed_row("seconds", "s", timings.seconds[track]),
                timed_row("seconds_ratio", "x reference", timings.ratios(track)),
                timed_row("bandwidth_fraction", "of a copy", result.bandwidth_fractions(track)),
            ]
            rows += [row | {"track": track} for row in found]
    for row in rows:
        row["split"], row["point"] = phase, point.to_dict()
    return rows


def _footprint_rows(point: Point, track: str, work: LayerWork) -> list[Measurement]:
    seen, where = footprint(work), point.to_dict()
    return [
        {"metric": "peak_memory", "value": float(seen.peak_memory), "unit": "bytes", "track": track, "point": where},
        {"metric": "first_call", "value": rounded(seen.first_call), "unit": "s", "track": track, "point": where},
    ]


def _flag(point: Point, track: str, why: str) -> Measurement:
    return {
        "metric": "unsupported", "value": 1.0, "unit": "1", "track": track, "point": point.to_dict(), "why": why,
    }  # fmt: skip
