"""The table of energy: its sums by hand, its forms, and what has no price."""

import math
from dataclasses import replace

import pandas as pd
import pytest
import torch
from torch import nn

import spikemark
from spikemark.core.counts import LayerCount, OperationCount, SpikingCount
from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.errors import InputError
from spikemark.measures.energy import PROFILES, EnergyProfile, energy, read_profiles
from spikemark.measures.energy_table import ADDITIONS, DENSE, HIDDEN, ONCE, PRODUCTS, TOTAL, EnergyTable

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
    with pytest.raises(InputError, match=r"ac: .*found -1"):
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


def test_a_model_with_its_own_loop_is_told_how_many_steps_that_has():
    class Loop(Model):
        def forward(self, x):
            return super().forward(x.expand(5, *x.shape)).mean(0)

    own, plain = (
        spikemark.energy_table(model, "digits", layout=layout, steps=5, samples=16, profiles=["45nm-fp32"]).frame
        for model, layout in ((Loop(), "B"), (Model(), "TB"))
    )
    pd.testing.assert_frame_equal(own, plain)


def test_results_have_a_row_per_contender(tmp_path):
    found = spikemark.evaluate(Model(), "digits", steps=3, samples=16, measures=("energy",), name="mine")
    own = found.energy_table()
    assert [*own.index.names] == ["dataset", "framework", "system"]
    expected = spikemark.energy_table(Model(), "digits", steps=3, samples=16).frame.set_index("layer").loc[TOTAL]
    assert own["acs"].item() == pytest.approx(expected["ACs"])
    assert own["45nm-fp32-sram (nJ)"].item() == pytest.approx(expected["45nm-fp32-sram (nJ)"])
    dense = spikemark.energy_table(Model(), "digits", steps=3, samples=16).frame.set_index("layer").loc[DENSE]
    assert own["45nm-fp32-sram, dense (nJ)"].item() == pytest.approx(dense["45nm-fp32-sram (nJ)"])
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


@pytest.mark.usefixtures("registries_as_before")
def test_order_that_depends_on_the_profile_is_marked(tmp_path):
    wide, narrow = Model(), nn.Sequential(nn.Flatten(2), nn.Linear(64, 8), nn.Linear(8, 10))
    prices = {"mac": 4.0, "ac": 1.0, "weight_read": 0.0, "neuron_update": 0.0, "state_access": 0.0, "source": "x"}
    for name, more in (("plain", {}), ("with-neurons", {"neuron_update": 1e6})):
        spikemark.register("profile", name, EnergyProfile(**(prices | more)))
    with torch.no_grad():
        wide.first.weight[1:] = 0
    settings = {"energy": {"profiles": ("plain", "with-neurons"), "samples": 16}}
    both = [
        spikemark.evaluate(
            model, "digits", steps=1, samples=16, measures=("energy",), name=name, settings=settings
        ).records
        for name, model in (("wide", wide), ("narrow", narrow))
    ]
    table = spikemark.Results([*both[0], *both[1]]).energy_table()
    assert table["order flips with"].tolist() == ["narrow", "wide"]
    same = spikemark.Results([*both[0]]).energy_table()
    assert same["order flips with"].tolist() == [""]


