import math

import pytest
import torch
from spikemark.methods.controls.adaptive import Adaptation, AdaptiveLayer

from spikemark import NEURONS, SYSTEMS, get_adapter
from spikemark.core.adapter import Unsupported
from spikemark.core.streams import generator
from spikemark.errors import InputError
from spikemark.networks.build import build_network
from spikemark.noise.case import NOISES, Case


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


def test_spikes_raise_the_threshold_which_falls_back():
    currents = 3 * torch.rand(40, 1, 4, generator=torch.Generator().manual_seed(0)).double()
    layer = AdaptiveLayer(NEURONS["lif"], (4,), Adaptation(1.6, 4.0)).double()
    out = layer(currents)
    plain = get_adapter("reference").neuron(NEURONS["lif"], (4,)).double()(currents)
    for i in range(4):
        spikes, thresholds = by_hand(currents[:, 0, i].tolist(), 1.6, 4.0)
        assert out[:, 0, i].tolist() == spikes
        assert max(thresholds) > 1.3
    assert 0 < out.sum() < plain.sum()


@pytest.mark.parametrize("neuron", NEURONS)
def test_without_rise_it_is_the_plain_neuron_spikes_and_gradients(neuron):
    results = []
    for make in (
        lambda spec, shape: AdaptiveLayer(spec, shape, Adaptation(0.0, 4.0), generator=generator("j")),
        lambda spec, shape: get_adapter("reference").neuron(spec, shape, generator=generator("j")),
    ):
        layer = make(NEURONS[neuron], (6,)).double()
        x = (4 * torch.rand(8, 3, 6, generator=torch.Generator().manual_seed(1))).double().requires_grad_()
        out = layer(x)
        (out * torch.arange(8.0).view(8, 1, 1)).sum().backward()
        results.append([out, x.grad, *(p.grad for p in layer.learnables().values())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)


def build(framework):
    row = SYSTEMS["mlp-alif"]
    return build_network(row.network, get_adapter(framework), row.spec, (16,), 4, 0, options=row.options)


def test_only_the_reference_offers_it():
    assert all(isinstance(layer, AdaptiveLayer) for layer in build("reference").spiking_layers())
    with pytest.raises(Unsupported, match=r"adaptation: .* no part of a neuron spec, so snntorch"):
        build("snntorch")


def test_mismatch_of_its_neurons_is_refused_instead_of_replacing_them():
    case = Case(build("reference"), torch.rand(2, 16), torch.zeros(2), lambda x, g: x[None], get_adapter("reference"))
    with (
        pytest.raises(InputError, match="reference cannot do so for a AdaptiveLayer"),
        NOISES["threshold-mismatch"].apply(case, 1, generator("a")),
    ):
        pass


def test_a_time_constant_is_positive():
    with pytest.raises(InputError, match="adaptation: tau: 0 is not positive"):
        Adaptation(1.0, 0)
