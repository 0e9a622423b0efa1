"""The section on growth of whole networks, from records whose exponents are known."""

from __future__ import annotations

import pytest
from synthetic_records import make_record

from spikemark.report import sections_of
from spikemark.report.cells import Cells
from spikemark.report.model import ABSENT, TIMES
from spikemark.report.network_growth import growth_section

BASE = {"steps": 4, "batch": 32, "width": 256, "depth": 1}
PRICE = {"reference": 1.0, "fused": 0.25}


def grown(framework: str, axis: str, places: tuple[int, ...], **changes):
    """Time grows with the square root of the axis, memory with its square; 0 bytes where it is 1."""
    rows = []
    for place in places:
        own = {"track": "matched", "point": BASE | {axis: place}}
        seconds = PRICE[framework] * place**0.5
        for metric, value, unit in (("step_seconds", seconds, "s"), ("step_seconds_ratio", PRICE[framework], "x")):
            rows.append({"metric": metric, "value": value, "unit": unit, "low": value, "high": value} | own)
        rows.append({"metric": "peak_memory", "value": float(0 if place == 1 else place**2), "unit": "bytes"} | own)
    cell = {"axis": axis, "settings": {"growth": {"axes": {axis: list(places)}}}}
    return make_record("growth", framework, "stl", 0, **({"measurements": rows, "cell": cell} | changes))


@pytest.fixture
def records():
    return [
        grown(framework, axis, places)
        for framework in PRICE
        for axis, places in (("steps", (2, 8, 32)), ("width", (1, 4, 16)))
    ]


def test_exponents_and_ratios(records):
    (table,) = growth_section(Cells.of(records)).tables
    rows = {row[0].text: dict(zip(table.columns, row, strict=True)) for row in table.rows}
    for framework, price in PRICE.items():
        row = rows[framework]
        assert row["time in T"].sort == pytest.approx(0.5)
        assert row["time in width"].sort == pytest.approx(0.5)
        assert row["memory in T"].sort == pytest.approx(2)
        assert row["memory in width"] is ABSENT  # nothing was seen at one place, and 0 has no logarithm
        assert row[f"{TIMES} reference along T"].sort == price
    assert table.note == (
        "Ranges: T 2 to 32 (3 points) at B = 32, width = 256, depth = 1; "
        "width 1 to 16 (3 points) at T = 4, B = 32, depth = 1. Clock: wall time."
    )


def test_the_plot_has_a_line_for_every_framework_and_leaves_zeros_out(records):
    section = growth_section(Cells.of(records))
    (chart,) = section.charts
    assert len(section.figures) == 1
    assert {trace["legendgroup"] for trace in chart.data} == {"reference, matched", "fused, matched"}
    assert sorted({tuple(trace["x"]) for trace in chart.data}) == [(1, 4, 16), (2, 8, 32), (4, 16)]


def test_a_job_that_failed_is_told(records):
    failed = grown("fused", "steps", (2,), status="failed", error="boom", measurements=[])
    (table,) = growth_section(Cells.of([*records[:2], failed])).tables
    assert [row[2].text for row in table.rows] == ["matched", "1 failed"]


def test_whole_networks_come_before_layers(records):
    from layer_records import layers_suite

    titles = [section.title for section in sections_of(Cells.of([*layers_suite(), *records]))]
    assert titles.index("Growth of whole networks") < titles.index("Layers")
    assert growth_section(Cells.of(layers_suite())).tables == []
