"""Data sets of a user's own, from their registration to their splits."""

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from spikemark.data.arrays import dataset, from_arrays, from_tonic, from_torch
from spikemark.data.card import DATASETS, Sizes
from spikemark.data.loading import load_dataset
from spikemark.errors import DataError, InputError
from spikemark.registry import PluginError

pytestmark = pytest.mark.usefixtures("registries_as_before")


def samples(count, dtype=np.float32, shape=(1, 4, 4)):
    """Every sample is told from the others by its first value."""
    inputs = np.zeros((count, *shape), dtype=dtype)
    inputs.reshape(count, -1)[:, 0] = np.arange(count) if dtype == np.uint8 else np.arange(count) / count
    return inputs, np.arange(count) % 3


def registered(load, **fields):
    dataset("mine", **({"classes": 3, "shape": (1, 4, 4), "licence": "CC0"} | fields))(load)
    return load_dataset("mine")


def test_splits_of_a_users_arrays():
    data = registered(lambda: {"train": samples(40), "test": samples(20)})
    assert [len(s) for s in (data.train, data.validation, data.test)] == [36, 4, 20]
    assert data.shape == (1, 4, 4)
    found = torch.cat([data.train.inputs, data.validation.inputs])[:, 0, 0, 0].sort().values
    assert torch.equal(found, torch.from_numpy(samples(40)[0][:, 0, 0, 0]))
    again = load_dataset("mine", sizes=Sizes(10, 2, 5))
    assert torch.equal(again.train.inputs, data.train.inputs[:10])
    assert torch.equal(again.test.labels, data.test.labels[:5])
    with pytest.raises(InputError, match=r"sizes\.test: 21 asked for, but mine has 20 test samples"):
        load_dataset("mine", sizes=Sizes(test=21))


def test_labels_stay_with_their_samples_and_validation_may_be_given():
    data = registered(lambda: from_arrays(samples(30), samples(20), validation=samples(10)))
    assert [len(s) for s in (data.train, data.validation, data.test)] == [30, 10, 20]
    for split in (data.train, data.validation, data.test):
        numbers = (split.inputs[:, 0, 0, 0] * len(split)).round().long()
        assert torch.equal(numbers % 3, split.labels)


def test_bytes_are_scaled_and_tensors_and_wide_floats_taken():
    inputs, labels = samples(40, np.uint8)
    data = registered(
        lambda: {
            "train": (torch.from_numpy(inputs), torch.from_numpy(labels)),
            "test": (inputs.astype(np.float64) / 255, labels.astype(np.int32)),
        }
    )
    assert data.train.inputs.dtype == data.test.inputs.dtype == torch.float32
    assert data.test.inputs.max() == np.float32(39 / 255)
    whole = torch.cat([data.train.inputs, data.validation.inputs])
    assert torch.equal(whole.flatten(1)[:, 0].sort().values, data.test.inputs.flatten(1)[:, 0].sort().values)


def test_from_a_torch_dataset():
    inputs, labels = (torch.from_numpy(part) for part in samples(30))
    data = registered(lambda: from_torch(TensorDataset(inputs, labels), TensorDataset(inputs[:9], labels[:9])))
    assert len(data.test) == 9
    assert torch.equal(data.test.inputs[:, 0, 0, 0].sort().values, inputs[:9, 0, 0, 0])


def test_from_recordings_with_a_transform_of_events():
    events = np.zeros(3, dtype=[("x", "i2"), ("t", "i4")])
    events["x"], events["t"] = [0, 1, 1], [0, 1, 1]

    def to_frames(recording):
        frames = np.zeros((2, 2), dtype=np.int16)
        np.add.at(frames, (recording["t"], recording["x"]), 1)
        return frames

    data = registered(
        lambda: from_tonic([(events, 1)] * 12, [(events, 2)] * 3, to_frames),
        kind="series", shape=(2,), steps=2, encoder="frames",
    )  # fmt: skip
    assert data.steps == 2
    assert data.test.inputs.tolist() == [[[1.0, 0.0], [0.0, 1.0]]] * 3
    assert data.test.labels.tolist() == [2, 2, 2]


def broken():
    raise FileNotFoundError("no such file: x.npy")


@pytest.mark.parametrize(
    ("load", "message"),
    [
        (lambda: {"train": samples(9)}, "gave train; expected train, test"),
        (lambda: samples(9), "gave a tuple; expected train, test"),
        (lambda: {"train": samples(9), "test": samples(9), "tset": samples(9)}, "gave train, test, tset; expected"),
        (lambda: {"train": samples(9), "test": samples(9)[0]}, r"test: expected \(samples, labels\), found a ndarray"),
        (lambda: {"train": samples(9, shape=(4, 4)), "test": samples(9)}, r"train: samples have shape \(4, 4\)"),
        (lambda: {"train": samples(9), "test": (samples(9)[0], samples(8)[1])}, "test: 9 samples with 8 labels"),
        (lambda: {"train": samples(9), "test": (samples(9)[0][:0], samples(9)[1][:0])}, "0 samples with 0 labels"),
        (lambda: {"train": samples(9), "test": (samples(3)[0], np.array([0, 3, 1]))}, "sample 1: label 3, expected"),
        (lambda: {"train": samples(9), "test": (samples(3)[0], np.zeros(3))}, "labels are float64 of shape"),
        (lambda: {"train": samples(9), "test": (samples(9)[0] * 2, samples(9)[1])}, "range over 0 to 1.7"),
        (lambda: {"train": samples(9), "test": (samples(9)[0] * np.nan, samples(9)[1])}, "test: sample 0 holds NaN"),
        (lambda: {"train": samples(9, np.int64), "test": samples(9)}, r"train: samples are int64; expected floats in"),
        (lambda: {"train": ([[0.1], [0.1, 0.2]], [0, 1]), "test": samples(9)}, "train: no arrays of samples"),
        (lambda: {"train": samples(1), "test": samples(9)}, "train: 1 sample; validation is a tenth of them"),
        (broken, "its function raised FileNotFoundError: no such file: x.npy"),
    ],
)  # fmt: skip
def test_what_a_function_gives_is_checked_on_one_line(load, message):
    with pytest.raises(DataError, match=f"^data set 'mine'.*{message}") as caught:
        registered(load)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"classes": 0}, "classes: .* greater than or equal to 1"),
        ({"shape": ()}, "shape: "),
        ({"shape": 4}, "not iterable"),
        ({"shape": (0, 4)}, "shape.0: "),
        ({"kind": "picture"}, "kind: 'picture' is not one of"),
        ({"licence": None}, "licence: "),
    ],
)
def test_what_is_registered_is_checked(fields, message):
    with pytest.raises(InputError, match=f"^data set 'mine': .*{message}"):
        registered(dict, **fields)
    assert "mine" not in DATASETS


def test_a_name_is_taken_once():
    registered(lambda: {"train": samples(40), "test": samples(20)})
    with pytest.raises(PluginError, match="two dataset entries are called 'mine'"):
        dataset("mine", classes=3, shape=(1, 4, 4), licence="CC0")(dict)
