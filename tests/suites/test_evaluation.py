"""`evaluate`: models of users, measured as they are; what it promises about states, batches, seeds and bad requests."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import spikemark
from spikemark.core.foreign import neuron_sites
from spikemark.core.streams import generator
from spikemark.data.encoders import encode
from spikemark.data.loading import load_dataset
from spikemark.errors import InputError
from spikemark.measures.counting.operations import weights_of
from spikemark.models.wrapping import BuiltModel
from spikemark.noise.case import NOISES, Case

snn = pytest.importorskip("snntorch")
norse = pytest.importorskip("norse.torch")
sj = pytest.importorskip("spikingjelly.activation_based")
from spikingjelly.activation_based import functional, layer, neuron  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
T, N = 5, 40


class Looped(nn.Module):
    """A network of snnTorch's own neurons, whose states stay in them; the loop over time is inside."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64, 30),
            snn.Leaky(beta=0.9, init_hidden=True),
            nn.Linear(30, 10),
            snn.Leaky(beta=0.9, init_hidden=True, output=True),
        )

    def forward(self, x):
        found = [self.net(x) for _ in range(T)]
        return torch.stack([spikes for spikes, _ in found]), torch.stack([mem for _, mem in found])


def by_steps():
    return nn.Sequential(
        layer.Flatten(step_mode="m"),
        layer.Linear(64, 30, step_mode="m"),
        neuron.LIFNode(step_mode="m"),
        layer.Linear(30, 10, step_mode="m"),
    )


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def boosted(model):
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)
    return model


def numbers(results):
    return [
        (row["metric"], row.get("noise"), row.get("severity"), row["value"])
        for r in results.records
        for row in r["measurements"]
    ]


SMALL = {
    "samples": N,
    "noises": ["gaussian", "spike-deletion", "dead-neurons", "weight-mismatch"],
    "severities": [2, 4],
}
MEASURES = ("accuracy", "robustness", "energy")


@pytest.fixture(scope="module")
def trained():
    """A network that knows its digits, so that no record is degenerate."""
    torch.manual_seed(0)
    model, data = Looped(), load_dataset("digits").train
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for start in 5 * list(range(0, 1200, 60)):
        for module in model.modules():
            if isinstance(module, snn.Leaky):
                module.reset_mem()
        membranes = model(data.inputs[start : start + 60])[1]
        loss = sum(nn.functional.cross_entropy(mem, data.labels[start : start + 60]) for mem in membranes)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


def test_records_are_ordinary_ones(tmp_path, trained):
    model = trained
    results = spikemark.evaluate(
        model, "digits", layout="B", **SMALL, settings={"throughput": {"seconds": 0.05}}, name="mine"
    )
    assert [r["cell"]["measure"] for r in results.records] == ["accuracy", "robustness", "energy", "throughput"]
    assert {r["status"] for r in results.records} == {"ok"}
    assert {r["cell"]["framework"] for r in results.records} == {"snntorch"}
    results.save(tmp_path)
    table = spikemark.load_results(tmp_path)
    assert set(table["metric"]) >= {
        "accuracy",
        "macs",
        "acs",
        "neuron_updates",
        "energy",
        "samples_per_second",
        "latency",
    }
    assert set(table["system"]) == {"mine"}
    row = table[(table["metric"] == "accuracy") & table["noise"].isna()].iloc[0]
    test = load_dataset("digits").test
    for module in model.modules():
        if isinstance(module, snn.Leaky):
            module.reset_mem()
    with torch.no_grad():
        scores = model(test.inputs[:N])[0].mean(0)
    right = float((scores.argmax(1) == test.labels[:N]).double().mean())
    assert row["value"] == right
    assert row["low"] < right < row["high"]
    assert spikemark.report(results, tmp_path / "report")
    assert "mine" in (tmp_path / "report" / "evaluate.md").read_text()
    assert spikemark.compare(results, results)


