"""The worked examples of the documentation run as they stand, in the order of the page."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.parametrize("page", ["extending.md"])
def test_examples_run(page):
    text = (DOCS / page).read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert blocks
    exec(compile("\n".join(blocks), page, "exec"), {"__name__": page})


@pytest.mark.parametrize("path", sorted([*DOCS.glob("*.md"), DOCS.parent / "README.md"]), ids=lambda p: p.name)
def test_links_inside_the_repository_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_tables_of_the_readme_stand_in_the_committed_report():
    report = (DOCS.parent / "reports" / "quick.md").read_text().splitlines()
    rows = [line for line in (DOCS.parent / "README.md").read_text().splitlines() if line.startswith("| mlp-")]
    assert len(rows) == 4
    assert set(rows) <= set(report)
