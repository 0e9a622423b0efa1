"""The tutorials run as they stand: blocks with a title are files, those of shell and Python are run in their order."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = Path(__file__).parent.parent / "docs" / "tutorials"
BLOCK = re.compile(r'^```(\w+)(?: title="([\w.]+)")?\n(.*?)^```', flags=re.MULTILINE | re.DOTALL)
LEAVES = {
    "model": ("trained.safetensors", "report/evaluate.html"),
    "neuron": ("results/mine/report/mine.html",),
    "noise": ("sweep.csv", "report/sweep.html"),
    "gate": ("history.html",),
    "cluster": ("results/smoke", "report/smoke.html"),
}


@pytest.fixture
def environment(tmp_path):
    """With a command `spikemark` of this very tree."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "spikemark").write_text(f"#!/bin/sh\nexec '{sys.executable}' -m spikemark \"$@\"\n")
    (folder / "spikemark").chmod(0o755)
    path = f"{folder}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}


def test_every_tutorial_is_run():
    assert {path.stem for path in TUTORIALS.glob("*.md")} == set(LEAVES)


@pytest.mark.parametrize("name", LEAVES)
def test_tutorial(name, tmp_path, environment):
    folder = tmp_path / "work"
    folder.mkdir()
    for language, title, text in BLOCK.findall((TUTORIALS / f"{name}.md").read_text()):
        if title:
            (folder / title).write_text(text)
            continue
        command = {"sh": ["bash", "-e", "-c", text], "python": [sys.executable, "-c", text]}[language]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
    for left in LEAVES[name]:
        assert (folder / left).exists(), [str(path.relative_to(folder)) for path in folder.rglob("*.html")]