def test_nothing_of_the_model_changes_and_a_second_call_gives_the_same():
    model = boosted(Looped())
    model(load_dataset("digits").test.inputs[:3])
    model.train()
    before = {name: value.clone() for name, value in [*model.named_parameters(), *model.named_buffers()]}
    hooks = [len(m._forward_hooks) for m in model.modules()]
    state = torch.get_rng_state()
    first = spikemark.evaluate(model, "digits", layout="B", measures=MEASURES, **SMALL)
    assert numbers(spikemark.evaluate(model, "digits", layout="B", measures=MEASURES, **SMALL)) == numbers(first)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert [len(m._forward_hooks) for m in model.modules()] == hooks
    after = dict([*model.named_parameters(), *model.named_buffers()])
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("build", [Looped, by_steps])
def test_numbers_do_not_depend_on_the_batch_size(build):
    model = boosted(build())
    form = {"layout": "B"} if build is Looped else {"steps": T}
    given = [
        numbers(
            spikemark.evaluate(model, "digits", batch_size=size, measures=("accuracy", "robustness"), **form, **SMALL)
        )
        for size in (N, 7)
    ]
    assert given[0] == given[1]


def test_several_models_are_seeds_of_one_contender():
    models = [boosted(by_steps()) for _ in range(3)]
    results = spikemark.evaluate(models, "digits", steps=T, samples=N, measures=("accuracy",), name="mine")
    assert [r["cell"]["seed"] for r in results.records] == [0, 1, 2]
    assert len({r["key"] for r in results.records}) == 3
    assert len({r["cell"]["weights"] for r in results.records}) == 3


def test_the_key_follows_weights_structure_and_request():
    def key(model, **request):
        (record,) = spikemark.evaluate(model, "digits", samples=N, measures=("accuracy",), name="m", **request).records
        return record["key"]

    model = by_steps()
    assert key(model, steps=T) == key(copy.deepcopy(model), steps=T)
    assert len({key(model, steps=T), key(model, steps=T + 1), key(by_steps(), steps=T)}) == 3


# ---- S4: every weight that is multiplied is disturbed


class Recurrent(nn.Module):
    """The network of the report: Norse's recurrent LIF cell before a linear layer and an integrator."""

    def __init__(self):
        super().__init__()
        self.net = norse.SequentialState(
            nn.Flatten(), norse.LIFRecurrentCell(64, 30), nn.Linear(30, 10), norse.LICell()
        )

    def forward(self, x):
        state, out = None, []
        for step in x:
            scores, state = self.net(8 * step, state)
            out.append(scores)
        return torch.stack(out)


@pytest.mark.parametrize("name", ["weight-mismatch", "weight-quantisation", "bit-flips", "stuck-synapses"])
def test_hardware_noise_reaches_recurrent_and_transposed_weights(name):
    test = load_dataset("digits").test
    for network, shares in (
        (Recurrent(), {"net.1.input_weights": 64 * 30, "net.1.recurrent_weights": 900, "net.2.weight": 300}),
        (Deconvolution(), {"up.weight": 3 * 9, "fc.weight": None}),
    ):
        model = BuiltModel("mine", network, "TB", None).eval()
        encoded = encode("direct", test.inputs[:2], T, generator("a"))
        names = weights_of(model, encoded)
        assert names == tuple(f"module.{weight}" for weight in shares)
        case = Case(model, test.inputs[:2], test.labels[:2], lambda x, r: x, multiplied=lambda names=names: names)
        with NOISES[name].apply(case, 5, generator("b")) as disturbed:
            own, other = dict(model.named_parameters()), dict(disturbed.model.named_parameters())
            for parameter, value in own.items():
                changed = float((other[parameter] != value).double().mean())
                assert (changed > 0.3) == (parameter in names), parameter


class Deconvolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.up = nn.ConvTranspose2d(1, 3, 3)
        self.fc = nn.Linear(300, 10)

    def forward(self, x):
        return self.fc(self.up(x.flatten(0, 1)).flatten(1)).unflatten(0, x.shape[:2])


