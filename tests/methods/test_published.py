"""The papers' networks: their sizes, and one training step of each at full size."""

import pytest
import torch
from torch import nn

from spikemark import SYSTEMS, get_adapter
from spikemark.core.adapter import neurons_of
from spikemark.methods.ltmd.dropout import ModerateDropout
from spikemark.training.bptt import Gradient
from spikemark.training.build import build_system
from spikemark.training.rule import Protocol

PUBLISHED = [name for name, row in SYSTEMS.items() if row.network == name and isinstance(row.rule, Gradient)]
FULL = [name for name in PUBLISHED if not name.endswith("-small")]
# (weights, neuron parameters). STL-SNN's and LTMD's are the figures of papers and code; the others are counted by
# hand below.
SIZES = {
    "stl-mnist": (13_463_168, 127_588),
    "ltmd-cifar10": (6_820_180, 102),
}


def conv(fan_in, width, size=3, bias=False):
    return fan_in * width * size * size + bias * width + 2 * width  # with the batch norm


BY_HAND = {
    "plif-mnist": conv(1, 128) + conv(128, 128) + 128 * 7 * 7 * 2048 + 2048 * 100,
    "plif-cifar10": conv(3, 256) + 5 * conv(256, 256) + 256 * 8 * 8 * 2048 + 2048 * 100,
    "plif-n-mnist": conv(2, 128) + conv(128, 128) + 128 * 8 * 8 * 2048 + 2048 * 100,
    "plif-cifar10-dvs": conv(2, 128) + 3 * conv(128, 128) + 128 * 8 * 8 * 2048 + 2048 * 100,
    "plif-dvs128": conv(2, 128) + 4 * conv(128, 128) + 128 * 4 * 4 * 512 + 512 * 110,
    "ltmd-mnist": conv(1, 256) + 5 * conv(256, 256) + 256 * 49 * 2048 + 2048 + 5 + 2048 * 10 + 10 + 5,
    # 7 norms, each with a weight for each of the 4 steps
    "tebn-vgg9": conv(3, 64, bias=True)
    + conv(64, 64, bias=True)
    + conv(64, 128, bias=True)
    + conv(128, 128, bias=True)
    + conv(128, 256, bias=True)
    + 2 * conv(256, 256, bias=True)
    + 7 * 4
    + (256 * 4 * 4 + 1) * 1024
    + (1024 + 1) * 100,
}
NEURONS_BY_HAND = {
    "plif-mnist": 4,
    "plif-cifar10": 8,
    "plif-n-mnist": 4,
    "plif-cifar10-dvs": 6,
    "plif-dvs128": 7,
    "ltmd-mnist": 8,
    "tebn-vgg9": 0,
}


def build(name, steps, meta=False):
    row = SYSTEMS[name]
    return build_system(row, get_adapter("reference"), row.made_for, row.classes, 0, steps=steps, meta=meta)


def test_every_published_network_is_counted():
    assert {*SIZES, *BY_HAND} == set(FULL)
    assert set(NEURONS_BY_HAND) == set(BY_HAND)


@pytest.mark.parametrize("name", FULL)
def test_sizes(name):
    model = build(name, steps=4, meta=True)
    neurons = sum(p.numel() for layer in neurons_of(model) for p in layer.learnables().values())
    count = sum(p.numel() for p in model.parameters())
    expected = SIZES[name] if name in SIZES else (BY_HAND[name], NEURONS_BY_HAND[name])
    assert (count - neurons, neurons) == expected
    assert all(p.is_meta for p in model.parameters())


def step(name, steps):
    """Forward and backward once; the parameters that got no gradient."""
    row, model = SYSTEMS[name], build(name, steps)
    learner = row.rule.learner(model, Protocol(1, 2, "direct", steps), 0)
    random = torch.Generator().manual_seed(0)
    inputs = torch.rand(steps, 2, *row.made_for, generator=random)
    loss, outputs = learner.differentiate(inputs, torch.tensor([0, 1]))
    assert outputs.shape == (2, row.classes)
    assert torch.isfinite(loss)
    return {n for n, p in model.named_parameters() if p.grad is None}


SMALL = [name for name in PUBLISHED if name not in FULL]


@pytest.mark.parametrize(("name", "steps"), [(n, 1) for n in FULL] + [(n, 3) for n in SMALL])
def test_forward_and_backward(name, steps):
    without = step(name, steps)
    assert all("graded" in n and n.endswith("raw_threshold") for n in without), without


@pytest.mark.parametrize("name", ["plif-mnist-small-avgpool", "ltmd-mnist-small-lt", "ltmd-cifar10-small-lt"])
def test_variants_change_one_thing(name):
    model, plain = build(name, 3), build(name.rsplit("-", 1)[0], 3)
    assert step(name, 3) == {n for n, p in model.named_parameters() if n.startswith("graded") and "raw" in n}
    changed = {type(m) for m in plain.modules()} ^ {type(m) for m in model.modules()}
    assert changed == ({nn.MaxPool2d, nn.AvgPool2d} if "avgpool" in name else {ModerateDropout})
