"""Conformance: does an adapter compute the oracle's spikes, every one, and its gradients?"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from spikemark.core.measurement import Measurement, Metric
from spikemark.measures.measure import Measure, SubjectKind

if TYPE_CHECKING:
    from spikemark.measures.subject import Subject


class Conformance(Measure):
    """Spikes and gradients of one layer against the oracle; there is nothing to set."""

    name = "conformance"
    subject: ClassVar[SubjectKind] = "neuron"
    metrics = (
        Metric("differing_spikes", "spikes", "exact"),
        Metric("gradient_error", "1", "exact"),
        Metric("compared_spikes", "spikes", "exact", more=True),
    )
    section = "spikemark.report.semantics:conformance_section"

    def run(self, subject: Subject) -> list[Measurement]:
        """See `Measure.run`."""
        from spikemark.measures.semantics.comparison import conformance

        return conformance(subject.adapter, subject.spec, seed=subject.seed).measurements()
