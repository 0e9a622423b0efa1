"""Every normalisation against its equations, written out."""

import pytest
import torch
from torch import nn

from spikemark import NEURONS, get_adapter
from spikemark.errors import InputError
from spikemark.networks.build import build_network
from spikemark.networks.normalization import NORMALIZATIONS, Surroundings

T, B, C = 4, 5, 3
SHAPES = [(T, B, C), (T, B, C, 6, 6)]


def currents(shape, seed=0):
    drift = torch.arange(1.0, shape[0] + 1).view(-1, *(1 for _ in shape[1:]))  # steps differ in mean and spread
    return (drift * torch.randn(shape, generator=torch.Generator().manual_seed(seed)) + drift).double()


def make(name, threshold=1.0):
    norm = NORMALIZATIONS[name](C, Surroundings(T, threshold)).double()
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for module in norm.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.bias.copy_(torch.randn(C, generator=random))
    return norm


def standardised(x, axes):
    mean = x.mean(axes, keepdim=True)
    variance = ((x - mean) ** 2).mean(axes, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


def per_channel(values, x):
    return values.view(1, 1, C, *(1 for _ in x.shape[3:]))


def axes_of(x, *, time):
    return (*((0,) if time else ()), 1, *range(3, x.dim()))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["joint-bn", "tdbn", "tebn"])
def test_joint_statistics(name, shape):
    norm, x = make(name), currents(shape)
    expected = standardised(x, axes_of(x, time=True)) + per_channel(norm.bias, x)
    torch.testing.assert_close(norm(x), expected)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", ["step-bn", "bntt"])
def test_statistics_of_each_step(name, shape):
    norm, x = make(name), currents(shape)
    bias = torch.stack([m.bias for m in norm]) if name == "bntt" else norm.bias.expand(T, C)
    bias = bias.view(T, 1, C, *(1 for _ in shape[3:]))
    torch.testing.assert_close(norm(x), standardised(x, axes_of(x, time=False)) + bias)


def test_step_bn_moves_its_running_statistics_at_every_step():
    norm, x = make("step-bn"), currents(SHAPES[0])
    norm(x)
    mean, variance = torch.zeros(C).double(), torch.ones(C).double()
    for step in x:
        mean = 0.9 * mean + 0.1 * step.mean(0)
        variance = 0.9 * variance + 0.1 * step.var(0)
    torch.testing.assert_close(norm.running_mean, mean)
    torch.testing.assert_close(norm.running_var, variance)
    norm.eval()
    expected = (x - mean) / (variance + 1e-5).sqrt() + per_channel(norm.bias, x)
    torch.testing.assert_close(norm(x), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_tebn_at_p_of_one_is_joint_bn_forward_backward_and_in_its_statistics(shape):
    results = []
    for name in ("tebn", "joint-bn"):
        norm, x = make(name), currents(shape).requires_grad_()
        out = norm(x)
        (out**3).sum().backward()
        norm.eval()
        results.append([out, x.grad, norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var, norm(x)])
    for ours, theirs in zip(*results, strict=True):
        assert torch.equal(ours, theirs)


def test_tebn_weighs_steps_and_p_gets_the_papers_gradient():
    norm, x = make("tebn"), currents(SHAPES[1])
    p = torch.tensor([0.5, 1.0, 2.0, -1.0]).double()
    with torch.no_grad():
        norm.p.copy_(p)
    upstream = torch.randn(x.shape, generator=torch.Generator().manual_seed(2)).double()
    out = norm(x)
    (upstream * out).sum().backward()
    plain = standardised(x, axes_of(x, time=True)) + per_channel(norm.bias, x)
    torch.testing.assert_close(out, p.view(-1, 1, 1, 1, 1) * plain)
    torch.testing.assert_close(norm.p.grad, (upstream * plain).sum((1, 2, 3, 4)))


def test_tdbn_normalises_to_the_threshold_and_is_joint_bn_where_that_is_one():
    x = currents(SHAPES[0])
    scaled, plain = make("tdbn", threshold=0.5)(x), make("joint-bn")(x)
    bias = per_channel(make("joint-bn").bias, x)
    torch.testing.assert_close(scaled - bias, 0.5 * (plain - bias))
    assert torch.equal(make("tdbn", threshold=1.0)(x), plain)


@pytest.mark.parametrize("name", ["tebn", "bntt"])
def test_parameters_of_every_step_need_their_number(name):
    with pytest.raises(InputError, match="number of steps must be given"):
        build_network("mlp", get_adapter("reference"), NEURONS["lif"], (4,), 2, 0, normalization=name)
    model = build_network("mlp", get_adapter("reference"), NEURONS["lif"], (4,), 2, 0, normalization=name, steps=T)
    with pytest.raises(ValueError, match="made for 4 steps; the currents have 3"):
        model(torch.rand(3, 5, 4))


def test_the_first_value_of_tdbns_gain_survives_the_drawing_of_first_weights():
    model = build_network("mlp", get_adapter("reference"), NEURONS["stl"], (4,), 2, 0, normalization="tdbn")
    assert model.output.norm.weight.eq(2.0).all()
