"""`compare` and `history` on the command line: exit status, formats, one line for what is wrong."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
import typer
from made_records import counted, record, row

from spikemark.regression.commands import Format, show
from spikemark.regression.compare import Comparison
from spikemark.regression.history import add
from spikemark.regression.render import MARK
from spikemark.regression.sources import read_side
from spikemark.regression.verdicts import Finding, Limits


@pytest.fixture
def pair(benchmark_json):
    for run in range(6):
        benchmark_json(f"base/{run}.json", {"test_a|x": 1e-3, "test_b": 1e-3}, seed=run)
        head = benchmark_json(f"head/{run}.json", {"test_a|x": 1.3e-3, "test_b": 1e-3}, seed=10 + run)
    return head.parent.with_name("base"), head.parent


def test_one_run_on_a_side_is_never_red_without_a_noise_floor(spikemark, benchmark_json):
    base, head = (benchmark_json(f"{name}.json", {"a": seconds}) for name, seconds in (("base", 1.0), ("head", 2.0)))
    code, out, _ = spikemark("compare", base, head)
    assert code == 0
    assert "undecided for want of a noise floor: 1." in out


def test_exit_status(spikemark, pair):
    base, head = pair
    assert spikemark("compare", base, base)[0] == 0
    code, out, _ = spikemark("compare", base, head)
    assert code == 1
    lines = out.splitlines()
    assert lines[0].startswith("REGRESSION (1):")
    assert lines[2] == "SLOWER     test_a|x: time"
    assert " ms -> " in lines[3]
    assert lines[-1] == "1 more without a change (--all shows them)"
    assert max(map(len, lines[2:])) <= 100
    assert "same       test_b: time" in spikemark("compare", base, head, "--all")[1].splitlines()
    assert spikemark("compare", base, head, "--threshold", "50%")[0] == 0
    assert spikemark("compare", base, head, "--threshold", "0.05")[0] == 1


def test_exit_status_of_records(spikemark, folder):
    def scored(value, **changes):
        return record(measurements=[row("accuracy", value, split="test")], **changes)

    base = folder("base", scored(0.9), scored(0.9, framework="norse"))
    fewer = folder("fewer", scored(0.9))
    assert spikemark("compare", base, fewer)[0] == 0
    code, out, _ = spikemark("compare", base, fewer, "--fail-on", "missing")
    assert (code, out.startswith("FAILED (missing)")) == (1, True)
    failed = folder("failed", scored(0.9, status="failed", error="boom"), record(framework="norse", status="timeout"))
    code, out, _ = spikemark("compare", base, failed)
    assert (code, out.startswith("REGRESSION (2)")) == (1, True)
    others = folder("others", scored(0.9, seed=1), scored(0.9, seed=1, framework="norse"))
    code, _, err = spikemark("compare", base, others)
    assert (code, "no seed in common; nothing was compared" in err) == (2, True)
    none = folder("none", scored(0.77))
    (path,) = none.iterdir()
    path.write_text(path.read_text().replace("0.77", "NaN"))
    code, _, err = spikemark("compare", base, none)
    assert (code, f"{path}: measurements.0.value: Input should be a finite number" in err) == (2, True)


def test_markdown_is_marked_and_escapes_bars(spikemark, pair):
    _, out, _ = spikemark("compare", *pair, "--format", "markdown")
    assert out.startswith(MARK)
    assert "test_a\\|x" in out
    assert "<details>" in out


def test_json_has_no_nan(spikemark, pair):
    _, out, _ = spikemark("compare", *pair, "--format", "json")
    data = json.loads(out, parse_constant=lambda name: pytest.fail(name))
    assert data["schema_version"] == 2
    assert data["passed"] is False
    assert data["findings"][0]["verdict"] == "slower"
    assert data["findings"][0]["detectable"] is None


def test_github_annotates_and_adds_to_the_summary(spikemark, pair, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    _, out, _ = spikemark("compare", *pair, "--format", "github")
    assert out.startswith("::error title=Spikemark%3A test_a|x::time is slower: +")
    assert "time is slower" in out
    assert (tmp_path / "summary.md").read_text().startswith(MARK)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["compare", "/nowhere", "."], "/nowhere does not exist"),
        (["compare", "BASE", "BASE", "--threshold", "lots"], "--threshold lots: expected a percentage"),
        (["compare", "BASE", "BASE", "--threshold", "0%"], "--threshold: 0 lies outside"),
        (["compare", "BASE", "BASE", "--threshold", "nan"], "--threshold nan: expected a percentage"),
        (["compare", "BASE", "BASE", "--metrics", "tim"], "did you mean 'time'"),
        (["compare", "BASE", "BASE", "--noise", "/nowhere"], "--noise /nowhere does not exist"),
        (["compare", "BASE", "BASE", "--same-code"], "needs at least 3 runs"),
        (["compare", "BASE", "BASE", "--fail-on", "undecide"], "did you mean 'undecided'"),
        (["history", "show", "--history", "/nowhere"], "/nowhere holds no history"),
        (["ab", "HEAD", "HEAD", "--suite", "smok"], "did you mean 'smoke'"),
    ],
)
def test_wrong_requests_are_one_line_and_exit_with_2(spikemark, benchmark_json, arguments, message):
    base = benchmark_json("base.json", {"test_a": 1e-3})
    code, out, err = spikemark(*[base if part == "BASE" else part for part in arguments])
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1


def test_records_and_history(spikemark, folder, tmp_path):
    base = folder("base", counted(row("macs", 5.0)))
    head = folder("head", counted(row("macs", 6.0)))
    code, out, _ = spikemark("compare", base, head)
    assert code == 1
    assert "+20.00 %" in out
    for name, commit in ((base, "aaa"), (head, "bbb")):
        assert spikemark("history", "add", name, "--commit", commit, "--history", tmp_path / "h")[0] == 0
    page = tmp_path / "page.html"
    where = ("--history", tmp_path / "h", "--out", page)
    code, out, _ = spikemark("history", "show", *where, "--commits", "https://host/")
    assert code == 1
    assert "+20.00 % at bbb" in out
    assert "worse since bbb: " in out
    assert "<a href='https://host/bbb'>" in page.read_text()
    code, out, _ = spikemark("history", "add", head, "--commit", "bbb", "--history", tmp_path / "h")
    assert (code, out) == (0, f"{tmp_path / 'h'} has all of bbb already\n")
    assert spikemark("history", "show", *where, "--commits", "javascript:alert(1)")[0] == 2
    later = datetime.now(UTC) + timedelta(hours=1)
    add(tmp_path / "h", read_side(head), "ccc", later)
    assert spikemark("history", "show", *where)[0] == 0
    assert spikemark("history", "show", *where, "--since", "bb")[0] == 1


def test_same_code_stores_a_noise_floor(spikemark, benchmark_json):
    base = benchmark_json("base.json", {"test_a|x": 1e-3, "test_b": 1e-3})
    for run in range(3):
        benchmark_json(f"aa/{run}.json", {"test_a|x": 1e-3, "test_b": 1e-3}, seed=run)
    code, out, _ = spikemark("compare", base, base.parent / "aa", "--same-code")
    assert code == 0
    assert "noise floors of 2 series" in out
    assert (base.parent / "base.noise.jsonl").exists()


def test_what_cannot_be_told_fails_when_asked_to(spikemark, benchmark_json):
    base, head = (benchmark_json(f"{name}.json", {"a": seconds}) for name, seconds in (("base", 1.0), ("head", 2.0)))
    assert spikemark("compare", base, head, "--fail-on", "undecided")[0] == 1


def test_a_network_that_says_nothing_is_never_green(spikemark, folder):
    dead = record(status="degenerate", error="9 of 10 classes are never predicted")
    fine = counted(row("macs", 1.0))
    base, head = folder("base", dead, fine), folder("head", dead, counted(row("macs", 0.5)))
    code, out, _ = spikemark("compare", base, head)
    assert (code, out.startswith("FAILED (degenerate)")) == (1, True)
    assert "degenerate: snntorch mlp-lif digits seed 0: 9 of 10 classes are never predicted" in out
    assert spikemark("compare", base, base)[0] == 1
    assert spikemark("compare", base, head, "--fail-on", "none")[0] == 0


def test_a_comment_fits_and_the_rest_is_in_a_file(tmp_path):
    finding = Finding("a benchmark", "macs", "1", "exact", "worse", True, 5.0, 6.0, 0.2, 0.2, 0.2)
    findings = [replace(finding, benchmark=f"benchmark {number}") for number in range(2000)]
    comment = tmp_path / "comment.md"
    with pytest.raises(typer.Exit):
        show(Comparison("base", "head", Limits(), findings), Format.text, comment)
    text, full = comment.read_text(), (tmp_path / "comment.full.md").read_text()
    assert len(text) < 65_536 < len(full)
    assert text.startswith(MARK)
    left_out = int(re.search(r"(\d+) rows and lines did not fit", text)[1])
    assert text.count("\n| ") + left_out == full.count("\n| ") == 2001
    assert text.count("<details>") == text.count("</details>")


def test_junit_for_other_systems(spikemark, pair, tmp_path):
    file = tmp_path / "spikemark.xml"
    spikemark("compare", *pair, "--junit", file)
    suite = ElementTree.parse(file).getroot().find("testsuite")
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")
    failed = [case.get("classname") for case in suite if case.find("failure") is not None]
    assert failed == ["test_a|x"]


def test_annotations_escape_what_github_decodes(spikemark, folder):
    base = folder("base", record(measurements=[row("accuracy", 0.9, split="test")]))
    head = folder("head", record(status="failed", error="ValueError: 100 %, boom"))
    _, out, _ = spikemark("compare", base, head, "--format", "github")
    title = "Spikemark%3A snntorch mlp-lif digits seed 0"
    assert out.splitlines()[0] == f"::error title={title}::fails now: failed: ValueError: 100 %25, boom"
