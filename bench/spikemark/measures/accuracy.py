"""Accuracy on the test split, read once after training, for the best-validation and for the last epoch."""

from __future__ import annotations

from torch import Tensor

from spikemark.datasets import Dataset
from spikemark.networks import SpikingNetwork
from spikemark.results import Measurement, pack_correct
from spikemark.systems import System
from spikemark.training.learner import Protocol
from spikemark.training.loop import Trained, Watch, accuracy, evaluate
from spikemark.training.losses import LOSSES


def test_accuracy(
    model: SpikingNetwork, trained: Trained, system: System, dataset: Dataset, protocol: Protocol, watch: Watch
) -> tuple[list[Measurement], str]:
    """Accuracy and loss of both candidate states; leaves the best-validation state in `model`.

    Returns:
        The measurements, and the packed correctness of every test sample under the best-validation state.
    """

    def outputs_of(state: dict[str, Tensor]) -> Tensor:
        model.load_state_dict(state)
        return evaluate(model, dataset.test, protocol, watch, dataset.name, "test")

    labels = dataset.test.labels
    last = outputs_of(trained.last_state)
    best = last if trained.best_epoch == len(trained.history) else outputs_of(trained.best_state)
    rows: list[Measurement] = [
        {"metric": "accuracy", "value": accuracy(best, labels), "unit": "fraction", "split": "test"},
        {"metric": "accuracy_last_epoch", "value": accuracy(last, labels), "unit": "fraction", "split": "test"},
        {"metric": "loss", "value": LOSSES[system.loss](best, labels).item(), "unit": system.loss, "split": "test"},
        {
            "metric": "accuracy",
            "value": trained.history[trained.best_epoch - 1].validation_accuracy,
            "unit": "fraction",
            "split": "validation",
        },
        {"metric": "best_epoch", "value": float(trained.best_epoch), "unit": "epoch"},
        {"metric": "epoch_seconds", "value": _median_seconds(trained), "unit": "s"},
    ]
    return rows, pack_correct((best.argmax(1) == labels).numpy())


def _median_seconds(trained: Trained) -> float:
    seconds = sorted(epoch.seconds for epoch in trained.history)
    return seconds[len(seconds) // 2]
