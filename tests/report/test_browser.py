"""Pages in a real browser: wide, narrow, dark, on paper, by keyboard, without scripts; the console stays empty."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from browser import CHROMIUM, chromium
from synthetic_records import make_record, suite_of

from spikemark.report import write_report
from spikemark.report.site import write_site
from spikemark.suites.records import write_record

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
]
AXE = Path(os.environ.get("SPIKEMARK_AXE", "build/axe/node_modules/axe-core/axe.min.js"))
"""Deque's accessibility rules; `make axe` brings them."""
QUESTIONS = """[...document.querySelectorAll('.card:has(h2)')].map(card =>
    [card.querySelector('h2').textContent, card.querySelector('p').textContent, card.getBoundingClientRect().bottom])"""
READY = """[...waiting.keys()].forEach(ready);
    (typeof bundle === "undefined" ? Promise.resolve() : bundle).then(() => new Promise(end => setTimeout(end, 50)))"""
"""Everything that waits for a reader to scroll is readied, so that all of it is checked."""
FOCUSABLE = "a[href], button, select, input, summary, [tabindex='0']"


class Found(HTMLParser):
    """Elements of a document with their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def classes(self, name: str) -> int:
        return sum(name in (attrs.get("class") or "").split() for _, attrs in self.elements)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A report that stands alone, and a site."""
    folder = tmp_path_factory.mktemp("pages")
    records = suite_of(seeds=2, frameworks=("reference", "norse", "snntorch"), neurons=("lif", "stl", "lt"))
    cells = {record["cell"]["measure"]: record["cell"] for record in records}
    for measure in ("accuracy", "robustness"):
        cell = cells[measure] | {"framework": "norse", "neuron": "plif", "system": "mlp-plif", "seed": 0}
        failed = {"status": "failed", "error": "<script>throw 1</script>", "cell": cell}
        records.append(make_record(measure, "norse", "plif", 0, **failed))
    for record in records:
        write_record(folder / "results" / "quick", record)
    (folder / "results" / "nir.csv").write_text("graph,framework,differing,causes\nLIF,norse,0,none\nIF,norse,3,ties\n")
    write_report(folder / "results", folder / "report")
    write_site(folder / "results", folder / "site")
    return {
        "report": folder / "report" / "quick.html",
        "index": folder / "site" / "index.html",
        "linked": folder / "site" / "quick.html",
    }


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with chromium(tmp_path_factory.mktemp("profile")) as tab:
        yield tab


@pytest.mark.parametrize("name", ["report", "index", "linked"])
@pytest.mark.parametrize("look", [{}, {"width": 390}, {"prefers_color_scheme": "dark"}, {"media": "print"}], ids=str)
def test_every_page_fits_says_nothing_and_breaks_no_rule(browser, pages, name, look):
    browser.open(pages[name], **look)
    if look.get("media") == "print":
        browser.run("dispatchEvent(new Event('beforeprint'))")
    browser.run(READY)
    assert browser.run("document.documentElement.scrollWidth") <= look.get("width", 1400)
    if AXE.is_file():
        browser.run(AXE.read_text(encoding="utf-8"))
        broken = browser.run("axe.run().then(r => r.violations.map(v => `${v.id}: ${v.nodes.map(n => n.html)}`))")
        assert broken == []
    assert browser.said == []


@pytest.mark.parametrize("name", ["report", "index"])
def test_the_keyboard_reaches_everything(browser, pages, name):
    browser.open(pages[name])
    browser.run(READY)
    browser.run(f"""window.wanted = new Set([...document.querySelectorAll("{FOCUSABLE}")].filter(one =>
        one.checkVisibility() && !one.closest('.chart'))); document.body.focus()""")
    many = browser.run("wanted.size")
    assert many > 30
    for _ in range(many + 50):
        browser.press("Tab", 9)
        if browser.run("wanted.delete(document.activeElement), wanted.size") == 0:
            break
    assert browser.run("[...wanted].map(one => one.outerHTML)") == []


def test_answers_stand_on_the_first_screen(browser, pages):
    browser.open(pages["index"])
    answers = browser.run(QUESTIONS)
    asked = {question: answer for question, answer, bottom in answers if bottom <= 900}
    for words in ("most accurate", "most robust", "fastest", "cost in energy"):
        assert any(words in question for question in asked), words
    assert all(len(answer) > 20 for answer in asked.values())


def test_charts_on_the_first_screen_wait_for_no_scrolling(browser, pages):
    blind = "IntersectionObserver = class { observe() {} unobserve() {} }"
    script = browser.call("Page.addScriptToEvaluateOnNewDocument", source=blind)["identifier"]
    browser.open(pages["report"], height=2400)
    browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
    browser.run("bundle.then(() => new Promise(end => setTimeout(end, 50)))")
    charts = browser.run("""[...document.querySelectorAll('.chart')].map(chart =>
        [chart.getBoundingClientRect().top < innerHeight, chart.classList.contains('js-plotly-plot')])""")
    assert [True, True] in charts
    assert all(near == drawn for near, drawn in charts)


def test_a_page_stands_alone_and_escapes(browser, pages):
    browser.open(pages["report"])
    browser.run(READY)
    found = Found(browser.run("document.documentElement.outerHTML"))
    tags = [tag for tag, _ in found.elements]
    assert tags.count("table") >= 10
    assert found.classes("js-plotly-plot") == 6
    assert found.classes("scatterlayer") >= 4
    assert not [attrs for tag, attrs in found.elements if tag in ("script", "link") and attrs.get("src")]
    assert "&lt;script&gt;throw 1&lt;/script&gt;" in pages["report"].read_text()
    assert browser.said == []


