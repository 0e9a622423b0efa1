"""The worked examples of the documentation run as they stand, in the order of the page."""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parent.parent / "docs"


@pytest.mark.usefixtures("registries_as_before")
def test_examples_of_extending_run():
    """All but the files of the foreign package, which `test_foreign_package` installs and runs."""
    page = DOCS / "extending.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    files = {path.read_text() for path in (Path(__file__).parent / "foreign_package").rglob("*.py")}
    own = [block for block in blocks if block not in files]
    assert len(own) == 3
    assert len(blocks) - len(own) == len(files) - 1  # no example of `__init__.py`
    exec(compile("\n".join(own), page.name, "exec"), {"__name__": page.name})


@pytest.mark.parametrize("path", sorted([*DOCS.glob("*.md"), DOCS.parent / "README.md"]), ids=lambda p: p.name)
def test_links_inside_the_repository_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_tables_of_the_readme_stand_in_the_committed_report():
    report = (DOCS.parent / "reports" / "quick.md").read_text().splitlines()
    rows = [line for line in (DOCS.parent / "README.md").read_text().splitlines() if "| mlp-" in line]
    assert len(rows) == 6
    assert set(rows) <= set(report)
