"""Mismatch of thresholds and decays in frameworks' own classes, as users' models hold them.

The oracle is the framework itself, one neuron at a time: a neuron with its own constant must fire as a module of that
class does which was made with this constant for all.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

import spikemark
from spikemark.core.adapter import Unsupported
from spikemark.core.foreign import neuron_sites
from spikemark.core.streams import generator
from spikemark.models.wrapping import BuiltModel
from spikemark.noise.case import NOISES, Case

snn = pytest.importorskip("snntorch")
norse = pytest.importorskip("norse.torch")
pytest.importorskip("spikingjelly")
from norse.torch.functional.lif_box import LIFBoxParameters  # noqa: E402
from spikingjelly.activation_based import functional, layer, neuron  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
T, B, N = 24, 3, 8


class Stepwise(nn.Module):
    """A neuron that is called step by step and hands its states on, or keeps them."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        state, out = (), []
        for step in x:
            given = self.module(step, *state)
            spikes, *state = given if isinstance(given, tuple) else (given,)
            out.append(spikes)
        return torch.stack(out)


class AllSteps(nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, x):
        out = self.module(x)
        return out[0] if isinstance(out, tuple) else out


def tau_inverse(decay):
    return torch.tensor((1 - decay) / 1e-3)


def box(decay=0.9, threshold=0.3):
    return norse.LIFBoxCell(LIFBoxParameters(tau_mem_inv=tau_inverse(decay), v_th=torch.tensor(threshold)))


def lif(kind, decay=0.9, threshold=0.3):
    return kind(norse.LIFParameters(tau_mem_inv=tau_inverse(decay), v_th=torch.tensor(threshold)))


def refractory(decay=0.9, threshold=0.3):
    within = norse.LIFParameters(tau_mem_inv=tau_inverse(decay), v_th=torch.tensor(threshold))
    return norse.LIFRefracCell(norse.LIFRefracParameters(lif=within))


def jelly(kind, mode="m", threshold=1.0, **options):
    return kind(v_threshold=threshold, step_mode=mode, **options)


def plif(decay=0.5, threshold=1.0):
    return neuron.ParametricLIFNode(init_tau=1 / (1 - decay), v_threshold=threshold, step_mode="m")


def soft(threshold=1.0):
    return neuron.LIFNode(v_threshold=threshold, v_reset=None, step_mode="m")


def state_leaky(decay=0.9, threshold=1.0, n=N):
    # Its time constant is 1 / (1 - beta), so that exp(beta - 1) of the membrane is kept.
    return snn.StateLeaky(1 + math.log(decay), channels=n, threshold=threshold)


THRESHOLDS = {
    "Leaky": lambda threshold, n: Stepwise(snn.Leaky(0.9, threshold=threshold)),
    "Leaky, zero": lambda threshold, n: Stepwise(snn.Leaky(0.9, threshold=threshold, reset_mechanism="zero")),
    "Leaky, hidden": lambda threshold, n: Stepwise(snn.Leaky(0.9, threshold=threshold, init_hidden=True)),
    "Leaky, learned": lambda threshold, n: Stepwise(snn.Leaky(0.9, threshold=threshold, learn_threshold=True)),
    "Synaptic": lambda threshold, n: Stepwise(snn.Synaptic(0.5, 0.8, threshold=threshold)),
    "Alpha": lambda threshold, n: Stepwise(snn.Alpha(0.9, 0.8, threshold=threshold)),
    "Lapicque": lambda threshold, n: Stepwise(snn.Lapicque(R=1, C=3, time_step=1, threshold=threshold)),
    "RLeaky": lambda threshold, n: Stepwise(snn.RLeaky(0.9, threshold=threshold, V=0.3, all_to_all=False)),
    "DeltaLeaky": lambda threshold, n: Stepwise(snn.DeltaLeaky(threshold, beta=0.5, init_hidden=True)),
    "StateLeaky": lambda threshold, n: AllSteps(state_leaky(threshold=threshold, n=n)),
    "IFNode": lambda threshold, n: AllSteps(jelly(neuron.IFNode, threshold=threshold)),
    "LIFNode": lambda threshold, n: AllSteps(jelly(neuron.LIFNode, threshold=threshold)),
    "LIFNode, by step": lambda threshold, n: Stepwise(jelly(neuron.LIFNode, "s", threshold=threshold)),
    "LIFNode, soft": lambda threshold, n: AllSteps(soft(threshold)),
    "ParametricLIFNode": lambda threshold, n: AllSteps(plif(threshold=threshold)),
    "KLIFNode": lambda threshold, n: AllSteps(jelly(neuron.KLIFNode, threshold=threshold)),
    "LIF": lambda threshold, n: AllSteps(lif(norse.LIF, threshold=threshold)),
    "LIFCell": lambda threshold, n: Stepwise(lif(norse.LIFCell, threshold=threshold)),
    "LIFBoxCell": lambda threshold, n: Stepwise(box(threshold=threshold)),
    "LIFRefracCell": lambda threshold, n: Stepwise(refractory(threshold=threshold)),
}
DECAYS = {
    "Leaky": lambda decay, n: Stepwise(snn.Leaky(decay)),
    "Leaky, learned": lambda decay, n: Stepwise(snn.Leaky(decay, learn_beta=True)),
    "Synaptic": lambda decay, n: Stepwise(snn.Synaptic(0.5, decay)),
    "Lapicque": lambda decay, n: Stepwise(snn.Lapicque(R=1, C=1 / (1 - decay), time_step=1)),
    "RLeaky": lambda decay, n: Stepwise(snn.RLeaky(decay, V=0.3, all_to_all=False)),
    "StateLeaky": lambda decay, n: AllSteps(state_leaky(decay, n=n)),
    "ParametricLIFNode": lambda decay, n: AllSteps(plif(decay)),
    "LIF": lambda decay, n: AllSteps(lif(norse.LIF, decay)),
    "LIFCell": lambda decay, n: Stepwise(lif(norse.LIFCell, decay)),
    "LIFBoxCell": lambda decay, n: Stepwise(box(decay)),
    "LIFRefracCell": lambda decay, n: Stepwise(refractory(decay)),
}
ALL = [("threshold", name) for name in THRESHOLDS] + [("decay", name) for name in DECAYS]


