"""What a person sees while a suite runs: a bar with the time left, and a line for every group of jobs under way.

Where the output is no terminal (a log, a pipe), every finished job is one plain line.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from spikemark.suites.jobs import Job
from spikemark.suites.records import Record


class RunDisplay:
    """Listens to a run.

    Args:
        console: where to draw.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = 0
        self._done = 0
        self._ended: set[str] = set()
        self._lines: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._overall = self._progress.add_task("jobs", total=None, note="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def start(self, jobs: Sequence[Job]) -> None:
        """These jobs will run: how many, and which comes first."""
        self._total = len(jobs)
        self._progress.update(self._overall, total=len(jobs))
        if jobs:
            more = f" and {len(jobs) - 1} more" if len(jobs) > 1 else ""
            self._console.print(f"running {jobs[0]}{more}", markup=False, highlight=False)

    def on_job(self, name: str) -> None:
        """Name a job that starts now."""
        if name in self._ended:  # a worker's word may come later than its record
            return
        if self._console.is_terminal:
            self._lines[name] = self._progress.add_task(escape(f"  {name}"), total=None, note="")
        else:
            self._console.print(f"started {name}", markup=False, highlight=False)

    def on_epoch(self, event: dict[str, Any]) -> None:
        """Show epoch, loss and validation accuracy."""
        name = event["job"]
        note = f"loss {event['loss']:.4f}  validation {event['validation_accuracy']:6.1%}"
        if name not in self._lines:
            self._lines[name] = self._progress.add_task(escape(f"  {name}"), total=event["epochs"], note=note)
        self._progress.update(self._lines[name], completed=event["epoch"], total=event["epochs"], note=note)

    def on_record(self, record: Record) -> None:
        """Count a finished job; failures are always told."""
        self._done += 1
        cell = record["cell"]
        places = ("measure", "framework", "system", "dataset", "axis", "variant")
        words = [str(cell[place]) for place in places if place in cell]  # type: ignore[literal-required]
        words.insert(2, "") if "system" in cell else words.insert(2, cell["neuron"])
        name = f"{' '.join(word for word in words if word)} seed {cell['seed']}"
        self._ended.add(name)
        if name in self._lines:
            self._progress.remove_task(self._lines.pop(name))
        self._progress.advance(self._overall)
        if record["status"] != "ok":
            first_line = (record["error"] or "").partition("\n")[0]
            self._console.print(f"{record['status']}: {name}: {first_line}", style="red", markup=False, highlight=False)
        elif not self._console.is_terminal:
            line = f"[{self._done}/{self._total}] {name}: {record['seconds']:.1f} s"
            self._console.print(line, markup=False, highlight=False)
