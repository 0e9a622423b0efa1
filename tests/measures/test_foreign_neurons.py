"""Counting models of other frameworks: samples, neurons, states; each silent wrong number of before has a test."""

from __future__ import annotations

import copy
import importlib
import random
import sys
from types import ModuleType
from unittest.mock import patch

import numpy as np
import pytest
import torch
from brute_force import additions, brute_force
from torch import nn

from spikemark import count_operations
from spikemark.errors import InputError
from spikemark.measures.counting.tracing import UncountableError

snn = pytest.importorskip("snntorch")
norse = pytest.importorskip("norse.torch")
sj = pytest.importorskip("spikingjelly.activation_based")
from spikingjelly.activation_based import functional, layer, neuron, surrogate  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
T, B = 6, 4


def sparse(*shape, seed=0):
    random = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=random) * (torch.rand(shape, generator=random) < 0.3)


class Tutorial5(nn.Module):
    """snnTorch's tutorial 5, smaller: the loop over time is inside, spikes and membranes come out."""

    def __init__(self):
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(30, 20), snn.Leaky(beta=0.95)
        self.fc2, self.lif2 = nn.Linear(20, 10), snn.Leaky(beta=0.95)

    def forward(self, x):
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spikes, membranes = [], []
        for _ in range(T):
            spk1, mem1 = self.lif1(4 * self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spikes.append(spk2)
            membranes.append(mem2)
        return torch.stack(spikes), torch.stack(membranes)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


# ---- S1: the samples that the model really saw


def test_a_loop_inside_counts_the_samples_that_it_saw():
    model, x = Tutorial5(), sparse(5, 30)
    count = count_operations(model, x)
    assert count.macs == T * 20 * int((x != 0).sum()) / 5
    assert count.dense == T * (30 * 20 + 20 * 10)
    assert (count.macs + count.acs) * 5 == brute_force(model, x)[0]
    assert count.acs > 0
    assert count.neuron_updates == T * 30


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.lif, self.fc = nn.Conv2d(1, 2, 3), snn.Leaky(beta=0.9), nn.Linear(2 * 36, 10)

    def forward(self, x):
        mem = self.lif.reset_mem()
        total = 0
        for _ in range(T):
            spikes, mem = self.lif(self.conv(x), mem)
            total = total + self.fc(spikes.flatten(1))
        return total


def test_images_with_a_loop_inside():
    model, x = Convolutional(), sparse(B, 1, 8, 8)
    pairs, dense = brute_force(model, x)
    count = count_operations(model, x)
    assert (count.macs + count.acs, count.dense) == (pairs / B, dense / B)


class BatchFirst(nn.Module):
    def __init__(self, back):
        super().__init__()
        self.fc, self.lif, self.back = nn.Linear(20, 10), snn.Leaky(beta=0.9), back

    def forward(self, x):
        mem, spikes = self.lif.reset_mem(), []
        for step in x.unbind(1):
            out, mem = self.lif(self.fc(step), mem)
            spikes.append(out)
        return torch.stack(spikes, 1 if self.back else 0)


@pytest.mark.parametrize("back", [True, False])
def test_batch_first_is_told_by_the_neurons(back):
    model, x = BatchFirst(back), sparse(B, 50, 20)
    assert count_operations(model, x).macs == 10 * int((x != 0).sum()) / B


def test_signs_that_contradict_each_other_are_an_error():
    model = nn.Sequential(nn.Linear(20, 10), neuron.IFNode(step_mode="s"))  # takes T for the batch
    with pytest.raises(InputError, match=r"hold 4 samples, but of the neurons '1' saw 6: are their step mode"):
        count_operations(model, sparse(T, B, 20), layout="TB")
    with pytest.raises(InputError, match="hold 6 samples, but of the neurons 'lif' saw 4"):
        count_operations(BatchFirst(True), sparse(B, T, 20), layout="TB")
    functional.set_step_mode(model, "m")
    assert count_operations(model, sparse(T, B, 20)).neuron_updates == T * 10


@pytest.mark.parametrize(
    ("gives", "message"),
    [
        (lambda y: {"scores": y}, "gave a dict, which does not tell the samples"),
        (lambda y: y[:1, :1, :1], r"gave \[1, 1, 1\] for inputs of shape \[6, 4, 8\]"),
        (lambda y: y.transpose(0, 1), "may hold 4 or 6 samples"),
        (lambda y: y[..., 0], "may hold 4 or 6 samples"),
    ],
)
def test_samples_that_cannot_be_told_are_an_error_with_a_way_out(gives, message):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(8, 5)

        def forward(self, x):
            return gives(self.fc(x))

    x = sparse(T, B, 8)
    with pytest.raises(InputError, match=message):
        count_operations(Model(), x)
    for layout, samples in (("TB", B), ("BT", T), ("B", T)):
        assert count_operations(Model(), x, layout=layout).macs == 5 * int((x != 0).sum()) / samples


# ---- S2: neurons of the frameworks


def looped(make):
    """A step-by-step neuron after a linear layer, over all steps; the first of what it gives are spikes."""

    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.neuron = nn.Linear(20, 16), make()

        def forward(self, x):
            state, spikes = (), []
            for step in x:
                hidden = getattr(self.neuron, "init_hidden", False)
                out = self.neuron(8 * self.fc(step), *(() if hidden else state))
                out, *state = out if isinstance(out, tuple) else (out,)
                spikes.append(out)
            return torch.stack(spikes)

    return Loop


def over_time(make):
    class AllSteps(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.neuron = nn.Linear(20, 16), make()

        def forward(self, x):
            out = self.neuron(8 * self.fc(x))
            return out[0] if isinstance(out, tuple) else out

    return AllSteps


NEURONS = {
    "snn.Leaky": (looped(lambda: snn.Leaky(beta=0.9)), 1),
    "snn.Lapicque": (looped(lambda: snn.Lapicque(R=1, C=1.44, time_step=1)), 1),
    "snn.Synaptic": (looped(lambda: snn.Synaptic(alpha=0.8, beta=0.9)), 2),
    "snn.Alpha": (looped(lambda: snn.Alpha(alpha=0.9, beta=0.8)), 3),
    "snn.DeltaLeaky": (looped(lambda: snn.DeltaLeaky(beta=0.9, init_hidden=True)), 2),
    "snn.RLeaky": (looped(lambda: snn.RLeaky(beta=0.9, linear_features=16)), 2),
    "snn.RSynaptic": (looped(lambda: snn.RSynaptic(alpha=0.8, beta=0.9, linear_features=16)), 3),
    "snn.SLSTM": (looped(lambda: snn.SLSTM(16, 16, threshold=0.1)), 2),
    "snn.LeakyParallel": (over_time(lambda: snn.LeakyParallel(16, 16, beta=0.9)), 1),
    "snn.StateLeaky": (over_time(lambda: snn.StateLeaky(beta=0.9, channels=16)), 1),
    "sj.IFNode": (over_time(lambda: neuron.IFNode(step_mode="m")), 1),
    "sj.LIFNode": (over_time(lambda: neuron.LIFNode(step_mode="m")), 1),
    "sj.LIFNode by step": (looped(lambda: neuron.LIFNode()), 1),
    "sj.ParametricLIFNode": (over_time(lambda: neuron.ParametricLIFNode(step_mode="m")), 1),
    "sj.KLIFNode": (over_time(lambda: neuron.KLIFNode(step_mode="m")), 1),
    "sj.QIFNode": (over_time(lambda: neuron.QIFNode(step_mode="m")), 1),
    "sj.IzhikevichNode": (over_time(lambda: neuron.IzhikevichNode(tau_w=2.0, a0=0.1, step_mode="m")), 2),
    "sj.ComplementaryLIFNode": (over_time(lambda: neuron.ComplementaryLIFNode(step_mode="m")), 2),
    "sj.ILIFNode": (over_time(lambda: neuron.ILIFNode(step_mode="m")), 1),
    "sj.PSN": (over_time(lambda: neuron.PSN(T)), 0),
    "sj.MaskedPSN": (over_time(lambda: neuron.MaskedPSN(k=2, T=T, step_mode="m")), None),
    "sj.SlidingPSN": (over_time(lambda: neuron.SlidingPSN(k=2, step_mode="m")), None),
    "norse.LIFCell": (looped(norse.LIFCell), 2),
    "norse.LIF": (over_time(norse.LIF), 2),
    "norse.LIFBoxCell": (looped(norse.LIFBoxCell), 1),
    "norse.IAFCell": (looped(norse.IAFCell), 1),
    "norse.LSNNCell": (looped(norse.LSNNCell), 3),
    "norse.LSNN": (over_time(norse.LSNN), 3),
    "norse.LIFRefracCell": (looped(norse.LIFRefracCell), 3),
    "norse.LIFAdExCell": (looped(norse.LIFAdExCell), 3),
    "norse.IzhikevichCell": (looped(lambda: norse.IzhikevichCell(norse.tonic_spiking)), 2),
    "norse.LIFRecurrentCell": (looped(lambda: norse.LIFRecurrentCell(16, 16)), 3),
    "norse.LIFRecurrent": (over_time(lambda: norse.LIFRecurrent(16, 16)), 3),
    "norse.LSNNRecurrentCell": (looped(lambda: norse.LSNNRecurrentCell(16, 16)), 4),
}


@pytest.mark.parametrize("name", NEURONS)
def test_updates_rates_and_states_of_neurons(name):
    build, words = NEURONS[name]
    model, x = build(), sparse(T, B, 20)
    reference = copy.deepcopy(model).eval()
    with torch.no_grad():
        spikes = reference(x)
    pairs, dense = brute_force(copy.deepcopy(model), x)
    count = count_operations(model, x)
    (counted,) = count.spiking
    assert (counted.name, counted.neuron_updates) == ("neuron", T * 16)
    assert counted.firing_rate == pytest.approx(float((spikes != 0).double().mean()))
    if name != "snn.StateLeaky":  # whose leak is a convolution over time, its own dynamics
        assert ((count.macs + count.acs) * B, count.dense * B) == (pairs, dense)
    if words is not None:
        assert counted.words == words
        assert count.state_accesses == 2 * words * T * 16


def test_integrators_are_updated_and_do_not_fire():
    model = norse.SequentialState(nn.Linear(20, 16), norse.LIFCell(), nn.Linear(16, 5), norse.LICell())

    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = model

        def forward(self, x):
            state, out = None, []
            for step in x:
                scores, state = self.net(8 * step, state)
                out.append(scores)
            return torch.stack(out)

    count = count_operations(Loop(), sparse(T, B, 20))
    assert [(c.name, c.neuron_updates, c.words) for c in count.integrating] == [("net.3", T * 5, 2)]
    assert [c.name for c in count.spiking] == ["net.1"]
    assert count.neuron_updates == T * 21
    assert count.state_accesses == 2 * 2 * T * 21


def test_whole_spikes_of_ilif_cost_their_value():
    model = nn.Sequential(neuron.ILIFNode(step_mode="m"), nn.Linear(20, 5))
    x = 9 * sparse(T, B, 20)
    spikes = copy.deepcopy(model[0])(x)
    assert spikes.max() > 1
    (layer_count,) = count_operations(model, x).layers
    assert (layer_count.kind, layer_count.acs) == ("integer", 5 * float(spikes.sum()) / B)


def test_a_convolutional_net_of_spikingjelly_in_both_step_modes():
    net = nn.Sequential(
        layer.Conv2d(1, 4, 3, padding=1, bias=False),
        layer.BatchNorm2d(4),
        neuron.IFNode(surrogate_function=surrogate.ATan()),
        layer.MaxPool2d(2, 2),
        layer.Flatten(),
        layer.Linear(4 * 16, 5),
        neuron.IFNode(),
    )

    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            return torch.stack([self.net(step) for step in x])

    x = 3 * sparse(T, B, 1, 8, 8)
    stepwise = count_operations(Loop(), x)
    functional.set_step_mode(net, "m")
    at_once = count_operations(net, x)
    assert (stepwise.macs, stepwise.acs, stepwise.neuron_updates) == (at_once.macs, at_once.acs, at_once.neuron_updates)
    assert at_once.neuron_updates == T * (4 * 64 + 5)
    assert stepwise.firing_rate == at_once.firing_rate > 0


def from_zoo(name):
    """A network of SpikingJelly's zoo, which needs one function of torchvision while it is imported."""
    lent = ModuleType("torchvision._internally_replaced_utils")
    lent.load_state_dict_from_url = torch.hub.load_state_dict_from_url
    with patch.dict(sys.modules, {"torchvision": ModuleType("torchvision"), lent.__name__: lent}):
        module = importlib.import_module(f"spikingjelly.activation_based.model.{name}")
    options = {"cnf": "ADD"} if name == "sew_resnet" else {}
    net = getattr(module, f"{name}18")(spiking_neuron=neuron.IFNode, num_classes=10, **options)
    for part in net.modules():
        if isinstance(part, nn.BatchNorm2d):
            nn.init.constant_(part.weight, 3.0)  # so that all layers fire
    functional.set_step_mode(net, "m")
    return net


@pytest.mark.parametrize(
    ("name", "kinds"), [("spiking_resnet", {"analog", "binary"}), ("sew_resnet", {"analog", "binary", "integer"})]
)
def test_networks_of_spikingjellys_zoo(name, kinds):
    net, x = from_zoo(name), torch.rand(4, 2, 3, 32, 32)
    count = count_operations(net, x)
    assert {layer.kind for layer in count.layers} == kinds
    assert (count.macs + count.acs) * 2 == additions(net, x)
    assert count.firing_rate > 0.1


# ---- neurons that nobody knows


class Fires(nn.Module):
    def __init__(self):
        super().__init__()
        self.spike = surrogate.ATan()
        self.v = 0.0

    def forward(self, currents):
        self.v = 0.5 * self.v + currents
        spikes = self.spike(self.v - 1)
        self.v = self.v * (1 - spikes)
        return spikes


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc, self.mine, self.out = nn.Linear(20, 16), Fires(), nn.Linear(16, 5)

    def forward(self, x):
        return torch.stack([self.out(self.mine(8 * self.fc(step))) for step in x])


def forget(model):
    model.mine.v = 0.0


def test_unknown_neurons_are_an_error_that_says_how_to_declare_them():
    x = sparse(T, B, 20)
    with pytest.raises(UncountableError, match=r"'mine' \(Fires\) emits spikes and is not known.*neurons=\(Fires,\)"):
        count_operations(Own(), x)
    count = count_operations(Own(), x, neurons=(Fires,), reset=forget)
    assert (count.neuron_updates, count.spiking[0].words) == (T * 16, 1)
    assert count_operations(Own(), x, neurons={Fires: 3}).state_accesses == 6 * T * 16


def test_unknown_neurons_that_give_several_spikes_at_once_are_an_error_too():
    class Many(nn.Module):
        def forward(self, x):
            return (20 * x).floor().clamp(0, 3)

    model = nn.Sequential(nn.Linear(20, 16), Many(), nn.Linear(16, 5))
    with pytest.raises(UncountableError, match=r"'1' \(Many\) emits spikes and is not known"):
        count_operations(model, sparse(T, B, 20))
    count = count_operations(model, sparse(T, B, 20), neurons=(Many,))
    assert count.layers[1].kind == "integer"


def test_spikes_that_no_module_emits_are_an_error():
    class Hides(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.out = nn.Linear(20, 16), nn.Linear(16, 5)

        def forward(self, x):
            return self.out((self.fc(x) > 0.1).float())

    with pytest.raises(UncountableError, match="'out' is given spikes that no module emits"):
        count_operations(Hides(), sparse(T, B, 20))


def test_what_hands_spikes_on_is_no_neuron():
    class Keeps(nn.Module):
        def forward(self, x):
            return x.flatten(2)

    count = count_operations(nn.Sequential(Keeps(), nn.Linear(20, 5)), (sparse(T, B, 20) > 0).float())
    assert count.spiking == ()


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ((3,), "neurons: 3 is no class of torch modules"),
        ((nn.GRU,), "neurons: the model has no GRU"),
        ({Fires: -1}, "neurons: Fires: -1 is no number of state variables"),
    ],
)
def test_wrong_declarations_are_named(declared, message):
    with pytest.raises(InputError, match=message):
        count_operations(Own(), sparse(T, B, 20), neurons=declared)


# ---- S3: states are reset before, and restored after


class Hidden(nn.Module):
    def __init__(self):
        super().__init__()
        inner = nn.Sequential(nn.Linear(20, 16), snn.Leaky(beta=0.9, init_hidden=True))
        self.net = nn.Sequential(inner, nn.Linear(16, 5), snn.Leaky(beta=0.9, init_hidden=True))

    def forward(self, x):
        return torch.stack([self.net(8 * step) for step in x])


def test_three_calls_give_the_same_and_states_are_as_before():
    x = sparse(T, B, 20)
    for build in (Hidden, over_time(lambda: neuron.LIFNode(step_mode="m"))):
        model = build()
        fresh = count_operations(model, x)
        model(x)  # leaves states behind, with their graph
        states = {name: vars(module) for name, module in model.named_modules()}
        before = {
            (name, key): value.clone()
            for name, attributes in states.items()
            for key, value in {**attributes, **attributes["_buffers"], **attributes.get("_memories", {})}.items()
            if isinstance(value, torch.Tensor)
        }
        assert before
        assert [count_operations(model, x) for _ in range(2)] == [fresh, fresh]
        for (name, key), value in before.items():
            module = model.get_submodule(name)
            now = getattr(module, key)
            assert torch.equal(now, value), (name, key)
        model(x).sum().backward()  # the graph is still whole


def test_own_neurons_are_restored_too_and_global_generators_go_on_as_before():
    model = Own()
    model(sparse(T, B, 20))
    before = model.mine.v.clone()
    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    first = count_operations(model, sparse(T, B, 20), neurons=(Fires,), reset=forget)
    assert count_operations(model, sparse(T, B, 20), neurons=(Fires,), reset=forget) == first
    assert torch.equal(model.mine.v, before)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.random.get_state()[1].tolist() == states[2]


class OwnMeaning(nn.Sequential):
    """A module with a meaning of its own for `modules()`, as frameworks have it."""

    def modules(self):
        return {"children": "by name"}


def test_models_are_walked_as_torch_does_whatever_they_make_of_modules():
    plain = nn.Sequential(nn.Linear(30, 20), sj.neuron.IFNode(step_mode="m"), nn.Linear(20, 10))
    own = OwnMeaning(nn.Linear(30, 20), OwnMeaning(sj.neuron.IFNode(step_mode="m")), nn.Linear(20, 10))
    own[0].load_state_dict(plain[0].state_dict())
    own[2].load_state_dict(plain[2].state_dict())
    inputs = 8 * sparse(T, B, 30)
    found, wanted = count_operations(own, inputs), count_operations(plain, inputs)
    assert (found.acs, found.macs, found.neuron_updates) == (wanted.acs, wanted.macs, wanted.neuron_updates)
    assert found.acs > 0
    assert not isinstance(own[1][0].v, torch.Tensor)  # forgotten
