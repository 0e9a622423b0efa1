"""The adapter of sinabs, in its environment: conformance, its own neurons, NIR, and `evaluate` of a user's network."""

import math
from dataclasses import replace

import pytest
import torch
from users_networks import measured_with_several_spikes

from spikemark.core.frameworks import FRAMEWORKS, environment
from spikemark.core.neurons import NEURONS, Adaptation, Learnable, Surrogate
from spikemark.core.remote import call

pytestmark = pytest.mark.skipif(
    "sinabs" not in FRAMEWORKS or environment("sinabs").state() != "built",
    reason="needs the environment of sinabs: spikemark env build sinabs",
)
LIF = NEURONS["lif"]
SPECS = {
    "stl": NEURONS["stl"],
    "soft, above the threshold alone": replace(LIF, reset="subtract", fires_at_threshold=False, detach_reset=False),
    "gradient through the reset to 0": replace(LIF, detach_reset=False),
    "no reset, relative": replace(LIF, reset="none", surrogate=Surrogate("triangle", 1.0, relative=True)),
    "adapting": replace(LIF, adaptation=Adaptation(Learnable(0.5, "channel", "sigmoid"), Learnable(0.25, "neuron"))),
}


@pytest.fixture(scope="module")
def sinabs():
    one = environment("sinabs")
    return lambda function, *arguments: call(one, f"environment_cases:{function}", *arguments)


@pytest.mark.parametrize("name", SPECS)
def test_it_conforms(sinabs, name):
    differing, single, double, route = sinabs("conforms", "sinabs", SPECS[name])
    assert (differing, route) == (0, "composed")
    assert single < 1e-5
    assert double < 1e-10


@pytest.mark.parametrize(
    ("name", "learned", "several"),
    [
        ("lif", ["decay"], True),
        ("lif-single-spike", ["decay"], False),
        ("iaf", [], True),
        ("alif", ["adaptation_decay", "decay"], False),
    ],
)
def test_own_neurons_spike_learn_and_keep_nothing_between_calls(sinabs, name, learned, several):
    found = sinabs("own_neuron", f"sinabs:{name}")
    assert found["equal"]
    assert found["whole"]
    assert (found["largest"] > 1) == several
    assert found["sum"] > 0
    assert found["learned"] == learned
    assert all(value > 0 for value in [found["input"], *found["gradients"].values()])
    assert found["observed"] == pytest.approx(dict.fromkeys(learned, math.exp(-1 / 20)))


def test_a_users_network_is_measured_and_counts_several_spikes_as_several(sinabs):
    measured_with_several_spikes(sinabs("evaluated_sinabs"), "sinabs", "module.3")


def test_noise_on_spikes_takes_layers_of_one_spike_in_a_step(sinabs):
    several = ("sinabs.layers", "LIF", (20.0,), {})
    single = ("sinabs.layers", "ALIF", (20.0, 20.0), {})
    said, found = sinabs("sites_of_noise", several, single)
    assert said.endswith("has none that gives one spike in a step")
    assert found == 1


def test_a_users_network_is_disturbed_and_timed(sinabs):
    found = sinabs("disturbed_sinabs")
    assert found["SingleSpike"]["left_out"] == {}
    several = found["MultiSpike"]["left_out"]
    assert several.keys() > {"spike-deletion", "spike-jitter", "dead-neurons"}
    assert all("none that gives one spike in a step" in reason for reason in several.values())
    for one in found.values():
        assert {"weight-mismatch", "threshold-mismatch", "decay-mismatch"} < set(one["noises"])
        assert {"training_samples_per_second", "peak_memory"} < set(one["speed"])
        assert one["spreads"]["threshold"] == pytest.approx(0.5, rel=0.4)
        assert one["spreads"]["decay"] > 0.05
        assert one["spreads"]["threshold seen"]
        assert one["spreads"]["decay seen"]


