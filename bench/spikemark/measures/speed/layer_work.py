"""Throughput of single spiking layers: every framework's layer of one spec, and its own default LIF, side by side.

No synapses, no readout: only what the frameworks differ in. A plain copy of the currents takes turns with
the layers, so that each layer's share of the memory bandwidth is measured in the same run.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
import torch.fx.experimental.symbolic_shapes  # torch does on its first `backward(gradient)`: 0.8 s of no layer's doing
from torch import Tensor, nn

from spikemark.core.adapter import Adapter
from spikemark.core.neurons import NeuronSpec
from spikemark.core.statistics import Interval, median_ratio_interval
from spikemark.core.streams import generator
from spikemark.measures.speed.footprint import Run
from spikemark.measures.speed.machine import LayerPhase, bytes_moved, pinned_threads, synchronizer
from spikemark.measures.speed.timing import Budget, Clock, Timings, interleave

Track = Literal["matched", "native"]
COPY = "copy"


@dataclass(frozen=True)
class LayerWork:
    """One contender: a layer, its currents, and what is done with them. Plain data, sent to other processes.

    Attributes:
        adapter: the framework.
        spec: of the matched layer.
        shape: of the features.
        steps: T.
        batch_size: B.
        dtype: of currents, parameters and spikes.
        native: whether it is the framework's own LIF with its own defaults instead.
        threads: for torch.
        device: "cpu" or "cuda".
        compiled: whether `torch.compile` compiles the layer, with its defaults.
    """

    adapter: Adapter
    spec: NeuronSpec
    shape: tuple[int, ...]
    steps: int
    batch_size: int
    dtype: torch.dtype = torch.float32
    native: bool = False
    threads: int = 1
    device: str = "cpu"
    compiled: bool = False

    def layer(self) -> nn.Module:
        """The layer, in its type and on its device."""
        if self.native:
            made = self.adapter.native(self.shape)
        else:
            made = self.adapter.neuron(self.spec, self.shape, generator=generator("throughput", "jitter"))
        made = made.to(self.device, self.dtype)
        if self.compiled:
            made.compile(options={"compile_threads": 1})  # here: forks that measure memory must leave no workers behind
        return made

    def currents(self, batch: int) -> Tensor:
        """Currents ``[T, batch, *shape]``, uniform in 0..2: around the usual thresholds, so that spikes happen."""
        shape = (self.steps, batch, *self.shape)
        uniform = torch.rand(shape, generator=generator("throughput", "currents"))
        return (2 * uniform).to(self.device, self.dtype)

    def run(self, phase: LayerPhase, batch: int) -> Run:
        """The timed work."""
        return layer_run(self.layer(), self.currents(batch), phase)

    def build(self) -> tuple[Run, Run]:
        """Forward and backward of two samples and of the whole batch, for `footprint`.

        A compiled layer runs the whole batch both times, since for two samples it would be compiled apart; the first
        time it is compiled without a look at torch's cache on disk.
        """
        if self.compiled:
            run = self.run("forward+backward", self.batch_size)
            return partial(_without_caches, run), run
        return self.run("forward+backward", min(2, self.batch_size)), self.run("forward+backward", self.batch_size)


def _without_caches(run: Run) -> None:
    config = torch.compiler.config
    before, config.force_disable_caches = config.force_disable_caches, True
    try:
        run()
        run()  # some layers are compiled again at their second call, which must not count as memory of the third
    finally:
        config.force_disable_caches = before


def layer_run(layer: nn.Module, currents: Tensor, phase: LayerPhase) -> Run:
    """Call `layer` without gradients, or with gradients to the currents and all its parameters."""
    if phase == "forward":

        def forward() -> None:
            with torch.no_grad():
                layer(currents)

        return forward
    leaf = currents.detach().clone().requires_grad_()
    upstream = torch.linspace(-1, 1, currents.numel(), device=currents.device).view(currents.shape).to(currents.dtype)

    def forward_and_backward() -> None:
        leaf.grad = None
        layer.zero_grad(set_to_none=True)
        layer(leaf).backward(upstream)

    return forward_and_backward


@dataclass(frozen=True)
class LayerTimings:
    """One phase of all contenders.

    Attributes:
        timings: of "NAME matched" and "NAME native" for every adapter, and of the "copy" of the currents.
        bytes_copied: read and written by the copy.
        bytes_moved: the fewest that a layer must read and write, see `machine.bytes_moved`.
    """

    timings: Timings
    bytes_copied: int
    bytes_moved: int

    @property
    def copy_bandwidth(self) -> float:
        """Bytes per second of the copy: the ceiling for tensors of this size."""
        return self.bytes_copied / self.timings.median(COPY)

    def bandwidth_fraction(self, contender: str) -> Interval:
        """Part of the ceiling that a contender's fewest bytes reach, with its 95 % interval: 1 is the limit."""
        return median_ratio_interval([self.bandwidth_fractions(contender)])

    def bandwidth_fractions(self, contender: str) -> list[float]:
        """`bandwidth_fraction`, round by round."""
        pairs = zip(self.timings.seconds[COPY], self.timings.seconds[contender], strict=True)
        return [self.bytes_moved / self.bytes_copied * copy / own for copy, own in pairs]


