"""LTMD's graded layer against its recursion, in independent code."""

import math

import pytest
import torch

from spikemark.methods.ltmd.graded import GradedNeurons, GradedStage


def by_hand(currents, theta):
    """One neuron, one sample; plain floats."""
    u, o, out = 0.0, 0.0, []
    for c in currents:
        u = 0.25 * (0.0 if o > theta else u) + c
        o = u if u > theta else 0.0
        out.append(o)
    return out


def test_spikes_are_the_membrane_above_the_threshold():
    currents = torch.randn(12, 1, 3, generator=torch.Generator().manual_seed(0)).double()
    out = GradedNeurons().double()(currents)
    for i in range(3):
        assert out[:, 0, i].tolist() == pytest.approx(by_hand(currents[:, 0, i].tolist(), math.tanh(0.5)))
    assert (out > 0).any()
    assert (out == 0).any()


def test_the_slope_is_one_down_to_half_below_the_threshold():
    theta = math.tanh(0.5)
    currents = torch.tensor([theta - 0.6, theta - 0.4, theta + 0.1, 5.0]).double().view(1, 1, 4).requires_grad_()
    GradedNeurons().double()(currents).sum().backward()
    assert currents.grad.flatten().tolist() == [0, 1, 1, 1]


def test_gradients_flow_through_leak_but_not_through_reset():
    theta = math.tanh(0.5)
    currents = torch.tensor([theta - 0.1, theta + 0.2, theta + 0.3]).double().view(3, 1, 1).requires_grad_()
    GradedNeurons().double()(currents)[2].sum().backward()
    assert currents.grad.flatten().tolist() == [0, 0, 1]  # the second spiked, and was reset
    currents.grad = None
    GradedNeurons().double()(currents)[1].sum().backward()
    assert currents.grad.flatten().tolist() == [0.25, 1, 0]


def test_the_authors_threshold_learns_nothing_and_ours_does():
    currents = torch.randn(6, 4, 5, generator=torch.Generator().manual_seed(1)).double()
    fixed, learned = GradedNeurons().double(), GradedNeurons(learn_threshold=True).double()
    out = fixed(currents.requires_grad_())
    out.sum().backward()
    assert fixed.raw_threshold.grad is None
    assert torch.equal(learned(currents), out)
    # With a single step: dL/dk = (1 - theta^2) * sum of -u where |u - theta| < 1/2.
    u = currents.detach()[:1]
    learned(u).sum().backward()
    theta = math.tanh(0.5)
    expected = -(1 - theta**2) * u[(u - theta).abs() < 0.5].sum()
    torch.testing.assert_close(learned.raw_threshold.grad, expected)


def test_lateral_interaction_adds_a_convolution_over_neighbours():
    torch.manual_seed(0)
    stage = GradedStage(7, 9).double()
    seen = []
    stage.neurons.register_forward_hook(lambda module, args, out: seen.append(args[0]))
    x = torch.rand(3, 2, 7).double()
    stage(x)
    currents = x @ stage.synapses.weight.T + stage.synapses.bias
    kernel = stage.lateral.weight.flatten()
    padded = torch.nn.functional.pad(currents, (2, 2))
    neighbours = sum(kernel[k] * padded[..., k : k + 9] for k in range(5))
    torch.testing.assert_close(seen[0], currents + neighbours)


def test_without_lateral_interaction_there_is_none():
    assert GradedStage(7, 9, lateral=0).lateral is None
    assert GradedStage(7, 9, lateral=0)(torch.rand(3, 2, 7)).shape == (3, 2, 9)
