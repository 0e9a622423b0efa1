"""What tests run in the environment of a framework: functions whose results can be sent back."""

import copy
import importlib
import pickle
from dataclasses import replace

import torch
from torch import nn

import spikemark
from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS, Learnable
from spikemark.data.loading import load_dataset
from spikemark.measures.semantics.comparison import conformance


def conforms(framework, spec, sizes=None):
    """Differing spikes, the worst gradient errors and the route."""
    adapter = get_adapter(framework)
    found = conformance(adapter, spec, seed=3, **(sizes or {}))
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
        "observed": {key: float(value.detach().mean()) for key, value in layer.observed().items()},
    }


def spikes_of(name, currents):
    """What an own neuron makes of ``[T][B][N]``, as lists."""
    from spikemark.core.adapter import FrameworkLayer

    currents = torch.tensor(currents)
    with torch.no_grad():
        return FrameworkLayer(name, NEURONS[name], tuple(currents.shape[2:]), steps=len(currents))(currents).tolist()


def with_own_constants(name, constant):
    """Spikes, spikes where the first neuron has half of a constant, and what each neuron is then said to have."""
    from spikemark.core.adapter import FrameworkLayer

    layer = FrameworkLayer(name, NEURONS[name], (3,), steps=40)
    currents = 0.6 * torch.rand(40, 2, 3, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = layer(currents)
        own = layer.each(constant).clone()
        own[0] /= 2
        layer.set_each(constant, own)
        return (layer(currents) - before).abs().sum((0, 1)).tolist(), (layer.each(constant) / own).tolist()


def copies_and_keys(framework, spec):
    """Whether a layer's copies give its spikes, whether none of a batch of 0 does, and the keys of its state."""
    layer = get_adapter(framework).neuron(spec, (2, 3))
    currents = torch.rand(4, 5, 2, 3)
    with torch.no_grad():
        spikes = layer(currents)
        copies = [copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))]
        same = all(torch.equal(one(currents), spikes) for one in copies)
    return same, list(layer(currents[:, :0].requires_grad_()).shape), list(layer.state_dict())


def gradient_of_a_raw_0(framework, spec):
    """The gradient of the only raw decay, made 0, by the framework and by the oracle."""
    found = []
    for adapter in (get_adapter(framework), get_adapter("reference")):
        layer = adapter.neuron(spec, (5,)).double()
        layer.raw_decay.data.zero_()
        currents = torch.rand(6, 3, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        layer(currents).sum().backward()
        found.append(float(layer.raw_decay.grad))
    return found


def _evaluated(net, hidden):
    """Measures of a network by batch size, and the accumulations of its second layer, from its `hidden` spikes."""
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
        spikes = hidden(samples.unsqueeze(1).expand(-1, 8, -1, -1, -1))
    return {
        "values": values,
        "same": same,
        "framework": results[0].records[0]["cell"]["framework"],
        "accumulations": float(spikes.sum()) * 10 / 60,
        "largest": float(spikes.max()),
    }


def evaluated_sinabs():
    """See `_evaluated`."""
    import sinabs.layers as layers

    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(2), nn.Linear(64, 32), layers.LIF(tau_mem=20.0), nn.Linear(32, 10), layers.IAF())
    with torch.no_grad():
        net[1].weight *= 40
        net[3].weight *= 4
    return _evaluated(net, net[:3])


def evaluated_rockpool():
    """See `_evaluated`; a Rockpool network calls neither `modules()` nor `parameters()` what torch does."""
    from rockpool.nn.combinators import Sequential
    from rockpool.nn.modules import LIFNeuronTorch, LIFTorch, LinearTorch

    torch.manual_seed(0)
    net = Sequential(nn.Flatten(2), LinearTorch((64, 32)), LIFTorch(32), LinearTorch((32, 10)), LIFNeuronTorch(10))

    def hidden(samples):
        net.reset_state()
        spikes = net[2](net[1](samples.flatten(2))[0])[0]
        net.reset_state()
        return spikes

    return _evaluated(net, hidden)


def counted_rockpool():
    """Operations and updates of a recurrent layer, and of one that only holds a matrix of zeros."""
    from rockpool.nn.modules import LIFTorch, aLIFTorch

    inputs = torch.rand(3, 8, 6, generator=torch.Generator().manual_seed(0))
    found = {}
    for name, layer in {
        "recurrent": LIFTorch(6, has_rec=True, w_rec=0.1 * torch.rand(6, 6)),
        "zeros": LIFTorch(6),
        "hyperpolarising": aLIFTorch(6),
    }.items():
        count = spikemark.count_operations(nn.Sequential(layer), inputs, layout="BT")
        layer.reset_state()
        spikes = layer(inputs)[0].detach()
        found[name] = {
            "operations": count.acs + count.macs,
            "spikes_before_the_last_step": float(spikes[:, :-1].sum()) / 3,
            "updates": count.neuron_updates,
            "words": [one.words for one in count.spiking],
        }
    return found


