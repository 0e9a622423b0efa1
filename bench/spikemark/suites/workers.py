"""Where jobs are executed: in this process, in local worker processes, or on a dask cluster. One interface.

Only a process that runs jobs imports torch and frameworks.
"""

from __future__ import annotations

import gc
import logging
import os
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

import psutil

from spikemark.errors import InputError, needs
from spikemark.suites import place as places
from spikemark.suites.jobs import Job
from spikemark.suites.place import Listener, Needs, Place
from spikemark.suites.records import Record

_TOPIC = "spikemark"
Group = list[Job]
log = logging.getLogger(__name__)


class Pool(Protocol):
    """Executes groups of jobs.

    Attributes:
        size: how many groups run at once.
    """

    size: int

    def check(self, needs: Needs) -> None:
        """See `spikemark.suites.place.check`: wherever jobs will run."""

    def submit(self, group: Group) -> Future[list[Record]]:
        """Start a group; at most `size` may be under way."""

    def kill(self, future: Future[list[Record]]) -> bool:
        """Stop a group that does not stop by itself; False when this pool cannot."""

    def close(self) -> None:
        """Stop everything at once."""


class InProcessPool:
    """One group at a time in this process and thread, so that an interrupt stops it; for debugging and tests."""

    size = 1

    def __init__(self, place: Place, listener: Listener) -> None:
        self._place = place
        self._listener = listener

    def check(self, needs: Needs) -> None:
        """See `Pool.check`."""
        places.check(needs, self._place)

    def submit(self, group: Group) -> Future[list[Record]]:
        """See `Pool.submit`; the group has ended when this returns."""
        from spikemark.suites.execution import run_jobs

        future: Future[list[Record]] = Future()
        try:
            future.set_result(run_jobs(group, self._place, self._listener))
        except Exception as error:  # noqa: BLE001 (the future carries it, as those of other processes do)
            future.set_exception(error)
        return future

    def kill(self, future: Future[list[Record]]) -> bool:
        """Nothing is under way between two calls."""
        return False

    def close(self) -> None:
        """See `Pool.close`."""


class DaskPool:
    """Worker processes on this machine, or the workers of a running cluster.

    Args:
        workers: local processes, one thread each; ignored with `scheduler`.
        scheduler: address of a dask scheduler.
        place: device and folders, as the workers see them.
        listener: told of every epoch.

    Raises:
        InputError: no scheduler answers at the address, or it has no workers.
    """

    def __init__(self, workers: int, scheduler: str | None, place: Place, listener: Listener) -> None:
        with needs("cluster", "running in worker processes (or --workers 0)"):
            import dask
            from distributed import Client, LocalCluster

        # A job that kills its worker must not be given to the next one. Workers keep malloc's own thresholds: dask's
        # default of trimming at 64 KiB makes every tensor a fresh mapping, and page faults take over half of the time.
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        dask.config.set(
            {"distributed.scheduler.allowed-failures": 0, "distributed.nanny.pre-spawn-environ": one_thread}
        )
        self._cluster = None
        if scheduler is None:
            for name in ("distributed", "distributed.nanny", "distributed.worker", "distributed.core"):
                logging.getLogger(name).setLevel(logging.CRITICAL)
            self._cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                scheduler_kwargs={"dashboard": False, "dashboard_address": ":0"},
                memory_limit=0,
                preload=["spikemark.suites.worker_start"],
                silence_logs=logging.CRITICAL,
            )
        try:
            self._client = Client(self._cluster or scheduler, timeout=20)
        except (OSError, ValueError) as error:
            raise InputError(f"--scheduler {scheduler}: no dask scheduler answers there ({error})") from None
        # Nannies and their workers, to be killed if they do not end by themselves; a remote cluster's are not ours.
        self._processes = psutil.Process().children(recursive=True) if self._cluster is not None else []
        self.size = len(self._workers())
        if self.size == 0:
            raise InputError(f"--scheduler {scheduler}: the cluster has no workers")
        self._client.subscribe_topic(_TOPIC, lambda event: listener(event[1]))
        self._place = place
        self._dask_futures: dict[Future[list[Record]], Any] = {}

    def _workers(self) -> list[str]:
        return sorted(self._client.scheduler_info(n_workers=-1)["workers"])

    def check(self, needs: Needs) -> None:
        """See `Pool.check`; every worker looks."""
        self._client.gather(
            [
                self._client.submit(_check_on_worker, needs, self._place, workers=[worker], pure=False)
                for worker in self._workers()
            ]
        )

    def submit(self, group: Group) -> Future[list[Record]]:
        """See `Pool.submit`. Groups that need the machine to themselves share one worker, so one machine times all."""
        alone = self._workers()[:1] if group[0].exclusive else []
        dask_future = self._client.submit(_run_on_worker, group, self._place, workers=alone or None, pure=False)
        future: Future[list[Record]] = Future()
        self._dask_futures[future] = dask_future
        dask_future.add_done_callback(partial(self._hand_over, future))
        return future

    def _hand_over(self, future: Future[list[Record]], dask_future: Any) -> None:
        error = None if dask_future.cancelled() else dask_future.exception()
        del self._dask_futures[future]
        if dask_future.cancelled():
            future.cancel()
            future.set_running_or_notify_cancel()
        elif error is not None:
            future.set_exception(error)
        else:
            future.set_result(dask_future.result())

    def kill(self, future: Future[list[Record]]) -> bool:
        """Restart the worker that runs the group."""
        key = self._dask_futures[future].key
        workers = [address for address, keys in self._client.processing().items() if key in keys]
        self._client.restart_workers(workers)
        return True

    def close(self) -> None:
        """See `Pool.close`."""
        try:
            self._client.cancel(list(self._dask_futures.values()))
            self._client.close(timeout=2)
            if self._cluster is not None:
                self._cluster.close(timeout=5)
        except (TimeoutError, OSError) as error:
            # Every record is on disk by now: on a busy machine workers may be slow to end, which is no failure.
            log.info("workers did not end in time and are killed (%s)", error)
            for process in self._processes:
                with suppress(psutil.NoSuchProcess):
                    process.kill()


def _check_on_worker(needs: Needs, place: Place) -> None:
    places.check(needs, place)
    gc.collect()
    gc.freeze()  # what was imported stays; collections before every timing need not look at it again


def _run_on_worker(group: Group, place: Place) -> list[Record]:
    from distributed import get_worker

    from spikemark.suites.execution import run_jobs

    worker = get_worker()
    return run_jobs(group, place, lambda event: worker.log_event(_TOPIC, event))


def make_pool(workers: int | None, scheduler: str | None, place: Place, listener: Listener) -> Pool:
    """The pool the user asked for: 0 workers is this process, None one worker per physical core."""
    if scheduler is None and workers == 0:
        return InProcessPool(place, listener)
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    return DaskPool(workers or cores, scheduler, place, listener)
