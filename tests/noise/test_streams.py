"""Draws are made sample by sample: batch sizes and the number of samples play no part; every seed draws anew."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.core.streams import generator
from spikemark.data.encoders import encode, encoder
from spikemark.measures.noisy_accuracy import _right, robustness
from spikemark.networks.build import build_network
from spikemark.noise.case import NOISES, Case, noise

STEPS, COUNT = 6, 130
FIXED = ("contrast", "brightness", "gaussian-blur", "refractory-period")
DRAWN = [n for n in NOISES.values() if n.domain in ("input", "events", "spikes")]


class Kept(nn.Module):
    """A network in double precision, so that the order of sums in a batch decides about no spike; keeps its outputs."""

    def __init__(self, network):
        super().__init__()
        self.network = network.double()
        self.seen = []

    def forward(self, inputs):
        outputs = self.network(inputs.double())
        self.seen.append(outputs)
        return outputs


def case_of(inputs, recordings=None, encoding="poisson"):
    shape = tuple(inputs.shape[1:]) if recordings is None else tuple(inputs.shape[2:])
    network = build_network("mlp", get_adapter("reference"), NEURONS["lif"], shape, 4, 0, options={"hidden": (40,)})
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.constant_(module.weight, 3.0)
    steps = STEPS if recordings is None else inputs.shape[1]
    for _ in range(20):  # statistics of batch norm, so that neurons fire in evaluation mode
        network(encode(encoding, inputs, steps, generator("encoding")))
    labels = torch.arange(len(inputs)) % 4
    model = Kept(network).eval()
    return Case(model, inputs, labels, lambda x, g: encode(encoding, x, steps, g), None, recordings)


@pytest.fixture
def case(request):
    if request.node.callspec.params.get("row") is not None and request.node.callspec.params["row"].domain == "events":
        pytest.importorskip("tonic", reason="tonic (extra 'events') is not installed")
        bars = request.getfixturevalue("bars")
        return case_of(bars.inputs[:COUNT], bars.recordings.first(COUNT), "frames")
    return case_of(torch.rand(COUNT, 1, 9, 9, generator=torch.Generator().manual_seed(1)))


def outputs_of(case, row, seed, batch_size):
    with row.apply(case, 3, generator("noise", "made-up", row.name, 3, seed)) as disturbed:
        return whole_outputs(disturbed, batch_size)


def whole_outputs(case, batch_size):
    case.model.seen = []
    _right(case, "made-up", batch_size)
    return torch.cat(case.model.seen, dim=1)


def test_poisson_encoding_does_not_depend_on_the_batch_size():
    case = case_of(torch.rand(COUNT, 1, 9, 9, generator=torch.Generator().manual_seed(1)))
    first, *others = (whole_outputs(case, size) for size in (7, 64, 256))
    assert first.any()
    assert all(torch.equal(first, other) for other in others)


@pytest.mark.parametrize("row", DRAWN, ids=lambda row: row.name)
def test_noise_does_not_depend_on_the_batch_size_but_on_the_seed(case, row):
    first, *others = (outputs_of(case, row, 0, size) for size in (7, 64, 256))
    assert first.any()
    assert all(torch.equal(first, other) for other in others)
    assert torch.equal(first, outputs_of(case, row, 1, 256)) == (row.name in FIXED)


@pytest.mark.parametrize("row", [n for n in DRAWN if n.domain != "spikes"], ids=lambda row: row.name)
def test_the_first_samples_meet_the_same_noise_however_many_follow(case, row):
    few = replace(case, inputs=case.inputs[:21], recordings=case.recordings and case.recordings.first(21))
    noisy = []
    for one in (case, few):
        with row.apply(one, 4, generator("noise", row.name)) as disturbed:
            noisy.append(disturbed.inputs[:21])
    assert torch.equal(*noisy)


def test_the_measure_draws_anew_for_every_seed_and_alike_for_every_batch_size():
    case = case_of(torch.rand(COUNT, 1, 9, 9, generator=torch.Generator().manual_seed(1)))
    names = ("gaussian", "burst-errors", "weight-mismatch")

    def found(seed, batch_size):
        arguments = (case.model, "made-up", case.inputs, case.labels, case.encode_step, names, (2, 5), batch_size)
        return robustness(*arguments, seed=seed)

    assert found(0, 7) == found(0, 64) == found(0, 256)
    prints, others = found(0, 64)[1], found(1, 64)[1]
    assert {key for key in prints if prints[key] == others[key]} == {"noise:clean"}


@pytest.mark.usefixtures("registries_as_before")
def test_functions_that_draw_for_whole_batches_are_called_sample_by_sample():
    @encoder("step-by-step")
    def by_step(inputs, steps, generator):
        return torch.stack([(torch.rand(inputs.shape, generator=generator) < inputs).float() for _ in range(steps)])

    @noise("by-step", domain="spikes", levels=(0.1, 0.2, 0.3, 0.4, 0.5), unit="probability")
    def drop(spikes, level, generator):
        return spikes * (torch.rand(spikes.shape, generator=generator) >= level)

    calls = []

    @encoder("fixed")
    def fixed(inputs, steps, generator):
        calls.append(len(inputs))
        return inputs.expand(steps, *inputs.shape)

    inputs = torch.rand(COUNT, 1, 9, 9, generator=torch.Generator().manual_seed(1))
    case = case_of(inputs, encoding="step-by-step")
    first, *others = (outputs_of(case, NOISES["by-step"], 0, size) for size in (7, 64, 256))
    assert first.any()
    assert all(torch.equal(first, other) for other in others)
    assert not torch.equal(first, whole_outputs(case, 64))
    encode("fixed", inputs, 3, generator("e"))
    assert calls == [COUNT]  # what draws nothing may have whole batches
