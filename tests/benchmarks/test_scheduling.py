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
from spikemark.suites.place import Needs, Place, needs_of
from spikemark.suites.records import Record, load_results, record_name
from spikemark.suites.runner import run
from spikemark.suites.suite import load_suite
from spikemark.suites.workers import Pool

JOBS, SECONDS_PER_JOB = 1000, 5e-3
NAPS, NAP_SECONDS, NAPPERS = 10_000, 0.1, 8
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

NAP = """
import time
from spikemark import measure
from spikemark.core.measurement import Metric
from spikemark.measures.measure import Measure

@measure("nap", source="tests/benchmarks")
class Nap(Measure):
    name = "nap"
    subject = "neuron"
    metrics = (Metric("nap", "s", "cost"),)
    seconds: float
    jobs: int
    place: int = 0

    def split(self):
        return {str(place): self.model_copy(update={"place": place}) for place in range(self.jobs)}

    def run(self, subject):
        time.sleep(self.seconds)
        return [{"metric": "nap", "value": self.seconds, "unit": "s"}]
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


def test_jobs_that_sleep_on_a_real_scheduler(benchmark: Any, tell: Callable[[str], None], tmp_path: Path) -> None:
    """As many jobs as a large suite has, on a dask scheduler and worker processes that talk by loopback.

    What a run takes beyond its jobs' naps, shared out among its workers, is what scheduling, sending, checking and
    writing them costs the run.
    """
    plugin = tmp_path / "nap.py"
    plugin.write_text(NAP)
    suite = {
        "name": "naps", "frameworks": ["reference"], "systems": ["mlp-lif"], "datasets": ["digits"], "seeds": [0],
        "measures": ["nap"], "plugins": [str(plugin)], "nap": {"seconds": NAP_SECONDS, "jobs": NAPS},
    }  # fmt: skip
    start = time.perf_counter()
    jobs = resolve(load_suite(suite).points())
    planned = time.perf_counter() - start

    def took() -> tuple[float, float]:
        with workers(NAPPERS) as pool:
            pool.check(needs_of(jobs))
            while len(pool.workers()) < NAPPERS:  # they start, and answer who they are
                time.sleep(0.1)
            run(jobs[: 4 * NAPPERS], tmp_path / "warm", pool, "cpu")  # and load what a job needs
            start, processor = time.perf_counter(), time.process_time()
            summary = run(jobs, tmp_path / "timed", pool, "cpu")
            assert summary.statuses["ok"] == NAPS
            return time.perf_counter() - start, (time.process_time() - processor) / NAPS

    seconds, processor = benchmark.pedantic(took, rounds=1)
    overhead = seconds / NAPS - NAP_SECONDS / NAPPERS
    tell(
        f"{NAPS} jobs of {NAP_SECONDS * 1e3:g} ms on {NAPPERS} workers: planned in {planned:.1f} s, "
        f"run in {seconds:.1f} s; {overhead * 1e3:.2f} ms per job beyond its share of the naps, "
        f"goal {SECONDS_PER_JOB * 1e3:g};"
        f" {processor * 1e3:.2f} ms of the client's and scheduler's processor"
    )
    assert overhead < SECONDS_PER_JOB


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
