"""Memory and first call of work in a fresh process."""

from __future__ import annotations

import mmap
import os
import signal
import sys
import time
from dataclasses import dataclass

import pytest
import torch

from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.measures.speed.footprint import FootprintError, footprint
from spikemark.measures.speed.layer_work import LayerWork

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="peak memory is read from Linux's /proc")
MIB = 1 << 20
# Linux counts resident pages for each processor and adds batches of them up (percpu_counter): either of the two
# readings may leave out what has not been added yet.
_CPUS = os.cpu_count() or 1
RESOLUTION = 2 * max(32, 2 * _CPUS) * _CPUS * mmap.PAGESIZE


@dataclass(frozen=True)
class Allocate:
    """Keeps `kept` MiB from building on, then takes `taken` MiB for a moment, after a first call of its own."""

    kept: int = 0
    taken: int = 0
    first: float = 0.0
    threads: int = 1
    device: str = "cpu"

    def build(self):
        kept = torch.ones(self.kept * MIB // 4)
        torch.ones(2 * self.taken * MIB // 4)  # gone before the run, so no part of it
        return lambda: time.sleep(self.first), lambda: (torch.ones(self.taken * MIB // 4), kept)


@dataclass(frozen=True)
class Fail(Allocate):
    """Goes wrong in its process."""

    how: str = "raise"

    def build(self):
        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ZeroDivisionError("as planned")


class Unknown(Allocate):
    """Cannot be imported by the process."""


def test_peak_is_what_the_run_adds() -> None:
    for taken in (0, 100, 30):
        seen = footprint(Allocate(kept=50, taken=taken))
        assert taken * MIB - RESOLUTION <= seen.peak_memory < (taken + 4) * MIB


def test_first_call_is_timed_apart() -> None:
    assert footprint(Allocate(first=0.1)).first_call >= 0.1


def test_every_measurement_has_a_process_of_its_own() -> None:
    layer = LayerWork(get_adapter("reference"), NEURONS["stl"], (4096,), 8, 64)
    seen = [footprint(layer).peak_memory for _ in range(2)]
    tensor = 8 * 64 * 4096 * 4
    assert min(seen) > 3 * tensor
    assert max(seen) - min(seen) < tensor // 2


@pytest.mark.parametrize(("work", "message"), [(Fail(), "as planned"), (Fail(how="kill"), "signal 9")])
def test_a_failure_is_told_and_the_next_one_works(work: Allocate, message: str) -> None:
    with pytest.raises(FootprintError, match=message):
        footprint(work)
    assert footprint(Allocate()).peak_memory < 4 * MIB


def test_work_that_the_process_cannot_import(monkeypatch: pytest.MonkeyPatch) -> None:
    footprint(Allocate())
    module = type(sys)("only_here")
    monkeypatch.setitem(sys.modules, "only_here", module)
    monkeypatch.setattr(Unknown, "__module__", "only_here")
    module.Unknown = Unknown  # type: ignore[attr-defined]
    with pytest.raises(FootprintError, match="No module named 'only_here'"):
        footprint(Unknown())
