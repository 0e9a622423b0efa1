"""Compiled loops, where machine code can be kept and where it cannot."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import spikemark

COUNT = """
import torch
from spikemark import count_operations
print(count_operations(torch.nn.Linear(4, 2), torch.ones(2, 3, 4)).acs)
"""
KERNELS = "import spikemark.methods.first_spike.kernels, spikemark.methods.sleep.kernels; print(16.0)"


@pytest.mark.parametrize("code", [COUNT, KERNELS])
def test_a_read_only_installation_without_a_home_counts_all_the_same(tmp_path, code):
    """Files stand where the caches would be made, which stops even root."""
    copy = tmp_path / "spikemark"
    shutil.copytree(Path(spikemark.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in [path for path in [copy, *copy.rglob("*")] if path.is_dir()]:
        (folder / "__pycache__").write_text("")
    places = {"HOME": "/dev/null/nowhere", "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    others = {name: value for name, value in os.environ.items() if name not in ("NUMBA_CACHE_DIR", "XDG_CACHE_HOME")}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=others | places, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == 16.0
