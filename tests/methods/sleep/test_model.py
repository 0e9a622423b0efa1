import copy

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import QuadraticDiscriminantAnalysis
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from spikemark.core.streams import generator
from spikemark.errors import InputError
from spikemark.methods.sleep.model import SleepNetwork, draw
from spikemark.methods.sleep.options import NeuronConstants
from spikemark.methods.sleep.projections import Architecture
from spikemark.methods.sleep.readout import RateReadout

SMALL = Architecture(
    side=6, excitatory=20, inhibitory=5, intensity=0.3, densities=(0.5, 0.3, 0.4, 0.5), weights=(0.2, 0.3, 1.5, -0.5)
)
LIVELY = NeuronConstants(tau_membrane=5, tau_synapse=5)


def network(seed=0):
    torch.manual_seed(seed)
    return SleepNetwork((1, 8, 8), 3, SMALL, LIVELY)


def images(count=6, steps=20, seed=1):
    x = torch.rand(count, 1, 8, 8, generator=generator("test", seed))
    return x.unsqueeze(0).expand(steps, *x.shape)


def fitted():
    model = network()
    counts, _ = model.responses(images(60))
    model.fit_readout(torch.from_numpy(counts / 20), torch.arange(60) % 3)
    return model


def test_published_architecture():
    torch.manual_seed(0)
    model = SleepNetwork((1, 28, 28), 10)
    wiring, weight = model.wiring()
    assert (model.inputs, model.neurons) == (225, 250)
    expected = {"input_to_exc": (4500, 0.15), "exc_to_exc": (5970, 0.30), "exc_to_inh": (2000, 0.40)}
    for name, projection, _, _ in model.projections():
        assert torch.equal(projection.weight != 0, projection.mask)
        if name in expected:
            number, value = expected[name]
            assert int(projection.mask.sum()) == pytest.approx(number, rel=0.1)
            assert projection.weight[projection.mask].unique().item() == value
    assert not model.exc_to_exc.mask.diagonal().any()
    assert not (model.inh_to_exc.mask & model.exc_to_inh.mask.T).any()
    assert int(model.inh_to_exc.mask.sum()) == pytest.approx(2500 * 0.8, rel=0.1)
    assert weight.min() == -0.5
    assert len(wiring.pre) == sum(int(p.mask.sum()) for _, p, _, _ in model.projections())


def test_synapses_are_drawn_anew_and_together():
    model = network()
    before = [p.mask.clone() for _, p, _, _ in model.projections()]
    torch.manual_seed(9)
    for _, projection, _, _ in model.projections():
        projection.reset_parameters()
    assert not any(torch.equal(a, p.mask) for a, (_, p, _, _) in zip(before, model.projections(), strict=True))
    assert not (model.inh_to_exc.mask & model.exc_to_inh.mask.T).any()


def test_wiring_and_store_are_inverse():
    model = network()
    wiring, weight = model.wiring()
    dense = {(int(i), int(j)): float(w) for i, j, w in zip(wiring.pre, wiring.post, weight, strict=True)}
    for _, projection, pre, post in model.projections():
        for target, source in projection.mask.nonzero().tolist():
            assert dense.pop((source + pre, target + post)) == projection.weight[target, source].item()
    assert not dense
    changed = weight * np.linspace(1, 2, len(weight))
    model.store(wiring, changed)
    np.testing.assert_array_equal(model.wiring()[1], changed)


def test_images_are_scaled_to_the_published_sum():
    torch.manual_seed(0)
    model = SleepNetwork((1, 28, 28), 10)
    x = torch.rand(2, 1, 28, 28) * torch.tensor([1.0, 0.01]).view(2, 1, 1, 1)
    p = model.probabilities(x.expand(7, *x.shape))
    assert p.shape == (1, 2, 225)  # one view for all steps is resized once
    torch.testing.assert_close(p.sum(2), torch.full((1, 2), 22.5))
    varying = torch.rand(7, 2, 1, 28, 28)
    torch.testing.assert_close(model.probabilities(varying).sum((0, 2)), torch.full((2,), 7 * 22.5))
    assert model.probabilities(torch.zeros(3, 1, 1, 28, 28)).sum() == 0


def test_draws_have_the_probabilities():
    p = np.array([[0.0, 0.3, 1.7]], dtype=np.float32)
    spikes = draw(p, 4000, np.random.default_rng(0))
    assert spikes.mean(0) == pytest.approx([0, 0.3, 1], abs=0.03)


def test_scores_do_not_depend_on_batch_or_history():
    model, x = fitted(), images()
    together = model(x)
    assert together.shape == (1, 6, 3)
    assert torch.equal(together, model(x))
    assert torch.equal(together[:, 2:3], model(x[:, 2:3]))
    assert torch.equal(together.flip(1), model(x.flip(1)))
    assert len(together[0].unique(dim=0)) == 6


def test_state_dict_holds_everything():
    trained, other = fitted(), network(seed=3)
    other.load_state_dict(trained.state_dict())
    assert torch.equal(other(images()), trained(images()))
    assert torch.equal(copy.deepcopy(trained)(images()), trained(images()))
    assert other.diagnostics() == trained.diagnostics()


def test_weights_of_a_disturbed_copy_are_used():
    """Hardware noise writes into the weights of a copy; absent synapses stay absent."""
    model = fitted()
    disturbed = copy.deepcopy(model)
    with torch.no_grad():
        for _, projection, _, _ in disturbed.projections():
            projection.weight.masked_fill_(~projection.mask, 99.0)
    assert torch.equal(disturbed(images()), model(images()))
    with torch.no_grad():
        disturbed.input_to_exc.weight.zero_()
    assert (disturbed.responses(images())[0] == 0).all()