def test_weights_that_are_computed_are_an_error_and_not_skipped():
    network = nn.Sequential(nn.Flatten(2), nn.utils.parametrizations.weight_norm(nn.Linear(64, 10)))
    with pytest.raises(InputError, match=r"layer 'module\.1' multiplies a weight that is computed at every call"):
        spikemark.evaluate(network, "digits", steps=T, samples=N, measures=("robustness",), noises=["bit-flips"])
    results = spikemark.evaluate(network, "digits", steps=T, samples=N, measures=("robustness",), severities=[1])
    assert "computed at every call" in results.left_out["bit-flips"]
    assert "gaussian" in {row["noise"] for row in results.records[0]["measurements"]}


# ---- noises on the spikes of the frameworks' neurons


def test_spikes_of_stepwise_neurons_are_deleted():
    class Spikes(nn.Module):
        def __init__(self):
            super().__init__()
            self.lif = snn.Leaky(beta=0.0, threshold=0.5, reset_mechanism="none")

        def forward(self, x):
            mem, out = self.lif.reset_mem(), []
            for step in x.flatten(2):
                spikes, mem = self.lif(step, mem)
                out.append(spikes)
            return torch.stack(out)

    model = BuiltModel("mine", Spikes(), "TB", None).eval()
    inputs = torch.ones(50, 1, 4, 4)
    case = Case(model, inputs, torch.zeros(50), lambda x, r: x)
    encoded = inputs.expand(T, *inputs.shape)
    with NOISES["spike-deletion"].apply(case, 2, generator("a")) as disturbed:
        whole = disturbed.model(encoded)
        assert float(whole.mean()) == pytest.approx(0.5, abs=0.03)
    with NOISES["spike-deletion"].apply(case, 2, generator("a")) as disturbed:
        parts = torch.cat([disturbed.model(part) for part in encoded.split(7, dim=1)], dim=1)
    assert torch.equal(whole, parts)
    assert float(model(encoded).mean()) == 1
    with NOISES["dead-neurons"].apply(case, 3, generator("a")) as disturbed:
        dead = disturbed.model(encoded)
    assert set(dead.mean((0, 1)).tolist()) == {0.0, 1.0}  # the same neurons at every step, for every sample


class InSteps(nn.Module):
    """A network of SpikingJelly in step mode s, in a loop over time."""

    def __init__(self):
        super().__init__()
        nodes = neuron.LIFNode(tau=1.5), neuron.IFNode()
        stages = [part for node in nodes for part in (layer.Linear(64, 64), node)]
        self.net = nn.Sequential(layer.Flatten(), *stages, layer.Linear(64, 10))

    def forward(self, x):
        return torch.stack([self.net(step) for step in x])


@pytest.mark.parametrize("name", ["spike-jitter", "burst-errors"])
def test_noise_over_all_steps_is_the_same_for_neurons_called_step_by_step(name):
    stepwise = boosted(InSteps())
    at_once = copy.deepcopy(stepwise.net)
    functional.set_step_mode(at_once, "m")
    test = load_dataset("digits").test
    outputs = []
    for network, parts in ((stepwise, [20]), (at_once, [20]), (stepwise, [7, 7, 6])):
        model = BuiltModel("mine", network, "TB", None).eval()
        case = Case(model, test.inputs[:20], test.labels[:20], lambda x, r: x)
        encoded = encode("direct", test.inputs[:20], T, generator("a"))
        clean = model(encoded)
        with NOISES[name].apply(case, 3, generator("b")) as disturbed, torch.no_grad():
            outputs.append(torch.cat([disturbed.model(part) for part in encoded.split(parts, dim=1)], dim=1))
        assert torch.equal(model(encoded), clean)
        assert not torch.equal(outputs[-1], clean)
    assert all(torch.equal(one, outputs[0]) for one in outputs)


def test_a_layer_that_is_called_twice_in_a_step_has_no_steps_to_tell():
    class Shared(InSteps):
        def forward(self, x):
            flat, first, lif, *rest = self.net
            return torch.stack([nn.Sequential(flat, first, lif, lif, *rest)(step) for step in x])

    with pytest.raises(InputError, match=r"'module\.net\.2' are called 10 times in one run, 'module\.net\.4' 5 times"):
        spikemark.evaluate(
            boosted(Shared()), "digits", steps=T, samples=9, measures=("robustness",), noises=["spike-jitter"]
        )


