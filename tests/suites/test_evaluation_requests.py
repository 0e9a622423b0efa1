"""Wrong requests to `evaluate`: each is one line that names what is wrong and the way out."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import spikemark
from spikemark.data.loading import load_dataset
from spikemark.errors import InputError

T = 5

h5py = pytest.importorskip("h5py")

MODEL = """
from torch import nn

def build(input_shape, classes, steps):
    return nn.Sequential(nn.Flatten(2), nn.Linear(64, classes))

def other(shape):
    return nn.Linear(1, 1)

def breaks(input_shape, classes, steps):
    raise RuntimeError("no such luck")

def nothing(input_shape, classes, steps):
    return 3
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(MODEL)
    return path


def gives(function):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(64, 10)

        def forward(self, x):
            return function(self.fc(x.flatten(2)))

    return Model()


class Pickled:
    pass


def bad_requests(tmp_path, file):
    test = load_dataset("digits").test
    x, y = test.inputs[:6], test.labels[:6]
    torch.save(Pickled(), tmp_path / "pickled.pt")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pt")
    torch.save(nn.Linear(2, 2).state_dict() | {"n": 3}, tmp_path / "numbers.pt")
    (tmp_path / "torn.pt").write_bytes(b"PK\x03\x04 torn")
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    (tmp_path / "torn.nir").write_bytes(b"torn")
    with h5py.File(tmp_path / "unknown.nir", "w") as graph:
        graph["node/type"] = "NIRGraph"
        graph["node/nodes/a/type"] = "Neurotron"
    (tmp_path / "broken.py").write_text("import nowhere_at_all")
    good = gives(lambda s: s)
    t = {"steps": T}
    return {
        "dict": (gives(lambda s: {"scores": s}), "digits", t, "gave a dict; expected scores .*output= makes scores"),
        "width": (gives(lambda s: s[..., :7]), "digits", t, "gave scores of width 7; digits has 10 classes, and each"),
        "labels": (gives(lambda s: s[..., :3]), (x, y + 5), t, "gave scores of width 3; labels go up to"),
        "batch": (gives(lambda s: s[:, :1]), "digits", t, r"gave scores of shape \[5, 1, 10\]"),
        "nan": (gives(lambda s: s / 0), "digits", t, "scores that are not finite .*; look at its weights"),
        "raises": (nn.Linear(5, 10), "digits", t, r"raised RuntimeError: .*\[5, 2, 1, 8, 8\] \(layout 'TB'; others"),
        "output": (good, "digits", t | {"output": lambda s: s}, "output= gave scores of shape"),
        "no output": (good, "digits", t | {"output": "mean"}, "output: 'mean' is neither 'auto' nor a function"),
        "reset": (good, "digits", t | {"reset": 3}, "reset: 3 is no function"),
        "double": (gives(lambda s: s).double(), "digits", t, r"fc.weight is float64, and samples are float32"),
        "meta": (gives(lambda s: s).to("meta"), "digits", t, "fc.weight is on meta, and device is cpu"),
        "steps": (good, "digits", {}, "steps: say how many time steps"),
        "no steps": (good, "digits", {"steps": 0}, "steps: 0 is no whole number from 1"),
        "layout": (good, "digits", t | {"layout": "BTC"}, "layout: 'BTC' is not one of TB, BT, B"),
        "measure": (good, "digits", t | {"measures": ("acuracy",)}, "no measure 'acuracy'; did you mean 'accuracy'"),
        "layers": (good, "digits", t | {"measures": ("conformance",)}, "conformance measures a single layer"),
        "none": (good, "digits", t | {"measures": ()}, "measures: name at least one"),
        "noise": (good, "digits", t | {"noises": ["gausian"]}, "no noise 'gausian'; did you mean 'gaussian'"),
        "other noise": (good, "digits", t | {"noises": ["event-drop"]}, "is for events data; digits is image"),
        "severity": (good, "digits", t | {"severities": [7]}, "robustness.severities"),
        "encoder": (good, "digits", t | {"encoder": "poison"}, "no encoder 'poison'; did you mean 'poisson'"),
        "data": (good, "digit", t, "no dataset 'digit'; did you mean 'digits'"),
        "too many": (good, "digits", t | {"samples": 10**6}, "1000000 asked for"),
        "too many of mine": (good, (x, y), t | {"samples": 7}, "samples: 7 asked for, but there are 6"),
        "no labels": (good, x, t, "data: a Tensor is no name of a data set"),
        "loader": (good, DataLoader(x), t, r"data: gives a Tensor; expected pairs of \(inputs, labels\)"),
        "data set": (good, TensorDataset(x), t, r"data: gives a tuple; expected pairs of \(inputs, labels\)"),
        "range": (good, (9 * x, y), t, "samples range over 0 to 9; expected floats in 0..1"),
        "nan data": (good, (x / 0, y), t, "sample 0 holds NaN"),
        "float labels": (good, (x, y.float()), t, "labels are float32"),
        "negative": (good, (x, y - 20), t, "expected whole numbers from 0"),
        "lengths": (good, (x, y[:3]), t, "6 samples with 3 labels"),
        "class": (nn.Linear, "digits", t, "model: Linear is a class; give an instance"),
        "function": (
            lambda inputs: good(inputs),
            "digits",
            t,
            "model: the function uses good, whose states, neurons and",
        ),
        "method": (good.forward, "digits", t, "model: the function uses Model, whose states"),
        "number": (3, "digits", t, "model: a int is neither a torch module nor callable"),
        "empty": ([], "digits", t, "model: the list of models is empty"),
        "text": ("mine", "digits", t, "expected FILE.py:build, package.module:build or a .nir file"),
        "no file": ("nowhere.py:build", "digits", t, "there is no file nowhere.py"),
        "no module": ("nowhere_at_all:build", "digits", t, "importing nowhere_at_all raised ModuleNotFoundError"),
        "no function": (f"{file}:bild", "digits", t, "has no function 'bild'"),
        "arguments": (f"{file}:other", "digits", t, r"called as other\(input_shape, classes, steps\), and it must"),
        "build raises": (f"{file}:breaks", "digits", t, "breaks raised RuntimeError: no such luck"),
        "no module built": (f"{file}:nothing", "digits", t, "nothing gave a int; expected a torch module"),
        "broken": (f"{tmp_path}/broken.py:build", "digits", t, "raised ModuleNotFoundError"),
        "torn nir": (str(tmp_path / "torn.nir"), "digits", t, "torn.nir is damaged or no NIR file; write it anew"),
        "unknown node": (
            str(tmp_path / "unknown.nir"),
            "digits",
            t,
            r"node 'a' is a Neurotron, which nir .* \(it knows",
        ),
        "dt of a module": (good, "digits", t | {"dt": 1.0}, "dt: 1 s per step is for .nir files; other models"),
        "no nir": ("nowhere.nir", "digits", t, "nowhere.nir"),
        "no weights": (good, "digits", t | {"weights": "nowhere.pt"}, "weights nowhere.pt: there is no such file"),
        "pickled": (
            good,
            "digits",
            t | {"weights": tmp_path / "pickled.pt"},
            r"wants unpickling, which may run code, .*write it with torch\.save\(model\.state_dict\(\)",
        ),
        "torn": (good, "digits", t | {"weights": tmp_path / "torn.pt"}, "torn.pt: is not the file of a state dict"),
        "torn too": (
            good,
            "digits",
            t | {"weights": tmp_path / "torn.safetensors"},
            r"torn.safetensors: no safetensors .*safetensors\.torch\.save_file",
        ),
        "unfit": (
            good,
            "digits",
            t | {"weights": tmp_path / "other.pt"},
            "do not fit: fc.bias is missing; fc.weight is .*build the model as it was trained",
        ),
        "numbers": (good, "digits", t | {"weights": tmp_path / "numbers.pt"}, "expected a state dict of tensors"),
        "counts": ([good] * 3, "digits", t | {"weights": ["a.pt", "b.pt"]}, "weights: 2 files for 3 models"),
        "neurons": (good, "digits", t | {"neurons": (nn.GRU,)}, "neurons: the model has no GRU"),
        "setting": (
            good,
            "digits",
            t | {"measures": ("energy",), "settings": {"energy": {"sampels": 3}}},
            "no field 'sampels'; did",
        ),
        "other setting": (
            good,
            "digits",
            t | {"settings": {"energy": {}}},
            "settings: energy is not among the measures",
        ),
        "weightless": (
            lambda inputs: inputs.flatten(2)[..., :10],
            "digits",
            t | {"noises": ["weight-mismatch"]},
            "this noise disturbs weights; the <lambda> multiplies none that it holds",
        ),
        "own baseline": (
            good,
            (x, y),
            t | {"baselines": ["mlp-lif"]},
            "baselines: there are none for data of one's own",
        ),
        "held": (
            good,
            "digits",
            {"steps": T, "layout": "B", "encoder": "poisson"},
            r"keeps its own loop over time \(layout 'B'\)",
        ),
    }


