"""The matrix: classes against statements, changes between versions, and its page."""

import json
import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import pytest

from spikemark.core import environments
from spikemark.core.environments import Environment, overlay
from spikemark.core.frameworks import get_adapter
from spikemark.errors import InputError
from spikemark.measures.semantics.comparison import ConformanceResult, ConformanceRow
from spikemark.measures.semantics.stated import StatedResult, stated_table
from spikemark.regression import golden, matrix
from spikemark.regression.golden import Difference
from spikemark.regression.matrix import Change, Entry, Graph, Layer, Matrix, Surrogate, contenders
from spikemark.regression.matrix_report import badge, page, rows, write_matrix


def stated(framework):
    return {one.name: one for one in stated_table(framework)}


def test_norses_alpha_is_ignored_but_not_its_triangles():
    found = stated("norse")
    assert found["LIFBoxCell(alpha=1)"].holds
    assert found["LIFBoxCell(method='triangle', alpha=0.3)"].holds
    for alpha in ("()", "(alpha=10)"):
        one = found[f"LIFBoxCell{alpha}"]
        assert (one.holds, one.differing) == (False, 0)
        assert one.gradient_error > 1


def test_snntorchs_delayed_reset_and_ignored_vector_are_found():
    found = stated("snntorch")
    for exact in ("Leaky(beta=0.5, reset_mechanism='zero')", "Leaky(beta=[...])", "LeakyParallel(beta=0.5)"):
        assert found[exact].holds, exact
    assert found["Leaky(beta=0.5)"].differing > 0
    assert found["LeakyParallel(beta=[...])"].differing > 0


def test_spikingjellys_classes_are_what_they_state():
    assert all(one.holds for one in stated_table("spikingjelly"))


def test_what_a_class_raises_is_its_result(monkeypatch):
    from spikemark.measures.semantics.stated import compare_stated

    one = next(iter(get_adapter("snntorch").stated().values()))
    monkeypatch.setattr(type(one.neuron.make), "__call__", lambda *_, **__: json.no_such_class)
    found = compare_stated("it", one)
    assert not found.holds
    assert found.raised.startswith("AttributeError: module 'json' has no attribute")


