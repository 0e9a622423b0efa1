"""Attacks on trained networks: through which derivative, on which copy, and what they may claim."""

import math
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch

from spikemark.core.adapter import Unsupported
from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS, FrameworkNeuron, Surrogate
from spikemark.core.streams import generator
from spikemark.data.encoders import encode
from spikemark.errors import InputError
from spikemark.networks.build import build_network
from spikemark.noise import attack
from spikemark.noise.adversary import WIDTHS
from spikemark.noise.attack import Attacked, search_through
from spikemark.noise.backward import Assg, Derivative, Pdsg, through
from spikemark.noise.case import NOISES, Case
from spikemark.noise.searches import APGD, SA_PGD, SQUARE, Search, apgd, entropy
from spikemark.training.loop import scores

LINF = [name for name, noise in NOISES.items() if noise.threat == "linf"]
LEVEL = 0.1


@pytest.fixture
def some(digits):
    return replace(digits, inputs=digits.inputs[:120], labels=digits.labels[:120])


@torch.no_grad()
def right(case):
    outputs = scores(case.model, case.encode_step(case.inputs, generator("encoding")))
    return outputs.argmax(1) == case.labels


def found(case, search, backwards=(None,), level=LEVEL):
    with search_through(case, level, generator("attack"), search, backwards) as disturbed:
        return disturbed


# Derivatives.


def slow_assg(membranes):
    """The moving averages and the slopes of one neuron, from its distances in every pass, [passes, steps]."""
    width = 2 / math.pi * math.tan(math.pi * 0.85 / 2)
    means, spreads, slopes = [1.0] * len(membranes[0]), [0.0] * len(membranes[0]), []
    for distances in membranes:
        row = []
        for t, z in enumerate(distances):
            means[t] = 0.9 * means[t] + 0.1 * abs(z)
            spreads[t] = 0.9 * spreads[t] + 0.1 * abs(abs(z) - means[t])
            a = width / (means[t] + 1.5 * spreads[t] + 1e-4)
            row.append(a / 2 / (1 + (math.pi * a * z / 2) ** 2))
        slopes.append(row)
    return slopes


def test_assg_follows_every_neuron_step_and_sample():
    z = torch.randn(6, 3, 4, 5, generator=generator("z"), dtype=torch.float64)  # passes, steps, samples, neurons
    rule = Assg()
    found = []
    for distances in z:
        rule.begin()
        found.append(torch.stack([rule.slope(step, step) for step in distances]))
    for sample in range(4):
        for neuron in range(5):
            expected = slow_assg(z[:, :, sample, neuron].tolist())
            torch.testing.assert_close(torch.stack(found)[:, :, sample, neuron], torch.tensor(expected).double())
    rule.restart()
    rule.begin()
    assert torch.equal(rule.slope(z[0, 0], z[0, 0]), found[0][0])


def test_assg_leaves_a_share_of_its_area_beyond_membranes_that_stay_where_they_are():
    rule, far = Assg(), torch.full((1, 1), 0.3, dtype=torch.float64)
    for _ in range(400):
        rule.begin()
        rule.slope(far, far)
    rule.learning = False
    rule.begin()
    grid = torch.linspace(-0.3, 0.3, 60_001, dtype=torch.float64).view(-1, 1)
    rule.means, rule.spreads = [mean.expand_as(grid) for mean in rule.means], [s.expand_as(grid) for s in rule.spreads]
    area = torch.trapezoid(rule.slope(grid, grid)[:, 0], grid[:, 0]).item()
    assert area == pytest.approx(0.85, abs=1e-3)


@pytest.mark.parametrize("shape", [(5,), (3, 4, 4)])
def test_pdsg_is_as_wide_as_the_membranes_of_the_steps_so_far(shape):
    u = torch.randn(3, 6, *shape, generator=generator("u"), dtype=torch.float64) + 1
    rule = Pdsg()
    rule.begin()
    for step in range(3):
        slopes = rule.slope(u[step], u[step] - 0.5)
        for channel in range(shape[0]):
            spread = np.std(u[: step + 1, :, channel].numpy(), ddof=1)
            z = u[step, :, channel].numpy() - 0.5
            normal = np.exp(-((z - spread / 2) ** 2) / (2 * spread**2)) / (math.sqrt(2 * math.pi) * spread)
            np.testing.assert_allclose(slopes[:, channel].numpy(), normal)


