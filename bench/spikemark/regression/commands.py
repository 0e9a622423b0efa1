"""The commands `compare`, `ab` and `history`: options and output; the work is done by the other modules."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikemark.errors import InputError

if TYPE_CHECKING:
    from spikemark.regression.compare import Comparison
    from spikemark.regression.verdicts import Limits

history_app = typer.Typer(help="How numbers of one branch moved, commit by commit.", no_args_is_help=True)
golden_app = typer.Typer(help="What the frameworks' own layers do, before and after a change.", no_args_is_help=True)


class Format(StrEnum):
    """How a comparison is written."""

    text = "text"
    markdown = "markdown"
    json = "json"
    github = "github"
    junit = "junit"


Threshold = Annotated[str, typer.Option(help="Most growth of time or memory that passes, such as 5%.")]
Margin = Annotated[str, typer.Option(help="Most loss of accuracy that passes, in points, such as 0.5%.")]
Instructions = Annotated[str, typer.Option(help="Most growth of instruction counts that passes.")]
Metrics = Annotated[str | None, typer.Option(help="Comma-separated metrics to look at; the usual ones when left out.")]
MarkdownFile = Annotated[
    Path | None,
    typer.Option("--markdown", help="Also write Markdown there: a comment, and FILE.full.md where it is cut."),
]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Also write JSON there.")]
JunitFile = Annotated[Path | None, typer.Option("--junit", help="Also write JUnit XML there.")]
FailOnOption = Annotated[
    str, typer.Option("--fail-on", help="What fails beside regressions: missing,undecided,degenerate,changed, or none.")
]
All = Annotated[bool, typer.Option("--all", help="Show what did not change, too.")]
FormatOption = Annotated[Format, typer.Option("--format", help="How to write the verdicts.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.command("compare")(compare_command)
    app.command("ab")(ab_command)
    app.add_typer(history_app, name="history")
    app.add_typer(golden_app, name="golden")


def compare_command(
    base: Annotated[Path, typer.Argument(help="Results folder, or pytest-benchmark JSON with raw data.")],
    head: Annotated[Path, typer.Argument(help="The same, of the change.")],
    threshold: Threshold = "5%",
    metrics: Metrics = None,
    format_: FormatOption = Format.text,
    margin: Margin = "0.5%",
    instructions: Instructions = "1%",
    markdown: MarkdownFile = None,
    noise: Annotated[Path | None, typer.Option(help="Noise floors; those stored with BASE when left out.")] = None,
    same_code: Annotated[
        bool, typer.Option("--same-code", help="Both sides are runs of one commit: store their spread with BASE.")
    ] = False,
    fail_on: FailOnOption = "degenerate",
    everything: All = False,
    json_: JsonFile = None,
    junit: JunitFile = None,
) -> None:
    """Judge HEAD against BASE: exit status 1 when something became worse."""
    from spikemark.regression.compare import compare
    from spikemark.regression.floors import floors_path, measure_floors, read_floors, write_floors
    from spikemark.regression.sources import read_side

    limits = _limits(threshold, margin, instructions)
    before, after = read_side(base), read_side(head)
    path = noise or floors_path(base)
    if same_code:
        floors = measure_floors([before, after])
        write_floors(path, floors, before.machine)
        typer.echo(f"noise floors of {len(floors)} series in {path}")
        return
    if noise is not None and not noise.exists():
        raise InputError(f"--noise {noise} does not exist")
    floors = read_floors(path, before.machine)
    fails = _reasons(fail_on)
    judged = compare(before, after, limits, metrics=_names(metrics), floors=floors, fail_on=fails)
    show(judged, format_, markdown, json_, junit, everything=everything)


def ab_command(
    base_ref: Annotated[str, typer.Argument(help="Git commit, branch or tag.")],
    head_ref: Annotated[str, typer.Argument(help="The change.")],
    suite: Annotated[
        str | None,
        typer.Option(help="Suite whose neurons are watched.", show_default="gate; none with --command alone"),
    ] = None,
    threshold: Threshold = "5%",
    metrics: Metrics = None,
    format_: FormatOption = Format.text,
    margin: Margin = "0.5%",
    instructions: Instructions = "1%",
    budget: Annotated[float, typer.Option(min=1, help="Seconds of measuring on each side, at most.")] = 20.0,
    repository: Annotated[Path, typer.Option(help="Where both refs are.")] = Path(),
    package: Annotated[str, typer.Option(help="What the repository builds.", show_default="what it installs")] = "",
    merge_base: Annotated[
        bool, typer.Option("--merge-base/--no-merge-base", help="Judge against the last commit that both have.")
    ] = True,
    markdown: MarkdownFile = None,
    json_: JsonFile = None,
    junit: JunitFile = None,
    command: Annotated[
        str | None, typer.Option(help="Measure with this command, too; {order} and {out} are files, see the docs.")
    ] = None,
    fail_on: FailOnOption = "degenerate",
    everything: All = False,
) -> None:
    """Measure two commits of Spikemark or of a framework against each other on this machine, interleaved.

    Exit status 1 for a regression. In a clone of a framework, the suite is narrowed to that framework.
    """
    from spikemark.regression.ab import Plan, run_ab

    limits = _limits(threshold, margin, instructions)
    chosen = suite if suite or command else "gate"
    plan = Plan(
        repository, base_ref, head_ref, chosen, limits, budget, _names(metrics), command, package, merge_base,
        _reasons(fail_on),
    )  # fmt: skip
    judged = run_ab(plan, lambda line: typer.echo(line, err=True))
    show(judged, format_, markdown, json_, junit, everything=everything)


@history_app.command("add")
def history_add(
    results: Annotated[Path, typer.Argument(help="Results folder or pytest-benchmark JSON of one commit.")],
    commit: Annotated[str, typer.Option(help="The commit that was measured.")],
    history: Annotated[Path, typer.Option(help="Folder of the history.")] = Path("history"),
) -> None:
    """Write one line into the file of every series; what is there already stays."""
    from spikemark.regression.history import add
    from spikemark.regression.sources import read_side

    count = add(history, read_side(results), commit)
    typer.echo(f"{count} series of {commit} added to {history}" if count else f"{history} has all of {commit} already")


@history_app.command("show")
def history_show(
    history: Annotated[Path, typer.Option(help="Folder of the history.")] = Path("history"),
    out: Annotated[Path | None, typer.Option(help="Write an HTML page there.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Look for what became worse from this commit on.", show_default="the newest")
    ] = None,
    commits: Annotated[
        str | None, typer.Option(help="Address of a commit's page, without its hash.", show_default="that on GitHub")
    ] = None,
) -> None:
    """List every series with its change points; exit status 1 when something is worse at the newest commit."""
    from spikemark.core.files import write_files
    from spikemark.regression.history import load
    from spikemark.regression.trend_page import trend_page
    from spikemark.regression.trends import regressions, summary

    address = _commit_pages() if commits is None else commits
    if address and not address.startswith(("https://", "http://")):
        raise InputError(f"--commits {address}: expected an address that begins with https://")
    series = load(history)
    found = regressions(series, since)
    typer.echo(summary(series))
    if out is not None:
        write_files({out: trend_page(series, found, address)})
        typer.echo(str(out))
    for regression in found:
        typer.echo(str(regression))
    if found:
        raise typer.Exit(1)


def _commit_pages() -> str:
    """Where commits are shown, in a job on GitHub."""
    server, repository = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    return f"{server}/{repository}/commit/" if server and repository else ""


GoldenFile = Annotated[Path, typer.Argument(help="File of golden traces.", show_default=False)]
Frameworks = Annotated[list[str] | None, typer.Option("--framework", help="One framework; may be repeated.")]


@golden_app.command("record")
def golden_record(file: GoldenFile, framework: Frameworks = None) -> None:
    """Keep spikes, states and gradients of the frameworks' own layers."""
    from spikemark.regression.golden import record

    header = record(file, framework or ())
    failed = [
        f"{name} ({setting}): {said}" for name, layer in header.layers.items() for setting, said in layer.raised.items()
    ]
    for line in failed:
        typer.echo(f"raises, which is recorded: {line}", err=True)
    of = ", ".join(f"{name} {number}" for name, number in header.versions.items())
    typer.echo(f"{len(header.layers)} layers in {file} ({of})")


