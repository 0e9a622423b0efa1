"""Models as public tutorials and zoos have them, given to `evaluate` as they are."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import spikemark
from spikemark.data.loading import load_dataset
from spikemark.errors import InputError

snn = pytest.importorskip("snntorch")
norse = pytest.importorskip("norse.torch")
pytest.importorskip("spikingjelly")
from snntorch import surrogate  # noqa: E402
from spikingjelly.activation_based import functional, layer, neuron  # noqa: E402
from spikingjelly.activation_based import surrogate as sj_surrogate  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
N, T = 30, 4
REQUEST = {
    "samples": N,
    "measures": ("accuracy", "robustness", "energy"),
    "noises": ["gaussian", "spike-jitter", "weight-mismatch", "dead-neurons"],
    "severities": [3],
}


def values(results):
    return {
        (row["metric"], row.get("noise"), row.get("severity"), row.get("layer")): row["value"]
        for record in results.records
        for row in record["measurements"]
        if row["metric"] != "energy"
    }


def evaluated(model, **options):
    results = spikemark.evaluate(model, "digits", **REQUEST | options)
    assert {record["status"] for record in results.records} <= {"ok", "degenerate"}
    assert results.left_out == {}
    return values(results)


def accuracy_by_hand(scores):
    labels = load_dataset("digits").test.labels[:N]
    return float((scores.argmax(1) == labels).double().mean())


def samples():
    return load_dataset("digits").test.inputs[:N]


class Tutorial5(nn.Module):
    """snnTorch's tutorial 5: states are passed, the loop over time is inside, spikes and membranes come back."""

    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(64, 100)
        self.lif1 = snn.Leaky(beta=0.95)
        self.fc2 = nn.Linear(100, 10)
        self.lif2 = snn.Leaky(beta=0.95)

    def forward(self, x):
        x = x.flatten(1)
        mem1 = self.lif1.init_leaky()
        mem2 = self.lif2.init_leaky()
        spk2_rec, mem2_rec = [], []
        for _ in range(T):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spk2_rec.append(spk2)
            mem2_rec.append(mem2)
        return torch.stack(spk2_rec, dim=0), torch.stack(mem2_rec, dim=0)


def test_tutorial_5_of_snntorch():
    model = Tutorial5()
    found = evaluated(model, layout="B")
    with torch.no_grad():
        assert found["accuracy", None, None, None] == accuracy_by_hand(model(samples())[0].sum(0))
    assert found["neuron_updates", None, None, None] == T * 110


def tutorial_6():
    """snnTorch's tutorial 6: a convolutional network of hidden states, called once per step."""
    lif = {"beta": 0.5, "spike_grad": surrogate.fast_sigmoid(slope=25), "init_hidden": True}
    return nn.Sequential(
        nn.Conv2d(1, 6, 3), nn.MaxPool2d(2), snn.Leaky(**lif), nn.Flatten(), nn.Linear(6 * 9, 10),
        snn.Leaky(**lif, output=True),
    )  # fmt: skip


def test_tutorial_6_of_snntorch():
    net = tutorial_6()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(4)
    found = evaluated(copy.deepcopy(net), layout="step", steps=T)
    with torch.no_grad():
        spikes = torch.stack([net(samples())[0] for _ in range(T)])
    assert spikes.any()
    assert found["accuracy", None, None, None] == accuracy_by_hand(spikes.sum(0))
    assert found["neuron_updates", None, None, None] == T * (6 * 9 + 10)


def csnn():
    """SpikingJelly's example conv_fashion_mnist, smaller."""
    blocks = []
    for first, channels in ((1, 8), (8, 8)):
        blocks += [
            layer.Conv2d(first, channels, 3, padding=1, bias=False), layer.BatchNorm2d(channels),
            neuron.IFNode(surrogate_function=sj_surrogate.ATan()), layer.MaxPool2d(2, 2),
        ]  # fmt: skip
    return nn.Sequential(
        *blocks,
        layer.Flatten(),
        layer.Linear(8 * 4, 40, bias=False),
        neuron.IFNode(),
        layer.Linear(40, 10),
        neuron.IFNode(),
    )