def test_pdsg_of_a_single_membrane_has_a_spread_of_one():
    rule, one = Pdsg(), torch.tensor([[0.7]])
    rule.begin()
    assert rule.slope(one, one).item() == pytest.approx(math.exp(-((0.7 - 0.5) ** 2) / 2) / math.sqrt(2 * math.pi))


def test_assg_goes_on_with_the_samples_that_are_left_and_pdsg_with_all():
    z = torch.randn(4, 3, 8, 5, generator=generator("z"), dtype=torch.float64)  # passes, steps, samples, neurons
    left = torch.arange(8) % 3 > 0
    whole, cut = Assg(), Assg()
    for number, distances in enumerate(z):
        if number == 2:
            assert cut.keep(left)
        for rule in (whole, cut):
            rule.begin()
        for step in distances:
            full = whole.slope(step, step)
            some = step if number < 2 else step[left]
            assert torch.equal(cut.slope(some, some), full if number < 2 else full[left])
    assert not Pdsg().keep(left)


# Copies.


class Own(Derivative):
    """The surrogate of the network itself, as a rule."""

    def restart(self):
        pass

    def begin(self):
        pass

    def slope(self, u, z):
        alpha = NEURONS["lif"].surrogate.alpha
        return alpha / 2 / (1 + (math.pi / 2 * alpha * z) ** 2)


def test_a_rule_that_is_the_networks_own_surrogate_gives_its_gradient(some):
    own, ruled = (Attacked(through(some, rule), some, generator("a")) for rule in (None, Own))
    first, second = (target.ascent(some.inputs, some.labels, entropy) for target in (own, ruled))
    assert torch.equal(first[0], second[0])
    torch.testing.assert_close(first[2], second[2])
    other = Attacked(through(some, Assg), some, generator("a")).ascent(some.inputs, some.labels, entropy)
    assert torch.equal(first[0], other[0])
    assert not torch.allclose(first[2], other[2])


@cache
def network(framework, neuron):
    built = build_network("mlp", get_adapter(framework), NEURONS[neuron], (1, 6, 6), 3, 0, options={"hidden": (30,)})
    for module in built.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.constant_(module.weight, 3.0)
    return built.eval()


@pytest.mark.parametrize("neuron", ["lif", "plif", "stl", "lt", "diet", "alif"])
@pytest.mark.parametrize("framework", ["reference", "spikingjelly", "snntorch", "norse", "fused"])
def test_copies_compute_the_networks_spikes_in_every_framework(framework, neuron):
    pytest.importorskip(
        {"norse": "norse.torch", "spikingjelly": "spikingjelly.activation_based", "fused": "llvmlite"}.get(
            framework, "snntorch" if framework == "snntorch" else "torch"
        )
    )
    try:
        model = network(framework, neuron)
    except Unsupported:
        pytest.skip(f"{framework} has no {neuron}")
    inputs = torch.rand(40, 1, 6, 6, generator=generator("inputs"))
    case = Case(model, inputs, zeros(inputs), lambda x, g: encode("direct", x, 4, g), get_adapter(framework))
    outputs, spikes = [], []
    for rule in (None, WIDTHS[0], WIDTHS[-1], Assg, Pdsg):
        copy = through(case, rule)
        assert copy is not model
        for layer in copy.spiking_layers():
            layer.register_forward_hook(lambda layer, arguments, output: spikes.append(output.detach()))
        outputs.append(copy(case.encode_step(inputs, generator("e"))).detach())
    assert all(torch.equal(outputs[0], other) for other in outputs)
    layers = len(model.spiking_layers())
    assert all(torch.equal(spikes[i], spikes[i % layers]) for i in range(len(spikes)))
    assert 0 < spikes[0].mean() < 1


def zeros(inputs):
    return torch.zeros(len(inputs), dtype=torch.long)


def test_neurons_without_a_spec_keep_their_own_derivative(some):
    neuron = FrameworkNeuron("torch", lambda shape, generator=None: torch.nn.Hardtanh(0, 1))
    model = build_network("mlp", get_adapter("reference"), neuron, (1, 8, 8), 10, 0, options={"hidden": (20,)})
    case = replace(some, model=model.eval())
    assert found(case, Search(apgd, 5)).search.steps == 5
    for rule in (WIDTHS[0], Assg):
        with pytest.raises(Unsupported, match="from their spec; a FrameworkLayer has none"):
            found(case, Search(apgd, 5), [rule])


def test_a_copy_that_reads_otherwise_is_refused(some, monkeypatch):
    monkeypatch.setattr(attack, "through", lambda case, rule: network_of_other_weights(case) if rule else case.model)
    with pytest.raises(InputError, match=r"copy with another derivative reads \d+\.\d % of the samples differently"):
        found(some, Search(apgd, 5), [Assg])


