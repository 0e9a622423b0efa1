"""The fused kernels against the oracle, beyond what `conformance` sweeps for every adapter."""

import logging
import math
from dataclasses import replace

import pytest
import torch
from fused_cases import (
    ALPHAS,
    CATALOGUE,
    assert_half_precision_sums_in_float32,
    assert_nan_currents_stay_in_their_neuron,
    assert_same,
    dyadic,
    fused,
    gradients,
    layers,
    reference,
    specs,
)
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from spikemark.core.adapter import Unsupported
from spikemark.core.neurons import NEURONS, Learnable, Surrogate
from spikemark.measures.semantics.comparison import conformance
from spikemark_adapters.fused import cpu, kernels, threads
from spikemark_adapters.fused.ops import fused_spikes


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("surrogate", ALPHAS)
def test_every_combination_has_the_oracles_spikes_and_gradients(surrogate, dtype):
    every = 1 if dtype == torch.float32 else 3  # Kernels differ in nothing but the type.
    for spec in list(specs(surrogate))[::every]:
        assert_same(spec, (3, 2), dyadic(4, 5, 3, 2), dtype)


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_conforms(name):
    assert conformance(fused, NEURONS[name], seed=3, steps=(1, 12)).passed


@pytest.mark.parametrize(
    ("batch", "shape"),
    [(1, (1,)), (7, (3,)), (6, (100,)), (3, (256,)), (5, (257,)), (4, (1061,)), (9, (700,)), (2, (3, 16, 8))],
    ids=str,
)
@pytest.mark.parametrize("workers", [1, 2, 3])
def test_every_way_to_cut_the_work_into_tasks_gives_the_same(batch, shape, workers, monkeypatch):
    """Narrow layers are folded, wide ones cut; the order in which threads take the tasks must not matter."""
    monkeypatch.setattr(cpu, "GRAIN", 1)
    torch.set_num_threads(workers)
    spec = replace(NEURONS["stl"], decay=Learnable(0.5, "channel"), decay_input=True)
    assert_same(spec, shape, dyadic(3, batch, *shape), torch.float32)


def test_the_number_of_threads_changes_no_bit(monkeypatch):
    monkeypatch.setattr(cpu, "GRAIN", 1)
    spec, shape = replace(NEURONS["plif"], threshold=Learnable(1.0, "layer")), (600,)
    layer, currents = fused.neuron(spec, shape), torch.rand(5, 40, *shape)
    upstream = torch.randn_like(currents)
    found = []
    for workers in (1, 2, 5):
        torch.set_num_threads(workers)
        spikes, grads = gradients(layer, currents, upstream)
        found.append((spikes, *grads))
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))


@pytest.mark.parametrize("name", CATALOGUE)
def test_ordinary_numbers_round_as_in_the_reference(name):
    """Not only dyadic inputs: training takes the same course in float32."""
    layer, plain = fused.neuron(NEURONS[name], (300,)), reference.neuron(NEURONS[name], (300,))
    layer.load_state_dict(plain.state_dict())
    currents = 3 * torch.rand(20, 30, 300, generator=torch.Generator().manual_seed(0))
    assert torch.equal(layer(currents), plain(currents))


@pytest.mark.parametrize("threshold", [0.0, -0.5])
def test_thresholds_that_fire_at_rest(threshold):
    """Before the first step the membrane is 0 and has not fired, even where 0 reaches the threshold."""
    for reset in ("zero", "subtract", "none"):
        spec = replace(
            NEURONS["plif"], reset=reset, detach_reset=False, threshold=Learnable(threshold, "layer"),
            decay=Learnable(0.5, "layer"),
        )  # fmt: skip
        assert_same(spec, (4,), dyadic(6, 3, 4), torch.float64)


def test_odd_layouts_of_inputs_and_gradients_give_the_same():
    spec, shape = NEURONS["stl"], (6, 4)
    _, layer = layers(spec, shape)
    currents, upstream = dyadic(5, 3, *shape).float(), dyadic(5, 3, *shape, seed=1).float()
    expected = gradients(layer, currents, upstream)
    for spread in (
        lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
        lambda x: torch.cat((x, x), dim=-1)[..., : shape[-1]],
        lambda x: x.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
    ):
        assert not spread(currents).is_contiguous()
        spikes, (by_currents, by_threshold) = gradients(layer, spread(currents), spread(upstream))
        assert spikes.is_contiguous()
        assert torch.equal(spikes, expected[0])
        assert torch.equal(by_currents, expected[1][0])
        assert torch.equal(by_threshold, expected[1][1])
    tracked = currents.detach().clone().requires_grad_()
    layer(tracked).sum().backward()
    assert torch.equal(tracked.grad, gradients(layer, currents, torch.ones_like(currents))[1][0])


