"""Worker processes by dask: on this machine, or the workers of a running cluster."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from multiprocessing import resource_tracker
from typing import Any

import psutil

from spikemark.data.files import DATA_VARIABLE
from spikemark.errors import InputError, needs
from spikemark.suites import place as places
from spikemark.suites.place import Listener, Needs, Place
from spikemark.suites.records import Record
from spikemark.suites.workers import Address, Group

_TOPIC = "spikemark"
_ANSWER_SECONDS = 20.0
_REFRESH_SECONDS = 0.5
_RESUME = "finished jobs are kept, run the same command to continue"
log = logging.getLogger(__name__)


class WorkerLostError(RuntimeError):
    """A worker left the cluster while it had a group."""


class DaskPool:
    """What local and remote workers have in common.

    Attributes:
        unlike: see `Pool`.
    """

    unlike = False

    def __init__(self, place: Place, listener: Listener, patience: float) -> None:
        """Args: see `LocalPool` and `ClusterPool`."""
        self._place = place
        self._listener = listener
        self._patience = patience
        self._client: Any = None
        self._needs = Needs((), (), (), ())
        self._expected: dict[str, str] = {}
        self._asked: dict[str, Any] = {}
        self._states: dict[str, bool] = {}
        """By address: whether a worker that is there may be given work."""
        self._tasks: dict[Future[list[Record]], tuple[str, Any]] = {}
        self._began: dict[str, float] = {}
        self._refreshed = -_REFRESH_SECONDS
        self._had_workers = time.monotonic()

    def check(self, needs: Needs) -> None:
        """See `Pool.check`; workers are asked as they come."""
        self._needs = needs

    def workers(self) -> Sequence[str]:
        """See `Pool.workers`."""
        now = time.monotonic()
        if now - self._refreshed >= _REFRESH_SECONDS:
            self._refreshed = now
            self._refresh(self._present())
        usable = [worker for worker, good in self._states.items() if good]
        if usable:
            self._had_workers = now
        elif now - self._had_workers > self._patience:
            raise InputError(f"no worker for {self._patience:g} s{self._why_none()}; {_RESUME}")
        return usable

    def _why_none(self) -> str:
        return ""

    def _present(self) -> dict[str, Any]:
        """Addresses of the workers that the scheduler knows."""
        found = self._client.sync(self._client.scheduler.identity, n_workers=-1, callback_timeout=_ANSWER_SECONDS)
        workers: dict[str, Any] = found["workers"]
        return workers

    def _refresh(self, present: dict[str, Any]) -> None:
        for known in (self._states, self._asked):
            for worker in known.keys() - present.keys():
                del known[worker]
        for future, (worker, task) in list(self._tasks.items()):
            if worker not in present:
                self._settle(future, WorkerLostError("the worker left while it ran the job"))
                task.cancel()
        for worker in present:
            if worker not in self._states:
                self._welcome(worker)

    def _welcome(self, worker: str) -> None:
        """Ask a worker who it is and what it has; it may be given work once it has answered well."""
        if worker not in self._asked:
            self._asked[worker] = self._client.submit(
                _refusal, self._needs, self._expected, self._place, self.unlike, pure=False, workers=[worker],
                allow_other_workers=False,
            )  # fmt: skip
        elif self._asked[worker].done() and not self._asked[worker].cancelled():
            answer = self._asked.pop(worker)
            error = answer.exception()
            why = answer.result() if error is None else f"it cannot answer ({type(error).__name__}: {error})"
            self._states[worker] = not why
            if why:
                self._refuse(worker, " ".join(why.split()))

    def _refuse(self, worker: str, why: str) -> None:
        """What one worker on this machine lacks, all lack.

        Raises:
            InputError: always.
        """
        raise InputError(why)

    def submit(self, group: Group, worker: str) -> Future[list[Record]]:
        """See `Pool.submit`."""
        future: Future[list[Record]] = Future()
        task = self._client.submit(
            _run_on_worker, group, self._place, self.unlike, pure=False, workers=[worker], allow_other_workers=False
        )
        self._tasks[future] = (worker, task)
        task.add_done_callback(lambda task: self._settle(future, None, task))
        return future

    def _settle(self, future: Future[list[Record]], error: BaseException | None, task: Any = None) -> None:
        """Once: the outcome of a task, or the error that stands for it."""
        if self._tasks.pop(future, None) is None:
            return
        if task is not None and task.cancelled():
            future.cancel()
            future.set_running_or_notify_cancel()
        elif task is not None and (error := task.exception()) is None:
            future.set_result(task.result())
        else:
            self._refreshed = -_REFRESH_SECONDS  # the worker may be gone
            future.set_exception(error)

    def began(self, future: Future[list[Record]]) -> float | None:
        """See `Pool.began`."""
        _, task = self._tasks.get(future, ("", None))
        return None if task is None else self._began.get(task.key)

    def stop(self, worker: str) -> None:
        """See `Pool.stop`; a worker that cannot be restarted gets no more groups."""
        for future, (address, task) in list(self._tasks.items()):
            if address == worker:
                self._tasks.pop(future)
                task.cancel()
        self._states.pop(worker, None)
        try:
            self._client.restart_workers([worker], timeout=_ANSWER_SECONDS)
        except (ValueError, AssertionError, OSError):
            self.set_aside(worker, "it does not stop, and has no nanny that would restart it")

    def set_aside(self, worker: str, why: str) -> None:
        """See `Pool.set_aside`."""
        log.warning("worker %s is set aside: %s", worker, why)
        self._states[worker] = False

    def _heard(self, event: tuple[float, dict[str, Any]]) -> None:
        _, told = event
        if "began" in told:
            self._began[told["began"]] = time.monotonic()
        else:
            self._listener(told)

    def close(self) -> None:
        """See `Pool.close`."""
        if self._client is not None:
            with suppress(TimeoutError, OSError):
                self._client.close(timeout=2)


class LocalPool(DaskPool):
    """Worker processes on this machine, which talk by TLS with certificates that last as long as they do.

    Args:
        workers: processes, one thread each.
        place: device and folders.
        listener: told of every job that starts, and of every epoch.

    Raises:
        InputError: dask is not installed.
    """

    def __init__(self, workers: int, place: Place, listener: Listener) -> None:
        super().__init__(place, listener, patience=600.0)
        with needs("cluster", "running in worker processes (or --workers 0)"):
            import cryptography  # noqa: F401 (dask's temporary certificates)
            import dask
            from distributed import Client, Nanny, Security, SpecCluster

            from spikemark.suites.silent import Scheduler, Worker
        _silence()
        # Workers keep malloc's own thresholds: dask's default of trimming at 64 KiB makes every tensor a fresh mapping,
        # and page faults take over half of the time.
        one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        dask.config.set(
            {"distributed.scheduler.allowed-failures": 0, "distributed.nanny.pre-spawn-environ": one_thread}
        )
        security = Security.temporary()
        common = {"host": "127.0.0.1", "protocol": "tls://", "security": security}
        options = common | {
            "nthreads": 1, "memory_limit": 0, "worker_class": Worker, "silence_logs": logging.CRITICAL,
        }  # fmt: skip
        with _interrupts_held():  # by the thread that starts workers, so that Ctrl-C reaches this process alone
            self._cluster = SpecCluster(
                scheduler={"cls": Scheduler, "options": common | {"port": 0}},
                worker={"cls": Nanny, "options": options},
                security=security,
                silence_logs=logging.CRITICAL,
            )
        try:
            self._cluster.scale(workers)
            self._client = Client(self._cluster, timeout=_ANSWER_SECONDS)
            self._client.subscribe_topic(_TOPIC, self._heard)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """See `Pool.close`: every record is on disk by now, so that nobody waits for what workers still do."""
        for nanny in list(self._cluster.workers.values()):
            nanny.auto_restart = False
            with suppress(psutil.NoSuchProcess, TypeError):
                psutil.Process(nanny.pid).kill()
        super().close()
        with suppress(TimeoutError, OSError, AssertionError):
            self._cluster.close(timeout=5)


class ClusterPool(DaskPool):
    """The workers of a running dask cluster, as far as they are like the client.

    Args:
        address: of the scheduler.
        place: device and folders; a worker's own ``SPIKEMARK_DATA`` wins.
        listener: told of every job that starts, and of every epoch.

    Raises:
        InputError: dask is not installed, or no scheduler answers.
    """

    unlike = True

    def __init__(self, address: Address, place: Place, listener: Listener) -> None:
        super().__init__(place, listener, address.patience)
        with needs("cluster", "running on a cluster"):
            from distributed import Security
        _silence()
        self._address = address
        self._security = Security()
        if address.tls is not None:
            authority, certificate, key = map(str, address.tls)
            self._security = Security(
                tls_ca_file=authority, tls_client_cert=certificate, tls_client_key=key, require_encryption=True
            )
        self._refused: dict[str, str] = {}
        self._connect()

    def check(self, needs: Needs) -> None:
        """See `Pool.check`; workers must be like this process too."""
        super().check(needs)
        self._expected = places.identity(needs)

    def _connect(self) -> None:
        """Connect to the scheduler.

        Raises:
            InputError: none answers in time.
        """
        from distributed import Client
        from distributed.comm.core import connect

        async def greeted() -> None:
            arguments = self._security.get_connection_args("client")
            greeting = connect(self._address.scheduler, _ANSWER_SECONDS, **arguments)
            (await asyncio.wait_for(greeting, _ANSWER_SECONDS)).abort()

        try:
            # Dask's client waits forever where something listens that says nothing. A notebook's thread has a loop.
            with ThreadPoolExecutor(1) as thread:
                thread.submit(asyncio.run, greeted()).result()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of versions, which we compare ourselves
                self._client = Client(self._address.scheduler, timeout=_ANSWER_SECONDS, security=self._security)
        except TypeError:  # of dask, where a context for TLS should be
            raise InputError(
                f"--scheduler {self._address.scheduler}: TLS needs --tls-ca, --tls-cert and --tls-key"
            ) from None
        except (OSError, ValueError, RuntimeError) as error:
            raise InputError(
                f"--scheduler {self._address.scheduler}: no dask scheduler answers there "
                f"({str(error) or f'nothing for {_ANSWER_SECONDS:g} s'})"
            ) from None
        self._client.subscribe_topic(_TOPIC, self._heard)

    def _present(self) -> dict[str, Any]:
        try:
            if self._client.status != "running":
                raise OSError("the connection is lost")
            return super()._present()
        except (OSError, TimeoutError, RuntimeError):
            self._reconnect()
            return super()._present()

    def _reconnect(self) -> None:
        """Give all groups back, and wait for the scheduler.

        Raises:
            InputError: it does not come back.
        """
        log.warning("the scheduler %s is lost; waiting %g s for it", self._address.scheduler, self._patience)
        for future in list(self._tasks):
            if self._tasks.pop(future, None) is not None:
                future.cancel()
                future.set_running_or_notify_cancel()
        self._states.clear()
        self._asked.clear()
        super().close()
        end = time.monotonic() + self._patience
        while True:
            try:
                self._connect()
                break
            except InputError:
                if time.monotonic() > end:
                    raise InputError(
                        f"--scheduler {self._address.scheduler}: lost for {self._patience:g} s; {_RESUME}"
                    ) from None
                time.sleep(1.0)
        self._had_workers = time.monotonic()

    def _refuse(self, worker: str, why: str) -> None:
        self._refused[worker] = why
        log.warning("worker %s is refused: %s", worker, why)

    def _why_none(self) -> str:
        return "".join(f"; {worker} was refused: {why}" for worker, why in list(self._refused.items())[:1])


def _run_on_worker(group: Group, place: Place, own_data: bool) -> list[Record]:
    from distributed import get_worker

    from spikemark.suites.execution import run_jobs

    worker = get_worker()
    worker.log_event(_TOPIC, {"began": worker.get_current_task()})
    return run_jobs(group, _seen_here(place) if own_data else place, lambda event: worker.log_event(_TOPIC, event))


def _refusal(needs: Needs, expected: dict[str, str], place: Place, own_data: bool) -> str:
    """Why this worker must not run the client's jobs; empty if it may."""
    try:
        if differs := places.unlike(expected, needs):
            return differs
        places.check(needs, _seen_here(place) if own_data else place)
    except InputError as error:
        return str(error)
    gc.collect()
    gc.freeze()  # what was imported stays; collections before every timing need not look at it again
    return ""


def _seen_here(place: Place) -> Place:
    """The place as a machine of a cluster sees it: its own ``SPIKEMARK_DATA`` wins over the client's."""
    return replace(place, data_dir=None) if os.environ.get(DATA_VARIABLE) else place


def _silence() -> None:
    """What goes wrong is told by us, in one line."""
    for name in list(logging.root.manager.loggerDict):
        if name.partition(".")[0] in ("distributed", "tornado", "asyncio"):
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Threads that begin here, and the processes that they start, are never interrupted."""
    resource_tracker.ensure_running()  # which would let interrupts through, if it were one of those threads to start it
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
