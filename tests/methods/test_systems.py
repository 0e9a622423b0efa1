"""Rows of `SYSTEMS`: what records' keys depend on, that every row can be built, and what the listing says."""

import pytest
import torch
from spikemark.listing import LISTINGS
from torch import nn

from spikemark import NEURONS, SYSTEMS, count_operations, get_adapter
from spikemark.core.adapter import Unsupported
from spikemark.core.neurons import OWN_NEURONS
from spikemark.errors import InputError
from spikemark.networks.build import NETWORKS, build_network
from spikemark.networks.normalization import NORMALIZATIONS
from spikemark.training.build import build_system
from spikemark.training.losses import LOSSES
from spikemark.training.rule import RULES, Optimizer
from spikemark.training.system import System


def test_what_the_keys_of_committed_records_hold_has_not_changed():
    assert SYSTEMS["mlp-lif"].to_dict() == {
        "neuron": "lif",
        "network": "mlp",
        "normalization": "joint-bn",
        "loss": "mse-rate",
        "trains": "all",
        "optimizer": {
            "name": "adam",
            "learning_rate": 1e-3,
            "weight_decay": 0.0,
            "schedule": "cosine",
            "gamma": 0.93,
        },
        "options": {},
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


def test_what_came_later_enters_the_key_where_it_is_used():
    optimizer = Optimizer(threshold_learning_rate_factor=10.0, threshold_weight_decay=0.0)
    row = System("lif", "mlp", "", optimizer=optimizer, rule_options={"readings": "sum"})
    data = row.to_dict()
    assert data["optimizer"]["threshold_learning_rate_factor"] == 10.0
    assert data["optimizer"]["threshold_weight_decay"] == 0.0
    assert (data["rule"], data["rule_options"]) == ("bptt", {"readings": "sum"})


def test_first_values_of_neurons_can_be_given():
    row = System("lif-tebn", "mlp", "", decay=0.9, threshold=0.5)
    assert (row.spec.decay.init, row.spec.threshold.init) == (0.9, 0.5)
    assert row.spec.surrogate == NEURONS["lif-tebn"].surrogate
    data = row.to_dict()
    assert data["neuron_spec"]["decay"]["init"] == 0.9
    assert not {"decay", "threshold"} & data.keys()


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_row_names_what_there_is(name):
    row = SYSTEMS[name]
    assert row.neuron in NEURONS or row.neuron in OWN_NEURONS
    assert row.network in NETWORKS
    assert row.normalization in NORMALIZATIONS
    assert row.loss in LOSSES
    assert row.rule in RULES
    assert row.source


@pytest.mark.parametrize("name", ["time-count+", "sleep-stdp-0.1"])
def test_neurons_of_a_networks_own_are_named_and_run_nowhere_else(name):
    row = SYSTEMS[name]
    assert row.spec is None
    assert row.to_dict()["neuron_spec"] is None
    assert build_system(row, get_adapter("reference"), (1, 28, 28), 10, 0)
    with pytest.raises(Unsupported, match=r"no framework computes the neurons of.*norse was asked"):
        build_system(row, get_adapter("norse"), (1, 28, 28), 10, 0)


def test_a_network_of_an_adapters_neurons_needs_a_spec():
    with pytest.raises(InputError, match="spec: network mlp needs one"):
        build_network("mlp", get_adapter("reference"), None, (4,), 2, 0)


def test_no_two_rows_are_the_same_system():
    seen = {}
    for name, row in SYSTEMS.items():
        assert seen.setdefault(str(row.to_dict()), name) == name


def test_the_listing_counts_every_system_for_its_own_inputs():
    _, header, rows = LISTINGS["systems"]()
    table = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    assert list(table) == list(SYSTEMS)
    full = table["stl-mnist"]
    assert (full["weights"], full["neuron parameters"], full["inputs"]) == (13_463_168, 127_588, "1 x 28 x 28")
    dense = table["ltmd-cifar10"]
    assert (dense["weights"], dense["neuron parameters"], dense["inputs"]) == (6_820_180, 102, "3 x 32 x 32")
    assert all(row["source"] for row in table.values())


def test_the_listing_counts_what_is_built():
    row = SYSTEMS["mlp-stl"]
    _, _, rows = LISTINGS["systems"]()
    listed = next(line for line in rows if line[0] == "mlp-stl")
    model = build_network(row.network, get_adapter("reference"), row.spec, (1, 28, 28), 10, 0)
    assert listed[5] + listed[6] == sum(p.numel() for p in model.parameters())


def test_the_vote_and_the_wide_network_are_of_one_size():
    _, _, rows = LISTINGS["systems"]()
    weights = {row[0]: row[5] for row in rows}
    for network in ("mlp", "convnet"):
        vote, wide = weights[f"{network}-stl-joint-vote"], weights[f"{network}-stl-wide"]
        assert wide == pytest.approx(vote, rel=0.05)


@pytest.mark.parametrize("name", ["mlp-ltmd", "mlp-stl-joint-readout", "mlp-stl-joint-vote", "mlp-tebn", "mlp-bntt"])
def test_operations_of_every_kind_of_network_can_be_counted(name):
    row = SYSTEMS[name]
    model = build_network(
        row.network,
        get_adapter("reference"),
        row.spec,
        (1, 6, 6),
        4,
        0,
        normalization=row.normalization,
        options=row.options,
        steps=3,
    )
    layers = {layer.name for layer in count_operations(model, torch.rand(3, 2, 1, 6, 6)).layers}
    weighted = {n for n, m in model.named_modules() if isinstance(m, (nn.Linear, nn.Conv1d))}
    assert layers == weighted
