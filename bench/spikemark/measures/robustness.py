"""Robustness: accuracy of a trained network under each noise at each severity."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from spikemark.core.measurement import Measurement, Metric
from spikemark.core.options import each_once
from spikemark.measures.measure import Measure
from spikemark.noise.case import NOISES, Threat, adversaries, within
from spikemark.registry import known

if TYPE_CHECKING:
    from collections.abc import Mapping

    from spikemark.data.card import Card
    from spikemark.measures.subject import Subject

Level = Annotated[float, Field(gt=0)]


class Robustness(Measure):
    """Accuracy under noise.

    Attributes:
        noises: registered names.
        severities: among 1 to 5.
        samples: the first so many of the test split; all when None.
        draws: of each noise, severity and seed, for noises that draw; an attack searches once.
        per_sample: whether records keep the correctness of each sample, for intervals over seeds and samples.
        budgets: five levels of the attacks of a threat, in place of the catalogue's: ``linf = [0.1, ...]``.
    """

    name = "robustness"
    metrics = (
        Metric("accuracy", "fraction", "score", more=True),
        Metric("accuracy_after_steps", "fraction", "score", more=True, watched=False),
        Metric("zero_gradients", "fraction", "score", watched=False),
    )
    section = "spikemark.report.robustness:robustness_sections"

    noises: Annotated[tuple[str, ...], Field(min_length=1)] = ("gaussian", "salt-and-pepper", "spike-deletion")
    severities: Annotated[tuple[Annotated[int, Field(ge=1, le=5)], ...], Field(min_length=1)] = (1, 2, 3, 4, 5)
    samples: Annotated[int, Field(ge=1)] | None = None
    draws: Annotated[int, Field(ge=1)] = 1
    per_sample: bool = False
    budgets: dict[Threat, tuple[Level, Level, Level, Level, Level]] = Field(default_factory=dict)

    @field_validator("noises")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return known("noise", each_once(names))

    @field_validator("severities")
    @classmethod
    def _no_doubles(cls, severities: tuple[int, ...]) -> tuple[int, ...]:
        return each_once(severities)

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        adversaries(within(NOISES[name], self.budgets) for name in self.noises)
        return self

    def run(self, subject: Subject) -> list[Measurement]:
        """See `Measure.run`."""
        from spikemark.data.encoders import encode
        from spikemark.measures.noisy_accuracy import robustness

        dataset, protocol = subject.dataset, subject.protocol
        count = self.samples or len(dataset.test)
        rows, hashes = robustness(
            subject.model,
            dataset.name,
            dataset.test.inputs[:count],
            dataset.test.labels[:count],
            lambda inputs, random: encode(protocol.encoder, inputs, protocol.steps, random),
            self.noises,
            self.severities,
            subject.batch_size,
            subject.adapter,
            dataset.test.recordings,
            seed=subject.seed,
            draws=self.draws,
            per_sample=self.per_sample,
            budgets=self.budgets,
            multiplied=subject.multiplied,
            left_out=subject.left_out,
        )
        subject.fingerprints.update(hashes)
        return rows

    def uses(self) -> list[tuple[str, str]]:
        """See `Measure.uses`."""
        return [*super().uses(), *product(("noise",), self.noises)]

    def determines(self) -> dict[str, Any]:
        """The domain and the levels of every noise."""
        return {"noises": {name: within(NOISES[name], self.budgets).definition for name in self.noises}}

    def to_dict(self) -> Mapping[str, Any]:
        """See `Measure.to_dict`; without options that came later and are not used, so that keys stay what they were."""
        later = {"draws": 1, "per_sample": False, "budgets": {}}
        return {name: value for name, value in super().to_dict().items() if name not in later or value != later[name]}

    def check(self, card: Card) -> None:
        """See `Measure.check`."""
        self.check_samples(self.samples, card)
        for name in self.noises:
            NOISES[name].check(card)
