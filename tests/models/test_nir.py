"""NIR: the oracle against loops over scalars, causes against known deviations, importers, bad files, the command."""

import math
import os
from dataclasses import replace
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
import torch

import spikemark
from spikemark.core.adapter import Unsupported
from spikemark.core.frameworks import get_adapter
from spikemark.core.nir import OUTPUT, OracleGraph, Reading, run_node, wiring
from spikemark.data.card import Sizes
from spikemark.data.loading import load_dataset
from spikemark.errors import InputError
from spikemark.models.nir import load_nir, read_graph
from spikemark.models.nir_cases import cases
from spikemark.models.nir_causes import CAUSES, ROUNDING, SKIPPED, UNKNOWN, explain
from spikemark.models.nir_check import check_graph, fires_at_threshold, random_spikes

DT = 1e-4
FOLDER = os.environ.get("SPIKEMARK_DATA")
needs_graphs = pytest.mark.skipif(not FOLDER, reason="SPIKEMARK_DATA names no folder with real graphs")
CASES = {case.name: case for case in cases()}


def array(*values):
    return np.array(values, dtype=np.float64)


def currents(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 2 - 0.4


def spikes_of(kind, p, xs):
    """One neuron, step by step in Python's numbers, from NIR's differential equations."""
    v = i = 0.0
    out = []
    for x in xs:
        if kind.startswith("Cuba"):
            i += DT / p["tau_syn"] * (-i + p["w_in"] * x)
            v += DT / p["tau_mem"] * (p["v_leak"] - v + p["r"] * i)
        elif kind in ("LIF", "LI"):
            v += DT / p["tau"] * (p["v_leak"] - v + p["r"] * x)
        else:
            v += DT * p["r"] * x
        if kind in ("LI", "CubaLI", "I"):
            out.append(v)
            continue
        fires = v > p["v_threshold"]
        out.append(float(fires))
        v = p["v_reset"] if fires else v
    return out


NEURONS = {
    "IF": {"r": 3000.0, "v_threshold": 0.9, "v_reset": -0.2},
    "LIF": {"tau": 4e-4, "r": 1.7, "v_leak": 0.1, "v_threshold": 0.6, "v_reset": -0.2},
    "CubaLIF": {
        "tau_syn": 2e-4, "tau_mem": 5e-4, "r": 1.5, "v_leak": 0.1, "v_threshold": 0.7, "v_reset": -0.1, "w_in": 1.3,
    },
    "I": {"r": 2000.0},
    "LI": {"tau": 4e-4, "r": 1.7, "v_leak": 0.1},
    "CubaLI": {"tau_syn": 2e-4, "tau_mem": 5e-4, "r": 1.5, "v_leak": 0.1, "w_in": 1.3},
}  # fmt: skip


@pytest.mark.parametrize("kind", NEURONS)
def test_neurons_step_as_nir_s_equations_do(kind):
    values = NEURONS[kind]
    xs = currents(80, 1, 2)
    found = run_node(getattr(nir, kind)(**{name: array(v, v) for name, v in values.items()}), Reading(DT), xs)
    for neuron in range(2):
        expected = spikes_of(kind, values, xs[:, 0, neuron].tolist())
        assert found[:, 0, neuron].tolist() == pytest.approx(expected, abs=1e-12)
        assert kind in ("I", "LI", "CubaLI") or 5 < sum(expected) < 75


def test_synapses_poolings_and_delays_against_sums_over_indices():
    x = currents(3, 2, 2, 5, 6)
    weight, bias = currents(4, 1, 3, 2, seed=1).numpy(), array(0.1, -0.2, 0.3, 0.4)
    conv = nir.Conv2d((5, 6), weight, (2, 1), (1, 0), (1, 2), 2, bias)
    found = run_node(conv, Reading(DT), x)
    padded = np.pad(x.numpy(), [(0, 0)] * 3 + [(1, 1), (0, 0)])
    for t, b, o, i, j in [(0, 0, 0, 0, 0), (1, 1, 3, 2, 3), (2, 0, 1, 1, 2)]:
        window = [weight[o, 0, k, m] * padded[t, b, o // 2, 2 * i + k, j + 2 * m] for k in range(3) for m in range(2)]
        assert float(found[t, b, o, i, j]) == pytest.approx(sum(window) + bias[o])
    two = np.array([2, 2])
    image = padded[1, 0, 1, :4, :2]
    pooled = torch.from_numpy(image.copy())[None, None, None]
    assert run_node(nir.SumPool2d(two, two, two * 0), Reading(DT), pooled)[0, 0, 0, 1, 0] == pytest.approx(
        image[2:].sum()
    )
    assert run_node(nir.AvgPool2d(two, two, two * 0), Reading(DT), pooled)[0, 0, 0, 0, 0] == pytest.approx(
        image[:2].mean()
    )
    line = currents(4, 1, 2, 5)
    found = run_node(nir.Conv1d(5, currents(1, 2, 2, seed=3).numpy(), 1, "valid", 1, 1, array(0.5)), Reading(DT), line)
    kernel = currents(1, 2, 2, seed=3)
    assert float(found[2, 0, 0, 3]) == pytest.approx(float((kernel[0] * line[2, 0, :, 3:5]).sum()) + 0.5)
    delayed = run_node(nir.Delay(array(0, 2 * DT)), Reading(DT), xs := currents(6, 1, 2))
    assert torch.equal(delayed[:, 0, 0], xs[:, 0, 0])
    assert delayed[:, 0, 1].tolist() == [0, 0, *xs[:4, 0, 1].tolist()]
    assert torch.equal(run_node(nir.Scale(array(2, -1)), Reading(DT), xs), xs * torch.tensor([2, -1]))
    with pytest.raises(InputError, match=r"2.5e-05 s is no whole number of steps"):
        run_node(nir.Delay(array(DT / 4)), Reading(DT), xs)


def test_samples_are_flattened_without_their_batch():
    flat = nir.Flatten({"input": np.array([2, 3, 4])}, start_dim=0, end_dim=1)
    assert run_node(flat, Reading(DT), currents(5, 7, 2, 3, 4)).shape == (5, 7, 6, 4)


def test_a_loop_comes_back_one_step_later():
    graph = CASES["LIF in a loop with a bias"].graph
    x = CASES["LIF in a loop with a bias"].inputs(steps=40, samples=1)
    weight, bias = graph.nodes["layer.recurrent"].weight, graph.nodes["layer.recurrent"].bias
    v, back, expected = np.zeros(4), np.zeros(4), []
    for step in x[:, 0].double().numpy():
        v = v / 2 + step + back  # r = tau / dt = 2
        o = (v > 1).astype(float)
        v = np.where(o > 0, 0, v)
        back = weight @ o + bias
        expected.append(o)
    found = OracleGraph(graph, DT)(x)
    assert found[:, 0].tolist() == np.array(expected).tolist()
    assert 20 < found.sum() < 140


def test_graphs_inside_a_graph_are_unfolded():
    inner = nir.NIRGraph.from_list(nir.LIF(*(array(v, v) for v in (2e-4, 1, 0, 0.3, 0))))
    outer = nir.NIRGraph.from_list(nir.Affine(np.eye(2) * 2, array(0, 0.1)), inner)
    name = next(name for name, node in outer.nodes.items() if isinstance(node, nir.NIRGraph))
    assert f"{name}.lif" in wiring(outer).nodes
    plain = nir.NIRGraph.from_list(nir.Affine(np.eye(2) * 2, array(0, 0.1)), inner.nodes["lif"])
    x = currents(30, 2, 2)
    assert torch.equal(OracleGraph(outer, DT)(x), OracleGraph(plain, DT)(x))
    assert OracleGraph(plain, DT)(x).any()


# In each a deviation shows: the node, and what an importer with that deviation computes.
DEVIATING = {
    "ties": nir.LIF(*(array(v) for v in (2e-4, 2, 0, 1, 0))),
    "r-ignored": nir.LIF(*(array(v) for v in (4e-4, 2, 0, 0.5, 0))),
    "dt-ignored": nir.IF(array(3), array(20), array(0)),
    "gain-one": nir.LIF(*(array(v) for v in (4e-4, 1.7, 0, 0.7, 0))),
    "gain-shared": nir.LIF(*(array(v, w) for v, w in ((4e-4, 8e-4), (2, 2), (0, 0), (0.5, 0.5), (0, 0)))),
    "tau-in-steps": nir.LIF(*(array(v) for v in (3, 1, 0, 1e-4, 0))),
    "exact-decay": nir.LIF(*(array(v) for v in (3e-4, 1, 0.2, 0.5, 0))),
    "exact-decay-in-steps": nir.LIF(*(array(v) for v in (2, 5000, 0, 0.2, 0))),
    "leaky-IF": nir.IF(array(1 / DT), array(2), array(0)),
    "v_reset-ignored": nir.LIF(*(array(v) for v in (4e-4, 2, 0, 0.5, 0.3))),
    "reset-subtract": nir.LIF(*(array(v) for v in (4e-4, 4, 0, 0.3, 0))),
    "reset-ahead": nir.IF(array(1 / DT), array(0.5), array(0)),
    "several-spikes": nir.LIF(*(array(v) for v in (4e-4, 8, 0, 0.3, 0))),
    "membrane-floored": nir.LIF(*(array(v) for v in (8e-4, 8, 0, 0.3, 0))),
    "synapse-leaks": nir.CubaLIF(*(array(v) for v in (2e-4, 4e-4, 1, 0.4, 0.8))),
    "starts-at-v_leak": nir.LIF(*(array(v) for v in (20e-4, 2, 0.4, 0.9, 0))),
    "starts-at-v_reset": nir.LIF(*(array(v) for v in (20e-4, 2, 0, 0.9, -0.4))),
    "padding-ignored": nir.Conv2d((4, 4), np.ones((1, 1, 2, 2)), 1, 1, 1, 1, array(0.5)),
    "bias-ignored": nir.Affine(np.eye(2), array(0.5, 0.2)),
}


@pytest.mark.parametrize("cause", DEVIATING)
def test_each_cause_is_found_from_spikes_alone(cause):
    node = DEVIATING[cause]
    shape = {nir.Conv2d: (1, 4, 4), nir.Affine: (2,)}.get(type(node), getattr(node, "r", array(0)).shape)
    xs = (currents(60, 2, *shape) * 32).round() / 32
    dt = DT
    given = run_node(node, replace(Reading(dt), **CAUSES[cause][1]), xs)
    plain = run_node(node, Reading(dt), xs)
    assert given.shape != plain.shape or not torch.equal(given, plain)
    names, reading = explain(node, dt, xs, given)
    assert names == (cause,)
    assert torch.equal(run_node(node, reading, xs), given)


def test_the_built_in_dt_is_found():
    node = DEVIATING["r-ignored"]
    xs = currents(60, 2, 1)
    assert explain(node, 1e-3, xs, run_node(node, Reading(1e-4), xs))[0] == ("dt-fixed",)


def test_every_cause_has_its_test():
    assert {*CAUSES} == {*DEVIATING, "dt-fixed"}


def test_two_deviations_together():
    node = nir.LIF(*(array(v) for v in (8e-4, 2, 0, 0.4, 0.3)))
    xs = currents(100, 3, 1)
    given = run_node(node, Reading(DT, gain="r-is-1", reset="zero"), xs)
    assert explain(node, DT, xs, given)[0] == ("r-ignored", "v_reset-ignored")


def test_deviations_that_the_spikes_do_not_tell_apart_are_both_named():
    node = nir.LIF(*(array(v) for v in (8e-4, 2, 0, 0.4, 0.3)))
    xs = currents(100, 3, 1)
    given = run_node(node, Reading(DT, gain="r-is-1", reset="subtract"), xs)  # no membrane stays above its threshold
    resets = ("reset-subtract", "reset-ahead", "several-spikes")
    assert explain(node, DT, xs, given)[0] == (" or ".join(f"r-ignored + {reset}" for reset in resets),)


def test_rounding_explains_spikes_at_the_threshold_and_no_others():
    node = nir.LIF(*(array(v) for v in (4e-4, 2, 0, 0.5, 0)))
    xs = (currents(40, 1, 1) * 32).round() / 32
    given = run_node(node, Reading(DT), xs)
    assert explain(node, DT, xs, given)[0] == ()
    wrong = given.clone()
    wrong[int(torch.nonzero(given[:, 0, 0])[3])] = 0
    assert explain(node, DT, xs, wrong)[0] == (UNKNOWN,)
    v = 0.0
    for x in xs[:, 0, 0].tolist():
        v += (2 * x - v) / 4
        v = 0.0 if v > 0.5 else v

    def brought_to(u):
        """The input goes on with a step that makes the membrane `u`."""
        return torch.cat([xs, torch.tensor((4 * u - 3 * v) / 2, dtype=torch.float64).reshape(1, 1, 1)])

    silent, fired = (torch.cat([given, torch.full((1, 1, 1), o, dtype=torch.float64)]) for o in (0, 1))
    above = brought_to(0.5 + 1e-9)
    assert float(run_node(node, Reading(DT), above)[-1]) == 1
    assert explain(node, DT, above, silent)[0] == (ROUNDING,)
    assert explain(node, DT, brought_to(0.5 + 1e-5), silent)[0] == (UNKNOWN,)
    # An exact tie is a matter of > or >=, not of rounding.
    assert explain(node, DT, brought_to(0.5), fired)[0][0].startswith("ties")


def causes(check):
    return {node.node: node.causes for node in check.nodes if node.causes}


FOUND = {
    ("IF, r = 1, dt = 1 s", "snntorch"): {"if": ("leaky-IF", "reset-ahead")},
    ("IF, r = 1, dt = 1 s", "spikingjelly"): {"if": ("ties",)},
    ("IF, r = 1, dt = 1 s", "norse"): {},
    ("IF, r = 1", "norse"): {"if": ("dt-ignored",)},
    ("LIF, r = 1", "snntorch"): {},
    ("LIF, r = 1", "spikingjelly"): {},
    ("LIF, r = 2", "snntorch"): {},
    ("LIF, r = tau / dt", "norse"): {"lif": ("r-ignored",)},
    ("LIF, one threshold per neuron", "norse"): {},
    ("LIF, one tau per neuron", "snntorch"): {"lif": ("gain-shared",)},
    ("LIF, v_leak = 0.25", "norse"): {"lif": ("starts-at-v_leak",)},
    ("LIF, v_reset = -0.25", "snntorch"): {"lif": ("v_reset-ignored",)},
    ("LIF, v_leak = v_reset = -0.25", "norse"): {"lif": ("v_reset-ignored", "starts-at-v_leak")},
    ("CubaLIF, r = tau_mem / dt, w_in = tau_syn / dt", "snntorch"): {},
    ("CubaLIF, v_leak = 0.25", "norse"): {"cubalif": ("synapse-leaks", "starts-at-v_leak")},
    ("LIF, LI", "norse"): {"li": (SKIPPED,)},
    ("Threshold", "norse"): {"threshold": (SKIPPED,)},
    ("SumPool2d, padding = 1", "spikingjelly"): {"sumpool2d": ("padding-ignored",)},
    ("AvgPool2d", "norse"): {"avgpool2d": (SKIPPED,)},
    ("LIF in a loop", "spikingjelly"): {"layer.lif": ("ties",)},
    ("LIF in a loop", "snntorch"): {"layer.recurrent": ("loop-rewired",), "layer.lif": ("loop-rewired",)},
}


@pytest.mark.parametrize(("name", "framework"), FOUND, ids=str)
def test_importers_and_their_causes(name, framework):
    case = CASES[name]
    (check,) = check_graph(case.graph, [framework], dt=case.dt, inputs=case.inputs()).frameworks
    assert check.refusal is None
    assert causes(check) == FOUND[name, framework]
    assert check.unexplained == 0
    assert check.faithful == (not FOUND[name, framework])
    assert (check.differing > 0) == bool(FOUND[name, framework])


@pytest.mark.parametrize(
    ("name", "framework", "refusal", "requires"),
    [
        ("LIF, one threshold per neuron", "snntorch", "must be same", ("one threshold for all neurons of a node",)),
        ("LIF, one threshold per neuron", "spikingjelly", "uniform", ("one threshold for all neurons of a node",)),
        ("LIF, r = 2", "spikingjelly", "must equal 1 or tau / dt", ("r = 1",)),
        ("LIF, v_leak = 0.25", "snntorch", "v_leak not supported", ("v_leak = 0",)),
        ("LIF, v_reset = -0.25", "spikingjelly", "must equal v_reset", ("v_leak = v_reset",)),
        ("LIF, LI", "snntorch", "Unknown node type", ()),
        ("Delay of 2 dt", "norse", "differently from time to time", ()),
    ],
)
def test_refusals_and_what_would_be_taken(name, framework, refusal, requires):
    case = CASES[name]
    (check,) = check_graph(case.graph, [framework], dt=case.dt, inputs=case.inputs(10)).frameworks
    assert refusal in check.refusal
    assert framework in check.refusal
    assert check.requires == requires
    assert not check.faithful


@pytest.mark.parametrize("kind", ["IF", "LIF", "CubaLIF"])
def test_who_fires_at_the_threshold(kind):
    found = {name: fires_at_threshold(name, kind) for name in ("reference", "snntorch", "spikingjelly", "norse")}
    assert found == {"reference": False, "snntorch": False, "spikingjelly": True, "norse": False}


def test_an_imported_model_keeps_no_state_and_no_hooks():
    x = random_spikes((4,), 20, 3) * 2
    for framework in ("snntorch", "spikingjelly", "norse", "reference"):
        model = load_nir(CASES["LIF, r = 1"].graph, framework)
        first = model(x)
        assert torch.equal(model(x), first)
        assert torch.equal(model(x[:, :1]), first[:, :1])
        traced = model.trace(x, ["lif"])
        assert torch.equal(traced["lif"], traced[OUTPUT])
        assert not any(module._forward_hooks for module in model.modules())
        assert first.any()


def test_the_batch_is_not_flattened_with_the_sample():
    image = nir.NIRGraph.from_list(
        nir.Conv2d((4, 4), np.ones((1, 1, 1, 1), dtype=np.float32), 1, 0, 1, 1, np.zeros(1, dtype=np.float32)),
        nir.Flatten({"input": np.array([1, 4, 4])}, start_dim=0),
        nir.LIF(*(np.full(16, v) for v in (2e-4, 1, 0, 0.4, 0))),
    )
    x = random_spikes((1, 4, 4), 15, 3)
    expected = load_nir(image)(x)
    for framework in ("snntorch", "spikingjelly", "norse"):
        assert torch.equal(load_nir(image, framework)(x).double(), expected)
    assert expected.any()


@pytest.mark.parametrize("framework", ["reference", "snntorch", "spikingjelly", "norse"])
def test_a_file_is_evaluated_like_any_model(framework, tmp_path):
    image = nir.NIRGraph.from_list(
        nir.Flatten({"input": np.array([1, 8, 8])}, start_dim=0),
        nir.Affine(currents(30, 64, seed=5).numpy(), np.zeros(30)),
        nir.LIF(*(np.full(30, v) for v in (2e-4, 1, 0, 1.0, 0))),
        nir.Linear(currents(10, 30, seed=6).numpy()),
    )
    nir.write(tmp_path / "net.nir", image)
    found = spikemark.evaluate(
        str(tmp_path / "net.nir"), "digits", framework=framework, steps=5, samples=20, measures=("accuracy", "energy")
    )
    data = load_dataset("digits", sizes=Sizes(1, 1, 20)).test
    x = data.inputs.double().flatten(1)
    weights, readout = (torch.from_numpy(image.nodes[name].weight) for name in ("affine", "linear"))
    v, total, spikes = torch.zeros(20, 30, dtype=torch.float64), 0, 0
    for _ in range(5):
        v = v / 2 + x @ weights.T / 2
        o = (v > 1).double()
        v = v * (1 - o)
        total, spikes = total + o @ readout.T, spikes + int(o.sum())
    values = {row.metric: row.value for row in found.table.itertuples() if row.framework == framework}
    assert values["accuracy"] == pytest.approx(float((total.argmax(1) == data.labels).double().mean()))
    assert values["acs"] == pytest.approx(spikes * 10 / 20)
    assert values["neuron_updates"] == 5 * 30


def test_the_length_of_a_step_is_given_with_the_file(spikemark, tmp_path):
    from spikemark import evaluate

    graph = nir.NIRGraph.from_list(
        nir.Flatten({"input": np.array([1, 8, 8])}, start_dim=0),
        nir.Affine(currents(10, 64, seed=5).numpy(), np.zeros(10)),
        nir.LIF(*(np.full(10, v) for v in (2, 1, 0, 1.0, 0))),
    )
    nir.write(tmp_path / "net.nir", graph)
    request = {"steps": 5, "samples": 50, "measures": ("accuracy", "energy")}
    given = evaluate(tmp_path / "net.nir", "digits", framework="norse", dt=1, **request)
    loaded = evaluate(load_nir(graph, "norse", dt=1), "digits", **request)
    other = evaluate(tmp_path / "net.nir", "digits", framework="norse", **request)
    values = [{r.metric: r.value for r in e.table.itertuples() if r.metric != "energy"} for e in (given, loaded, other)]
    assert values[0] == values[1]
    assert values[0]["firing_rate"] != values[2]["firing_rate"]
    assert given.records[0]["cell"]["system_definition"]["dt"] == 1
    assert given.records[0]["key"] != other.records[0]["key"]
    options = ["--data", "digits", "--steps", 5, "--dt", 1, "--samples", 50, "--measures", "accuracy"]
    code, out, _ = spikemark("evaluate", tmp_path / "net.nir", *options, "--framework", "norse", "--out", tmp_path)
    assert code == 0
    assert f"{values[0]['accuracy']:.4g}" in out
    code, _, err = spikemark("evaluate", "mine.py:build", *options, "--out", tmp_path)
    assert (code, err.count("\n")) == (2, 1)
    assert "dt: 1 s per step is for .nir files" in err
    code, _, err = spikemark("energy", tmp_path / "net.nir", "--data", "digits", "--steps", 5, "--dt", 0)
    assert (code, err.count("\n")) == (2, 1)
    assert "dt: 0 s is no length of a step" in err


def test_a_refusal_in_an_evaluation_is_one_line(spikemark, tmp_path):
    nir.write(tmp_path / "net.nir", CASES["LIF, one threshold per neuron"].graph)
    options = ["--data", "yin-yang", "--framework", "snntorch", "--steps", 3, "--out", tmp_path]
    code, _, err = spikemark("evaluate", tmp_path / "net.nir", *options)
    assert (code, err.count("\n")) == (2, 1)
    assert "snntorch 1.0.0 cannot import the graph: AssertionError: v_threshold must be same" in err


def test_frameworks_without_an_importer_say_so():
    with pytest.raises(Unsupported, match="fused has no importer"):
        get_adapter("fused").from_nir(None, DT)


@needs_graphs
def test_the_published_lif_and_its_exact_trace():
    exact = np.loadtxt(Path(FOLDER) / "NIR" / "lif_exact.csv", delimiter=",")
    x = torch.from_numpy(exact[:, :1, None]).float()
    graph = read_graph(Path(FOLDER) / "NIR" / "lif_norse.nir")
    for framework in ("reference", "snntorch", "spikingjelly", "norse"):
        found = load_nir(graph, framework)(x)[:, 0, 0]
        assert torch.nonzero(found).flatten().tolist() == np.flatnonzero(exact[:, 2]).tolist()
    step, v, membrane = DT / float(graph.nodes["1"].tau[0]), 0.0, []
    for current in exact[:, 0]:
        v += step * (current - v)
        membrane.append(v)
        v = 0.0 if v > float(graph.nodes["1"].v_threshold[0]) else v
    assert max(abs(np.array(membrane[:460]) - exact[:460, 1])) < 0.05 * exact[:, 1].max()


@needs_graphs
def test_the_published_networks():
    folder = Path(FOLDER) / "NIR"
    braille = check_graph(folder / "braille_noDelay_bias_zero.nir", ["snntorch", "spikingjelly", "norse"])
    refused, *others = braille.frameworks
    assert refused.requires == ("no loop",)
    assert all(check.faithful and check.nodes[0].expected > 20 for check in others)
    inputs = random_spikes((2, 34, 34), 20, 1)
    cnn = check_graph(folder / "cnn_sinabs.nir", ["snntorch", "spikingjelly", "norse"], dt=1.0, inputs=inputs)
    refused, *others = cnn.frameworks
    assert "cannot run the graph: TypeError" in refused.refusal
    assert refused.requires == ("no IF in front of other nodes",)
    assert all(check.faithful and check.nodes[2].spikes > 100 for check in others)


def written(path, change):
    nir.write(path, CASES["LIF, r = 1"].graph)
    with h5py.File(path, "r+") as file:
        change(file)


def foreign_kind(file):
    del file["node/nodes/lif/type"]
    file["node/nodes/lif/type"] = "Izhikevich"


def lost_parameter(file):
    del file["node/nodes/lif/tau"]


def lost_graph(file):
    del file["node"]
    file["weights"] = np.zeros(3)


def broken_edge(file):
    edges = file["node/edges"][()]
    del file["node/edges"]
    edges[0] = [b"input", b"nowhere"]
    file["node/edges"] = edges


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (foreign_kind, "node 'lif' is a Izhikevich, which nir"),
        (lost_parameter, "refuses the graph: TypeError"),
        (lost_graph, "is HDF5 of another kind: it has no NIR graph (its groups: version, weights)"),
        (broken_edge, "refuses the graph: ValueError: Edge ('input', 'nowhere')"),
    ],
)
def test_bad_graphs_are_one_line(spikemark, tmp_path, change, message):
    written(tmp_path / "bad.nir", change)
    code, _, err = spikemark("nir", "check", tmp_path / "bad.nir")
    assert (code, err.count("\n")) == (2, 1)
    assert message in err


def test_bad_files_are_one_line(spikemark, tmp_path):
    (tmp_path / "torn.nir").write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 64)
    (tmp_path / "text.nir").write_text("no graph")
    for name, message in [("torn", "is damaged or no NIR file"), ("text", "no NIR file"), ("lost", "does not exist")]:
        code, _, err = spikemark("nir", "check", tmp_path / f"{name}.nir")
        assert (code, err.count("\n"), message in err) == (2, 1, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dt", "0"], "dt: 0 s is no length of a step"),
        (["--steps", "0"], "0 steps"),
        (["--rate", "2"], "rate 2"),
        (["--frameworks", "snntorsh"], "did you mean 'snntorch'"),
    ],
)
def test_bad_requests_are_one_line(spikemark, tmp_path, options, message):
    nir.write(tmp_path / "good.nir", CASES["LIF, r = 1"].graph)
    code, _, err = spikemark("nir", "check", tmp_path / "good.nir", *options)
    assert (code, err.count("\n")) == (2, 1)
    assert message in err


