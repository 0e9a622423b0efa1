"""Preload of local worker processes: Ctrl-C belongs to the process that schedules, not to its workers."""

from __future__ import annotations

import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Called by dask in every worker when it starts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
