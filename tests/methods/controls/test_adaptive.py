"""Thresholds that follow the spikes, against the equations once more, in Python that shares no code with the oracle."""

import math
from dataclasses import replace

import pytest
import torch

from installed import INSTALLED
from spikemark.core.adapter import Unsupported
from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS, Adaptation, Learnable, NeuronSpec
from spikemark.core.streams import generator
from spikemark.noise.case import NOISES, Case
from spikemark.training.build import build_system
from spikemark.training.system import SYSTEMS

SPECS = [name for name, neuron in NEURONS.items() if isinstance(neuron, NeuronSpec)]


def reference(spec, shape, **options):
    return get_adapter("reference").neuron(spec, shape, **options).double()


def by_hand(currents, beta, tau):
    """LIF of tau 2 with adaptation, one neuron; plain floats."""
    v, b, rho, spikes, thresholds = 0.0, 0.0, math.exp(-1 / tau), [], []
    for x in currents:
        u = 0.5 * v + 0.5 * x
        threshold = 1 + beta * b
        o = 1.0 if u >= threshold else 0.0
        b = rho * b + (1 - rho) * o
        v = u * (1 - o)
        spikes.append(o)
        thresholds.append(threshold)
    return spikes, thresholds


@pytest.mark.parametrize(("name", "tau", "highest"), [("alif", 4.0, 1.3), ("alif-slow", 200.0, 1.05)])
def test_spikes_raise_the_threshold_which_falls_back(name, tau, highest):
    currents = 3 * torch.rand(40, 1, 4, generator=torch.Generator().manual_seed(0)).double()
    out = reference(NEURONS[name], (4,))(currents)
    plain = reference(NEURONS["lif"], (4,))(currents)
    for i in range(4):
        spikes, thresholds = by_hand(currents[:, 0, i].tolist(), 1.6, tau)
        assert out[:, 0, i].tolist() == spikes
        assert max(thresholds) > highest
    assert 0 < out.sum() < plain.sum()


@pytest.mark.parametrize("reset", ["zero", "subtract", "none"])
def test_a_reset_takes_the_threshold_away_not_its_rise(reset):
    adaptation = Adaptation(decay=Learnable(0.5), strength=Learnable(2.0))
    layer = reference(replace(NEURONS["lif"], reset=reset, decay_input=False, adaptation=adaptation), (1,))
    # u = 3, a spike, e = 1/2 and theta = 2; then u = 2.5 + v / 2, and again a spike where v was not below -1.
    v = {"zero": 0.0, "subtract": 2.0, "none": 3.0}[reset]
    second = 2.0 - v / 2  # just enough
    for x, fires in ((second, 1.0), (second - 2**-20, 0.0)):
        assert layer(torch.tensor([3.0, x]).double().reshape(2, 1, 1)).flatten().tolist() == [1.0, fires]
    # The second spike at u = 2 gives e = 3/4 and theta = 2.5.
    v = {"zero": 0.0, "subtract": 1.0, "none": 2.0}[reset]
    third = 2.5 - v / 2
    for x, fires in ((third, 1.0), (third - 2**-20, 0.0)):
        assert layer(torch.tensor([3.0, second, x]).double().reshape(3, 1, 1)).flatten().tolist() == [1.0, 1.0, fires]


@pytest.mark.parametrize("neuron", SPECS)
def test_without_rise_it_is_the_plain_neuron_spikes_and_gradients(neuron):
    results = []
    plain = replace(NEURONS[neuron], adaptation=None)
    for spec in (plain, replace(plain, adaptation=Adaptation(Learnable(0.75), Learnable(0.0)))):
        layer = reference(spec, (6,), generator=generator("j"))
        x = (4 * torch.rand(8, 3, 6, generator=torch.Generator().manual_seed(1))).double().requires_grad_()
        out = layer(x)
        (out * torch.arange(8.0).view(8, 1, 1)).sum().backward()
        results.append([out, x.grad, *(p.grad for p in layer.learnables().values())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_gradients_are_those_of_a_walk_back_through_time():
    """LIF of tau 2 and atan, reset detached; the gradient goes through the spikes that raise the threshold."""
    steps, rho, strength, theta = 12, 0.75, 1.5, 1.0
    adaptation = Adaptation(Learnable(rho, "layer"), Learnable(strength, "layer"))
    layer = reference(replace(NEURONS["lif"], adaptation=adaptation, threshold=Learnable(theta, "layer")), (1,))
    rng = torch.Generator().manual_seed(2)
    x = (4 * torch.rand(steps, 1, 1, generator=rng)).double().requires_grad_()
    w = torch.randn(steps, 1, 1, generator=rng).double()
    spikes = layer(x)
    found = torch.autograd.grad(spikes, [x, *layer.learnables().values()], w)

    v, e, us, es, o = 0.0, 0.0, [], [], spikes.flatten().tolist()
    for t in range(steps):
        us.append(0.5 * v + 0.5 * x[t].item())
        es.append(e)
        v, e = us[t] * (1 - o[t]), rho * e + (1 - rho) * o[t]
    by_x, by_theta, by_rho, by_strength, by_u, by_e = [0.0] * steps, 0.0, 0.0, 0.0, 0.0, 0.0
    for t in reversed(range(steps)):
        slope = 1 / (1 + (math.pi * (us[t] - theta - strength * es[t])) ** 2)
        by_o = w[t].item() + (1 - rho) * by_e
        by_rho += by_e * (es[t] - o[t])
        by_theta -= by_o * slope
        by_strength -= by_o * slope * es[t]
        by_e = rho * by_e - by_o * slope * strength
        by_u = by_o * slope + 0.5 * (1 - o[t]) * by_u
        by_x[t] = 0.5 * by_u
    assert 2 < sum(o) < steps - 2
    assert max(es) > 0.3
    for ours, theirs in zip(found, (by_x, by_theta, by_rho, by_strength), strict=True):
        torch.testing.assert_close(
            ours, torch.tensor(theirs, dtype=torch.float64).view(ours.shape), rtol=1e-12, atol=1e-14
        )


def build(framework):
    return build_system(SYSTEMS["mlp-alif"], get_adapter(framework), (16,), 4, 0)


def test_every_framework_has_it_or_says_so():
    for name in ("reference", "snntorch", "spikingjelly", "norse"):
        assert [layer.spec for layer in build(name).spiking_layers()] == [NEURONS["alif"]] * 2
    without = [name for name in INSTALLED if not get_adapter(name).adapts]
    assert without == ["fused"]
    for name in without:
        with pytest.raises(Unsupported, match=f"adaptation: {name} has no thresholds that follow the spikes"):
            build(name)


def test_mismatch_of_its_neurons_leaves_the_adaptation_as_it_is():
    case = Case(build("reference"), torch.rand(2, 16), torch.zeros(2), lambda x, g: x[None], get_adapter("reference"))
    with NOISES["threshold-mismatch"].apply(case, 1, generator("a")) as noisy:
        made = list(noisy.model.spiking_layers())
    assert [layer.spec.adaptation for layer in made] == [NEURONS["alif"].adaptation] * 2
    assert made[0].threshold.std() > 0