@needs_graphs
def test_a_graph_that_nir_itself_refuses_is_bad_input(spikemark):
    code, _, err = spikemark("nir", "check", Path(FOLDER) / "NIR" / "lif_rockpool.nir")
    assert (code, err.count("\n")) == (2, 1)
    assert "refuses the graph: ValueError: Type inference error" in err


def test_the_command_names_the_cause_and_writes_the_table(spikemark, tmp_path):
    nir.write(tmp_path / "lif.nir", CASES["LIF, r = tau / dt"].graph)
    code, out, _ = spikemark("nir", "check", tmp_path / "lif.nir", "--amplitude", 2, "--csv", tmp_path / "lif.csv")
    assert code == 1
    assert "snntorch: every node gives what NIR says" in out
    assert "norse: r-ignored (node lif): it drops r" in out
    assert "LIF at v == v_threshold, where NIR's does not fire: snntorch does not fire, spikingjelly fires" in out
    rows = (tmp_path / "lif.csv").read_text().splitlines()
    assert rows[0].startswith("graph,framework,node,kind")
    assert len(rows) == 4
    code, _, _ = spikemark("nir", "check", tmp_path / "lif.nir", "--frameworks", "snntorch, spikingjelly")
    assert code == 0


def test_exact_decay_is_the_exponential():
    node = nir.LI(array(3e-4), array(1), array(0))
    found = run_node(node, Reading(DT, decay="exact"), torch.ones(2, 1, 1, dtype=torch.float64))
    decay = math.exp(-1 / 3)
    assert found.flatten().tolist() == pytest.approx([1 / 3, decay / 3 + 1 / 3])
