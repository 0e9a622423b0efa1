"""Committed tables and figures are what `spikemark report` makes of the committed records, byte for byte."""

from importlib.metadata import version
from pathlib import Path

import pytest

from spikemark.report import write_report

ROOT = Path(__file__).parent.parent.parent


def _other_versions():
    pinned = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    return [name for name in ("matplotlib", "plotly", "pandas", "scipy", "numpy") if version(name) != pinned[name]]


@pytest.mark.parametrize("report", sorted((ROOT / "reports").glob("*.md")), ids=lambda path: path.stem)
def test_every_report_opens_with_what_it_says(report):
    title, _, heading, _, *lines = report.read_text(encoding="utf-8").splitlines()
    assert title.startswith("# ")
    assert heading == "## What this says"
    assert lines[0].startswith("- ")


@pytest.mark.skipif(bool(_other_versions()), reason=f"other versions than constraints.txt: {_other_versions()}")
@pytest.mark.parametrize("suite", [path.name.split(".")[0] for path in sorted((ROOT / "results").glob("*.tar.xz"))])
def test_committed_reports_follow_from_the_committed_records(suite, tmp_path):
    written = write_report(ROOT / "results" / f"{suite}.records.tar.xz", tmp_path)
    assert written
    for path in written:
        if path.suffix == ".html":
            continue
        committed = ROOT / "reports" / path.name
        assert path.read_bytes() == committed.read_bytes(), f"{path.name} differs; run: spikemark report"
