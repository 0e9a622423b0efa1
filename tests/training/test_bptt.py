import pytest
import torch

from installed import INSTALLED
from spikemark import NEURONS, SYSTEMS, get_adapter
from spikemark.errors import InputError
from spikemark.methods.ltmd.rule import disagreement
from spikemark.networks.build import build_network
from spikemark.training.rule import Protocol, Rule

PROTOCOL = Protocol(2, 8, "direct", 3)


def build(name):
    row = SYSTEMS[name]
    return build_network(row.network, get_adapter("reference"), row.spec, (1, 6, 6), 4, 0, options=row.options)


def closed_form(currents, thetas, upstream, tau=0.5):
    """dL/dtheta of STL's neuron by the recursion of the adjoint, neuron by neuron in plain floats.

    With g[t] = dL/du[t], e[t] = dL/do[t] from the layer above: E[t] = e[t] - tau u[t] g[t+1],
    g[t] = E[t] h(u[t] - theta) + tau (1 - o[t]) g[t+1], dL/dtheta = -sum E[t] h(u[t] - theta).
    """
    steps, batch, width = currents.shape
    gradient = [0.0] * width
    for i in range(width):
        theta = thetas[i].item()
        for j in range(batch):
            u, o, v = [], [], 0.0
            for t in range(steps):
                u.append(tau * v + currents[t, j, i].item())
                o.append(1.0 if u[t] >= theta else 0.0)
                v = (1 - o[t]) * u[t]
            later = 0.0
            for t in reversed(range(steps)):
                slope = 1 / (1 + (torch.pi * (u[t] - theta)) ** 2)
                whole = upstream[t, j, i].item() - tau * u[t] * later
                gradient[i] -= whole * slope
                later = whole * slope + tau * (1 - o[t]) * later
    return gradient


@pytest.mark.parametrize("framework", INSTALLED)
def test_stls_threshold_gradient_is_the_closed_form(framework):
    random = torch.Generator().manual_seed(0)
    layer = get_adapter(framework).neuron(NEURONS["stl"], (5,), generator=random).double()
    with torch.no_grad():
        layer.raw_threshold.copy_(0.5 + torch.rand(5, generator=random))
    currents = 2 * torch.randn(7, 3, 5, generator=random).double()
    upstream = torch.randn(7, 3, 5, generator=random).double()
    spikes = layer(currents)
    (spikes * upstream).sum().backward()
    assert 0 < spikes.sum() < spikes.numel()
    expected = closed_form(currents, layer.threshold.detach(), upstream)
    assert layer.raw_threshold.grad.tolist() == pytest.approx(expected, rel=1e-12)


def test_the_loss_of_ltmd_is_the_mean_of_two_masks_and_half_their_disagreement():
    row, model, twin = SYSTEMS["mlp-ltmd"], build("mlp-ltmd"), build("mlp-ltmd")
    with torch.no_grad():
        for network in (model, twin):  # so that outputs fire
            network.graded1.synapses.bias += 1
            network.graded2.synapses.bias += 1
    inputs, labels = torch.rand(3, 8, 1, 6, 6), torch.arange(8) % 4
    loss, outputs = row.rule.learner(model, PROTOCOL, 0).differentiate(inputs, labels)
    readings = twin(inputs).mean(0).unflatten(0, (2, 8))  # the same masks: the same stream
    entropies = [torch.nn.functional.cross_entropy(scores, labels) for scores in readings]
    assert not torch.equal(*readings)
    torch.testing.assert_close(loss, sum(entropies) / 2 + 0.5 * disagreement(readings))
    torch.testing.assert_close(outputs, readings.mean(0))


def test_unknown_options_are_refused():
    with pytest.raises(InputError, match=r"^rule bptt\+consistency: consistancy: .*did you mean 'consistency'"):
        Rule.from_dict({"name": "bptt+consistency", "consistancy": 0.5})


def test_first_gains_are_an_option_and_need_norms_that_have_some():
    rule = Rule.from_dict({"norm_gain": 3.0})
    assert rule.to_dict()["norm_gain"] == 3
    assert "norm_gain" not in Rule.from_dict({}).to_dict()
    model = build("mlp-lif")
    rule.learner(model, PROTOCOL, 0)
    gains = [module.weight for module in model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    assert gains
    assert all(gain.eq(3).all() for gain in gains)
    with pytest.raises(InputError, match="no norms with a gain"):
        rule.learner(torch.nn.Linear(2, 2), PROTOCOL, 0)
    with pytest.raises(InputError, match="norm_gain"):
        Rule.from_dict({"norm_gain": 0.0})
