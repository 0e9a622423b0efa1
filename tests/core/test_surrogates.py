import itertools
import math
from dataclasses import replace

import pytest
import torch

from spikemark.core.neurons import NEURONS, Surrogate
from spikemark.core.surrogates import derivative, reach_and_top, spike_function

NAMES = ["atan", "superspike", "sigmoid", "triangle", "rectangle"]
Z = [-3.0, -1.0, -0.5, -0.25, -0.1, 0.0, 0.1, 0.25, 0.5, 1.0, 3.0]


def formula(name, alpha, z):
    """The table of `Surrogate`, in plain Python."""
    logistic = 1 / (1 + math.exp(-alpha * z))
    return {
        "atan": (alpha / 2) / (1 + (math.pi / 2 * alpha * z) ** 2),
        "superspike": 1 / (1 + alpha * abs(z)) ** 2,
        "sigmoid": alpha * logistic * (1 - logistic),
        "triangle": max(0.0, 1 - abs(z) / alpha) / alpha,
        "rectangle": 1 / alpha if abs(z) < alpha / 2 else 0.0,
    }[name]


@pytest.mark.parametrize("scale", [1.0, 0.3])
@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 3.7])
@pytest.mark.parametrize("name", NAMES)
def test_derivatives_are_those_of_the_table(name, alpha, scale):
    z = torch.tensor(Z, dtype=torch.float64)
    kept = z.clone()
    expected = torch.tensor([scale * formula(name, alpha, x) for x in Z], dtype=torch.float64)
    torch.testing.assert_close(derivative(Surrogate(name, alpha, scale), z), expected, rtol=1e-13, atol=1e-15)
    assert torch.equal(z, kept)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0, 3.7])
@pytest.mark.parametrize("name", NAMES)
def test_reach_and_top_are_the_constants_of_the_same_formula(name, alpha):
    """What kernels compute from them, in plain Python."""
    reach, top = reach_and_top(Surrogate(name, alpha, 0.3))
    for z in Z:
        y = reach * abs(z)
        found = (
            top
            * {
                "atan": 1 / (1 + y**2),
                "superspike": 1 / (1 + y) ** 2,
                "sigmoid": math.exp(-y) / (1 + math.exp(-y)) ** 2,
                "triangle": max(0.0, 1 - y),
                "rectangle": float(abs(z) < reach),
            }[name]
        )
        assert found == pytest.approx(0.3 * formula(name, alpha, z), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("name", ["atan", "sigmoid", "triangle", "rectangle"])
def test_derivatives_have_area_one(name):
    z = torch.linspace(-200, 200, 4_000_001, dtype=torch.float64)
    area = float(torch.trapezoid(derivative(Surrogate(name, 2.0), z), z))
    assert area == pytest.approx(1, abs=2e-3)  # atan has long tails


@pytest.mark.parametrize("fires", [True, False])
def test_the_step_at_above_and_below_the_threshold(fires):
    spec = replace(NEURONS["lif"], fires_at_threshold=fires)
    shift = torch.tensor([-math.inf, -1.0, -1e-30, 0.0, 1e-30, 1.0, math.inf, math.nan])
    expected = [0.0, 0.0, 0.0, float(fires), 1.0, 1.0, 1.0, 0.0]
    threshold = torch.ones(())
    assert spike_function(spec, threshold)(shift).tolist() == expected
    with torch.no_grad():
        assert spike_function(spec, threshold)(shift).tolist() == expected
    assert spike_function(spec, threshold)(shift.clone().requires_grad_()).tolist() == expected


@pytest.mark.parametrize(("name", "relative"), list(itertools.product(NAMES, [False, True])))
def test_gradients_to_membrane_and_threshold_are_the_closed_forms(name, relative):
    spec = replace(NEURONS["lif"], surrogate=Surrogate(name, 1.5, 0.7, relative))
    rng = torch.Generator().manual_seed(1)
    u = torch.randn(6, 4, generator=rng, dtype=torch.float64, requires_grad=True)
    theta = (0.5 + torch.rand(4, generator=rng, dtype=torch.float64)).requires_grad_()
    spikes = spike_function(spec, theta)(u - theta.detach())
    to_u, to_theta = torch.autograd.grad(spikes.sum(), [u, theta])
    for j in range(4):
        t, sums = theta[j].item(), 0.0
        for i in range(6):
            v = u[i, j].item()
            d = 0.7 * formula(name, 1.5, (v - t) / t if relative else v - t)
            assert float(to_u[i, j]) == pytest.approx(d / t if relative else d, rel=1e-12)
            sums += -d * v / t**2 if relative else -d
        assert float(to_theta[j]) == pytest.approx(sums, rel=1e-11)