# ---- forms of model, data and weights


def test_arrays_datasets_and_loaders_are_the_same_data():
    test = load_dataset("digits").test
    x, y = test.inputs[:N], test.labels[:N]
    model = boosted(by_steps())
    sets = [(x, y), (x.numpy(), y.numpy()), TensorDataset(x, y), DataLoader(TensorDataset(x, y), batch_size=9)]
    found = [spikemark.evaluate(model, data, steps=T, measures=("accuracy",)) for data in sets]
    assert len({r.records[0]["key"] for r in found}) == 1
    assert numbers(found[0]) == numbers(spikemark.evaluate(model, "digits", steps=T, samples=N, measures=("accuracy",)))


def test_samples_with_a_time_axis():
    x = (torch.rand(N, T, 64) < 0.3).float()
    model = nn.Sequential(nn.Linear(64, 10), neuron.IFNode(step_mode="m"))
    results = spikemark.evaluate(model, (x, torch.arange(N) % 10), encoder="frames", measures=("accuracy", "energy"))
    rows = {row["metric"]: row["value"] for row in results.records[1]["measurements"] if "layer" not in row}
    assert rows["acs"] == 10 * float(x.sum()) / N
    assert rows["neuron_updates"] == T * 10


def test_a_plain_ann_and_a_function():
    ann = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    results = spikemark.evaluate(ann, "digits", layout="B", samples=N, measures=("accuracy", "energy"))
    assert results.records[0]["cell"]["framework"] == "torch"
    test = load_dataset("digits").test
    weight, bias = (parameter.detach() for parameter in ann[1].parameters())
    data = test.inputs[:N], test.labels[:N]
    function = spikemark.evaluate(lambda x: x.flatten(1) @ weight.T + bias, data, layout="B", measures=("accuracy",))
    assert function.records[0]["measurements"][1]["value"] == results.records[0]["measurements"][1]["value"]


