"""The files of a report: same bytes for the same records, nothing lost, nothing obeyed."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
from html.parser import HTMLParser

import matplotlib as mpl
import pytest
from synthetic_records import (
    accuracy_record,
    conformance_record,
    make_record,
    suite_of,
    throughput_record,
    trained_records,
)

from spikemark.report import write_report
from spikemark.report.model import slug
from spikemark.suites.packed import pack
from spikemark.suites.records import ResultsError, load_records, write_record

SMALL = {"seeds": 2, "frameworks": ("reference", "norse"), "neurons": ("lif", "stl")}
HOSTILE = "<script>alert('x')</script>|`$\\frac$"


def contents(paths):
    return {path.name: path.read_bytes() for path in paths}


def test_files_are_named_after_the_suite(results, tmp_path):
    paths = write_report(results(suite_of(**SMALL)), tmp_path / "reports")
    assert [path.name for path in paths] == [
        "quick-energy-digits-mlp.svg",
        "quick-heat-digits-mlp.svg",
        "quick-learned-digits-mlp.svg",
        "quick-noise-digits-mlp.svg",
        "quick-throughput-digits-mlp.svg",
        "quick.csv",
        "quick.html",
        "quick.md",
    ]
    assert sorted((tmp_path / "reports").iterdir()) == paths


def test_same_records_give_the_same_bytes(results, tmp_path, monkeypatch):
    records = suite_of(**SMALL)
    first = contents(write_report(results(records), tmp_path / "first"))
    random.Random(1).shuffle(records)
    again = results(records, "elsewhere/deeper")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setitem(mpl.rcParams, "lines.linewidth", 9)
    assert contents(write_report(again, tmp_path / "second")) == first
    assert not any(str(tmp_path).encode() in text for text in first.values())


def test_a_report_is_replaced_by_the_next(results, tmp_path):
    folder = results([accuracy_record("norse", "lif", seed, [1, 0, 1]) for seed in range(2)])
    before = contents(write_report(folder, tmp_path / "out"))
    write_record(folder, accuracy_record("norse", "lif", 7, [1, 1, 1]))
    assert contents(write_report(folder, tmp_path / "out"))["quick.csv"] != before["quick.csv"]


class Scripts(HTMLParser):
    """Counts elements, and keeps what a browser would show as text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.shown, self.stack = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.stack.append(tag)

    def handle_endtag(self, tag):
        if tag in self.stack:
            while self.stack.pop() != tag:
                pass

    def handle_data(self, data):
        if "script" not in self.stack and "style" not in self.stack:
            self.shown.append(data)


def hostile_records():
    records = []
    for number in range(2):
        strange = {"system": HOSTILE, "neuron": HOSTILE, "dataset": HOSTILE, "framework": HOSTILE}
        for index, made in enumerate(trained_records("reference", "lif", number, cell=strange)):
            for row in made["measurements"]:
                row.update({name: row[name] + HOSTILE for name in ("noise", "layer", "profile") if name in row})
            made["environment"] = {HOSTILE: HOSTILE}
            made["route"] = {"kind": HOSTILE, "why": HOSTILE}
            made["suite"] = f"../{HOSTILE}"
            made["key"] = f"{number}-{index}"
            records.append(made)
        failed = make_record("accuracy", "norse", "lif", number, status="failed", error=HOSTILE, suite=f"../{HOSTILE}")
        records.append(failed)
    return records


