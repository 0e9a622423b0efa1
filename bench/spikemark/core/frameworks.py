"""Frameworks by name: which there are, their versions from package metadata, and their adapters when asked for.

Nothing is imported before an adapter is asked for, so that a plan needs no framework to be installed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import metadata
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from spikemark.errors import InputError
from spikemark.registry import ADAPTER_GROUP, Registry, registry

if TYPE_CHECKING:
    from spikemark.core.adapter import Adapter

FRAMEWORKS: Registry[type[Adapter]] = registry("framework")


class MissingFramework(InputError, ImportError):
    """The adapter is known, but its framework is not installed; the message holds the command that installs it."""


def adapter_names() -> tuple[str, ...]:
    """Names of all adapters that installed packages announce, whether or not their framework is installed."""
    return tuple(FRAMEWORKS)


@cache
def _entry_point(name: str) -> EntryPoint | None:
    return next((entry for entry in metadata.entry_points(group=ADAPTER_GROUP) if entry.name == name), None)


def _requirements(name: str) -> Iterator[str]:
    """The packages that the extra `name` of the adapter's own package asks for: those of the framework."""
    entry = _entry_point(name)
    for text in (entry.dist.requires if entry is not None and entry.dist is not None else None) or ():
        wanted = Requirement(text)
        if wanted.marker is not None and wanted.marker.evaluate({"extra": name}) and "extra" in str(wanted.marker):
            yield wanted.name


def framework_packages() -> list[str]:
    """The packages behind all frameworks, whether installed or not."""
    return [package for name in FRAMEWORKS for package in _requirements(name)]


def frameworks_of(package: str) -> tuple[str, ...]:
    """The adapters whose framework a distribution is, or which it brings itself; none that knows it: empty."""
    wanted = canonicalize_name(package)
    return tuple(
        name
        for name in FRAMEWORKS
        if wanted in {canonicalize_name(text) for text in (*_requirements(name), _announcer(name))}
    )


def _announcer(name: str) -> str:
    entry = _entry_point(name)
    return entry.dist.name if entry is not None and entry.dist is not None else "spikemark"


def install_command(name: str) -> str:
    """The pip command that installs the framework of the adapter `name`."""
    return f"pip install '{_announcer(name)}[{name}]'"


def framework_version(name: str) -> str:
    """Version of a framework from the metadata of its packages; nothing is imported.

    Raises:
        UnknownNameError: no such adapter.
        MissingFramework: the framework is not installed.
    """
    FRAMEWORKS.origin(name)
    try:
        found = {package: metadata.version(package) for package in _requirements(name)}
    except metadata.PackageNotFoundError as error:
        raise MissingFramework(
            f"framework {name!r} is not installed (no {error.name}): {install_command(name)}"
        ) from None
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        return ", ".join(f"{package} {number}" for package, number in sorted(found.items()))
    entry = _entry_point(name)
    return entry.dist.version if entry is not None and entry.dist is not None else "unknown"


@cache
def get_adapter(name: str) -> Adapter:
    """The adapter called `name`.

    Raises:
        UnknownNameError: no such adapter; the message lists the known ones.
        MissingFramework: its framework is not installed.
    """
    try:
        return FRAMEWORKS[name]()
    except ImportError as error:
        reason = error.__cause__ or error
        message = f"framework {name!r} is not installed ({reason}): {install_command(name)}"
        raise MissingFramework(message) from error
