"""What may be pooled: never other settings, versions or definitions; and what is left out is said, once."""

from __future__ import annotations

import math

import pytest
from synthetic_records import accuracy_record, make_record, trained_records

from spikemark.report.accuracy import accuracy_section
from spikemark.report.cells import Cells
from spikemark.report.energy import energy_section
from spikemark.report.learned import learned_section
from spikemark.report.provenance import problems_section
from spikemark.report.robustness import robustness_section
from spikemark.report.summary import summary

NEWER = "2026-02-01T00:00:00+00:00"


def runs(level, framework="reference", neuron="lif", **changes):
    """Three seeds with `level` of ten samples right."""
    return [accuracy_record(framework, neuron, s, [i < level for i in range(10)], **changes) for s in range(3)]


def settings(**tables):
    shared = make_record("accuracy", "reference", "lif", 0)["cell"]["settings"]
    return {"settings": shared | {name: shared.get(name, {}) | table for name, table in tables.items()}}


def grids(cells):
    """The first entry of the main accuracy table of every group."""
    tables = [table for table in accuracy_section(cells).tables if table.title.startswith("Test accuracy")]
    return {table.title.partition(": ")[2]: table.rows[0][3].sort for table in tables}


def test_other_epochs_in_one_folder_are_another_group_and_never_averaged():
    cells = Cells.of([*runs(4), *runs(8, cell=settings(training={"epochs": 3}), started=NEWER)])
    assert cells.superseded == 0
    assert grids(cells) == {"digits, mlp, epochs 3": 80.0, "digits, mlp, epochs 15": 40.0}
    frame = summary("quick", cells)
    headline = frame[(frame.metric == "accuracy") & (frame.split == "test")]
    assert dict(zip(headline.edition, headline.value, strict=True)) == {"epochs 3": 0.8, "epochs 15": 0.4}


@pytest.mark.parametrize(
    ("tables", "words"),
    [
        ({"sizes": {"test": 500}}, {"sizes test 500", "sizes test none"}),
        ({"encoding": {"steps": 8}}, {"encoding steps 8", "encoding steps 4"}),
        ({"accuracy": {"samples": None}}, {"accuracy samples all", "accuracy samples none"}),
    ],
)
def test_every_setting_parts_groups_and_is_named(tables, words):
    cells = Cells.of([*runs(4), *runs(8, cell=settings(**tables))])
    assert {where.removeprefix("digits, mlp, ") for where in grids(cells)} == words


def test_an_upgraded_framework_is_another_group_that_shares_the_others():
    old, new = (
        runs(4, "norse", cell={"framework_version": v}, started=w) for v, w in (("1.0", "2026"), ("2.0", "2027"))
    )
    cells = Cells.of([*runs(9), *old, *new])
    groups = dict(cells.groups())
    assert list(groups) == ["digits, mlp, norse 2.0", "digits, mlp, norse 1.0"]
    assert [len(group) for group in groups.values()] == [6, 6]
    assert all(len(group.where(framework="reference")) == 3 for group in groups.values())


def test_an_edited_plug_in_or_system_is_another_group():
    plugged = [runs(4, cell={"plugins": {"mine.py": digest * 16}}) for digest in "ab"]
    defined = [runs(4, neuron="stl", cell={"system_definition": {"rule": {"lr": lr}}}) for lr in (0.1, 0.2)]
    assert {where for where, _ in Cells.of([*plugged[0], *plugged[1]]).groups()} == {
        "digits, mlp, mine.py aaaaaaaa",
        "digits, mlp, mine.py bbbbbbbb",
    }
    assert {where for where, _ in Cells.of([*defined[0], *defined[1]]).groups()} == {
        "digits, mlp, mlp-stl rule lr 0.1",
        "digits, mlp, mlp-stl rule lr 0.2",
    }


def test_no_record_is_lost_where_much_differs_at_once():
    versions = [
        runs(4, "norse", cell={"framework_version": v} | settings(training={"epochs": e}))
        for v in ("1", "2")
        for e in (3, 4)
    ]
    cells = Cells.of([record for some in versions for record in some])
    seen = [record["key"] for _, group in cells.groups() for record in group]
    assert sorted(seen) == sorted(record["key"] for record in cells)
    assert all(len(group) == 3 for _, group in cells.groups())


