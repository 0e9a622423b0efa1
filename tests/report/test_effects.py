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


def test_claims_are_blocks_of_lines_below_their_statement(plot):
    first, second = plot.blocks(letters=80)
    assert (first.top, first.heading, [at for at, _ in first.lines]) == (0, ("one",), [1, 2])
    assert second.top > 3
    assert [at for at, _ in second.lines] == [second.top + 1]


def test_a_long_statement_takes_several_lines():
    long = Plot(POINTS, [effect("some words that are long", 3.0, 1.0, 7.0)], STYLES)
    (block,) = long.blocks(letters=10)
    assert block.heading == ("some words", "that are", "long")
    assert [at for at, _ in block.lines] == [3]


def test_the_title_counts_the_outcomes(plot):
    assert plot.told == "Contrasts of accuracy: holds in 2, does not in 1."


def test_ticks_lie_within_the_effects_and_no_difference_is_always_one(plot):
    assert plot.ticks() == [0, 1, 2, 5]
    assert Plot(RATIOS, [effect("one", 4.0, 3.0, 6.0)], STYLES).ticks() == [1, 5]


def test_the_chart_tells_every_effect_and_escapes_names(plot):
    chart = effects_chart(plot, "name", "title")
    assert [trace["name"] for trace in chart.data] == ["holds", "does not"]
    holds = chart.data[0]
    assert holds["x"] == [math.asinh(3.0), 0.0]
    assert holds["y"] == [at for block in plot.blocks(46) for at, one in block.lines if one.outcome == "holds"]
    assert holds["error_x"]["array"] == [math.asinh(7.0) - math.asinh(3.0), 0.0]
    assert holds["error_x"]["arrayminus"] == [math.asinh(3.0) - math.asinh(1.0), 0.0]
    assert holds["text"][1] == "&lt;two&gt;<br>&lt;a&gt; &amp; b<br>0.0"
    assert [note["text"] for note in chart.layout["annotations"]] == ["<b>one</b>", "<b>&lt;two&gt;</b>"]
    assert chart.layout["yaxis"]["range"][0] > max(holds["y"])


def test_an_outcome_without_effects_draws_nothing():
    chart = effects_chart(Plot(RATIOS, [effect("one", 2.0, 1.5, 2.5)], STYLES), "name", "title")
    assert [trace["name"] for trace in chart.data] == ["holds"]
    assert chart.data[0]["x"] == [math.log(2)]


def test_the_figure_is_the_same_each_time_and_names_the_claims(plot):
    svg = effects_figure(plot, "name", "title").svg
    assert svg == effects_figure(plot, "name", "title").svg
    assert ">one<" in svg
    assert "&lt;a&gt; &amp; b" in svg
    assert "&lt;two&gt;" in svg
    assert "<two>" not in svg
