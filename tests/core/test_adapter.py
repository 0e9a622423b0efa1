import importlib.metadata
from dataclasses import replace

import pytest
import torch

from installed import INSTALLED
from spikemark.core.adapter import Unsupported
from spikemark.core.frameworks import adapter_names, get_adapter
from spikemark.core.neurons import NEURONS, Adaptation, Learnable

SHAPE = (3, 4, 5)


def layer(**changes):
    return get_adapter("reference").neuron(
        replace(NEURONS["lif"], **changes), SHAPE, generator=torch.Generator().manual_seed(0)
    )


@pytest.mark.parametrize(("scope", "size"), [("fixed", ()), ("layer", ()), ("channel", (3, 1, 1)), ("neuron", SHAPE)])
@pytest.mark.parametrize("name", ["threshold", "decay"])
def test_a_scope_decides_the_shape_and_whether_it_is_trained(name, scope, size):
    made = layer(**{name: Learnable(0.5, scope)})
    assert getattr(made, name).shape == size
    assert torch.equal(getattr(made, name).detach(), torch.full(size, 0.5))
    assert list(made.learnables()) == ([] if scope == "fixed" else [name])
    assert set(made.state_dict()) == {"raw_threshold", "raw_decay"}


@pytest.mark.parametrize("transform", ["identity", "sigmoid", "tanh", "softplus", "exp"])
def test_init_is_the_effective_value_behind_every_transform(transform):
    made = layer(threshold=Learnable(0.7, "neuron", transform)).double()
    torch.testing.assert_close(made.threshold, torch.full(SHAPE, 0.7).double(), rtol=1e-6, atol=0)
    (gradient,) = torch.autograd.grad(made.threshold.sum(), made.raw_threshold)
    assert bool((gradient > 0).all())


def test_jitter_moves_the_raw_values_as_the_generator_says():
    one, same = (
        layer(threshold=Learnable(2.0, "neuron", jitter=0.1)),
        layer(threshold=Learnable(2.0, "neuron", jitter=0.1)),
    )
    assert torch.equal(one.raw_threshold, same.raw_threshold)
    assert 0.05 < float(one.threshold.detach().std()) < 0.2
    assert abs(float(one.threshold.detach().mean()) - 2) < 0.05


def test_currents_of_another_shape_or_type_or_without_time_are_refused():
    made = layer()
    with pytest.raises(
        ValueError, match=r"currents have shape \[2, 1, 3, 4\]; this layer takes \[T, B, \*\[3, 4, 5\]\]"
    ):
        made(torch.zeros(2, 1, 3, 4))
    with pytest.raises(ValueError, match="T = 0 time steps"):
        made(torch.zeros(0, 1, *SHAPE))
    with pytest.raises(TypeError, match=r"currents are torch.float64; this layer computes in torch.float32"):
        made(torch.zeros(2, 1, *SHAPE).double())


def test_the_shipped_adapters_are_found():
    assert set(adapter_names()) >= {"reference", "spikingjelly", "snntorch", "norse"}
    for name in INSTALLED:
        adapter = get_adapter(name)
        assert adapter.name == name
        assert adapter.version()


def test_the_version_of_an_adapter_is_its_frameworks():
    assert get_adapter("norse").version() == importlib.metadata.version("norse")


def test_an_unknown_adapter_is_answered_with_the_closest_name():
    with pytest.raises(KeyError, match="no framework 'snntorhc'; did you mean 'snntorch'"):
        get_adapter("snntorhc")


SPECIAL = {
    "reset: .* not none": replace(NEURONS["lif"], reset="none"),
    "adaptation: .* follow the spikes": replace(NEURONS["lif"], adaptation=Adaptation(Learnable(0.5), Learnable(1.0))),
}


@pytest.mark.parametrize("message", SPECIAL)
@pytest.mark.parametrize("name", ["reference", "spikingjelly", "snntorch", "norse", "fused"])
def test_a_framework_has_a_reset_and_adaptation_or_says_which_it_lacks(name, message):
    adapter, spec = get_adapter(name), SPECIAL[message]
    has = spec.reset in adapter.resets and (adapter.adapts or spec.adaptation is None)
    for ask in (lambda: adapter.route(spec), lambda: adapter.neuron(spec, (3,))):
        if has:
            assert ask() is not None
        else:
            with pytest.raises(Unsupported, match=message):
                ask()


def test_parameters_of_an_adaptation_are_learned_and_named_like_the_others():
    adaptation = Adaptation(Learnable(0.5, "channel", "sigmoid"), Learnable(1.0, "neuron"))
    made = layer(adaptation=adaptation)
    assert list(made.learnables()) == ["adaptation_decay", "adaptation_strength"]
    assert made.effective("adaptation_decay").shape == (3, 1, 1)
    assert torch.equal(made.observed()["adaptation_strength"].detach(), torch.ones(SHAPE))
    assert set(made.state_dict()) == {f"raw_{name}" for name in made.spec.parameters}
