"""What tests run in the environment of a framework: functions whose results can be sent back."""

import torch
from torch import nn

import spikemark
from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.data.loading import load_dataset
from spikemark.measures.semantics.comparison import conformance


def conforms(framework, spec):
    """Differing spikes, the worst gradient errors and the route."""
    adapter = get_adapter(framework)
    found = conformance(adapter, spec, seed=3)
    return found.differing_spikes, found.worst("float32"), found.worst("float64"), adapter.route(spec).kind


def own_neuron(name):
    """Spikes of two calls on the same currents, whether they are whole numbers, learned parameters and gradients."""
    from spikemark.core.adapter import FrameworkLayer

    layer = FrameworkLayer(name, NEURONS[name], (3,), steps=8)
    currents = (60 * torch.rand(8, 2, 3, generator=torch.Generator().manual_seed(0))).requires_grad_()
    first = layer(currents)
    first.sum().backward()
    first, second = first.detach(), layer(currents)
    gradients = {key: float(value.grad.abs().sum()) for key, value in layer.learnables().items()}
    fewer = layer(currents[:, :1])
    return {
        "equal": torch.equal(first, second) and torch.equal(fewer, first[:, :1]),
        "largest": float(first.max()),
        "sum": float(first.sum()),
        "whole": bool((first == first.round()).all()),
        "learned": sorted(gradients),
        "gradients": gradients,
        "input": float(currents.grad.abs().sum()),
        "observed": {key: float(value.detach()) for key, value in layer.observed().items()},
    }


def evaluated_sinabs():
    """Measures of a network by batch size, and the accumulations of its second layer, counted by hand."""
    import sinabs.layers as layers

    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(2), nn.Linear(64, 32), layers.LIF(tau_mem=20.0), nn.Linear(32, 10), layers.IAF())
    with torch.no_grad():
        net[1].weight *= 40
        net[3].weight *= 4
    before = {key: value.clone() for key, value in net.state_dict().items()}
    options = {"steps": 8, "layout": "BT", "measures": ("accuracy", "energy"), "samples": 60, "name": "net"}
    results = [spikemark.evaluate(net, "digits", batch_size=size, **options) for size in (60, 60, 7)]
    values = [
        {(row["metric"], row["layer"], row["profile"]): row["value"] for row in one.table.fillna("").to_dict("records")}
        for one in results
    ]
    same = all(torch.equal(value, net.state_dict()[key]) for key, value in before.items())
    samples = load_dataset("digits").test.inputs[:60]
    with torch.no_grad():
        spikes = net[:3](samples.unsqueeze(1).expand(-1, 8, -1, -1, -1))
    return {
        "values": values,
        "same": same,
        "framework": results[0].records[0]["cell"]["framework"],
        "accumulations": float(spikes.sum()) * 10 / 60,
        "largest": float(spikes.max()),
    }