@pytest.mark.parametrize("shape", [(4,), (0,)], ids=["no samples", "no neurons"])
def test_empty_inputs_give_empty_spikes_and_zero_gradients(shape):
    layer = fused.neuron(replace(NEURONS["plif"], threshold=Learnable(1.0, "neuron")), shape)
    currents = torch.zeros(3, 0 if shape == (4,) else 2, *shape, requires_grad=True)
    spikes = layer(currents)
    spikes.sum().backward()
    assert spikes.shape == currents.shape == currents.grad.shape
    assert all(p.grad.shape == p.shape and not p.grad.any() for p in layer.learnables().values())


def test_no_time_steps_and_wrong_shapes_and_types_are_the_oracles_errors():
    layer = fused.neuron(NEURONS["lif"], (4,))
    for wrong in (torch.zeros(0, 2, 4), torch.zeros(3, 2, 5), torch.zeros(3, 4)):
        with pytest.raises(ValueError, match="currents have"):
            layer(wrong)
    with pytest.raises(TypeError, match="float16"):
        layer(torch.zeros(3, 2, 4, dtype=torch.float16))


@pytest.mark.parametrize("surrogate", ALPHAS)
def test_bfloat16_rounds_after_each_operation_as_the_reference_does(surrogate):
    """The same spikes, bit for bit; gradients are rounded less often here."""
    for spec in specs(surrogate):
        layer, plain = fused.neuron(spec, (3, 90)).bfloat16(), reference.neuron(spec, (3, 90)).bfloat16()
        layer.load_state_dict(plain.state_dict())
        currents = (3 * torch.rand(6, 5, 3, 90, generator=torch.Generator().manual_seed(0))).bfloat16()
        upstream = dyadic(*currents.shape, seed=1)
        spikes, found = gradients(layer, currents, upstream)
        oracle_spikes, wanted = gradients(plain, currents, upstream)
        assert torch.equal(spikes, oracle_spikes)
        for ours, theirs in zip(found, wanted, strict=True):
            assert ours.dtype == torch.bfloat16
            assert ours.shape == theirs.shape
            error = (ours.double() - theirs.double()).norm() / (theirs.double().norm() + 1e-3)
            assert error < 0.02  # a few roundings to 8 bits; at most 0.011 was found


def test_half_precision_sums_in_float32():
    assert_half_precision_sums_in_float32()


def test_bfloat16_sums_over_groups_of_samples_round_once():
    """600 gradients of 1 a neuron, in groups of 75: five groups are 375, which is no bfloat16, but 600 is."""
    spec = replace(NEURONS["stl"], threshold=Learnable(1.0, "neuron"), surrogate=Surrogate("rectangle", 1.0, 1.0))
    layer = fused.neuron(spec, (256,)).bfloat16()
    layer(torch.ones(1, 600, 256, dtype=torch.bfloat16)).sum().backward()
    assert torch.equal(layer.raw_threshold.grad, torch.full((256,), -600.0, dtype=torch.bfloat16))


def test_float16_layers_say_that_they_cannot():
    layer = fused.neuron(NEURONS["lif"], (4,)).half()
    with pytest.raises(Unsupported, match=r"cpu compute in .*bfloat16, not in torch\.float16"):
        layer(torch.zeros(3, 2, 4, dtype=torch.float16))


def test_nan_currents_do_not_fire_and_stay_in_their_neuron():
    assert_nan_currents_stay_in_their_neuron()


@pytest.mark.parametrize("extreme", [math.inf, -math.inf, 1e38])
def test_overflow_fires_as_in_the_reference(extreme):
    for name in CATALOGUE:
        layer, plain = fused.neuron(NEURONS[name], (4,)), reference.neuron(NEURONS[name], (4,))
        layer.load_state_dict(plain.state_dict())
        currents = dyadic(6, 3, 4).float()
        currents[1:3] = extreme
        assert torch.equal(layer(currents), plain(currents))


def test_only_what_is_trained_gets_a_gradient():
    layer = fused.neuron(NEURONS["diet"], (4,))
    layer.raw_decay.requires_grad_(False)
    currents = dyadic(5, 3, 4).float()
    layer(currents).sum().backward()
    assert layer.raw_threshold.grad is not None
    assert layer.raw_decay.grad is None
    with torch.no_grad():
        assert layer(currents.requires_grad_()).grad_fn is None
    assert fused.neuron(NEURONS["lif"], (4,))(currents.detach()).grad_fn is None


def test_a_second_derivative_is_refused():
    layer = fused.neuron(NEURONS["stl"], (4,))
    currents = dyadic(5, 3, 4).float().requires_grad_()
    (first,) = torch.autograd.grad(layer(currents).sum(), currents, create_graph=True)
    with pytest.raises(RuntimeError, match="fused_gradients"):
        first.sum().backward()


def test_nothing_but_the_inputs_is_kept_for_the_backward_pass():
    layer, kept = fused.neuron(NEURONS["stl"], (4,)), []
    currents = dyadic(5, 3, 4).float().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        layer(currents)
    assert sorted(t.numel() for t in kept) == [1, 4, currents.numel()]


