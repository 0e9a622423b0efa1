"""The action, the workflow around it, and the page that shows both: followed as they stand, without a runner."""

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import action_steps
import pytest
import yaml
from action_steps import ACTION, COMPARE, KEEP, ROOT, contexts_of, resolve_uses, run_step
from made_records import counted, row
from test_ab import BACKEND, commit, git

BLOCKS = re.findall(r"^```yaml\n(.*?)^```", (ROOT / "docs" / "ci.md").read_text(), flags=re.MULTILINE | re.DOTALL)
PAGES = [yaml.safe_load(block) for block in BLOCKS]
SCRIPT = re.search(r"^```python\n(.*?)^```", (ROOT / "docs" / "ci.md").read_text(), flags=re.MULTILINE | re.DOTALL)[1]
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "framework.yml").read_text())
SLOW = "def step():\n    return sum(range({}))\n"


@pytest.fixture
def on_path(tmp_path, monkeypatch):
    """`spikemark` and `python` as the step finds them: those of this interpreter."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "spikemark").write_text(f"#!/bin/sh\nexec '{sys.executable}' -m spikemark \"$@\"\n")
    (folder / "spikemark").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{Path(sys.executable).parent}:/usr/bin:/bin")


@pytest.fixture
def clone(tmp_path):
    """A framework's repository, with the script of the page."""
    folder = tmp_path / "clone"
    (folder / "benchmarks").mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        '[project]\nname = "tinyproject"\nversion = "1"\n'
    )
    (folder / "backend.py").write_text(BACKEND)
    (folder / "benchmarks" / "cases.py").write_text(SCRIPT.replace("mylayers", "tinyproject"))
    commit(folder, SLOW.format(2000), "first")
    return folder


def inputs_of(page, **further):
    """What reaches the action when a repository has this workflow."""
    job = page["jobs"]["spikemark"]
    if "uses" not in job:
        (with_,) = [one.get("with", {}) for one in job["steps"] if one["uses"].startswith("OWNER/spikemark@")]
        return resolve_uses(with_ | further)
    path = re.fullmatch(r"OWNER/spikemark/(\.github/workflows/\w+\.yml)@main", job["uses"])[1]
    assert (ROOT / path).exists()
    declared = WORKFLOW[True]["workflow_call"]["inputs"]  # YAML reads "on" as true
    assert set(job["with"]) <= set(declared)
    given = {f"inputs.{name}": str(job["with"].get(name, one.get("default"))) for name, one in declared.items()}
    last = WORKFLOW["jobs"]["measure"]["steps"][-1]
    assert last["uses"] == "./.spikemark"
    with_ = {name: action_steps.evaluated(text, given) for name, text in last["with"].items()}
    return resolve_uses(with_ | further)


def test_scripts_take_their_inputs_from_the_environment():
    """What an expression puts into a script would be run, whoever wrote the input."""
    files = [ACTION["runs"]["steps"]]
    for path in sorted((ROOT / ".github" / "workflows").glob("*.yml")):
        files += [job.get("steps", []) for job in yaml.safe_load(path.read_text())["jobs"].values()]
    scripts = [one["run"] for steps in files for one in steps if "run" in one]
    assert len(scripts) >= 6
    for script in scripts:
        assert "${{" not in script
        assert subprocess.run(["bash", "-n", "-c", script], check=False).returncode == 0


def test_what_the_workflow_hands_on_is_what_the_action_takes():
    three = inputs_of(PAGES[0])
    assert three == resolve_uses({"package": "snntorch"})
    step = inputs_of(PAGES[1])
    assert (step["package"], step["threshold"]) == ("snntorch", "3%")
    declared = set(WORKFLOW[True]["workflow_call"]["inputs"])
    assert set(ACTION["inputs"]) - declared == {"install", "token"}
    assert declared - set(ACTION["inputs"]) == {"python-version"}
    page = (ROOT / "docs" / "ci.md").read_text()
    assert all(f"| `{name}` |" in page for name in declared)


