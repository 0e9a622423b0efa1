"""The table of energy: its sums by hand, its forms, and what has no price."""

import math

import pandas as pd
import pytest
import torch
from torch import nn

import spikemark
from spikemark.core.counts import LayerCount, OperationCount, SpikingCount
from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.errors import InputError
from spikemark.measures.energy import PROFILES, EnergyProfile
from spikemark.measures.energy_table import DENSE, HIDDEN, ONCE, TOTAL, EnergyTable

COUNT = OperationCount(
    layers=(
        LayerCount("module.input", "analog", macs=40, acs=0, dense=80),
        LayerCount("module.hidden", "binary", macs=0, acs=30, dense=120),
    ),
    spiking=(SpikingCount("module.lif", 20, 0.25, words=2),),
)
NAMES = ("45nm-fp32", "45nm-fp32-sram", "loihi-2018-simulated")


def table(constant=True, names=NAMES):
    return EnergyTable("mine", "digits", COUNT, {name: PROFILES[name] for name in names}, 7, 4, constant, "1.2.3")


def test_rows_and_sums():
    frame = table().frame.set_index("layer")
    assert [*frame.index] == ["input", "hidden", "lif", TOTAL, ONCE, HIDDEN, DENSE]
    assert frame["input"].to_dict() == {
        "input": "analog", "hidden": "binary", "lif": "neurons", TOTAL: "", ONCE: "", HIDDEN: "", DENSE: "",
    }  # fmt: skip
    assert frame.loc["hidden", "rate (%)"] == 25
    assert frame.loc["lif", "rate (%)"] == 25
    assert frame["MACs"].to_dict() == {
        "input": 40, "hidden": 0, "lif": 0, TOTAL: 40, ONCE: 10, HIDDEN: 0, DENSE: (80 + 120) / 4,
    }  # fmt: skip
    assert frame.loc["lif", "memory accesses"] == 2 * 2 * 20
    assert frame.loc[TOTAL, "memory accesses"] == 40 + 30 + 80
    arithmetic = frame["45nm-fp32 (nJ)"] * 1_000
    assert arithmetic[TOTAL] == pytest.approx(4.6 * 40 + 0.9 * 30)
    assert arithmetic[ONCE] == pytest.approx(4.6 * 10 + 0.9 * 30)
    assert arithmetic[HIDDEN] == pytest.approx(0.9 * 30)
    assert arithmetic[DENSE] == pytest.approx(4.6 * 50)
    assert frame.loc[TOTAL, "45nm-fp32, of dense (%)"] == pytest.approx(100 * (4.6 * 40 + 0.9 * 30) / (4.6 * 50))
    with_memory = frame["45nm-fp32-sram (nJ)"] * 1_000
    assert with_memory[TOTAL] == pytest.approx(4.6 * 40 + 0.9 * 30 + 5 * 70 + 4.6 * 20 + 5 * 80)
    assert with_memory[DENSE] == pytest.approx((4.6 + 5) * 50)


def test_what_has_no_price_is_empty_and_not_zero():
    chip = table().frame.set_index("layer")["loihi-2018-simulated (nJ)"]
    assert math.isnan(chip[TOTAL])
    assert math.isnan(chip[DENSE])
    assert chip[HIDDEN] * 1_000 == pytest.approx(23.6 * 30 + 81 * 20)


def test_the_rate_at_which_both_cost_the_same():
    even = table().break_even
    assert even["45nm-fp32"] == pytest.approx(100 * (4.6 * 50 - 4.6 * 10) / (0.9 * 120))
    with_memory = (4.6 + 5) * 50 - ((4.6 + 5) * 10 + 4.6 * 20 + 5 * 80)
    assert even["45nm-fp32-sram"] == pytest.approx(100 * with_memory / ((0.9 + 5) * 120))
    assert even["45nm-fp32-sram"] < 0
    assert math.isnan(even["loihi-2018-simulated"])
    rate = even["45nm-fp32"] / 100
    hidden = LayerCount("module.hidden", "binary", macs=0, acs=120 * rate, dense=120)
    there = EnergyTable(
        "mine", "digits", OperationCount((COUNT.layers[0], hidden), COUNT.spiking), table().profiles, 7, 4, True, "1"
    ).frame.set_index("layer")
    assert there.loc[ONCE, "45nm-fp32, of dense (%)"] == pytest.approx(100)


def test_inputs_that_change_have_no_row_for_once():
    assert ONCE not in set(table(constant=False).frame["layer"])


