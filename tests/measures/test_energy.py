from __future__ import annotations

import json

import pytest
import torch
from torch import nn

from spikemark.core.counts import LayerCount, OperationCount, SpikingCount
from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.measures.counting.operations import count_operations
from spikemark.measures.energy import PROFILES, energy, energy_rows

NETWORK = OperationCount(
    layers=(
        LayerCount("input", "analog", macs=10, acs=0, dense=40),
        LayerCount("hidden", "binary", macs=0, acs=100, dense=1000),
        LayerCount("output", "scaled", macs=0, acs=7, dense=70),
    ),
    spiking=(SpikingCount("lif1", 60, 0.5), SpikingCount("lif2", 20, 0.1)),
)


def test_totals() -> None:
    assert (NETWORK.macs, NETWORK.acs, NETWORK.dense, NETWORK.neuron_updates) == (10, 107, 1110, 80)
    assert NETWORK.firing_rate == pytest.approx((60 * 0.5 + 20 * 0.1) / 80)
    assert (NETWORK.weight_reads, NETWORK.state_accesses) == (117, 160)


def test_energy_is_counts_times_prices() -> None:
    assert energy(NETWORK, PROFILES["45nm-fp32"]) == pytest.approx(4.6 * 10 + 0.9 * 107)
    assert energy(NETWORK, PROFILES["45nm-int8"]) == pytest.approx(0.23 * 10 + 0.03 * 107)
    expected = (4.6 + 5) * 10 + (0.9 + 5) * 107 + (4.6 + 2 * 5) * 80
    assert energy(NETWORK, PROFILES["45nm-fp32-sram"]) == pytest.approx(expected)


def test_every_profile_has_a_source_and_says_what_it_assumes() -> None:
    assert all(profile.source and profile.assumptions for profile in PROFILES.values())


def test_rankings_flip_with_the_profile() -> None:
    def network(macs: float, acs: float, updates: float) -> OperationCount:
        return OperationCount((LayerCount("x", "analog", macs, acs, 0),), (SpikingCount("n", updates, 0.1),))

    ours = {name: PROFILES[name] for name in ("45nm-fp32", "45nm-int8", "45nm-fp32-sram")}
    multiplying, spiking, busy = network(1000, 0, 0), network(0, 3000, 500), network(0, 6000, 0)
    cheaper = {name: energy(spiking, p) < energy(multiplying, p) for name, p in ours.items()}
    assert cheaper == {"45nm-fp32": True, "45nm-int8": True, "45nm-fp32-sram": False}
    cheaper = {name: energy(busy, p) < energy(multiplying, p) for name, p in ours.items()}
    assert cheaper == {"45nm-fp32": False, "45nm-int8": True, "45nm-fp32-sram": False}


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.fc2 = nn.Linear(6, 8), nn.Linear(8, 2)
        self.lif = get_adapter("reference").neuron(NEURONS["lif"], (8,))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.lif(8 * self.fc1(x)))


def test_the_rows_of_a_record() -> None:
    model, x = Network(), torch.rand(5, 3, 6)
    count = count_operations(model, x)
    profiles = {name: PROFILES[name] for name in ("45nm-fp32", "45nm-int8", "45nm-fp32-sram")}
    rows = energy_rows(count, profiles)
    told = ("metric", "layer", "input_kind", "profile", "unit")
    values = {tuple(row.get(name) for name in told): row["value"] for row in rows}
    assert len(values) == len(rows)
    fc1, fc2 = count.layers
    assert (fc1.kind, fc2.kind) == ("analog", "binary")
    assert fc1.macs > 0
    assert fc2.acs > 0
    assert values == {
        ("macs", None, None, None, "1/sample"): fc1.macs,
        ("acs", None, None, None, "1/sample"): fc2.acs,
        ("dense", None, None, None, "1/sample"): 5 * (48 + 16),
        ("neuron_updates", None, None, None, "1/sample"): 40,
        ("macs", "fc1", "analog", None, "1/sample"): fc1.macs,
        ("acs", "fc1", "analog", None, "1/sample"): 0,
        ("macs", "fc2", "binary", None, "1/sample"): 0,
        ("acs", "fc2", "binary", None, "1/sample"): fc2.acs,
        **{("energy", None, None, name, "pJ/sample"): energy(count, profile) for name, profile in profiles.items()},
        ("firing_rate", None, None, None, "spikes/step"): count.firing_rate,
        ("firing_rate", "lif", None, None, "spikes/step"): count.firing_rate,
    }
    json.dumps(rows, allow_nan=False)


def test_rows_of_a_network_without_spikes_hold_no_rate() -> None:
    rows = energy_rows(count_operations(nn.Linear(3, 2), torch.rand(1, 1, 3)), PROFILES)
    assert "firing_rate" not in {row["metric"] for row in rows}
    assert {(row["layer"], row["input_kind"]) for row in rows if "layer" in row} == {("Linear", "analog")}
