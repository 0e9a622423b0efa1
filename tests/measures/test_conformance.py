import itertools
import json
import math
from dataclasses import replace

import pytest
import torch

from spikemark.core.adapter import Adapter, Route, Unsupported
from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS, Adaptation, Learnable, NeuronSpec
from spikemark.core.oracle import ReferenceLayer
from spikemark.measures.semantics import comparison as module
from spikemark.measures.semantics.comparison import (
    ConformanceResult,
    adapting_grid,
    conformance,
    conformance_table,
    covering_grid,
    spec_grid,
)
from spikemark.measures.semantics.dyadic import make_case

SPECS = {name: neuron for name, neuron in NEURONS.items() if isinstance(neuron, NeuronSpec)}
LIF, STL = SPECS["lif"], SPECS["stl"]
NO_RESET = replace(STL, reset="none")
ALIF_LEARNED = replace(
    STL,
    adaptation=Adaptation(Learnable(0.75, "channel", "sigmoid"), Learnable(1.0, "neuron")),
    decay=Learnable(0.5, "layer"),
)


class Contender(Adapter):
    """An adapter of one layer class, or that refuses every spec when there is none."""

    name = "contender"
    resets = ("zero", "subtract", "none")
    adapts = True

    def __init__(self, layer):
        self.layer = layer

    def route(self, spec):
        if self.layer is None:
            raise Unsupported("reset: only halves")
        return Route("custom", "for this test")

    def neuron(self, spec, shape, *, generator=None):
        self.route(spec)
        return self.layer(spec, shape, generator=generator)

    def native(self, shape):
        return self.layer(LIF, shape)


class StrictLayer(ReferenceLayer):
    """Fires above the threshold only, whatever the spec."""

    def __init__(self, spec, shape, *, generator=None):
        super().__init__(replace(spec, fires_at_threshold=False), shape, generator=generator)


class GenerousLayer(ReferenceLayer):
    def __init__(self, spec, shape, *, generator=None):
        super().__init__(replace(spec, fires_at_threshold=True), shape, generator=generator)


class SteepLayer(ReferenceLayer):
    """A surrogate 1 % too high."""

    def __init__(self, spec, shape, *, generator=None):
        surrogate = replace(spec.surrogate, scale=1.01 * spec.surrogate.scale)
        super().__init__(replace(spec, surrogate=surrogate), shape, generator=generator)


class OtherDetachLayer(ReferenceLayer):
    def __init__(self, spec, shape, *, generator=None):
        super().__init__(replace(spec, detach_reset=not spec.detach_reset), shape, generator=generator)


class AbsoluteLayer(ReferenceLayer):
    """Forgets that the surrogate is relative."""

    def __init__(self, spec, shape, *, generator=None):
        super().__init__(replace(spec, surrogate=replace(spec.surrogate, relative=False)), shape, generator=generator)


class OtherInputLayer(ReferenceLayer):
    def __init__(self, spec, shape, *, generator=None):
        super().__init__(replace(spec, decay_input=not spec.decay_input), shape, generator=generator)


class LateResetLayer(ReferenceLayer):
    """Subtracts a step late, after the leak, as snnTorch does."""

    def spikes(self, currents):
        a, theta = self.decay, self.threshold
        u, o, out = torch.zeros_like(currents[0]), torch.zeros_like(currents[0]), []
        for x in currents:
            u = a * u + x - theta * o
            o = self._fire(u, theta)
            out.append(o)
        return torch.stack(out)


class ResettingLayer(ReferenceLayer):
    """Resets, whatever the spec."""

    def _reset(self, u, o, theta):
        return u * (1 - o)


class NoThresholdGradientLayer(ReferenceLayer):
    @property
    def threshold(self):
        return super().threshold.detach()


class HalfThresholdGradientLayer(ReferenceLayer):
    """Loses the gradient of one of the parameters that share it: what a broadcast done wrong would do."""

    @property
    def threshold(self):
        theta = super().threshold
        return torch.cat((theta[:1].detach(), theta[1:]))