def test_three_lines_measure_the_package_that_they_name(clone, on_path, tmp_path):
    """In a clone of something else they say so; tests/regression/action_steps.py follows them in real clones."""
    head = commit(clone, SLOW.format(2100), "change")
    contexts = contexts_of(
        inputs_of(PAGES[0]), tmp_path, event__pull_request__base__sha="HEAD~1", event__pull_request__head__sha=head
    )
    done = run_step(COMPARE, clone, contexts)
    assert done.returncode == 2
    assert "installs tinyproject, not snntorch" in done.stderr


def test_own_cases_as_the_page_has_them(clone, on_path, tmp_path):
    base = git(clone, "rev-parse", "HEAD")
    head = commit(clone, SLOW.format(6000), "slower")
    (tmp_path / "summary.md").touch()
    github = {"event__pull_request__base__sha": base, "event__pull_request__head__sha": head}
    contexts = contexts_of(inputs_of(PAGES[2], budget="8"), tmp_path, **github)
    done = run_step(COMPARE, clone, contexts, GITHUB_STEP_SUMMARY=str(tmp_path / "summary.md"))
    assert done.returncode == 1, done.stderr
    assert "::error title=Spikemark%3A step::time is slower" in done.stdout
    results = tmp_path / "spikemark"
    assert (results / "comment.md").read_text().startswith("<!-- spikemark-compare -->")
    assert json.loads((results / "comparison.json").read_text())["passed"] is False
    assert 'failures="1"' in (results / "junit.xml").read_text()
    assert "SLOWER" in (tmp_path / "summary.md").read_text()


def pushed(origin, tmp_path, name):
    folder = tmp_path / name
    subprocess.run(["git", "clone", "-q", str(origin), str(folder)], check=True)
    return folder


def kept(origin):
    names = git(origin, "ls-tree", "--name-only", "spikemark-history", "history/").split()
    return [
        [json.loads(line) for line in git(origin, "show", f"spikemark-history:{name}").splitlines()] for name in names
    ]


def test_history_is_kept_in_a_branch_and_pushes_at_once_lose_nothing(clone, folder, on_path, tmp_path):
    """Jobs of three commits push at the same time; one of them is run again, as a job may be."""
    subprocess.run(["git", "clone", "-q", "--bare", str(clone), str(tmp_path / "origin.git")], check=True)
    origin = tmp_path / "origin.git"

    def job(commit, value):
        runner = tmp_path / f"runner-{commit}"
        if not runner.exists():
            folder(f"runner-{commit}-records", counted(row("macs", value)))
            (runner / "spikemark").mkdir(parents=True)
            (tmp_path / f"runner-{commit}-records").rename(runner / "spikemark" / "records")
        where = runner / "clone"
        if not where.exists():
            pushed(origin, tmp_path, f"runner-{commit}/clone")
        inputs = resolve_uses({"package": "snntorch", "history": "spikemark-history"})
        return run_step(KEEP, where, contexts_of(inputs, runner, sha=commit))

    first = job("aaa", 5.0)
    assert first.returncode == 0, first.stderr
    with ThreadPoolExecutor(2) as pool:
        at_once = list(pool.map(job, ("bbb", "ccc"), (5.0, 5.0)))
    assert [done.returncode for done in at_once] == [0, 0], [done.stderr for done in at_once]
    assert job("bbb", 5.0).returncode == 0
    (series,) = kept(origin)
    assert series[0]["commit"] == "aaa"
    assert sorted(entry["commit"] for entry in series) == ["aaa", "bbb", "ccc"]
    assert git(origin, "rev-list", "--count", "spikemark-history") == "3"
    assert git(origin, "ls-tree", "-r", "--name-only", "spikemark-history").count("\n") == 0
    worse = job("ddd", 6.0)
    assert worse.returncode == 1
    assert "worse since ddd" in worse.stdout
    assert (tmp_path / "runner-ddd" / "spikemark" / "history.html").exists()
