"""Threads, bandwidth, and the fewest bytes of a layer."""

from __future__ import annotations

import pytest
import torch

from spikemark.measures.speed.machine import bytes_moved, copy_bandwidth, pinned_threads, synchronizer


def test_threads_are_pinned_and_given_back() -> None:
    before = torch.get_num_threads()
    with pinned_threads(before + 1) as threads:
        assert threads == torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with pinned_threads(None) as threads:
        assert threads == before
    with pytest.raises(ZeroDivisionError), pinned_threads(before + 1):
        raise ZeroDivisionError
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="threads: 0"), pinned_threads(0):
        pass


def test_bandwidth_counts_bytes_read_and_written() -> None:
    ticks = iter(range(10_000))
    # A clock that moves a second with every look: one visit, however many copies, takes a second.
    bandwidth = copy_bandwidth(1 << 10, clock=lambda: float(next(ticks)))
    assert bandwidth == 2 * (1 << 10)


def test_fewest_bytes() -> None:
    tensor = 16 * 64 * 1024 * 4
    assert bytes_moved((1024,), 16, 64, torch.float32, "forward") == 2 * tensor
    assert bytes_moved((1024,), 16, 64, torch.float32, "forward+backward") == 6 * tensor
    assert bytes_moved((4, 16, 16), 16, 64, torch.bfloat16, "forward") == tensor


def test_a_processor_needs_no_waiting() -> None:
    assert synchronizer("cpu") is None