class LateAdaptationLayer(ReferenceLayer):
    """The threshold of a step lacks the spike before it."""

    def spikes(self, currents):
        self.before = torch.zeros_like(currents[0])
        return super().spikes(currents)

    def _followed(self, e, o):
        before, self.before = self.before, o
        return super()._followed(e, before)


class SummedAdaptationLayer(ReferenceLayer):
    """Adds the spike itself, not its share 1 - rho."""

    def _followed(self, e, o):
        return self.effective("adaptation_decay") * e + o


class DetachedAdaptationLayer(ReferenceLayer):
    """Passes no gradient to the spikes that raised the threshold."""

    def _followed(self, e, o):
        return super()._followed(e, o.detach())


class RisenResetLayer(ReferenceLayer):
    """Subtracts the risen threshold."""

    def _risen(self, theta, e):
        self.risen = super()._risen(theta, e)
        return self.risen

    def _reset(self, u, o, theta):
        return super()._reset(u, o, self.risen)


class NoAdaptationLayer(ReferenceLayer):
    def _risen(self, theta, e):
        return theta


class NanGradientLayer(ReferenceLayer):
    def spikes(self, currents):
        return super().spikes(currents) + 0 * torch.sqrt(0 * currents)


class RememberingLayer(ReferenceLayer):
    """Keeps the membrane between calls."""

    def spikes(self, currents):
        kept = getattr(self, "kept", None)
        if kept is not None:
            currents = torch.cat((currents[:1] + kept.to(currents.dtype), currents[1:]))
        self.kept = currents[-1].detach()
        return super().spikes(currents)


class SingleLayer(ReferenceLayer):
    """Computes in float32 whatever the type."""

    def spikes(self, currents):
        return super().spikes(currents.float().to(currents.dtype) * (1 + 1e-8))


SUBTRACT = replace(STL, reset="subtract")
WRONG = [
    (StrictLayer, LIF),
    (StrictLayer, NEURONS["plif"]),
    (GenerousLayer, NEURONS["diet"]),
    (SteepLayer, LIF),
    (SteepLayer, NEURONS["lt"]),
    (OtherDetachLayer, LIF),
    (OtherDetachLayer, STL),
    (OtherDetachLayer, SUBTRACT),
    (AbsoluteLayer, NEURONS["diet"]),
    (OtherInputLayer, LIF),
    (LateResetLayer, SUBTRACT),
    (NoThresholdGradientLayer, STL),
    (NoThresholdGradientLayer, NEURONS["diet"]),
    (HalfThresholdGradientLayer, STL),
    (OtherDetachLayer, replace(STL, reset="subtract", adaptation=ALIF_LEARNED.adaptation)),
    *((layer, SPECS["alif"]) for layer in (NoAdaptationLayer, LateAdaptationLayer, SummedAdaptationLayer)),
    (DetachedAdaptationLayer, SPECS["alif"]),
    (DetachedAdaptationLayer, ALIF_LEARNED),
    (RisenResetLayer, replace(ALIF_LEARNED, reset="subtract")),
    (StrictLayer, NO_RESET),
    (OtherInputLayer, NO_RESET),
    (ResettingLayer, NO_RESET),
    (NanGradientLayer, LIF),
    (RememberingLayer, LIF),
    (SingleLayer, LIF),
]


@pytest.mark.parametrize(("layer", "spec"), WRONG)
def test_a_wrong_adapter_fails(layer, spec):
    result = conformance(Contender(layer), spec, seed=0, shapes=((5,),), steps=(1, 8, 16))
    assert not result.passed


@pytest.mark.parametrize("spec", [*SPECS.values(), SUBTRACT, NO_RESET, ALIF_LEARNED])
def test_the_reference_passes(spec):
    result = conformance(Contender(ReferenceLayer), spec, seed=0, shapes=((5,), (2, 3, 3)), steps=(1, 8))
    assert result.passed
    assert result.differing_spikes == 0
    assert result.worst("float64") < 1e-14


