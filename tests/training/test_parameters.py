"""What training did to thresholds and decays: by hand, and through the loop."""

import pytest
import torch
from torch import nn

from spikemark import NEURONS, SYSTEMS, get_adapter
from spikemark.core.neurons import FrameworkNeuron
from spikemark.data.loading import Dataset, Split
from spikemark.networks.build import build_network
from spikemark.training.build import build_system
from spikemark.training.loop import train
from spikemark.training.parameters import QUANTILES, changes, observed
from spikemark.training.rule import Protocol


def toy(shape=(4,), classes=2, n=32):
    draws = torch.Generator().manual_seed(0)
    split = Split(torch.rand(n, *shape, generator=draws), torch.arange(n) % classes)
    return Dataset("toy", shape, classes, split, split, split)


def test_changes_by_hand():
    first = {("hidden", "threshold"): torch.tensor([1.0, 2.0, -4.0, 0.0, 10.0]).double()}
    # 11 % of 1 is a move, 5 % of 2 is none, 25 % of 4 is one, anything from 0 is one, 10 % of 10 is none.
    last = {("hidden", "threshold"): torch.tensor([1.11, 1.9, -5.0, 0.001, 9.0]).double()}
    late = {("hidden", "threshold"): torch.tensor([1.11, 1.9, -4.5, 0.001, 9.0]).double()}
    (change,) = changes(first, late, last)
    assert change.late == pytest.approx(0.5 / (0.11 + 0.1 + 1 + 0.001 + 1))
    assert (change.layer, change.parameter, change.count) == ("hidden", "threshold", 5)
    assert change.share_moved == 3 / 5
    assert change.share_not_positive == 1 / 5
    assert change.first == (-4.0, -4.0, 0.0, 1.0, 2.0, 10.0, 10.0)
    assert change.last == (-5.0, -5.0, 0.001, 1.11, 1.9, 9.0, 9.0)
    assert len(QUANTILES) == len(change.first)


def test_quantiles_of_many_values():
    values = {("layer", "decay"): torch.linspace(0, 1, 1001).double().flip(0)}
    (change,) = changes(values, values, values)
    assert change.late == 0
    assert change.last == pytest.approx(QUANTILES)
    assert change.share_moved == 0
    assert change.share_not_positive == 1 / 1001


def build(neuron):
    return build_network("mlp", get_adapter("reference"), NEURONS[neuron], (4,), 2, 0, options={"hidden": (6,)})


def test_learned_parameters_are_seen_by_their_effective_values_and_fixed_ones_are_not():
    assert observed(build("lif")) == {}
    assert {key: len(values) for key, values in observed(build("stl")).items()} == {
        ("hidden1.neurons", "threshold"): 6,
        ("output.neurons", "threshold"): 20,
    }
    decays = observed(build("plif"))
    assert decays.keys() == {("hidden1.neurons", "decay"), ("output.neurons", "decay")}
    assert all(values.tolist() == [pytest.approx(0.5)] for values in decays.values())  # not the raw 0 behind a sigmoid


def test_what_is_seen_are_copies():
    model = build("stl")
    before = observed(model)
    with torch.no_grad():
        model.output.neurons.raw_threshold.mul_(2)
    hidden, output = changes(before, before, observed(model))
    assert (hidden.late, output.late) == (0.0, 1.0)
    assert (hidden.share_moved, output.share_moved) == (0.0, 1.0)


def test_a_frameworks_own_neuron_shows_what_it_announces():
    class Own(nn.Module):
        def __init__(self):
            super().__init__()
            self.beta = nn.Parameter(torch.tensor(0.9))
            self.other = nn.Parameter(torch.tensor(1.0))

        def forward(self, currents):
            return (currents > 0).float() * self.beta * self.other

    neuron = FrameworkNeuron("torch", lambda shape, generator=None: Own(), learned=("beta",))
    model = build_network("mlp", get_adapter("reference"), neuron, (4,), 2, 0, options={"hidden": (6,)})
    assert {parameter for _, parameter in observed(model)} == {"beta"}


def test_the_loop_reports_thresholds_that_move():
    row = SYSTEMS["mlp-stl-threshold-lr-x10"]
    model = build_system(row, get_adapter("reference"), (4,), 2, 0)
    found = train(model, row.rule, toy(), Protocol(15, 8, "direct", 4), 0).parameters
    assert [change.layer for change in found] == ["hidden1.neurons", "output.neurons"]
    for change in found:
        assert change.first == pytest.approx([2.0] * 7, abs=1e-3)
        assert change.last[0] < change.last[-1]
        assert change.last[-1] != change.first[-1]
        assert 0 < change.late < 0.5  # the last 3 of 15 epochs, in which a cosine leaves little of the learning rate
    for change, layer in zip(found, model.spiking_layers(), strict=True):
        values = layer.threshold.detach().double()
        assert change.last[0] == pytest.approx(values.min().item(), rel=1e-5)
        assert change.share_moved == pytest.approx(((values - 2).abs() > 0.2).double().mean().item(), abs=0.05)


def test_thresholds_that_take_the_weights_scale_are_seen_though_none_is_learnable():
    row = SYSTEMS["time-count+"]
    model = build_system(row, get_adapter("reference"), (1, 16, 16), 2, 0)
    assert all(layer.learnables() == {} for layer in model.spiking_layers())
    found = train(model, row.rule, toy((1, 16, 16)), Protocol(2, 8, "direct", 4), 0).parameters
    assert [(change.layer, change.parameter, change.count) for change in found] == [
        ("stage1.neurons", "threshold", 8),
        ("stage2.neurons", "threshold", 16),
        ("output.neurons", "threshold", 2),
    ]
    assert any(change.first != change.last for change in found)
