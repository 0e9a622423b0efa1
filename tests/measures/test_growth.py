"""Growth of whole networks, at sizes that take no time."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from spikemark.core.adapter import SpikingLayer
from spikemark.core.frameworks import get_adapter
from spikemark.core.oracle import ReferenceAdapter, ReferenceLayer
from spikemark.errors import InputError
from spikemark.measures.growth import Growth, GrowthAxes, base_point
from spikemark.measures.speed.footprint import Footprint
from spikemark.measures.speed.networks import NetworkWork, growth
from spikemark.measures.speed.points import NetworkPoint
from spikemark.measures.speed.timing import Budget
from spikemark.measures.subject import Subject
from spikemark.measures.throughput import Throughput
from spikemark.suites.jobs import resolve
from spikemark.suites.suite import SuiteError, load_suite
from spikemark.training.system import SYSTEMS

SUITE = {
    "name": "growing", "frameworks": ["reference"], "systems": ["mlp-stl"], "datasets": ["digits"], "seeds": [0],
    "measures": ["growth"],
}  # fmt: skip


class Counting(ReferenceAdapter):
    """Time passes by the number of values that go into its layers."""

    name = "counting"

    def __init__(self, price: float) -> None:
        self.now, self.price = 0.0, price

    def neuron(self, spec, shape, *, generator=None) -> SpikingLayer:
        layer = ReferenceLayer(spec, shape, generator=generator)
        layer.register_forward_pre_hook(self._spend)
        return layer

    def _spend(self, layer: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        self.now += self.price * inputs[0].numel()


def test_a_step_is_timed_at_every_point_beside_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    works = []
    seen = lambda work: works.append(work) or Footprint(0.5, 4096)  # noqa: E731
    monkeypatch.setattr("spikemark.measures.speed.networks.footprint", seen)
    slow, fast = Counting(2e-3), Counting(1e-3)
    points = [NetworkPoint(steps, 4, 8, 2) for steps in (2, 4)]
    rows = growth(
        slow, fast, SYSTEMS["mlp-stl"], (1, 2, 2), 3, points, held=False, threads=1, budget=Budget(0.5),
        clock=lambda: slow.now + fast.now,
    )  # fmt: skip
    timed = {(row["metric"], row["point"]["steps"]): row for row in rows if "point" in row}
    neurons = 8 + 8 + 3 * 10
    for point in points:
        seconds, ratio = (timed[metric, point.steps] for metric in ("step_seconds", "step_seconds_ratio"))
        assert seconds["value"] == pytest.approx(2e-3 * point.steps * 4 * neurons, rel=1e-5)
        assert ratio["value"] == pytest.approx(2, rel=1e-5)
        assert seconds["point"] == point.to_dict() == {"steps": point.steps, "batch": 4, "width": 8, "depth": 2}
        assert timed["peak_memory", point.steps]["value"] == 4096
    assert [work.step for work in works] == ["rule", "rule"]  # the whole step, optimiser and all
    assert {row["track"] for row in timed.values()} == {"matched"}


@pytest.mark.parametrize("held", [True, False])
def test_both_kinds_of_input(held: bool) -> None:
    for step in ("gradients", "rule"):
        work = NetworkWork(
            get_adapter("reference"), SYSTEMS["mlp-stl"], (1, 4, 4), 3, 3, 6, 1, 1, "cpu", step, held=held
        )
        inputs = work.inputs(6)
        assert torch.equal(inputs[0], inputs[2]) == held
        assert (inputs.stride(0) == 0) == held
        assert torch.equal(work.inputs(6, held=True)[0], work.inputs(6, held=True)[1])


def test_an_input_that_is_not_named_leaves_the_settings_as_they_were() -> None:
    assert set(Throughput().to_dict()) == {"batch_size", "threads", "seconds", "training"}
    assert Throughput(input="constant").to_dict()["input"] == "constant"
    with pytest.raises(InputError, match=r"^input: "):
        Throughput(input="poisson")


def test_points_start_from_the_systems_own_hidden_layers() -> None:
    assert base_point(SYSTEMS["mlp-stl"], 4, 32) == NetworkPoint(4, 32, 256, 1)
    wide = replace(SYSTEMS["mlp-stl"], options={"hidden": (64, 64)})
    assert base_point(wide, 4, 32) == NetworkPoint(4, 32, 64, 2)
    assert base_point(wide, 4, 32).hidden == (64, 64)
    assert base_point(SYSTEMS["convnet-stl"], 4, 32) == NetworkPoint(4, 32)
    assert NetworkPoint(4, 32).to_dict() == {"steps": 4, "batch": 32}


def test_a_job_for_each_axis() -> None:
    suite = load_suite(SUITE | {"growth": {"axes": {"steps": [2, 4], "depth": [1, 2]}}})
    jobs = resolve(suite.points())
    assert [job.axes["axis"] for job in jobs] == ["steps", "depth"]
    assert [job.measure for job in jobs] == [
        Growth(axes=GrowthAxes(steps=(2, 4))), Growth(axes=GrowthAxes(depth=(1, 2))),
    ]  # fmt: skip
    assert all(job.exclusive for job in jobs)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "growth.axes: name at least one of steps, batch, width, depth"),
        ({"axes": {"steps": [2, 2]}}, "named twice: 2"),
        ({"axes": {"depth": [0]}}, "growth.axes.depth"),
        ({"axes": {"steps": [2]}, "input": "poisson"}, "growth.input"),
        ({"axes": {"steps": [2]}, "clock": "processor", "threads": 2}, "processor time is that of one thread"),
    ],
)
def test_what_a_suite_cannot_ask_for(table: dict[str, object], message: str) -> None:
    with pytest.raises(SuiteError, match=message):
        load_suite(SUITE | {"growth": table})


def test_a_network_without_hidden_layers_has_no_width() -> None:
    subject = Subject(
        "reference", "stl", SYSTEMS["convnet-stl"], "digits", 0, {"encoding": {"name": "direct", "steps": 2}}
    )
    with pytest.raises(InputError, match=r"growth\.axes\.width: network 'convnet' has no hidden layers to vary"):
        Growth(axes=GrowthAxes(width=(4,))).run(subject)
