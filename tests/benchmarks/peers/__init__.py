"""Contenders of `test_training_step.py` that need a process of their own: JAX, and other commits of Spikemark.

A program here makes one training step for every line that it reads, and answers each with its loss and the processor
time that it has taken so far. So such a process takes turns with contenders of this one.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


class Peer:
    """A process that makes a training step when called.

    Attributes:
        processor: seconds of processor time that it had taken when it answered last.
    """

    def __init__(self, command: list[str], environment: Mapping[str, str]) -> None:
        self.processor = 0.0
        self._process: subprocess.Popen[str] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | environment
        )

    def __call__(self) -> float:
        """One step; its loss."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("step\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self._process.args!r} ended with status {self._process.wait()}")
        loss, self.processor = map(float, answer.split())
        return loss

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@contextmanager
def peer(python: str | Path, program: str, arguments: Mapping[str, Any], **environment: str) -> Iterator[Peer]:
    """A program of this folder under an interpreter, gone afterwards.

    Args:
        python: the interpreter.
        program: its name.
        arguments: of the program, as ``NAME=VALUE``.
        environment: further variables.
    """
    found = Peer([str(python), str(HERE / program), *(f"{k}={v}" for k, v in arguments.items())], environment)
    try:
        yield found
    finally:
        found.close()
