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
def make():
    for _ in range(20):
        torch.ones(12 * 2**20)  # 48 MiB: more than glibc ever keeps of itself

make()  # blocks find their places only after some rounds, since they are aligned
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
make()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how):
    """Page faults of making twenty tensors of 48 MiB, after twenty others were freed."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not keep_freed_memory(), reason="this C library has no mallopt")
def test_freed_memory_costs_no_page_faults():
    pages = 20 * 48 * 2**20 // resource.getpagesize()
    assert faults("leave") > 0.9 * pages
    assert faults("keep") < 0.5 * pages
