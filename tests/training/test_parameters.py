"""What is told of thresholds and decays before and after a training."""

import pytest
import torch
from torch import nn

from spikemark import NEURONS, get_adapter
from spikemark.methods.ltmd.graded import GradedNeurons
from spikemark.networks.build import build_network
from spikemark.training.parameters import QUANTILES, changes, observed

REFERENCE = get_adapter("reference")


def test_by_hand():
    layer = REFERENCE.neuron(NEURONS["stl"], (5,))
    model = nn.Sequential(nn.Linear(2, 5), layer)
    with torch.no_grad():
        layer.raw_threshold.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]))
    before = observed(model)
    with torch.no_grad():
        layer.raw_threshold.copy_(torch.tensor([1.05, 2.3, -1.0, 0.0, 5.0]))
    (change,) = changes(before, observed(model))
    assert (change.layer, change.parameter, change.count) == ("1", "threshold", 5)
    places = [round(4 * q) for q in QUANTILES]
    assert change.first == tuple([1.0, 2.0, 3.0, 4.0, 5.0][place] for place in places)
    assert change.last == pytest.approx([[-1.0, 0.0, 1.05, 2.3, 5.0][place] for place in places])
    assert change.share_moved == 3 / 5
    assert change.share_not_positive == 2 / 5


@pytest.mark.parametrize(
    ("neuron", "names"),
    [("lif", []), ("plif", ["decay"]), ("stl", ["threshold"]), ("diet", ["threshold", "decay"])],
)
def test_only_what_is_learned_is_told(neuron, names):
    model = build_network("mlp", REFERENCE, NEURONS[neuron], (1, 4, 4), 3, 0)
    assert [name for layer, name in observed(model) if layer == "hidden1.neurons"] == names


def test_values_are_effective_ones():
    model = build_network("mlp", REFERENCE, NEURONS["plif"], (1, 4, 4), 3, 0)
    assert observed(model)["hidden1.neurons", "decay"].item() == pytest.approx(0.5)
    graded = GradedNeurons()
    assert observed(graded)["", "threshold"].item() == pytest.approx(graded.threshold.item())


def test_thresholds_that_move_without_a_gradient_are_told():
    model = build_network("srm-mnist-small", REFERENCE, NEURONS["srm"], (1, 28, 28), 10, 0, normalization="none")
    assert [name for _, name in observed(model)] == ["threshold"] * 3


def test_copies_do_not_follow_the_model():
    model = build_network("mlp", REFERENCE, NEURONS["stl"], (1, 4, 4), 3, 0)
    before = observed(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert all(bool((values > 1).all()) for values in before.values())
