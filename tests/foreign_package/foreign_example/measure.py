"""A measure: by how much the right class leads, with a setting of its own."""

from typing import Annotated

from pydantic import Field

from spikemark import measure
from spikemark.core.measurement import Metric
from spikemark.measures.measure import Measure


@measure("margin", source="made for the documentation")
class Margin(Measure):
    name = "margin"
    metrics = (Metric("margin", "spikes/step", "score", more=True),)

    samples: Annotated[int, Field(ge=1)] = 64

    def run(self, subject):
        scores = subject.test_outputs[: self.samples].clone()
        labels = subject.dataset.test.labels[: self.samples, None]
        right = scores.gather(1, labels)
        best_other = scores.scatter(1, labels, -1.0).amax(1, keepdim=True)
        value = (right - best_other).mean().item()
        return [{"metric": "margin", "value": value, "unit": "spikes/step", "split": "test"}]