def test_forms(tmp_path):
    (tmp_path / "table.csv").write_text(table().text("csv"))
    assert pd.read_csv(tmp_path / "table.csv")["ACs"].tolist() == table().frame["ACs"].tolist()
    markdown = table().text("markdown")
    assert "Spikemark 1.2.3" in markdown
    assert "7 samples of digits in 4 steps" in markdown
    assert all(PROFILES[name].source in markdown for name in NAMES)
    latex = table(names=("45nm-fp32",)).text("latex")
    assert latex.count(r"\\") == 1 + 7
    assert r"of dense (\%)" in latex
    assert r"\begin{tabular}{llrrrrrrrr}" in latex  # two texts, six counts, two columns of the profile


def test_prices_are_numbers_from_0():
    with pytest.raises(InputError, match="ac: .*found -1"):
        EnergyProfile(mac=1, ac=-1, weight_read=0, neuron_update=0, state_access=0, source="mine", assumptions="none")


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(64, 20), nn.Linear(20, 10)
        self.lif = get_adapter("reference").neuron(NEURONS["lif"], (20,))

    def forward(self, x):
        return self.second(self.lif(4 * self.first(x.flatten(2))))


def test_a_model_of_ones_own():
    model = Model()
    found = spikemark.energy_table(model, "digits", steps=3, samples=16, profiles=["45nm-fp32"])
    frame = found.frame.set_index("layer")
    assert [*frame.index] == ["first", "second", "lif", TOTAL, ONCE, HIDDEN, DENSE]
    x = spikemark.data.loading.load_dataset("digits").test.inputs[:16].flatten(1)
    assert frame.loc["first", "MACs"] == pytest.approx(3 * float((x != 0).sum()) * 20 / 16)
    with torch.no_grad():
        spikes = model.lif(4 * model.first(x.expand(3, 16, 64)))
    assert frame.loc["second", "ACs"] == pytest.approx(float(spikes.sum()) * 10 / 16)
    assert frame.loc["lif", "neuron updates"] == 60
    assert frame.loc[DENSE, "MACs"] == 64 * 20 + 20 * 10


def test_results_have_a_row_per_contender(tmp_path):
    found = spikemark.evaluate(Model(), "digits", steps=3, samples=16, measures=("energy",), name="mine")
    own = found.energy_table()
    assert [*own.index.names] == ["dataset", "framework", "system"]
    expected = spikemark.energy_table(Model(), "digits", steps=3, samples=16).frame.set_index("layer").loc[TOTAL]
    assert own["acs"].item() == pytest.approx(expected["ACs"])
    assert own["45nm-fp32-sram (nJ)"].item() == pytest.approx(expected["45nm-fp32-sram (nJ)"])
    with pytest.raises(InputError, match="measure energy"):
        spikemark.evaluate(Model(), "digits", steps=3, samples=16, measures=("accuracy",)).energy_table()


def test_the_command(spikemark, tmp_path):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n\n"
        "def build(input_shape, classes, steps):\n"
        "    return nn.Sequential(nn.Flatten(2), nn.Linear(64, classes))\n"
        "def embedded(input_shape, classes, steps):\n"
        "    return nn.Sequential(nn.Flatten(0), Looked(classes))\n"
        "class Looked(nn.Module):\n"
        "    def __init__(self, classes):\n"
        "        super().__init__()\n"
        "        self.table = nn.Embedding(2, classes)\n"
        "    def forward(self, x):\n"
        "        return self.table((x[:10] > 0).long()).reshape(2, 5, -1)\n"
    )
    model = f"{tmp_path / 'mine.py'}:build"
    options = ["--data", "digits", "--steps", 2, "--samples", 5, "--profiles", "45nm-fp32"]
    code, out, err = spikemark("energy", model, *options)
    assert code == 0, err
    assert "| total, constant input once |" in out
    code, out, _ = spikemark("energy", model, *options, "--format", "latex", "--out", tmp_path / "table.tex")
    assert code == 0
    assert (tmp_path / "table.tex").read_text().startswith(r"\begin{table}")
    for wrong, message in [
        ([model, "--data", "digits"], "steps: say how many"),
        ([model, *options[:-1], "45nm-fp23"], "did you mean '45nm-fp32'"),
        ([model, *options, "--out", tmp_path / "no" / "table.tex"], "No such file or directory"),
        ([f"{tmp_path / 'mine.py'}:nothing", *options], "has no function 'nothing'"),
        ([f"{tmp_path / 'mine.py'}:embedded", *options], "Embedding"),
    ]:
        code, _, err = spikemark("energy", *wrong)
        assert (code, err.count("\n")) == (2, 1)
        assert message in err
