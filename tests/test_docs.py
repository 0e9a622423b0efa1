"""The worked examples of the documentation run as they stand, in the order of the page."""

import json
import re
from pathlib import Path

import pytest

from spikemark.measures.energy import read_profiles

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


@pytest.mark.parametrize("path", sorted([*DOCS.rglob("*.md"), DOCS.parent / "README.md"]), ids=lambda p: p.name)
def test_links_inside_the_repository_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)", path.read_text()):
        if "://" not in target:
            assert (path.parent / target).exists(), target


def test_tables_of_the_readme_stand_in_the_committed_report():
    report = (DOCS.parent / "reports" / "quick.md").read_text().splitlines()
    rows = [line for line in (DOCS.parent / "README.md").read_text().splitlines() if "| mlp-" in line]
    assert len(rows) == 4
    assert set(rows) <= set(report)


BLOCK = re.compile(r"^```python\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)


def test_the_walk_to_the_table_of_a_paper_takes_ten_lines(capsys):
    """From a public model to LaTeX; and the profile that the page shows is one."""
    for package in ("norse", "jinja2", "tabulate"):
        pytest.importorskip(package)
    page = (DOCS / "energy.md").read_text()
    (walk,) = (block for block in BLOCK.findall(page) if "energy_table" in block)
    assert len([line for line in walk.splitlines() if line]) <= 10
    names: dict[str, object] = {"__name__": "energy"}
    exec(compile(walk, "energy.md", "exec"), names)
    assert names["latex"].startswith(r"\begin{table}")
    assert "dense network, one pass, 8 bits" in names["latex"]
    assert "Spikemark" in capsys.readouterr().out


def test_the_profile_of_the_page_is_one(tmp_path):
    (block,) = re.findall(r"^```toml\n(.*?)^```", (DOCS / "energy.md").read_text(), flags=re.MULTILINE | re.DOTALL)
    (tmp_path / "mine.toml").write_text(block)
    assert [*read_profiles(tmp_path / "mine.toml")["mine"].narrow] == [8]


def test_own_models_run_in_at_most_ten_lines(monkeypatch):
    """Five networks of four kinds of framework, each measured whole; and one of SpikingJelly's zoo."""
    for framework in ("snntorch", "spikingjelly", "norse"):
        pytest.importorskip(framework)
    page = DOCS / "own_models.md"
    _, imports, *models = BLOCK.findall(page.read_text())
    names: dict[str, object] = {"__name__": page.stem}
    exec(compile(imports, page.name, "exec"), names)
    frameworks = []
    assert len(models) == 6
    for block in models[:5]:
        assert len([line for line in block.splitlines() if line]) <= 10, block
        exec(compile(block, page.name, "exec"), names)
        records = names["results"].records
        frameworks.append(records[0]["cell"]["framework"])
        assert [record["cell"]["measure"] for record in records] == ["accuracy", "robustness", "energy", "throughput"]
        assert {record["status"] for record in records} <= {"ok", "degenerate"}, records[0]["error"]
        found = {row["metric"] for record in records for row in record["measurements"]}
        assert found >= {"accuracy", "macs", "acs", "energy", "samples_per_second", "latency", "peak_memory"}
    assert frameworks == ["snntorch", "snntorch", "spikingjelly", "norse", "torch"]
    exec(compile(models[5], page.name, "exec"), names)
    energy = {row["metric"]: row["value"] for row in names["results"].records[1]["measurements"] if "layer" not in row}
    assert energy["acs"] > 0
    of_layers = 64 * 16**2 + 4 * (64 * 8**2 + 128 * 4**2 + 256 * 2**2 + 512)
    assert energy["neuron_updates"] == 2 * of_layers


def test_the_badge_of_the_readme_says_what_the_matrix_found():
    found = json.loads((DOCS.parent / "reports" / "conformance-badge.json").read_text())
    badge = (DOCS / "badges" / "conformance.svg").read_text()
    assert f"<title>{found['label']}: {found['message']}</title>" in badge
    assert f"{found['label'].capitalize()}: {found['message']}]" in (DOCS.parent / "README.md").read_text()


def test_tests_that_the_page_on_own_models_names_are_there():
    file, named = "", 0
    for place in re.findall(r"`((?:tests/[\w/]+\.py)?::test_\w+)`", (DOCS / "own_models.md").read_text()):
        path, _, name = place.partition("::")
        file = path or file
        assert f"def {name}(" in (DOCS.parent / file).read_text(), place
        named += 1
    assert named >= 12