def layer_throughput(
    adapters: Sequence[Adapter],
    spec: NeuronSpec,
    shape: tuple[int, ...],
    steps: int,
    batch: int,
    dtype: torch.dtype = torch.float32,
    phases: Sequence[LayerPhase] = ("forward", "forward+backward"),
    *,
    tracks: Sequence[Track] = ("matched", "native"),
    budget: Budget | None = None,
    threads: int | None = None,
    device: str = "cpu",
    clock: Clock = time.perf_counter,
) -> Mapping[LayerPhase, LayerTimings]:
    """Time the layers of all adapters for one spec, interleaved.

    Args:
        adapters: the frameworks; ratios are taken to the first one's first track.
        spec: the dynamics of the matched layers.
        shape: of the features.
        steps: T.
        batch: B.
        dtype: of currents and layers.
        phases: what to time.
        tracks: the matched layer, the framework's own default LIF, or both.
        budget: for each phase.
        threads: for torch, while measuring; None for its present number.
        device: "cpu" or "cuda".
        clock: seconds.

    Raises:
        spikemark.core.adapter.Unsupported: a framework cannot express the spec.
        ValueError: no adapter, or no track.
    """
    with pinned_threads(threads) as pinned:
        works = {
            f"{adapter.name} {track}": LayerWork(
                adapter, spec, shape, steps, batch, dtype, track == "native", pinned, device
            )
            for adapter in adapters
            for track in tracks
        }
        if not works:
            raise ValueError("nothing to time: give at least one adapter and one track")
        return time_layers(works, phases, budget or Budget(), clock=clock)


def time_layers(
    works: Mapping[str, LayerWork], phases: Sequence[LayerPhase], budget: Budget, *, clock: Clock = time.perf_counter
) -> Mapping[LayerPhase, LayerTimings]:
    """Time contenders of one size and type, interleaved with a copy of the currents; ratios are to the first one.

    Args:
        works: by name; at least one.
        phases: what to time.
        budget: for each phase.
        clock: seconds.
    """
    results: dict[LayerPhase, LayerTimings] = {}
    one = next(iter(works.values()))
    currents = one.currents(one.batch_size)
    copied = torch.empty_like(currents)
    for phase in phases:
        runs = {name: work.run(phase, work.batch_size) for name, work in works.items()}
        timings = interleave(
            runs | {COPY: lambda: copied.copy_(currents)},
            budget,
            clock=clock,
            synchronize=synchronizer(one.device),
        )
        moved = bytes_moved(one.shape, one.steps, one.batch_size, one.dtype, phase)
        results[phase] = LayerTimings(timings, 2 * currents.nbytes, moved)
    return results
