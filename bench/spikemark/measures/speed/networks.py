"""Throughput of one job: a framework's network against the reference's and against the framework's own default LIF.

The three take turns in one interleaved run (see `timing`): their weights, inputs, threads and process are the same,
their neurons are not. Ratios are those of the metric itself: above 1, `samples_per_second_ratio` says faster than
the reference, `latency_ratio` slower. ``docs/throughput.md`` says what the numbers can and cannot tell.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import count

import torch
from torch import Tensor, nn

from spikemark.core.adapter import Adapter, SpikingNeurons
from spikemark.core.measurement import Measurement
from spikemark.core.neurons import FrameworkNeuron
from spikemark.core.streams import generator
from spikemark.measures.speed.footprint import Run, can_measure, footprint
from spikemark.measures.speed.machine import copy_bandwidth, pinned_threads, synchronizer
from spikemark.measures.speed.points import TRACKS, NetworkPoint, TrainingStep
from spikemark.measures.speed.timing import Budget, Clock, Timings, interleave, rounded, timed_row
from spikemark.networks.stages import Foreign, SpikingNetwork
from spikemark.training.bptt import rates
from spikemark.training.build import build_system
from spikemark.training.losses import mse_rate
from spikemark.training.rule import Protocol
from spikemark.training.system import System

__all__ = ["Budget", "NetworkWork", "growth", "throughput"]

# Larger than the last-level cache of most machines, so that its copy shows main memory.
COPY_BYTES = 1 << 26


@dataclass(frozen=True)
class NetworkWork:
    """One contender: a network, its input, and what is done with them. Plain data, sent to other processes.

    Attributes:
        adapter: who computes the neurons.
        system: network and neuron.
        input_shape: of one sample.
        classes: number of classes.
        steps: T.
        batch_size: B.
        seed: of the first weights.
        threads: for torch.
        device: "cpu" or "cuda".
        step: what training is: "gradients" (forward and backward) or "rule" (the system's rule learns from a batch).
        native: whether every spiking layer is the framework's own LIF with its own defaults.
        held: whether samples are the same at every step; None for what the step has: true for "rule", false for
            "gradients".
    """

    adapter: Adapter
    system: System
    input_shape: tuple[int, ...]
    classes: int
    steps: int
    batch_size: int
    seed: int
    threads: int
    device: str
    step: TrainingStep = "gradients"
    native: bool = False
    held: bool | None = None

    def network(self) -> SpikingNetwork:
        """The network on its device; its weights depend on the seed alone."""
        network = build_system(self.system, self.adapter, self.input_shape, self.classes, self.seed, steps=self.steps)
        if self.native:
            _replace_neurons(network, self.adapter)
        return network.to(self.device)

    def inputs(self, batch: int, *, held: bool = False) -> Tensor:
        """Encoded samples ``[T, batch, *input_shape]``, uniform in 0..1.

        Args:
            batch: number of samples.
            held: whether they must be the same at every step, whatever the work says.
        """
        drawn = 1 if held or (self.step == "rule" if self.held is None else self.held) else self.steps
        frames = torch.rand((drawn, batch, *self.input_shape), generator=generator("throughput", "inputs"))
        return frames.to(self.device).expand(self.steps, *frames.shape[1:])

    def unseen(self, batch: int, *, held: bool = False) -> Callable[[], Tensor]:
        """Inputs for each call: for the step "rule" new ones, as rules may remember what they computed of a sample."""
        inputs = self.inputs(batch, held=held)
        if self.step == "gradients":
            return lambda: inputs
        pixel, calls = inputs[0].flatten(1)[:, 0], count(1)

        def changed() -> Tensor:
            pixel.fill_(next(calls) / 2**20 % 1)
            return inputs

        return changed

    def forward(self, network: SpikingNetwork, batch: int) -> Run:
        """Inference of one batch, without gradients, in evaluation mode."""
        inputs = self.unseen(batch, held=_holds(network))

        def run() -> None:
            with torch.no_grad():
                network(inputs())

        network.eval()
        return run

    def training(self, network: SpikingNetwork, batch: int) -> Run:
        """One batch in training mode: MSE on mean rates and gradients to all parameters, or the system's rule."""
        inputs = self.unseen(batch, held=_holds(network))
        labels = torch.arange(batch, device=self.device) % self.classes
        network.train()
        if self.step == "rule":
            learner = self.system.rule.learner(network, Protocol(1, batch, "direct", self.steps), self.seed)
            learner.begin(inputs()[0])
            return lambda: learner.learn(inputs(), labels)

        def run() -> None:
            network.zero_grad(set_to_none=True)
            mse_rate(rates(network, inputs()), labels).backward()

        return run

    def build(self) -> tuple[Run, Run]:
        """Training runs of two samples and of the whole batch, for `footprint`."""
        network = self.network()
        return self.training(network, min(2, self.batch_size)), self.training(network, self.batch_size)


def throughput(
    adapter: Adapter,
    reference: Adapter,
    system: System,
    input_shape: tuple[int, ...],
    classes: int,
    protocol: Protocol,
    *,
    step: TrainingStep = "gradients",
    held: bool | None = None,
    seed: int = 0,
    budget: Budget | None = None,
    threads: int | None = None,
    device: str = "cpu",
    clock: Clock = time.perf_counter,
) -> list[Measurement]:
    """Speed, latency and memory of `system` in one framework, and their ratios to `reference`.

    In the job of the reference itself the ratios compare two copies of the same network: what they stray from 1 is
    the noise of the measure.

    Args:
        adapter: the framework.
        reference: the framework that the others are divided by.
        system: network and neuron; its loss, optimiser and rule play no part unless `step` is "rule".
        input_shape: of one sample.
        classes: number of classes.
        protocol: batch size and time steps.
        step: what training is, see `NetworkWork`.
        held: whether samples are the same at every step, see `NetworkWork`.
        seed: of the first weights.
        budget: for each of the three phases (forward and backward, forward, forward of a single sample).
        threads: for torch, while measuring; None for its present number.
        device: "cpu" or "cuda".
        clock: seconds.

    Returns:
        ``samples_per_second``, ``training_samples_per_second``, ``latency`` (s), each with ``_ratio``, ``peak_memory``
        (bytes, of training) and ``first_call`` (s), of the track "matched" and, for the framework's own LIF, "native"
        (not with step "rule": that LIF cannot stand in for neurons that a rule was made for); ``copy_bandwidth``
        (bytes/s) and ``threads`` of the machine. A framework's own neuron is of the track "native", and its reference
        is a network of the reference's LIF.
        ``peak_memory`` and ``first_call`` of CPUs are measured on Linux only.

    Raises:
        spikemark.core.adapter.Unsupported: a framework cannot express the neuron.
        spikemark.measures.speed.footprint.FootprintError: training failed in a fresh process.
    """
    budget = budget or Budget()
    with pinned_threads(threads) as pinned:
        matched = NetworkWork(
            adapter, system, input_shape, classes, protocol.steps, protocol.batch_size, seed, pinned, device, step,
            held=held,
        )  # fmt: skip
        works = _contenders(matched, reference)
        networks = {name: work.network() for name, work in works.items()}
        batch = protocol.batch_size

        def phase(runs: dict[str, Run]) -> Timings:
            return interleave(runs, budget, reference="reference", clock=clock, synchronize=synchronizer(device))

        training = phase({name: work.training(networks[name], batch) for name, work in works.items()})
        forward = phase({name: work.forward(networks[name], batch) for name, work in works.items()})
        latency = phase({name: work.forward(networks[name], 1) for name, work in works.items()})
        rows: list[Measurement] = []
        for name in (track for track in TRACKS if track in works):
            found = _rates("samples_per_second", forward, name, batch)
            found += _rates("training_samples_per_second", training, name, batch)
            found += _times("latency", latency, name)
            found += _footprint(works[name])
            rows += [row | {"track": name} for row in found]
        bandwidth = _memory_bandwidth(pinned, device)
    rows.append({"metric": "copy_bandwidth", "value": rounded(bandwidth), "unit": "bytes/s"})
    rows.append({"metric": "threads", "value": float(pinned), "unit": "threads"})
    return rows


def growth(
    adapter: Adapter,
    reference: Adapter,
    system: System,
    input_shape: tuple[int, ...],
    classes: int,
    points: Sequence[NetworkPoint],
    *,
    held: bool,
    seed: int = 0,
    budget: Budget | None = None,
    threads: int | None = None,
    device: str = "cpu",
    check: Callable[[], None] = lambda: None,
    clock: Clock = time.perf_counter,
) -> list[Measurement]:
    """Time and memory of one whole training step (forward, backward, optimiser), point by point, beside the reference.

    Args:
        adapter: the framework.
        reference: the framework that it is divided by.
        system: network, neuron and rule.
        input_shape: of one sample.
        classes: number of classes.
        points: where to measure; those with a width are of networks that have an option ``hidden``.
        held: whether samples are the same at every step.
        seed: of the first weights.
        budget: for each point.
        threads: for torch, while measuring; None for its present number.
        device: "cpu" or "cuda".
        check: called after every point; raises when time is up.
        clock: seconds.

    Returns:
        ``step_seconds``, ``step_seconds_ratio`` (above 1: slower than the reference) and, on a CPU on Linux only,
        ``peak_memory`` (bytes) for each ``point``, of the track "matched"; "native" for a framework's own neuron, whose
        reference is a network of the reference's LIF. ``threads`` once.

    Raises:
        spikemark.core.adapter.Unsupported: a framework cannot express the neuron.
        spikemark.measures.speed.footprint.FootprintError: training failed in a fresh process.
    """
    rows: list[Measurement] = []
    with pinned_threads(threads) as pinned:
        for point in points:
            sized = (
                system if point.hidden is None else replace(system, options={**system.options, "hidden": point.hidden})
            )
            own = NetworkWork(
                adapter, sized, input_shape, classes, point.steps, point.batch, seed, pinned, device, "rule", held=held
            )
            works = _contenders(own, reference)
            runs = {name: work.training(work.network(), point.batch) for name, work in works.items()}
            timings = interleave(
                runs, budget or Budget(), reference="reference", clock=clock, synchronize=synchronizer(device)
            )
            for name in (track for track in TRACKS if track in works):
                found = [
                    timed_row("step_seconds", "s", timings.seconds[name]),
                    timed_row("step_seconds_ratio", "x reference", timings.ratios(name)),
                ]
                found += [row for row in _footprint(works[name]) if row["metric"] == "peak_memory"]
                rows += [row | {"track": name, "point": point.to_dict()} for row in found]
            check()
    rows.append({"metric": "threads", "value": float(pinned), "unit": "threads"})
    return rows


@cache
def _memory_bandwidth(threads: int, device: str) -> float:
    """Of the machine, so a process measures it once for all its jobs."""
    return copy_bandwidth(COPY_BYTES, threads, device)


def _holds(network: nn.Module) -> bool:
    return isinstance(network, Foreign) and network.held_input


def _contenders(matched: NetworkWork, reference: Adapter) -> dict[str, NetworkWork]:
    """A framework's LIF can stand in for neurons of its kind, but not for those that a rule was made for."""
    if isinstance(matched.system.resolved_neuron, FrameworkNeuron):
        return {"reference": replace(matched, adapter=reference, native=True), "native": matched}
    works = {"reference": replace(matched, adapter=reference), "matched": matched}
    matched_alone = matched.step == "rule" or matched.system.spec is None
    return works if matched_alone else works | {"native": replace(matched, native=True)}


def _replace_neurons(network: SpikingNetwork, adapter: Adapter) -> None:
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, SpikingNeurons):
                setattr(parent, name, adapter.native(child.shape))


def _rates(metric: str, timings: Timings, name: str, batch: int) -> list[Measurement]:
    return [
        timed_row(metric, "samples/s", [batch / seconds for seconds in timings.seconds[name]]),
        timed_row(f"{metric}_ratio", "x reference", [1 / ratio for ratio in timings.ratios(name)]),
    ]


def _times(metric: str, timings: Timings, name: str) -> list[Measurement]:
    return [
        timed_row(metric, "s", timings.seconds[name]),
        timed_row(f"{metric}_ratio", "x reference", timings.ratios(name)),
    ]


def _footprint(work: NetworkWork) -> list[Measurement]:
    if not can_measure(work.device):
        return []
    seen = footprint(work)
    return [
        {"metric": "peak_memory", "value": float(seen.peak_memory), "unit": "bytes"},
        {"metric": "first_call", "value": rounded(seen.first_call), "unit": "s"},
    ]
