"""Threshold modulation: accuracy under noise with thresholds that follow the batch at hand, beside the trained ones."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, field_validator

from spikemark.core.measurement import Measurement, Metric
from spikemark.core.options import each_once
from spikemark.errors import InputError
from spikemark.measures.measure import Measure
from spikemark.noise.case import NOISES
from spikemark.registry import known

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from spikemark.data.card import Card
    from spikemark.measures.subject import Subject


class ThresholdModulation(Measure):
    """Accuracy under noise on samples, with trained thresholds and with ones that follow each batch.

    See `spikemark.training.modulation`. The test samples come in an order of the seed's, since batches of one class
    would move thresholds the wrong way.

    Attributes:
        noises: registered names, of the domain "input".
        severities: among 1 to 5; the clean samples are always there, as severity 0.
        samples: the first so many of the test split; all when None.
        batch_sizes: of the samples that share their moments.
        moments: training samples from which the usual moments are taken.
    """

    name = "threshold-modulation"
    metrics = (
        Metric("accuracy", "fraction", "score", more=True),
        Metric("accuracy_modulated", "fraction", "score", more=True),
    )
    section = "spikemark.report.modulation:modulation_sections"

    noises: Annotated[tuple[str, ...], Field(min_length=1)] = ("gaussian", "contrast", "gaussian-blur", "occlusion")
    severities: Annotated[tuple[Annotated[int, Field(ge=1, le=5)], ...], Field(min_length=1)] = (3, 5)
    samples: Annotated[int, Field(ge=2)] | None = None
    batch_sizes: Annotated[tuple[Annotated[int, Field(ge=2)], ...], Field(min_length=1)] = (16, 64, 256)
    moments: Annotated[int, Field(ge=2)] = 2560

    @field_validator("noises")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in known("noise", each_once(names)):
            if NOISES[name].on != "inputs":
                raise InputError(f"noise {name}: disturbs {NOISES[name].on}; thresholds follow noise on samples alone")
        return names

    @field_validator("severities", "batch_sizes")
    @classmethod
    def _no_doubles(cls, values: tuple[int, ...]) -> tuple[int, ...]:
        return each_once(values)

    def run(self, subject: Subject) -> list[Measurement]:
        """See `Measure.run`."""
        from contextlib import nullcontext

        import torch

        from spikemark.core.streams import generator
        from spikemark.noise.case import Case
        from spikemark.training.modulation import membrane_moments, modulated

        if subject.given:
            raise InputError("threshold-modulation: needs the samples of training, which a model that is brought lacks")
        dataset, model = subject.dataset, subject.model
        few = dataset.train.inputs[: self.moments]
        usual = membrane_moments(model, self._encoded(subject, few, 256, "moments"))
        count = self.samples or len(dataset.test)
        order = torch.randperm(count, generator=generator("modulation", dataset.name, subject.seed))
        inputs, labels = dataset.test.inputs[:count][order], dataset.test.labels[:count][order]
        case = Case(model, inputs, labels, lambda batch, _: batch)
        rows: list[Measurement] = []
        places = [(name, 0) for name in self.noises[:1]] + list(product(self.noises, sorted(self.severities)))
        for name, severity in places:
            random = generator("noise", dataset.name, name, severity, subject.seed)
            with NOISES[name].apply(case, severity, random) as noisy:
                for size in (None, *self.batch_sizes):
                    with nullcontext() if size is None else modulated(model, usual):
                        right = self._right(subject, noisy.inputs, labels, size or subject.batch_size)
                    rows.append(_row(name if severity else None, severity, right, size))
        return rows

    def _right(self, subject: Subject, inputs: Tensor, labels: Tensor, size: int) -> float:
        import torch

        from spikemark.training.loop import accuracy, scores

        with torch.no_grad():
            outputs = [scores(subject.model, batch) for batch in self._encoded(subject, inputs, size, "test")]
        return accuracy(torch.cat(outputs).cpu(), labels)

    @staticmethod
    def _encoded(subject: Subject, inputs: Tensor, size: int, split: str) -> Iterator[Tensor]:
        """Batches of at least two samples: what would be left over alone joins the last one."""
        from spikemark.core.adapter import device_of
        from spikemark.core.streams import generator
        from spikemark.data.encoders import encode

        protocol, device = subject.protocol, device_of(subject.model)
        random = generator("encoding", subject.dataset.name, split)
        batches = list(inputs.split(size))
        if len(batches) > 1 and len(batches[-1]) == 1:
            batches[-2:] = [inputs[-len(batches[-2]) - 1 :]]
        for batch in batches:
            yield encode(protocol.encoder, batch, protocol.steps, random).to(device)

    def uses(self) -> list[tuple[str, str]]:
        """See `Measure.uses`."""
        return [*super().uses(), *product(("noise",), self.noises)]

    def determines(self) -> dict[str, Any]:
        """The domain and the levels of every noise."""
        return {"noises": {name: NOISES[name].definition for name in self.noises}}

    def check(self, card: Card) -> None:
        """See `Measure.check`."""
        self.check_samples(self.samples, card)
        for name in self.noises:
            NOISES[name].check(card)


def _row(noise: str | None, severity: int, value: float, size: int | None) -> Measurement:
    row: Measurement = {"metric": "accuracy", "value": value, "unit": "fraction", "split": "test", "severity": severity}
    if noise is not None:
        row["noise"] = noise
    return row if size is None else row | {"metric": "accuracy_modulated", "point": {"batch_size": size}}