class Pooled(nn.Module):
    """Neurons that copy spikes, an average over windows of so many, and a readout; or the sum with a shortcut."""

    def __init__(self, window, shortcut=False):
        super().__init__()
        torch.manual_seed(0)
        self.window, self.shortcut = window, shortcut
        self.first = nn.Linear(12, 12, bias=False)
        self.lif = get_adapter("reference").neuron(NEURONS["lif"], (12,))
        self.readout = nn.Linear(12 // window, 5, bias=False)
        with torch.no_grad():
            self.first.weight.copy_(4 * torch.eye(12))
            self.readout.weight[0, 0] = 0

    def forward(self, x):
        spikes = self.lif(self.first(x))
        mixed = spikes + spikes.roll(1, -1) if self.shortcut else spikes
        return self.readout(mixed.unflatten(-1, (-1, self.window)).mean(-1))


@pytest.mark.parametrize("window", [2, 3, 4])
def test_averaged_spikes_are_additions_too(window):
    """Each value k / n is k additions of a weight over n, counted one by one; beside them the products."""
    model, x = Pooled(window), (torch.rand(3, 4, 12, generator=torch.Generator().manual_seed(2)) < 0.7).float()
    count = spikemark.count_operations(model, x, layout="TB")
    assert [layer.kind for layer in count.layers] == ["binary", "graded"]
    weights = model.readout.weight != 0
    expected = products = 0
    for row in x.flatten(0, 1):  # the neurons repeat what they see
        for i, group in enumerate(row.view(-1, window)):
            expected += int(group.sum()) * int(weights[:, i].sum())
            products += bool(group.any()) * int(weights[:, i].sum())
    assert count.layers[1].macs == products / 4
    assert count.layers[1].additions == expected / 4
    read = count.as_additions()
    assert (read.macs, read.acs) == (0, count.acs + expected / 4)
    assert count.as_products() == count


def test_sums_of_spikes_are_products_too():
    model, x = (
        Pooled(1, shortcut=True),
        (torch.rand(3, 4, 12, generator=torch.Generator().manual_seed(2)) < 0.7).float(),
    )
    count = spikemark.count_operations(model, x, layout="TB")
    assert [layer.kind for layer in count.layers] == ["binary", "integer"]
    mixed = (x + x.roll(1, -1)).flatten(0, 1)
    fan_out = (model.readout.weight != 0).sum(0)
    assert count.layers[1].acs == float((mixed * fan_out).sum()) / 4
    assert count.layers[1].products == float(((mixed != 0) * fan_out).sum()) / 4
    read = count.as_products()
    assert (read.macs, read.acs) == (count.layers[1].products, count.layers[0].acs)
    rows = set(EnergyTable("m", "d", count, {"45nm-fp32": PROFILES["45nm-fp32"]}, 4, 3, False, "1").frame["layer"])
    assert {PRODUCTS} <= rows
    assert ADDITIONS not in rows


def test_values_without_a_unit_are_no_additions():
    values = torch.tensor([0.0, 1.0, 2.5, 0.7]).repeat(8).view(1, 8, 4)
    model = nn.Sequential(nn.Identity(), nn.Linear(4, 2, bias=False))
    count = spikemark.count_operations(model, values, layout="TB")
    assert (count.layers[0].kind, count.layers[0].additions) == ("graded", None)


MINE = """
[my-chip]
mac = "none"
ac = 2.0
weight_read = 0
neuron_update = 3.5
state_access = 0.0
source = "a data sheet"

[my-chip.narrow.8]
mac = 1.0
ac = 0.5
weight_read = 0.0
"""


def test_profiles_of_ones_own(tmp_path, spikemark):
    (tmp_path / "mine.toml").write_text(MINE)
    profile = read_profiles(tmp_path / "mine.toml")["my-chip"]
    assert (profile.mac, profile.neuron_update, profile.prices(8).ac, profile.prices(9).ac) == (None, 3.5, 0.5, 2.0)
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n"
        "def build(input_shape, classes, steps):\n    return nn.Sequential(nn.Flatten(2), nn.Linear(64, classes))\n"
    )
    command = ["energy", f"{tmp_path / 'net.py'}:build", "--data", "digits", "--steps", 2, "--samples", 5]
    code, out, err = spikemark(*command, "--profiles", f"45nm-fp32,{tmp_path / 'mine.toml'}")
    assert code == 0, err
    assert "my-chip (nJ)" in out
    for text, message in [
        (MINE.replace("ac = 2.0\n", ""), "profile 'my-chip': ac: is missing"),
        (MINE.replace("ac = 2.0", "ac = -2.0"), "profile 'my-chip': ac: Input should be greater than or equal to 0"),
        (MINE.replace("ac = 2.0", "ac = inf"), "profile 'my-chip': ac: Input should be a finite number"),
        (MINE.replace("ac = 0.5", "ac = -1"), "profile 'my-chip': ac: "),
        (MINE.replace("ac = 2.0", "sac = 2.0"), "did you mean 'ac'"),
        (MINE.replace(".8]", ".eight]"), "'eight'"),
        ("ac = 3", "is a int; expected prices by name"),
        ("", "holds no tables"),
        ("[", "is not TOML"),
        (None, "No such file"),
    ]:
        file = tmp_path / "wrong.toml"
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        code, out, err = spikemark(*command, "--profiles", file)
        assert (code, err.count("\n"), out) == (2, 1, ""), err
        assert message in err


def test_widths_have_prices_of_their_own_and_rows():
    names = ("45nm-by-width", "45nm-by-width-sram")
    found = table(names=names)
    frame = found.frame.set_index("layer")
    assert frame.loc[f"{DENSE}, 8 bits", "45nm-by-width (nJ)"] * 1_000 == pytest.approx(0.3 * 50)
    assert frame.loc[f"{DENSE}, 4 bits", "45nm-by-width-sram (nJ)"] * 1_000 == pytest.approx((0.15 + 0.625) * 50)
    evens = found.break_evens["45nm-by-width-sram"]
    assert evens.keys() == {32, 8, 4}
    silent = (0.3 + 1.25) * 10 + 4.6 * 20 + 5 * 80
    assert evens[8] == pytest.approx(100 * ((0.3 + 1.25) * 50 - silent) / ((0.1 + 1.25) * 120))
    assert "(8 bits)" in found.text("markdown")
    narrow = OperationCount(tuple(replace(layer, bits=8) for layer in COUNT.layers), COUNT.spiking)
    assert energy(narrow, PROFILES["45nm-by-width"]) == pytest.approx(0.3 * 40 + 0.1 * 30)
    assert energy(narrow, PROFILES["45nm-fp32"]) == energy(COUNT, PROFILES["45nm-fp32"])


def test_a_ranking_that_flips_is_told():
    cheap = OperationCount(COUNT.layers, (SpikingCount("lif", 20, 0.1),))
    found = EnergyTable("m", "d", cheap, {n: PROFILES[n] for n in ("45nm-fp32", "45nm-fp32-sram")}, 7, 4, True, "1")
    less, more = found.flips
    assert (less, more) == (["45nm-fp32"], ["45nm-fp32-sram"])
    assert "The ranking flips" in found.text("markdown")


def test_a_network_that_never_spikes_is_told_in_one_line():
    silent = OperationCount(
        (COUNT.layers[0], LayerCount("hidden", "binary", 0, 0, 120)), (SpikingCount("lif", 20, 0.0),)
    )
    text = EnergyTable("m", "d", silent, table().profiles, 7, 4, True, "1").text("markdown")
    assert text.count("The network never spikes") == 1
    assert "The network never spikes" not in table().text("markdown")
