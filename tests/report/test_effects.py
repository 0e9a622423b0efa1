import math

import pytest

from spikemark.report.effects import POINTS, RATIOS, Effect, Plot, effects_chart, effects_figure

STYLES = {"holds": ("#009e73", "o", "circle"), "does not": ("#d55e00", "X", "x")}


def effect(claim, value, low, high, outcome="holds", words="a > b"):
    return Effect(claim, words, value, low, high, f"{value}", outcome)


@pytest.fixture
def plot():
    effects = [
        effect("one", 3.0, 1.0, 7.0),
        effect("one", -0.2, -0.4, 0.1, "does not"),
        effect("<two>", 0.0, math.nan, math.nan, words="<a> & b"),
    ]
    return Plot(POINTS, effects, STYLES)


def test_claims_are_blocks_of_lines_with_a_gap_between(plot):
    assert [at for at, _ in plot.lines()] == [0, 1, 3]
    assert plot.claims() == {"one": (0, 1), "<two>": (3, 3)}


def test_ticks_lie_within_the_effects_and_no_difference_is_always_one(plot):
    assert plot.ticks() == [0, 1, 2, 5]
    assert Plot(RATIOS, [effect("one", 4.0, 3.0, 6.0)], STYLES).ticks() == [1, 5]


def test_the_chart_tells_every_effect_and_escapes_names(plot):
    chart = effects_chart(plot, "name", "title")
    assert [trace["name"] for trace in chart.data] == ["holds", "does not"]
    holds = chart.data[0]
    assert holds["x"] == [math.asinh(3.0), 0.0]
    assert holds["y"] == [0, 3]
    assert holds["error_x"]["array"] == [math.asinh(7.0) - math.asinh(3.0), 0.0]
    assert holds["error_x"]["arrayminus"] == [math.asinh(3.0) - math.asinh(1.0), 0.0]
    assert holds["text"][1] == "&lt;two&gt;<br>&lt;a&gt; &amp; b<br>0.0"
    assert chart.layout["yaxis"]["ticktext"] == ["one", "&lt;two&gt;"]
    assert chart.layout["yaxis"]["range"] == [4.0, -1.0]


def test_an_outcome_without_effects_draws_nothing():
    chart = effects_chart(Plot(RATIOS, [effect("one", 2.0, 1.5, 2.5)], STYLES), "name", "title")
    assert [trace["name"] for trace in chart.data] == ["holds"]
    assert chart.data[0]["x"] == [math.log(2)]


def test_the_figure_is_the_same_each_time_and_names_the_claims(plot):
    svg = effects_figure(plot, "name", "title").svg
    assert svg == effects_figure(plot, "name", "title").svg
    assert ">one<" in svg
    assert "&lt;two&gt;" in svg
    assert "<two>" not in svg