def test_headings_sort_and_choices_redraw(browser, pages):
    browser.open(pages["report"])
    browser.run(READY)
    browser.run("""
      window.table = [...document.querySelectorAll("table")].find(t => t.textContent.includes("all noises"));
      window.column = [...table.tHead.rows[0].cells].findIndex(cell => cell.textContent === "all noises");
      window.order = () => [...table.tBodies[0].rows].map(row => Number(row.cells[column].dataset.order));
      window.press = () => table.tHead.rows[0].cells[column].querySelector("[role=button]").click()""")
    orders = []
    for _ in range(2):
        browser.run("press()")
        orders.append(browser.run("new Promise(done => setTimeout(() => done(order())))"))
    up, down = orders
    *numbers, absent = up
    assert numbers == sorted(numbers)
    assert len(numbers) == 3
    assert absent is None  # the failed cell stays last either way
    assert down == [*sorted(numbers, reverse=True), None]
    browser.run("""window.select = document.querySelector("select[data-chart^=noise]");
      select.value = "norse"; select.dispatchEvent(new Event("change"))""")
    shown = browser.run("""new Promise(done => setTimeout(() => {
      const {data} = document.getElementById(select.dataset.chart);
      done([...new Set(data.map(trace => trace.meta).filter(meta => meta))]); }, 50))""")
    assert shown == ["norse"]
    before = browser.run("document.body.innerText.includes('[')")
    browser.run("document.querySelector('[data-intervals]').click()")
    assert before
    assert browser.run("[...document.querySelectorAll('.i')].every(one => !one.checkVisibility())")


def test_choices_filter_sort_and_live_in_the_address(browser, pages):
    browser.open(pages["index"])
    browser.run("""window.pick = (name, value) => {
        find(name).value = value; find(name).dispatchEvent(new Event("change")); };
      window.shown = heading => { const board = boards[find("board").value];
        return [...board.querySelectorAll("tbody tr")].map(row => cell(board, row, heading).textContent.trim()); };""")
    everywhere = browser.run("shown('inference (\u00d7)')")
    assert all(re.fullmatch(r"[\d.]+ (reference|norse|snntorch)", text) for text in everywhere)
    browser.run("pick('priority', 'energy'), pick('neuron', 'stl'), pick('framework', 'norse')")
    assert browser.run("shown('neuron')") == ["stl"]
    assert browser.run("shown('inference (\u00d7)')")[0].replace(".", "").isdigit()
    assert "mlp-stl comes first" in browser.run("find('answer').textContent")
    fragment = browser.run("location.hash")
    browser.open(pages["index"], fragment)
    assert browser.run("NAMES.map(name => find(name).value).slice(-3)") == ["stl", "norse", "energy"]
    assert browser.said == []


def test_copies_hold_what_is_shown(browser, pages):
    browser.open(pages["index"])
    csv, markdown, latex = (browser.run(f"text('{kind}')").splitlines() for kind in ("csv", "markdown", "latex"))
    assert csv[0].startswith('"rank","system","neuron"')
    assert len(csv) == 1 + browser.run("boards[0].querySelectorAll('tbody tr').length")
    assert markdown[1] == "|" + " --- |" * (markdown[0].count("|") - 1)
    assert latex[0].startswith("\\begin{tabular}{lllrr")
    assert all(line.count(" & ") == csv[0].count('","') for line in latex[1:2])
    assert not re.search(r"(?<!\\)[%_]", "".join(latex))


def test_each_number_leads_to_its_record(browser, pages):
    browser.open(pages["index"])
    link = "boards[0].querySelector('td a[href^=\"#\"]')"
    browser.run(f"{link}.click()")
    origin = browser.run(f"document.getElementById({link}.getAttribute('href').slice(1)).innerText")
    assert "spikemark run quick --only system=mlp-" in origin
    assert "Records of accuracy" in origin
    assert browser.run("boards[0].querySelector('.origins').open")


def test_a_reader_without_scripts_sees_every_table(browser, pages):
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        for name in ("index", "report"):
            browser.open(pages[name])
            assert browser.run(
                "[...document.querySelectorAll('.board, section > .scroll')].every(t => t.checkVisibility())"
            )
            assert browser.run("document.querySelector('tbody').innerText.length") > 20
        assert "needs JavaScript" in browser.run("document.querySelector('.chart').innerText")
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


def test_paper_holds_what_was_closed(browser, pages):
    browser.open(pages["report"])
    browser.call("Page.printToPDF", landscape=True)
    assert browser.run("[...document.querySelectorAll('details')].every(one => one.open)")
    assert browser.run("[...document.querySelectorAll('.chart')].every(one => one.querySelector('svg'))")


def test_the_checks_can_fail(browser, pages, tmp_path):
    """A copy that throws and asks for a picture from elsewhere has both on its console."""
    copy = tmp_path / "copy.html"
    head, _, tail = pages["report"].read_text().rpartition("</body>")
    copy.write_text(f"{head}<img src='https://example.org/x.png'><script>throw Error('no')</script></body>{tail}")
    browser.open(copy)
    assert any("Error: no" in line for line in browser.said)
    assert any("example.org" in line for line in browser.said)
    if AXE.is_file():
        browser.run(AXE.read_text(encoding="utf-8"))
        assert "image-alt" in browser.run("axe.run().then(r => r.violations.map(v => v.id))")
