"""`spikemark evaluate`: a shell over `spikemark.evaluate`."""

from __future__ import annotations

import sys

import pytest

from spikemark import load_results

MODEL = """
import torch
from torch import nn

def build(input_shape, classes, steps):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(2), nn.Linear(64, classes))
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