@pytest.mark.parametrize("part", range(8))
def test_thresholds_that_adapt_keep_a_margin_on_every_kind_of_dynamics(part):
    """The oracle in float32 against itself in float64, for 64 steps."""
    decays = (Learnable(math.exp(-1 / 200)), Learnable(0.5, "layer"), Learnable(0.8, "neuron", "sigmoid"))
    strengths = (Learnable(1.6), Learnable(0.5, "channel"), Learnable(0.3, "neuron", "softplus"))
    for number, spec in enumerate(itertools.islice(covering_grid(), part, None, 64)):
        decay, strength = decays[number % 3], strengths[(number + part) % 3]
        if decay.scope == "layer" and strength.scope == "fixed":
            strength = Learnable(0.5)  # a steep rise makes gradients explode, and with them float32's errors
        result = conformance(
            get_adapter("reference"), replace(spec, adaptation=Adaptation(decay, strength)), seed=part, shapes=((3, 2),)
        )
        assert result.passed, (spec, result)


def test_wrong_comparison_shows_in_exactly_the_first_spikes_at_the_threshold():
    """With one step, a membrane at its threshold is all that tells > from >=."""
    result = conformance(Contender(StrictLayer), LIF, seed=0, shapes=((50,),), steps=(1,))
    assert result.differing_spikes == result.spikes_at_threshold > 0


# The decay of lif-soft, 0.2, is no dyadic number, so its membranes are rounded and meet no threshold exactly.
@pytest.mark.parametrize("name", [name for name in SPECS if name != "lif-soft"])
def test_equality_really_happens_for_every_neuron_of_the_catalogue(name):
    result = conformance(get_adapter("reference"), SPECS[name], seed=0)
    assert result.spikes_at_threshold > 0.01 * result.compared_spikes


@pytest.mark.parametrize(
    "spec", [LIF, STL, SUBTRACT, NO_RESET, replace(STL, decay=Learnable(0.5, "neuron"), decay_input=True)]
)
def test_in_float32_nothing_is_rounded_for_64_steps(spec):
    case = make_case(spec, (6,), 64, 4, 9)
    layer = get_adapter("reference").neuron(spec, (6,))
    with torch.no_grad():
        for name, parameter in layer.learnables().items():
            parameter.copy_(case.raw[name])
        a, theta = layer.decay, layer.threshold
        v32, v64 = torch.zeros(4, 6), torch.zeros(4, 6).double()
        for x in case.currents:
            b = 1 - a if spec.decay_input else torch.ones_like(a)
            u64 = a.double() * v64 + b.double() * x.double()
            for u32 in (a * v32 + b * x, v32 - (1 - a) * v32 + b * x):  # two orders of operations
                assert torch.equal(u32.double(), u64)
            o = (u64 >= theta).double()
            v64 = {"zero": u64 * (1 - o), "subtract": u64 - theta * o, "none": u64}[spec.reset]
            v32 = v64.float()


def test_scale_of_a_sum_that_cancels_is_that_of_its_terms():
    spec = replace(STL, threshold=Learnable(1.0, "layer"))
    case = make_case(spec, (40,), 8, 4, 0)
    assert case.gradients["threshold"].shape == ()
    assert case.scales["threshold"] > float(case.gradients["threshold"].abs())
    alone = make_case(replace(STL, threshold=Learnable(1.0, "neuron")), (40,), 8, 1, 0)
    assert alone.scales["threshold"] == float(alone.gradients["threshold"].abs().max())


def test_cases_depend_on_every_axis_and_on_nothing_else():
    base = make_case(LIF, (5,), 8, 4, 0)
    make_case.cache_clear()
    assert torch.equal(make_case(LIF, (5,), 8, 4, 0).currents, base.currents)
    assert not torch.equal(make_case(LIF, (5,), 8, 4, 1).currents, base.currents)
    assert not torch.equal(make_case(NEURONS["plif"], (5,), 8, 4, 0).currents, base.currents)


