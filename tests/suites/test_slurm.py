"""The recipe for Slurm, with a stand-in for its commands that runs the scripts here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spikemark.suites.records import load_records

pytest.importorskip("dask_jobqueue", reason="dask-jobqueue is not installed")
SCRIPT = Path(__file__).parents[2] / "docs" / "slurm_cluster.py"
SBATCH = """#!/bin/sh
cp "$1" {folder}/script
setsid sh {folder}/script > {folder}/job.log 2>&1 &
echo "$!" >> {folder}/jobs
echo "Submitted batch job $!"
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """A folder for certificates; `sbatch` and `scancel` on the path."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in {"sbatch": SBATCH.format(folder=tmp_path), "scancel": '#!/bin/sh\nkill -- "-$1"\n'}.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


def recipe(folder, *arguments):
    command = [sys.executable, SCRIPT, "--interface", "lo", "--tls", folder / "tls", *arguments]
    return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_the_script_of_a_job(slurm):
    out, err = recipe(slurm, "--dry-run", "--data", "/scratch", "--queue", "long").communicate(timeout=60)
    lines = out.splitlines()
    assert {"#SBATCH -n 1", "#SBATCH --cpus-per-task=1", "#SBATCH -p long", "#SBATCH -t 04:00:00"} <= set(lines), err
    assert "export SPIKEMARK_DATA=/scratch" in lines
    (worker,) = (line for line in lines if "dask_worker" in line)
    assert "--nthreads 1 " in worker
    assert f"--tls-key {slurm / 'tls' / 'key.pem'}" in worker
    assert "tls://127.0.0.1" in worker
    assert (slurm / "tls" / "key.pem").stat().st_mode & 0o77 == 0


def test_a_suite_on_slurm(slurm):
    head = recipe(slurm, "--jobs", 1)
    try:
        command = head.stdout.readline().split()
        assert command[:3] == ["spikemark", "run", "SUITE"], head.stderr.read()
        smoke = ["smoke", "--only", "measure=conformance", "--out", str(slurm / "out"), *command[3:]]
        done = subprocess.run(
            [sys.executable, "-m", "spikemark", "run", *smoke], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        assert len(load_records(slurm / "out")) == 2
    finally:
        head.terminate()
        head.wait(timeout=30)
        for group in (slurm / "jobs").read_text().split():
            subprocess.run(["kill", "--", f"-{group}"], check=False, stderr=subprocess.DEVNULL)
