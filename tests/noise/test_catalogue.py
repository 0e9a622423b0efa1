"""What must hold for every noise in the catalogue, whatever its domain."""

import copy
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from small_rows import ROWS

from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.core.streams import generator
from spikemark.data.card import DATASETS
from spikemark.data.encoders import encode
from spikemark.errors import InputError
from spikemark.networks.build import build_network
from spikemark.noise.case import NOISES, SEVERITIES, Case

pytestmark = pytest.mark.usefixtures("short_searches")
STEPS = 16
ON_SAMPLES = ("input", "events", "adversary")
# Nothing random in them.
FIXED = ("contrast", "brightness", "gaussian-blur", "weight-quantisation", "refractory-period", "fgsm", "sda-l0")


def name_of(noise):
    return noise.name


@pytest.fixture
def case(request):
    """What the noise of the test can disturb."""
    noise = request.getfixturevalue("noise")
    if noise.kinds == ("events",):
        pytest.importorskip("tonic", reason="tonic (extra 'events') is not installed")
        bars = request.getfixturevalue("bars")
        return replace(bars, inputs=bars.inputs[:24], labels=bars.labels[:24], recordings=bars.recordings.first(24))
    if noise.domain == "adversary":
        pytest.importorskip("foolbox", reason="foolbox (extra 'attacks') is not installed")
        digits = request.getfixturevalue("digits")
        return replace(digits, inputs=digits.inputs[:24], labels=digits.labels[:24])
    return request.getfixturevalue("pictures")


@pytest.fixture(scope="module")
def pictures():
    """A small network whose neurons fire, and smooth pictures with black borders as real ones have."""
    adapter = get_adapter("reference")
    model = build_network("mlp", adapter, NEURONS["lif"], (1, 28, 28), 4, 0, options={"hidden": (200,)})
    random = torch.Generator().manual_seed(5)
    blobs = torch.nn.functional.interpolate(torch.rand(24, 1, 6, 6, generator=random), size=(20, 20), mode="bilinear")
    inputs = torch.nn.functional.pad(blobs, (4, 4, 4, 4))

    def encode_step(batch, generator):
        return encode("direct", batch, STEPS, generator)

    # Statistics of batch norm from the pictures and a wide scale, so that many neurons fire in evaluation mode.
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            torch.nn.init.constant_(module.weight, 3.0)
    for _ in range(30):
        model(encode_step(inputs, random))
    return Case(model.eval(), inputs, torch.arange(24) % 4, encode_step, adapter)


def outputs(case):
    """The spikes of the first layer, after whatever disturbs them, [T, B, *shape]."""
    seen = []
    layer = case.model.spiking_layers()[0]
    handle = layer.register_forward_hook(lambda module, arguments, output: seen.append(output))
    with torch.no_grad():
        case.model(case.encode_step(case.inputs, generator("encoding")))
    handle.remove()
    return seen[0]


def observe(case, noise, severity, seed=0):
    """Noisy inputs and outputs at a severity."""
    with noise.apply(case, severity, generator("noise", noise.name, seed)) as disturbed:
        return disturbed.inputs, outputs(disturbed)


def strength(case, noise, severity):
    """How far samples are from the clean ones, or how far in time spikes were moved, averaged over some draws.

    The distance of cumulative counts grows with the way that a spike moves, and with every spike lost or added.
    """
    on_samples, draws = noise.domain in ON_SAMPLES, 1 if noise.domain == "adversary" else 3
    if noise.kinds == ("events",):  # frames with a time axis of their own, [N, T, *shape]
        return sum(
            (observe(case, noise, severity, seed)[0].cumsum(1) - case.inputs.cumsum(1)).abs().mean().item()
            for seed in range(draws)
        )
    before = case.inputs if on_samples else outputs(case).cumsum(0)
    total = 0.0
    for seed in range(draws):
        inputs, spikes = observe(case, noise, severity, seed)
        after = inputs if on_samples else spikes.cumsum(0)
        total += (after - before).abs().mean().item()
    return total / draws


@pytest.mark.parametrize("noise", ROWS, ids=name_of)
def test_severity_zero_is_the_case_itself(case, noise):
    with noise.apply(case, 0, generator("noise")) as disturbed:
        assert disturbed is case