def scores(model, currents):
    with torch.no_grad():
        return model(currents)


@pytest.mark.parametrize(("parameter", "name"), ALL)
def test_a_neuron_fires_as_a_module_made_with_its_own_constant(parameter, name):
    build, first, level = {"threshold": (THRESHOLDS, 0.4, 2), "decay": (DECAYS, 0.6, 3)}[parameter]
    currents = torch.rand(T, B, N, generator=torch.Generator().manual_seed(0)) * 1.5
    model = BuiltModel("mine", build[name](first, N), "TB", None).eval()
    clean = scores(model, currents)
    case = Case(model, torch.zeros(B, N), torch.zeros(B), lambda inputs, random: currents[:, : len(inputs)])
    with NOISES[f"{parameter}-mismatch"].apply(case, level, generator("a")) as disturbed:
        (site,) = neuron_sites(disturbed.model)
        own = site.constants.each(parameter, (N,))
        found = scores(disturbed.model, currents)
    assert own.shape == (N,)
    assert len(set(own.tolist())) > N // 2
    for i, value in enumerate(own.tolist()):
        if parameter == "threshold" or 0 < value < 1:  # at 0 and 1 several classes cannot be made
            alone = BuiltModel("mine", build[name](value, 1), "TB", None).eval()
            assert torch.equal(scores(alone, currents[..., i : i + 1])[..., 0], found[..., i]), value
    assert not torch.equal(found, clean)
    assert torch.equal(scores(model, currents), clean)


class Halves(nn.Module):
    def forward(self, x):
        return (x > 0.5).to(x.dtype)


@pytest.mark.parametrize(
    ("parameter", "module", "message"),
    [
        ("decay", neuron.LIFNode(step_mode="m"), "LIFNode does not hold one for every neuron, so they cannot differ"),
        ("decay", neuron.IFNode(step_mode="m"), "decay: IFNode has none"),
        ("threshold", neuron.ComplementaryLIFNode(step_mode="m"), "ComplementaryLIFNode does not hold one for every"),
        ("threshold", neuron.LIFNode(v_reset=-0.5, step_mode="m"), "LIFNode does not hold one for every neuron"),
        ("threshold", type("Mine", (neuron.LIFNode,), {})(step_mode="m"), "Mine does not hold one for every neuron"),
        ("threshold", norse.LSNN(), "LSNN does not hold one for every neuron"),
        ("decay", Halves(), "decay: nothing says where a Halves holds one"),
    ],
)
def test_what_a_class_has_no_room_for_is_named(parameter, module, message):
    model = BuiltModel("mine", AllSteps(module), "TB", None, neurons=(type(module),) if type(module) is Halves else ())
    case = Case(model.eval(), torch.rand(3, 6), torch.zeros(3), lambda inputs, random: inputs.expand(5, *inputs.shape))
    with pytest.raises(Unsupported, match=message), NOISES[f"{parameter}-mismatch"].apply(case, 1, generator("a")):
        pass


def test_an_evaluation_leaves_out_that_noise_alone_and_says_why():
    torch.manual_seed(0)
    nodes = neuron.LIFNode(), neuron.ComplementaryLIFNode()
    net = nn.Sequential(layer.Flatten(), layer.Linear(64, 30), nodes[0], layer.Linear(30, 10), nodes[1])
    functional.set_step_mode(net, "m")
    results = spikemark.evaluate(net, "digits", steps=4, samples=20, measures=("robustness",), severities=[1])
    assert "LIFNode does not hold one" in results.left_out["decay-mismatch"]
    assert "ComplementaryLIFNode does not hold one" in results.left_out["threshold-mismatch"]
    assert results.records[0]["left_out"] == results.left_out
    noises = {row["noise"] for row in results.records[0]["measurements"]}
    assert noises >= {"gaussian", "spike-jitter", "burst-errors", "weight-mismatch", "dead-neurons"}
    assert not noises & {"decay-mismatch", "threshold-mismatch"}
