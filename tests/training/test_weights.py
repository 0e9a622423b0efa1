"""Trained weights on disk: what is loaded is what was trained, or nothing."""

from dataclasses import fields, replace

import pytest
import torch

from spikemark.training.loop import Epoch, Trained
from spikemark.training.parameters import ParameterChange
from spikemark.training.weights import WeightStore


def trained(best_epoch, seed=0):
    """A training of two epochs; states with several types, a scalar, an empty tensor and two that share memory."""
    draws = torch.Generator().manual_seed(seed)
    shared = torch.rand(3, 4, generator=draws)
    last = {
        "fc.weight": shared,
        "fc.tied": shared,
        "fc.part": shared.t()[1:],  # not contiguous
        "bn.num_batches_tracked": torch.tensor(7),
        "readout.centre": torch.rand(5, generator=draws).double(),
        "mask": torch.tensor([True, False]),
        "none": torch.zeros(0, 2),
    }
    best = last if best_epoch == 2 else {name: value.clone() for name, value in last.items()} | {"mask": ~last["mask"]}
    return Trained(
        best_state=best,
        best_epoch=best_epoch,
        last_state=last,
        history=(Epoch(1, 0.5, 0.25, 1.5), Epoch(2, 1 / 3, 0.5, 1.25)),
        fingerprints={"initial_weights": "abc", "batch_order": "def"},
        saved_bytes=4096,
        diagnostics={"silent_neurons": 0.125},
        parameters=(ParameterChange("fc", "threshold", 2, (1.0,) * 7, (0.1,) * 7, 0.5, 0.0, 0.25),),
    )


def same_state(ours, theirs):
    return ours.keys() == theirs.keys() and all(
        torch.equal(ours[name], theirs[name]) and ours[name].dtype == theirs[name].dtype for name in ours
    )


@pytest.mark.parametrize("best_epoch", [1, 2])
def test_what_is_loaded_is_what_was_kept(tmp_path, best_epoch):
    store, kept = WeightStore(tmp_path / "weights"), trained(best_epoch)
    assert store.load("key") is None
    store.save("key", kept)
    found = store.load("key")
    for field in fields(Trained):
        if field.name.endswith("_state"):
            assert same_state(getattr(found, field.name), getattr(kept, field.name))
        else:
            assert getattr(found, field.name) == getattr(kept, field.name), field.name
    assert same_state(found.best_state, found.last_state) is (best_epoch == 2)


def test_keys_are_apart_and_the_later_training_of_a_key_stays(tmp_path):
    store = WeightStore(tmp_path)
    first, second, third = trained(2), trained(2, seed=1), trained(1, seed=2)
    store.save("a", first)
    store.save("b", second)
    assert same_state(store.load("a").last_state, first.last_state)
    assert same_state(store.load("b").last_state, second.last_state)
    store.save("a", third)
    assert same_state(store.load("a").best_state, third.best_state)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "header"])
def test_a_damaged_file_is_as_good_as_none(tmp_path, damage):
    store = WeightStore(tmp_path)
    store.save("key", trained(1))
    content = store.path("key").read_bytes()
    damaged = {
        "cut": content[: len(content) // 2],
        "empty": b"",
        "text": b"not a file of tensors",
        "header": content[:8] + b"#" + content[9:],
    }
    store.path("key").write_bytes(damaged[damage])
    assert store.load("key") is None
    store.save("key", trained(1))
    assert store.load("key") is not None


def test_a_file_of_another_writer_or_version_is_as_good_as_none(tmp_path, monkeypatch):
    from safetensors.torch import save_file

    store = WeightStore(tmp_path)
    save_file({"last/x": torch.zeros(1)}, store.path("foreign"))
    save_file({"last/x": torch.zeros(1)}, store.path("other"), {"trained": "{}"})
    assert store.load("foreign") is None
    assert store.load("other") is None
    with monkeypatch.context() as patch:
        patch.setattr("spikemark.training.weights._FORM", 0)
        store.save("old", trained(1))
        assert store.load("old") is not None
    assert store.load("old") is None


def test_a_failed_save_leaves_the_file_before_it_and_no_part(tmp_path, monkeypatch):
    store, kept = WeightStore(tmp_path), trained(1)
    store.save("key", kept)

    def full(tensors, name, metadata):
        with open(name, "wb") as file:  # noqa: PTH123
            file.write(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr("spikemark.training.weights.save_file", full)
    with pytest.raises(OSError, match="no space left"):
        store.save("key", replace(kept, best_epoch=2))
    assert [path.name for path in tmp_path.iterdir()] == ["key.safetensors"]
    assert store.load("key").best_epoch == 1