@pytest.mark.parametrize("noise", ROWS, ids=name_of)
def test_nothing_is_modified_in_place(case, noise):
    inputs = case.inputs.clone()
    state = copy.deepcopy(case.model.state_dict())
    with ExitStack() as stack:
        disturbed = stack.enter_context(noise.apply(case, 5, generator("noise")))
        outputs(disturbed)
        assert disturbed is not case
    assert torch.equal(case.inputs, inputs)
    assert all(torch.equal(tensor, state[name]) for name, tensor in case.model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in case.model.modules())


@pytest.mark.parametrize("noise", ROWS, ids=name_of)
def test_draws_follow_from_the_generator(case, noise):
    first, again = observe(case, noise, 3), observe(case, noise, 3)
    torch.rand(5)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    if noise.name not in FIXED:
        other = observe(case, noise, 3, seed=1)
        assert not (torch.equal(first[0], other[0]) and torch.equal(first[1], other[1]))


@pytest.mark.parametrize("noise", ROWS, ids=name_of)
def test_strength_grows_with_severity(case, noise):
    strengths = [strength(case, noise, severity) for severity in SEVERITIES]
    assert strengths[0] > 0
    # All severities share their draws here, so that little is left to chance. Events that leave the binned window end
    # in saturation: one that is lost counts no more for having been moved further.
    least = 0.95 if noise.name in ("time-jitter", "time-skew") else 0.98
    for mild, strong in pairwise(strengths):
        assert strong >= least * mild
    assert strengths[-1] > 1.5 * strengths[0]


@pytest.mark.parametrize("noise", [n for n in ROWS if n.domain in ON_SAMPLES], ids=name_of)
def test_samples_keep_range_shape_and_type(case, noise):
    for severity in SEVERITIES:
        with noise.apply(case, severity, generator("noise")) as disturbed:
            assert disturbed.model is case.model
            assert disturbed.inputs.shape == case.inputs.shape
            assert disturbed.inputs.dtype == case.inputs.dtype
            assert disturbed.inputs.min() >= 0
            assert disturbed.inputs.max() <= 1


@pytest.mark.parametrize("noise", [n for n in ROWS if n.domain == "input"], ids=name_of)
def test_small_and_colour_images(noise):
    for shape in ((3, 1, 8, 8), (3, 3, 32, 32)):
        inputs = torch.rand(shape, generator=torch.Generator().manual_seed(2))
        for severity in SEVERITIES:
            with noise.apply(
                Case(torch.nn.Identity(), inputs, torch.zeros(3), None), severity, generator("n")
            ) as noisy:
                assert noisy.inputs.shape == shape


@pytest.mark.parametrize("noise", [n for n in ROWS if n.domain in ("spikes", "hardware")], ids=name_of)
def test_spikes_stay_zero_or_one(case, noise):
    assert set(observe(case, noise, 5)[1].unique().tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("noise", ROWS, ids=name_of)
def test_severities_outside_the_scale_are_refused(case, noise):
    for severity in (-1, 6, 1.5):
        with pytest.raises(InputError, match="is not one of 0 \\(clean\\) to 5"):
            noise.apply(case, severity, generator("noise"))


@pytest.mark.parametrize("noise", ROWS, ids=name_of)
def test_rows_are_complete_and_levels_in_order(noise):
    noise = NOISES[noise.name]
    assert noise.unit
    assert noise.summary.endswith(".")
    assert noise.source
    rising = list(noise.levels) == sorted(noise.levels)
    falling = list(noise.levels) == sorted(noise.levels, reverse=True)
    assert rising or falling
    assert len(set(noise.levels)) == 5


def test_noise_for_other_data_is_refused():
    NOISES["rotation"].check(DATASETS["mnist"])
    series = replace(DATASETS["mnist"], name="sounds", kind="series")
    NOISES["gaussian"].check(series)
    with pytest.raises(InputError, match="noise rotation: is for image data; sounds is series"):
        NOISES["rotation"].check(series)


def test_unknown_noise():
    with pytest.raises(KeyError, match="did you mean 'gaussian'"):
        NOISES["gausian"]
