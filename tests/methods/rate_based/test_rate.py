from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import nn

from installed import INSTALLED
from spikemark import NEURONS, SYSTEMS, Learnable, NeuronSpec, Surrogate, get_adapter
from spikemark.core.adapter import Unsupported
from spikemark.errors import InputError
from spikemark.methods.rate_based.eligibility import Eligibility
from spikemark.methods.rate_based.passes import rate_pass, require_supported, spike_pass
from spikemark.networks.build import build_network
from spikemark.networks.normalization import JointBatchNorm
from spikemark.networks.stages import SpikingNetwork, Stage
from spikemark.training.bptt import GradientLearner
from spikemark.training.rule import Protocol, Rule

PROTOCOL = Protocol(epochs=1, batch_size=8, encoder="direct", steps=6)
BASE = NEURONS["lif-soft"]
VARIANTS = [
    replace(
        BASE,
        reset=reset,
        detach_reset=detach,
        decay_input=scaled,
        decay=Learnable(0.3, "neuron"),
        threshold=Learnable(0.9, "neuron"),
        surrogate=replace(BASE.surrogate, relative=relative),
    )
    for reset, detach, scaled, relative in product(("subtract", "zero"), (True, False), (False, True), (False, True))
]


def ids(spec: NeuronSpec) -> str:
    return (
        f"{spec.reset}-{'detached' if spec.detach_reset else 'attached'}-{spec.decay_input}-{spec.surrogate.relative}"
    )


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gathered(layer, currents, streaming=False):
    found = Eligibility(layer, currents[0])
    with torch.no_grad():
        if streaming:
            for current in currents:
                found.step(current)
        else:
            found.follow(currents, layer(currents))
    return found


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("spec", VARIANTS, ids=ids)
def test_eligibility_is_the_derivative_of_the_mean_rate_for_constant_input(spec, streaming):
    layer = get_adapter("reference").neuron(spec, (200,)).double()
    constant = (1.2 * random(1, 200)).requires_grad_()
    rate = layer(constant.expand(6, 1, 200)).mean(0)
    along = {"current": constant, "threshold": layer.raw_threshold, "decay": layer.raw_decay}
    expected = dict(zip(along, torch.autograd.grad(rate.sum(), list(along.values())), strict=True))
    found = gathered(layer, constant.detach().expand(6, 1, 200), streaming)
    assert torch.equal(found.rate, rate)
    assert 0.05 < rate.mean() < 0.95
    for path, gradient in expected.items():
        assert gradient.abs().max() > 0.01
        assert (found.of(path) - gradient).abs().max() < 1e-10, path


@pytest.mark.parametrize("spec", VARIANTS, ids=ids)
def test_for_changing_input_it_is_the_derivative_along_a_common_shift(spec):
    layer = get_adapter("reference").neuron(spec, (50,)).double()
    currents, shift = 1.2 * random(7, 3, 50), torch.zeros(3, 50, dtype=torch.float64, requires_grad=True)
    (expected,) = torch.autograd.grad(layer(currents + shift).mean(0).sum(), shift)
    assert (gathered(layer, currents).of("current") - expected).abs().max() < 1e-10


def test_published_recursion():
    """Yu et al.: E[1] = 1, E[t+1] = 1 + a E[t], e = mean(s E), written out again."""
    layer = get_adapter("reference").neuron(BASE, (40,)).double()
    currents = 1.5 * random(5, 2, 40)
    v, leak, e = torch.zeros(2, 40).double(), torch.ones(2, 40).double(), torch.zeros(2, 40).double()
    for x in currents:
        u = layer.decay * v + x
        s = torch.sigmoid(4 * (u - 1))
        e += 4 * s * (1 - s) * leak / 5
        leak = 1 + layer.decay * leak
        v = u - (u >= 1).double()
    assert (gathered(layer, currents).of("current") - e).abs().max() < 1e-10


def one_layer(spec=BASE, norm=None, framework="reference"):
    model = SpikingNetwork()
    neurons = get_adapter(framework).neuron(spec, (20,), generator=torch.Generator().manual_seed(1))
    stage = Stage(nn.Linear(12, 20, bias=False), norm or nn.Identity(), neurons, out_shape=(20,))
    model.add_module("output", stage)
    stage.synapses.weight.data.copy_(0.5 * random(20, 12))
    return model.double().train()


def gradients(model, rule, inputs, labels, **options):
    learner = Rule.from_dict({"name": rule, **options}).learner(model, PROTOCOL, 0)
    model.zero_grad()
    loss, outputs = learner.differentiate(inputs, labels)
    return loss.item(), outputs.detach(), {name: p.grad.clone() for name, p in model.named_parameters()}


@pytest.mark.parametrize("spec", [BASE, NEURONS["stl"], NEURONS["plif"], NEURONS["diet"]])
@pytest.mark.parametrize("rule", ["rate-m", "rate-s"])
def test_one_layer_with_constant_input_has_the_gradients_of_bptt(spec, rule):
    inputs, labels = random(8, 12).expand(6, 8, 12), torch.arange(8)
    loss, outputs, expected = gradients(one_layer(spec), "bptt", inputs, labels)
    found = gradients(one_layer(spec), rule, inputs, labels)
    assert found[0] == pytest.approx(loss, rel=1e-12)
    assert torch.allclose(found[1], outputs, atol=1e-14)
    for name, gradient in expected.items():
        assert gradient.abs().max() > 1e-5
        assert (found[2][name] - gradient).abs().max() < 1e-10 * gradient.abs().max(), name