def test_hostile_strings_are_shown_and_never_obeyed(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    for number, record in enumerate(hostile_records()):
        (folder / f"{number}.json").write_text(json.dumps(record))
    paths = write_report(folder, tmp_path / "out")
    assert all(path.parent == tmp_path / "out" for path in paths)
    by_suffix = {path.suffix: path.read_text() for path in paths}
    page = Scripts(by_suffix[".html"])
    # Ours: tables, plotly, what all pages share, and the data of each chart.
    assert page.tags.count("script") == 3 + by_suffix[".html"].count('<script type="application/json"')
    assert sum(text.count(HOSTILE) for text in page.shown) > 10
    charts = re.findall(r'<script type="application/json".*?>(.*?)</script>', by_suffix[".html"], re.DOTALL)
    assert charts
    assert not any("<" in chart for chart in charts)
    assert all(json.loads(chart)["data"] for chart in charts)
    assert "<script" not in by_suffix[".md"]
    assert len({line.count("|") for line in table_of(by_suffix[".md"], "Accuracy under noise")}) == 1
    for path in paths:
        if path.suffix == ".svg":
            ET.fromstring(path.read_text())
            assert "<script" not in path.read_text()


def table_of(markdown: str, title: str) -> list[str]:
    """The rows of the first table after `title`."""
    lines = markdown[markdown.index(title) :].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    end = next(i for i in range(start, len(lines)) if not lines[i].startswith("|"))
    return lines[start:end]


@pytest.fixture
def troubled(results):
    """A suite in which cells went wrong in every way."""
    kinds = ("reference", "norse")
    records = [trained_records(f, "lif", s)[0] for f in kinds for s in range(2)] + [
        throughput_record("reference", "lif")
    ]
    records += [
        make_record("accuracy", "norse", "lif", 2, status="diverged", error="loss is NaN in epoch 3"),
        make_record("accuracy", "norse", "stl", 0, status="timeout", error="no result after 300 s"),
        make_record(
            "accuracy", "norse", "stl", 1, status="failed", error="MemoryError: boom\nTraceback: /home/somebody"
        ),
        make_record("accuracy", "norse", "diet", 0, status="unsupported", error="surrogate.relative, since ..."),
        make_record("throughput", "norse", "lif", 0, status="failed", error=None),
        conformance_record("norse", "lif", measurements=[], status="timeout", error="too slow"),
    ]
    return results(records)


def test_cells_without_a_result_are_listed_with_their_error(troubled, tmp_path):
    write_report(troubled, tmp_path / "out")
    text = (tmp_path / "out" / "quick.md").read_text()
    listed = "\n".join(table_of(text, "6 of 11 cells have no result"))
    for expected in (
        "loss is NaN in epoch 3",
        "no result after 300 s",
        "MemoryError: boom",
        "unsupported",
        "surrogate.relative",
        "no error was recorded",
        "too slow",
    ):
        assert expected in listed
    assert "/home/somebody" not in text
    page = (tmp_path / "out" / "quick.html").read_text()
    assert "MemoryError: boom" in page
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "quick.csv").read_text())))
    counted = {(row["framework"], row["system"], row["status"]): row["n"] for row in rows if row["status"] != "ok"}
    assert counted["norse", "mlp-lif", "diverged"] == "1"
    assert counted["norse", "mlp-diet", "unsupported"] == "1"


def test_tables_count_what_they_lack(troubled, tmp_path):
    write_report(troubled, tmp_path / "out")
    text = (tmp_path / "out" / "quick.md").read_text()
    rows = table_of(text, "### Test accuracy")[2:]
    accuracy = {row.split("|")[2].strip(): row for row in rows}
    assert "(1 diverged)" in accuracy["mlp-lif"]
    assert "1 failed, 1 timeout" in accuracy["mlp-stl"]
    assert "1 unsupported" in accuracy["mlp-diet"]
    assert "1 timeout" in "\n".join(table_of(text, "### Spikes and gradients"))


def test_one_folder_a_suite(results, tmp_path):
    results([accuracy_record("reference", "lif", 0, [1, 0])], "results/quick")
    results([accuracy_record("reference", "lif", 0, [1], suite="Standard 2")], "results/standard")
    names = {path.name for path in write_report(tmp_path / "results", tmp_path / "out")}
    assert {"quick.md", "standard-2.md"} <= names


