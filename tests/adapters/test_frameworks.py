"""What every adapter's layers must stand: copies, types, odd inputs, and their own defaults beside the matched ones."""

import copy
import gc
import math
import pickle
import weakref
from dataclasses import replace

import pytest
import torch

from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS, Adaptation, Learnable, NeuronSpec

FRAMEWORKS = ["spikingjelly", "snntorch", "norse"]
CATALOGUE = {name: spec for name, spec in NEURONS.items() if isinstance(spec, NeuronSpec)}
# Together these take every route of every framework.
SPECS = {
    **CATALOGUE,
    "soft": replace(NEURONS["stl"], reset="subtract"),
    "soft-fixed": replace(NEURONS["lif"], reset="subtract", fires_at_threshold=False),
    "unbounded": replace(NEURONS["lif"], decay=Learnable(0.5, "channel")),
    "no-reset": replace(NEURONS["stl"], reset="none"),
    "adapting": replace(
        NEURONS["stl"], adaptation=Adaptation(Learnable(0.5, "channel", "sigmoid"), Learnable(0.25, "neuron"))
    ),
    "no-reset-unbounded": replace(NEURONS["lif"], reset="none", decay=Learnable(0.5, "channel")),
}
SHAPE = (3, 4)
pairs = pytest.mark.parametrize(
    ("framework", "spec"),
    [
        pytest.param(framework, spec, id=f"{framework}-{name}")
        for framework in FRAMEWORKS
        for name, spec in SPECS.items()
    ],
)


def make(framework, spec):
    return get_adapter(framework).neuron(spec, SHAPE, generator=torch.Generator().manual_seed(5))


def currents(steps=6, batch=5, seed=0):
    return 3 * torch.rand(steps, batch, *SHAPE, generator=torch.Generator().manual_seed(seed)) - 0.5


@pairs
def test_the_parameters_are_the_references_and_nothing_else_is_kept(framework, spec):
    ours, reference = make(framework, spec).state_dict(), make("reference", spec).state_dict()
    assert ours.keys() == reference.keys()
    assert all(torch.equal(ours[key], reference[key]) for key in ours)
    assert [name for name, _ in make(framework, spec).named_parameters()] == [
        name for name, _ in make("reference", spec).named_parameters()
    ]


@pairs
def test_calls_share_no_state(framework, spec):
    layer = make(framework, spec)
    first = layer(currents())
    layer(currents(3, 2, seed=1).requires_grad_()).sum().backward()
    assert torch.equal(layer(currents()), first)
    assert torch.equal(layer(currents()[:, :2]), first[:, :2])


