"""A small suite of the native track, from its file to records and report."""

import pytest

from spikemark import load_results, report, run
from spikemark.core.neurons import own_neurons
from spikemark.report.cells import Cells
from spikemark.report.native import native_sections
from spikemark.suites.records import load_records

SUITE = {
    "name": "small",
    "frameworks": ["norse", "snntorch"],
    "networks": ["mlp"],
    "tracks": ["native"],
    "datasets": ["digits"],
    "seeds": [0],
    "measures": ["accuracy", "robustness", "energy"],
    "sizes": {"train": 200, "validation": 100, "test": 100},
    "training": {"epochs": 2, "batch_size": 20},
    "encoding": {"name": "direct", "steps": 3},
    "tuning": {"epochs": 1, "search": [{"option": "norm_gain", "values": [1, 16]}]},
    "robustness": {"noises": ["threshold-mismatch"], "severities": [1], "samples": 50},
    "energy": {"samples": 20},
}
NEURONS = ("norse:lif-box-learned", "snntorch:leaky-learned", "snntorch:lapicque-learned-decay")


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    out = tmp_path_factory.mktemp("native") / "small"
    run(SUITE, out=out, only=[f"neuron={','.join(NEURONS)}"], workers=0)
    assert set(load_results(out)["neuron"]) >= set(NEURONS[:2])
    return {(record["cell"]["neuron"], record["cell"]["measure"]): record for record in load_records(out)}


def test_own_neurons_are_trained_disturbed_and_counted_like_the_rest(records):
    for name in NEURONS[:2]:
        accuracy, noisy, energy = (records[name, measure] for measure in ("accuracy", "robustness", "energy"))
        assert {record["status"] for record in (accuracy, noisy, energy)} == {"ok"}
        assert accuracy["cell"]["track"] == "native"
        assert {change["parameter"] for change in accuracy["trained"]["parameters"]} == {"threshold", "decay"}
        assert {row["severity"] for row in noisy["measurements"]} == {0, 1}
        counted = {row["metric"]: row["value"] for row in energy["measurements"] if "layer" not in row}
        assert counted["neuron_updates"] == 3 * (256 + 100)
        assert counted["acs"] > 0


def test_the_search_finds_the_gain_that_wakes_norses_neurons(records):
    trained = records["norse:lif-box-learned", "accuracy"]["trained"]
    assert trained["rule"]["norm_gain"] == 16
    assert [trial["options"] for trial in trained["tuning"]] == [{"norm_gain": 1}, {"norm_gain": 16}]


def test_what_a_framework_lacks_has_records_that_say_so(records):
    lacking = records["snntorch:lapicque-learned-decay", "accuracy"]
    assert lacking["status"] == "unsupported"
    assert "learn_beta does nothing" in lacking["error"]
    assert lacking["route"]["kind"] == "unsupported"
    (section,) = native_sections(Cells.of(records.values()))
    shown = {row[1].text: row[2].text for row in section.tables[0].rows}
    assert shown["lapicque-learned-decay"] == "the framework has none"
    assert shown["lif-box-learned"][0].isdigit()


def test_a_noise_that_a_class_does_not_allow_takes_no_other_numbers_along(tmp_path):
    noises = {"noises": ["gaussian", "threshold-mismatch"], "severities": [1], "samples": 50}
    suite = {name: value for name, value in SUITE.items() if name != "tuning"} | {"frameworks": ["spikingjelly"]}
    suite |= {"measures": ["robustness"], "robustness": noises}
    results = run(suite, out=tmp_path / "small", only=["neuron=spikingjelly:clif"], workers=0)
    record = results.records[-1]
    assert record["status"] in ("ok", "degenerate")  # of two epochs
    assert {row["noise"] for row in record["measurements"]} == {"gaussian"}
    (noise,) = record["left_out"]
    assert noise == "threshold-mismatch"
    report(tmp_path / "small", tmp_path / "report")
    (row,) = [
        line for line in (tmp_path / "report" / "small.md").read_text().splitlines() if "does not hold one for" in line
    ]
    assert "| threshold-mismatch " in row
    suite["robustness"] = noises | {"noises": ["threshold-mismatch"]}
    record = run(suite, out=tmp_path / "other", only=["neuron=spikingjelly:clif"], workers=0).records[-1]
    assert record["status"] == "unsupported"
    assert "does not hold one for every neuron" in record["error"]


def test_own_neurons_are_named_after_their_framework():
    assert set(own_neurons(["norse"])) < set(own_neurons(["norse", "snntorch"]))
    assert own_neurons([]) == ()
