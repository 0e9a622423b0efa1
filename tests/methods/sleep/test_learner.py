import copy

import numpy as np
import pytest
import torch
from torch import nn

from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.core.streams import generator
from spikemark.data.card import Sizes
from spikemark.data.loading import load_dataset
from spikemark.errors import InputError
from spikemark.methods.sleep import kernels
from spikemark.methods.sleep.model import SleepNetwork
from spikemark.methods.sleep.options import NeuronConstants, SleepStdp
from spikemark.methods.sleep.projections import Architecture
from spikemark.methods.sleep.rule import SleepStdpLearner
from spikemark.networks.build import build_network
from spikemark.training.loop import train
from spikemark.training.rule import Protocol

SMALL = Architecture(
    side=6, excitatory=20, inhibitory=5, intensity=0.3, densities=(0.5, 0.3, 0.4, 0.5), weights=(0.2, 0.3, 1.5, -0.5)
)
PROTOCOL = Protocol(epochs=1, batch_size=8, encoder="direct", steps=10)


def learner(seed=0, **options):
    torch.manual_seed(0)
    model = SleepNetwork((1, 8, 8), 3, SMALL, NeuronConstants(tau_membrane=5, tau_synapse=5))
    return SleepStdpLearner(model, SleepStdp(**options), PROTOCOL, seed)


def batch(count=8, steps=10, seed=0):
    """Three classes that light different thirds of the image."""
    labels = torch.arange(count) % 3
    x = 0.2 * torch.rand(count, 1, 8, 8, generator=generator("test", seed))
    for i, label in enumerate(labels):
        x[i, :, 2 * label : 2 * label + 3] += 0.8
    return x.unsqueeze(0).expand(steps, *x.shape), labels


def test_sleeps_fall_after_every_interval(monkeypatch):
    """80 steps awake in images of 10: sleeps after 25, 50 and 75 of them, in the middle of images."""
    found = []
    real = kernels.sleep
    monkeypatch.setattr(kernels, "sleep", lambda *a: found.append(int(rule.network.woken)) or real(*a))
    rule = learner(fraction=0.2, interval=25, tolerance=None)
    rule.learn(*batch())
    assert found == [25, 50, 75]
    assert (int(rule.network.woken), int(rule.network.slept)) == (80, 15)
    rule.learn(*batch())
    assert found[3:] == [100, 125, 150]  # the count goes on from batch to batch


def test_without_sleep_nothing_decays():
    rule = learner(fraction=0.0, interval=5, learning_rate=0.0)
    before = copy.deepcopy(rule.network.state_dict())
    rule.learn(*batch())
    for name, _, _, _ in rule.network.projections():
        assert torch.equal(rule.network.state_dict()[f"{name}.weight"], before[f"{name}.weight"])
    assert int(rule.network.slept) == 0


def test_sleep_pulls_weights_to_the_baseline():
    rule = learner(fraction=1.0, interval=10, decay=0.9, baseline=0.1, learning_rate=0.0, tolerance=None)
    before = rule.network.input_to_exc.weight.clone()
    rule.learn(*batch(count=2))
    after = rule.network.input_to_exc.weight
    mask = rule.network.input_to_exc.mask
    torch.testing.assert_close(after[mask], 0.1 * (before[mask] / 0.1) ** (0.9**20))
    assert (after[~mask] == 0).all()


def test_cap():
    rule = learner(fraction=1.0, interval=40, cap=7, tolerance=None)
    rule.learn(*batch())
    assert int(rule.network.slept) == 14


def test_same_seed_same_network_and_same_input_whatever_the_sleep():
    first, second, other = learner(fraction=0.5), learner(fraction=0.5), learner(seed=1, fraction=0.5)
    for rule in (first, second, other):
        rule.learn(*batch())
    assert torch.equal(first.network.exc_to_exc.weight, second.network.exc_to_exc.weight)
    assert not torch.equal(first.network.exc_to_exc.weight, other.network.exc_to_exc.weight)
    awake, asleep = learner(fraction=0.0), learner(fraction=1.0, interval=20)
    for rule in (awake, asleep):
        rule.learn(*batch())
    assert awake._draws.bit_generator.state == asleep._draws.bit_generator.state