def test_a_convolutional_network_of_spikingjelly_in_both_step_modes():
    net = csnn()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)
    stepwise = evaluated(net, layout="step", steps=T)
    at_once = copy.deepcopy(net)
    functional.set_step_mode(at_once, "m")
    assert evaluated(at_once, steps=T) == stepwise
    functional.reset_net(net)
    net.eval()
    with torch.no_grad():
        rates = sum(net(samples()) for _ in range(T))
    assert rates.any()
    assert stepwise["accuracy", None, None, None] == accuracy_by_hand(rates)


def test_a_step_mode_that_contradicts_the_layout_is_an_error():
    net = nn.Sequential(nn.Flatten(2), nn.Linear(64, 10), neuron.LIFNode(step_mode="s"))
    with pytest.raises(InputError, match=r"of the neurons 'module\.2' saw 4: are their step mode"):
        spikemark.evaluate(net, "digits", steps=T, samples=N, measures=("accuracy",))
    with pytest.raises(InputError, match=r"layout 'TB'; others are B, BT, step"):
        spikemark.evaluate(csnn(), "digits", steps=T, samples=N, measures=("accuracy",))


class Recurrent(nn.Module):
    def __init__(self, kind):
        super().__init__()
        options = {"linear_features": 50, "init_hidden": True, "learn_recurrent": True}
        decays = {"beta": 0.9} | ({"alpha": 0.8} if kind is snn.RSynaptic else {})
        self.fc, self.inner, self.out = nn.Linear(64, 50), kind(**decays, **options), nn.Linear(50, 10)

    def forward(self, x):
        return torch.stack([self.out(self.inner(4 * self.fc(step.flatten(1)))) for step in x])


@pytest.mark.parametrize("kind", [snn.RLeaky, snn.RSynaptic])
def test_recurrent_networks_of_snntorch(kind):
    model = Recurrent(kind)
    found = evaluated(model, steps=T)
    assert found["neuron_updates", None, None, None] == T * 50
    assert ("acs", None, None, "module.inner.recurrent") in found


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.cell, self.out = snn.SConv2dLSTM(1, 4, 3, max_pool=2, threshold=0.1), nn.Linear(4 * 16, 10)

    def forward(self, x):
        syn, mem = self.cell.init_sconv2dlstm()
        out = []
        for step in x:
            spikes, syn, mem = self.cell(step, syn, mem)
            out.append(self.out(spikes.flatten(1)))
        return torch.stack(out)


def test_a_spiking_lstm_of_snntorch():
    model = Lstm()
    found = evaluated(model, steps=T)
    with torch.no_grad():
        scores = model(samples().expand(T, *samples().shape)).mean(0)
    assert found["accuracy", None, None, None] == accuracy_by_hand(scores)
    assert found["firing_rate", None, None, None] > 0


@pytest.mark.parametrize("cell", [norse.LIFCell, norse.LSNNCell, lambda: norse.LIFRecurrentCell(80, 80)])
def test_cells_of_norse_called_once_per_step(cell):
    net = norse.SequentialState(nn.Flatten(), nn.Linear(64, 80), cell(), nn.Linear(80, 10), norse.LICell())
    with torch.no_grad():
        net[1].weight.mul_(12)
    found = evaluated(net, layout="step", steps=16)
    state, total = None, 0
    with torch.no_grad():
        for _ in range(16):
            out, state = net(samples(), state)
            total = total + out
    assert found["accuracy", None, None, None] == accuracy_by_hand(total)
    assert found["firing_rate", None, None, None] > 0


def test_a_module_that_hands_no_state_on_is_named():
    class Forgets(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = norse.SequentialState(nn.Flatten(), nn.Linear(64, 10), norse.LIFCell())

        def forward(self, x):
            return self.net(x)[0]

    with pytest.raises(InputError, match=r"must take \(input, state\) and give \(scores, state\)"):
        spikemark.evaluate(Forgets(), "digits", layout="step", steps=T, samples=N, measures=("accuracy",))


def test_a_plain_network():
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 30), nn.ReLU(), nn.Linear(30, 10))
    options = {"layout": "B", "noises": ["gaussian", "weight-mismatch", "fgsm"]}
    with torch.no_grad():
        expected = accuracy_by_hand(net(samples()))
    assert evaluated(net, **options)["accuracy", None, None, None] == expected
