"""A norm, neurons and a pooling as one kernel give what the modules give one after the other."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS, Learnable
from spikemark.core.stages import has_line
from spikemark.measures.semantics.comparison import LIMITS
from spikemark.measures.semantics.stages import all_stage_cases, compare_stage
from spikemark.methods.tebn.normalization import TemporalEffectiveBatchNorm
from spikemark.networks.build import build_network
from spikemark.networks.normalization import JointBatchNorm
from spikemark.networks.stages import Stage, fused_stages
from spikemark_adapters.fused import cpu
from spikemark_adapters.fused.moments import moments
from spikemark_adapters.fused.stages import _Stage

fused = get_adapter("fused")
STL = NEURONS["stl"]


LAST = [4, 8, 16, 48]
"""Channels that kernels know side by side: whole places in a vector, one, and several vectors for a place."""


def stage(shape=(3, 7, 5), pool=None, norm=JointBatchNorm, spec=STL, channels_last=False):
    """A stage of the adapter and a copy whose modules are called one after the other."""
    torch.manual_seed(0)
    synapses, neurons = nn.Conv2d(2, shape[0], 3, padding=1, bias=False), fused.neuron(spec, shape)
    if channels_last:
        synapses.to(memory_format=torch.channels_last)
    whole = Stage(synapses, norm(shape[0]), neurons, pool, out_shape=shape)
    whole.form = fused.stage(whole.norm, neurons, pool)
    one_by_one = copy.deepcopy(whole)
    one_by_one.form = None
    return whole, one_by_one


def samples(steps=4, batch=6, held=False, shape=(2, 7, 5)):
    frames = torch.randint(-8, 17, (1 if held else steps, batch, *shape), generator=torch.Generator().manual_seed(1))
    return (frames / 4).expand(steps, batch, *shape)


def run(module, x):
    spikes = module(x)
    weights = torch.rand(spikes.shape, generator=torch.Generator().manual_seed(2)).to(spikes)
    return spikes.detach(), torch.autograd.grad((spikes * weights).sum(), list(module.parameters()))


def assert_same(pair, x):
    (spikes, found), (wanted, truth) = run(pair[0], x), run(pair[1], x)
    assert torch.equal(spikes, wanted)
    assert wanted.any()
    for gradient, true in zip(found, truth, strict=True):
        torch.testing.assert_close(gradient, true, rtol=1e-5, atol=1e-5 * float(true.abs().max()) + 1e-6)
    torch.testing.assert_close(pair[0].state_dict(), pair[1].state_dict())


@pytest.mark.parametrize("case", all_stage_cases(), ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("channels_last", [True, False])
def test_every_norm_gives_the_spikes_of_its_modules(case, dtype, channels_last):
    case = replace(case, channels_last=channels_last)
    if case.norm == "none" and case.pool is None:
        assert compare_stage(fused, STL, case, getattr(torch, dtype)) is None
        return
    result = compare_stage(fused, STL, case, getattr(torch, dtype))
    assert result.compared_spikes > 0
    assert result.differing_spikes == 0
    assert max(result.errors.values()) < LIMITS[dtype]


@pytest.mark.parametrize(
    "pool",
    [nn.MaxPool2d(2), nn.MaxPool2d(3), nn.AvgPool2d(2), nn.AvgPool2d(3), nn.MaxPool2d(1), nn.AvgPool2d(5)],
    ids=str,
)
@pytest.mark.parametrize("held", [True, False])
@pytest.mark.parametrize("channels", [3, *LAST])
def test_windows_that_do_not_divide_the_plane(pool, held, channels):
    """7 x 5 neurons: edges are dropped, and rows of windows are no multiple of a vector."""
    spec = replace(STL, threshold=Learnable(0.25, "neuron"), decay=Learnable(0.5, "channel"))
    pair = stage((channels, 7, 5), pool, spec=spec, channels_last=channels in LAST)
    assert_same(pair, samples(held=held))


@pytest.mark.parametrize(("steps", "batch"), [(1, 1), (1, 6), (5, 1), (3, 17)])
@pytest.mark.parametrize("channels", [3, *LAST])
def test_odd_batches_and_single_steps(steps, batch, channels):
    assert_same(stage((channels, 7, 5), nn.MaxPool2d(2), channels_last=channels in LAST), samples(steps, batch))


def test_images_of_several_blocks():
    """Where channels come last, a block is as many rows as fit: 40 x 40 x 16 numbers make several."""
    pair = [part.double() for part in stage((16, 41, 40), nn.MaxPool2d(2), channels_last=True)]
    assert_same(pair, samples(3, 2, shape=(2, 41, 40)).double())


def test_channels_stay_last():
    whole, _ = stage((8, 7, 5), nn.MaxPool2d(2), channels_last=True)
    assert whole(samples())[0].is_contiguous(memory_format=torch.channels_last)
    whole, _ = stage((6, 7, 5), nn.MaxPool2d(2), channels_last=True)  # a number that no kernel knows
    assert whole(samples()).is_contiguous()


@pytest.mark.parametrize("channels", [3, 8])
def test_the_number_of_threads_changes_no_bit(monkeypatch, channels):
    monkeypatch.setattr(cpu, "GRAIN", 1)
    whole, _ = stage((channels, 7, 5), pool=nn.MaxPool2d(2))
    currents, before, found = samples(shape=whole.neurons.shape), torch.get_num_threads(), []
    if channels in LAST:
        currents = currents.movedim(2, -1).contiguous().movedim(-1, 2)
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            again = copy.deepcopy(whole)
            x = currents.clone().requires_grad_()
            spikes = again.form(x, len(x), again.norm, again.neurons, again.pool)
            wanted = [x, *again.norm.parameters(), *again.neurons.parameters()]
            found.append([spikes, *torch.autograd.grad(spikes.square().sum(), wanted), *again.norm.buffers()])
    finally:
        torch.set_num_threads(before)
    for tensors in found[1:]:
        assert all(map(torch.equal, tensors, found[0]))


@pytest.mark.parametrize("shape", [(4, 6, 3, 1), (4, 6, 3, 7, 9), (2, 9, 40, 5), (3, 4, 8, 3, 5), (3, 4, 32, 3, 5)])
@pytest.mark.parametrize("per_step", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_moments_of_far_off_values(shape, per_step, dtype):
    """A mean of 10,000 and a deviation of 1 leave float32 few digits; sums in float64 lose none of them."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(3)) + 1e4
    axes = tuple(axis for axis in range(x.dim()) if axis != 2 and not (per_step and axis == 0))
    variance, mean = torch.var_mean(x.double(), axes, correction=0)
    for channels_last in (False, True) if shape[2] in (8, 32) else (False,):
        laid_out = x.movedim(2, -1).contiguous().movedim(-1, 2) if channels_last else x
        found = moments(laid_out.to(dtype), per_step=per_step, channels_last=channels_last)
        torch.testing.assert_close(found[0], mean.to(dtype).view(-1, shape[2]), rtol=1e-6, atol=0)
        torch.testing.assert_close(found[1], variance.to(dtype).view(-1, shape[2]), rtol=1e-6, atol=0)


