"""The command line: a shell over `spikemark.api`. It parses and shows; a command imports what it needs itself."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from collections import Counter
from contextlib import suppress
from enum import StrEnum
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from spikemark.errors import InputError, first_line, unknown
from spikemark.models import commands as model_commands
from spikemark.registry import KINDS
from spikemark.regression import commands
from spikemark.suites import environment_commands

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from spikemark.api import Results
    from spikemark.suites.jobs import Job
    from spikemark.suites.records import Record

_ORDER = (
    "run", "evaluate", "report", "site", "energy", "compare", "ab", "golden", "history", "conformance", "nir", "list",
    "data", "pack", "submit",
)  # fmt: skip


def _examples(*lines: str) -> str:
    """The end of a help text."""
    return "\n\n".join(["Examples:", *lines])


class _Commands(typer.core.TyperGroup):
    """The commands in the order in which a user meets them."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All names; those that `_ORDER` lacks come last."""
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))


app = typer.Typer(
    cls=_Commands,
    help="Benchmark spiking neural networks across frameworks on identical work.",
    epilog=_examples(
        "spikemark run quick --report",
        "spikemark evaluate model.py:build --data digits --weights trained.pt",
        "spikemark list systems --having plif",
        "spikemark ab main HEAD",
        "spikemark COMMAND --help",
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
data_app = typer.Typer(help="Data sets: what there is, fetch, verify.", no_args_is_help=True)
app.add_typer(data_app, name="data")
commands.register(app)
model_commands.register(app)
environment_commands.register(app)

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", envvar="SPIKEMARK_DATA", help="Folder with data sets.", show_default=False),
]
Layout = Annotated[
    str, typer.Option(help="Of the input: TB, BT, B for a loop over time inside, or step for a call per step.")
]
StepLength = Annotated[
    float | None, typer.Option("--dt", help="Of a .nir file, seconds per step.", show_default="1e-4")
]
Plugins = Annotated[list[str] | None, typer.Option("--plugin", help="File or module to load first; may be repeated.")]


class Device(StrEnum):
    """Where networks run."""

    cpu = "cpu"
    cuda = "cuda"


def main() -> None:
    """Entry point: a wrong request, and what the machine refuses, is one line on standard error and exit status 2."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    try:
        try:
            app()
        finally:
            sys.stdout.flush()
    except InputError as error:
        _stop(str(error))
    except OSError as error:
        place = f"{error.filename}: " if error.filename is not None else ""
        _stop(f"{place}{error.strerror or error}; once that is mended, run the same command again")
    except MemoryError:
        _stop("out of memory; run it with fewer workers, or on a larger machine")


def _stop(message: str) -> NoReturn:
    typer.echo(f"spikemark: {' '.join(message.split())}", err=True)
    try:
        sys.stdout.flush()
    except OSError:  # it is full or closed, and would complain once more when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(2)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """The first time, whatever runs ends in order; the second time, at once."""
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _leave)
    sys.unraisablehook = _sent_again
    raise KeyboardInterrupt(number)


def _sent_again(lost: sys.UnraisableHookArgs) -> None:
    """An interrupt that came where Python lets nothing be raised comes once more, a moment later."""
    if not isinstance(lost.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(lost)
        return
    number = _status(lost.exc_value) - 128
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, _interrupt)
    main_thread = threading.main_thread().ident
    assert main_thread is not None
    threading.Timer(0.05, signal.pthread_kill, (main_thread, number)).start()


def _status(stop: KeyboardInterrupt) -> int:
    """The exit status of a process that a signal ended."""
    return 128 + (stop.args[0] if stop.args else signal.SIGINT)


def _leave(number: int, frame: FrameType | None) -> None:
    import psutil

    children = [process.pid for process in psutil.Process().children(recursive=True)]
    # From here on no other thread of ours runs: it could start Python's resource tracker again, which then complains.
    sys.setswitchinterval(60)
    for child in reversed(children):
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)
    os._exit(128 + number)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        typer.echo(f"spikemark {version('spikemark')}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and stop.")
    ] = False,
) -> None:
    pass


def _rows(title: str, columns: list[str], rows: list[list[Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(title), title_justify="left", show_lines=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(value)) for value in row))  # no markup: brackets are shown as they are
    console = Console()
    console.print(table) if console.is_terminal else Console(width=2_000).print(table)


@app.command(
    epilog=_examples(
        "spikemark run quick --report",
        "spikemark run standard --only framework=snntorch --only framework=norse --only dataset=digits",
        "spikemark run my_suite.toml --plugin my_neuron.py --dry-run",
    )
)
def run(
    suite: Annotated[str, typer.Argument(help="A registered suite's name, or the path of a suite file.")] = "quick",
    out: Annotated[Path | None, typer.Option(help="Folder for the records.", show_default="results/SUITE")] = None,
    plugin: Plugins = None,
    data_dir: DataDir = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes; 0 runs in this one. Default: all cores.")
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a dask scheduler to run on instead.")] = None,
    tls_ca: Annotated[Path | None, typer.Option(help="With --scheduler: certificate of the authority.")] = None,
    tls_cert: Annotated[Path | None, typer.Option(help="With --scheduler: certificate of this client.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="With --scheduler: the key of --tls-cert.")] = None,
    patience: Annotated[
        float | None,
        typer.Option(min=0, help="With --scheduler: minutes to wait for workers, or a lost scheduler. Default: 10."),
    ] = None,
    device: Annotated[Device, typer.Option(help="Where networks run.")] = Device.cpu,
    only: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE: run matching jobs only. The same KEY again means any of its values."),
    ] = None,
    keep_weights: Annotated[
        bool, typer.Option("--keep-weights/--no-keep-weights", help="Keep trained weights beside the records.")
    ] = True,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Start no job after the first failure.")] = False,
    fail_on: Annotated[
        str | None,
        typer.Option(
            help="What fails beside failed jobs: degenerate,diverged,unsupported, or none.",
            show_default="what the suite says, else degenerate",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would run, and stop.")] = False,
    report: Annotated[bool, typer.Option("--report", help="Render the report too, beside the records.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Render the report, and show it in the browser.")] = False,
) -> None:
    """Run a suite; jobs that have a record already are skipped.

    Exit status 1 where jobs failed, or networks say nothing (degenerate ones).
    """
    from spikemark import api
    from spikemark.suites.suite import failing, load_suite

    plugins = plugin or []
    loaded = load_suite(suite, tuple(plugins))
    folder = out or Path("results") / loaded.name
    fails = loaded.fail_on if fail_on is None else failing(_listed(fail_on) or ())
    if dry_run:
        _dry_run(suite, folder, plugins, only or [])
        return
    results = _run(
        suite,
        out=folder,
        only=only or [],
        plugins=plugins,
        workers=workers,
        device=device.value,
        data_dir=data_dir,
        keep_weights=keep_weights,
        fail_fast=fail_fast,
        **_cluster(scheduler, (tls_ca, tls_cert, tls_key), patience, workers),
    )
    summary = results.summary
    assert summary is not None
    counts = ", ".join(f"{count} {status}" for status, count in sorted(summary.statuses.items())) or "nothing to run"
    not_run = f", {summary.not_run} not started" if summary.not_run else ""
    _show_overview(results)
    typer.echo(f"{counts}, {summary.skipped} already there{not_run}; records in {folder}")
    if report or open_:
        pages = [path for path in api.report(results, folder / "report") if path.suffix == ".html"]
        typer.echo(f"report: {', '.join(map(str, pages))}")
        if open_:
            typer.launch(str(pages[0]))
    else:
        typer.echo(f"report: spikemark report {shlex.quote(str(folder))}")
    useless = [record for record in results.records if record["status"] in fails]
    if useless:
        typer.echo(_useless(useless), err=True)
    if summary.failed or useless:
        raise typer.Exit(1)


def _useless(records: list[Record]) -> str:
    """A line on results that say nothing, with the first of them and what to do."""
    from spikemark.suites.jobs import said

    counts = Counter(record["status"] for record in records)
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    why = first_line(records[0]["error"], "no reason given")
    expected = "where that is expected: --fail-on none, or fail_on = [] in the suite"
    return f"spikemark: {told}, such as {said(records[0]['cell'])}: {why} ({expected})"


def _show_overview(results: Results, lines: int = 5) -> None:
    """The first lines of the overview; nothing where the suite measures no network."""
    shown = ("accuracy", "under_noise", "acs", "firing_rate", "samples_per_second")
    overview = results.overview
    overview = overview[[column for column in overview if column in shown]]
    if overview.empty or overview.columns.empty:
        return
    first = overview.head(lines).reset_index()
    more = f"; {len(overview) - lines} more in the report" if len(overview) > lines else ""
    rows = [[_shown(value) for value in row] for row in first.itertuples(index=False)]
    _rows(f"means over seeds{more}", [str(name) for name in first], rows)


def _dry_run(suite: str, folder: Path, plugins: list[str], only: list[str]) -> None:
    from spikemark import api
    from spikemark.suites.jobs import resolve
    from spikemark.suites.runner import plan

    todo, done = plan(resolve(api.plan(suite, plugins=plugins, only=only)), folder)
    for job in todo:
        typer.echo(str(job))
    typer.echo(f"{len(todo)} jobs to run, {done} have a record in {folder}")


def _cluster(
    scheduler: str | None, tls: tuple[Path | None, ...], patience: float | None, workers: int | None
) -> dict[str, Any]:
    """The options of a cluster, which come with `--scheduler` alone."""
    given = any(tls)
    if scheduler is None:
        if given or patience is not None:
            raise InputError("--tls-ca, --tls-cert, --tls-key and --patience need --scheduler ADDRESS")
        return {}
    if workers is not None:
        raise InputError("--workers starts processes here, --scheduler uses those of a cluster; give one of them")
    if given and not all(tls):
        raise InputError("TLS needs all of --tls-ca, --tls-cert and --tls-key")
    for path in filter(None, tls):
        if not path.is_file():
            raise InputError(f"{path}: no such file")
    return {"scheduler": scheduler, "tls": tls if given else None} | (
        {} if patience is None else {"patience": 60 * patience}
    )


def _run(suite: str, **options: Any) -> Results:
    from rich.console import Console

    from spikemark import api
    from spikemark.suites.progress import RunDisplay

    with RunDisplay(Console(stderr=True)) as display:

        def start(jobs: list[Job], done: int) -> None:
            display.start(jobs)

        try:
            return api.run(
                suite,
                on_start=start,
                on_job=display.on_job,
                on_epoch=display.on_epoch,
                on_record=display.on_record,
                **options,
            )
        except KeyboardInterrupt as stop:
            typer.echo("spikemark: interrupted; finished jobs are kept, run the same command to continue", err=True)
            raise typer.Exit(_status(stop)) from None


def _listed(text: str | None) -> list[str] | None:
    return None if text is None else [part.strip() for part in text.split(",") if part.strip()]


@app.command(
    epilog=_examples(
        "spikemark evaluate model.py:build --data digits --weights trained.pt --steps 8",
        "spikemark evaluate network.nir --data digits --framework norse --measures accuracy,energy",
    )
)
def evaluate(
    model: Annotated[
        list[str], typer.Argument(help="FILE.py:build, package.module:build or FILE.nir; several: seeds.")
    ],
    data: Annotated[str, typer.Option(help="Name of a data set.")],
    weights: Annotated[list[str] | None, typer.Option(help="File of trained weights; one for each model.")] = None,
    steps: Annotated[int | None, typer.Option(help="Time steps.", show_default="those of the samples")] = None,
    layout: Layout = "TB",
    encoder: Annotated[str, typer.Option(help="From samples to inputs.")] = "direct",
    measures: Annotated[str, typer.Option(help="Comma-separated.")] = "accuracy,robustness,energy,throughput",
    noises: Annotated[str | None, typer.Option(help="Comma-separated.", show_default="all that apply")] = None,
    severities: Annotated[str, typer.Option(help="Comma-separated, among 1 to 5.")] = "1,2,3,4,5",
    samples: Annotated[int | None, typer.Option(help="The first so many of the test split.")] = None,
    batch_size: Annotated[int, typer.Option(help="Samples at a time.")] = 256,
    device: Annotated[Device, typer.Option(help="Where the model is built.")] = Device.cpu,
    name: Annotated[str | None, typer.Option(help="In tables.", show_default="the model's")] = None,
    framework: Annotated[str | None, typer.Option(help="In tables; of a .nir file, who computes it.")] = None,
    dt: StepLength = None,
    baselines: Annotated[str | None, typer.Option(help="Systems whose committed records stand beside.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for the records.")] = Path("results/evaluate"),
    plugin: Plugins = None,
    data_dir: DataDir = None,
    report: Annotated[bool, typer.Option("--report", help="Render the report too, beside the records.")] = False,
) -> None:
    """Measure a model that was trained elsewhere."""
    from spikemark import api
    from spikemark.suites.runner import check_writable

    _load(plugin)
    check_writable(out)
    sys.path.insert(0, str(Path.cwd()))  # where "package.module:build" is looked for
    try:
        levels = [int(level) for level in _listed(severities) or []]
    except ValueError:
        raise InputError(f"--severities {severities}: expected whole numbers among 1 to 5") from None
    results = api.evaluate(
        model,
        data,
        steps=steps,
        layout=layout,
        encoder=encoder,
        measures=_listed(measures) or (),
        noises=_listed(noises),
        severities=levels,
        samples=samples,
        batch_size=batch_size,
        weights=weights,
        device=device.value,
        name=name,
        framework=framework,
        dt=dt,
        baselines=_listed(baselines) or (),
        data_dir=data_dir,
    )
    results.save(out)
    _show_evaluation(results, out)
    if report:
        for path in api.report(results, out / "report"):
            typer.echo(str(path))
    if any(record["status"] == "failed" for record in results.records):
        raise typer.Exit(1)


class TableForm(StrEnum):
    """How a table is written."""

    markdown = "markdown"
    csv = "csv"
    latex = "latex"


@app.command(epilog=_examples("spikemark energy model.py:build --data digits --format latex"))
def energy(
    model: Annotated[str, typer.Argument(help="FILE.py:build, package.module:build or FILE.nir.")],
    data: Annotated[str, typer.Option(help="Name of a data set.")],
    weights: Annotated[Path | None, typer.Option(help="File of trained weights.")] = None,
    steps: Annotated[int | None, typer.Option(help="Time steps.", show_default="those of the samples")] = None,
    layout: Layout = "TB",
    encoder: Annotated[str, typer.Option(help="From samples to inputs.")] = "direct",
    samples: Annotated[int | None, typer.Option(help="Of the test split.", show_default="128")] = None,
    profiles: Annotated[
        str | None, typer.Option(help="Comma-separated names and .toml files.", show_default="all")
    ] = None,
    framework: Annotated[str | None, typer.Option(help="Of a .nir file, who computes it.")] = None,
    dt: StepLength = None,
    format_: Annotated[TableForm, typer.Option("--format", help="How to write the table.")] = TableForm.markdown,
    out: Annotated[Path | None, typer.Option(help="File to write; standard output when left out.")] = None,
    plugin: Plugins = None,
    data_dir: DataDir = None,
) -> None:
    """Count a trained model's operations exactly, and write their energy as the table that papers print."""
    from spikemark import api

    _load(plugin)
    sys.path.insert(0, str(Path.cwd()))  # where "package.module:build" is looked for
    table = api.energy_table(
        model, data, steps=steps, layout=layout, encoder=encoder, samples=samples, profiles=_listed(profiles) or (),
        weights=weights, framework=framework, dt=dt, data_dir=data_dir,
    )  # fmt: skip
    text = table.text(format_.value)
    if out is None:
        typer.echo(text)
        return
    try:
        out.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out {out}: {error.strerror}") from None
    typer.echo(str(out))


def _show_evaluation(results: Results, out: Path) -> None:
    overview = results.overview.reset_index()
    _rows(
        "evaluation",
        [str(name) for name in overview],
        [[_shown(value) for value in row] for row in overview.itertuples(index=False)],
    )
    for noise, reason in results.left_out.items():
        typer.echo(f"left out: {noise}: {reason}")
    for record in results.records:
        if record["status"] != "ok":
            cell, error = record["cell"], first_line(record["error"], "no reason given")
            typer.echo(f"{cell['measure']} of {cell.get('system')}, seed {cell['seed']}: {record['status']}: {error}")
    typer.echo(f"{len(results.records)} records in {out}")


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@app.command(epilog=_examples("spikemark report results/quick --out reports"))
def report(
    results: Annotated[Path, typer.Argument(help="Folder of records, or a packed file.")] = Path("results"),
    out: Annotated[Path, typer.Option(help="Folder for tables, figures and the page.")] = Path("reports"),
) -> None:
    """Render records as Markdown, CSV, figures and one HTML page."""
    from spikemark import api

    for path in api.report(results, out):
        typer.echo(str(path))


@app.command()
def site(
    results: Annotated[Path, typer.Argument(help="Folder of records, or a packed file.")] = Path("results"),
    out: Annotated[Path, typer.Option(help="Folder for the site.")] = Path("site"),
    submissions: Annotated[
        Path | None, typer.Option(help="Folder of submissions, which the leaderboard lists with their tier.")
    ] = None,
) -> None:
    """Render all suites as a static site: a landing page with the leaderboard, and a page per suite."""
    from spikemark.report.site import write_site

    written = write_site(results, out, submissions)
    typer.echo(f"{len(written)} files; open {out / 'index.html'} in a browser")


@app.command(
    epilog=_examples(
        "spikemark submit results/mine --name my-neuron --source https://doi.org/10.1000/1",
        "spikemark submit again --reproduces submissions/my-neuron/0123456789ab --by 'A. Person'",
    )
)
def submit(
    results: Annotated[Path, typer.Argument(help="Folder of records, or a packed file.")],
    name: Annotated[str | None, typer.Option(help="Of the submission.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of all submissions.")] = Path("submissions"),
    source: Annotated[str, typer.Option(help="A publication or a repository.")] = "",
    reproduces: Annotated[
        Path | None, typer.Option(help="A submission that RESULTS measure again, instead of a new one.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="With --reproduces: who measured again.")] = None,
    data_dir: DataDir = None,
) -> None:
    """Check results and write them as a submission: schema, seeds, conformance, checksums of the data."""
    from spikemark.suites.submission import reproduce
    from spikemark.suites.submission import submit as write_submission

    if reproduces is not None:
        if by is None or name is not None or source:
            raise InputError("--reproduces goes with --by, and with neither --name nor --source")
        about = reproduce(reproduces, results, by)
        typer.echo(f"{about.name} {about.revision}: {about.tier} ({about.reproductions[-1].jobs} jobs the same)")
        return
    if name is None or by is not None:
        raise InputError("a submission needs --name; --by goes with --reproduces")
    typer.echo(str(write_submission(results, name, out, source=source, data_dir=data_dir)))


@app.command()
def pack(
    results: Annotated[Path, typer.Argument(help="Folder of records.")],
    out: Annotated[Path | None, typer.Option(help="The file; beside the folder when left out.")] = None,
) -> None:
    """Write a results folder as one compressed file, which every command reads like the folder."""
    from spikemark.suites.packed import pack as pack_records

    typer.echo(str(pack_records(results, out)))


def _advance(progress: Progress, task: TaskID, done: int, total: int) -> None:
    progress.update(task, completed=done, total=total)


@app.command()
def conformance(
    framework: Annotated[str | None, typer.Option(help="One framework, or NAME@VERSION; else all there are.")] = None,
    package: Annotated[
        list[str] | None, typer.Option(help="PACKAGE==VERSION, in its own environment; may be repeated.")
    ] = None,
    matrix: Annotated[bool, typer.Option("--matrix", help="All environments with a lock, and what changed.")] = False,
    device: Annotated[
        Device | None,
        typer.Option(help="Where layers run.", show_default="cpu; a matrix adds a GPU where there is one"),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder for the matrix.")] = Path("reports"),
    plugin: Plugins = None,
) -> None:
    """Prove that frameworks compute the spikes and gradients of the float64 oracle."""
    from rich.console import Console
    from rich.progress import Progress

    from spikemark import api
    from spikemark.core.environments import MissingEnvironment
    from spikemark.core.frameworks import FRAMEWORKS, MissingFramework, require_framework
    from spikemark.measures.semantics.comparison import ConformanceRow
    from spikemark.regression.matrix import contender

    _load(plugin)
    if matrix:
        _write_matrix(framework, package or [], out, device)
        return
    asked = [*([framework] if framework else []), *map(contender, package or [])]
    rows: list[ConformanceRow] = []
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for name in asked or tuple(FRAMEWORKS):
            try:
                require_framework(name)
            except (MissingFramework, MissingEnvironment) as error:
                if asked:
                    raise
                typer.echo(f"left out: {error}", err=True)
                continue
            advance = partial(_advance, progress, progress.add_task(name, total=None))
            rows += api.conformance(name, progress=advance, device=(device or Device.cpu).value)
    columns = [
        "framework", "neuron or dynamics", "route", "specs", "unsupported", "spikes compared", "at threshold",
        "differing", "gradient error f32", "f64", "verdict",
    ]  # fmt: skip
    lines = [
        [
            row.framework, row.subject, ", ".join(row.routes), row.specs, len(row.unsupported),
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


def _write_matrix(framework: str | None, packages: list[str], out: Path, device: Device | None) -> None:
    from spikemark.regression.matrix import backends_here, contenders, run_matrix
    from spikemark.regression.matrix_report import write_matrix
    from spikemark.suites.place import require_device

    backends, unmeasured = backends_here()
    if device is not None:
        require_device(device.value)
        backends = list(dict.fromkeys(("cpu", device.value)))  # versions are compared on the processor
    names = [name for name in contenders(packages) if framework is None or name.partition("@")[0] == framework]
    if not names:
        raise InputError(f"--framework {framework}: it has no environment; name a version with --package")
    for path in write_matrix(run_matrix(names, backends, partial(typer.echo, err=True), unmeasured), out):
        typer.echo(str(path))


def _load(plugins: list[str] | None) -> None:
    from spikemark.registry import load_plugin

    for plugin in plugins or []:
        load_plugin(plugin)


class Form(StrEnum):
    """How a listing is written."""

    table = "table"
    json = "json"
    markdown = "markdown"


@app.command("list", epilog=_examples("spikemark list neurons --having plif", "spikemark list noises --format json"))
def list_(
    what: Annotated[str, typer.Argument(metavar="WHAT", help=f"What to list: {', '.join(KINDS.values())}.")],
    having: Annotated[str, typer.Option("--having", help="Only rows with this text anywhere, in any case.")] = "",
    form: Annotated[Form, typer.Option("--format", help="How to write them.")] = Form.table,
    plugin: Plugins = None,
) -> None:
    """List what is registered, with the origin of every entry."""
    from spikemark.suites.listing import listing

    _load(plugin)
    kinds = {plural: kind for kind, plural in KINDS.items()}
    if what not in kinds:
        raise unknown("list of", what, kinds)
    kind = kinds[what]
    title, columns, rows = listing(kind)
    rows = [row for row in rows if having.lower() in " ".join(map(str, row)).lower()]
    if form is Form.table:
        _rows(title, columns, rows)
    elif form is Form.json:
        import json

        typer.echo(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=1, default=str))
    else:
        from tabulate import tabulate

        cells = [[str(value).replace("|", "\\|") for value in row] for row in rows]
        typer.echo(tabulate(cells, headers=columns, tablefmt="pipe", disable_numparse=True))


@data_app.command("list")
def data_list(data_dir: DataDir = None) -> None:
    """Data sets: samples, shape, licence, present or not."""
    from spikemark.data.files import data_table

    rows = data_table(data_dir)
    _rows("data sets", list(rows[0]), [list(row.values()) for row in rows])


@data_app.command()
def fetch(name: str, data_dir: DataDir = None) -> None:
    """Download a data set, checking every checksum."""
    from spikemark.data.files import fetch as fetch_data

    fetch_data(name, data_dir)
    typer.echo(f"{name} is complete")


@data_app.command()
def verify(name: str, data_dir: DataDir = None) -> None:
    """Check every checksum of a data set that is present."""
    from spikemark.data.files import verify as verify_data

    problems = verify_data(name, data_dir)
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(1)
    typer.echo(f"{name}: every checksum is right")
