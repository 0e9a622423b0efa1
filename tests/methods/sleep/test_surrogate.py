import math
import random

import pytest
import torch
from torch import nn

from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.core.streams import generator
from spikemark.errors import InputError
from spikemark.methods.sleep.network import Resize, resized_mlp
from spikemark.methods.sleep.options import BpttSleep
from spikemark.methods.sleep.surrogate import BpttSleepLearner, _disturbing, pair_changes, power_law, sleep, traces
from spikemark.methods.sleep.systems import SYSTEMS
from spikemark.networks.build import build_network
from spikemark.training.bptt import Bptt, BpttLearner
from spikemark.training.rule import Protocol, Rule

REFERENCE = get_adapter("reference")
ADAPTERS = ("reference", "spikingjelly", "snntorch", "norse", "fused")


def build(network="mlp", adapter="reference", normalization="none", **options):
    options = options or {"hidden": (12,), "population": 2}
    return build_network(
        network, get_adapter(adapter), NEURONS["lif"], (1, 8, 8), 3, 0, normalization=normalization, options=options
    )


def slow_changes(pre, post, weight_shape, options):
    """Every pair of spikes of every synapse and sample, by its own exponential."""
    steps, batch = len(pre), len(pre[0])
    changes = [[0.0] * weight_shape[1] for _ in range(weight_shape[0])]
    for j in range(weight_shape[0]):
        for i in range(weight_shape[1]):
            for b in range(batch):
                for s in range(steps):
                    for t in range(steps):
                        pair = pre[s][b][i] * post[t][b][j]
                        if s <= t:
                            changes[j][i] += options.potentiation * pair * math.exp(-(t - s) / options.tau_pre) / batch
                        if t <= s:
                            changes[j][i] -= options.depression * pair * math.exp(-(s - t) / options.tau_post) / batch
    return changes


def test_pair_changes_against_every_pair():
    for seed in range(200):
        rng = random.Random(seed)
        steps, batch, fan_in, fan_out = rng.randint(1, 6), rng.randint(1, 3), rng.randint(1, 4), rng.randint(1, 3)
        options = BpttSleep(
            potentiation=rng.random(),
            depression=rng.random(),
            tau_pre=rng.uniform(0.5, 20),
            tau_post=rng.uniform(0.5, 20),
        )
        draws = torch.Generator().manual_seed(seed)
        pre = (torch.rand(steps, batch, fan_in, generator=draws) < 0.5).double()
        post = (torch.rand(steps, batch, fan_out, generator=draws) < 0.5).double()
        layer = nn.Linear(fan_in, fan_out, bias=bool(seed % 2)).double()
        found = pair_changes(layer, pre, post, options)
        expected = slow_changes(pre.tolist(), post.tolist(), (fan_out, fan_in), options)
        torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
        assert layer.weight.grad is None


def test_pair_by_hand():
    """Pre at step 0, post at step 2: A+ exp(-2 / tau); the other way round: -A- exp(-2 / tau)."""
    options = BpttSleep(potentiation=1, depression=0.5, tau_pre=4, tau_post=2)
    early, late = torch.tensor([1.0, 0, 0]).view(3, 1, 1), torch.tensor([0, 0, 1.0]).view(3, 1, 1)
    layer = nn.Linear(1, 1)
    assert pair_changes(layer, early, late, options).item() == pytest.approx(math.exp(-0.5))
    assert pair_changes(layer, late, early, options).item() == pytest.approx(-0.5 * math.exp(-1))
    assert pair_changes(layer, early, early, options).item() == pytest.approx(1 - 0.5)


def test_convolution_is_the_dense_layer_with_shared_weights():
    options = BpttSleep()
    conv = nn.Conv2d(2, 3, 3, padding=1, bias=False).double()
    draws = torch.Generator().manual_seed(0)
    pre = (torch.rand(4, 2, 2, 5, 5, generator=draws) < 0.4).double()
    post = (torch.rand(4, 2, 3, 5, 5, generator=draws) < 0.4).double()
    padded = nn.functional.pad(pre, (1, 1, 1, 1))
    expected = torch.zeros_like(conv.weight)
    for y in range(3):
        for x in range(3):
            window = padded[..., y : y + 5, x : x + 5]
            for before, after, factor in (
                (traces(window, options.tau_pre), post, options.potentiation),
                (window, traces(post, options.tau_post), -options.depression),
            ):
                expected[:, :, y, x] += factor * torch.einsum("tbixy,tbjxy->ji", before, after) / 2
    torch.testing.assert_close(pair_changes(conv, pre, post, options), expected.detach())


def test_power_law():
    weight = torch.tensor([0.3, -0.3, 0.0, 0.2, 5.0], dtype=torch.float64)
    for _ in range(40):
        power_law(weight, 0.2, 0.97)
    exponent = 0.97**40
    expected = [0.2 * 1.5**exponent, -0.2 * 1.5**exponent, 0.0, 0.2, 0.2 * 25**exponent]
    assert weight.tolist() == pytest.approx(expected)


