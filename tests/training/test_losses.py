"""Losses by hand, and the step sizes of the parameter groups."""

import math

import pytest
import torch

from spikemark import SYSTEMS, get_adapter
from spikemark.methods.ltmd.rule import disagreement
from spikemark.networks.build import build_network
from spikemark.training.losses import LOSSES
from spikemark.training.optimisers import make_optimizer, parameter_groups, select_trained
from spikemark.training.rule import Optimizer


@pytest.mark.parametrize("name", LOSSES)
def test_the_loss_of_several_readings_is_their_mean(name):
    random = torch.Generator().manual_seed(0)
    readings, labels = torch.rand(3, 5, 4, generator=random), torch.tensor([0, 3, 1, 2, 2])
    apart = [LOSSES[name](scores, labels) for scores in readings]
    torch.testing.assert_close(LOSSES[name](readings.flatten(0, 1), labels), torch.stack(apart).mean())


def test_readings_are_whole():
    with pytest.raises(ValueError, match="7 rows of scores are no whole number of readings of 3 samples"):
        LOSSES["mse-rate"](torch.rand(7, 2), torch.tensor([0, 1, 1]))


def test_disagreement_by_hand():
    first, second = torch.tensor([[0.0, 0.0]]), torch.tensor([[math.log(3.0), 0.0]])  # (1/2, 1/2) and (3/4, 1/4)
    p1, p2 = (0.5, 0.5), (0.75, 0.25)
    forward = sum(b * math.log(b / a) for a, b in zip(p1, p2, strict=True)) / 2
    backward = sum(a * math.log(a / b) for a, b in zip(p1, p2, strict=True)) / 2
    assert disagreement(torch.stack((first, second))).item() == pytest.approx(0.5 * (forward + backward))
    assert disagreement(torch.stack((second, second))).item() == 0


def groups(system):
    row = SYSTEMS[system]
    model = build_network(row.network, get_adapter("reference"), row.spec, (4,), 2, 0)
    optimizer, trained = row.rule.optimizer, select_trained(model, row.rule.trains)
    made, _ = make_optimizer(optimizer, parameter_groups(model, optimizer, trained), 1)
    names = {id(p): name for name, p in model.named_parameters()}
    return [({names[id(p)] for p in g["params"]}, g["lr"], g["weight_decay"]) for g in made.param_groups]


THRESHOLDS = {"hidden1.neurons.raw_threshold", "output.neurons.raw_threshold"}


@pytest.mark.parametrize(
    ("system", "rate", "decay"),
    [
        ("mlp-stl-threshold-lr-x0.1", 1e-4, 0.0),
        ("mlp-lt-threshold-lr-x10", 1e-2, 0.0),
        ("mlp-stl-wd-weights", 1e-3, 0.0),
    ],
)
def test_thresholds_move_apart_where_a_control_says_so(system, rate, decay):
    weights, thresholds = groups(system)
    assert thresholds == (THRESHOLDS, pytest.approx(rate), decay)
    assert not weights[0] & THRESHOLDS
    assert weights[1:] == (1e-3, SYSTEMS[system].rule.optimizer.weight_decay)


@pytest.mark.parametrize(("system", "decay"), [("mlp-stl", 0.0), ("mlp-stl-wd", 1e-4)])
def test_otherwise_all_parameters_move_alike(system, decay):
    ((names, rate, weight_decay),) = groups(system)
    assert names > THRESHOLDS
    assert (rate, weight_decay) == (1e-3, decay)


def test_decays_are_no_thresholds():
    row = SYSTEMS["mlp-plif"]
    model = build_network(row.network, get_adapter("reference"), row.spec, (4,), 2, 0)
    trained = select_trained(model, "all")
    ((only),) = parameter_groups(model, Optimizer(threshold_learning_rate_factor=10.0), trained)
    assert len(only["params"]) == len(trained)
