"""Frameworks by name: which there are, their versions from package metadata, and their adapters when asked for.

Nothing is imported before an adapter is asked for, so that a plan needs no framework to be installed. A framework that
is not installed here may have an environment of its own (`spikemark.core.environments`), where its jobs run; so may one
version of a framework, which is called ``NAME@VERSION``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import metadata
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from spikemark.core.environments import Environment, lock_files, locked_environment
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


def entry_name(framework: str) -> str:
    """The name of the adapter behind a framework, ``NAME`` or ``NAME@VERSION``."""
    return framework.partition("@")[0]


def _requirements(name: str) -> Iterator[str]:
    """The packages of a framework: those of its extra, in the metadata of the adapter's own package, or of its lock."""
    entry = _entry_point(name)
    for text in (entry.dist.requires if entry is not None and entry.dist is not None else None) or ():
        wanted = Requirement(text)
        if wanted.marker is not None and wanted.marker.evaluate({"extra": name}) and "extra" in str(wanted.marker):
            yield wanted.name
    locked = locked_environment(name)
    if locked is not None:
        yield from (Requirement(text).name for text in locked.requirements)


def environment(framework: str) -> Environment:
    """The environment of a framework, or of one of its versions, whether it is built or not.

    Raises:
        UnknownNameError: no such adapter.
        InputError: the framework needs none, or the version is none.
    """
    name, versioned, version = framework.partition("@")
    FRAMEWORKS.origin(name)
    locked = locked_environment(framework)
    if locked is not None:
        return locked
    packages = list(_requirements(name))
    if not versioned or not packages:
        raise InputError(f"framework {framework!r} has no environment of its own; NAME@VERSION has one")
    try:
        return Environment(framework, (f"{packages[0]}=={Version(version)}",), "")
    except InvalidVersion:
        raise InputError(f"framework {framework!r}: {version!r} is no version") from None


def environment_of(framework: str) -> Environment | None:
    """Where a framework's jobs run: None if it is installed here, in the version that is asked for.

    Raises:
        UnknownNameError: no such adapter.
        InputError: the version is none.
    """
    name, versioned, version = framework.partition("@")
    FRAMEWORKS.origin(name)
    try:
        installed = _installed_version(name)
    except metadata.PackageNotFoundError:
        installed = None
    if installed == version or (installed is not None and not versioned):
        return None
    return environment(framework) if versioned or name in lock_files() else None


def require_framework(framework: str) -> None:
    """That jobs of a framework can run, here or in its environment.

    Raises:
        UnknownNameError: no such adapter.
        MissingFramework, MissingEnvironment: they cannot; the message holds the command that mends it.
    """
    own = environment_of(framework)
    if own is None:
        get_adapter(framework)
    else:
        own.require()


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
    """The command that installs the framework of the adapter `name`, or builds its environment."""
    if name in lock_files():
        return environment(name).build_command
    return f"pip install '{_announcer(name)}[{name}]'"


def framework_version(framework: str) -> str:
    """Version of a framework: of its packages, or of its environment's lock; nothing is imported.

    Raises:
        UnknownNameError: no such adapter.
        MissingFramework: the framework is not installed, and has no environment.
    """
    own = environment_of(framework)
    if own is not None:
        return own.version
    name = entry_name(framework)
    try:
        return _installed_version(name)
    except metadata.PackageNotFoundError as error:
        raise MissingFramework(
            f"framework {name!r} is not installed (no {error.name}): {install_command(name)}"
        ) from None


def _installed_version(name: str) -> str:
    found = {package: metadata.version(package) for package in _requirements(name)}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        return ", ".join(f"{package} {number}" for package, number in sorted(found.items()))
    entry = _entry_point(name)
    return entry.dist.version if entry is not None and entry.dist is not None else "unknown"


def checked_version(framework: str) -> str:
    """Version of a framework whose adapter has been imported in this process.

    Raises:
        UnknownNameError, MissingFramework: see `get_adapter`.
    """
    return get_adapter(framework).version()


@cache
def get_adapter(framework: str) -> Adapter:
    """The adapter of a framework that is installed in this process.

    Raises:
        UnknownNameError: no such adapter; the message lists the known ones.
        MissingFramework: its framework is not installed, or in another version than was asked for.
    """
    name = entry_name(framework)
    if framework != name and environment_of(framework) is not None:
        raise MissingFramework(f"framework {framework!r} is not installed here; its jobs run in their own environment")
    try:
        return FRAMEWORKS[name]()
    except ImportError as error:
        reason = error.__cause__ or error
        message = f"framework {name!r} is not installed ({reason}): {install_command(name)}"
        raise MissingFramework(message) from error
