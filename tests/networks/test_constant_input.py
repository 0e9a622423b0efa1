"""A constant input is computed once; spikes, gradients and running statistics are those of computing it every step."""

from dataclasses import replace

import pytest
import torch

from spikemark import NEURONS, Learnable, count_operations, get_adapter
from spikemark.methods.tebn.normalization import ThresholdBatchNorm
from spikemark.networks.build import build_network
from spikemark.networks.normalization import JointBatchNorm, StepBatchNorm
from spikemark.networks.stages import is_constant, over_time

STEPS = 5
NEURON = replace(NEURONS["stl"], threshold=Learnable(0.1, "neuron", jitter=0.02))


def frames(shape=(6, 1, 12, 12)):
    return torch.rand(shape, generator=torch.Generator().manual_seed(0)).double()


def test_a_view_that_does_not_move_is_constant_and_nothing_else():
    x = frames()
    assert is_constant(x.expand(3, *x.shape))
    assert not is_constant(x.expand(3, *x.shape).clone())
    assert not is_constant(x.expand(1, *x.shape))


@pytest.mark.parametrize("kind", [JointBatchNorm, StepBatchNorm, lambda c: ThresholdBatchNorm(c, 0.5)])
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 4, 4)])
def test_norms_keep_their_statistics(kind, momentum, shape):
    once, stepwise = kind(3).double(), kind(3).double()
    for norm in (once, stepwise):
        norm.momentum = momentum
    x = frames(shape)
    for _ in range(3):
        outputs = [once(x.expand(STEPS, *shape)), stepwise(x.expand(STEPS, *shape).clone())]
        torch.testing.assert_close(*outputs)
        x = x.roll(1, 0) * 1.3 + 0.1
    torch.testing.assert_close(once.state_dict(), stepwise.state_dict())
    once.eval()
    stepwise.eval()
    torch.testing.assert_close(once(x.expand(STEPS, *shape)), stepwise(x.expand(STEPS, *shape).clone()))


def test_one_value_per_channel_is_normalised_over_the_steps():
    norm, x = JointBatchNorm(3), torch.tensor([[0.25, 0.5, -1.75]])  # whose sums over the steps are exact
    assert torch.equal(norm(x.expand(STEPS, 1, 3)), torch.zeros(STEPS, 1, 3))


@pytest.mark.parametrize("name", ["mlp", "convnet"])
@pytest.mark.parametrize("norm", ["joint-bn", "step-bn", "tdbn", "tebn", "bntt", "none"])
@pytest.mark.parametrize("framework", ["reference", "snntorch", "norse", "spikingjelly"])
def test_networks_give_the_same_spikes_and_gradients(name, norm, framework):
    models = [
        build_network(name, get_adapter(framework), NEURON, (1, 12, 12), 3, 0, normalization=norm, steps=STEPS).double()
        for _ in range(2)
    ]
    x = 4 * frames()
    inputs = [x.expand(STEPS, *x.shape).requires_grad_(), x.expand(STEPS, *x.shape).clone().requires_grad_()]
    outputs = [model(given) for model, given in zip(models, inputs, strict=True)]
    assert torch.equal(*outputs)
    assert outputs[0].sum() > 0
    weights = torch.randn(outputs[0].shape, generator=torch.Generator().manual_seed(1)).double()
    for output in outputs:
        (output * weights).sum().backward()
    for once, stepwise in zip(models[0].parameters(), models[1].parameters(), strict=True):
        torch.testing.assert_close(once.grad, stepwise.grad, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(models[0].state_dict(), models[1].state_dict(), rtol=1e-9, atol=1e-12)


def test_synapses_see_the_frame_once():
    seen = []
    layer = torch.nn.Linear(4, 2)
    layer.register_forward_pre_hook(lambda module, given: seen.append(tuple(given[0].shape)))
    over_time(layer, torch.rand(6, 4).expand(STEPS, 6, 4))
    over_time(layer, torch.rand(STEPS, 6, 4))
    assert seen == [(6, 4), (STEPS * 6, 4)]


def test_operations_are_counted_at_every_step():
    model = build_network("mlp", get_adapter("reference"), NEURONS["stl"], (1, 12, 12), 3, 0).eval()
    x = torch.rand(2, 1, 12, 12)
    constant, copied = (
        count_operations(model, given) for given in (x.expand(STEPS, *x.shape), x.repeat(STEPS, 1, 1, 1, 1))
    )
    assert constant == copied
