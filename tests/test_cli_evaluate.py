"""`spikemark evaluate`: a shell over `spikemark.evaluate`."""

from __future__ import annotations

import sys

import pytest
import torch

from spikemark import load_results

h5py = pytest.importorskip("h5py")

MODEL = """
import torch
from torch import nn

def build(input_shape, classes, steps):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(2), nn.Linear(64, classes))
"""


BAD = """
import torch
from torch import nn

class Bad(nn.Module):
    def __init__(self, gives):
        super().__init__()
        self.fc, self.gives = nn.Linear(64, 10), gives

    def forward(self, x):
        return self.gives(self.fc(x.flatten(2)))

def other_form(input_shape, classes, steps):
    return Bad(lambda scores: {"scores": scores})

def narrow(input_shape, classes, steps):
    return Bad(lambda scores: scores[..., :7])

def nan(input_shape, classes, steps):
    return Bad(lambda scores: scores / 0)

def double(input_shape, classes, steps):
    return Bad(lambda scores: scores).double()

def elsewhere(input_shape, classes, steps):
    return Bad(lambda scores: scores).to("meta")

def good(input_shape, classes, steps):
    return Bad(lambda scores: scores)

def own_arguments(hidden):
    return nn.Linear(64, hidden)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "my_model.py").write_text(MODEL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    return tmp_path


@pytest.mark.parametrize("model", ["my_model.py:build", "my_model:build"])
def test_a_model_of_a_file_or_module(model, folder, spikemark):
    options = ["--measures", "accuracy,robustness,energy", "--noises", "gaussian, uniform", "--severities", "1,5"]
    code, shown, _ = spikemark("evaluate", model, "--data", "digits", "--steps", 3, "--samples", 50, *options)
    assert code == 0
    assert "my_model" in shown
    assert "3 records in results/evaluate" in shown
    table = load_results(folder / "results" / "evaluate")
    assert set(table["noise"].dropna()) == {"gaussian", "uniform"}
    assert set(table["severity"].dropna()) == {0, 1, 5}
    assert table[table["metric"] == "macs"]["value"].iloc[0] > 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["my_model.py:bild", "--steps", 3], "my_model.py has no function 'bild'"),
        (["my_model.py:build"], "steps: say how many time steps"),
        (["my_model.py:build", "--steps", 3, "--severities", "1,many"], "--severities 1,many: expected whole numbers"),
        (["my_model.py:build", "--steps", 3, "--noises", "gausian"], "no noise 'gausian'; did you mean 'gaussian'"),
        (["my_model.py:build", "--steps", 3, "--weights", "w.pt"], "weights w.pt: there is no such file"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_status_2(options, message, folder, spikemark):
    code, _, error = spikemark("evaluate", "--data", "digits", *options)
    assert (code, message in error) == (2, True)
    assert error.count("\n") == 1


class Pickled:
    pass


@pytest.mark.parametrize(
    ("model", "options", "messages"),
    [
        ("other_form", [], ["gave a dict; expected scores [B, classes]", "output= makes scores"]),
        ("narrow", [], ["gave scores of width 7; digits has 10 classes", "each class needs one score"]),
        ("nan", [], ["not finite (NaN or infinity)", "look at its weights"]),
        ("double", [], ["fc.weight is float64, and samples are float32", "use model.float()"]),
        ("elsewhere", [], ["fc.weight is on meta, and device is cpu", "move it by model.to('cpu')"]),
        ("own_arguments", [], ["called as own_arguments(input_shape, classes, steps), and it must take these"]),
        ("good", ["--weights", "other.pt"], ["do not fit: fc.bias is missing", "build the model as it was trained"]),
        ("good", ["--weights", "pickled.pt"], ["wants unpickling", "torch.save(model.state_dict(), ...)"]),
        ("good", ["--data", "nowhere"], ["no dataset 'nowhere'"]),
        ("torn.nir", [], ["torn.nir is damaged or no NIR file", "write it anew with nir.write"]),
        ("unknown.nir", [], ["node 'a' is a Neurotron, which nir", "it knows Affine"]),
    ],
)
def test_bad_input_is_one_line_that_names_it_and_the_way_out(model, options, messages, folder, spikemark):
    (folder / "bad.py").write_text(BAD)
    torch.save({"weight": torch.zeros(3)}, folder / "other.pt")
    torch.save(Pickled(), folder / "pickled.pt")
    (folder / "torn.nir").write_bytes(b"torn")
    with h5py.File(folder / "unknown.nir", "w") as graph:
        graph["node/type"] = "NIRGraph"
        graph["node/nodes/a/type"] = "Neurotron"
    data = [] if "--data" in options else ["--data", "digits"]
    name = model if model.endswith(".nir") else f"bad.py:{model}"
    code, _, error = spikemark("evaluate", name, *data, "--steps", 3, "--measures", "accuracy", *options)
    assert (code, error.count("\n")) == (2, 1)
    assert "\x1b" not in error
    for message in messages:
        assert message in error


def test_a_node_that_no_framework_knows_is_named_with_who_tells_more(folder, spikemark):
    nir, np = pytest.importorskip("nir"), pytest.importorskip("numpy")
    one = np.ones(10)
    nodes = (
        nir.Flatten({"input": np.array([1, 8, 8])}, start_dim=0),
        nir.Linear(np.ones((10, 64))),
        nir.CubaLI(one, one, one, one),
    )
    nir.write(folder / "net.nir", nir.NIRGraph.from_list(*nodes))
    for framework in ("snntorch", "spikingjelly"):
        options = ["--data", "digits", "--steps", 3, "--framework", framework]
        code, _, error = spikemark("evaluate", "net.nir", *options)
        assert (code, error.count("\n")) == (2, 1)
        assert "CubaLI" in error
        assert "spikemark nir check net.nir tells which frameworks take it" in error