def test_batch_norm_is_exact_for_constant_input_too():
    inputs, labels = random(8, 12).expand(6, 8, 12), torch.arange(8)
    models = [one_layer(norm=JointBatchNorm(20)) for _ in range(2)]
    _, _, expected = gradients(models[0], "bptt", inputs, labels)
    _, _, found = gradients(models[1], "rate-m", inputs, labels)
    for name, gradient in expected.items():
        assert torch.allclose(found[name], gradient, rtol=1e-9, atol=1e-12), name
    assert torch.allclose(models[0].output.norm.running_var, models[1].output.norm.running_var)
    assert torch.equal(models[1].output.norm.num_batches_tracked, torch.tensor(1))


def test_random_spikes_give_nearly_bptts_direction():
    inputs, labels = (random(6, 8, 12) > 0).double(), torch.arange(8)
    _, _, expected = gradients(one_layer(), "bptt", inputs, labels)
    _, _, found = gradients(one_layer(), "rate-m", inputs, labels)
    cosine = torch.cosine_similarity(*(g["output.synapses.weight"].flatten() for g in (expected, found)), dim=0)
    assert 0.9 < cosine < 1 - 1e-6


def convnet(framework="reference", normalization="joint-bn", **options):
    row = SYSTEMS["convnet-rate-m"]
    model = build_network(
        "convnet", get_adapter(framework), row.spec, (1, 8, 8), 10, 0, normalization=normalization, options=options
    )
    return model.double().train()


IMAGES, LABELS = random(16, 1, 8, 8).sigmoid() * 2, torch.arange(16) % 10


@pytest.mark.parametrize("framework", [name for name in INSTALLED if name != "reference"])
@pytest.mark.parametrize("rule", ["rate-m", "rate-s"])
def test_every_framework_gives_the_references_gradients(framework, rule):
    inputs = IMAGES.expand(4, *IMAGES.shape)
    loss, _, expected = gradients(convnet(), rule, inputs, LABELS)
    found = gradients(convnet(framework), rule, inputs, LABELS)
    assert found[0] == pytest.approx(loss, rel=1e-9)
    for name, gradient in expected.items():
        assert (found[2][name] - gradient).abs().max() <= 1e-6 * gradient.abs().max(), name


def test_the_two_modes_agree_without_batch_norm():
    inputs = 8 * IMAGES.expand(5, *IMAGES.shape) * random(5, 1, 1, 1, 1).sigmoid()
    layered = gradients(convnet(normalization="none"), "rate-m", inputs, LABELS)
    streamed = gradients(convnet(normalization="none"), "rate-s", inputs, LABELS)
    assert torch.allclose(layered[1], streamed[1])
    for name, gradient in layered[2].items():
        assert gradient.abs().max() > 0
        assert torch.allclose(streamed[2][name], gradient, rtol=1e-9, atol=1e-15), name


@pytest.mark.parametrize("pool", ["max", "average"])
def test_the_rate_pass_has_the_values_of_the_spikes(pool):
    model, inputs = convnet(pool=pool), IMAGES.expand(4, *IMAGES.shape)
    pooled = []
    with torch.no_grad():
        handle = model.conv1.register_forward_hook(lambda module, args, out: pooled.append(out.mean(0)))
        expected = model(inputs).mean(0)
    recorded = spike_pass(model, inputs, streaming=False)
    scores = rate_pass(model, IMAGES, recorded)
    handle.remove()
    assert torch.allclose(scores, expected, atol=1e-14)
    assert torch.allclose(pooled[-1], pooled[0], atol=1e-14)
    assert all("forward" not in vars(module) for module in model.modules())


def test_divided_by_steps_is_the_gradient_over_t():
    inputs = IMAGES.expand(4, *IMAGES.shape)
    _, _, whole = gradients(convnet(), "rate-m", inputs, LABELS)
    _, _, divided = gradients(convnet(), "rate-m", inputs, LABELS, divide_by_steps=True)
    assert all(torch.allclose(4 * divided[name], whole[name]) for name in whole)


def test_what_has_no_known_mean_is_refused():
    model = convnet()
    model.add_module("dropout", nn.Dropout(0.5))
    with pytest.raises(Unsupported, match="dropout"):
        require_supported(model)
    with pytest.raises(Unsupported, match="StepBatchNorm"):
        require_supported(convnet(normalization="step-bn"))


def test_an_unknown_option_is_refused():
    with pytest.raises(InputError, match=r"^rule rate-m: divide_by_step: .* did you mean 'divide_by_steps'"):
        Rule.from_dict({"name": "rate-m", "divide_by_step": True})


def test_it_learns():
    model = convnet()
    learner = SYSTEMS["convnet-rate-m"].rule.learner(model, PROTOCOL, 0)
    assert isinstance(learner, GradientLearner)
    losses = [learner.learn(IMAGES.expand(4, *IMAGES.shape), LABELS)[0].item() for _ in range(30)]
    assert losses[-1] < 0.5 * losses[0]


def test_surrogates_of_every_kind_come_from_the_adapter():
    for name in ("atan", "superspike", "triangle", "rectangle"):
        spec = replace(BASE, surrogate=Surrogate(name, 1.3, scale=0.7))
        layer = get_adapter("reference").neuron(spec, (30,)).double()
        constant = random(1, 30).requires_grad_()
        (expected,) = torch.autograd.grad(layer(constant.expand(4, 1, 30)).mean(0).sum(), constant)
        assert (gathered(layer, constant.detach().expand(4, 1, 30)).of("current") - expected).abs().max() < 1e-10
