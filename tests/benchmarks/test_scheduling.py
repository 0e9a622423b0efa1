"""What the harness costs around cells: scheduling and writing them, loading their records, sharing them out.

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

from spikemark.suites.execution import lost_record
from spikemark.suites.jobs import Cell
from spikemark.suites.records import Record, load_results, record_path
from spikemark.suites.runner import run
from spikemark.suites.suite import load_suite
from spikemark.suites.workers import DaskPool, Pool

CELLS, SECONDS_A_CELL = 1000, 5e-3
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
    """A pool whose cells take no time: what is left is the harness."""

    size = 2

    def submit(self, cell: Cell, device: str) -> Future[Record]:
        future: Future[Record] = Future()
        future.set_result(made_record(cell))
        return future

    def kill(self, future: Future[Record]) -> bool:
        return False

    def close(self) -> None:
        pass


def made_record(cell: Cell) -> Record:
    """A finished record of a cell that nothing was done for."""
    record = lost_record(cell, "cpu", "ok", "")
    rows = [{"metric": "accuracy", "value": i / ROWS, "unit": "fraction", "split": "test"} for i in range(ROWS)]
    return record | {"error": None, "measurements": rows}  # type: ignore[return-value]


def smoke_cells(count: int) -> list[Cell]:
    """The training cell of `smoke`, with so many seeds."""
    cell = next(cell for cell in load_suite("smoke").cells() if cell.task == "train")
    return [replace(cell, seed=seed) for seed in range(count)]


def test_scheduling_a_cell(benchmark: Any, tell: Callable[[str], None], tmp_path: Path) -> None:
    """Plan, keys, submission, environment, and writing with fsync; not the cells' own work."""
    cells = smoke_cells(CELLS)

    def schedule() -> float:
        start = time.perf_counter()
        summary = run(cells, tmp_path, Instant(), "cpu")
        assert summary.statuses["ok"] == CELLS
        return (time.perf_counter() - start) / CELLS

    seconds = benchmark.pedantic(schedule, rounds=1)
    tell(f"scheduling and writing {CELLS} cells: {seconds * 1e3:.2f} ms a cell, goal {SECONDS_A_CELL * 1e3:g}")
    assert seconds < SECONDS_A_CELL


def test_loading_records(benchmark: Any, tell: Callable[[str], None], tmp_path: Path) -> None:
    (cell,) = smoke_cells(1)
    template = made_record(cell)
    for seed in range(RECORDS):
        record = template | {"key": f"{seed:016x}", "cell": template["cell"] | {"seed": seed}}
        record_path(tmp_path, record).write_text(json.dumps(record, indent=1))  # without 10,000 times fsync

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
    pool = DaskPool(count, None, None, lambda event: None)
    try:
        yield pool
    finally:
        pool.close()


@pytest.mark.skipif((psutil.cpu_count(logical=False) or 1) < 2, reason="one core")
def test_two_workers_against_one(benchmark: Any, tell: Callable[[str], None], tmp_path: Path) -> None:
    """A compute-bound suite, after a cell on each worker that loads what they need."""
    (tmp_path / "suite.toml").write_text(SUITE)
    (cell,) = load_suite(str(tmp_path / "suite.toml")).cells()
    short = replace(cell, settings={**cell.settings, "training": cell.settings["training"] | {"epochs": 1}})

    def took(count: int) -> float:
        with workers(count) as pool:
            run([replace(short, seed=100 + i) for i in range(2 * count)], tmp_path / f"warm{count}", pool, "cpu")
            start = time.perf_counter()
            summary = run([replace(cell, seed=i) for i in range(SEEDS)], tmp_path / f"timed{count}", pool, "cpu")
            assert summary.statuses["ok"] == SEEDS
            return time.perf_counter() - start

    one, two = benchmark.pedantic(lambda: (took(1), took(2)), rounds=1)
    tell(f"{SEEDS} training cells: one worker {one:.1f} s, two {two:.1f} s: {one / two:.2f} x sooner, goal {SPEEDUP}")
    assert one / two >= SPEEDUP
