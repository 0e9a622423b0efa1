"""Joules, as the counters of the machine tell them: RAPL for processors and memory, NVML for GPUs, both read by zeus.

zeus is asked in a process of its own. It starts further ones by `multiprocessing`, each of which would import the
caller's main module again, and which a cluster's workers may not have. The counters are the machine's, so it makes no
difference who reads them. Nothing here imports torch. Energy is never made from time and a nominal power: what has no
counter is not measured.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NoReturn

from spikemark.errors import InputError, needs

RAPL, RAPL_DRAM, NVML, AMDSMI = "rapl", "rapl-dram", "nvml", "amdsmi"
"""Sources: all packages of the processors; their memory, where they tell it; the board of the GPU that computes."""


class NoCounterError(ValueError):
    """The machine has no counter for the device, whoever asks; the message says what was looked for."""


@dataclass(frozen=True)
class Reading:
    """What one window took.

    Attributes:
        seconds: between its two ends, as the reader of the counters saw them.
        joules: by source.
    """

    seconds: float
    joules: Mapping[str, float]


class JouleCounter:
    """The counters of one device, while they are open.

    Attributes:
        sources: that are read.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        told = self._answer()
        if "missing" in told:
            raise (InputError if told["mendable"] else NoCounterError)(told["missing"])
        self.sources: tuple[str, ...] = tuple(told["sources"])

    def begin(self) -> None:
        """Begin a window."""
        self._ask("begin")

    def end(self) -> Reading:
        """End the window that was begun last."""
        told = self._ask("end")
        return Reading(told["seconds"], told["joules"])

    def _ask(self, word: str) -> Any:
        assert self._process.stdin is not None
        try:
            print(word, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            self._fail()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else self._fail()

    def _fail(self) -> NoReturn:
        raise InputError("the process that reads the energy counters ended; its last words are above")


@contextmanager
def joule_counter(gpu: int | None) -> Iterator[JouleCounter]:
    """The counters of the processors, and of a GPU.

    Args:
        gpu: its number for torch; None where the processors compute.

    Raises:
        NoCounterError: the device that computes has none.
        InputError: it has one that may not be read, or zeus is missing.
    """
    with needs("joules", "measured energy"):
        import zeus  # noqa: F401 (the process below imports what it needs of it)
    path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
    # In a session of its own: Ctrl-C is for whoever asked, and ends the process by closing its input.
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, *([] if gpu is None else [str(gpu)])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": path},
        start_new_session=True,
    )
    with process:
        try:
            yield JouleCounter(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def serve(gpu: int | None, asked: IO[str], answers: IO[str]) -> None:
    """The reader's life: say what can be read, then read windows until the other side goes away."""
    from zeus.device.cpu.common import ZeusCPUNoPermissionError
    from zeus.exception import ZeusBaseError
    from zeus.monitor import ZeusMonitor

    def answer(**told: Any) -> None:
        print(json.dumps(told), file=answers, flush=True)

    try:
        cpus = _processors(needed=gpu is None)
        gpus = {} if gpu is None else {gpu: _name_of(gpu)}
        monitor = ZeusMonitor(gpu_indices=[*gpus], cpu_indices=cpus)
        monitor.begin_window("trial", sync_execution=False)
        sources = [*_joules(monitor.end_window("trial", sync_execution=False), gpus)]
    except ZeusCPUNoPermissionError as error:
        answer(missing=f"the energy counter of the processor may not be read: {_line(error)}", mendable=True)
        return
    except (ZeusBaseError, NoCounterError) as error:
        device = "the processor" if gpu is None else f"GPU {gpu}"
        answer(missing=f"no energy counter of {device}: {_line(error)}", mendable=False)
        return
    answer(sources=sources)
    for word in asked:
        if word.strip() == "begin":
            monitor.begin_window("window", sync_execution=False)
            answer()
        else:
            read = monitor.end_window("window", sync_execution=False)
            answer(seconds=read.time, joules=_joules(read, gpus))


def _processors(*, needed: bool) -> list[int]:
    """The packages that RAPL tells of; where they are not what computes, none if it tells nothing."""
    from zeus.device import get_cpus
    from zeus.device.cpu import rapl_is_available
    from zeus.exception import ZeusBaseError

    try:
        found = list(range(len(get_cpus()))) if rapl_is_available() else []
    except ZeusBaseError:
        if needed:
            raise
        return []
    if needed and not found:
        raise NoCounterError(
            "there is no RAPL (/sys/class/powercap/intel-rapl), which containers and most virtual machines hide"
        )
    return found


def _name_of(gpu: int) -> str:
    """Who counts the joules of a GPU."""
    from zeus.device import get_gpus
    from zeus.device.gpu import NVIDIAGPUs

    gpus = get_gpus()
    if gpu >= len(gpus) or not gpus.supports_get_total_energy_consumption(gpu):
        raise NoCounterError("it counts no joules (those of NVIDIA do since Volta)")
    return NVML if isinstance(gpus, NVIDIAGPUs) else AMDSMI


def _joules(read: Any, gpus: Mapping[int, str]) -> dict[str, float]:
    """By source, of what zeus measured in a window; what it could not read is None there."""
    found = {name: read.gpu_energy[gpu] for gpu, name in gpus.items()}
    for name, packages in ((RAPL, read.cpu_energy), (RAPL_DRAM, read.dram_energy)):
        if packages:
            found[name] = sum(packages.values())
    return found


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


if __name__ == "__main__":
    with redirect_stdout(sys.stderr):  # what zeus prints is no answer
        serve(int(sys.argv[1]) if len(sys.argv) > 1 else None, sys.stdin, sys.__stdout__ or sys.stdout)
