"""What the harness costs around jobs: scheduling and writing them, loading their records, sharing them out.

Each goal is asserted on what was measured. Needs a quiet machine: two workers cannot be faster than one when other work
takes the second core.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from spikemark.suites.cluster import LocalPool
from spikemark.suites.execution import lost_record
from spikemark.suites.jobs import Job, Point, resolve
from spikemark.suites.place import Needs, Place
from spikemark.suites.records import Record, load_results, record_name
from spikemark.suites.runner import run
from spikemark.suites.suite import load_suite
from spikemark.suites.workers import Pool

JOBS, SECONDS_PER_JOB = 1000, 5e-3
RECORDS, ROWS, SECONDS_TO_LOAD = 10_000, 20, 2.0
SEEDS, SPEEDUP = 24, 1.8
SUITE = """
name = "compute-bound"
frameworks = ["reference"]
systems = ["mlp-lif"]
datasets = ["digits"]
seeds = [0]
measures = ["accuracy"]
[training]
epochs = 6
"""


class Instant:
    """A pool whose jobs take no time: what is left is the harness."""

    unlike = False

    def check(self, needs: Needs) -> None:
        pass

    def workers(self) -> tuple[str, ...]:
        return ("a", "b")

    def submit(self, group: list[Job], worker: str) -> Future[list[Record]]:
        future: Future[list[Record]] = Future()
        future.set_result([made_record(job) for job in group])
        return future

    def began(self, future: Future[list[Record]]) -> float | None:
        return None

    def stop(self, worker: str) -> None:
        pass

    def set_aside(self, worker: str, why: str) -> None:
        pass

    def close(self) -> None:
        pass


def made_record(job: Job) -> Record:
    """A finished record of a job that nothing was done for."""
    record = lost_record(job, "cpu", "ok", "")
    rows = [{"metric": "accuracy", "value": i / ROWS, "unit": "fraction", "split": "test"} for i in range(ROWS)]
    return record | {"error": None, "measurements": rows}  # type: ignore[return-value]


def jobs_of(suite: str, seeds: range, **training: int) -> list[Job]:
    """The accuracy of one network of a suite, with so many seeds."""
    point = next(point for point in load_suite(suite).points() if point.measure.name == "accuracy")
    settings = {**point.settings, "training": point.settings["training"] | training}
    points: list[Point] = [replace(point, seed=seed, settings=settings) for seed in seeds]
    return resolve(points)


def test_planning_and_scheduling_a_job(benchmark: Any, tell: Callable[[str], None], tmp_path: Path) -> None:
    """Plan, keys, submission, environment, and writing with fsync; not the jobs' own work."""

    def schedule() -> float:
        start = time.perf_counter()
        summary = run(jobs_of("smoke", range(JOBS)), tmp_path, Instant(), "cpu")
        assert summary.statuses["ok"] == JOBS
        return (time.perf_counter() - start) / JOBS

    seconds = benchmark.pedantic(schedule, rounds=1)
    tell(f"scheduling and writing {JOBS} jobs: {seconds * 1e3:.2f} ms per job, goal {SECONDS_PER_JOB * 1e3:g}")
    assert seconds < SECONDS_PER_JOB


def test_loading_records(benchmark: Any, tell: Callable[[str], None], tmp_path: Path) -> None:
    (job,) = jobs_of("smoke", range(1))
    template = made_record(job)
    for seed in range(RECORDS):
        record = template | {"key": f"{seed:016x}", "cell": template["cell"] | {"seed": seed}}
        (tmp_path / record_name(record)).write_text(json.dumps(record, indent=1))  # without 10,000 times fsync

    def load() -> float:
        start = time.perf_counter()
        assert len(load_results(tmp_path)) == RECORDS * ROWS
        return time.perf_counter() - start

    seconds = min(benchmark.pedantic(load, rounds=1), load())
    tell(f"loading {RECORDS} records of {ROWS} rows: {seconds:.2f} s, the better of two, goal {SECONDS_TO_LOAD:g}")
    assert seconds < SECONDS_TO_LOAD


@contextmanager
def workers(count: int) -> Iterator[Pool]:
    """So many worker processes."""
    pool = LocalPool(count, Place(), lambda event: None)
    try:
        yield pool
    finally:
        pool.close()


@pytest.mark.skipif((psutil.cpu_count(logical=False) or 1) < 2, reason="one core")
def test_two_workers_against_one(benchmark: Any, tell: Callable[[str], None], tmp_path: Path) -> None:
    """A compute-bound suite, after a job on each worker that loads what they need."""
    suite = tmp_path / "suite.toml"
    suite.write_text(SUITE)

    def took(count: int) -> float:
        with workers(count) as pool:
            warm = jobs_of(str(suite), range(100, 100 + 2 * count), epochs=1)
            run(warm, tmp_path / f"warm{count}", pool, "cpu")
            start = time.perf_counter()
            summary = run(jobs_of(str(suite), range(SEEDS)), tmp_path / f"timed{count}", pool, "cpu")
            assert summary.statuses["ok"] == SEEDS
            return time.perf_counter() - start

    one, two = benchmark.pedantic(lambda: (took(1), took(2)), rounds=1)
    tell(f"{SEEDS} trainings: one worker {one:.1f} s, two {two:.1f} s: {one / two:.2f} x sooner, goal {SPEEDUP}")
    assert one / two >= SPEEDUP