def test_a_constant_channel_has_no_variance():
    assert torch.equal(moments(torch.full((2, 3, 4, 5, 5), 1e6), per_step=False)[1], torch.zeros(1, 4))


def test_nan_spreads_as_far_as_through_the_modules():
    x = samples().clone()
    x[1, 2, 0, 3, 3] = torch.nan
    whole, one_by_one = stage(pool=nn.MaxPool2d(2))
    (spikes, _), (wanted, _) = run(whole, x), run(one_by_one, x)
    assert torch.equal(spikes, wanted)


@pytest.mark.parametrize("part", ["norm", "neurons", "pool"])
def test_who_watches_a_module_sees_it_called(part):
    whole, _ = stage(pool=nn.MaxPool2d(2))
    seen = []
    handle = getattr(whole, part).register_forward_hook(lambda module, given, spikes: seen.append(spikes.shape))
    whole(samples())
    assert len(seen) == 1
    handle.remove()
    whole(samples())
    assert len(seen) == 1


def test_a_stage_is_computed_as_one_where_nobody_watches(monkeypatch):
    calls = []
    monkeypatch.setattr(_Stage, "apply", lambda *given: calls.append(given) or _Stage.forward)
    whole, one_by_one = stage()
    whole(samples())
    one_by_one(samples())
    assert len(calls) == 1


def test_other_modules_in_its_place_are_called():
    whole, _ = stage(shape=(3, 7, 5))
    whole.neurons = nn.Identity()
    x = samples()
    assert torch.equal(whole(x), whole.norm(whole.synapses(x.flatten(0, 1)).unflatten(0, x.shape[:2])))


@pytest.mark.parametrize(
    "pool", [nn.MaxPool2d(2, stride=1), nn.MaxPool2d(2, ceil_mode=True), nn.AvgPool2d(2, padding=1), nn.LPPool2d(2, 2)]
)
def test_poolings_of_another_kind_are_left_alone(pool):
    assert fused.stage(JointBatchNorm(3), fused.neuron(STL, (3, 4, 4)), pool) is None


def test_a_norm_that_computes_something_else_is_left_alone():
    class Doubled(JointBatchNorm):
        def forward(self, x):
            return 2 * super().forward(x)

    assert has_line(JointBatchNorm(3))
    assert not has_line(Doubled(3))
    assert fused.stage(Doubled(3), fused.neuron(STL, (3, 4, 4)), None) is None


def test_errors_are_those_of_the_modules():
    whole, _ = stage(norm=lambda channels: TemporalEffectiveBatchNorm(channels, 3))
    with pytest.raises(ValueError, match="made for 3 steps; the currents have 4"):
        whole(samples())
    whole, _ = stage(shape=(3, 1, 1))
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        whole(torch.zeros(1, 1, 2, 1, 1))


def test_networks_say_what_is_computed_as_one():
    network = build_network("convnet", fused, STL, (1, 12, 12), 3, 0)
    pooled = ["norm", "neurons", "max pooling"]
    assert fused_stages(network, "cpu") == {"conv1": pooled, "conv2": pooled}
    weights = [stage.synapses.weight for stage in (network.conv1, network.conv2)]
    assert [weight.stride()[1] for weight in weights] == [1, 1]
    elsewhere = copy.deepcopy(network).to("meta")  # where nothing is computed as one
    assert elsewhere.conv2.synapses.weight.is_contiguous()
    plain = build_network("convnet", get_adapter("reference"), STL, (1, 12, 12), 3, 0)
    assert torch.equal(weights[1], plain.conv2.synapses.weight)
    assert fused_stages(network, "cuda") == {}
    assert fused_stages(build_network("convnet", get_adapter("reference"), STL, (1, 12, 12), 3, 0), "cpu") == {}