@pytest.fixture(scope="module")
def mutant(tmp_path_factory):
    """An environment with a snnTorch 9.9 whose default surrogate is half as steep."""
    folder = tmp_path_factory.mktemp("environments")
    _, packages = overlay(folder / "snntorch@9.9")
    shutil.copytree(Path(find_spec("snntorch").origin).parent, packages / "snntorch")
    surrogates = packages / "snntorch/surrogate.py"
    before = surrogates.read_text()
    surrogates.write_text(before.replace("def atan(alpha=2.0)", "def atan(alpha=1.0)"))
    assert surrogates.read_text() != before
    info = packages / "snntorch-9.9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: snntorch\nVersion: 9.9\n")
    (folder / "snntorch@9.9" / "spikemark.json").write_text(json.dumps({"name": "snntorch@9.9", "lock": ""}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(environments.FOLDER_VARIABLE, str(folder))
        yield Environment("snntorch@9.9", ("snntorch==9.9",), "")


def test_a_change_of_gradients_alone_is_found_and_measured(mutant, tmp_path, monkeypatch):
    layers = get_adapter("snntorch").variants()
    few = {f"snntorch:{name}": layers[name] for name in ("leaky-zero", "leaky-sigmoid")}
    monkeypatch.setattr(golden.traces, "traced_neurons", lambda framework: few)
    path = tmp_path / "golden.safetensors"
    golden.record(path, ["snntorch"])
    change = matrix._change(f"snntorch@{version('snntorch')}", "snntorch@9.9", mutant, path)
    assert change.compared == 2
    (layer,) = change.layers
    assert layer.layer == "snntorch:leaky-zero"
    assert layer.spikes[0] == layer.spikes[1] > 0
    assert layer.gradients[0] != layer.gradients[1]
    assert layer.difference.cause.startswith("surrogate")
    assert "snntorch:leaky" in change.new  # layers that the file does not have


def test_odd_surrogates_are_found_in_the_traces(tmp_path, monkeypatch):
    layers = get_adapter("snntorch").variants()
    names = ("leaky-triangular", "leaky-LSO", "leaky-fast_sigmoid", "leaky-zero")
    few = {f"snntorch:{name}": layers[name] for name in names}
    monkeypatch.setattr(golden.traces, "traced_neurons", lambda framework: few)
    golden.record(tmp_path / "golden.safetensors", ["snntorch"])
    found = {one.layer: one.finding for one in matrix._surrogates(tmp_path / "golden.safetensors")}
    assert found.keys() == {"snntorch:leaky-triangular", "snntorch:leaky-LSO"}
    assert found["snntorch:leaky-triangular"].startswith("negative at ")
    assert found["snntorch:leaky-LSO"] == "raises TypeError"


def test_every_backend_runs_the_own_classes_and_traces_there(monkeypatch):
    asked = []

    def call(environment, function, *arguments):
        asked.append((function.rpartition(":")[2], arguments[-1]))
        return []

    monkeypatch.setattr(matrix, "call", call)
    monkeypatch.setattr(matrix, "_surrogates", lambda path: [Surrogate("toy:lif", path.name)])
    monkeypatch.setattr(matrix, "graphs", lambda name: [Graph("LIF", "exact")])
    monkeypatch.setattr(Environment, "require", lambda self: None)
    found = matrix.run_matrix(["snntorch@1.0.0"], ["cpu", "cuda"], unmeasured={"triton": "why"})
    assert asked == [
        (function, device) for device in ("cpu", "cuda") for function in ("record", "conformance_table", "stated_table")
    ]
    on_cpu, on_cuda = found.entries
    assert on_cpu.surrogates != on_cuda.surrogates
    assert (len(on_cpu.graphs), len(on_cuda.graphs)) == (1, 0)
    assert found.unmeasured == {"triton": "why"}


def test_a_layer_is_traced_on_the_device_that_is_asked_for(monkeypatch, tmp_path):
    seen = set()
    to = matrix.torch.nn.Module.to
    monkeypatch.setattr(matrix.torch.nn.Module, "to", lambda self, *args: seen.add(args) or to(self, *args))
    layers = get_adapter("snntorch").variants()
    monkeypatch.setattr(golden.traces, "traced_neurons", lambda framework: {"snntorch:zero": layers["leaky-zero"]})
    golden.record(tmp_path / "golden.safetensors", ["snntorch"], device="cpu:0")
    stated_table("snntorch", "cpu:0")
    assert ("cpu:0",) in seen
    assert golden.check(tmp_path / "golden.safetensors").differences == ()


@pytest.mark.skipif(matrix.torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_is_listed_and_refused(spikemark):
    assert matrix.backends_here() == (["cpu"], {"cuda": "torch finds no GPU on this machine"})
    for options in ((), ("--matrix",)):
        code, _, err = spikemark("conformance", "--framework", "snntorch", "--device", "cuda", *options)
        assert (code, err.count("\n")) == (2, 1), err
        assert "--device cuda: this machine has no CUDA GPU" in err


def test_contenders_are_the_locks_and_what_is_asked_for_oldest_first():
    found = contenders(["snntorch==0.9.2"])
    assert [name for name in found if name.startswith("snntorch")] == [
        "snntorch@0.9.0", "snntorch@0.9.2", "snntorch@0.9.4", "snntorch@1.0.0",
    ]  # fmt: skip
    assert {"norse@1.0.0", "norse@1.1.0", "spikingjelly@0.0.0.0.14", "spikingjelly@2.0.0"} <= set(found)
    for wrong, message in (("snntorch>1", "expected PACKAGE==VERSION"), ("brian2==2.9", "no adapter of that name")):
        with pytest.raises(InputError, match=message):
            contenders([wrong])


def result(differing=0):
    return ConformanceResult(1000, differing, 10, {("currents", "float32"): 1e-7, ("currents", "float64"): 1e-15})


def entry(framework="toy@1.0", **fields):
    rows_ = (ConformanceRow("toy", "lif", ("native",), 1, (), (result(),)),)
    given = {"conformance": rows_, "stated": (), "surrogates": (), "graphs": ()} | fields
    return Entry(framework, framework.partition("@")[2], "cpu", **given)


def test_the_badge_is_red_where_a_spike_differs_or_nothing_was_compared():
    failed = (ConformanceRow("toy", "lif", ("native",), 1, (), (result(3),)),)
    assert badge(Matrix((entry(),), ()))["message"] == "0 of 1,000 spikes differ"
    assert badge(Matrix((entry(),), ()))["color"] == "brightgreen"
    assert badge(Matrix((entry(), entry(conformance=failed)), ()))["message"] == "3 of 2,000 spikes differ"
    assert badge(Matrix((entry(), entry(conformance=failed)), ()))["color"] == "red"
    assert badge(Matrix((entry(conformance=()),), ()))["color"] == "red"


def test_the_page_shows_every_finding(tmp_path):
    older = entry(
        stated=(StatedResult("Cell()", "surrogate |z|", 512, 0, 1e-7),),
        surrogates=(Surrogate("toy:lif", "zero everywhere"),),
        graphs=(Graph("LIF", "r-ignored", 3, 240),),
    )
    newer = entry(
        "toy@2.0",
        conformance=(ConformanceRow("toy", "lif", (), 1, ("reset: only halves",), ()),),
        stated=(StatedResult("Cell()", "surrogate |z|", 512, 4, 2.5),),
    )
    cause = Difference("toy:lif", "default", "slope", None, ("gradient of currents",), "surrogate scale")
    change = Change("toy@1.0", "toy@2.0", 5, (Layer("toy:lif", (367.0, 375.0), (0.91, 162.3), cause),), ("toy:new",))
    found = Matrix((older, newer), (change,), {"cuda": "torch finds no GPU on this machine"})
    text = page(found)
    for said in (
        "| toy 1.0 ", "unsupported", "toy 2.0: reset: only halves.", "exact",
        "**differs**: 4 of 512 spikes, gradient 2.5",
        "Not measured: cuda (torch finds no GPU on this machine).",
        "zero everywhere", "3 of 240: r-ignored", "367 to 375", "0.91 to 162.3", "surrogate scale", "`toy:new`",
    ):  # fmt: skip
        assert said in text, said
    assert {row[0] for row in rows(found)} == {"conformance", "own class", "surrogate", "nir", "change", "unmeasured"}
    unmeasured = [row[1:6] for row in rows(found) if row[0] == "unmeasured"]
    why = ("cuda", "", "torch finds no GPU on this machine")
    assert unmeasured == [("toy@1.0", "1.0", *why), ("toy@2.0", "2.0", *why)]
    paths = write_matrix(found, tmp_path)
    assert sorted(path.name for path in paths) == [
        "conformance-badge.json", "conformance.csv", "conformance.json", "conformance.md",
    ]  # fmt: skip
    assert json.loads((tmp_path / "conformance.json").read_text())["changes"][0]["layers"][0]["spikes"] == [367, 375]
