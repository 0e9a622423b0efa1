"""The neuron against slow loops over plain numbers that share nothing with it, and against finite differences."""

import pytest
import torch

from spikemark import NEURONS, get_adapter
from spikemark.core.adapter import SpikingLayer
from spikemark.errors import InputError
from spikemark.methods.spike_time.neuron import Kernel, SrmLayer, charge
from spikemark.methods.spike_time.synapses import _LinearTimes
from spikemark.networks.build import build_network

CASES = 120


def draw(seed):
    random = torch.Generator().manual_seed(seed)
    steps, inputs, outputs = (
        int(torch.randint(low, high, (), generator=random)) for low, high in ((3, 9), (1, 6), (1, 4))
    )
    tau_s = 1.5 + 3 * float(torch.rand((), generator=random))
    tau_m = tau_s + 0.5 + 4 * float(torch.rand((), generator=random))
    slope = "exponential" if seed % 2 else "original"
    kernel = Kernel(tau_m, tau_s, 1.2 + 3 * float(torch.rand((), generator=random)), slope)
    spikes = (torch.rand(steps, 1, inputs, generator=random) < 0.6).double()
    weight = torch.randn(outputs, inputs, generator=random, dtype=torch.float64) + 0.4
    threshold = 0.3 + torch.rand(outputs, generator=random, dtype=torch.float64)
    upstream = torch.randn(steps, 1, outputs, generator=random, dtype=torch.float64)
    return kernel, spikes, weight, threshold, upstream


def eps(kernel, d):
    gain = (1 / kernel.tau_s) / (1 / kernel.tau_s - 1 / kernel.tau_m)
    return gain * ((1 - 1 / kernel.tau_m) ** (d + 1) - (1 - 1 / kernel.tau_s) ** (d + 1)) if d >= 0 else 0.0


def slow_forward(kernel, current, threshold):
    """One neuron: a double sum over the inputs since its last spike. Spikes as times, and the membrane."""
    fired, membrane = [], []
    for t in range(len(current)):
        since = fired[-1] + 1 if fired else 0
        membrane.append(sum(current[q] * eps(kernel, t - q) for q in range(since, t + 1)))
        if membrane[-1] >= threshold:
            fired.append(t)
    return fired, membrane


def slow_gradients(kernel, spikes, weight, threshold, upstream):
    """By the paper's sums over spikes of outputs and inputs, one at a time."""
    to_weight, to_time = torch.zeros_like(weight), torch.zeros_like(spikes)
    margins = []
    for i in range(len(weight)):
        current = [float(weight[i] @ row[0]) for row in spikes]
        fired, membrane = slow_forward(kernel, current, float(threshold[i]))
        margins += [abs(u - float(threshold[i])) for u in membrane]
        before = -1
        for t in fired:
            window = range(before + 1, t + 1)
            rise = membrane[t] - (membrane[t - 1] if t - 1 > before else 0.0)
            slope = 0.0 if rise < 0 else max(-1 / rise, -4.0)
            if kernel.slope == "exponential":
                keep = 1 - 1 / kernel.tau_grad
                smooth = sum(current[q] * keep ** (t - q + 1) for q in window)
            else:
                smooth = rise
            for q in window:
                bend = (
                    keep ** (t - q + 1)
                    if kernel.slope == "exponential"
                    else eps(kernel, t - q) - eps(kernel, t - q - 1)
                )
                for j in range(weight.shape[1]):
                    to_weight[i, j] += upstream[t, 0, i] * slope * eps(kernel, t - q) * spikes[q, 0, j]
                    if spikes[q, 0, j] > 0 and smooth > 0:
                        to_time[q, 0, j] += upstream[t, 0, i] * (-1 / smooth) * -weight[i, j] * bend
            before = t
    return to_weight, to_time, min(margins)


def run(kernel, spikes, weight, threshold, upstream):
    """The module's forward and both gradients, for plain weights without standardisation."""
    layer = SrmLayer(kernel, (len(weight),)).double()
    layer.thresholds.copy_(threshold)
    weight, spikes = weight.clone().requires_grad_(), spikes.clone().requires_grad_()
    token = _LinearTimes.apply(spikes.flatten(0, 1), weight.detach()).unflatten(0, spikes.shape[:2])
    out, _ = layer.fire(spikes.detach() @ weight.T, token)
    out.backward(upstream)
    return out.detach(), weight.grad, spikes.grad


