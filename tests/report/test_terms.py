"""The glossary: its terms are explained where they stand, once per text, and nothing in it is markup."""

import pytest

from spikemark.report.meanings import Explained, meaning, terms


def test_every_line_of_the_glossary_is_a_term():
    from importlib import resources

    lines = resources.files("spikemark.report").joinpath("glossary.txt").read_text().splitlines()
    assert len(terms()) == len(lines) > 20
    assert all(terms().values())


def test_a_term_is_explained_where_it_comes_first():
    told = Explained()
    html = told.mark("The MDE of <b>LIF</b> and LIF")
    assert html == (
        f'The <abbr title="{terms()["MDE"]}">MDE</abbr> of &lt;b&gt;'
        f'<abbr title="{terms()["LIF"]}">LIF</abbr>&lt;/b&gt; and LIF'
    )
    assert list(told.met()) == ["LIF", "MDE"]


@pytest.mark.parametrize("text", ["mlp-LIF", "LIFE", "MDEx", "lif", "relative-mCE", ""])
def test_what_only_looks_like_a_term_stays(text):
    told = Explained()
    assert told.mark(text) == text
    assert told.met() == {}


def test_the_longest_term_wins_and_a_plural_is_one():
    told = Explained()
    assert ">relative mCE</abbr>" in told.mark("the relative mCE")
    assert ">45nm-fp32-sram</abbr>" in told.mark("under 45nm-fp32-sram")
    assert ">cell</abbr>s" in told.mark("24 cells")
    assert set(told.met()) == {"relative mCE", "45nm-fp32-sram", "cell"}


def test_headings_without_a_meaning_of_their_own_have_that_of_the_glossary():
    assert meaning("mCE") == terms()["mCE"]
    assert meaning("45nm-fp32 (nJ)") == terms()["45nm-fp32"]
    assert meaning("nothing of the kind") == ""
