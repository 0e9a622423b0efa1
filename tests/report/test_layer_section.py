"""What the section on layers says about records whose right answer is known."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import plotly.graph_objects as go
import pytest
from layer_records import layers_record, layers_suite
from synthetic_records import suite_of, throughput_record

from spikemark.measures.speed.points import Point
from spikemark.report import write_report
from spikemark.report.cells import Cells
from spikemark.report.findings import findings
from spikemark.report.growth import COPY, growth_plot, power_law, roofline_plot
from spikemark.report.layers import layers_section
from spikemark.report.logplots import log_chart, log_figures
from spikemark.report.model import TIMES

BASE = Point(16, 64, (1024,))


@pytest.fixture(scope="module")
def cells():
    return Cells.of(layers_suite())


@pytest.fixture(scope="module")
def section(cells):
    return layers_section(cells)


def refused(why):
    return {
        "metric": "unsupported",
        "value": 1.0,
        "unit": "1",
        "track": "native",
        "point": BASE.to_dict(),
        "why": why,
    }


def rows_of(section, start):
    table = next(table for table in section.tables if table.title.startswith(start))
    return table, [dict(zip(table.columns, [entry.text for entry in row], strict=True)) for row in table.rows]


def test_a_table_a_point_then_price_and_growth(section):
    assert [table.title for table in section.tables] == [
        "Layers at T=16 B=64 N=1024",
        "Price of learnable thresholds, T=16 B=64 N=1024",
        "Layers at T=16 B=64 N=1024 bfloat16",
        "Growth exponents, forward+backward",
    ]


def test_times_ratios_and_the_memory_limit(section):
    table, rows = rows_of(section, "Layers at T=16 B=64 N=1024")
    (fused,) = [r for r in rows if (r["neuron"], r["framework"], r["track"]) == ("lif", "fused", "matched")]
    assert fused["forward + backward, ms"] == "2.62"
    assert fused[f"{TIMES} reference"] == "0.25 [0.23, 0.28]"
    assert fused["bandwidth"] == "0.960 [0.864, 1.056]"
    assert fused["peak memory, MiB"] == "8.00"
    assert fused["first call, ms"] == "500"
    assert fused["rounds"] == "8, 8"
    assert len(rows) == 2 * 3 * 2
    assert "Threads: 2." in table.note
    assert "10.0 to 10.0 GB/s" in table.note
    assert "must move 24.0 MiB" in table.note


def test_what_is_unsupported_says_so(section):
    _, rows = rows_of(section, "Layers at T=16 B=64 N=1024 bfloat16")
    refused = [row for row in rows if row["framework"] == "fused"]
    assert [row["forward, ms"] for row in refused] == ["unsupported: float32 only"] * 4


def test_price_of_learnable_thresholds(section):
    _, rows = rows_of(section, "Price")
    (row,) = [r for r in rows if (r["neuron"], r["framework"]) == ("stl", "norse")]
    assert row["time / matched lif"] == "1.25 [1.02, 1.53]"
    assert row["time / native"].startswith("2.00")
    assert row["memory / matched lif"] == "1.00"
    assert row["memory / native"] == "2.00"
    assert {r["time / matched lif"] for r in rows if r["neuron"] == "lif"} == {"(itself)"}


def test_growth_exponents(section):
    table, rows = rows_of(section, "Growth")
    heads = ["time in T", "time in B", "time in N", "memory in T", "memory in B", "memory in N"]
    assert list(table.columns[3:]) == heads
    assert {row[head] for row in rows for head in heads} == {"1.00 [1.00, 1.00]"}
    assert "T 4 to 64 (3 points) at B = 16, N = 256; " in table.note


def test_power_law():
    assert power_law({1: 3, 10: 300, 100: 30_000}).value == pytest.approx(2)
    bent = power_law({1: 1, 10: 1, 100: 10, 1000: 100})
    assert bent.low < 0.6 < bent.value < 0.8 < bent.high
    with pytest.raises(ValueError, match="3 positive points"):
        power_law({1: 1, 2: 0, 3: 1})


def test_the_roofline_holds_the_limit_against_every_framework(cells):
    panels = roofline_plot(cells).panels["lif"]
    assert [panel.title for panel in panels] == ["by steps", "by batch", "by width"]
    lines = {(line.name, line.track): line.points for line in panels[0].lines}
    moved = 24.0 * 4 * 16 * 256
    assert lines[COPY, "limit"][moved].value == pytest.approx(1e-10)
    assert lines["fused", "matched"][moved].value == pytest.approx(0.25e-8 / 24)


@pytest.mark.parametrize("make", [growth_plot, roofline_plot])
def test_plots_are_valid_and_show_every_line(cells, make):
    plot = make(cells)
    chart, figures = log_chart(plot), log_figures(plot)
    go.Figure({"data": chart.data, "layout": chart.layout})
    assert chart.choices == ("lif", "stl")
    assert all(trace["meta"] in chart.choices for trace in chart.data)
    assert len(chart.data) == sum(len(panel.lines) for panels in plot.panels.values() for panel in panels)
    assert [figure.name for figure in figures] == [f"{plot.name}-lif", f"{plot.name}-stl"]
    words = {e.text for e in ET.fromstring(figures[0].svg).iter("{http://www.w3.org/2000/svg}text")}
    assert {"reference", "norse", "fused", "matched", "native"} <= words


def test_missing_native_layers_and_failed_cells_are_shown():
    record = layers_record("norse", "lif", "dtype", [BASE])
    record["measurements"] = [row for row in record["measurements"] if row.get("track") != "native"]
    record["measurements"].append(refused("answers in float32"))
    failed = layers_record("fused", "lif", "dtype", [BASE], status="failed", error="Boom: no", measurements=[])
    _, rows = rows_of(layers_section(Cells.of([record, failed])), "Layers at")
    assert [(row["framework"], row["track"]) for row in rows] == [
        ("fused", "1 failed"),
        ("norse", "matched"),
        ("norse", "native"),
    ]
    assert rows[2]["forward, ms"] == "unsupported: answers in float32"


def test_records_are_shown_and_never_obeyed(results, tmp_path):
    why = "<script>alert(1)</script>"
    record = layers_record("norse", "lif", "dtype", [BASE])
    record["measurements"].append(refused(why))
    write_report(results([record]), tmp_path / "out")
    for name in ("quick.html", "quick.md"):
        text = (tmp_path / "out" / name).read_text()
        assert "&lt;script&gt;alert(1)" in text
        assert why not in text


def test_reports_name_the_axes_of_layers(results, tmp_path):
    write_report(results([throughput_record("norse", "lif"), *layers_suite()]), tmp_path / "out")
    text = (tmp_path / "out" / "quick.md").read_text()
    assert "Data sets: digits;" in text
    assert (
        "Single layers: frameworks: reference, fused, norse; neurons: lif, stl; axes: batch, dtype, steps, width"
        in text
    )
    assert "](quick-layers-growth-lif.svg)" in text


def test_suites_without_layers_have_no_such_section():
    section = layers_section(Cells.of(suite_of(seeds=1, frameworks=("reference",), neurons=("lif",))))
    assert not section.tables
    assert not section.charts


def test_other_settings_are_tables_of_their_own():
    one, other = (layers_record("norse", "lif", "dtype", [BASE]) for _ in range(2))
    other["cell"]["settings"] = {"layers": {"axes": {"dtype": 1}, "seconds": 5.0}}
    titles = [table.title for table in layers_section(Cells.of([one, other])).tables]
    assert "Layers at T=16 B=64 N=1024: layers seconds 5.0" in titles
    assert "Layers at T=16 B=64 N=1024: layers seconds none" in titles


def test_contenders_may_be_measured_at_other_points_but_nobody_twice_at_one():
    one, other = layers_record("norse", "lif", "dtype", [BASE]), layers_record("norse", "stl", "dtype", [BASE])
    other["cell"]["settings"] = {"layers": {"axes": {"dtype": 2}}}
    assert layers_section(Cells.of([one, other])).tables[0].title == "Layers at T=16 B=64 N=1024"
    again = layers_record("norse", "lif", "dtype", [BASE], started="2026-02-01T00:00:00+00:00")
    again["cell"]["settings"] = {"layers": {"axes": {"dtype": 2}}}
    titles = [table.title for table in layers_section(Cells.of([one, other, again])).tables]
    assert {"Layers at T=16 B=64 N=1024: layers axes dtype 1", "Layers at T=16 B=64 N=1024: layers axes dtype 2"} < {
        *titles
    }


def test_the_report_opens_with_the_fastest_layers_and_how_time_grows(cells, section):
    _, rows = rows_of(section, "Growth exponents")
    matched = {f"{row['framework']}, {row['neuron']}": row["time in T"] for row in rows if row["track"] == "matched"}
    ends = sorted({text.partition(" ")[0] for text in matched.values() if text[0].isdigit()}, key=float)
    speed, growth = [finding.sentence for finding in findings(cells) if finding.topic == "Layers"]
    assert speed.startswith("Layers at T=16 B=64 N=1024, forward+backward, speed relative to plain PyTorch: ")
    assert f"to the power of {ends[0]} (" in growth
    assert f" to {ends[-1]} (" in growth