def steps_to_a_negative_time_constant(rate):
    """How many steps of Adam bring Rockpool's default of 20 ms below 0, where fewer spikes are wanted."""
    from rockpool.nn.modules import LIFTorch

    layer = LIFTorch(3)
    optimizer = torch.optim.Adam([layer.tau_mem], lr=rate)
    for step in range(1, 100):
        optimizer.zero_grad()
        layer.reset_state()
        layer(torch.full((1, 10, 3), 0.3))[0].sum().backward()
        optimizer.step()
        if bool((layer.tau_mem < 0).any()):
            return step
    return None


def late_spikes_of_spyx(decay):
    """Outputs of Spyx's LIF that differ from what it states: as they are, and without the first of one more."""
    from spikemark.measures.semantics.dyadic import make_case
    from spikemark_adapters.native.spyx import lif

    spec = replace(
        NEURONS["lif-soft"], decay=Learnable(decay), detach_reset=False, fires_at_threshold=False, decay_input=False
    )
    case = make_case(spec, (5,), 16, 4, 1)
    layer = lif((5,), beta=decay)
    with torch.no_grad():
        one_more = layer(torch.cat([case.currents, torch.zeros(1, 4, 5)]))
    return int((one_more[:-1] != case.spikes).sum()), int((one_more[1:] != case.spikes).sum())


def importers_error():
    """What Rockpool's own importer makes of a nir.LIF."""
    import nir
    import numpy as np
    from rockpool.nn.modules import from_nir

    one = np.ones(2)
    try:
        from_nir(nir.NIRGraph.from_list(nir.LIF(tau=one, r=one, v_leak=0 * one, v_threshold=one)))
    except AttributeError as error:
        return str(error)
    return "none"


def sites_of_noise(several, single):
    """What noise on spikes finds in layers of several spikes in a step, and of one, each with its arguments."""
    from spikemark.core.foreign import spiking_sites
    from spikemark.errors import InputError

    made = [getattr(importlib.import_module(m), c)(*a, **k) for m, c, a, k in (several, single)]
    try:
        spiking_sites(nn.Sequential(made[0]))
    except InputError as error:
        return str(error), len(spiking_sites(nn.Sequential(made[1])))
    return "", 0


def disturbed_sinabs():
    """By kind of spikes: what is left out of an evaluation, the noises in it, what throughput measures, and spreads."""
    import sinabs.activation as activation
    import sinabs.layers as layers

    from spikemark.core.foreign import neuron_sites
    from spikemark.core.streams import generator
    from spikemark.models.wrapping import BuiltModel
    from spikemark.noise.case import NOISES, Case

    found = {}
    samples = load_dataset("digits").test.inputs[:8]
    for name in ("SingleSpike", "MultiSpike"):
        torch.manual_seed(0)
        kind = getattr(activation, name)
        net = nn.Sequential(nn.Flatten(2), nn.Linear(64, 32), layers.LIF(20.0, spike_fn=kind), nn.Linear(32, 10))
        with torch.no_grad():
            net[1].weight *= 40
        results = spikemark.evaluate(
            net, "digits", steps=8, layout="BT", samples=20, measures=("robustness", "throughput"), severities=(3,),
            settings={"throughput": {"seconds": 0.02, "batch_size": 4}},
        )  # fmt: skip
        spreads = {}
        for parameter in ("threshold", "decay"):
            model = BuiltModel("net", net, "BT", None).eval()
            case = Case(model, samples, torch.zeros(8), lambda x, random: x.expand(8, *x.shape))
            with NOISES[f"{parameter}-mismatch"].apply(case, 2, generator("a")) as disturbed:
                (site,) = neuron_sites(disturbed.model)
                spreads[parameter] = float(site.constants.each(parameter, (32,)).std())
                encoded = case.encode_step(samples, None)
                with torch.no_grad():
                    spreads[f"{parameter} seen"] = not torch.equal(disturbed.model(encoded), model(encoded))
        rows = [[row["metric"] for row in record["measurements"]] for record in results.records]
        noises = sorted({row["noise"] for row in results.records[0]["measurements"]})
        found[name] = {"left_out": dict(results.left_out), "noises": noises, "speed": rows[1], "spreads": spreads}
    return found


def disturbed_rockpool():
    """What is left out of an evaluation, the noises in it, and why one value for the layer cannot differ."""
    from rockpool.nn.combinators import Sequential
    from rockpool.nn.modules import LIFTorch, LinearTorch

    torch.manual_seed(0)
    found = []
    for options in ({}, {"threshold": 1.0}):
        net = Sequential(nn.Flatten(2), LinearTorch((64, 32)), LIFTorch(32, **options), LinearTorch((32, 10)))
        options = {"steps": 8, "layout": "BT", "samples": 20, "measures": ("robustness",), "severities": (3,)}
        results = spikemark.evaluate(net, "digits", **options)
        noises = sorted({row["noise"] for row in results.records[0]["measurements"]})
        found.append((dict(results.left_out), noises))
    return found
