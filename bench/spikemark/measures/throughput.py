"""Throughput of a network: a framework against the reference and against its own default LIF, with memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from spikemark.core.lazy import LazyModule
from spikemark.core.measurement import Measurement, Metric
from spikemark.errors import InputError
from spikemark.measures.along_axes import OnThreads
from spikemark.measures.measure import SubjectKind
from spikemark.measures.speed.points import InputKind, TrainingStep

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from spikemark.measures.subject import Subject
else:
    torch = LazyModule("torch")


class Throughput(OnThreads):
    """How throughput is measured: batch, threads, and seconds for each of its phases.

    Training is forward and backward ("gradients"), or one batch as the system's own rule learns from it, optimiser and
    all ("rule"). Input is "changing" from step to step or "constant"; left out, it is constant with "rule" alone.
    """

    name = "throughput"
    subject: ClassVar[SubjectKind] = "network"
    exclusive = True
    metrics = (
        Metric("samples_per_second", "samples/s", "cost", more=True, timed=True),
        Metric("training_samples_per_second", "samples/s", "cost", more=True, timed=True),
        Metric("latency", "s", "cost", timed=True),
        Metric("peak_memory", "bytes", "cost"),
        Metric("samples_per_second_ratio", "x reference", "cost", more=True, watched=False, timed=True),
        Metric("training_samples_per_second_ratio", "x reference", "cost", more=True, watched=False, timed=True),
        Metric("latency_ratio", "x reference", "cost", watched=False, timed=True),
        Metric("first_call", "s", "cost", watched=False, timed=True),
    )
    section = "spikemark.report.throughput:throughput_section"

    batch_size: Annotated[int, Field(ge=1)] = 64
    seconds: Annotated[float, Field(gt=0)] = 1.0
    training: TrainingStep = "gradients"
    input: InputKind | None = None

    def to_dict(self) -> Mapping[str, Any]:
        """See `Measure.to_dict`; an input that is left out is not named, as before there was a choice."""
        return self.model_dump(mode="json", exclude_none=True)

    def run(self, subject: Subject) -> list[Measurement]:
        """See `Measure.run`."""
        if subject.given:
            return self._of_given(subject)
        from spikemark.core.frameworks import get_adapter
        from spikemark.measures.speed.networks import throughput
        from spikemark.measures.speed.timing import Budget
        from spikemark.training.rule import Protocol

        protocol = subject.protocol
        return throughput(
            subject.adapter,
            get_adapter("reference"),
            subject.trained_system,
            subject.card.shape,
            subject.card.classes,
            Protocol(1, self.batch_size, protocol.encoder, protocol.steps),
            step=self.training,
            held=None if self.input is None else self.input == "constant",
            budget=Budget(seconds=self.seconds),
            device=subject.device,
            threads=self.threads,
        )

    def _of_given(self, subject: Subject) -> list[Measurement]:
        """Of a network that was brought, on its own samples."""
        if self.input is not None:
            raise InputError("throughput.input: a network that was brought is timed on its own samples, as encoded")
        from spikemark.core.streams import generator
        from spikemark.data.encoders import encode
        from spikemark.measures.speed.given import given_throughput
        from spikemark.measures.speed.timing import Budget

        inputs, protocol = subject.dataset.test.inputs, subject.protocol

        def encoded(samples: int) -> Tensor:
            chosen = inputs[torch.arange(samples) % len(inputs)]
            random = generator("encoding", subject.dataset.name, "throughput")
            return encode(protocol.encoder, chosen, protocol.steps, random).to(subject.device)

        return given_throughput(
            subject.model,
            encoded,
            self.batch_size,
            budget=Budget(seconds=self.seconds),
            threads=self.threads,
            device=subject.device,
            left_out=subject.left_out,
        )
