"""The throughput measure on a network, with a framework whose slowness is known."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from spikemark.core.adapter import Adapter, FrameworkLayer, SpikingLayer
from spikemark.core.frameworks import get_adapter
from spikemark.core.measurement import Measurement
from spikemark.core.oracle import ReferenceAdapter, ReferenceLayer
from spikemark.measures.speed.footprint import Footprint
from spikemark.measures.speed.networks import Budget, NetworkWork, _contenders, throughput
from spikemark.training.rule import Protocol
from spikemark.training.system import SYSTEMS, System

SYSTEM: System = replace(SYSTEMS["mlp-stl"], options={"hidden": (8,), "population": 2})
PROTOCOL = Protocol(epochs=1, batch_size=6, encoder="direct", steps=3)
NAMES = ("samples_per_second", "training_samples_per_second", "latency")


class Clock:
    """Time that passes only in spiking layers."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class CostlyAdapter(ReferenceAdapter):
    """The reference, at a price for each call of a layer; its own LIF is cheaper."""

    def __init__(self, name: str, clock: Clock, cost: float, native_cost: float) -> None:
        self.name = name
        self._clock, self._cost, self._native_cost = clock, cost, native_cost

    def neuron(self, spec, shape, *, generator=None) -> SpikingLayer:
        return self._costly(ReferenceLayer(spec, shape, generator=generator), self._cost)

    def native(self, shape: tuple[int, ...]) -> nn.Module:
        return self._costly(super().native(shape), self._native_cost)

    def _costly(self, layer, cost: float):
        def spend(*_: object) -> None:
            self._clock.now += cost

        layer.register_forward_pre_hook(spend)
        return layer


@pytest.fixture(autouse=True)
def _small_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikemark.measures.speed.networks.COPY_BYTES", 1 << 12)


@pytest.fixture
def no_footprint(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Footprint(first_call=0.5, peak_memory=4096)
    monkeypatch.setattr("spikemark.measures.speed.networks.footprint", lambda work: seen)


def _measure(adapter: Adapter, reference: Adapter, **options) -> dict[str, Measurement]:
    rows = throughput(adapter, reference, SYSTEM, (1, 4, 4), 3, PROTOCOL, **options)
    by_name = {(row.get("track"), row["metric"]): row for row in rows}
    assert len(by_name) == len(rows)
    return {
        metric if track in (None, "matched") else f"{track} {metric}": row for (track, metric), row in by_name.items()
    }


@pytest.mark.usefixtures("no_footprint")
def test_ratios_are_those_of_the_metric() -> None:
    clock = Clock()
    adapter = CostlyAdapter("slow", clock, 0.02, 0.005)
    rows = _measure(adapter, CostlyAdapter("reference", clock, 0.01, 0.01), clock=clock, budget=Budget(1.0))
    layers = 2
    assert rows["samples_per_second"]["value"] == pytest.approx(6 / (layers * 0.02), rel=1e-5)
    assert rows["training_samples_per_second"]["value"] == pytest.approx(6 / (layers * 0.02), rel=1e-5)
    assert rows["latency"]["value"] == pytest.approx(layers * 0.02, rel=1e-5)
    for prefix, speed in (("", 0.5), ("native ", 2.0)):
        for metric in ("samples_per_second_ratio", "training_samples_per_second_ratio"):
            assert rows[prefix + metric]["value"] == pytest.approx(speed, rel=1e-5)
        assert rows[f"{prefix}latency_ratio"]["value"] == pytest.approx(1 / speed, rel=1e-5)


@pytest.mark.usefixtures("no_footprint")
def test_rows_in_real_time() -> None:
    reference = get_adapter("reference")
    rows = _measure(reference, reference, budget=Budget(0.05))
    expected = {p + name + r for p in ("", "native ") for name in NAMES for r in ("", "_ratio")}
    expected |= {p + name for p in ("", "native ") for name in ("peak_memory", "first_call")}
    assert set(rows) == expected | {"copy_bandwidth", "threads"}
    for name, row in rows.items():
        assert row["value"] > 0, name
        if "values" in row:
            assert len(row["values"]) >= 8
            assert row["low"] <= row["value"] <= row["high"]
            assert row["value"] == pytest.approx(statistics.median(row["values"]), rel=1e-5)
    assert rows["latency"]["unit"] == "s"
    assert rows["peak_memory"] == {"metric": "peak_memory", "value": 4096.0, "unit": "bytes", "track": "matched"}


@pytest.mark.usefixtures("no_footprint")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("mlp-rate-m", {"hidden": (8,), "population": 2}),
        ("sleep-reversed-0.1", {"side": 6, "excitatory": 30, "inhibitory": 8}),
        ("s2-stdp-mnist", {"extractor": {"filters": 4, "epochs": 1}, "threshold": 2.0}),
    ],
)
def test_training_may_be_a_step_of_the_systems_own_rule(name: str, options: dict[str, object]) -> None:
    system, reference = replace(SYSTEMS[name], options=options), get_adapter("reference")
    protocol = Protocol(1, 4, "direct", 1 if name.startswith("s2") else 3)
    rows = throughput(reference, reference, system, (1, 9, 9), 3, protocol, step="rule", threads=1, budget=Budget(0.05))
    found = {row["metric"]: row["value"] for row in rows}
    assert {p + n for p in NAMES for n in ("", "_ratio")} <= found.keys()
    assert all(value > 0 for value in found.values())
    assert not any(row.get("track") == "native" for row in rows)