@pytest.mark.parametrize("decay_input", ["lif", "stl"])
def test_noise_enters_the_carried_potential(decay_input):
    """``u = a (v + xi) + b x``, step by step, against the layer with the hook."""
    spec = NEURONS[decay_input]
    layer = REFERENCE.neuron(spec, (4,), generator=torch.Generator().manual_seed(0))
    layer.register_forward_pre_hook(_disturbing(3.0, torch.Generator().manual_seed(7)))
    spikes = layer(torch.zeros(30, 2, 4))
    xi = 3.0 * torch.randn(30, 2, 4, generator=torch.Generator().manual_seed(7))
    v, a = torch.zeros(2, 4), layer.decay
    for t in range(30):
        u = a * (v + xi[t])
        fires = u >= layer.threshold
        assert torch.equal(spikes[t].bool(), fires)
        v = torch.where(fires, torch.zeros(()), u)
    assert 0.05 < spikes.mean() < 0.8


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_sleep_works_on_every_adapter(adapter):
    model = build(adapter=adapter)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    options = BpttSleep(learning_rate=0.1)
    slept = sleep(model, torch.zeros(20, 16, 1, 8, 8), options, generator("sleep"))
    assert slept.silent == 0
    # Nothing came in, so the first weights only decay; the second ones also learned.
    first, second = model.hidden1.synapses.weight, model.output.synapses.weight
    old = before["hidden1.synapses.weight"]
    torch.testing.assert_close(first, old.sign() * 0.2 * (old.abs() / 0.2) ** 0.999)
    old = before["output.synapses.weight"]
    assert not torch.allclose(second, old.sign() * 0.2 * (old.abs() / 0.2) ** 0.999)
    for name, value in model.state_dict().items():
        assert name.endswith("synapses.weight") or torch.equal(value, before[name])


def test_adapters_sleep_alike():
    weights = []
    for adapter in ADAPTERS:
        model = build(adapter=adapter)
        sleep(model, torch.zeros(20, 16, 1, 8, 8), BpttSleep(learning_rate=0.1), generator("sleep"))
        weights.append(model.output.synapses.weight)
    for other in weights[1:]:
        torch.testing.assert_close(other, weights[0])


def test_sleep_works_on_convolutions_and_leaves_norms_alone():
    model = build("convnet", normalization="joint-bn", channels=(4,), population=2).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    sleep(model, torch.zeros(5, 3, 1, 8, 8), BpttSleep(), generator("sleep"))
    assert model.training
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"conv1.synapses.weight", "output.synapses.weight"}


def test_sleep_needs_stages():
    with pytest.raises(InputError, match=r"^rule: sleep needs stages"):
        sleep(nn.Linear(2, 2), torch.zeros(1, 1, 2), BpttSleep(), generator("sleep"))


def make_learner(fraction, **options):
    return BpttSleepLearner(build(), BpttSleep(fraction=fraction, **options), Protocol(1, 4, "direct", 5), 0)


def test_learner_sleeps_when_due():
    x, labels = torch.rand(5, 4, 1, 8, 8, generator=generator("x")), torch.tensor([0, 1, 2, 0])
    learners = {p: make_learner(p) for p in (0.0, 0.5)}
    for learner in learners.values():
        for _ in range(5):
            loss, scores = learner.learn(x, labels)
            assert torch.isfinite(loss)
            assert scores.shape == (4, 3)
        learner.end_epoch()
    assert learners[0.0].diagnostics()["sleeps"] == 0
    assert "silent_neurons" not in learners[0.0].diagnostics()
    assert 0 <= learners[0.5].diagnostics()["silent_neurons"] <= 1
    assert learners[0.5].diagnostics()["sleeps"] == 2
    assert learners[0.5].diagnostics()["training_steps"] == 5
    a, b = (learner.model.output.synapses.weight for learner in learners.values())
    assert not torch.equal(a, b)


def test_without_sleep_it_is_plain_backpropagation():
    x, labels = torch.rand(5, 4, 1, 8, 8, generator=generator("x")), torch.tensor([0, 1, 2, 0])
    mine = make_learner(0.0)
    plain = BpttLearner(build(), Bptt(), Protocol(1, 4, "direct", 5), 0)
    for learner in (mine, plain):
        for _ in range(3):
            learner.learn(x, labels)
    for a, b in zip(mine.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_learner_names_bad_options():
    with pytest.raises(InputError, match=r"^fraction: .*found nan"):
        make_learner(float("nan"))
    with pytest.raises(InputError, match=r"^sigma: no field 'sigma'"):
        make_learner(0.1, sigma=3)


def test_resize():
    x = torch.rand(2, 3, 28, 28)
    same = Resize(15)(x.unsqueeze(0).expand(6, *x.shape))
    assert same.shape == (6, 2, 1, 15, 15)
    torch.testing.assert_close(same, Resize(15)(x.unsqueeze(0).repeat(6, 1, 1, 1, 1)))
    torch.testing.assert_close(same.mean((2, 3, 4))[0], x.mean((1, 2, 3)), atol=0.01, rtol=0)


def test_resized_mlp():
    model = resized_mlp((1, 28, 28), 10, lambda shape: REFERENCE.neuron(NEURONS["lif"], shape), lambda n: nn.Identity())
    assert [tuple(p.shape) for p in model.parameters()] == [(1000, 225), (10, 1000)]
    assert model(torch.rand(3, 2, 1, 28, 28)).shape == (3, 2, 10)
    with pytest.raises(InputError, match=r"^input_shape: "):
        resized_mlp((20,), 10, lambda shape: REFERENCE.neuron(NEURONS["lif"], shape), lambda n: nn.Identity())


@pytest.mark.parametrize("name", SYSTEMS)
def test_rows_are_whole(name):
    rule = SYSTEMS[name].rule
    assert rule.fraction == float(name.removesuffix("-strong").rsplit("-", 1)[1])
    assert (rule.decay == 0.9) == name.endswith("-strong")
    assert Rule.from_dict(SYSTEMS[name].to_dict()["rule"]) == rule
