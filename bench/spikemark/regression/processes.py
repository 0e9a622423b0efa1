"""Runs commands for both sides: quietly, and two at a time."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from spikemark.errors import InputError

_RUNNING: set[subprocess.Popen[str]] = set()
Result = TypeVar("Result")


def in_parallel(*works: Callable[[], Result]) -> list[Result]:
    """Results of works that wait for processes, one thread each; an interrupt ends their processes."""
    with ThreadPoolExecutor(len(works)) as pool:
        futures = [pool.submit(work) for work in works]
        try:
            return [future.result() for future in futures]
        except BaseException:
            for future in futures:
                future.cancel()
            for process in list(_RUNNING):
                process.kill()
            raise


def run_quietly(
    command: Sequence[str],
    folder: Path,
    *,
    what: str,
    timeout: float,
    fine: Sequence[int] = (0,),
    environment: dict[str, str] | None = None,
) -> str:
    """Run a command with one thread and a fixed hash seed; its standard output.

    Args:
        command: its words.
        folder: where it runs.
        what: it does, for messages.
        timeout: in seconds.
        fine: statuses that are no failure.
        environment: further variables.

    Raises:
        InputError: it failed, took too long, or does not exist; the message ends with its last line.
    """
    quiet = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    quiet |= {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"} | (environment or {})
    try:
        process = subprocess.Popen(
            command, cwd=folder, env=quiet, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    except OSError as error:
        raise InputError(f"{what}: cannot run {command[0]} ({error.strerror})") from None
    _RUNNING.add(process)
    try:
        shown, said = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise InputError(f"{what} took more than {timeout:g} s") from None
    finally:
        process.kill()
        process.wait()
        _RUNNING.discard(process)
    if process.returncode not in fine:
        last = next((line for line in reversed(said.strip().splitlines()) if line.strip()), "no message")
        raise InputError(f"{what} failed with status {process.returncode}: {last.strip()}")
    return shown
