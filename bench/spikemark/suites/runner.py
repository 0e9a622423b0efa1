"""Runs jobs and keeps their records: skips what is there, writes what comes, never loses a failure.

`dispatch` schedules, `execution` measures, `workers` are processes, `suite` says what there is to do.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from spikemark.errors import InputError
from spikemark.suites.jobs import Job
from spikemark.suites.reading import SUFFIX, Remarks, content
from spikemark.suites.records import FINAL, Record, key_of, parse_record, write_record

if TYPE_CHECKING:
    from spikemark.suites.workers import Pool

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
    from spikemark.suites.dispatch import Dispatch

    todo, done = plan(jobs, results)
    summary = Summary(skipped=done)

    def keep(record: Record) -> bool:
        write_record(results, record)
        summary.statuses[record["status"]] += 1
        on_record(record)
        return not (fail_fast and record["status"] in _FAILED)

    dispatch = Dispatch(pool, device, keep)
    alone = grouped(job for job in todo if job.exclusive)
    left = dispatch.run(grouped(job for job in todo if not job.exclusive))
    left += alone if left else dispatch.run(alone, alone=True)
    summary.not_run = sum(map(len, left))
    return summary


def grouped(jobs: Iterable[Job]) -> list[Group]:
    """The jobs of each training together, in the order of the first of each."""
    groups: dict[str, Group] = {}
    for job in jobs:
        groups.setdefault(job.group, []).append(job)
    return list(groups.values())
