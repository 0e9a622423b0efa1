"""Rows of `SYSTEMS`: what records' keys depend on, that every row can be built, and how large it is."""

import json
from functools import cache

import pytest
import torch
from torch import nn

from spikemark import NEURONS, SYSTEMS, count_operations, get_adapter
from spikemark.core.adapter import neurons_of
from spikemark.errors import InputError
from spikemark.networks.build import NETWORKS, build_network
from spikemark.networks.normalization import NORMALIZATIONS
from spikemark.training.bptt import Bptt
from spikemark.training.build import build_system
from spikemark.training.rule import RULES, Optimizer
from spikemark.training.system import System


def test_what_the_keys_of_records_hold_is_all_that_runs_and_no_more():
    assert SYSTEMS["mlp-lif"].to_dict() == {
        "neuron": "lif",
        "network": "mlp",
        "normalization": "joint-bn",
        "rule": {"name": "bptt"},
        "neuron_spec": {
            "decay": {"init": 0.5, "scope": "fixed", "transform": "identity", "jitter": 0.0},
            "threshold": {"init": 1.0, "scope": "fixed", "transform": "identity", "jitter": 0.0},
            "decay_input": True,
            "reset": "zero",
            "detach_reset": True,
            "fires_at_threshold": True,
            "surrogate": {"name": "atan", "alpha": 2.0, "scale": 1.0, "relative": False},
        },
    }


def test_options_of_a_rule_enter_the_key_where_they_are_not_the_defaults():
    optimizer = Optimizer(threshold_learning_rate_factor=10.0, threshold_weight_decay=0.0)
    row = System("lif", "mlp", Bptt(optimizer=optimizer, readings="sum", loss="mse-rate"))
    assert row.to_dict()["rule"] == {
        "name": "bptt",
        "readings": "sum",
        "optimizer": {"threshold_learning_rate_factor": 10.0, "threshold_weight_decay": 0.0},
    }


def test_first_values_of_neurons_can_be_given():
    row = System("lif-tebn", "mlp", decay=0.9, threshold=0.5)
    assert (row.spec.decay.init, row.spec.threshold.init) == (0.9, 0.5)
    assert row.spec.surrogate == NEURONS["lif-tebn"].surrogate
    data = row.to_dict()
    assert data["neuron_spec"]["decay"]["init"] == data["decay"] == 0.9
    with pytest.raises(InputError, match="neuron 'srm' is no spec"):
        _ = System("srm", "srm-mnist", decay=0.9).resolved_neuron


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_row_names_what_there_is_and_survives_its_record(name):
    row = SYSTEMS[name]
    assert row.neuron in NEURONS
    assert row.network in NETWORKS
    assert row.normalization in NORMALIZATIONS
    assert RULES[row.rule.name] is type(row.rule)
    assert row.source
    text = json.dumps(row.to_dict())
    assert json.dumps(System.from_dict(json.loads(text)).to_dict()) == text


@pytest.mark.parametrize("name", ["time-count+", "sleep-stdp-0.1"])
def test_neurons_of_a_networks_own_have_no_spec_and_fit_no_other_network(name):
    row = SYSTEMS[name]
    assert row.spec is None
    assert "neuron_spec" not in row.to_dict()
    assert build_system(row, get_adapter("reference"), (1, 28, 28), 10, 0)
    with pytest.raises(InputError, match=rf"network mlp: .*{row.neuron}"):
        build_network("mlp", get_adapter("reference"), row.resolved_neuron, (4,), 2, 0)


@pytest.mark.parametrize("name", ["time-count+", "sleep-stdp-0.1"])
def test_a_neuron_or_a_norm_that_would_play_no_part_is_refused(name):
    row = SYSTEMS[name]
    with pytest.raises(InputError, match=rf"network {row.network}: it computes neurons of its own, so 'lif'"):
        build_network(row.network, get_adapter("reference"), NEURONS["lif"], (1, 28, 28), 10, 0, normalization="none")
    with pytest.raises(InputError, match=rf"network {row.network}: it normalises nothing"):
        build_network(row.network, get_adapter("reference"), row.resolved_neuron, (1, 28, 28), 10, 0)


def test_no_two_rows_are_the_same_system():
    seen = {}
    for name, row in SYSTEMS.items():
        assert seen.setdefault(str(row.to_dict()), name) == name


@cache
def sizes(name):
    """Weights and parameters of neurons of a row, for its own inputs; its network on the meta device."""
    row = SYSTEMS[name]
    shape = row.made_for or (1, 28, 28)
    model = build_system(row, get_adapter("reference"), shape, row.classes, 0, steps=4, meta=True)
    assert all(p.is_meta for p in model.parameters())
    neurons = sum(p.numel() for layer in neurons_of(model) for p in layer.learnables().values())
    return sum(p.numel() for p in model.parameters()) - neurons, neurons


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_row_can_be_built_for_its_own_inputs(name):
    weights, _ = sizes(name)
    assert weights > 0


def test_what_is_counted_is_what_is_built():
    model = build_system(SYSTEMS["mlp-stl"], get_adapter("reference"), (1, 28, 28), 10, 0)
    assert sum(sizes("mlp-stl")) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize("network", ["mlp", "convnet"])
def test_the_vote_and_the_wide_network_are_of_one_size(network):
    vote, wide = sizes(f"{network}-stl-joint-vote"), sizes(f"{network}-stl-wide")
    assert wide[0] == pytest.approx(vote[0], rel=0.05)


@pytest.mark.parametrize("name", ["mlp-ltmd", "mlp-stl-joint-readout", "mlp-stl-joint-vote", "mlp-tebn", "mlp-bntt"])
def test_operations_of_every_kind_of_network_can_be_counted(name):
    model = build_system(SYSTEMS[name], get_adapter("reference"), (1, 6, 6), 4, 0, steps=3)
    layers = {layer.name for layer in count_operations(model, torch.rand(3, 2, 1, 6, 6)).layers}
    weighted = {n for n, m in model.named_modules() if isinstance(m, (nn.Linear, nn.Conv1d))}
    assert layers == weighted