def test_forward_and_gradients_equal_the_slow_sums():
    compared = fired = 0
    for seed in range(CASES):
        case = draw(seed)
        kernel, spikes, weight, threshold, _ = case
        *expected, margin = slow_gradients(*case)
        if margin < 1e-9:
            continue
        out, to_weight, to_time = run(*case)
        for i in range(len(weight)):
            current = (spikes[:, 0] @ weight[i]).tolist()
            assert out[:, 0, i].nonzero().flatten().tolist() == slow_forward(kernel, current, float(threshold[i]))[0]
        scale = max(1.0, float(expected[1].abs().max()))
        assert (to_weight - expected[0]).abs().max() < 1e-9, seed
        assert (to_time - expected[1]).abs().max() < 1e-9 * scale, seed
        compared, fired = compared + 1, fired + int(out.sum())
    assert compared >= 100
    assert fired > 300


def crossing(kernel, currents, threshold, t, rise):
    """When the line through the membrane at the end of a window, with the given slope, meets the threshold."""
    rises = charge(currents, torch.tensor(torch.inf), kernel)[1]
    return t - (rises.sum(0).item() - threshold) / rise


def test_original_gradient_is_the_finite_difference_of_the_crossing():
    """Weights move by a little, input spikes by one step later; the window holds no other output spike to lose."""
    checked = 0
    for seed in range(0, 2 * CASES, 2):
        kernel, spikes, weight, threshold, _ = draw(seed)
        assert kernel.slope == "original"
        own, rises, _ = charge(spikes @ weight.T, threshold, kernel)
        for t, _, i in own.nonzero().tolist():
            rise = rises[t, 0, i].item()
            if rise <= 0.25:  # the weights' slope is clamped there
                continue
            start = max([s + 1 for s in range(t) if own[s, 0, i]], default=0)
            one = torch.zeros_like(own)
            one[t, 0, i] = 1.0
            _, to_weight, to_time = run(kernel, spikes, weight, threshold, one)
            window = spikes[start : t + 1, 0]

            def at(inputs, row, end=t, slope=rise, i=i, threshold=threshold, kernel=kernel):
                return crossing(kernel, (inputs @ row)[:, None], threshold[i].item(), end, slope)

            here = at(window, weight[i])
            for j in range(weight.shape[1]):
                moved = weight[i].clone()
                moved[j] += 1e-6
                assert (at(window, moved) - here) / 1e-6 == pytest.approx(to_weight[i, j].item(), rel=1e-5, abs=1e-7)
                for q in window[:, j].nonzero().flatten().tolist():
                    later = window.clone()
                    later[q, j] -= 1
                    if q + 1 < len(window):
                        later[q + 1, j] += 1
                    assert at(later, weight[i]) - here == pytest.approx(to_time[start + q, 0, j].item(), abs=1e-9)
                    checked += 1
    assert checked > 300


def test_gradients_stay_in_the_window_of_their_spike():
    layer = SrmLayer(Kernel(), (1,)).double()
    currents = torch.tensor([0.4, 4.0, 0.4, 4.0, 0.3], dtype=torch.float64).view(5, 1, 1).requires_grad_()
    times = torch.zeros_like(currents, requires_grad=True)
    out, _ = layer.fire(currents, times)
    assert out.flatten().tolist() == [0, 1, 0, 1, 0]
    out[1].sum().backward()
    assert currents.grad.flatten().ne(0).tolist() == times.grad.flatten().ne(0).tolist() == [1, 1, 0, 0, 0]


def test_the_label_gets_a_spike_at_the_last_rise():
    layer = SrmLayer(Kernel(), (3,)).double()
    currents = torch.zeros(4, 2, 3, dtype=torch.float64)
    currents[1, 0, 2] = 0.5  # the membrane rises in step 1, and by more than 0.05 in step 2 too
    currents[:, 1, 0] = 9.0
    out, own = layer.fire(currents, torch.zeros_like(currents), torch.tensor([2, 1]))
    assert own[:, 0].sum() == 0
    rises = charge(currents, layer.thresholds, layer.kernel)[1][:, 0, 2]
    last = int((rises > 0.05).nonzero().max())
    assert out[:, 0, 2].tolist() == [float(t == last) for t in range(4)]
    assert out[:, 1, 1].tolist() == [1, 0, 0, 0]
    assert torch.equal(out[:, 1, 0], own[:, 1, 0])


def test_it_stands_outside_of_specs_and_says_so():
    layer = SrmLayer(Kernel(), (4, 3, 3))
    assert layer.thresholds.shape == (4, 1, 1)
    assert layer.learnables() == {}
    assert not isinstance(layer, SpikingLayer)
    with pytest.raises(InputError, match="'lif' would play no part; name its own"):
        build_network("srm-mnist-small", get_adapter("fused"), NEURONS["lif"], (1, 28, 28), 10, 0)


@pytest.mark.parametrize(
    ("arguments", "field"), [((3.0, 3.0), "tau_m"), ((3.0, 0.5), "tau_s"), ((5.0, 3.0, 0.5), "tau_grad")]
)
def test_a_wrong_constant_is_named(arguments, field):
    with pytest.raises(InputError, match=f"^{field}: "):
        Kernel(*arguments)
