"""Memory that is freed stays with the process."""

import resource
import subprocess
import sys

import pytest

from spikemark.core.allocator import keep_freed_memory

PROGRAM = """
import resource, sys
import torch
from spikemark.core.allocator import keep_freed_memory

if sys.argv[1] == "keep":
    assert keep_freed_memory()
for _ in range(3):
    torch.ones(12 * 2**20)  # 48 MiB: more than glibc ever keeps of itself
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(3):
    torch.ones(12 * 2**20)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    """Page faults of making three tensors of 48 MiB, after three others were freed."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not keep_freed_memory(), reason="this C library has no mallopt")
def test_freed_memory_costs_no_page_faults():
    pages = 3 * 48 * 2**20 // resource.getpagesize()
    assert faults("keep") < pages / 100
    assert faults("leave") > faults("keep")
