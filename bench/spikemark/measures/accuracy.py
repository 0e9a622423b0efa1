"""Accuracy on the test split, read once after training, for the best-validation and for the last epoch."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING, Any

from spikemark.core.measurement import Measurement, Metric
from spikemark.measures.measure import Measure

if TYPE_CHECKING:
    from torch import Tensor

    from spikemark.measures.subject import Subject


class Accuracy(Measure):
    """How often a trained network is right; its record also holds what training did."""

    name = "accuracy"
    metrics = (
        Metric("accuracy", "fraction", "score", more=True),
        Metric("accuracy_last_epoch", "fraction", "score", more=True, watched=False),
        Metric("parameters", "1", "exact"),
        Metric("neuron_parameters", "1", "exact"),
    )
    section = "spikemark.report.accuracy:accuracy_sections"

    def run(self, subject: Subject) -> list[Measurement]:
        """See `Measure.run`."""
        from spikemark.core.adapter import neurons_of
        from spikemark.training.loop import accuracy

        best, labels, model = subject.test_outputs, subject.dataset.test.labels, subject.model
        learned = sum(p.numel() for layer in neurons_of(model) for p in layer.learnables().values())
        right: Measurement = {
            "metric": "accuracy", "value": accuracy(best, labels), "unit": "fraction", "split": "test"
        }  # fmt: skip
        parameters = _number("parameters", sum(p.numel() for p in model.parameters()))
        if subject.given:
            return [parameters, right | _over_samples(best, labels)]
        return [parameters, _number("neuron_parameters", learned), right, *self._of_training(subject)]

    def _of_training(self, subject: Subject) -> list[Measurement]:
        """What training did, and where it ended."""
        from spikemark.training.loop import accuracy, evaluate
        from spikemark.training.losses import LOSSES

        trained, model, dataset = subject.trained, subject.model, subject.dataset
        labels, best = dataset.test.labels, subject.test_outputs
        last = best
        if trained.best_epoch != len(trained.history):
            model.load_state_dict(trained.last_state)
            last = evaluate(model, dataset.test, subject.protocol, subject.watch, dataset.name, "test")
            model.load_state_dict(trained.best_state)
        rows: list[Measurement] = [
            {"metric": "accuracy_last_epoch", "value": accuracy(last, labels), "unit": "fraction", "split": "test"},
            {
                "metric": "accuracy",
                "value": trained.history[trained.best_epoch - 1].validation_accuracy,
                "unit": "fraction",
                "split": "validation",
            },
            _number("best_epoch", trained.best_epoch, "epoch"),
            _number("epoch_seconds", median(epoch.seconds for epoch in trained.history), "s"),
        ]
        loss = getattr(subject.trained_system.rule, "loss", None)
        if isinstance(loss, str) and loss in LOSSES:
            value = LOSSES[loss](best, labels).item()
            rows.append({"metric": "loss", "value": value, "unit": loss, "split": "test"})
        if trained.saved_bytes:
            rows.append(_number("saved_bytes", trained.saved_bytes, "bytes/batch"))
        return rows + [_number(name, value) for name, value in trained.diagnostics.items()]


def _over_samples(outputs: Tensor, labels: Tensor) -> Any:
    """The 95 % interval (Wilson's) over samples, all that there is with one training."""
    from scipy.stats import binomtest

    right = int((outputs.argmax(1) == labels).sum())
    interval = binomtest(right, len(labels)).proportion_ci(method="wilson")
    return {"low": float(interval.low), "high": float(interval.high), "why": "one training seed: interval over samples"}


def _number(metric: str, value: float, unit: str = "1") -> Measurement:
    return {"metric": metric, "value": float(value), "unit": unit}
