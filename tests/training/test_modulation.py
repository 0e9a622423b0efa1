from __future__ import annotations

import pytest
import torch

from spikemark import report, run
from spikemark.core.adapter import Unsupported
from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.core.streams import generator
from spikemark.errors import InputError
from spikemark.training.build import build_system
from spikemark.training.modulation import membrane_moments, modulated
from spikemark.training.system import SYSTEMS

T, B = 4, 64


def layer_and_currents(framework="fused", neuron="stl", shape=(3, 5)):
    layer = get_adapter(framework).neuron(NEURONS[neuron], shape, generator=torch.Generator().manual_seed(0))
    return torch.nn.Sequential(layer), 0.5 + torch.randn((T, B, *shape), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("framework", ["reference", "fused"])
def test_a_batch_like_training_keeps_its_spikes(framework):
    model, currents = layer_and_currents(framework)
    usual = membrane_moments(model, iter([currents]))
    before = model(currents)
    with modulated(model, usual), torch.no_grad():
        same = model(currents)
    assert 0 < before.mean() < 1
    assert torch.equal(same, before)


@pytest.mark.parametrize("neuron", ["stl", "lif", "plif"])
def test_currents_on_another_scale_change_nothing(neuron):
    """Membranes, their moments and so the thresholds scale alike."""
    model, currents = layer_and_currents(neuron=neuron)
    usual = membrane_moments(model, iter([currents]))
    before = model(currents)
    assert not torch.equal(model(0.5 * currents), before)
    with modulated(model, usual), torch.no_grad():
        same = model(0.5 * currents)
    assert (same != before).double().mean() < 1e-3  # the floor below the variance does not scale
    assert not torch.equal(model(0.5 * currents), before)  # and nothing stays changed


def test_moments_are_those_of_the_membranes():
    model, currents = layer_and_currents("reference", "if")
    (moments,) = membrane_moments(model, iter([currents, currents])).values()
    first = currents[0]  # an integrator's membranes at the first step are its currents
    assert moments.mean.shape == moments.deviation.shape == (T, 3, 1)
    torch.testing.assert_close(moments.mean[0, :, 0], first.mean((0, 2)))
    torch.testing.assert_close(moments.deviation[0, :, 0], (first.var((0, 2)) + 1e-5).sqrt(), rtol=1e-3, atol=0)


def test_what_cannot_be_modulated_is_said():
    model, currents = layer_and_currents()
    with pytest.raises(InputError, match="at least 2"):
        membrane_moments(model, iter([currents[:, :1]]))
    with pytest.raises(InputError, match="no samples"):
        membrane_moments(model, iter([]))
    adapting, _ = layer_and_currents("reference", "alif")
    with pytest.raises(Unsupported, match="follows the spikes already"):
        membrane_moments(adapting, iter([currents]))
    graded = build_system(SYSTEMS["ltmd-mnist-small"], get_adapter("reference"), (1, 28, 28), 10, 0, steps=2)
    with pytest.raises(Unsupported, match="is not one"):
        membrane_moments(graded, iter([torch.rand(2, 2, 1, 28, 28, generator=generator("test"))]))


def test_dimmed_images_are_read_again(tmp_path):
    suite = {
        "name": "modulation",
        "frameworks": ["fused"],
        "systems": ["mlp-lif"],
        "datasets": ["digits"],
        "measures": ["threshold-modulation"],
        "seeds": [0],
        "sizes": {"train": 800, "validation": 100, "test": 257},
        "training": {"epochs": 6, "batch_size": 64},
        "encoding": {"name": "direct", "steps": 4},
        "threshold-modulation": {"noises": ["contrast"], "severities": [5], "batch_sizes": [256]},
    }
    table = run(suite, out=tmp_path, workers=0).table
    found = {(row.metric, row.severity): row.value for row in table.itertuples()}
    assert found["accuracy", 0] > 0.85
    assert found["accuracy_modulated", 5] > found["accuracy", 5] + 0.1
    report(tmp_path, tmp_path / "report")
    lines = (tmp_path / "report" / "modulation.md").read_text().splitlines()
    (line,) = [line for line in lines if line.startswith("| fused") and "contrast" in line]
    assert f"{100 * found['accuracy_modulated', 5]:.2f}" in line
    with pytest.raises(InputError, match="disturbs weights"):
        run(suite | {"threshold-modulation": {"noises": ["weight-mismatch"]}}, out=tmp_path, workers=0)
