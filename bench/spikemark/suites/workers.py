"""Where jobs are executed: in this process, in local worker processes, or on a dask cluster, behind one interface.

Only a process that runs jobs imports torch and frameworks.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import psutil

from spikemark.suites import place as places
from spikemark.suites.jobs import Job
from spikemark.suites.place import Listener, Needs, Place
from spikemark.suites.records import Record

Group = list[Job]


@dataclass(frozen=True)
class Address:
    """Where a running cluster is.

    Attributes:
        scheduler: of dask, such as ``tls://host:8786``.
        tls: files of the authority's certificate, the client's certificate, and its key; None without TLS.
        patience: seconds to wait for a first worker, or for the scheduler to come back.
    """

    scheduler: str
    tls: tuple[Path, Path, Path] | None = None
    patience: float = 600.0


class Pool(Protocol):
    """Workers, each of which executes one group of jobs at a time.

    Attributes:
        unlike: whether one worker may fail where another would not.
    """

    unlike: bool

    def check(self, needs: Needs) -> None:
        """Have every worker look for what the jobs need, before it gets one; see `spikemark.suites.place.check`."""

    def workers(self) -> Sequence[str]:
        """The workers that may be given groups now, in an order that stays.

        Raises:
            InputError: there has been none for too long, or one that is like all lacks what jobs need.
        """

    def submit(self, group: Group, worker: str) -> Future[list[Record]]:
        """Start a group on a worker that has none; the future is cancelled where the group must be started again."""

    def began(self, future: Future[list[Record]]) -> float | None:
        """When the worker started the group, on the clock `time.monotonic`; None if it has not."""

    def stop(self, worker: str) -> None:
        """Stop what a worker does, by force."""

    def set_aside(self, worker: str, why: str) -> None:
        """Give a worker no more groups, and say so."""

    def close(self) -> None:
        """Stop everything at once."""


class InProcessPool:
    """One group at a time in this process and thread, so that an interrupt stops it; for debugging and tests."""

    unlike = False

    def __init__(self, place: Place, listener: Listener) -> None:
        self._place = place
        self._listener = listener

    def check(self, needs: Needs) -> None:
        """See `Pool.check`."""
        places.check(needs, self._place)

    def workers(self) -> Sequence[str]:
        """See `Pool.workers`."""
        return ("this process",)

    def submit(self, group: Group, worker: str) -> Future[list[Record]]:
        """See `Pool.submit`; the group has ended when this returns."""
        from spikemark.suites.execution import run_jobs

        future: Future[list[Record]] = Future()
        try:
            future.set_result(run_jobs(group, self._place, self._listener))
        except Exception as error:  # noqa: BLE001 (the future carries it, as those of other processes do)
            future.set_exception(error)
        return future

    def began(self, future: Future[list[Record]]) -> float | None:
        """Nothing is under way between two calls."""
        return None

    def stop(self, worker: str) -> None:
        """See `began`."""

    def set_aside(self, worker: str, why: str) -> None:
        """There is no other."""

    def close(self) -> None:
        """See `Pool.close`."""


def make_pool(workers: int | None, cluster: Address | None, place: Place, listener: Listener) -> Pool:
    """The pool the user asked for: a cluster's, or 0 workers is this process, None one worker per physical core.

    Raises:
        InputError: dask is not installed, or no scheduler answers.
    """
    if cluster is not None:
        from spikemark.suites.cluster import ClusterPool

        return ClusterPool(cluster, place, listener)
    if workers == 0:
        return InProcessPool(place, listener)
    from spikemark.suites.cluster import LocalPool

    return LocalPool(workers or psutil.cpu_count(logical=False) or os.cpu_count() or 1, place, listener)
