"""Every noise on a trained network: accuracy falls with severity, and matched frameworks agree about it."""

import math
import statistics
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
import torch
from small_rows import ROWS

from spikemark.core.frameworks import get_adapter
from spikemark.core.streams import generator
from spikemark.networks.build import build_network
from spikemark.noise.adversary import other_framework, other_surrogate
from spikemark.noise.case import SEVERITIES

pytestmark = pytest.mark.usefixtures("short_searches")
# Noises that change little here, for reasons of their own: a rate readout hardly sees times, eight steps leave a decay
# little to do, bright pixels of a digit stay the brightest under speckle, random signs are the control of the attacks.
WEAK = (
    "spike-jitter",
    "decay-mismatch",
    "speckle",
    "time-jitter",
    "time-skew",
    "random-sign",
    "polarity-flip",
    "random-linf",
)
DRAWS = {"hardware": 12, "adversary": 1}


def case_for(noise, request):
    if noise.kinds == ("events",):
        pytest.importorskip("tonic", reason="tonic (extra 'events') is not installed")
        return first(request.getfixturevalue("bars"), 40 if noise.domain == "adversary" else 300)
    case = request.getfixturevalue("digits")
    if noise.domain == "adversary":
        pytest.importorskip("foolbox", reason="foolbox (extra 'attacks') is not installed")
        return first(case, 200)
    return case


def first(case, count):
    recordings = case.recordings and case.recordings.first(count)
    return replace(case, inputs=case.inputs[:count], labels=case.labels[:count], recordings=recordings)


@torch.no_grad()
def accuracy(case):
    outputs = case.model(case.encode_step(case.inputs, generator("encoding")))
    return (outputs.mean(0).argmax(1) == case.labels).float().mean().item()


def measured(case, noise, severity):
    """Mean accuracy over draws and its standard error.

    The error adds what the draws differ by, which for hardware is the luck of the chips, to the binomial error of the
    samples: they are the same at all severities, so that counting it in full leans to the side of tolerance.
    """
    draws = []
    for draw in range(DRAWS.get(noise.domain, 4)):
        with noise.apply(case, severity, generator("noise", noise.name, severity, draw)) as disturbed:
            draws.append(accuracy(disturbed))
    mean = statistics.fmean(draws)
    spread = statistics.variance(draws) / len(draws) if len(draws) > 1 else 0.0
    return mean, math.sqrt(spread + mean * (1 - mean) / len(case.labels))


@pytest.mark.parametrize("noise", ROWS, ids=lambda noise: noise.name)
def test_accuracy_falls_weakly_with_severity(noise, request):
    case = case_for(noise, request)
    curve = [(accuracy(case), 0.0), *(measured(case, noise, severity) for severity in SEVERITIES)]
    assert curve[0][0] > 0.9
    for (mild, error), (strong, other) in pairwise(curve):
        assert strong <= mild + 2 * math.hypot(error, other)
    lost, error = curve[0][0] - curve[-1][0], curve[-1][1]
    # The moving bars are easier than recordings of digits, for which the levels were chosen.
    least = 1 if noise.domain == "events" else 3
    assert lost >= (-2 * error if noise.name in WEAK else least * error)
    assert lost > 0 or noise.name in WEAK


@cache
def twin(framework, case_model):
    """The same network with the same weights and another framework's neurons."""
    layer = case_model.spiking_layers()[0]
    shape, classes, hidden = case_model_shape(case_model)
    built = build_network("mlp", get_adapter(framework), layer.spec, shape, classes, 1, options={"hidden": (hidden,)})
    built.load_state_dict(case_model.state_dict())
    return built.eval()


def case_model_shape(model):
    first, last = (module for module in model.modules() if isinstance(module, torch.nn.Linear))
    return (first.in_features,), last.out_features // 10, first.out_features


@pytest.mark.parametrize("framework", ["snntorch", "spikingjelly"])
@pytest.mark.parametrize("noise", ROWS, ids=lambda noise: noise.name)
def test_frameworks_agree_on_the_same_weights(noise, framework, request):
    """The conformance check of the robustness measure: one trained network, two frameworks, one accuracy."""
    pytest.importorskip({"spikingjelly": "spikingjelly.activation_based"}.get(framework, framework))
    case = case_for(noise, request)
    if noise.domain == "adversary":
        case = first(case, 40)
    other = replace(case, model=twin(framework, case.model), adapter=get_adapter(framework))
    found = []
    for contender in (case, other):
        with noise.apply(contender, 4, generator("noise", noise.name)) as disturbed:
            found.append(accuracy(disturbed))
    assert found[0] == found[1]


@pytest.mark.parametrize("framework", ["reference", "snntorch"])
def test_transferred_attacks_take_the_oracle_or_another_framework_than_it(framework, digits):
    pytest.importorskip(framework if framework != "reference" else "torch")
    case = replace(digits, model=twin(framework, digits.model), adapter=get_adapter(framework))
    elsewhere, again = other_framework(case).spiking_layers(), other_surrogate(case).spiking_layers()
    for layer, moved, changed in zip(case.model.spiking_layers(), elsewhere, again, strict=True):
        assert moved.oracle != layer.oracle == (framework == "reference")
        assert moved.spec == layer.spec
        assert type(changed) is type(layer)
        assert changed.spec.surrogate != layer.spec.surrogate
        assert torch.equal(changed.threshold, layer.threshold)
