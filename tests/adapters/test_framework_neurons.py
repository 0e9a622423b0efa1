"""The frameworks' own neurons: against simulations written by hand, one neuron and step at a time, and in training."""

import copy
import gc
import math
import subprocess
import sys
import weakref

import numpy as np
import pytest
import torch

from spikemark.core.adapter import FrameworkLayer, Unsupported
from spikemark.core.neurons import NEURONS, FrameworkNeuron
from spikemark.errors import InputError

FRAMEWORKS = ("snntorch", "spikingjelly", "norse")
OWN = {name: NEURONS[name] for name in NEURONS if name.partition(":")[0] in FRAMEWORKS}
OFFERED = [name for name, neuron in OWN.items() if not neuron.lacks]
STEPS, SHAPE = 12, (3, 2, 2)
names = pytest.mark.parametrize("name", OFFERED)


def layer_of(name, shape=SHAPE, steps=STEPS):
    generator = torch.Generator().manual_seed(3)
    return FrameworkLayer(name, NEURONS[name], shape, generator=generator, steps=steps)


def currents(gain=4.0, shape=SHAPE, steps=STEPS, seed=0):
    return gain * (torch.randn(steps, 4, *shape, generator=torch.Generator().manual_seed(seed)) + 0.3)


def leaky(x, beta):
    mem, out = 0.0, []
    for current in x:
        mem = beta * mem + current - (mem > 1)  # subtracted in the step after the spike, after the leak
        out.append(mem > 1)
    return out


def synaptic(x, alpha, beta):
    syn = mem = 0.0
    out = []
    for current in x:
        syn = alpha * syn + current
        mem = beta * mem + syn - (mem > 1)
        out.append(mem > 1)
    return out


def lapicque(x, beta):
    share = -math.log(beta)  # dt / (R C), so the decay is not beta
    mem, out = 0.0, []
    for current in x:
        mem = share * current + (1 - share) * mem - (mem > 1)
        out.append(mem > 1)
    return out


def alpha(x, alpha, beta):
    excitatory = inhibitory = mem = 0.0
    gain = math.log(alpha) / (math.log(beta) - math.log(alpha)) + 1
    out = []
    for current in x:
        cleared = mem > 1
        excitatory = 0.0 if cleared else alpha * excitatory + current
        inhibitory = 0.0 if cleared else beta * inhibitory - current
        mem = gain * (excitatory + inhibitory)
        out.append(mem > 1)
    return out


def without_reset(x, decay):
    mem, out = 0.0, []
    for current in x:
        mem = decay * mem + current
        out.append(mem > 1)
    return out


def hard_reset(x, keep, gain, cut=False):
    v, out = 0.0, []
    for current in x:
        u = keep * v + gain * current
        u = max(u, 0.0) if cut else u
        out.append(u >= 1)
        v = 0.0 if u >= 1 else u
    return out


def complementary(x):
    v = m = 0.0
    out = []
    for current in x:
        u = v / 2 + current
        spike = u >= 1
        m = m / (1 + math.exp(-u / 2)) + spike
        v = u - spike * (1 + 1 / (1 + math.exp(-m)))
        out.append(spike)
    return out


def sliding(x, order=2):
    weights = [2.0**-i for i in range(order)]
    return [sum(w * x[t - i] for i, w in enumerate(weights) if t >= i) - 1 >= 0 for t in range(len(x))]


def norse_lif(x):
    v = i = 0.0
    out = []
    for current in x:
        i += current
        u = v + 0.1 * (i - v)
        i -= 0.2 * i
        out.append(u > 1)
        v = 0.0 if u > 1 else u
    return out


def norse_box(x):
    v, out = 0.0, []
    for current in x:
        u = v + 0.1 * (current - v)
        out.append(u > 1)
        v = 0.0 if u > 1 else u
    return out


def norse_lsnn(x):
    v, i, b, out = 0.0, 0.0, 1.0, []
    for current in x:
        u = v + 0.1 * (i - v)  # the current acts one step later than in LIF
        i = 0.8 * i + current
        b += 1e-3 / 800 * (1 - b)
        out.append(u > b)
        v = 0.0 if u > b else u
        b += 1.8 * out[-1]
    return out


