"""Sections are found through measures: their own, a plain table where there is none, records of strangers."""

from __future__ import annotations

import pytest
from synthetic_records import accuracy_record, make_record

from spikemark.core.measurement import Metric
from spikemark.errors import InputError
from spikemark.measures.measure import MEASURES, Measure
from spikemark.report import sections_of, write_report
from spikemark.report.cells import Cells
from spikemark.report.model import Section, Table


class Calibration(Measure):
    """How far confidence is from being right.

    Not shown.
    """

    name = "calibration"
    metrics = (Metric("gap", "points", "score"), Metric("sharpness", "1", "score", more=True))

    def run(self, subject):
        raise NotImplementedError


def records(measure="calibration"):
    made = []
    for neuron, level in (("lif", 2.0), ("stl", 1.0)):
        for seed in range(2):
            rows = [
                {"metric": "undeclared", "value": 5.0, "unit": "s"},
                {"metric": "sharpness", "value": 0.5, "unit": "1"},
                {"metric": "gap", "value": level + seed, "unit": "points"},
            ]
            made.append(make_record(measure, "norse", neuron, seed, measurements=rows))
    return [accuracy_record("norse", "lif", 0, [1, 0]), *made]


@pytest.fixture
def registered(monkeypatch):
    """Registers a measure for one test."""
    monkeypatch.setattr(MEASURES, "_entries", dict(MEASURES._entries))

    def register(section=None):
        MEASURES.add(
            "calibration", type("Calibration", (Calibration,), {"section": section, "__doc__": Calibration.__doc__})
        )

    return register


def section_of(made, title):
    return next(section for section in sections_of(Cells.of(made)) if section.title == title)


def test_a_measure_without_a_section_gets_a_table_of_its_metrics(registered):
    registered()
    section = section_of(records(), "Calibration")
    assert section.reading.startswith("How far confidence is from being right. Mean")
    (table,) = section.tables
    assert table.columns == ("framework", "system", "gap (points)", "sharpness", "undeclared (s)", "n")
    assert [[entry.text for entry in row[:3]] for row in table.rows] == [
        ["norse", "mlp-lif", "2.50 [\N{MINUS SIGN}3.85, 8.85]"],
        ["norse", "mlp-stl", "1.50 [\N{MINUS SIGN}4.85, 7.85]"],
    ]
    assert table.note == "n: seeds. More is better: sharpness."


def test_records_of_a_measure_that_is_not_registered_are_shown_all_the_same():
    made = records("somebody-elses")
    (table,) = section_of(made, "Somebody-elses").tables
    assert table.columns == ("framework", "system", "undeclared (s)", "sharpness", "gap (points)", "n")


def test_many_numbers_are_summed_up():
    rows = [{"metric": "gap", "value": 1.0, "unit": "1"}]
    rows += [{"metric": "gap", "value": 1.0, "unit": "1", "layer": f"layer {i}"} for i in range(20)]
    (table,) = section_of([make_record("other", "norse", "lif", 0, measurements=rows)], "Other").tables
    assert table.columns == ("framework", "system", "gap", "n")
    assert "20 further numbers" in table.note


def two_sections(cells):
    return [Section(f"{name} of {len(cells)}", "read", [Table("t", ("a",), ())]) for name in ("One", "Two")]


@pytest.mark.parametrize("section", [two_sections, f"{__name__}:two_sections"])
def test_a_measure_brings_sections_of_its_own(registered, section):
    registered(staticmethod(section) if callable(section) else section)
    titles = [section.title for section in sections_of(Cells.of(records()))]
    assert titles[:3] == ["Accuracy", "One of 5", "Two of 5"]


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("nowhere.at_all:section", "section 'nowhere.at_all:section' cannot be found"),
        ("spikemark.report:no_such", "cannot be found"),
        (staticmethod(lambda cells: "text"), "its section gave a str; expected a Section"),
    ],
)
def test_a_section_that_is_none_is_one_line(registered, tmp_path, section, message):
    registered(section)
    with pytest.raises(InputError, match=message):
        write_report(records(), tmp_path / "out")
    assert not (tmp_path / "out").exists()
