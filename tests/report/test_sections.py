"""What the sections say about records whose right answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from synthetic_records import (
    accuracy_record,
    conformance_record,
    make_record,
    suite_of,
    throughput_record,
    trained_records,
)

from spikemark.core.statistics import Interval
from spikemark.report.accuracy import accuracy_section
from spikemark.report.cells import Cells
from spikemark.report.comparisons import paired_tests, rank
from spikemark.report.energy import energy_section
from spikemark.report.formats import markdown, page, plain
from spikemark.report.model import MINUS, Entry, alike, decimals, estimate, number, prefix, slug
from spikemark.report.provenance import environment_section, fairness, fairness_section
from spikemark.report.robustness import robustness_section
from spikemark.report.semantics import conformance_section, routes_section
from spikemark.report.summary import summary
from spikemark.report.throughput import throughput_section


def texts(table):
    return [[entry.text for entry in row] for row in table.rows]


def named(section, start):
    return next(table for table in section.tables if table.title.startswith(start))


@pytest.fixture
def decided():
    """stl is far better than lif, plif a tie with stl; frameworks agree but for one sample."""
    records = []
    for seed in range(5):
        samples = np.random.default_rng(seed).permutation(400)
        for framework, flips in (("reference", 0), ("norse", 0), ("snntorch", 1)):
            for neuron, right in (("lif", 280), ("stl", 380), ("plif", 377 + seed)):
                correct = samples < right
                correct[:flips] ^= True
                records.append(accuracy_record(framework, neuron, seed, correct))
    return Cells.of(records)


def test_best_is_strong_and_ties_are_marked(decided):
    table = named(accuracy_section(decided), "Test accuracy")
    assert table.columns == ("framework", "system", "neuron", "best-validation epoch", "last epoch")
    rows = {row[1].text: row[3] for row in table.rows}
    assert rows["mlp-stl"].strong
    assert rows["mlp-stl"].text.startswith("95.00 [9")
    assert rows["mlp-plif"].text.endswith("≈")
    assert not rows["mlp-lif"].strong
    assert "≈" not in rows["mlp-lif"].text
    assert table.note.startswith("n = 5 seeds, unless noted.")


def test_frameworks_that_agree_share_a_row(decided):
    table = named(accuracy_section(decided), "Test accuracy")
    assert [row[1].text for row in table.rows] == ["mlp-lif", "mlp-plif", "mlp-stl"]
    assert all(row[0].summary == "3 alike" for row in table.rows)
    told = table.rows[0][0].text
    assert told.startswith("reference 70.00, norse 70.00, snntorch ")
    assert f"<summary>3 alike</summary>{told}" in page("t", "s", [], [accuracy_section(decided)])
    assert f"| {told} | mlp-lif" in markdown("t", "s", [], [accuracy_section(decided)], "f")


def test_a_framework_that_differs_has_a_row_of_its_own():
    rng = np.random.default_rng(0)
    samples = [rng.permutation(400) for _ in range(5)]
    records = [
        accuracy_record(framework, "lif", seed, samples[seed] < right)
        for framework, right in (("reference", 320), ("norse", 320), ("snntorch", 300))
        for seed in range(5)
    ]
    table = named(accuracy_section(Cells.of(records)), "Test accuracy")
    assert [row[0].text for row in table.rows] == ["reference, norse", "snntorch"]


def test_rows_are_alike_only_where_text_mark_and_tone_agree():
    def row(name, *entries):
        return (Entry(name), Entry("lif"), *entries)

    rows = [
        row("a", Entry("1.0", 1.0)),
        row("b", Entry("1.0", 1.0000001)),
        row("c", Entry("1.1", 1.1)),
        row("d", Entry("1.0", 1.0, strong=True)),
        row("e", Entry("1.0", 1.0, tone="bad")),
    ]
    assert [made[0].text for made in alike(rows)] == ["a, b", "c", "d", "e"]
    assert alike(rows)[0][2] == rows[0][2]
    assert next(made[1].text for made in alike([(y, x, z) for x, y, z in rows], 1)) == "a, b"


def test_verdicts_and_detectable_effects(decided):
    table = named(accuracy_section(decided), "Neurons against each other")
    rows = {(row[0].text.partition(",")[0], row[1].text): [entry.text for entry in row[2:]] for row in table.rows}
    to_best, p, to_baseline, _ = rows["reference", "mlp-lif"]
    assert to_best.startswith(f"{MINUS}25.00 [")
    assert to_best.endswith("worse")
    assert p == "< 0.001"
    assert to_baseline == "(itself)"
    assert rows["reference", "mlp-stl"][2].endswith("better")
    assert "undecided, MDE 0." in rows["reference", "mlp-plif"][0]


def test_frameworks_are_compared_system_by_system(decided):
    table = named(accuracy_section(decided), "Frameworks against reference")
    assert table.columns == ("system", "norse", "snntorch")
    rows = texts(table)
    assert [row[1] for row in rows] == ["0.00 identical"] * 3
    assert all("undecided" in row[2] for row in rows)
    assert "Largest difference of means: 0." in table.note


def test_families_are_corrected_together():
    rng = np.random.default_rng(4)
    base = {seed: rng.normal(0, 1) for seed in range(5)}
    family = {str(i): ({s: v + rng.normal(0.4, 0.5) for s, v in base.items()}, base) for i in range(6)}
    alone = {name: paired_tests({name: pair})[name] for name, pair in family.items()}
    together = paired_tests(family)
    assert min(test.p for test in together.values()) == pytest.approx(min(6 * test.p for test in alone.values()))
    assert all(together[name].detectable > alone[name].detectable for name in family)


def test_one_contender_has_nobody_to_beat():
    assert rank({"only": {0: 0.9}, "failed": {}}).mark("only") == ""


def test_robustness_means_by_hand():
    records = []
    for seed in range(2):
        rows = [
            {"metric": "accuracy", "value": value, "unit": "fraction", "split": "test", "noise": noise}
            | {"severity": severity}
            for noise, values in (("a", (0.9, 0.8, 0.6)), ("b", (0.9, 0.7, 0.1)))
            for severity, value in enumerate(values)
        ]
        records.append(make_record("robustness", "reference", "lif", seed, measurements=rows))
    section = robustness_section(Cells.of(records))
    table = section.tables[0]
    assert table.columns == ("framework", "system", "clean", "all noises", "a", "b", "n")
    assert [entry.sort for entry in table.rows[0][2:]] == pytest.approx([90, 55, 70, 40, 2])
    assert [len(section.charts), len(section.figures)] == [1, 1]


def test_energy_has_counts_profiles_and_input_kinds():
    section = energy_section(Cells.of([r for seed in range(3) for r in trained_records("reference", "lif", seed)]))
    totals = section.tables[0]
    assert totals.columns[2:7] == ("parameters (k)", "MACs (k)", "ACs (k)", "dense (k)", "neuron updates (k)")
    assert totals.columns[7:] == (
        "45nm-fp32 (nJ)",
        "45nm-int8 (nJ)",
        "45nm-fp32-sram (nJ)",
        "firing rate (%)",
        "n",
    )
    assert texts(totals)[0][2:4] == ["50.9", "65.5"]  # the same in every seed: no interval to show
    assert "[" in texts(totals)[0][4]
    layers = section.tables[1]
    assert [row[2:5] for row in texts(layers)] == [["fc1", "analog", "65,536"], ["fc2", "binary", "0"]]


def test_throughput_shows_both_tracks_and_the_machine():
    section = throughput_section(Cells.of([throughput_record("norse", "lif"), throughput_record("reference", "lif")]))
    table = section.tables[0]
    assert [row[:3] for row in texts(table)] == [
        ["reference", "mlp-lif", "matched"],
        ["reference", "mlp-lif", "native"],
        ["norse", "mlp-lif", "matched"],
        ["norse", "mlp-lif", "native"],
    ]
    assert texts(table)[2][-1] == "1 cell, 12 rounds"
    assert table.rows[2][4].text.startswith("0.7")
    assert "9.5" in table.note
    assert {trace["meta"] for trace in section.charts[0].data} == {"inference", "training", "latency"}


def test_one_cells_ratio_is_shown_as_it_was_recorded():
    record = throughput_record("norse", "lif")
    row = next(row for row in record["measurements"] if row["metric"] == "latency_ratio")
    row |= {"value": 1.25, "low": 1.125, "high": 1.5}
    table = throughput_section(Cells.of([record])).tables[0]
    assert texts(table)[0][8] == "1.25 [1.12, 1.50]"


def test_conformance_reports_the_worst_gradient_and_sounds_the_alarm():
    fine = [conformance_record(f, n) for f in ("reference", "norse") for n in ("lif", "stl")]
    section = conformance_section(Cells.of(fine))
    assert section.alarm == ""
    assert texts(section.tables[0])[0] == ["reference", "lif", "0", "123,456", "789", "2.5e-07", "1.5e-15"]
    wrong = conformance_section(Cells.of([*fine[:-1], conformance_record("norse", "stl", differing=3)]))
    assert wrong.alarm == "Spikes differ from the oracle's: norse stl."


def test_routes_and_what_is_unsupported():
    cells = Cells.of(
        [
            conformance_record("reference", "lif"),
            conformance_record(
                "norse",
                "lif",
                status="unsupported",
                error="no such reset",
                route={"kind": "unsupported", "why": "no such reset"},
            ),
        ]
    )
    kinds, whys = routes_section(cells).tables
    assert texts(kinds) == [["lif", "native", "unsupported"]]
    assert ["norse", "lif", "unsupported", "no such reset"] in texts(whys)


def test_equal_fingerprints_are_counted():
    cells = Cells.of([r for f in ("reference", "norse") for s in range(2) for r in trained_records(f, "lif", s)])
    assert fairness(cells) == (6, [])
    section = fairness_section(cells)
    assert "6 fingerprints were compared across frameworks: all agree" in section.outcome
    assert section.alarm == ""


@pytest.mark.parametrize("prints", [{"initial_weights": "other", "batch_order": "order 0"}, {}])
def test_different_work_sounds_the_alarm(prints):
    cells = Cells.of(
        [trained_records("reference", "lif", 0)[0], trained_records("norse", "lif", 0, fingerprints=prints)[0]]
    )
    section = fairness_section(cells)
    assert "must not be compared" in section.alarm
    row = texts(section.tables[0])
    assert [
        "accuracy mlp-lif digits seed 0",
        "initial_weights",
        "norse",
        prints.get("initial_weights", "missing"),
    ] in row


def test_variants_stand_apart():
    plain, clocked = trained_records("reference", "lif", 0)[0], trained_records("norse", "lif", 0)[0]
    clocked["cell"]["variant"] = "clocked"
    groups = dict(Cells.of([plain, clocked]).groups())
    assert {where: len(cells) for where, cells in groups.items()} == {"digits, mlp": 1, "digits, mlp, clocked": 1}


def test_cells_of_other_settings_are_not_alike():
    one, other = (
        trained_records("reference", "lif", 0)[0],
        trained_records("norse", "lif", 0, fingerprints={"batch_order": "other"})[0],
    )
    other["cell"]["settings"] = other["cell"].get("settings", {}) | {"energy": {"samples": 7}}
    assert fairness(Cells.of([one, other])) == (0, [])


def test_environment_says_where_records_differ():
    one = trained_records("reference", "lif", 0)[0]
    two = trained_records("norse", "lif", 0, environment={"python": "3.12.1", "gpu": None})[0]
    environment, settings = environment_section(Cells.of([one, two])).tables
    rows = dict(texts(environment))
    assert rows["python"] == "3.11.7 (1 cells); 3.12.1 (1 cells)"
    assert rows["packages.torch"] == "2.13.0"
    assert dict(texts(settings))["training.epochs"] == "15"


def test_summary_is_tidy_and_uses_samples_for_headline_accuracy():
    cells = Cells.of([record for seed in range(3) for record in trained_records("reference", "lif", seed)])
    frame = summary("quick", cells)
    told_apart = ["measure", "framework", "system", "metric", "unit", "split", "noise", "severity", "layer", "profile"]
    assert not frame.duplicated(told_apart).any()
    headline = frame[(frame.metric == "accuracy") & (frame.split == "test") & frame.noise.isna()].iloc[0]
    table = named(accuracy_section(cells), "Test accuracy")
    interval = Interval(headline.value, headline.low, headline.high, headline.n)
    assert table.rows[0][3].text == estimate(interval, 100)


def test_sections_without_records_are_empty():
    cells = Cells.of([conformance_record("reference", "lif")])
    for section in (accuracy_section, robustness_section, energy_section, throughput_section):
        assert section(cells).tables == []


def test_contenders_stand_in_a_fixed_order():
    cells = Cells.of(
        suite_of(seeds=1, frameworks=("spikingjelly", "norse", "reference"), neurons=("stl", "plif", "lif"))
    )
    assert [name for (name,) in cells.where(subject="system").names("framework")] == [
        "reference",
        "norse",
        "spikingjelly",
    ]
    assert [name for (name,) in cells.where(subject="system").names("system")] == ["mlp-lif", "mlp-plif", "mlp-stl"]


def test_numbers_as_text():
    assert number(-1234.5, 1) == f"{MINUS}1,234.5"
    assert estimate(Interval(0.5, float("nan"), float("nan"), 1), 100) == "50.00"
    assert estimate(Interval(0.5, 0.25, 0.75, 3), 100, 1, signed=True) == "+50.0 [+25.0, +75.0]"
    assert [decimals([value]) for value in (123456, 12.3, 0.0123, 0)] == [0, 1, 4, 0]
    assert [prefix([value]) for value in (12, 1200, 3e6)] == [(1, ""), (1e3, "k"), (1e6, "M")]
    assert [slug(text) for text in ("mnist, mlp", "../A b", "…")] == ["mnist-mlp", "a-b", "unnamed"]


def test_markdown_has_no_meaning_left():
    assert plain("a|b\n<i> [x](javascript:y) *z*") == r"a&#124;b &lt;i&gt; [x]\(javascript:y) \*z\*"


def test_attacked_samples_are_not_compared_across_frameworks():
    records = [trained_records(framework, "lif", 0)[1] for framework in ("reference", "norse")]
    for record in records:
        record["cell"]["noises"] |= {"fgsm": {"domain": "adversary", "levels": [1, 2, 3, 4, 5]}}
        record["fingerprints"] |= {"noise:fgsm:1": record["cell"]["framework"]}
    section = fairness_section(Cells.of(records))
    assert not section.alarm
    assert "Attacks are crafted against each network" in section.reading
    records[0]["fingerprints"]["noise:gaussian:1"] = "another"
    assert fairness_section(Cells.of(records)).alarm
