"""Every row that a CPU trains in a moment: global generators play no part in what it learns."""

import random
from collections import OrderedDict
from dataclasses import replace

import numpy as np
import pytest
import torch

from spikemark import SYSTEMS, get_adapter
from spikemark.data.loading import Dataset, Split
from spikemark.methods.first_spike import extractor, feature_cache
from spikemark.methods.first_spike.options import FirstSpike
from spikemark.methods.ltmd.graded import GradedStage
from spikemark.methods.sleep.options import SleepStdp
from spikemark.training.build import build_system
from spikemark.training.loop import train
from spikemark.training.rule import RULES, Protocol

# The papers' networks at full size are left out; each has a small twin with the same neurons, norms and rules.
FULL = ("stl-mnist", "plif-", "ltmd-mnist", "ltmd-cifar10", "tebn-vgg9", "time-cifar10")
ROWS = [name for name in SYSTEMS if not name.startswith(FULL) or "-small" in name]
SAMPLES, BATCH = 24, 12


def data(shape, classes):
    """Images of noise with a bright row for each class."""
    draws = torch.Generator().manual_seed(0)
    labels = torch.arange(SAMPLES) % classes
    images = 0.5 * torch.rand(SAMPLES, *shape, generator=draws)
    for image, label in zip(images, labels, strict=True):
        image[:, int(label) % shape[1]] += 0.5
    split = Split(images, labels)
    return Dataset("bars", shape, classes, split, split, split)


def quick(row):
    """The row, and the number of steps: made to fire soon, so that all of it takes part in a short training."""
    if isinstance(row.rule, SleepStdp):
        return replace(row, rule=row.rule.model_copy(update={"interval": 50})), 40
    if isinstance(row.rule, FirstSpike):
        return replace(row, options=dict(row.options) | {"extractor": row.options["extractor"] | {"epochs": 2}}), 1
    if row.spec is None:
        return row, 4
    return replace(row, threshold=0.01 if row.spec.surrogate.relative else -0.05), 4


def trained(name, number, monkeypatch):
    """The states before and after a training under the global seed `number`."""
    monkeypatch.setattr(extractor, "_TRAINED", OrderedDict())
    monkeypatch.setattr(extractor, "STORES", feature_cache.Stores())
    torch.manual_seed(number)
    np.random.seed(number)
    random.seed(number)
    row, steps = quick(SYSTEMS[name])
    shape = row.made_for or (1, 12, 12)
    protocol = Protocol(1, BATCH, "direct", steps)
    model = build_system(row, get_adapter("reference"), shape, row.classes, 0, steps=steps)
    for stage in model.modules():
        if isinstance(stage, GradedStage):  # whose outputs are mostly silent at first
            stage.synapses.bias.data += 2
    before = {key: value.clone() for key, value in model.state_dict().items()}
    done = train(model, row.rule, data(shape, row.classes), protocol, 0)
    return before, done


@pytest.mark.parametrize("name", ROWS)
def test_global_seeds_change_nothing(name, monkeypatch):
    before, first = trained(name, 1, monkeypatch)
    again, second = trained(name, 2, monkeypatch)
    assert any(not torch.equal(value, first.last_state[key]) for key, value in before.items())
    for states in ((before, again), (first.last_state, second.last_state), (first.best_state, second.best_state)):
        assert states[0].keys() == states[1].keys()
        assert [key for key in states[0] if not torch.equal(states[0][key], states[1][key])] == []
    assert first.history[0].loss == second.history[0].loss
    assert first.diagnostics == second.diagnostics


def test_every_neuron_network_norm_and_rule_of_a_method_is_among_them():
    for part in ("neuron", "normalization"):
        assert {getattr(SYSTEMS[name], part) for name in ROWS} == {getattr(row, part) for row in SYSTEMS.values()}
    assert {SYSTEMS[name].rule.name for name in ROWS} == set(RULES)
    networks = {SYSTEMS[name].network for name in ROWS}
    left_out = {row.network for row in SYSTEMS.values()} - networks
    assert all(f"{network}-small" in networks for network in left_out)