NAMES = [
    "dict",
    "width",
    "labels",
    "batch",
    "nan",
    "raises",
    "output",
    "no output",
    "reset",
    "double",
    "meta",
    "steps",
    "no steps",
    "layout",
    "measure",
    "layers",
    "none",
    "noise",
    "other noise",
    "severity",
    "encoder",
    "data",
    "too many",
    "too many of mine",
    "no labels",
    "loader",
    "data set",
    "range",
    "nan data",
    "float labels",
    "negative",
    "lengths",
    "class",
    "function",
    "method",
    "number",
    "empty",
    "text",
    "no file",
    "no module",
    "no function",
    "arguments",
    "build raises",
    "no module built",
    "broken",
    "torn nir",
    "unknown node",
    "dt of a module",
    "no nir",
    "no weights",
    "pickled",
    "torn",
    "torn too",
    "unfit",
    "numbers",
    "counts",
    "neurons",
    "setting",
    "other setting",
    "weightless",
    "own baseline",
    "held",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_request_is_one_line(name, tmp_path, file):
    model, data, request, message = bad_requests(tmp_path, file)[name]
    with pytest.raises(InputError, match=message) as caught:
        spikemark.evaluate(model, data, **{"measures": ("accuracy", "robustness"), **request})
    assert not {"\n", "\x1b"} & {*str(caught.value)}


def test_every_wrong_request_is_tried(tmp_path, file):
    assert set(bad_requests(tmp_path, file)) == set(NAMES)