SIMULATED = {
    "snntorch:leaky": lambda x: leaky(x, 0.95),
    "snntorch:leaky-fast-sigmoid": lambda x: leaky(x, 0.5),
    "snntorch:leaky-learned-decay": lambda x: leaky(x, 0.95),
    "snntorch:leaky-learned-threshold": lambda x: leaky(x, 0.95),
    "snntorch:leaky-learned": lambda x: leaky(x, 0.95),
    "snntorch:synaptic": lambda x: synaptic(x, 0.9, 0.5),
    "snntorch:lapicque": lambda x: lapicque(x, 0.5),
    "snntorch:alpha": lambda x: alpha(x, 0.9, 0.8),
    "snntorch:state-leaky": lambda x: without_reset(x, math.exp(-0.1)),
    "snntorch:state-leaky-learned": lambda x: without_reset(x, math.exp(-0.1)),
    "spikingjelly:if": lambda x: hard_reset(x, 1, 1),
    "spikingjelly:lif": lambda x: hard_reset(x, 0.5, 0.5),
    "spikingjelly:lif-defaults": lambda x: hard_reset(x, 0.5, 0.5),
    "spikingjelly:plif": lambda x: hard_reset(x, 0.5, 0.5),
    "spikingjelly:klif": lambda x: hard_reset(x, 0.5, 0.5, cut=True),
    "spikingjelly:clif": complementary,
    "spikingjelly:sliding-psn": sliding,
    "norse:lif": norse_lif,
    "norse:lif-learned": norse_lif,
    "norse:lif-box": norse_box,
    "norse:lif-box-learned": norse_box,
    "norse:lsnn": norse_lsnn,
}
RANDOM_FIRST_WEIGHTS = {"spikingjelly:glif", "spikingjelly:psn", "spikingjelly:masked-psn"}


NOT_BY_NEURON = {
    *((f"spikingjelly:{name}", "threshold") for name in ("glif", "clif", "psn", "masked-psn", "sliding-psn")),
    *((f"spikingjelly:{name}", "decay") for name in ("if", "lif", "lif-defaults", "klif", "glif", "clif")),
    *((f"spikingjelly:{name}", "decay") for name in ("psn", "masked-psn", "sliding-psn")),
    ("snntorch:alpha", "decay"),
    ("norse:lsnn", "threshold"),
}


def test_every_neuron_is_simulated_or_begins_with_random_weights():
    assert set(OFFERED) == SIMULATED.keys() | RANDOM_FIRST_WEIGHTS


@pytest.mark.parametrize("name", SIMULATED)
def test_spikes_are_those_of_a_simulation_by_hand(name):
    x = currents(2.0 if name != "norse:lif-box" else 8.0)
    spikes = layer_of(name)(x).flatten(1).T
    columns = x.double().flatten(1).T.tolist()
    by_hand = torch.tensor([[float(spike) for spike in SIMULATED[name](column)] for column in columns])
    assert 0.02 < by_hand.mean() < 0.9
    assert torch.equal(spikes, by_hand)


def test_psn_mixes_all_steps_and_masked_psn_the_last_two():
    for kind, mask in (("psn", torch.ones(STEPS, STEPS)), ("masked-psn", torch.ones(STEPS, STEPS).tril().triu(-1))):
        layer = layer_of(f"spikingjelly:{kind}")
        weight, bias = (layer.learnables()[name] for name in ("mixing", "threshold"))
        x = currents()
        mixed = torch.einsum("ts,s...->t...", weight * mask, x) + bias.view(-1, 1, 1, 1, 1)
        assert torch.equal(layer(x), (mixed >= 0).float())


@names
@pytest.mark.parametrize("shape", [(5,), SHAPE])
def test_calls_share_nothing_and_gradients_reach_inputs_and_everything_learned(name, shape):
    layer, x = layer_of(name, shape), currents(shape=shape).requires_grad_()
    first = layer(x)
    assert first.shape == x.shape
    assert set(first.unique().tolist()) == {0.0, 1.0}
    first.sum().backward()
    assert float(x.grad.abs().sum()) > 0
    assert {id(p) for p in layer.parameters()} == {id(p) for p in layer.learnables().values()}
    for parameter in layer.learnables().values():
        assert float(parameter.grad.abs().sum()) > 0
    with torch.no_grad():
        assert torch.equal(layer(x[:, :2]), first[:, :2])
        assert torch.equal(copy.deepcopy(layer)(x), first)
    layer(x).sum().backward()


@names
def test_a_layer_keeps_no_graph_and_nothing_keeps_the_layer(name):
    layer, x = layer_of(name), currents().requires_grad_()
    layer(x)
    leaf, module = weakref.ref(x), weakref.ref(layer)
    del x
    gc.collect()
    assert leaf() is None
    del layer
    gc.collect()
    assert module() is None


@names
def test_learned_values_move_in_training_and_are_told_as_effective_values(name):
    layer = layer_of(name)
    before = {key: value.detach().clone() for key, value in layer.observed().items()}
    assert before.keys() == layer.learnables().keys()
    if not before:
        return
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    for _ in range(5):
        optimizer.zero_grad()
        (layer(currents()).mean() - 0.9).square().backward()
        optimizer.step()
    assert all(not torch.equal(layer.observed()[key], value) for key, value in before.items())


