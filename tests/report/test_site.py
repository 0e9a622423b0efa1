"""The site: pages that share one bundle, a leaderboard whose ranks ties share, answers that tests give."""

from __future__ import annotations

import re

import numpy as np
import pytest
from synthetic_records import accuracy_record, suite_of
from test_browser import CHROMIUM, Found, open_page
from typer.testing import CliRunner

from spikemark.cli import app
from spikemark.report.cells import Cells
from spikemark.report.findings import QUESTIONS, cards, findings
from spikemark.report.leaderboard import MEANINGS, boards
from spikemark.report.model import TIMES
from spikemark.report.site import write_site
from spikemark.suites.records import write_record


def records(**levels):
    random = np.random.default_rng(0)
    hard = random.random(4000)
    return [
        accuracy_record(framework, neuron, seed, hard + random.normal(0, 0.01, 4000) < level)
        for neuron, level in levels.items()
        for seed in range(5)
        for framework in ("reference", "norse")
    ]


def column(board, name):
    at = board.table.columns.index(name)
    return [row[at].text for row in board.table.rows]


def test_ties_share_a_rank_and_frameworks_are_one_row():
    (board,) = boards("quick", Cells.of(records(lif=0.8, stl=0.8, lt=0.7, plif=0.6)))
    assert board.where == "digits, mlp"
    assert column(board, "rank") == ["1", "1", "3", "4"]
    assert set(column(board, "system")[:2]) == {"mlp-lif", "mlp-stl"}
    assert column(board, "system")[2:] == ["mlp-lt", "mlp-plif"]
    assert column(board, "frameworks") == ["reference, norse"] * 4
    assert [row[3].strong for row in board.table.rows] == [True, True, False, False]


def test_every_number_is_of_its_column():
    (board,) = boards("quick", Cells.of(suite_of(seeds=3, frameworks=("reference", "norse"), neurons=("lif", "stl"))))
    assert board.table.columns == tuple(MEANINGS)
    lif = column(board, "neuron").index("lif")
    assert column(board, f"energy ({TIMES} lif)")[lif] == "1.00"
    assert all(text.endswith(("reference", "norse")) for text in column(board, f"training ({TIMES})"))


def test_one_system_makes_no_board():
    assert list(boards("quick", Cells.of(records(lif=0.8)))) == []


def test_each_question_has_its_first_answer():
    few = Cells.of(records(lif=0.8, stl=0.9))
    many = Cells.of(suite_of(seeds=3, frameworks=("reference", "norse", "snntorch"), neurons=("lif", "stl")))
    answers = {card.question: card.page for card in cards({"many": findings(many), "few": findings(few)})}
    assert answers[QUESTIONS["Accuracy"]] == "many"
    assert cards({"few": findings(few)})[0].page == "few"
    assert set(answers) <= set(QUESTIONS.values())


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    for record in suite_of(seeds=2, frameworks=("reference", "norse"), neurons=("lif", "stl")):
        write_record(folder / "results" / "quick", record)
    for record in suite_of(seeds=2, frameworks=("reference",), neurons=("lif", "lt")):
        write_record(folder / "results" / "other", record | {"suite": "my <suite>"})
    done = CliRunner().invoke(app, ["site", str(folder / "results"), "--out", str(folder / "out")])
    assert done.exit_code == 0, done.output
    return folder / "out"


def test_files_and_links(site):
    assert {path.name for path in site.iterdir()} == {
        "assets", "index.html", "my-suite.csv", "my-suite.html", "quick.csv", "quick.html",
    }  # fmt: skip
    index = (site / "index.html").read_text()
    assert "my &lt;suite&gt;" in index
    for target in re.findall(r'(?:href|src)="([^"#:]+)[#"]', index):
        assert (site / target).is_file(), target
    assert sum(path.stat().st_size for path in site.rglob("*") if path.is_file()) < 6 * 2**20


def test_the_first_screen_answers_the_questions(site):
    index = (site / "index.html").read_text()
    for topic in ("Accuracy", "Robustness", "Speed", "Energy"):
        assert index.index(QUESTIONS[topic]) < index.index('id="leaderboard"')
    assert 'href="quick.html#accuracy"' in index  # the suite with most records answers
    assert 'href="my-suite.html#accuracy"' not in index


def test_the_same_records_give_the_same_site(site, tmp_path):
    write_site(site.parent / "results", tmp_path)
    ours = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert ours == {path.name: path.read_bytes() for path in site.rglob("*") if path.is_file()}


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
@pytest.mark.parametrize("name", ["index.html", "quick.html"])
def test_pages_open_from_disk_without_a_word_on_the_console(site, tmp_path, name):
    document, said = open_page(site / name, tmp_path / "profile")
    assert said == []
    found = Found(document)
    if name == "index.html":
        shown = [attrs for tag, attrs in found.elements if "board" in (attrs.get("class") or "").split()]
        assert [("hidden" in attrs) for attrs in shown].count(False) == 1
        assert any(tag == "input" and attrs.get("type") == "search" for tag, attrs in found.elements)
    else:
        assert found.classes("js-plotly-plot") >= 4
