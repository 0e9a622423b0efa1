"""The native track's section: own neurons beside each other, the matched ones at the end, what is missing said."""

import pytest
from synthetic_records import make_record, throughput_record, trained_records

from spikemark.report.accuracy import accuracy_section
from spikemark.report.cells import Cells
from spikemark.report.findings import findings
from spikemark.report.model import ABSENT, TIMES
from spikemark.report.native import TITLE, native_sections, own_results

OWN = {"snntorch:leaky": ("stl", 12_000.0), "norse:lif": ("lt", 3_000.0)}


def native(name, seed, level, acs, **changes):
    """Records of an own neuron, made from those of a synthetic one."""
    cell = {"neuron": name, "system": f"mlp-{name}", "track": "native"} | changes.pop("cell", {})
    records = trained_records(name.partition(":")[0], level, seed, cell=cell, **changes)
    for record in records:
        for row in record["measurements"]:
            if row["metric"] == "acs" and "layer" not in row:
                row["value"] = acs
        if "trained" in record:
            record["trained"]["rule"] = {"name": "bptt", "norm_gain": 4.0, "optimizer": {"learning_rate": 0.01}}
    return records


@pytest.fixture
def cells():
    records = [one for seed in range(5) for name, how in OWN.items() for one in native(name, seed, *how)]
    records += [one for seed in range(5) for one in trained_records("reference", "lif", seed)]
    records += [one for seed in range(5) for one in trained_records("norse", "lif", seed)]
    lacking = {"neuron": "norse:missing", "system": "mlp-norse:missing", "track": "native"}
    records.append(make_record("accuracy", "norse", "lif", 0, cell=lacking, status="unsupported", error="it has none"))
    timed = throughput_record("norse", "lif")
    timed["cell"] |= {"neuron": "norse:lif", "system": "mlp-norse:lif", "track": "native"}
    for row in timed["measurements"]:
        if row.get("track") == "matched":
            row["track"] = "was"
    records.append(timed)
    return Cells.of(records)


def rows_of(cells):
    (section,) = native_sections(cells)
    (table,) = section.tables
    columns = list(table.columns)
    return table, {row[1].text: dict(zip(columns, row, strict=True)) for row in table.rows}


def test_every_own_neuron_has_a_row_and_the_references_neurons_stand_at_the_end(cells):
    table, rows = rows_of(cells)
    assert table.title == "Own neurons: digits, mlp"
    assert [(row[0].text, row[1].text) for row in table.rows] == [
        ("norse", "lif"),
        ("norse", "missing"),
        ("snntorch", "leaky"),
        ("reference", "lif, matched"),
    ]
    assert rows["leaky"]["accuracy (%)"].strong
    assert "≈" not in rows["lif"]["accuracy (%)"].text
    assert rows["leaky"]["additions (k)"].text == "12.0"
    assert rows["lif"]["additions (k)"].text == "3.0"
    assert rows["missing"]["accuracy (%)"].text == "the framework has none"
    assert {rows["leaky"]["gain"].text, rows["leaky"]["learning rate"].text} == {"4", "0.01"}
    assert rows["leaky"]["noisy (%)"].sort < rows["leaky"]["accuracy (%)"].sort


def test_speed_is_that_of_the_own_neuron_where_it_was_timed(cells):
    _, rows = rows_of(cells)
    heading = f"training, {TIMES} reference"
    assert "[" in rows["lif"][heading].text
    assert rows["leaky"][heading] == rows["lif, matched"][heading] == ABSENT


def test_what_learns_is_named_with_the_share_that_moved(cells):
    _, rows = rows_of(cells)
    assert rows["leaky"]["learns (moved)"].text.startswith("threshold (")
    assert rows["lif, matched"]["learns (moved)"].text == "nothing"
    assert rows["missing"]["learns (moved)"] == ABSENT


def test_matched_neurons_trained_otherwise_are_no_comparison(cells):
    others = {"settings": {"accuracy": {}, "training": {"epochs": 3}}}
    moved = [record for record in cells if record["cell"]["framework"] != "reference"]
    moved += trained_records("reference", "lif", 0, cell=others)[:1]
    _, rows = rows_of(Cells.of(moved))
    assert "lif, matched" not in rows


def test_own_neurons_stand_in_tables_of_their_own(cells):
    titles = [table.title for table in accuracy_section(cells).tables if table.title.startswith("Test accuracy")]
    assert titles == ["Test accuracy: digits, mlp", "Test accuracy: digits, mlp, native"]
    assert not any("native" in table.title for table in accuracy_section(cells).tables if "against r" in table.title)


def test_the_first_screen_tells_how_far_they_lie_apart(cells):
    ((where, results),) = own_results(cells)
    assert where == "digits, mlp"
    assert {result.neuron: result.additions for result in results} == {"norse:lif": 3000, "snntorch:leaky": 12000}
    (finding,) = [finding for finding in findings(cells) if finding.topic == "Own neurons"]
    assert finding.section == TITLE
    assert "2 of the frameworks' own neurons" in finding.sentence
    assert "from 3,000 (norse:lif) to 12,000 (snntorch:leaky) additions" in finding.sentence
    assert not any("native" in finding.sentence for finding in findings(cells))


def test_without_own_neurons_there_is_no_section():
    assert native_sections(Cells.of(trained_records("reference", "lif", 0))) == []
