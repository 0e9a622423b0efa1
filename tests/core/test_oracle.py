"""The oracle against the equations once more, in scalar Python that shares no code with it."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS, Learnable, Surrogate
from spikemark.measures.semantics.comparison import covering_grid

SPECS = list(covering_grid())


def scalar_spikes(spec, a, theta, currents):
    """One neuron's spikes from plain numbers."""
    v, spikes = 0.0, []
    for x in currents:
        u = a * v + (1 - a if spec.decay_input else 1.0) * x
        o = u >= theta if spec.fires_at_threshold else u > theta
        v = {"zero": 0.0, "subtract": u - theta, "none": u}[spec.reset] if o else u
        spikes.append(float(o))
    return spikes


@pytest.mark.parametrize("part", range(4))
def test_spikes_are_those_of_a_scalar_loop(part):
    fired = 0.0
    for number, spec in enumerate(SPECS[part::4]):
        rng = torch.Generator().manual_seed(number)
        layer = get_adapter("reference").neuron(spec, (3, 2), generator=rng).double()
        with torch.no_grad():
            for parameter in layer.learnables().values():
                parameter += 0.25 * torch.rand(parameter.shape, generator=rng, dtype=torch.float64)
            # Steps of 1/8 reach the thresholds exactly now and then.
            currents = torch.randint(-4, 16, (9, 2, 3, 2), generator=rng).double() / 8
            spikes = layer(currents)
            a, theta = (t.expand(3, 2).tolist() for t in (layer.decay, layer.threshold))
        for b, i, j in itertools.product(range(2), range(3), range(2)):
            expected = scalar_spikes(spec, a[i][j], theta[i][j], currents[:, b, i, j].tolist())
            assert spikes[:, b, i, j].tolist() == expected, spec
            fired += sum(expected)
    assert fired > 100


def soft_step(surrogate, z):
    """A smooth function whose derivative is the surrogate's."""
    return {
        "atan": lambda: torch.atan(math.pi / 2 * surrogate.alpha * z) / math.pi,
        "sigmoid": lambda: torch.sigmoid(surrogate.alpha * z),
        "superspike": lambda: z / (1 + surrogate.alpha * z.abs()),
    }[surrogate.name]()


@pytest.mark.parametrize("relative", [False, True])
@pytest.mark.parametrize("name", ["atan", "sigmoid", "superspike"])
def test_gradients_of_one_step_are_finite_differences_of_the_surrogates_integral(name, relative):
    surrogate = Surrogate(name, 2.0, 0.5, relative)
    spec = replace(
        NEURONS["lif"],
        surrogate=surrogate,
        threshold=Learnable(0.8, "neuron", "softplus"),
        decay=Learnable(0.6, "neuron", "sigmoid"),
    )
    layer = get_adapter("reference").neuron(spec, (5,)).double()
    x = torch.linspace(-1, 4, 5, dtype=torch.float64).reshape(1, 1, 5).requires_grad_()
    found = torch.autograd.grad(layer(x).sum(), [x, layer.raw_threshold, layer.raw_decay])

    def smooth(x, raw_threshold, raw_decay):
        theta, a = torch.nn.functional.softplus(raw_threshold), torch.sigmoid(raw_decay)
        z = (1 - a) * x - theta
        return 0.5 * soft_step(surrogate, z / theta if relative else z).sum()

    at = [x.detach(), layer.raw_threshold.detach(), layer.raw_decay.detach()]
    for k, gradient in enumerate(found):
        for i in range(5):
            up, down = [t.clone() for t in at], [t.clone() for t in at]
            up[k].view(-1)[i] += 1e-5
            down[k].view(-1)[i] -= 1e-5
            difference = (smooth(*up) - smooth(*down)) / 2e-5
            assert float(gradient.view(-1)[i]) == pytest.approx(float(difference), abs=1e-8)


def test_the_threshold_gradient_of_stl_is_its_closed_form():
    """With E[t] = e[t] - tau u[t] g[t+1] and g[t] = E[t] h[t] + tau (1 - o[t]) g[t+1]: dL/dtheta = -sum E[t] h[t]."""
    spec, tau, steps = NEURONS["stl"], 0.5, 20
    rng = torch.Generator().manual_seed(3)
    layer = get_adapter("reference").neuron(spec, (7,), generator=rng).double()
    x = 3 * torch.rand(steps, 4, 7, generator=rng, dtype=torch.float64)
    e = torch.randn(steps, 4, 7, generator=rng, dtype=torch.float64)
    x.requires_grad_()
    spikes = layer(x)
    to_x, to_theta = torch.autograd.grad(spikes, [x, layer.raw_threshold], e)

    theta, v, us = layer.threshold.detach(), torch.zeros(4, 7, dtype=torch.float64), []
    for t in range(steps):
        us.append(tau * v + x.detach()[t])
        v = us[-1] * (1 - spikes.detach()[t])
    g, expected = torch.zeros(4, 7, dtype=torch.float64), torch.zeros(7, dtype=torch.float64)
    expected_x = torch.zeros_like(to_x)
    for t in reversed(range(steps)):
        h = 1 / (1 + (math.pi * (us[t] - theta)) ** 2)
        E = e[t] - tau * us[t] * g
        g = E * h + tau * (1 - spikes.detach()[t]) * g
        expected -= (E * h).sum(0)
        expected_x[t] = g
    torch.testing.assert_close(to_theta, expected, rtol=1e-12, atol=1e-13)
    torch.testing.assert_close(to_x, expected_x, rtol=1e-12, atol=1e-13)


def test_a_detached_reset_leaves_only_the_path_through_the_comparison():
    subtract = replace(NEURONS["stl"], reset="subtract", decay_input=False)
    for detach in (True, False):
        spec = replace(
            subtract, detach_reset=detach, surrogate=Surrogate("rectangle", 1.0), threshold=Learnable(2.0, "layer")
        )
        layer = get_adapter("reference").neuron(spec, (1,)).double()
        # u[0] = 2 = theta: h = 1 and a spike, v[0] = 0. u[1] = 2 again: h = 1. Only o[1] is asked for.
        out = layer(torch.tensor([2.0, 2.0], dtype=torch.float64).reshape(2, 1, 1))
        (gradient,) = torch.autograd.grad(out[1].sum(), layer.raw_threshold)
        # do[1]/dtheta = h (du[1]/dtheta - 1), du[1]/dtheta = a dv[0]/dtheta; attached: dv = -o - theta do = -1 + 2 = 1
        assert float(gradient) == pytest.approx(-1.0 if detach else -1.0 + 0.5)


def test_nan_currents_never_fire_and_stay_with_their_neuron():
    layer = get_adapter("reference").neuron(NEURONS["stl"], (2,))
    x = torch.full((4, 1, 2), 3.0)
    x[1, 0, 0] = math.nan
    assert layer(x)[:, 0, 0].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert layer(x)[:, 0, 1].tolist() == [1.0, 1.0, 1.0, 1.0]
