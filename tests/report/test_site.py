"""The site: pages that share one bundle, a leaderboard whose ranks ties share, answers that tests give."""

from __future__ import annotations

import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from synthetic_records import accuracy_record, suite_of
from typer.testing import CliRunner

from spikemark.cli import app
from spikemark.report.cells import Cells
from spikemark.report.findings import QUESTIONS, cards, findings
from spikemark.report.leaderboard import boards
from spikemark.report.meanings import meaning
from spikemark.report.model import TIMES
from spikemark.report.site import write_site
from spikemark.suites.packed import PACKED, packed
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
    at = board.table.columns.index("frameworks")
    assert [row[at].summary for row in board.table.rows] == ["2 alike"] * 4
    assert column(board, "frameworks")[0].startswith("reference 8")
    assert [row[3].strong for row in board.table.rows] == [True, True, False, False]


def test_every_number_is_of_its_column():
    (board,) = boards("quick", Cells.of(suite_of(seeds=3, frameworks=("reference", "norse"), neurons=("lif", "stl"))))
    assert all(meaning(heading) for heading in board.table.columns)
    lif = column(board, "neuron").index("lif")
    assert column(board, f"energy ({TIMES} lif)")[lif] == "1.00"
    assert all(text.endswith(("reference", "norse")) for text in column(board, f"training ({TIMES})"))
    assert column(board, "lost to input")[lif] != column(board, "lost to lost spikes")[lif]
    assert column(board, "seeds") == ["3", "3"]
    assert all("arXiv" in text for text in column(board, "paper"))
    for row, origin in zip(board.table.rows, board.origins, strict=True):
        assert origin.system == row[1].text
        assert row[3].link == f"#{origin.anchor}"
        assert len(origin.records["accuracy"]) == 3


def test_one_system_makes_no_board():
    assert list(boards("quick", Cells.of(records(lif=0.8)))) == []


def test_each_question_has_its_firmest_answer():
    five = Cells.of(records(lif=0.8, stl=0.9))
    three = Cells.of(suite_of(seeds=3, frameworks=("reference", "norse", "snntorch"), neurons=("lif", "stl")))
    answers = cards({"three": findings(three), "five": findings(five)})
    assert answers["Accuracy"].answer.page == "five"  # more seeds are firmer than more frameworks
    assert [other.page for other in answers["Accuracy"].others] == ["three"]
    assert answers["Speed"].answer.page == "three"
    assert answers["Accuracy"].question == QUESTIONS["Accuracy"]
    assert set(answers) <= set(QUESTIONS)


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
        "assets", "index.html", "my-suite.csv.zip", "my-suite.html", "quick.csv.zip", "quick.html",
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
    # The suite that compares more frameworks answers; what the other says is behind it.
    assert re.search(
        r'In other suites.*?"my-suite.html#accuracy".*?"quick.html#accuracy">The numbers', index, re.DOTALL
    )


def test_the_same_records_give_the_same_site(site, tmp_path):
    write_site(site.parent / "results", tmp_path)
    ours = {path.name: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert ours == {path.name: path.read_bytes() for path in site.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def with_submissions(site, tmp_path_factory):
    """The same results, and what others measured: a neuron of theirs beside ours, and a suite of their own."""
    folder = tmp_path_factory.mktemp("submissions")
    for name, suite, source, by in (
        ("theirs", "quick", "https://doi.org/1", ["<b>"]),
        ("apart", "new", "javascript:alert(1)", []),
    ):
        theirs = suite_of(seeds=2, frameworks=("norse",), neurons=("lif", "plif"))
        content = packed([record | {"suite": suite} for record in theirs])
        revision = hashlib.sha256(content).hexdigest()[:12]
        about = {"name": name, "revision": revision, "suites": [suite], "source": source}
        about["reproductions"] = [{"by": one, "jobs": 3} for one in by]
        own = folder / "submissions" / name / revision
        own.mkdir(parents=True)
        (own / f"results{PACKED}").write_bytes(content)
        (own / "about.json").write_text(json.dumps(about))
    where = ["--out", str(folder / "out"), "--submissions", str(folder / "submissions")]
    done = CliRunner().invoke(app, ["site", str(site.parent / "results"), *where])
    assert done.exit_code == 0, done.output
    return folder / "out"


class Tables(HTMLParser):
    """Every table of a page, as rows of texts."""

    def __init__(self, text):
        super().__init__()
        self.found, self.inside = [], False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.found.append([])
        elif tag == "tr":
            self.found[-1].append([])
        elif tag in ("td", "th"):
            self.found[-1][-1].append("")
            self.inside = True

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("td", "th")

    def handle_data(self, data):
        if self.inside:
            self.found[-1][-1][-1] += data

    def columns(self):
        return [dict(zip(head, zip(*rows, strict=True), strict=True)) for head, *rows in self.found if rows]


def test_systems_of_submissions_join_the_leaderboard_with_their_tier(with_submissions):
    tables = [table for table in Tables((with_submissions / "index.html").read_text()).columns() if "tier" in table]
    tiers = [dict(zip(table["system"], table["tier"], strict=True)) for table in tables if "system" in table]
    assert {"mlp-lif": "measured here", "mlp-stl": "measured here", "mlp-plif": "reproduced by others"} in tiers
    (listed,) = [table for table in tables if "system" not in table]
    assert listed["tier"] == ("reported", "reproduced by others")
    assert listed["name"] == ("apart", "theirs")


def test_submissions_have_pages_and_change_no_answer(site, with_submissions):
    text = (with_submissions / "index.html").read_text()
    for target in re.findall(r'(?:href|src)="([^"#:]+)[#"]', text):
        assert (with_submissions / target).is_file(), target
    assert len(list(with_submissions.glob("submission-*.html"))) == 2
    assert "javascript:alert" in text
    assert 'href="javascript' not in text
    assert "&lt;b&gt; (3 jobs)" in text
    for page in ("quick.html", "my-suite.html"):
        assert (with_submissions / page).read_bytes() == (site / page).read_bytes()
    answers = [re.search('aria-label="Answers".*?</ul>', (folder / "index.html").read_text(), re.DOTALL)[0]
               for folder in (site, with_submissions)]  # fmt: skip
    assert answers[0] == answers[1]


def test_without_submissions_the_page_says_how_to_hand_in(site):
    text = (site / "index.html").read_text()
    assert "Nothing has been handed in yet" in text
    assert ">tier</th>" not in text


def test_a_folder_of_submissions_that_is_none_is_named(spikemark, site, tmp_path):
    where = ("--out", tmp_path / "out", "--submissions", tmp_path / "none")
    code, _, err = spikemark("site", site.parent / "results", *where)
    assert code == 2
    assert "none does not exist; expected a folder of submissions" in err
    assert not (tmp_path / "out").exists()