def test_operations_against_brute_force():
    model, x = fitted(), images(3, 15)
    with torch.no_grad():
        model.exc_to_inh.weight[:, ::2] = 0  # weights of zero do not count
    counted = model.count_operations(x)
    # The spikes step by step: those of the first t + 1 steps that were delivered are those of the first t.
    by_layer = dict.fromkeys(("input_to_exc", "exc_to_exc", "exc_to_inh", "inh_to_exc"), 0)
    spikes = torch.zeros(3, 14, model.inputs + model.neurons)
    for steps in range(2, 16):
        spikes[:, steps - 2] = torch.from_numpy(model.responses(x[:steps])[1])  # draws come step by step
    spikes[:, 1:] -= spikes[:, :-1].clone()
    assert set(spikes.unique().tolist()) == {0.0, 1.0}
    for name, projection, pre, _ in model.projections():
        for _b, _t, i in spikes[:, :, pre : pre + projection.in_features].nonzero().tolist():
            for j in range(projection.out_features):
                by_layer[name] += bool(projection.mask[j, i] and projection.weight[j, i] != 0)
    layers = {layer.name: layer for layer in counted.layers}
    assert {name: layers[name].acs * 3 for name in by_layer} == pytest.approx(by_layer)
    assert all(by_layer.values())
    assert layers["input_to_exc"].dense == 15 * int(model.input_to_exc.mask.sum())
    assert counted.neuron_updates == 15 * 25
    assert counted.firing_rate == pytest.approx(model.responses(x)[0].mean() / 15)
    k = int(model.readout.components)
    assert layers["readout"].macs == 25 * k + 3 * (k * (k + 1) / 2 + k)


def test_diagnostics():
    model = fitted()
    model.bounds.copy_(torch.tensor([0.2, 0.5]))
    model.rates.copy_(torch.tensor([0.0, 0.3, 0.2, 0.1, 0.0] + [0.1] * 20))
    found = model.diagnostics()
    sizes = {name: int(p.mask.sum()) for name, p, _, _ in model.projections()}
    total = sum(sizes.values())
    assert found["weights_at_lower_bound"] == pytest.approx(sizes["input_to_exc"] / total)
    assert found["weights_at_upper_bound"] == pytest.approx((sizes["exc_to_inh"] + sizes["inh_to_exc"]) / total)
    assert found["mean_excitatory_weight"] > 0.2
    assert found["silent_neurons"] == pytest.approx(2 / 25)
    assert found["runaway_neurons"] == pytest.approx(1 / 25)
    assert found["mean_inhibitory_weight"] == pytest.approx(0.5)


def test_diversity_is_the_number_of_equal_directions():
    model = network()
    rates = torch.zeros(8, 25, dtype=torch.float64)
    rates[:4, :3] = torch.tensor([[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]], dtype=torch.float64)
    model.fit_readout(rates, torch.arange(8) % 3)
    assert float(model.diversity) == pytest.approx(3.0)


def test_readout_is_the_published_chain():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(30, 30)) * np.linspace(0.05, 3, 30)
    x, labels = rng.normal(size=(900, 30)) @ mixing, rng.integers(0, 4, 900)
    x += 2 * rng.normal(size=(4, 30))[labels]
    x[:, 7] = 0.25  # a neuron that always does the same
    peer = make_pipeline(
        StandardScaler(), PCA(0.95, whiten=True, svd_solver="full"), QuadraticDiscriminantAnalysis(reg_param=0.1)
    ).fit(x[:600], labels[:600])
    readout = RateReadout(30, 4)
    readout.fit(torch.from_numpy(x[:600]), torch.from_numpy(labels[:600]))
    scores = readout(torch.from_numpy(x[600:]))
    np.testing.assert_allclose(scores.exp(), peer.predict_proba(x[600:]), atol=1e-8)
    np.testing.assert_array_equal(scores.argmax(1), peer.predict(x[600:]))
    assert (scores.argmax(1).numpy() == labels[600:]).mean() > 0.8


def test_readout_of_few_or_equal_samples():
    readout = RateReadout(5, 3)
    assert torch.equal(readout(torch.full((2, 5), 0.5).double()), torch.full((2, 3), 0.5).double())
    readout.fit(torch.ones(4, 5), torch.tensor([0, 0, 0, 1]))
    expected = torch.tensor([0.75, 0.25, 0.0]).double().log().expand(2, -1)
    torch.testing.assert_close(readout(torch.rand(2, 5).double()), expected)
    readout.fit(torch.rand(4, 5, generator=generator("few")), torch.tensor([0, 0, 1, 2]))  # fewer than dimensions
    assert torch.isfinite(readout(torch.rand(2, 5).double())).all()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.1])
def test_bad_values(value):
    x = torch.rand(1, 2, 1, 8, 8)
    x[0, 1, 0, 3, 3] = value
    with pytest.raises(InputError, match=r"^inputs: .*finite numbers of at least 0"):
        network()(x)


@pytest.mark.parametrize("shape", [(4, 2, 1, 8, 7), (4, 2, 8, 8), (0, 2, 1, 8, 8), (4, 0, 1, 8, 8)])
def test_bad_shapes(shape):
    with pytest.raises(InputError, match=r"^inputs: "):
        network()(torch.rand(shape))


def test_samples_that_are_no_images():
    with pytest.raises(InputError, match=r"^input_shape: "):
        SleepNetwork((20,), 3)
