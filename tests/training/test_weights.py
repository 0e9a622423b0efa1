"""Trained weights on disk are the training that they came from, or nothing."""

from dataclasses import replace

import pytest
import torch

from spikemark import SYSTEMS, get_adapter
from spikemark.data.card import Sizes
from spikemark.data.loading import load_dataset
from spikemark.training.build import build_system
from spikemark.training.loop import train
from spikemark.training.rule import Protocol
from spikemark.training.weights import WeightStore


@pytest.fixture(scope="module")
def trained():
    data = load_dataset("digits", sizes=Sizes(64, 32, 16))
    system = SYSTEMS["mlp-stl"]
    model = build_system(system, get_adapter("reference"), data.shape, data.classes, 0)
    return train(model, system.rule, data, Protocol(2, 16, "direct", 2), 0)


def equal(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) and a[key].dtype == b[key].dtype for key in a)


@pytest.mark.parametrize("best_epoch", [1, 2])
def test_what_was_saved_comes_back(tmp_path, trained, best_epoch):
    kept = replace(trained, best_epoch=best_epoch)
    if best_epoch == len(kept.history):
        kept = replace(kept, best_state=kept.last_state)
    store = WeightStore(tmp_path / "weights")
    store.save("abc", kept)
    again = store.load("abc")
    assert equal(again.best_state, kept.best_state)
    assert equal(again.last_state, kept.last_state)
    assert replace(again, best_state={}, last_state={}) == replace(kept, best_state={}, last_state={})
    assert [path.name for path in store.folder.iterdir()] == ["abc.safetensors"]


def test_what_is_not_there_or_damaged_is_none(tmp_path, trained):
    store = WeightStore(tmp_path)
    assert store.load("abc") is None
    store.save("abc", trained)
    path = store.path("abc")
    path.write_bytes(path.read_bytes()[:200])
    assert store.load("abc") is None
    path.write_bytes(b"")
    assert store.load("abc") is None


def test_a_failed_write_leaves_nothing(tmp_path, trained, monkeypatch):
    def full(*args):
        raise OSError("disk full")

    monkeypatch.setattr("spikemark.training.weights.save_file", full)
    with pytest.raises(OSError, match="disk full"):
        WeightStore(tmp_path).save("abc", trained)
    assert list(tmp_path.iterdir()) == []
