"""What the machine gives: threads, devices, and the memory bandwidth that no layer can beat.

Knows nothing of networks, frameworks or records.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from spikemark.measures.speed.points import LayerPhase
from spikemark.measures.speed.timing import Budget, Clock, interleave

__all__ = ["LayerPhase", "bytes_moved", "copy_bandwidth", "pinned_threads", "synchronizer"]

# Passes over one tensor of currents that no implementation can do without. Forward: read currents, write spikes.
# For a backward pass, also write the membrane at fire, then read it and the incoming gradient, write the outgoing one.
_PASSES: dict[LayerPhase, int] = {"forward": 2, "forward+backward": 6}


@contextmanager
def pinned_threads(threads: int | None) -> Iterator[int]:
    """Run torch with so many threads, then with as many as before; None leaves the number as it is.

    Yields:
        The number in force.

    Raises:
        ValueError: fewer than one thread.
    """
    before = torch.get_num_threads()
    wanted = before if threads is None else threads
    if wanted < 1:
        raise ValueError(f"threads: {wanted} is below 1")
    torch.set_num_threads(wanted)
    try:
        yield wanted
    finally:
        torch.set_num_threads(before)


def synchronizer(device: str) -> Callable[[], object] | None:
    """What waits for queued work on `device`; None where work is done when the call returns."""
    return torch.cuda.synchronize if torch.device(device).type == "cuda" else None


def copy_bandwidth(
    size: int,
    threads: int | None = None,
    device: str = "cpu",
    *,
    seconds: float = 0.2,
    clock: Clock = time.perf_counter,
) -> float:
    """Bytes read plus bytes written per second by a plain copy of `size` bytes: the median of repeated copies.

    A copy that fits in a cache shows the cache's bandwidth, so choose the size of the tensors to compare with.

    Args:
        size: bytes of the copied array.
        threads: for torch; None for its present number.
        device: "cpu" or "cuda".
        seconds: how long to measure.
        clock: seconds.
    """
    source = torch.ones(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    with pinned_threads(threads):
        timings = interleave(
            {"copy": lambda: target.copy_(source)},
            Budget(seconds),
            clock=clock,
            synchronize=synchronizer(device),
        )
    return 2 * size / timings.median("copy")


def bytes_moved(shape: tuple[int, ...], steps: int, batch: int, dtype: torch.dtype, phase: LayerPhase) -> int:
    """The fewest bytes that a layer must move to and from memory, all T steps being one fused kernel.

    Forward without gradient: read the currents, write the spikes. Forward and backward, six passes: those two, write
    the membrane at fire (spikes follow from it), read it again, read the gradient of the spikes, write that of the
    currents. Parameters and their gradients are left out: T * B times smaller.

    Args:
        shape: of the features.
        steps: T.
        batch: B.
        dtype: of currents, spikes, membrane and gradients.
        phase: what is timed.
    """
    return _PASSES[phase] * steps * batch * math.prod(shape) * dtype.itemsize