def test_output_and_batch_first():
    class Rates(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = model

        def forward(self, x):
            return {"rates": self.model(x.transpose(0, 1)).mean(0)}

    model = by_steps()
    request = {"samples": N, "measures": ("accuracy",), "steps": T}
    told = spikemark.evaluate(Rates(), "digits", layout="BT", output=lambda y: y["rates"], **request)
    assert numbers(told)[1] == numbers(spikemark.evaluate(model, "digits", **request))[1]


MODEL = """
from torch import nn

def build(input_shape, classes, steps):
    return nn.Sequential(nn.Flatten(2), nn.Linear(64, classes))
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MODEL)
    return path


def test_weights_from_files(file, tmp_path):
    network = nn.Sequential(nn.Flatten(2), nn.Linear(64, 10))
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    save_file(network.state_dict(), tmp_path / "weights.safetensors")
    request = {"steps": T, "samples": N, "measures": ("accuracy",)}
    expected = numbers(spikemark.evaluate(network, "digits", **request))
    for name in ("weights.pt", "weights.safetensors"):
        found = spikemark.evaluate(f"{file}:build", "digits", weights=tmp_path / name, **request)
        assert numbers(found) == expected
        assert found.records[0]["cell"]["system"] == "mine"
    both = [tmp_path / "weights.pt", tmp_path / "weights.safetensors"]
    seeds = spikemark.evaluate(f"{file}:build", "digits", weights=both, **request)
    assert [record["cell"]["seed"] for record in seeds.records] == [0, 1]
    own = nn.Sequential(nn.Flatten(2), nn.Linear(64, 10))
    before = own[1].weight.clone()
    assert numbers(spikemark.evaluate(own, "digits", weights=tmp_path / "weights.pt", **request)) == expected
    assert torch.equal(own[1].weight, before)


class Remembers(nn.Module):
    """A neuron of one's own, which keeps its membrane between calls."""

    def __init__(self):
        super().__init__()
        self.fc, self.v = nn.Linear(64, 10), 0.0

    def forward(self, x):
        out = []
        for step in x.flatten(2):
            self.v = 0.9 * self.v + self.fc(step)
            out.append(self.v)
        return torch.stack(out)


def test_a_model_that_remembers_needs_a_reset():
    def forget(model):
        model.v = 0.0

    model = Remembers()
    request = {"steps": T, "samples": N, "measures": ("accuracy",)}
    with pytest.raises(InputError, match="remembers earlier calls; give reset=, a function of the model"):
        spikemark.evaluate(model, "digits", **request)
    found = [numbers(spikemark.evaluate(model, "digits", reset=forget, batch_size=b, **request)) for b in (N, 9)]
    assert found[0] == found[1]
    assert model.v == 0.0


def test_a_nir_file_in_a_framework_and_by_its_equations(tmp_path):
    nir = pytest.importorskip("nir")
    ones = np.ones(3)
    weights = np.where(np.arange(12).reshape(3, 4) % 5 == 0, 0, 2.0)
    nodes = {
        "input": nir.Input({"input": np.array([4])}),
        "fc": nir.Affine(weights, 0 * ones),
        "lif": nir.LIF(tau=8e-4 * ones, r=ones, v_leak=0 * ones, v_threshold=0.5 * ones, v_reset=0 * ones),
        "output": nir.Output({"output": np.array([3])}),
    }
    graph = nir.NIRGraph(nodes, [("input", "fc"), ("fc", "lif"), ("lif", "output")])
    nir.write(tmp_path / "net.nir", graph)
    x = (torch.rand(N, T, 4) < 0.5).float()
    request = {"encoder": "frames", "measures": ("accuracy", "energy")}
    data = x, torch.arange(N) % 3
    results = spikemark.evaluate(tmp_path / "net.nir", data, framework="norse", **request)
    rows = {row["metric"]: row["value"] for row in results.records[1]["measurements"] if "layer" not in row}
    fan_out = torch.from_numpy((weights != 0).sum(0))
    assert rows["acs"] == float((x * fan_out).sum()) / N
    assert rows["neuron_updates"] == T * 3
    equations = spikemark.evaluate(str(tmp_path / "net.nir"), data, **request)
    assert {r["cell"]["framework"] for r in equations.records} == {"reference"}
    exact = {row["metric"]: row["value"] for row in equations.records[1]["measurements"] if "layer" not in row}
    assert (exact["acs"], exact["neuron_updates"]) == (rows["acs"], rows["neuron_updates"])


def test_baselines_stand_beside_where_protocol_and_split_agree():
    committed = pytest.importorskip("spikemark.api")._committed()
    record = next(r for r in committed if r["cell"]["measure"] == "accuracy" and r["cell"].get("dataset") == "digits")
    settings = record["cell"]["settings"]
    request = {
        "steps": settings["encoding"]["steps"],
        "encoder": settings["encoding"]["name"],
        "measures": ("accuracy",),
    }
    test = settings["sizes"]["test"]
    system = record["cell"]["system"]
    results = spikemark.evaluate(by_steps(), "digits", samples=test, baselines=[system], name="mine", **request)
    assert {"mine", system} == set(results.table["system"])
    with pytest.raises(InputError, match=rf"baselines: no record of '{system}' on digits with direct, T = 17"):
        spikemark.evaluate(by_steps(), "digits", samples=test, baselines=[system], **request | {"steps": 17})


def test_sites_of_a_wrapped_model_include_declared_neurons():
    class Mine(nn.Module):
        def forward(self, x):
            return (x > 0).float()

    model = BuiltModel("mine", nn.Sequential(nn.Linear(3, 2), Mine()), "TB", None, neurons={Mine: 2})
    (site,) = neuron_sites(model)
    assert (site.name, site.words, site.form) == ("module.1", 2, None)
    assert site.form_of(torch.zeros(5, 3, 2), 3) == "TB"
    assert site.form_of(torch.zeros(3, 2), 3) == "B"
    with pytest.raises(InputError, match="do not tell the 3 samples"):
        site.form_of(torch.zeros(3, 3, 2), 3)
    assert np.prod(site.per_neuron(torch.zeros(5, 3, 2), 3).shape) == 30
    assert replace(site, name="x").words == 2
