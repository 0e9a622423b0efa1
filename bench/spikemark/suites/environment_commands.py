"""The commands `env list`, `env build` and `env lock`: options and output; the work is done by the core."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

env_app = typer.Typer(help="Environments of their own, for frameworks and versions.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the application."""
    app.add_typer(env_app, name="env")


@env_app.command("list")
def list_environments(
    names: Annotated[bool, typer.Option("--names", help="Names alone.")] = False,
) -> None:
    """Environments that have a lock, and whether they are built."""
    from spikemark.core.environments import every_environment

    for one in every_environment():
        typer.echo(one.name if names else f"{one.name}: {', '.join(one.requirements)}: {one.state()}")


@env_app.command()
def build(
    names: Annotated[list[str], typer.Argument(help="Frameworks, or NAME@VERSION of one.")],
) -> None:
    """Build environments below SPIKEMARK_ENVIRONMENTS, or below the user's cache; uv must be installed."""
    from spikemark.core.environments import build as build_environment
    from spikemark.core.frameworks import environment
    from spikemark.core.remote import call

    for one in [environment(name) for name in names]:
        build_environment(one)
        found = call(one, "spikemark.core.frameworks:checked_version", one.name)
        typer.echo(f"{one.name}: {found} in {one.folder}")


@env_app.command()
def lock(
    out: Annotated[Path, typer.Argument(help="The file, for the folder environments of an adapter's package.")],
    requirements: Annotated[list[str], typer.Argument(help="The framework's package first.")],
) -> None:
    """Resolve requirements, without what Spikemark needs itself, and write the lock of an environment."""
    from spikemark.core.environments import resolve
    from spikemark.core.files import write_files

    write_files({out: resolve(requirements)})
    typer.echo(str(out))