def test_a_rule_meets_new_samples_at_every_call() -> None:
    same, new = _work().unseen(6), _work(step="rule").unseen(6)
    assert torch.equal(same().clone(), same())
    first, second = new().clone(), new()
    assert not (first == second).flatten(2).all(2).any()
    assert torch.equal(second, second[:1].expand_as(second))


def test_a_step_of_the_rule_moves_the_weights_and_gradients_alone_do_not() -> None:
    for step, moves in (("gradients", False), ("rule", True)):
        work = _work(step=step)
        network = work.network()
        before = [p.clone() for p in network.parameters()]
        work.training(network, 6)()
        same = [torch.equal(p, old) for p, old in zip(network.parameters(), before, strict=True)]
        assert all(same) != moves


@pytest.mark.usefixtures("no_footprint")
def test_threads_are_pinned_while_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = set()
    native = ReferenceAdapter.native

    def spy(self: ReferenceAdapter, shape: tuple[int, ...]) -> nn.Module:
        seen.add(torch.get_num_threads())
        return native(self, shape)

    monkeypatch.setattr(ReferenceAdapter, "native", spy)
    clock = Clock()
    adapter = CostlyAdapter("reference", clock, 0.1, 0.1)
    torch.set_num_threads(2)
    rows = _measure(adapter, adapter, clock=clock, budget=Budget(0.1), threads=1)
    assert seen == {rows["threads"]["value"]} == {1}
    assert torch.get_num_threads() == 2


def _work(**changes) -> NetworkWork:
    work = NetworkWork(get_adapter("reference"), SYSTEM, (1, 4, 4), 3, 3, 6, seed=1, threads=1, device="cpu")
    return replace(work, **changes)


def test_contenders_share_weights_and_inputs() -> None:
    matched, native = _work().network(), _work(native=True).network()
    weights = dict(native.named_parameters())
    assert all(torch.equal(p, weights[name]) for name, p in matched.named_parameters() if name in weights)
    assert torch.equal(_work().inputs(6), _work(native=True).inputs(6))


def test_the_native_network_has_the_frameworks_own_neurons() -> None:
    class Native(ReferenceAdapter):
        def native(self, shape: tuple[int, ...]) -> nn.Module:
            return nn.Hardtanh(0, len(shape))

    network = _work(adapter=Native(), native=True).network()
    assert network.spiking_layers() == []
    assert sum(isinstance(module, nn.Hardtanh) for module in network.modules()) == 2
    assert network(_work().inputs(6)).shape == (3, 6, 3)


def test_a_frameworks_own_neuron_is_of_the_native_track_beside_the_references_lif() -> None:
    system = System("snntorch:leaky", "mlp", options={"hidden": (8,), "population": 2})
    works = _contenders(_work(system=system, adapter=get_adapter("reference")), get_adapter("reference"))
    assert set(works) == {"reference", "native"}
    kinds = {name: [type(layer) for layer in work.network().spiking_layers()] for name, work in works.items()}
    assert kinds == {"reference": [ReferenceLayer] * 2, "native": [FrameworkLayer] * 2}
    first, second = (works[name].network().state_dict() for name in works)
    assert all(torch.equal(first[key], value) for key, value in second.items() if "synapses" in key)


def test_training_gives_gradients_to_all_parameters_and_forward_to_none() -> None:
    work = _work()
    network = work.network()
    work.forward(network, 1)()
    assert not network.training
    assert all(p.grad is None for p in network.parameters())
    training: Callable[[], object] = work.training(network, 6)
    training()
    assert network.training
    first: list[Tensor] = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    assert len(first) == len(list(network.parameters()))
    training()
    second = [p.grad for p in network.parameters()]
    torch.testing.assert_close(second, first, msg="gradients must not add up from call to call")