def test_learns_three_bars_and_freezes():
    rule = learner(fraction=0.1, interval=100, sign="reversed", learning_rate=0.002)
    for seed in range(6):
        loss, scores = rule.learn(*batch(24, 20, seed))
        assert scores.shape == (24, 3)
        assert loss == pytest.approx(np.log(3))  # nothing fitted yet
        assert scores.abs().sum() > 0  # but the network is alive
    rule.end_epoch()
    x, labels = batch(60, 20, 99)
    weights = rule.network.input_to_exc.weight.clone()
    scores = rule.network(x)[0]
    assert (scores.argmax(1) == labels).double().mean() > 0.8
    assert torch.equal(rule.network.input_to_exc.weight, weights)
    loss, _ = rule.learn(*batch(24, 20, 7))
    assert torch.isfinite(loss)
    found = rule.diagnostics()
    assert found["wake_steps"] == 7 * 24 * 20
    assert found["sleep_steps"] == 33 * 10
    assert 0 <= found["silent_neurons"] < 1
    assert found["representation_diversity"] > 1


def test_first_weights_are_clipped():
    rule = learner(largest=0.25, baseline=0.1)
    rule.learn(*batch(1))
    assert rule.network.exc_to_inh.weight.max() <= 0.25
    assert rule.diagnostics()["weights_at_upper_bound"] > 0.1


def build(seed, **more):
    options = {"side": 6, "excitatory": 30, "inhibitory": 8, "intensity": 0.3}
    options |= {"densities": (0.5, 0.3, 0.4, 0.5), "weights": (0.3, 0.3, 0.4, -0.5)}
    return build_network(
        "sleep-stdp", get_adapter("reference"), NEURONS["adapting-lif"], (1, 8, 8), 10, seed,
        normalization="none", options=options, **more,
    )  # fmt: skip


def test_synapses_follow_the_seed():
    first, again, other = build(0), build(0), build(1)
    assert torch.equal(first.exc_to_inh.mask, again.exc_to_inh.mask)
    assert not torch.equal(first.exc_to_inh.mask, other.exc_to_inh.mask)
    assert not (first.inh_to_exc.mask & first.exc_to_inh.mask.T).any()
    assert build(0, meta=True).exc_to_inh.weight.shape == (8, 30)


def test_training_loop():
    """Two epochs on digits: the best state is a whole network, readout included."""
    dataset = load_dataset("digits", sizes=Sizes(200, 50, 50))
    rule = SleepStdp(fraction=0.1, interval=1000, sign="reversed", learning_rate=0.003)
    model = build(0)
    trained = train(model, rule, dataset, Protocol(2, 50, "direct", 30), 0)
    assert trained.history[0].loss == pytest.approx(np.log(10), rel=1e-5)
    assert max(epoch.validation_accuracy for epoch in trained.history) > 0.3
    other = build(1)
    other.load_state_dict(trained.last_state)
    x = dataset.test.inputs.unsqueeze(0).expand(30, *dataset.test.inputs.shape)
    assert torch.equal(other(x), model(x))
    assert set(model.diagnostics()) >= {"silent_neurons", "runaway_neurons", "representation_diversity"}


def test_epoch_without_batches():
    with pytest.raises(InputError, match=r"^training split: "):
        learner().end_epoch()


def test_bad_options_and_models():
    with pytest.raises(InputError, match=r"^fraction: .*less than or equal to 1, found 1.5"):
        learner(fraction=1.5)
    with pytest.raises(InputError, match=r"^inputs: "):
        learner().learn(torch.full((2, 1, 1, 8, 8), float("nan")), torch.tensor([0]))
    with pytest.raises(InputError, match=r"^rule: sleep-stdp"):
        SleepStdpLearner(nn.Linear(2, 2), SleepStdp(), PROTOCOL, 0)