class GoldenFormat(StrEnum):
    """How a check is written."""

    text = "text"
    json = "json"


@golden_app.command("check")
def golden_check(
    file: GoldenFile,
    framework: Frameworks = None,
    format_: Annotated[GoldenFormat, typer.Option("--format", help="How to write it.")] = GoldenFormat.text,
) -> None:
    """Replay a golden file: exit status 1 when a layer is not what it was."""
    from spikemark.regression.golden import as_json, check

    found = check(file, framework or ())
    differing = {difference.layer for difference in found.differences}
    if format_ is GoldenFormat.json:
        typer.echo(as_json(found))
    else:
        for package, then, now in found.versions:
            typer.echo(f"recorded with {package} {then}, now {now}")
        for name in found.new:
            typer.echo(f"not in the file: {name}")
        for difference in found.differences:
            typer.echo(str(difference))
        typer.echo(f"{len(differing)} of {len(found.layers)} layers differ")
    if differing:
        raise typer.Exit(1)


def show(
    comparison: Comparison,
    format_: Format,
    markdown: Path | None = None,
    json_: Path | None = None,
    junit: Path | None = None,
    *,
    everything: bool = False,
) -> None:
    """Write the comparison; add it to the job's summary on GitHub; exit with 1 when it did not pass."""
    from spikemark.core.files import write_files
    from spikemark.regression.render import LONGEST_COMMENT, RENDERERS, as_json, as_junit, as_markdown, as_text

    whole = format_ is Format.text and everything
    typer.echo(as_text(comparison, everything=True) if whole else RENDERERS[format_.value](comparison))
    files = {}
    if markdown is not None:
        files[markdown] = as_markdown(comparison, longest=LONGEST_COMMENT)
        if files[markdown] != (full := as_markdown(comparison)):
            files[markdown.with_suffix(".full.md")] = full
    if json_ is not None:
        files[json_] = as_json(comparison)
    if junit is not None:
        files[junit] = as_junit(comparison)
    if files:
        write_files(files)
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if format_ is Format.github and summary:
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(as_markdown(comparison))
    if not comparison.passed:
        raise typer.Exit(1)


def _reasons(text: str) -> tuple[str, ...]:
    return () if text.strip() == "none" else _names(text)


def _limits(threshold: str, margin: str, instructions: str) -> Limits:
    from spikemark.regression.verdicts import Limits

    given = {"threshold": threshold, "margin": margin, "instructions": instructions}
    fractions = [_fraction(option, text) for option, text in given.items()]
    try:
        return Limits(*fractions)
    except ValueError as error:
        raise InputError(f"--{error}") from None


def _fraction(option: str, text: str) -> float:
    """A fraction from "5%" or "0.05"."""
    number, percent, rest = text.strip().partition("%")
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    if rest or value != value:
        raise InputError(f"--{option} {text}: expected a percentage such as 5%, or a fraction such as 0.05")
    return value / 100 if percent else value


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip()) if text else ()
