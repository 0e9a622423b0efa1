"""Measured energy of a trained network's inference, in joules, by the counters of the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from spikemark.core.lazy import LazyModule
from spikemark.core.measurement import Measurement, Metric
from spikemark.measures.along_axes import OnThreads

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from spikemark.measures.speed.timing import Contender
    from spikemark.measures.subject import Subject
else:
    torch = LazyModule("torch")

HEADING = "measured energy, J per sample"
"""Of the column beside estimates, whose unit and hardware are others."""


class Joules(OnThreads):
    """How energy is measured: seconds of a window, windows of each contender, batch and threads.

    What is read is a counter of the machine. Where there is none, nothing is measured.
    """

    name = "joules"
    exclusive = True
    metrics = (
        Metric("joules", "J/sample", "cost"),
        Metric("joules_ratio", "x reference", "cost", watched=False),
        Metric("power", "W", "cost", watched=False),
        Metric("idle_power", "W", "cost", watched=False),
    )
    section = "spikemark.report.joules:joules_section"

    window: Annotated[float, Field(ge=1)] = 1.0
    rounds: Annotated[int, Field(ge=6)] = 8
    batch_size: Annotated[int, Field(ge=1)] = 64

    def run(self, subject: Subject) -> list[Measurement]:
        """See `Measure.run`.

        Raises:
            spikemark.core.adapter.Unsupported: the machine has no counter for the device.
            InputError: the counter may not be read or stood still, or zeus is missing.
        """
        from spikemark.core.adapter import Unsupported
        from spikemark.measures.speed.joule_counter import NoCounterError, joule_counter
        from spikemark.measures.speed.joules import joule_rows, windows
        from spikemark.measures.speed.machine import pinned_threads, synchronizer

        device = torch.device(subject.device)
        gpu = None if device.type == "cpu" else device.index or 0
        try:
            with joule_counter(gpu) as counter, pinned_threads(self.threads) as pinned, torch.no_grad():
                found = windows(
                    self._contenders(subject),
                    counter,
                    seconds=self.window,
                    rounds=self.rounds,
                    synchronize=synchronizer(subject.device),
                    check=subject.watch.check,
                )
        except NoCounterError as error:
            raise Unsupported(str(error)) from None
        threads: Measurement = {"metric": "threads", "value": float(pinned), "unit": "threads"}
        return [*joule_rows(found, self.batch_size), threads]

    def _contenders(self, subject: Subject) -> dict[str, Contender]:
        """The network and, where the neuron has a spec, the same in the reference, on the same test samples."""
        from spikemark.core.neurons import FrameworkNeuron, NeuronSpec

        inputs = self._inputs(subject)
        own = subject.model
        if subject.given or isinstance(subject.neuron, FrameworkNeuron):
            return {"native": lambda: own(inputs)}
        if not isinstance(subject.neuron, NeuronSpec):
            return {"matched": lambda: own(inputs)}
        other = _in_reference(subject)
        return {"reference": lambda: other(inputs), "matched": lambda: own(inputs)}

    def _inputs(self, subject: Subject) -> Tensor:
        from spikemark.core.streams import generator
        from spikemark.data.encoders import encode

        dataset, protocol = subject.dataset, subject.protocol
        chosen = dataset.test.inputs[torch.arange(self.batch_size) % len(dataset.test.inputs)]
        random = generator("encoding", dataset.name, "joules")
        return encode(protocol.encoder, chosen, protocol.steps, random).to(subject.device)


def _in_reference(subject: Subject) -> nn.Module:
    """The trained network with the reference's neurons."""
    from spikemark.core.frameworks import get_adapter
    from spikemark.training.build import build_system

    dataset = subject.dataset
    twin = build_system(
        subject.trained_system,
        get_adapter("reference"),
        dataset.shape,
        dataset.classes,
        subject.seed,
        steps=subject.protocol.steps,
    )
    twin.load_state_dict(subject.model.state_dict())
    return twin.to(subject.device).eval()
