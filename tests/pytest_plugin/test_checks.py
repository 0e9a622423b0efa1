"""What the fixture finds in layers and functions, used as a test of a framework would use it."""

import time
from dataclasses import replace

import pytest
import torch
from torch import nn

from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.core.oracle import oracle_layer
from spikemark.errors import InputError
from spikemark.regression import turns

LIF = NEURONS["lif"]


class Wrong(nn.Module):
    """A LIF of somebody's own: fires above its threshold only, or not at all as it should."""

    def __init__(self, spec):
        super().__init__()
        self.inner = oracle_layer(spec, (6,))

    def forward(self, currents):
        return self.inner(currents), None


class Remembers(nn.Module):
    """Keeps its membranes between calls, and has no framework that would reset them."""

    def __init__(self):
        super().__init__()
        self.v = 0.0

    def forward(self, currents):
        spikes = []
        for x in currents:
            u = 0.5 * self.v + 0.5 * x
            spikes.append((u >= 1).to(x))
            self.v = u * (1 - spikes[-1])
        return torch.stack(spikes)

    def forget(self):
        self.v = 0.0


def test_neurons_of_frameworks(spikemark):
    assert spikemark.assert_conformant("lif", framework="reference").compared_spikes > 0
    pytest.importorskip("snntorch")
    assert spikemark.assert_conformant("stl", framework="snntorch").spikes_at_threshold > 0
    layer = get_adapter("snntorch").neuron(NEURONS["plif"], (4,))
    before = {name: value.clone() for name, value in layer.state_dict().items()}
    spikemark.assert_conformant(layer)
    assert all(torch.equal(value, before[name]) for name, value in layer.state_dict().items())


def test_modules_of_ones_own(spikemark):
    assert spikemark.assert_conformant(Wrong(LIF), "lif", shape=(6,)).compared_spikes > 1000
    strict = Wrong(replace(LIF, fires_at_threshold=not LIF.fires_at_threshold))
    with pytest.raises(AssertionError, match=r"Wrong: \d+ of \d+ spikes differ from the oracle's"):
        spikemark.assert_conformant(strict, LIF, shape=(6,))
    steep = Wrong(replace(LIF, surrogate=replace(LIF.surrogate, alpha=1.1 * LIF.surrogate.alpha)))
    with pytest.raises(AssertionError, match="no spike differs, but gradients do"):
        spikemark.assert_conformant(steep, LIF, shape=(6,))
    spikemark.assert_conformant(steep, LIF, shape=(6,), gradients=False)


def test_what_remembers_must_be_reset(spikemark):
    spikemark.assert_conformant(Remembers(), LIF, shape=(3,), gradients=False, reset=Remembers.forget)
    with pytest.raises(AssertionError, match="spikes differ"):
        spikemark.assert_conformant(Remembers(), LIF, shape=(3,), gradients=False)
    layer, same = Remembers(), oracle_layer(LIF, (16,))
    layer(torch.ones(5, 4, 16))
    with pytest.raises(AssertionError, match="differ"):
        spikemark.assert_same_spikes(layer, same)
    spikemark.assert_same_spikes(layer, same, reset=lambda it: it.forget() if it is layer else None)


def test_same_spikes(spikemark):
    make = {name: oracle_layer(NEURONS[name], (16,)) for name in ("lif", "lt")}
    spikemark.assert_same_spikes(make["lif"], make["lif"])
    strict = oracle_layer(replace(LIF, fires_at_threshold=False), (16,))
    with pytest.raises(AssertionError, match=r"\d+ of 1024 outputs differ, the first at \[\d+, \d, \d+\]: 1 and 0"):
        spikemark.assert_same_spikes(make["lif"], strict)
    with pytest.raises(AssertionError, match="neither fires"):
        spikemark.assert_same_spikes(make["lif"], strict, torch.zeros(4, 2, 16))
    with pytest.raises(AssertionError, match="shapes differ"):
        spikemark.assert_same_spikes(make["lif"], lambda inputs: make["lif"](inputs)[1:])
    with pytest.raises(InputError, match="gave no tensor"):
        spikemark.assert_same_spikes(make["lif"], lambda inputs: "spikes")


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        (["lif"], {}, "goes with framework="),
        (["lif"], {"framework": "reference", "shape": (3,)}, "neither spec= nor shape="),
        ([Wrong(LIF)], {}, "say what it computes"),
        ([Wrong(LIF), "lif"], {"framework": "reference", "shape": (6,)}, "a layer is what it is"),
        (["lfi"], {"framework": "reference"}, "did you mean 'lif'"),
        (["snntorch:leaky"], {"framework": "snntorch"}, "has no equations that an oracle computes"),
    ],
)
def test_wrong_requests(spikemark, arguments, options, said):
    with pytest.raises(InputError, match=said):
        spikemark.assert_conformant(*arguments, **options)


def work(calls):
    start = torch.linspace(0, 1, 64)

    def run():
        x = start
        for _ in range(calls):
            x = 0.5 * x + 1

    return run


def test_speed(spikemark):
    """Three times as slow is found on any machine; what is faster never fails."""
    assert spikemark.assert_not_slower(work(20), than=work(60), budget=20.0).verdict == "not slower"
    with pytest.raises(AssertionError, match=r"slower by more than 5 %: \+\d+\.\d % \[.*rounds.*the same function"):
        spikemark.assert_not_slower(work(60), than=work(20), budget=20.0, floor=0.05)
    with pytest.raises(InputError, match="budget 0: expected a positive number"):
        spikemark.assert_not_slower(work(1), than=work(1), budget=0)


def clocked(monkeypatch, ratio, unrest):
    """Rounds as a clock would see them: `unrest` is the relative spread of every time."""
    draws = torch.Generator().manual_seed(0)

    def timed(works, seconds):
        levels = dict(zip(works, (ratio, 1.0, 1.0), strict=True))
        noise = (unrest * torch.randn(3, 20, generator=draws)).exp().tolist()
        return {name: [level * n for n in noise[i]] for i, (name, level) in enumerate(levels.items())}

    monkeypatch.setattr(turns, "time_in_turns", timed)


@pytest.mark.parametrize(
    ("ratio", "unrest", "verdict"),
    [(1.0, 0.01, "not slower"), (1.1, 0.01, "slower"), (1.02, 0.01, "not slower"), (1.1, 0.5, "undecided")],
)
def test_verdicts(monkeypatch, ratio, unrest, verdict):
    clocked(monkeypatch, ratio, unrest)
    assert turns.race(int, int, budget=0.05).verdict == verdict


def test_equal_functions_are_hardly_ever_slower(monkeypatch):
    """With a floor of next to nothing, and a second look."""
    clocked(monkeypatch, 1.0, 0.03)
    clock = iter(range(10**6))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(clock)))
    verdicts = [turns.race(int, int, budget=1.5, floor=1e-6).verdict for _ in range(20)]
    assert verdicts.count("slower") <= 1


def test_operations(spikemark):
    model = nn.Sequential(nn.Linear(10, 16), oracle_layer(LIF, (16,)))
    counted = spikemark.count_operations(model, torch.ones(4, 2, 10))
    assert counted.macs + counted.acs == 4 * 160
