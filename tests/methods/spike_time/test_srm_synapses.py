import copy
from itertools import pairwise

import pytest
import torch
from torch.nn import functional as F

from spikemark import NEURONS, count_operations, get_adapter
from spikemark.errors import InputError
from spikemark.methods.spike_time.neuron import Kernel, SrmLayer
from spikemark.methods.spike_time.synapses import (
    AdjustedAvgPool2d,
    StandardisedConv2d,
    StandardisedLinear,
    standardised,
    transfer_scale,
)
from spikemark.networks.build import build_network


def network(name="srm-mnist-small", shape=(1, 28, 28), seed=0, **options):
    return build_network(
        name, get_adapter("reference"), NEURONS["srm"], shape, 10, seed, normalization="none", options=options
    )


def test_weights_are_standardised_per_output():
    layer = StandardisedConv2d(3, 5, 3).double()
    with torch.no_grad():
        layer.gamma.copy_(torch.arange(1, 6))
        layer.beta.fill_(0.5)
    rows = standardised(layer).flatten(1)
    assert torch.allclose(rows.mean(1), torch.full((5,), 0.5).double())
    assert torch.allclose(rows.std(1), torch.arange(1, 6).double(), rtol=1e-3)


@pytest.mark.parametrize("layer", [StandardisedLinear(30, 8), StandardisedConv2d(3, 8, 3, padding=1)])
def test_transfer_leaves_spikes_unchanged(layer):
    random = torch.Generator().manual_seed(0)
    shape = (8,) if isinstance(layer, StandardisedLinear) else (8, 7, 7)
    x = (torch.rand(6 * 9, *((30,) if len(shape) == 1 else (3, 7, 7)), generator=random) < 0.4).double()
    layer, neurons = copy.deepcopy(layer).double(), SrmLayer(Kernel(), shape).double()
    with torch.no_grad():
        layer.gamma.copy_(0.3 + 2 * torch.rand(8, generator=random))
        layer.beta.copy_(0.3 * torch.randn(8, generator=random))
    before = neurons(layer(x).unflatten(0, (6, 9)))
    first = neurons.thresholds.clone()
    transfer_scale(layer, neurons.thresholds)
    assert torch.equal(neurons(layer(x).unflatten(0, (6, 9))), before)
    assert 0.05 < before.mean() < 0.95
    assert torch.equal(layer.gamma, torch.ones(8).double())
    assert not torch.equal(neurons.thresholds, first)


def test_transfer_refuses_a_gain_that_is_not_positive():
    layer = StandardisedLinear(3, 2)
    with torch.no_grad():
        layer.gamma[1] = 0.0
    with pytest.raises(ValueError, match="gamma: 0 is not positive"):
        transfer_scale(layer, torch.ones(2))


def test_the_path_to_times_is_the_transposed_layer_where_spikes_are():
    random = torch.Generator().manual_seed(0)
    layer = StandardisedConv2d(3, 4, 3, padding=1).double()
    spikes = (torch.rand(5, 3, 6, 6, generator=random) < 0.5).double().requires_grad_()
    upstream = torch.randn(5, 4, 6, 6, generator=random, dtype=torch.float64)
    token = layer.times(spikes)
    assert token.abs().sum() == 0
    token.backward(upstream)
    plain = spikes.detach().clone().requires_grad_()
    F.conv2d(plain, standardised(layer).detach(), padding=1).backward(upstream)
    assert torch.allclose(spikes.grad, plain.grad * (plain > 0))


def test_pooling_shares_a_gradient_among_the_spikes_of_its_window():
    spikes = torch.tensor([[1.0, 0, 1, 1, 1], [1, 0, 1, 1, 1], [1, 1, 1, 1, 1]]).view(1, 1, 3, 5).requires_grad_()
    out = AdjustedAvgPool2d(2)(spikes)
    assert out.tolist() == [[[[0.5, 1.0]]]]
    out.backward(torch.tensor([[[[3.0, 8.0]]]]))
    assert spikes.grad[0, 0].tolist() == [[1.5, 1.5, 2, 2, 0], [1.5, 1.5, 2, 2, 0], [0, 0, 0, 0, 0]]


