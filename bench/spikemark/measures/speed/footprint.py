"""Peak memory and first call of a piece of work, seen from a fresh process.

In a process that has worked before, freed memory is used again and compiled code is at hand, so neither number means
much. Starting an interpreter and importing torch takes seconds, so one helper process imports what the work needs and
forks itself for every measurement: the fork has the imports, but has never computed. The helper is started by plain
`subprocess`, since a cluster's workers may not have children of `multiprocessing`. Peaks on a CPU need Linux, which
counts resident pages in batches: they are right to a few hundred KiB.
"""

from __future__ import annotations

import atexit
import os
import pickle
import re
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Protocol

import torch

from spikemark.measures.speed.machine import synchronizer
from spikemark.registry import PluginError, load_plugin, loaded_plugins

Run = Callable[[], object]

# With a fixed threshold glibc gives every larger tensor back when it is freed. Left to itself it keeps some, depending
# on the order of sizes, and the peak of one and the same work was seen to differ by half from run to run.
_MALLOC = {"MALLOC_MMAP_THRESHOLD_": "65536"}


class FootprintError(RuntimeError):
    """The work failed in its fresh process; the message holds the traceback."""


class Work(Protocol):
    """What is measured: an object that can be pickled."""

    @property
    def threads(self) -> int:
        """For torch."""

    @property
    def device(self) -> str:
        """Either "cpu" or "cuda"."""

    def build(self) -> tuple[Run, Run]:
        """A small run of the work, and the whole of it; what they need is made here."""


@dataclass(frozen=True)
class Footprint:
    """What a fresh process saw.

    Attributes:
        first_call: seconds of the first small run: compiling, loading code, starting threads.
        peak_memory: bytes by which the whole run then raised memory at its peak: the resident set on a CPU, what
            torch had allocated on a GPU.
    """

    first_call: float
    peak_memory: int


def can_measure(device: str) -> bool:
    """Whether peaks can be measured for `device` on this system."""
    return sys.platform.startswith("linux") or torch.device(device).type == "cuda"


def footprint(work: Work) -> Footprint:
    """Build and run `work` in a fresh process.

    Raises:
        FootprintError: it failed there, or its process was killed.
    """
    return _HELPER.ask(work)


def _measure(work: Work) -> Footprint:
    torch.set_num_threads(work.threads)
    small, whole = work.build()
    synchronize = synchronizer(work.device) or (lambda: None)
    synchronize()
    start = time.perf_counter()
    small()
    synchronize()
    first_call = time.perf_counter() - start
    peak = _peak_resident if torch.device(work.device).type == "cpu" else _peak_allocated
    return Footprint(first_call, peak(whole))


def _peak_resident(run: Run) -> int:
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts again from the present size
    before = _status("VmRSS")
    run()
    return max(0, _status("VmHWM") - before)


def _status(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


def _peak_allocated(run: Run) -> int:
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    run()
    torch.cuda.synchronize()
    return int(torch.cuda.max_memory_allocated() - before)


class _Helper:
    """The process that forks, started when first asked."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: Connection | None = None

    def ask(self, work: Work) -> Footprint:
        connection = self._connection or self._start()
        try:
            connection.send_bytes(pickle.dumps((loaded_plugins(), pickle.dumps(work))))
            answer = connection.recv()
        except (EOFError, OSError) as error:
            self.close()
            raise FootprintError("the process that measures memory ended; its last words are above") from error
        if isinstance(answer, Footprint):
            return answer
        raise FootprintError(f"measuring memory in a fresh process failed:\n{answer}")

    def _start(self) -> Connection:
        self._connection, theirs = Pipe()
        program = f"from spikemark.measures.speed.footprint import serve; serve({theirs.fileno()})"
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        environment = os.environ | _MALLOC | {"PYTHONPATH": path}
        # In a session of its own: Ctrl-C is for whoever asked, and ends the helper by closing the connection.
        self._process = subprocess.Popen(
            [sys.executable, "-c", program], env=environment, pass_fds=[theirs.fileno()], start_new_session=True
        )
        theirs.close()
        atexit.register(self.close)
        return self._connection

    def close(self) -> None:
        """End the process."""
        if self._connection is not None and self._process is not None:
            self._connection.close()
            self._process.wait()
            self._connection = self._process = None


_HELPER = _Helper()


def serve(descriptor: int) -> None:
    """The helper's life: take work, fork, let the fork answer; until the other side goes away."""
    connection: Connection = Connection(descriptor)
    while True:
        try:
            payload = connection.recv_bytes()
        except EOFError:
            return
        try:
            plugins, pickled = pickle.loads(payload)
            for plugin in plugins:
                load_plugin(plugin)
            work = pickle.loads(pickled)  # imports the framework once, for all forks to come
        except (ImportError, PluginError, AttributeError, pickle.UnpicklingError):
            connection.send(traceback.format_exc())
            continue
        child = os.fork()
        if child == 0:
            _answer(connection, work)
        _, status = os.waitpid(child, 0)
        if status != 0:
            connection.send(f"its process was ended by signal {os.WTERMSIG(status)} (9: often out of memory)")


def _answer(connection: Connection, work: Work) -> None:
    """In the fork: measure, answer, and go without the helper's clean-up."""
    try:
        connection.send(_measure(work))
    except BaseException:
        connection.send(traceback.format_exc())
        raise
    finally:
        os._exit(0)
