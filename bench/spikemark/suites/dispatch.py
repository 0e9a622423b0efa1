"""Which worker gets which group of jobs, what happens when a worker fails, and when a group is out of time."""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field

from spikemark.suites.jobs import Job
from spikemark.suites.records import Record
from spikemark.suites.workers import Group, Pool

GRACE_SECONDS = 30.0
"""Jobs watch their own deadline; one that does not stop by itself this much later is stopped from outside."""
TRIES = 2
"""Workers that a group is given to, one after the other, before it counts as failed."""
QUICK_SECONDS = 60.0
"""A group of which every job fails this soon may have failed because of its worker, and is tried on another."""
_MOST_OPEN = 3
_MOST_BLAMED = 2
Keep = Callable[[Record], bool]
log = logging.getLogger(__name__)


@dataclass(eq=False)
class _Work:
    """A group, and what came of it so far: by worker, the records of a try that failed."""

    group: Group
    tries: dict[str, list[Record]] = field(default_factory=dict)


class Dispatch:
    """Gives groups of jobs to the workers of a pool.

    Args:
        pool: of workers.
        device: "cpu" or "cuda", for the records of jobs that could not report themselves.
        keep: told of every record; says whether to go on.
    """

    def __init__(self, pool: Pool, device: str, keep: Keep) -> None:
        self._pool = pool
        self._device = device
        self._keep = keep
        self._go_on = True
        self._fresh: deque[_Work] = deque()
        self._again: deque[_Work] = deque()
        self._under_way: dict[Future[list[Record]], tuple[_Work, str]] = {}
        self._ended: deque[Record] = deque()
        self._blamed: Counter[str] = Counter()

    def run(self, groups: Sequence[Group], alone: bool = False) -> list[Group]:
        """Run groups until done or told to stop; the groups that were not started.

        Args:
            groups: each is run by one worker, one job after the other.
            alone: one group at a time, instead of one per worker.

        Raises:
            InputError: the pool has had no worker for too long.
        """
        self._fresh.extend(map(_Work, groups))
        try:
            while self._under_way or (self._go_on and (self._fresh or self._again)):
                if self._go_on:
                    self._hand_out(self._pool.workers(), 1 if alone else None)
                self._collect()
                self._stop_overdue()
        except KeyboardInterrupt:
            self._save_finished()
            raise
        return [work.group for work in (*self._again, *self._fresh)]

    def _hand_out(self, workers: Sequence[str], most: int | None) -> None:
        for work in [work for work in self._again if workers and work.tries.keys() >= set(workers)]:
            self._again.remove(work)  # there is no other worker to try it on
            self._give_up(work)
        for worker in workers:
            busy = worker in {busy for _, busy in self._under_way.values()}
            if busy or len(self._under_way) == most or not self._go_on:
                continue
            if given := self._next(worker):
                self._under_way[self._pool.submit(given.group, worker)] = (given, worker)

    def _next(self, worker: str) -> _Work | None:
        """A group that failed on another worker, or else the next one."""
        for work in self._again:
            if worker not in work.tries:
                self._again.remove(work)
                return work
        return self._fresh.popleft() if self._fresh and not self._doubted(worker) else None

    def _doubted(self, worker: str) -> bool:
        """Whether so many groups failed on a worker that the others' word is awaited before it gets more."""
        judging = [*self._again, *(work for work, _ in self._under_way.values())]
        return sum(worker in work.tries for work in judging) >= _MOST_OPEN

    def _collect(self) -> None:
        if not self._under_way:
            time.sleep(0.1)
        for future in wait(self._under_way, timeout=1.0, return_when=FIRST_COMPLETED).done:
            work, worker = self._under_way.pop(future)
            if future.cancelled():  # by nobody's fault
                (self._again if work.tries else self._fresh).appendleft(work)
                continue
            records, failed = self._outcome(work.group, future)
            if not failed:
                self._blame(work)
                self._finish(records)
                continue
            work.tries[worker] = records
            if len(work.tries) < TRIES:
                self._again.append(work)
            else:
                self._give_up(work)

    def _outcome(self, group: Group, future: Future[list[Record]]) -> tuple[list[Record], bool]:
        """The records of a group that has ended, and whether another worker might do better."""
        from spikemark.suites.execution import failed_record

        error = future.exception()
        records = future.result() if error is None else []
        if error is None and [record["key"] for record in records] != [job.key for job in group]:
            error = RuntimeError("the records that came back are not those of the jobs that were sent")
        if error is not None:
            return [failed_record(job, self._device, error) for job in group], True
        quick = sum(record["seconds"] for record in records) < QUICK_SECONDS
        return records, self._pool.unlike and quick and all(record["status"] == "failed" for record in records)

    def _blame(self, work: _Work) -> None:
        """A group has succeeded: if it failed elsewhere before, that worker was at fault."""
        for worker in work.tries:
            self._blamed[worker] += 1
            if self._blamed[worker] == _MOST_BLAMED:
                self._pool.set_aside(worker, "jobs that fail there succeed elsewhere")

    def _give_up(self, work: _Work) -> None:
        """The last try's records, with the errors of all tries where they differ."""
        *_, records = work.tries.values()
        for index, record in enumerate(records):
            errors = {worker: str(tried[index]["error"]) for worker, tried in work.tries.items()}
            if len({error.partition("\n")[0] for error in errors.values()}) > 1:
                record["error"] = "\n".join(f"on {worker}: {error}" for worker, error in errors.items())
        self._finish(records)

    def _finish(self, records: list[Record]) -> None:
        self._ended.extend(records)
        self._keep_ended()

    def _keep_ended(self) -> None:
        while self._ended:
            self._go_on &= self._keep(self._ended[0])
            self._ended.popleft()  # after it is kept: an interrupt may come between

    def _stop_overdue(self) -> None:
        from spikemark.suites.execution import lost_record

        now = time.monotonic()
        for future, (work, worker) in list(self._under_way.items()):
            began = self._pool.began(future)
            if began is None or future.done() or now - began < _allowed(work.group):
                continue
            del self._under_way[future]
            self._pool.stop(worker)
            for job in work.group:
                why = f"did not stop {GRACE_SECONDS:g} s after its {job.timeout:g} s were up; its worker was stopped"
                self._finish([lost_record(job, self._device, "timeout", why)])

    def _save_finished(self) -> None:
        """Keep what has ended while nobody looked."""
        self._keep_ended()
        for future, (work, _) in list(self._under_way.items()):
            if future.done() and not future.cancelled():
                del self._under_way[future]
                self._finish(self._outcome(work.group, future)[0])


def _allowed(group: list[Job]) -> float:
    return sum(job.timeout for job in group) + GRACE_SECONDS
