import torch

from spikemark.core.streams import fingerprint
from spikemark.data.card import Sizes
from spikemark.data.generated import yin_yang_class
from spikemark.data.loading import load_dataset


def test_yin_yang_parts_by_hand():
    points = torch.tensor(
        [[0.75, 0.5], [0.25, 0.5], [0.5, 0.9], [0.5, 0.1], [0.25, 0.65], [0.75, 0.65], [0.02, 0.02]],
        dtype=torch.float64,
    )
    # Both dots; the upper half is yin and the lower yang, but each intrudes into the other around its dot.
    assert yin_yang_class(points).tolist() == [2, 2, 0, 1, 0, 1, -1]


def test_yin_yang_samples():
    data = load_dataset("yin-yang")
    assert data.train.inputs.shape == (5000, 4)
    x = data.train.inputs
    torch.testing.assert_close(x[:, 2:], 1 - x[:, :2])
    assert torch.equal(yin_yang_class(x[:, :2].double()), data.train.labels)
    assert torch.bincount(data.train.labels).min() > 1500
    assert fingerprint(x) == fingerprint(load_dataset("yin-yang").train.inputs)


def test_randman_neurons_fire_once_at_times_that_tell_the_class():
    data = load_dataset("randman", sizes=Sizes(2000, 100, 300))
    assert data.train.inputs.shape == (2000, 100, 20)
    assert data.steps == 100
    assert torch.equal(data.train.inputs.sum(1), torch.ones(2000, 20))
    # On a smooth one-dimensional manifold the nearest training sample is of the same class.
    train, test = (split.inputs.argmax(1).float() for split in (data.train, data.test))
    guesses = data.train.labels[torch.cdist(test, train).argmin(1)]
    assert (guesses == data.test.labels).float().mean() > 0.95