def test_an_unsupported_spec_is_raised_and_tabled(monkeypatch):
    with pytest.raises(Unsupported, match="reset"):
        conformance(Contender(None), LIF, seed=0)
    monkeypatch.setattr(module, "get_adapter", lambda name: Contender(None))
    rows = conformance_table("contender")
    assert [row.specs for row in rows] == [1] * len(SPECS) + [16] * 24 + [24]
    assert all(row.unsupported == ("reset: only halves",) * row.specs for row in rows)
    assert not any(row.passed for row in rows)
    assert {row.gradient_error("float32") for row in rows} == {0.0}


def test_the_table_counts_what_it_ran(monkeypatch):
    few = list(itertools.islice(covering_grid(), 0, 384, 96))
    monkeypatch.setattr(module, "covering_grid", lambda: iter(few))
    monkeypatch.setattr(module, "adapting_grid", lambda: iter(()))
    monkeypatch.setattr(module, "NEURONS", {"lif": LIF})
    seen = []
    rows = conformance_table("norse", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(k, 5) for k in range(1, 6)]
    assert rows[0].subject == "lif"
    assert sum(row.specs for row in rows) == 5
    assert all(row.passed and row.framework == "norse" and row.routes == ("composed",) for row in rows)
    assert rows[0].compared_spikes == 2 * 4 * (5 + 48) * (1 + 8 + 64)
    assert {row.differing_spikes for row in rows} == {0}
    assert all(0 < row.gradient_error("float32") < 1e-5 for row in rows)


def test_limits_decide():
    good = ConformanceResult(10, 0, 1, {("currents", "float32"): 9e-6, ("currents", "float64"): 9e-11})
    assert good.passed
    for bad in (
        replace(good, differing_spikes=1),
        replace(good, compared_spikes=0),
        replace(good, gradient_errors={("currents", "float32"): 1.1e-5}),
        replace(good, gradient_errors={("currents", "float64"): 1.1e-10}),
        replace(good, gradient_errors={("decay", "float64"): math.inf}),
    ):
        assert not bad.passed


def test_measurements_are_what_a_record_holds():
    result = ConformanceResult(10, 2, 1, {("currents", "float32"): 1e-7, ("threshold", "float64"): math.inf})
    rows = result.measurements()
    json.dumps(rows, allow_nan=False)  # infinity is none of JSON's numbers
    assert {row["metric"]: row["value"] for row in rows[:3]} == {
        "compared_spikes": 10.0,
        "differing_spikes": 2.0,
        "spikes_at_threshold": 1.0,
    }
    assert [(row["metric"], row["split"], row["dtype"]) for row in rows[3:]] == [
        ("gradient_error", "currents", "float32"),
        ("gradient_error", "threshold", "float64"),
    ]


def test_the_grid_holds_every_combination_once():
    grid = list(spec_grid())
    assert len(grid) == len(set(grid)) == 3 * 2 * 2 * 2 * 10 * 4 * 4


def test_the_covering_grid_covers_what_it_says():
    def dynamics(spec):
        return spec.reset, spec.fires_at_threshold, spec.detach_reset, spec.decay_input

    def scopes(spec):
        return spec.threshold.scope, spec.decay.scope

    grid = list(covering_grid())
    assert set(grid) < set(spec_grid())
    assert len({(dynamics(s), scopes(s)) for s in grid}) == 24 * 16
    assert len({(dynamics(s), s.surrogate) for s in grid}) == 24 * 10
    assert len({(scopes(s), s.surrogate) for s in grid}) == 16 * 10


def test_the_adapting_grid_has_every_dynamics_scope_and_surrogate():
    grid = list(adapting_grid())
    assert len({(s.reset, s.fires_at_threshold, s.detach_reset, s.decay_input) for s in grid}) == len(grid) == 24
    assert len({s.surrogate for s in grid}) == 10
    assert len({(s.adaptation.decay.scope, s.adaptation.strength.scope) for s in grid}) == 16
