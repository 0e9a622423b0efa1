import pytest
import torch

from spikemark import NEURONS, get_adapter
from spikemark.methods.ltmd.dropout import ModerateDropout, keep_probability
from spikemark.networks.build import build_network
from spikemark.networks.dropout import Dropout


def activity(seed=0, samples=64, units=200):
    return torch.rand(samples, units, generator=torch.Generator().manual_seed(seed)).double() ** 2


@pytest.mark.parametrize("rate", [0.1, 0.2, 0.4])
def test_the_mean_rate_of_moderate_dropout_is_the_rate(rate):
    keep = keep_probability(activity(), rate)
    assert keep.min() > 0  # nothing clipped
    assert keep.mean().item() == pytest.approx(1 - rate, abs=1e-12)


def test_more_active_units_are_kept_more_often_and_the_most_active_always():
    a = activity()
    keep = keep_probability(a, 0.2)
    assert torch.equal(keep.flatten().argsort(), a.flatten().argsort())
    assert keep.flatten()[a.argmax()] == 1


def test_keep_probability_by_hand_and_clipped():
    a = torch.tensor([[0.0, 1.0], [1.0, 1.0]]).double()  # mean p = 3/4
    torch.testing.assert_close(keep_probability(a, 0.2), torch.tensor([[0.2, 1.0], [1.0, 1.0]]).double())
    torch.testing.assert_close(keep_probability(a, 0.5), torch.tensor([[0.0, 1.0], [1.0, 1.0]]).double())


def test_units_equally_active_are_all_kept_with_the_same_probability():
    assert torch.equal(keep_probability(torch.full((3, 4), 0.3), 0.2), torch.full((3, 4), 0.8))


def test_masks_drop_at_the_mean_rate_and_keep_the_expectation():
    a = activity()
    layer, spikes = ModerateDropout(0.2), a.expand(3, *a.shape)
    out = torch.stack([layer(spikes).unflatten(1, (2, -1)) for _ in range(50)])  # [50, T, 2, B, N]
    dropped = (out[:, 0] == 0).double().mean().item()
    assert dropped == pytest.approx(0.2, abs=0.005)
    assert out.mean().item() == pytest.approx(a.mean().item(), rel=0.01)
    assert torch.equal(out[:, 0], out[:, 1])  # one mask for all steps
    assert not torch.equal(out[:, :, 0], out[:, :, 1])  # two readings, two masks


def test_no_gradient_goes_through_the_probability():
    x = activity().expand(3, 64, 200).clone().requires_grad_()
    layer = ModerateDropout(0.2)
    out = layer(x)
    out.sum().backward()
    keep = keep_probability(x.detach().mean(0), 0.2)
    masks = (out.detach().unflatten(1, (2, -1)) != 0).double()
    expected = (masks / keep).sum(1)
    torch.testing.assert_close(x.grad, torch.where(x > 0, expected, x.grad))


@pytest.mark.parametrize("layer", [Dropout(0.5, each_step=True), Dropout(0.5, each_step=False), ModerateDropout(0.2)])
def test_inference_is_left_alone(layer):
    x = torch.rand(3, 4, 5)
    assert torch.equal(layer.eval()(x), x)


@pytest.mark.parametrize("each_step", [True, False])
def test_masks_of_plain_dropout(each_step):
    out = Dropout(0.25, each_step=each_step)(torch.ones(4, 50, 100))
    assert out.unique().tolist() == pytest.approx([0, 4 / 3])
    assert (out == 0).double().mean().item() == pytest.approx(0.25, abs=0.02)
    assert torch.equal(out[0], out[1]) is not each_step


def masks(seed, name="dropout1"):
    layers = "FC20-BN-SN-DP0.5-FC10-DP0.5-VOTE5"
    options = {"layers": layers}
    model = build_network("layers", get_adapter("reference"), NEURONS["lif"], (4,), 2, seed, options=options)
    return torch.stack([getattr(model, name)(torch.ones(2, 3, 20)) for _ in range(2)])


def test_masks_come_from_a_stream_of_seed_layer_and_draw():
    torch.manual_seed(0)
    first = masks(0)
    torch.manual_seed(1)
    assert torch.equal(first, masks(0))
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, masks(1))
    assert not torch.equal(first, masks(0, "dropout2"))
