"""What jobs of one training share."""

import pytest

from spikemark.measures.subject import Subject
from spikemark.training import loop
from spikemark.training.loop import DivergedError
from spikemark.training.system import SYSTEMS

SETTINGS = {
    "sizes": {"train": 64, "validation": 32, "test": 32},
    "encoding": {"name": "direct", "steps": 2},
    "training": {"epochs": 2, "batch_size": 16},
}


def test_a_training_that_failed_fails_for_every_measure_and_is_not_gone_on_with(monkeypatch):
    subject = Subject("reference", "lif", SYSTEMS["mlp-lif"], "digits", 0, SETTINGS)
    started = []
    whole = loop._train_epoch

    def diverges(*arguments):
        started.append(arguments)
        if len(started) == 2:
            raise DivergedError("the loss is nan in epoch 2")
        return whole(*arguments)

    monkeypatch.setattr(loop, "_train_epoch", diverges)
    for _ in range(3):
        with pytest.raises(DivergedError, match="epoch 2"):
            subject.model  # noqa: B018
    assert len(started) == 2


def test_records_of_a_framework_that_computes_stages_as_one_name_them():
    subject = Subject("fused", "stl", SYSTEMS["convnet-stl"], "digits", 0, SETTINGS)
    assert subject.fused == {name: ["norm", "neurons", "max pooling"] for name in ("conv1", "conv2")}
    assert Subject("fused", "stl", SYSTEMS["mlp-stl"], "digits", 0, SETTINGS).fused == {}
    assert Subject("reference", "stl", SYSTEMS["convnet-stl"], "digits", 0, SETTINGS).fused == {}