def test_two_folders_with_one_suite_are_not_mixed(results, tmp_path):
    results([accuracy_record("reference", "lif", 0, [1, 0])], "results/a")
    results([accuracy_record("reference", "lif", 1, [1, 1])], "results/b")
    with pytest.raises(ResultsError, match="both hold a suite 'quick'"):
        write_report(tmp_path / "results", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_cell_run_again_counts_once(results, tmp_path):
    older = accuracy_record("reference", "lif", 0, [0, 0], started="2026-01-01T00:00:00+00:00")
    folder = results(
        [older, accuracy_record("reference", "lif", 0, [1, 0]), accuracy_record("reference", "lif", 1, [1, 1])]
    )
    assert len(load_records(folder)) == 3
    write_report(folder, tmp_path / "out")
    text = (tmp_path / "out" / "quick.md").read_text()
    assert "2 cells (2 ok)" in text
    assert "1 older records of cells that were run again are left out" in text
    assert "n = 2 seeds" in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"measurements": [{"metric": "accuracy", "value": None, "unit": "1"}]}, "measurements.0.value: .* None"),
        ({"measurements": [{"metric": "accuracy", "value": "high", "unit": "1"}]}, "measurements.0.value: .* 'high'"),
        ({"route": {"kind": 3}}, "route.kind: .* 3"),
        ({"correct": "8:/w=="}, r"different sizes \(2, 8\)"),
    ],
)
def test_records_that_make_no_sense_are_named(tmp_path, changes, message):
    folder = tmp_path / "results"
    folder.mkdir()
    records = [
        accuracy_record("reference", "lif", 0, [1, 0]),
        accuracy_record("reference", "lif", 1, [1, 1]) | changes,
    ]
    for number, record in enumerate(records):
        (folder / f"{number}.json").write_text(json.dumps(record))
    with pytest.raises(ResultsError, match=message):
        write_report(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_measurement_held_twice_is_named(results, tmp_path):
    record = trained_records("reference", "lif", 0)[0]
    record["measurements"].append({"metric": "accuracy", "value": 0.5, "unit": "fraction", "split": "test"})
    with pytest.raises(ResultsError, match=rf"record {record['key']} holds accuracy .* 2 times"):
        write_report(results([record]), tmp_path / "out")


def test_no_records_is_an_error(tmp_path):
    with pytest.raises(ResultsError, match="does not exist"):
        write_report(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ResultsError, match="holds no records"):
        write_report(tmp_path / "empty", tmp_path / "out")


def test_only_failures_still_make_a_report(results, tmp_path):
    folder = results([make_record("accuracy", "norse", "lif", 0, status="failed", error="ValueError: no")])
    text = next(p for p in write_report(folder, tmp_path / "out") if p.suffix == ".md").read_text()
    assert "ValueError: no" in text
    assert "plotly" not in (tmp_path / "out" / "quick.html").read_text().lower()


def test_reports_are_rendered_without_torch(results, tmp_path):
    folder = results(suite_of(seeds=2, frameworks=("reference",), neurons=("lif", "stl")))
    code = (
        "import sys; from pathlib import Path; from spikemark.report import write_report;"
        f"made = write_report(Path({str(folder)!r}), Path({str(tmp_path / 'out')!r}));"
        "print(len(made), sorted({'torch', 'snntorch', 'norse', 'spikingjelly'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    count, _, modules = done.stdout.strip().partition(" ")
    assert int(count) >= 7
    assert modules == "[]"


def test_records_at_hand_a_folder_and_a_packed_file_give_the_same_report(results, tmp_path):
    records = suite_of(seeds=2, frameworks=("reference",), neurons=("lif", "stl"))
    folder = results(records, "results/quick")
    (folder / "weights").mkdir()
    (folder / "weights" / "0123.safetensors").write_bytes(b"no record")
    at_hand = contents(write_report(records, tmp_path / "at-hand"))
    assert contents(write_report(folder, tmp_path / "folder")) == at_hand
    assert contents(write_report(tmp_path / "results", tmp_path / "above")) == at_hand
    packed = pack(folder)
    assert contents(write_report(packed, tmp_path / "packed")) == at_hand
    with pytest.raises(ResultsError, match="both hold a suite 'quick'"):
        write_report(tmp_path / "results", tmp_path / "twice")
    shutil.rmtree(folder)
    assert contents(write_report(tmp_path / "results", tmp_path / "packed-above")) == at_hand


def test_no_records_at_hand_is_an_error(tmp_path):
    with pytest.raises(ResultsError, match="no records"):
        write_report([], tmp_path / "out")


def test_long_names_make_no_long_file_names_and_no_warnings(results, tmp_path, recwarn):
    """Of systems and data sets, which plug-ins may name as they like; two that begin alike stay two."""
    records = suite_of(**SMALL)
    for record in records:
        for axis in ("system", "dataset"):
            if axis in record["cell"]:
                record["cell"][axis] += "x" * 300
    paths = write_report(results(records), tmp_path / "out")
    assert all(len(path.name) < 255 for path in paths)
    assert not [warning for warning in recwarn if "constrained_layout" in str(warning.message)]
    assert slug("y" * 300 + "a") != slug("y" * 300 + "b")
    assert slug("Plain name") == "plain-name"
