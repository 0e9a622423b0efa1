"""The command line. Parses, calls the library, shows; imports heavy modules only inside the command that needs them."""

from __future__ import annotations

import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spikemark.errors import InputError
from spikemark.regression import commands

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

app = typer.Typer(
    help="Benchmark spiking neural networks across frameworks on identical work.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(help="Data sets: what there is, fetch, verify.", no_args_is_help=True)
app.add_typer(data_app, name="data")
commands.register(app)

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="SPIKEMARK_DATA", help="Folder with data sets.", show_default=False),
]


class Device(StrEnum):
    """Where networks run."""

    cpu = "cpu"
    cuda = "cuda"


class Listing(StrEnum):
    """What `spikemark list` can show."""

    adapters = "adapters"
    neurons = "neurons"
    systems = "systems"
    datasets = "datasets"
    noise = "noise"
    suites = "suites"


def main() -> None:
    """Entry point: a wrong request is one line on standard error and exit status 2."""
    try:
        app()
    except InputError as error:
        typer.echo(f"spikemark: {' '.join(str(error).split())}", err=True)
        sys.exit(2)


def _rows(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_lines=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(value) for value in row))
    console = Console()
    console.print(table) if console.is_terminal else Console(width=200).print(table)


@app.command()
def run(
    suite: Annotated[str, typer.Argument(help="A shipped suite's name, or the path of a suite file.")] = "quick",
    out: Annotated[Path | None, typer.Option(help="Folder for the records.", show_default="results/SUITE")] = None,
    data_dir: DataDir = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes; 0 runs in this one. Default: all cores.")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a dask scheduler to run on instead.")] = None,
    device: Annotated[Device, typer.Option(help="Where networks run.")] = Device.cpu,
    only: Annotated[list[str] | None, typer.Option(help="KEY=VALUE: run matching cells only; may be repeated.")] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Start no cell after the first failure.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run, and stop.")] = False,
) -> None:
    """Run a suite; cells that have a record already are skipped."""
    from rich.console import Console

    from spikemark.cells import select
    from spikemark.pools import make_pool
    from spikemark.progress import RunDisplay
    from spikemark.runner import check_runnable, check_writable, plan
    from spikemark.runner import run as run_cells
    from spikemark.suite import load_suite

    loaded = load_suite(suite)
    cells = select(loaded.cells(), only or [])
    check_runnable(cells, device.value, data_dir)
    folder = out or Path("results") / loaded.name
    todo, done = plan(cells, folder)
    if dry_run:
        for cell in todo:
            typer.echo(str(cell))
        typer.echo(f"{len(todo)} cells to run, {done} have a record in {folder}")
        return
    check_writable(folder)
    with RunDisplay(len(todo), Console(stderr=True)) as display:
        pool = make_pool(workers, scheduler, data_dir, display.on_epoch)
        try:
            summary = run_cells(todo, folder, pool, device.value, fail_fast=fail_fast, on_record=display.on_record)
        except KeyboardInterrupt:
            typer.echo("spikemark: interrupted; finished cells are kept, run the same command to continue", err=True)
            raise typer.Exit(130) from None
        finally:
            pool.close()
    counts = ", ".join(f"{count} {status}" for status, count in sorted(summary.statuses.items())) or "nothing to run"
    not_run = f", {summary.not_run} not started" if summary.not_run else ""
    typer.echo(f"{counts}, {done} already there{not_run}; records in {folder}")
    if summary.failed:
        raise typer.Exit(1)


@app.command()
def report(
    results: Annotated[Path, typer.Argument(help="Folder of records.")] = Path("results"),
    out: Annotated[Path, typer.Option(help="Folder for tables, figures and the page.")] = Path("reports"),
) -> None:
    """Render records as Markdown, CSV, figures and one HTML page."""
    from spikemark.report import write_report
    from spikemark.runner import check_writable

    check_writable(out)
    for path in write_report(results, out):
        typer.echo(str(path))


def _advance(progress: Progress, task: TaskID, done: int, total: int) -> None:
    progress.update(task, completed=done, total=total)


@app.command()
def conformance(
    adapter: Annotated[str | None, typer.Option(help="One adapter; all that are installed when left out.")] = None,
) -> None:
    """Prove that adapters compute the spikes and gradients of the float64 oracle."""
    from rich.console import Console
    from rich.progress import Progress

    from spikemark.adapter import MissingFramework, adapter_names, get_adapter
    from spikemark.measures.conformance import ConformanceRow, conformance_table

    rows: list[ConformanceRow] = []
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for name in (adapter,) if adapter else adapter_names():
            try:
                get_adapter(name)
            except MissingFramework as error:
                if adapter:
                    raise
                typer.echo(f"left out: {error}", err=True)
                continue
            rows += conformance_table(name, partial(_advance, progress, progress.add_task(name, total=None)))
    columns = [
        "adapter", "neuron or dynamics", "route", "specs", "unsupported", "spikes compared", "at threshold",
        "differing", "gradient error f32", "f64", "verdict",
    ]  # fmt: skip
    lines = [
        [
            row.adapter, row.subject, ", ".join(row.routes), row.specs, len(row.unsupported),
            f"{row.compared_spikes:,}", f"{row.spikes_at_threshold:,}", row.differing_spikes,
            *(f"{row.gradient_error(dtype):.1e}" if row.results else "-" for dtype in ("float32", "float64")),
            "ok" if row.passed else "unsupported" if not row.results else "FAILED",
        ]
        for row in rows
    ]  # fmt: skip
    _rows("conformance with the float64 oracle", columns, lines)
    for reason in sorted({reason for row in rows for reason in row.unsupported}):
        typer.echo(f"unsupported: {reason}")
    mismatches = sum(row.differing_spikes for row in rows)
    failed = [row for row in rows if row.results and not row.passed]
    typer.echo(
        f"{mismatches} mismatches in {sum(row.compared_spikes for row in rows):,} spikes; {len(failed)} rows failed"
    )
    if failed or not any(row.results for row in rows):
        raise typer.Exit(1)


@app.command("list")
def list_(what: Annotated[Listing, typer.Argument(help="What to list.")]) -> None:
    """List what the suite knows."""
    from spikemark.listing import LISTINGS

    _rows(*LISTINGS[what.value]())


@data_app.command("list")
def data_list(data_dir: DataDir = None) -> None:
    """Data sets: samples, shape, licence, present or not."""
    from spikemark.datasets import data_table

    rows = data_table(data_dir)
    _rows("data sets", list(rows[0]), [list(row.values()) for row in rows])


@data_app.command()
def fetch(name: str, data_dir: DataDir = None) -> None:
    """Download a data set, checking every checksum."""
    from spikemark.datasets import fetch as fetch_data

    fetch_data(name, data_dir)
    typer.echo(f"{name} is complete")


@data_app.command()
def verify(name: str, data_dir: DataDir = None) -> None:
    """Check every checksum of a data set that is present."""
    from spikemark.datasets import verify as verify_data

    problems = verify_data(name, data_dir)
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(1)
    typer.echo(f"{name}: every checksum is right")