def network_of_other_weights(case):
    copy = through(case, None)
    torch.nn.init.normal_(next(copy.parameters()), generator=generator("w"))
    return copy


# What is found.


@pytest.mark.parametrize("name", LINF)
def test_no_attack_raises_accuracy_and_all_stay_in_their_ball(name, some):
    if name in ("fgsm", "pgd-linf", "transfer-framework", "transfer-surrogate"):
        pytest.importorskip("foolbox", reason="foolbox (extra 'attacks') is not installed")
    noise = replace(NOISES[name], levels=(LEVEL,) * 5)
    with noise.apply(some, 5, generator("noise", name)) as disturbed:
        assert (disturbed.inputs - some.inputs).abs().max() <= LEVEL + 1e-6
        assert disturbed.inputs.min() >= 0
        assert disturbed.inputs.max() <= 1
        assert right(disturbed).sum() <= right(some).sum()
        if disturbed.search is not None:
            assert not (right(disturbed) & ~right(some)).any()
            assert torch.equal(right(disturbed), disturbed.search.fooled_at < 0)
            assert (
                torch.equal(right(some), disturbed.search.fooled_at != 0)
                or (disturbed.search.fooled_at[~right(some)] == 0).all()
            )
            assert disturbed.search.fooled_at.max() <= disturbed.search.steps


def test_each_further_derivative_leaves_no_more_and_counts_its_steps(some):
    one = found(some, Search(apgd, 20), WIDTHS[:1])
    more = found(some, Search(apgd, 20), WIDTHS)
    assert (one.search.steps, more.search.steps) == (20, 100)
    early = (more.search.fooled_at >= 0) & (more.search.fooled_at <= 20)
    assert torch.equal(one.search.fooled_at >= 0, (one.search.fooled_at >= 0) & early)
    assert right(more).sum() < right(one).sum()
    later = more.search.fooled_at[(one.search.fooled_at < 0) & (more.search.fooled_at >= 0)]
    assert len(later)
    assert (later >= 20).all()


def test_adaptive_and_sharp_surrogates_beat_ten_steps_through_the_own_one(some):
    pytest.importorskip("foolbox", reason="foolbox (extra 'attacks') is not installed")
    with replace(NOISES["pgd-linf"], levels=(LEVEL,) * 5).apply(some, 5, generator("noise")) as pgd:
        weak = right(pgd).float().mean().item()
    assert right(found(some, APGD, [Surrogate("atan", 4.0)])).float().mean().item() <= weak - 0.1
    assert right(found(some, SA_PGD, [Assg])).float().mean().item() <= weak - 0.1


def test_random_encoders_are_attacked_in_the_mean_over_draws(some):
    def poisson(inputs, random):
        return encode("poisson", inputs, 8, random)

    case = replace(some, encode_step=poisson)
    target = Attacked(through(case, None), case, generator("a"))
    assert target.draws == attack.DRAWS
    first, second = (target.ascent(case.inputs, case.labels, entropy) for _ in range(2))
    assert not torch.equal(first[2], second[2])  # every query draws anew
    assert (first[2] != 0).flatten(1).any(1).double().mean() > 0.9
    attacked = found(case, Search(apgd, 10))
    assert right(attacked).float().mean() < right(case).float().mean() - 0.1
    # Straight through: the sum over the steps of what the loss asks of the spikes.
    target.draws = 1
    state = target.random.get_state()
    gradient = target.ascent(case.inputs, case.labels, entropy)[2]
    target.random.set_state(state)
    spikes = poisson(case.inputs, target.random).requires_grad_()
    entropy(scores(target.model, spikes), case.labels).sum().backward()
    torch.testing.assert_close(gradient, spikes.grad.sum(0))


def test_encoders_that_change_the_shape_and_cut_the_gradient_are_unsupported(some):
    case = replace(some, encode_step=lambda x, g: (x.flatten(1)[None] > 0.5).float().expand(4, -1, -1))
    with pytest.raises(Unsupported, match="an encoder that gradients pass"):
        found(case, Search(apgd, 2))


def test_square_needs_no_gradient(some):
    case = replace(some, encode_step=lambda x, g: encode("direct", x.detach(), 8, g))
    disturbed = found(case, replace(SQUARE, steps=300))
    assert disturbed.search.flat is None
    assert right(disturbed).float().mean() < right(some).float().mean() - 0.1
