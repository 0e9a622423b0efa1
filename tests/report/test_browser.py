"""The page in a real browser: no console error, no request, tables and plots in place."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from synthetic_records import make_record, suite_of

from spikemark.report import write_report
from spikemark.suites.records import write_record

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
]
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --enable-logging=stderr --virtual-time-budget=3000 --dump-dom"
)


class Found(HTMLParser):
    """Elements of a document with their attributes, and the texts of table cells in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def classes(self, name: str) -> int:
        return sum(name in (attrs.get("class") or "").split() for _, attrs in self.elements)


def open_page(path, profile):
    """The document after scripts ran, and what the console said."""
    command = [str(CHROMIUM), *FLAGS.split(), f"--user-data-dir={profile}", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    said = [line for line in done.stderr.splitlines() if "CONSOLE" in line or "ERR_" in line]
    return done.stdout, said


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    records = suite_of(seeds=2, frameworks=("reference", "norse"), neurons=("lif", "stl"))
    cells = {record["cell"]["measure"]: record["cell"] for record in records}
    for measure in ("accuracy", "robustness"):
        cell = cells[measure] | {"framework": "norse", "neuron": "lt", "system": "mlp-lt", "seed": 0}
        failed = {"status": "failed", "error": "<script>throw 1</script>", "cell": cell}
        records.append(make_record(measure, "norse", "lt", 0, **failed))
    for record in records:
        write_record(folder / "results", record)
    write_report(folder / "results", folder / "out")
    return folder / "out" / "quick.html"


def test_page_opens_without_a_word_on_the_console(page, tmp_path):
    document, said = open_page(page, tmp_path / "profile")
    assert said == []
    found = Found(document)
    tags = [tag for tag, _ in found.elements]
    assert tags.count("table") >= 10
    assert found.classes("js-plotly-plot") == 6
    assert found.classes("main-svg") >= 3
    assert found.classes("scatterlayer") >= 4
    assert tags.count("select") == 4
    assert "&lt;script&gt;throw 1&lt;/script&gt;" in document


def test_headings_sort_and_choices_redraw(page, tmp_path):
    """A copy of the page clicks on its own headings and choices, since a dumped document cannot be clicked."""
    actions = """<script>
      const table = [...document.querySelectorAll("table")].find(t => t.textContent.includes("all noises"));
      const column = [...table.tHead.rows[0].cells].findIndex(cell => cell.textContent === "all noises");
      const order = () => [...table.tBodies[0].rows].map(row => Number(row.cells[column].dataset.sort));
      const press = () => table.tHead.rows[0].cells[column].querySelector("button").click();
      press(); const up = order(); press(); const down = order();
      const select = document.querySelector("select[data-chart^=noise]");
      select.value = "norse"; select.dispatchEvent(new Event("change"));
      const shown = document.getElementById(select.dataset.chart).data.map(trace => trace.meta);
      document.title = JSON.stringify({up, down, shown: [...new Set(shown)]});
    </script></body>"""
    copy = tmp_path / "copy.html"
    head, _, tail = page.read_text().rpartition("</body>")
    copy.write_text(head + actions + tail)
    document, said = open_page(copy, tmp_path / "profile")
    assert said == []
    title = re.search("<title>(.*?)</title>", document)
    assert title is not None
    result = json.loads(title[1])
    *numbers, absent = result["up"]
    assert numbers == sorted(numbers)
    assert len(numbers) == 4
    assert absent is None  # the failed cell stays last either way
    assert result["down"] == [*sorted(numbers, reverse=True), None]
    assert result["shown"] == ["norse"]


def test_the_page_would_say_so(page, tmp_path):
    """The check can fail: a copy that throws and asks for a picture from elsewhere has both on its console."""
    copy = tmp_path / "copy.html"
    head, _, tail = page.read_text().rpartition("</body>")
    copy.write_text(f"{head}<img src='https://example.org/x.png'><script>throw Error('no')</script></body>{tail}")
    _, said = open_page(copy, tmp_path / "profile")
    assert any("Uncaught Error: no" in line for line in said)
    assert any("example.org" in line and "Content Security Policy" in line for line in said)
