"""Jobs of single layers, at sizes that take no time."""

from __future__ import annotations

import json
from itertools import count

import pytest
import torch
from torch import nn

from spikemark.core.adapter import Unsupported
from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.core.oracle import ReferenceAdapter
from spikemark.measures.speed import layers as module
from spikemark.measures.speed.footprint import Footprint
from spikemark.measures.speed.layer_work import LayerWork
from spikemark.measures.speed.layers import layers, unsupported
from spikemark.measures.speed.points import GROWTH, TRACKS, Point
from spikemark.measures.speed.timing import Budget

BASE = Point(3, 4, (8,))
BRIEF = Budget(seconds=0.001, min_rounds=6)


class Stubborn(ReferenceAdapter):
    """Refuses bfloat16 in its matched layer and answers in float32 from its native one."""

    name = "stubborn"

    def neuron(self, spec, shape, *, generator=None):
        layer = super().neuron(spec, shape, generator=generator)
        layer.register_forward_pre_hook(_refuse)
        return layer

    def native(self, shape):
        return _InFloat32(super().native(shape))


class _InFloat32(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, currents):
        return self.layer(currents.float())

    def _apply(self, fn, recurse=True):
        return self


def _refuse(layer, inputs):
    if inputs[0].dtype == torch.bfloat16:
        raise Unsupported("no bfloat16 here")


@pytest.fixture(autouse=True)
def _no_processes(monkeypatch):
    monkeypatch.setattr(module, "footprint", lambda work: Footprint(0.25, 1000 + 1000 * work.native))


def measure(adapter, points, phases=("forward", "forward+backward"), **options):
    ticks = count()
    reference = get_adapter("reference")
    return layers(
        adapter, reference, NEURONS["stl"], points, phases, budget=BRIEF, clock=lambda: next(ticks) * 0.01, **options
    )


def test_rows_of_a_point():
    rows = measure(get_adapter("reference"), [BASE])
    for phase, passes in (("forward", 2), ("forward+backward", 6)):
        found = [row for row in rows if row.get("split") == phase]
        own = {(row.get("track"), row["metric"]): row for row in found}
        assert len(own) == len(found)
        assert set(own) == {
            *((None, name) for name in ("reference_seconds", "copy_bandwidth", "bytes_moved")),
            *((t, name) for t in TRACKS for name in ("seconds", "seconds_ratio", "bandwidth_fraction")),
        }
        assert all(row["point"] == BASE.to_dict() for row in found)
        assert own[None, "bytes_moved"]["value"] == passes * 3 * 4 * 8 * 4
        # Each visit takes one tick of the clock, so that every contender takes as long as a copy.
        assert own["matched", "seconds_ratio"]["value"] == 1
        assert own["matched", "bandwidth_fraction"]["value"] == passes / 2
        assert len(own["matched", "seconds"]["values"]) >= 6
    apart = {(row.get("track"), row["metric"]): row["value"] for row in rows if "split" not in row}
    assert apart == {
        ("matched", "peak_memory"): 1000,
        ("native", "peak_memory"): 2000,
        ("matched", "first_call"): 0.25,
        ("native", "first_call"): 0.25,
        (None, "threads"): 1,
    }


def test_without_memory():
    metrics = {row["metric"] for row in measure(get_adapter("reference"), [BASE], ["forward"], memory=False)}
    assert not {"peak_memory", "first_call"} & metrics


def test_what_a_framework_cannot_do_is_a_row_with_its_reason():
    rows = measure(Stubborn(), [BASE, BASE.at("dtype", "bfloat16")], ["forward"])
    why = {row["track"]: row["why"] for row in rows if "why" in row}
    assert why == {
        "matched": "no bfloat16 here",
        "native": "answers torch.bfloat16 currents in torch.float32",
    }
    timed = [row["point"] for row in rows if row["metric"] == "seconds"]
    assert timed == [BASE.to_dict()] * 2


def test_a_job_without_any_point_is_unsupported():
    with pytest.raises(Unsupported, match="no bfloat16 here"):
        measure(Stubborn(), [BASE.at("dtype", "bfloat16")])


def test_time_is_checked_after_every_point():
    checked = []
    measure(get_adapter("reference"), [BASE, BASE.at("steps", 5)], ["forward"], check=lambda: checked.append(1))
    assert len(checked) == 2


def test_only_the_framework_is_compiled():
    works = module._works(Stubborn(), get_adapter("reference"), NEURONS["lif"], BASE.at("compile", "compile"), 1, "cpu")
    assert {name: work.compiled for name, work in works.items()} == {
        "reference": False,
        "matched": True,
        "native": True,
    }
    assert unsupported(works["matched"]) is None


def test_a_compiled_layer_runs_one_size_only_and_at_first_without_caches(monkeypatch):
    seen = []

    def spikes(layer, currents):
        seen.append((tuple(currents.shape), torch.compiler.config.force_disable_caches))
        return currents

    work = LayerWork(get_adapter("reference"), NEURONS["lif"], (8,), 3, 4, compiled=True)
    monkeypatch.setattr(type(work.layer()), "spikes", spikes)
    # Torch's own compiler takes many seconds; that it accepts the options is seen when the layer is made.
    monkeypatch.setattr(nn.Module, "__call__", lambda layer, currents: layer.forward(currents))
    for run in work.build():
        run()
    assert seen == [((3, 4, 8), True)] * 2 + [((3, 4, 8), False)]


@pytest.mark.parametrize(
    ("axis", "value", "label"),
    [
        ("steps", 7, "T=7 B=4 N=8"),
        ("batch", 7, "T=3 B=7 N=8"),
        ("width", 7, "T=3 B=4 N=7"),
        ("dtype", "bfloat16", "T=3 B=4 N=8 bfloat16"),
        ("dtype", "float32", "T=3 B=4 N=8"),
        ("compile", "compile", "T=3 B=4 N=8 compile"),
        ("convolution", [2, 5, 6], "T=3 B=4 C=2x5x6"),
    ],
)
def test_points_have_labels_and_survive_as_plain_data(axis, value, label):
    point = BASE.at(axis, value)
    assert point.label == label
    assert Point.from_dict(json.loads(json.dumps(point.to_dict()))) == point
    if axis in GROWTH:
        assert point.along(axis) == value