def test_effective_values_are_those_of_the_equations():
    def told(name):
        return {key: pytest.approx(float(value.detach())) for key, value in layer_of(name).observed().items()}

    assert told("snntorch:leaky-learned") == {"threshold": 1, "decay": 0.95}
    assert told("snntorch:state-leaky-learned") == {"threshold": 1, "decay": math.exp(-0.1)}
    assert told("spikingjelly:plif") == {"decay": 0.5}
    assert told("norse:lif-box-learned") == {"threshold": 1, "decay": 0.9}
    clamped = layer_of("snntorch:leaky-learned-decay")
    with torch.no_grad():
        clamped.learnables()["decay"].fill_(1.5)
    assert clamped.observed()["decay"].item() == 1


@names
@pytest.mark.parametrize("constant", ["threshold", "decay"])
def test_each_neuron_may_have_its_own_constant_or_the_class_says_why_not(name, constant):
    layer, x = layer_of(name), currents()
    before = layer(x)
    if (name, constant) in NOT_BY_NEURON:
        with pytest.raises(Unsupported, match=constant):
            layer.each(constant)
        with pytest.raises(Unsupported, match=constant):
            layer.set_each(constant, torch.ones(SHAPE))
        return
    own = layer.each(constant).clone()
    layer.set_each(constant, own)
    assert torch.equal(layer(x), before)
    assert torch.equal(layer.each(constant), own)
    own[0] *= 0.3
    layer.set_each(constant, own)
    after = layer(x)
    assert torch.equal(after[:, :, 1:], before[:, :, 1:])
    assert not torch.equal(after[:, :, 0], before[:, :, 0])
    assert len(layer.learnables()) == len(layer_of(name).learnables())


def test_thresholds_of_spikingjelly_differ_by_neuron_exactly_as_written_in_its_equations():
    layer, x = layer_of("spikingjelly:lif"), currents()
    thresholds = torch.linspace(0.25, 3, math.prod(SHAPE)).view(SHAPE)
    layer.set_each("threshold", thresholds)
    v = torch.zeros_like(x[0])
    for current, spikes in zip(x, layer(x), strict=True):
        u = 0.5 * v + 0.5 * current
        assert torch.equal(spikes, (u >= thresholds).float())
        v = u * (1 - spikes)


def test_first_values_follow_from_the_generator_alone():
    for name in RANDOM_FIRST_WEIGHTS:
        made = []
        for seed in (1, 2):
            torch.manual_seed(seed)
            np.random.seed(seed)
            made.append(layer_of(name).state_dict())
            assert np.random.randint(2**31) == np.random.RandomState(seed).randint(2**31)
        assert all(torch.equal(made[0][key], made[1][key]) for key in made[0])


@pytest.mark.parametrize("name", ["spikingjelly:glif", "spikingjelly:psn", "spikingjelly:masked-psn"])
def test_a_neuron_made_for_some_steps_refuses_others(name):
    with pytest.raises(InputError, match="made for 12 steps; it was given 5"):
        layer_of(name)(currents(steps=5))
    with pytest.raises(InputError, match="number of steps must be known"):
        layer_of(name, steps=None)


def test_norses_parameters_are_saved_loaded_and_cast():
    layer = layer_of("norse:lif-learned")
    with torch.no_grad():
        layer.learnables()["threshold"].fill_(0.5)
    other = layer_of("norse:lif-learned")
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(currents()), layer(currents()))
    assert not torch.equal(other(currents()), layer_of("norse:lif-learned")(currents()))
    assert layer_of("norse:lif").each("threshold").unique().tolist() == [1]  # as Norse has it
    assert layer.double()(currents().double()).dtype == torch.float64


def test_what_a_framework_does_not_have_says_so():
    missing = [name for name, neuron in OWN.items() if neuron.lacks]
    assert len(missing) == 2
    for name in missing:
        with pytest.raises(Unsupported, match=name):
            layer_of(name)


def test_a_module_that_tells_nothing_cannot_be_set():
    plain = FrameworkNeuron("torch", lambda shape, *, generator=None: torch.nn.Identity())
    with pytest.raises(Unsupported, match="nothing says where"):
        FrameworkLayer("plain", plain, SHAPE).set_each("threshold", torch.ones(SHAPE))
    with pytest.raises(InputError, match="no parameter 'beta'"):
        FrameworkLayer("plain", FrameworkNeuron("torch", plain.make, ("beta",)), SHAPE)


def test_every_row_has_a_link_and_planning_imports_no_framework():
    assert all(neuron.source.startswith("https://") for neuron in OWN.values())
    assert all(neuron.about or neuron.lacks for neuron in OWN.values())
    code = (
        "import sys; from spikemark.core.neurons import NEURONS; NEURONS['snntorch:leaky'].framework;"
        "assert not {'torch', 'snntorch', 'norse', 'spikingjelly'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