def test_a_file_is_evaluated_where_the_framework_is(spikemark, tmp_path):
    import nir
    import numpy as np

    from spikemark import evaluate
    from spikemark.data.loading import load_dataset
    from spikemark.errors import InputError

    weights = np.random.default_rng(0).normal(size=(10, 64))
    nodes = nir.Affine(weights, np.zeros(10)), nir.IF(np.ones(10), np.ones(10), np.zeros(10))
    flat = nir.Flatten({"input": np.array([1, 8, 8])}, start_dim=0)
    nir.write(tmp_path / "net.nir", nir.NIRGraph.from_list(flat, *nodes))
    request = {"framework": "sinabs", "steps": 4, "dt": 1.0, "severities": (3,)}
    test = load_dataset("digits").test
    data = test.inputs[:20], test.labels[:20]
    results = evaluate(tmp_path / "net.nir", data, measures=("accuracy", "robustness", "energy"), **request)
    assert {record["environment"]["environment"]["name"] for record in results.records} == {"sinabs"}
    currents, v, total = data[0].flatten(1).double() @ torch.from_numpy(weights).T, 0, 0
    for _ in range(4):
        v = v + currents
        spikes = v.clamp(min=0).floor()
        v, total = (v - spikes).clamp(min=-1), total + spikes
    measured = [{row["metric"]: row["value"] for row in record["measurements"]} for record in results.records]
    assert measured[0]["accuracy"] == float((total.argmax(1) == data[1]).double().mean())
    assert measured[2]["neuron_updates"] == 4 * 10
    noises = {row["noise"] for row in results.records[1]["measurements"]}
    assert noises > {"weight-mismatch", "threshold-mismatch", "fgsm"}
    assert "IAFSqueeze has none" in results.left_out["decay-mismatch"]
    with pytest.raises(InputError, match="runs in a process of its own, to which data and functions must be"):
        evaluate(tmp_path / "net.nir", data, output=lambda scores: scores, **request)
    code, _, err = spikemark("energy", tmp_path / "net.nir", "--data", "digits", "--steps", 4, "--framework", "sinabs")
    assert (code, err.count("\n")) == (2, 1)
    assert "net.nir --framework sinabs --measures energy" in err
    (tmp_path / "torn.nir").write_bytes(b"torn")
    options = ["--data", "digits", "--steps", 4, "--framework", "sinabs"]
    for name, message in (("torn.nir", "damaged or no NIR file; write it anew"), ("nowhere.nir", "No such file")):
        code, _, err = spikemark("evaluate", tmp_path / name, *options)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err


def test_nir_graphs_are_imported_in_the_environment_and_deviations_have_causes():
    from spikemark.models.nir_cases import cases
    from spikemark.models.nir_check import check_graph

    found = {}
    for case in cases():
        if case.name in ("IF, r = 1 / dt", "LIF, r = 1", "LIF, v_leak = 0.25", "CubaLIF, r = 1, w_in = 1", "SumPool2d"):
            (check,) = check_graph(case.graph, ["sinabs"], dt=case.dt, inputs=case.inputs(), name=case.name).frameworks
            causes = {cause for node in check.nodes for cause in node.causes}
            found[case.name] = check.differing, check.unexplained, causes, check.refusal
            assert check.version == "3.1.3"
    assert found["SumPool2d"] == (0, 0, set(), None)
    assert found["CubaLIF, r = 1, w_in = 1"][1:] == (0, {"node-skipped"}, None)
    assert found["CubaLIF, r = 1, w_in = 1"][0] > 0
    assert found["IF, r = 1 / dt"][1:] == (0, {"several-spikes"}, None)
    assert found["LIF, r = 1"][1:] == (0, {"dt-ignored", "exact-decay-in-steps", "several-spikes"}, None)
    assert "`v_leak` must be 0" in found["LIF, v_leak = 0.25"][3]


def test_a_graph_that_its_nir_does_not_know_is_refused():
    import nir
    import numpy as np

    from spikemark.core.adapter import Unsupported
    from spikemark.models.nir import load_nir

    one = np.ones(2)
    graph = nir.NIRGraph.from_list(nir.CubaLI(tau_syn=one, tau_mem=one, r=one, v_leak=0 * one, w_in=one))
    with pytest.raises(Unsupported, match=r"node 'cubali' is a CubaLI, which nir 1\.0\.4 does not know"):
        load_nir(graph, "sinabs")
