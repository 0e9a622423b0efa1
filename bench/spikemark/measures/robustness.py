"""Robustness: accuracy of a trained network under each noise at each severity."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, field_validator

from spikemark.core.measurement import Measurement, Metric
from spikemark.core.options import each_once
from spikemark.measures.measure import Measure
from spikemark.noise.case import NOISES
from spikemark.registry import known

if TYPE_CHECKING:
    from spikemark.data.card import Card
    from spikemark.measures.subject import Subject

# Samples at a time; draws are per sample, so the number changes nothing but speed.
_BATCH = 256


class Robustness(Measure):
    """Which noises at which severities, on how many test samples (all when left out)."""

    name = "robustness"
    metrics = (Metric("accuracy", "fraction", "score", more=True),)
    section = "spikemark.report.robustness:robustness_sections"

    noises: Annotated[tuple[str, ...], Field(min_length=1)] = ("gaussian", "salt-and-pepper", "spike-deletion")
    severities: Annotated[tuple[Annotated[int, Field(ge=1, le=5)], ...], Field(min_length=1)] = (1, 2, 3, 4, 5)
    samples: Annotated[int, Field(ge=1)] | None = None

    @field_validator("noises")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return known("noise", each_once(names))

    @field_validator("severities")
    @classmethod
    def _no_doubles(cls, severities: tuple[int, ...]) -> tuple[int, ...]:
        return each_once(severities)

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
            _BATCH,
            subject.adapter,
            dataset.test.recordings,
            seed=subject.seed,
        )
        subject.fingerprints.update(hashes)
        return rows

    def uses(self) -> list[tuple[str, str]]:
        """See `Measure.uses`."""
        return [*super().uses(), *product(("noise",), self.noises)]

    def determines(self) -> dict[str, Any]:
        """The domain and the levels of every noise."""
        found = {name: NOISES[name] for name in self.noises}
        return {"noises": {n: {"domain": noise.domain, "levels": list(noise.levels)} for n, noise in found.items()}}

    def check(self, card: Card) -> None:
        """See `Measure.check`."""
        for name in self.noises:
            NOISES[name].check(card)