@pairs
def test_layers_can_be_copied_pickled_and_loaded_also_after_a_pass_with_gradients(framework, spec):
    layer = make(framework, spec)
    fresh = pickle.loads(pickle.dumps(layer))
    expected = layer(currents())
    expected.sum().backward() if expected.requires_grad else None
    for other in (fresh, copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(other(currents()), expected)
    loaded = get_adapter(framework).neuron(spec, SHAPE)
    loaded.load_state_dict(layer.state_dict())
    assert torch.equal(loaded(currents()), expected)


@pairs
def test_a_copy_trains_on_its_own(framework, spec):
    layer = make(framework, spec)
    other = copy.deepcopy(layer)
    with torch.no_grad():
        for parameter in other.learnables().values():
            parameter += 0.25
    for tested in (layer, other):
        reference = make("reference", spec)
        reference.load_state_dict(tested.state_dict())
        assert torch.equal(tested(currents()), reference(currents()))


@pairs
def test_odd_inputs_give_the_references_answer(framework, spec):
    layer, reference = make(framework, spec), make("reference", spec)
    x = currents()
    with_nan = x.clone()
    with_nan[2, 1] = math.nan
    backwards = x.transpose(0, 1).contiguous().transpose(0, 1)
    strided = torch.cat((x, x), dim=-1)[..., : SHAPE[-1]]
    assert not backwards.is_contiguous()
    assert not strided.is_contiguous()
    for odd in (x[:1], x[:, :0], backwards, strided, with_nan, x.expand(6, 5, 3, 4), 1e30 * x):
        for tracked in (False, True):
            found = layer(odd.clone().requires_grad_()) if tracked else layer(odd)
            assert found.dtype == torch.float32
            assert torch.equal(found, reference(odd))
        with torch.no_grad():
            assert torch.equal(layer(odd), reference(odd))
    assert layer(with_nan)[2:, 1].sum() == 0


@pairs
def test_in_float64_everything_is_float64(framework, spec):
    layer, reference = make(framework, spec).double(), make("reference", spec).double()
    x = currents().double()
    assert layer(x).dtype == torch.float64
    assert torch.equal(layer(x), reference(x))
    assert torch.equal(layer.float()(currents()), make("reference", spec)(currents()))


@pairs
def test_gradients_reach_what_is_learned_and_frozen_parameters_stay_without(framework, spec):
    layer = make(framework, spec)
    layer(currents().requires_grad_()).sum().backward()
    for parameter in layer.learnables().values():
        assert parameter.grad is not None
        assert bool(parameter.grad.isfinite().all())
    frozen = make(framework, spec).requires_grad_(False)
    x = currents().requires_grad_()
    frozen(x).sum().backward()
    assert x.grad is not None
    assert all(parameter.grad is None for parameter in frozen.parameters())
    assert not frozen(currents()).requires_grad


@pairs
def test_a_layer_keeps_no_graph_and_nothing_keeps_the_layer(framework, spec):
    layer = make(framework, spec)
    x = currents().requires_grad_()
    layer(x)
    leaf, module = weakref.ref(x), weakref.ref(layer)
    del x  # a graph that were kept would keep its leaf
    gc.collect()
    assert leaf() is None
    del layer
    gc.collect()
    assert module() is None


def test_snntorch_keeps_no_list_of_our_layers():
    from snntorch import SpikingNeuron

    before = len(SpikingNeuron.instances)
    kept = [make("snntorch", spec) for spec in SPECS.values()] + [get_adapter("snntorch").native(SHAPE)]
    assert len(SpikingNeuron.instances) == before
    assert kept


@pairs
def test_the_route_is_given_with_a_reason(framework, spec):
    route = get_adapter(framework).route(spec)
    assert route.kind in ("native", "composed", "custom")
    assert len(route.why) > 20


def test_routes_of_the_catalogue():
    kinds = {f: {n: get_adapter(f).route(s).kind for n, s in CATALOGUE.items()} for f in FRAMEWORKS}
    native = dict.fromkeys(("lif", "plif", "lif16", "plif16"), "native")
    custom = dict.fromkeys(("lt", "lif-tebn", "lif-soft", "alif", "alif-slow"), "custom")
    assert kinds == {
        "spikingjelly": native | custom | {"stl": "composed", "diet": "composed", "if": "custom"},
        "snntorch": native | custom | {"stl": "custom", "diet": "custom", "if": "native"},
        "norse": dict.fromkeys(CATALOGUE, "composed"),
    }


@pytest.mark.parametrize("framework", ["reference", *FRAMEWORKS])
def test_the_native_layer_is_stateless_spikes_and_learns(framework):
    native = get_adapter(framework).native(SHAPE)
    x = (20 * currents()).requires_grad_()
    spikes = native(x)
    assert spikes.shape == x.shape
    assert set(spikes.unique().tolist()) == {0.0, 1.0}
    spikes.sum().backward()
    assert float(x.grad.abs().sum()) > 0
    assert torch.equal(native(x), spikes)
    assert torch.equal(native(x[:, :2]), spikes[:, :2])
    with torch.no_grad():
        assert torch.equal(native(x), spikes)
    assert torch.equal(copy.deepcopy(native)(x), spikes)


def test_native_snntorch_differs_from_the_matched_neuron_where_semantics_do():
    """The reason for matched semantics: equality, and the reset a step late."""
    from snntorch import Leaky

    at_threshold = torch.ones(1, 1, 1)
    leaky = Leaky(beta=0.5)
    assert float(leaky(at_threshold[0], torch.zeros(1, 1))[0]) == 0
    lif = replace(NEURONS["lif"], decay_input=False)
    assert float(get_adapter("snntorch").neuron(lif, (1,))(at_threshold)) == 1