def expected_parameters(shape, kernels, widths):
    """Weights plus a gain and an offset an output."""
    total, channels, side = 0, shape[0], shape[1]
    for width, kernel in kernels:
        total += width * channels * kernel**2 + 2 * width
        channels, side = width, (side - kernel + 1) // 2
    fan_in = channels * side**2
    for width in widths:
        total, fan_in = total + width * (fan_in + 2), width
    return total


@pytest.mark.parametrize(
    ("name", "shape", "kernels", "widths"),
    [
        ("srm-mnist", (1, 28, 28), [(15, 5), (40, 5)], [300, 10]),
        ("srm-fashion", (1, 28, 28), [(32, 5), (64, 5)], [1024, 10]),
        ("srm-nmnist", (2, 34, 34), [(12, 5), (64, 5)], [10]),
    ],
)
def test_published_layouts(name, shape, kernels, widths):
    model = network(name, shape)
    assert sum(p.numel() for p in model.parameters()) == expected_parameters(shape, kernels, widths)
    assert model(torch.rand(3, 2, *shape)).shape == (3, 2, 10)


def test_published_vgg():
    model = build_network(
        "srm-vgg", get_adapter("reference"), NEURONS["srm"], (3, 32, 32), 10, 0, normalization="none", meta=True
    )
    widths = [3, 128, 128, 256, 256, 256, 512, 512, 512]
    convolutions = sum(9 * a * b + 2 * b for a, b in pairwise(widths))
    linear = sum(b * (a + 2) for a, b in ((512 * 16, 2048), (2048, 2048), (2048, 10)))
    assert sum(p.numel() for p in model.parameters()) == convolutions + linear
    assert [stage.dropout is not None for stage in model.stages()] == [i in (1, 4, 7, 8, 9) for i in range(11)]


def test_masks_come_from_the_seed_and_not_from_the_global_generator():
    x, scores = torch.rand(4, 2, 3, 32, 32), []
    for number in (1, 2):
        model = network("srm-vgg-small", (3, 32, 32)).train()
        torch.manual_seed(number)
        scores.append([model(x), model(x)])
    assert torch.equal(scores[0][0], scores[1][0])
    assert torch.equal(scores[0][1], scores[1][1])
    assert not torch.equal(scores[0][0], scores[0][1])  # each call draws its own mask


def test_thresholds_travel_with_the_state():
    model, other, x = network(), network(seed=1), torch.rand(5, 4, 1, 28, 28)
    for layer in model.spiking_layers():
        layer.thresholds.uniform_(0.5, 2.0)
    scores = model(x)
    other.load_state_dict(model.state_dict())
    assert torch.equal(other(x), scores)
    assert scores.sum() > 0


def test_scores_let_earlier_spikes_win():
    spikes = torch.zeros(5, 1, 2)
    spikes[1, 0, 0] = spikes[3, 0, 1] = 1
    scores = network().scores(spikes).sum(0)[0]
    assert scores.tolist() == pytest.approx([1.08, 1.04])


def test_forward_has_no_gradient_and_operations_are_counted():
    model, x = network(), torch.rand(4, 2, 1, 28, 28).requires_grad_()
    assert not model(x).requires_grad
    counted = count_operations(model, x.detach())
    assert [layer.kind for layer in counted.layers] == ["analog", "graded", "graded"]
    assert len(counted.spiking) == 3


def test_a_wrong_layout_is_named():
    for layers, message in (
        ("8C5-x3", "'x3' is no layer"),
        ("8C5-SN-FC1K", "no layer 'SN'"),
        ("AP2-FC1K", "AP2 stands without a convolution or FC before it"),
        ("C5-FC1K", "'C5' lacks the number of its kernels"),
        ("FC20-8C5-FC1K", "8C5 takes images"),
        ("8C5-FC20", r"ends in \[20\], not in one score for each of 10 classes"),
    ):
        with pytest.raises(InputError, match=f"^layers: .*{message}"):
            network("srm-mnist-small", layers=layers)
    with pytest.raises(InputError, match="does not fit"):
        network("srm-mnist", (1, 6, 6))
    with pytest.raises(InputError, match=r"tau_m: 2\.0 is not above tau_s"):
        network("srm-mnist-small", tau_m=2.0)
