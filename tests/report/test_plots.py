"""Charts are valid plotly, figures are valid SVG, and both draw the same series."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import plotly.graph_objects as go
import pytest
from synthetic_records import suite_of

from spikemark.core.statistics import Interval
from spikemark.report import charts, figures, sections_of
from spikemark.report.cells import Cells
from spikemark.report.plots import Bar, Curves, EnergyAccuracy, EnergyPoint, Ratios

NAN = float("nan")
STRANGE = "a<b> & $\\frac{1$"


def interval(value, spread=0.1):
    return Interval(value, value * (1 - spread), value * (1 + spread), 3)


@pytest.fixture
def curves():
    points = {severity: interval(0.9 - severity / 10) for severity in range(6)}
    lone = {0: Interval(0.9, NAN, NAN, 1)}
    noises = {noise: {"s": points, STRANGE: lone} for noise in ("a", "b", "c", STRANGE)}
    return Curves("d, n", {"reference": noises, STRANGE: noises}, {"s": "lif", STRANGE: STRANGE})


@pytest.fixture
def energies():
    points = (
        EnergyPoint("reference", "s", "lif", interval(2e5), interval(0.9)),
        EnergyPoint(STRANGE, STRANGE, STRANGE, interval(1e5), interval(0.8)),
    )
    return EnergyAccuracy(
        "d, n", {"p": points, STRANGE: (EnergyPoint("reference", "s", "lif", Interval(1, NAN, NAN, 1), interval(0.9)),)}
    )


@pytest.fixture
def ratios():
    bars = tuple(Bar(f, t, "s", interval(1.5)) for f in ("reference", STRANGE) for t in ("matched", "native"))
    return Ratios("d, n", {"inference": bars, "training": (), "latency": bars[:1]})


@pytest.fixture(params=["noise", "energy", "throughput"])
def drawn(request, curves, energies, ratios):
    """The chart and the figure of each kind."""
    return {
        "noise": lambda: (charts.curve_chart(curves), figures.curve_figure(curves)),
        "energy": lambda: (charts.energy_chart(energies), figures.energy_figure(energies)),
        "throughput": lambda: (charts.throughput_chart(ratios), figures.throughput_figure(ratios)),
    }[request.param]()


def test_charts_are_valid_plotly(drawn):
    chart, _ = drawn
    go.Figure({"data": chart.data, "layout": chart.layout})  # raises on an unknown property or a wrong value
    assert all(trace["meta"] in chart.choices for trace in chart.data if chart.choices)


def test_charts_escape_names(drawn):
    chart, _ = drawn
    shown = [trace.get("name", "") for trace in chart.data] + [
        text for trace in chart.data for text in trace.get("text", [])
    ]
    shown += [note["text"].removeprefix("<b>").removesuffix("</b>") for note in chart.layout.get("annotations", [])]
    assert not any("<b>" in text for text in shown)


def test_figures_are_svg_without_time_or_scripts(drawn):
    _, figure = drawn
    root = ET.fromstring(figure.svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    words = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert any(word and STRANGE in word for word in words)
    assert "dc:date" not in figure.svg
    assert "script" not in {element.tag.rpartition("}")[2] for element in root.iter()}


def test_figures_are_the_same_each_time(curves):
    assert figures.curve_figure(curves).svg == figures.curve_figure(curves).svg


def test_a_whole_suite_has_a_plot_of_each_kind():
    sections = sections_of(Cells.of(suite_of(seeds=2, frameworks=("reference", "norse"), neurons=("lif", "stl"))))
    charts = [chart.name for section in sections if section.title != "Claims" for chart in section.charts]
    names = ["noise-digits-mlp", "heat-digits-mlp", "energy-digits-mlp", "throughput-digits-mlp"]
    assert charts == ["learning-digits-mlp", "learned-digits-mlp", *names]
    figures = [figure.name for section in sections if section.title != "Claims" for figure in section.figures]
    assert figures == ["learned-digits-mlp", *names]
