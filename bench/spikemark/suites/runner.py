"""Runs jobs and keeps their records: skips what is there, writes what comes, never loses a failure.

The runner schedules; `execution` measures, `workers` chooses the process, `suite` says what there is to do.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from spikemark.errors import InputError
from spikemark.suites.jobs import Job
from spikemark.suites.reading import SUFFIX, Remarks, content
from spikemark.suites.records import FINAL, Record, key_of, parse_record, write_record

if TYPE_CHECKING:
    from spikemark.suites.workers import Pool

# Jobs watch their own deadline; one that does not stop by itself this much later is killed from outside.
GRACE_SECONDS = 30.0
_FAILED = ("failed", "timeout")
Group = list[Job]


@dataclass
class Summary:
    """How a run ended: jobs by status, those skipped because their record was there, and those never started."""

    statuses: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    not_run: int = 0

    @property
    def failed(self) -> int:
        """Jobs without a usable result."""
        return sum(self.statuses[status] for status in _FAILED)


def plan(jobs: Iterable[Job], results: Path) -> tuple[list[Job], int]:
    """The jobs that have no final record in `results` yet, and how many have one.

    A failed job and one that ran out of time are tried again; so is one whose record is torn, changed, or another's.

    Raises:
        ResultsError: a record of the plan is damaged or of another schema, or cannot be read.
    """
    jobs = list(jobs)
    records = own_records(jobs, results)
    todo = [job for job in jobs if job.key not in records or records[job.key]["status"] not in FINAL]
    return todo, len(jobs) - len(todo)


def own_records(jobs: Iterable[Job], results: Path) -> dict[str, Record]:
    """The records of jobs in a results folder, by key.

    Raises:
        ResultsError: one is damaged or of another schema, or cannot be read.
    """
    paths = {path.name.removesuffix(SUFFIX).rpartition("_")[2]: path for path in results.glob(f"*{SUFFIX}")}
    remarks = Remarks()
    found: dict[str, Record] = {}
    for key in dict.fromkeys(job.key for job in jobs):
        path = paths.get(key)
        record = parse_record(content(path), str(path), remarks) if path is not None else None
        if record is None:
            continue
        if record["key"] != key:
            remarks.add("not counted, the record of another job under this job's name", str(path))
        elif key_of(record["cell"]) == key:
            found[key] = record
    remarks.tell()
    return found


def check_writable(folder: Path) -> None:
    """Create the results folder.

    Raises:
        InputError: it cannot be created or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InputError(f"--out {folder}: cannot write there ({error.strerror})") from None


def run(
    jobs: list[Job],
    results: Path,
    pool: Pool,
    device: str,
    *,
    fail_fast: bool = False,
    on_record: Callable[[Record], None] = lambda record: None,
) -> Summary:
    """Run the jobs that have no record yet; every one of them leaves a record.

    Jobs that share a training run together. Jobs that need the machine to themselves run last, one at a time. An
    interrupt leaves the records of all finished jobs; running again continues from there.

    Args:
        jobs: of one suite.
        results: folder of the records.
        pool: where to run.
        device: "cpu" or "cuda".
        fail_fast: start no further job after the first that failed.
        on_record: told of every record once it is on disk.
    """
    todo, done = plan(jobs, results)
    summary = Summary(skipped=done)

    def keep(record: Record) -> bool:
        write_record(results, record)
        summary.statuses[record["status"]] += 1
        on_record(record)
        return not (fail_fast and record["status"] in _FAILED)

    together = grouped(job for job in todo if not job.exclusive)
    alone = grouped(job for job in todo if job.exclusive)
    left = _run_window(together, pool.size, pool, device, keep)
    left += alone if left else _run_window(alone, 1, pool, device, keep)
    summary.not_run = sum(map(len, left))
    return summary


def grouped(jobs: Iterable[Job]) -> list[Group]:
    """The jobs of each training together, in the order of the first of each."""
    groups: dict[str, Group] = {}
    for job in jobs:
        groups.setdefault(job.group, []).append(job)
    return list(groups.values())


def _run_window(
    groups: Sequence[Group], width: int, pool: Pool, device: str, keep: Callable[[Record], bool]
) -> list[Group]:
    """Run groups, at most `width` at once, until done or `keep` says stop; the groups not started."""
    waiting = list(reversed(groups))
    under_way: dict[Future[list[Record]], tuple[Group, float]] = {}
    go_on = True
    while under_way or (waiting and go_on):
        while waiting and go_on and len(under_way) < width:
            group = waiting.pop()
            under_way[pool.submit(group)] = (group, time.monotonic())
        finished, _ = wait(under_way, timeout=1.0, return_when=FIRST_COMPLETED)
        for future in finished:
            group, _ = under_way.pop(future)
            for record in _records(group, future, device):
                go_on &= keep(record)
        for future in _overdue(under_way):
            group, _ = under_way[future]
            if pool.kill(future):
                del under_way[future]
                for job in group:
                    go_on &= keep(_overdue_record(job, device))
    return waiting[::-1]


def _records(group: Group, future: Future[list[Record]], device: str) -> list[Record]:
    from spikemark.suites.execution import failed_record

    error = future.exception()
    return future.result() if error is None else [failed_record(job, device, error) for job in group]


def _overdue_record(job: Job, device: str) -> Record:
    from spikemark.suites.execution import lost_record

    why = f"did not stop {GRACE_SECONDS:g} s after its {job.timeout:g} s were up; its worker was restarted"
    return lost_record(job, device, "timeout", why)


def _overdue(under_way: dict[Future[list[Record]], tuple[Group, float]]) -> list[Future[list[Record]]]:
    now = time.monotonic()
    return [
        future
        for future, (group, start) in under_way.items()
        if now - start > sum(job.timeout for job in group) + GRACE_SECONDS
    ]