@pytest.mark.parametrize("name", ["stl", "diet"])
def test_torch_accepts_the_operators(name):
    layer = fused.neuron(NEURONS[name], (4,))
    currents = dyadic(5, 3, 4).float().requires_grad_()
    threshold, decay = (p.detach().clone().requires_grad_() for p in (layer.threshold, layer.decay))
    spec = NEURONS[name].to_json()
    torch.library.opcheck(torch.ops.spikemark.fused_spikes.default, (currents, threshold, decay, spec))
    plain = [t.detach() for t in (currents, currents, threshold, decay)]
    for wanted in ((True, True), (False, False)):
        torch.library.opcheck(torch.ops.spikemark.fused_gradients.default, (*plain, spec, *wanted))


@pytest.mark.parametrize("run", [fused_spikes, torch.ops.spikemark.fused_spikes.default], ids=["function", "operator"])
def test_gradcheck_accepts_them_where_the_surrogate_is_no_invention(run):
    """Spikes jump or stay: their derivative is 0, which is that of a surrogate too narrow to reach any membrane."""
    layer = fused.neuron(NEURONS["diet"], (4,)).double()
    inputs = [t.detach().clone().requires_grad_() for t in (dyadic(5, 3, 4) + 0.06, layer.threshold, layer.decay)]

    def checked(width):
        spec = replace(NEURONS["diet"], surrogate=Surrogate("rectangle", width)).to_json()
        return torch.autograd.gradcheck(lambda *tensors: run(*tensors, spec), inputs, raise_exception=False)

    assert checked(1e-3)
    assert not checked(1.0)


class Names(TorchDispatchMode):
    """The names of all operators that are called."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen.append(function.name())
        return function(*args, **(kwargs or {}))


def test_whoever_watches_operators_sees_those_of_the_layer_and_the_same_numbers():
    """With nobody watching, the dispatcher is passed by."""
    layer, currents, upstream = fused.neuron(NEURONS["diet"], (4,)), dyadic(5, 3, 4).float(), torch.ones(5, 3, 4)
    expected = gradients(layer, currents, upstream)
    with Names() as names:
        found = gradients(layer, currents, upstream)
    assert {"spikemark::fused_spikes", "spikemark::fused_gradients"} <= set(names.seen)
    assert torch.equal(found[0], expected[0])
    assert all(torch.equal(a, b) for a, b in zip(found[1], expected[1], strict=True))
    with FakeTensorMode():
        assert fused.neuron(NEURONS["diet"], (4,))(torch.zeros(5, 3, 4)).shape == currents.shape


def test_compiled_networks_hold_the_layer_in_one_graph():
    linear, layer = torch.nn.Linear(3, 4), fused.neuron(NEURONS["plif"], (4,))

    def network(inputs):
        return layer(linear(inputs)).mean(0)

    inputs = torch.rand(5, 2, 3, generator=torch.Generator().manual_seed(0))
    parameters = [*linear.parameters(), *layer.parameters()]
    expected = torch.autograd.grad(network(inputs).square().sum(), parameters)
    compiled = torch.compile(network, backend="aot_eager", fullgraph=True)
    found = torch.autograd.grad(compiled(inputs).square().sum(), parameters)
    assert torch.equal(compiled(inputs), network(inputs))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_one_thread_where_torch_has_no_pool(monkeypatch, caplog):
    monkeypatch.setattr(threads, "_parallel", None)
    monkeypatch.setattr(cpu, "GRAIN", 1)
    torch.set_num_threads(2)
    assert_same(NEURONS["stl"], (300,), dyadic(3, 9, 300), torch.float32)
    monkeypatch.setattr(threads.ctypes, "CDLL", lambda path: object())
    with caplog.at_level(logging.WARNING):
        assert threads._openmp() is None
    assert "one thread" in caplog.text


def test_a_kernel_is_compiled_once_for_all_layers_shapes_and_surrogate_widths():
    kernels.kernel.cache_clear()
    narrow = replace(NEURONS["stl"], surrogate=Surrogate("atan", 2.0))
    for spec, shape in ((narrow, (4,)), (replace(narrow, surrogate=Surrogate("atan", 3.0, 0.5)), (5, 2))):
        currents = dyadic(3, 2, *shape).float().requires_grad_()
        fused.neuron(spec, shape)(currents).sum().backward()
    assert kernels.kernel.cache_info().misses == 2


@pytest.mark.parametrize("steps", [1, 2, 100])
def test_long_and_short_runs_have_the_oracles_gradients(steps):
    """The columns of a task depend on T; decays need the membranes of each step."""
    spec = replace(NEURONS["plif"], decay=Learnable(0.5, "neuron"), threshold=Learnable(0.75, "neuron"))
    assert_same(spec, (300,), dyadic(steps, 2, 300), torch.float64)