def test_a_measures_own_settings_part_its_rows_alone():
    made = trained_records("reference", "lif", 0)
    changes = {"cell": settings(energy={"samples": 7}), "started": NEWER}
    again = make_record("energy", "reference", "lif", 0, measurements=made[2]["measurements"], **changes)
    cells = Cells.of([*made, again])
    titles = [table.title.rpartition(", ")[2] for table in energy_section(cells).tables]
    assert titles == ["energy samples 7"] * 2 + ["energy samples none"] * 2
    assert list(grids(cells)) == ["digits, mlp"]


def test_degenerate_runs_are_shown_with_their_reason_and_left_out_of_means():
    fine, silent = runs(8), runs(1)[2]
    silent |= {"status": "degenerate", "error": "9 of 10 classes are never predicted"}
    cells = Cells.of([*fine[:2], silent])
    (row,) = next(t for t in accuracy_section(cells).tables if t.title.startswith("Test accuracy")).rows
    assert row[3].sort == 80.0
    assert "1 degenerate" in row[3].text
    table = problems_section(cells).tables[0]
    assert [row[0].text for row in table.rows] == ["degenerate"]
    assert "9 of 10 classes are never predicted" in [entry.text for entry in table.rows[0]]


def test_a_training_that_fails_counts_once_however_many_measures_it_takes_along():
    changes = {"status": "diverged", "error": "loss is NaN", "measurements": []}
    failed = trained_records("norse", "stl", 0, **changes)
    cells = Cells.of([*trained_records("norse", "stl", 1), *failed])
    assert cells.problems() == "1 diverged"
    table = problems_section(cells).tables[0]
    assert table.title == "3 of 6 cells have no result"
    assert [[entry.text for entry in row[:2]] for row in table.rows] == [["diverged", "accuracy, energy, robustness"]]
    (row,) = robustness_section(cells).tables[0].rows
    assert row[-1].text == "1; 1 diverged"


def test_what_training_did_is_told_per_system():
    cells = Cells.of(
        [r for n in ("lif", "stl") for s in range(2) for f in ("norse", "reference") for r in trained_records(f, n, s)]
    )
    section = accuracy_section(cells)
    table = next(table for table in section.tables if table.title == "What training did: digits, mlp")
    assert [[entry.text for entry in row] for row in table.rows] == [
        ["mlp-lif", "reference", "12.5", "none", "3 of 4", "2"],
        ["mlp-stl", "reference", "12.5", "none", "3 of 4", "2"],
    ]
    (chart,) = section.charts
    assert chart.name == "learning-digits-mlp"
    lines = [trace for trace in chart.data if trace["mode"] == "lines+markers"]
    assert lines[0]["y"] == pytest.approx([91.05, 92.05, 93.05, 94.05])


def test_learned_thresholds_are_told_layer_by_layer():
    cells = Cells.of([r for n in ("lif", "stl") for s in range(2) for r in trained_records("reference", n, s)])
    section = learned_section(cells)
    (table,) = section.tables
    (row,) = table.rows
    texts = ["mlp-stl", "1", "threshold", "reference", "1.000 [1.000, 1.000]", "1.500 [1.100, 1.700]"]
    assert [entry.text for entry in row][:6] == texts
    assert dict(zip(table.columns, (entry.text for entry in row), strict=True))["moved (%)"] == "90.0"
    (chart,), (figure,) = section.charts, section.figures
    assert {trace["name"]: trace["x"] for trace in chart.data} == {
        "before": [math.asinh(1)],
        "after": [math.asinh(1.5)],
    }
    assert chart.data[1]["error_x"]["array"] == [pytest.approx(math.asinh(1.7) - math.asinh(1.5))]
    assert figure.name == "learned-digits-mlp"


def test_nothing_is_told_where_nothing_was_learned():
    assert not learned_section(Cells.of(trained_records("reference", "lif", 0))).tables


def test_classes_that_are_missed_are_named():
    made = trained_records("reference", "lif", 0)[0]
    made |= {"status": "degenerate", "error": "2 of 10 classes are never predicted"}
    made["trained"]["recall"] = [0.0, 0.5, None, 0.0, *[1.0] * 6]
    table = next(t for t in accuracy_section(Cells.of([made])).tables if t.title.startswith("What training did"))
    assert table.rows[0][3].text == "0, 3"
