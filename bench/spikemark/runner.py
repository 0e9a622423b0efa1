"""Runs cells and keeps their records: skips what is there, writes what comes, never loses a failure.

The runner schedules; what a cell does is `execution`'s affair, where it runs the pool's, what it is the suite's.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from pathlib import Path

import torch

from spikemark.adapter import get_adapter
from spikemark.cells import Cell
from spikemark.datasets import Sizes, load_dataset
from spikemark.datasets.files import data_folder
from spikemark.errors import InputError
from spikemark.execution import failed_record, lost_record
from spikemark.pools import Pool
from spikemark.results import Record, read_record, write_record

# Cells watch their own deadline; one that does not stop by itself this much later is killed from outside.
GRACE_SECONDS = 30.0
_FINAL = ("ok", "diverged")


@dataclass
class Summary:
    """How a run ended: cells by status, those skipped because their record was there, and those never started."""

    statuses: Counter[str] = field(default_factory=Counter)
    skipped: int = 0
    not_run: int = 0

    @property
    def failed(self) -> int:
        """Cells without a usable result."""
        return self.statuses["failed"] + self.statuses["timeout"]


def plan(cells: Iterable[Cell], results: Path) -> tuple[list[Cell], int]:
    """The cells that have no final record below `results` yet, and how many have one.

    A failed cell and one that ran out of time are tried again; the record of a torn file is made again.

    Raises:
        spikemark.results.ResultsError: a record of the plan is whole but foreign.
    """
    by_key = {path.stem.rpartition("_")[2]: path for path in sorted(results.glob("*.json"))}
    todo, done = [], 0
    for cell in cells:
        path = by_key.get(cell.key())
        record = read_record(path) if path else None
        if record is not None and record["status"] in _FINAL:
            done += 1
        else:
            todo.append(cell)
    return todo, done


def check_runnable(cells: Iterable[Cell], device: str, data_dir: Path | None) -> None:
    """Find out before the first cell runs what no cell could do without.

    Raises:
        InputError: a framework is not installed, a data set is missing, damaged or too small, or there is no GPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: this machine has no CUDA GPU that torch can use; try --device cpu")
    data_folder(data_dir)
    for framework in sorted({cell.framework for cell in cells}):
        get_adapter(framework)
    for dataset, sizes in sorted({(c.dataset, tuple(c.settings["sizes"].items())) for c in cells if c.task == "train"}):
        load_dataset(dataset, data_dir, Sizes(**dict(sizes)))


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
    cells: list[Cell],
    results: Path,
    pool: Pool,
    device: str,
    *,
    fail_fast: bool = False,
    on_record: Callable[[Record], None] = lambda record: None,
) -> Summary:
    """Run the cells that have no record yet; every one of them leaves a record.

    Cells that need the machine to themselves run last, one at a time. An interrupt leaves the records of all finished
    cells; running again continues from there.

    Args:
        cells: of one suite.
        results: folder of the records.
        pool: where to run.
        device: "cpu" or "cuda".
        fail_fast: start no further cell after the first that failed.
        on_record: told of every record once it is on disk.
    """
    todo, done = plan(cells, results)
    summary = Summary(skipped=done)

    def keep(record: Record) -> bool:
        write_record(results, record)
        summary.statuses[record["status"]] += 1
        on_record(record)
        return not (fail_fast and record["status"] in ("failed", "timeout"))

    together = [cell for cell in todo if not cell.exclusive]
    alone = [cell for cell in todo if cell.exclusive]
    left = _run_window(together, pool.size, pool, device, keep)
    left += alone if left else _run_window(alone, 1, pool, device, keep)
    summary.not_run = len(left)
    return summary


def _run_window(cells: list[Cell], width: int, pool: Pool, device: str, keep: Callable[[Record], bool]) -> list[Cell]:
    """Run cells, at most `width` at once, until done or `keep` says stop; the cells not started."""
    waiting = list(reversed(cells))
    under_way: dict[Future[Record], tuple[Cell, float]] = {}
    go_on = True
    while under_way or (waiting and go_on):
        while waiting and go_on and len(under_way) < width:
            cell = waiting.pop()
            under_way[pool.submit(cell, device)] = (cell, time.monotonic())
        finished, _ = wait(under_way, timeout=1.0, return_when=FIRST_COMPLETED)
        for future in finished:
            cell, _ = under_way.pop(future)
            failed = future.exception() is not None
            go_on &= keep(failed_record(cell, device, future) if failed else future.result())
        for future in _overdue(under_way):
            cell, _ = under_way[future]
            if pool.kill(future):
                del under_way[future]
                error = (
                    f"did not stop {GRACE_SECONDS:g} s after its {cell.timeout:g} s were up; its worker was restarted"
                )
                go_on &= keep(lost_record(cell, device, "timeout", error))
    return waiting[::-1]


def _overdue(under_way: dict[Future[Record], tuple[Cell, float]]) -> list[Future[Record]]:
    now = time.monotonic()
    return [f for f, (cell, start) in under_way.items() if now - start > cell.timeout + GRACE_SECONDS]
