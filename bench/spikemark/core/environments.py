"""Environments of their own, for frameworks that cannot share one and for other versions of a framework.

An environment is a virtual environment that sees this interpreter's packages, torch above all, and holds the packages
of its lock before them. So it is small, it is built in seconds, and nothing but the framework differs. The lock is a
list of pinned packages with hashes; an adapter's package brings it as ``environments/NAME.lock``, and where it brings
none for a version, uv resolves one when the environment is built.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from spikemark.core.files import locked
from spikemark.errors import InputError
from spikemark.registry import ADAPTER_GROUP

FOLDER_VARIABLE = "SPIKEMARK_ENVIRONMENTS"
_MARK = "spikemark.json"
_LOCKS, _SUFFIX = "environments", ".lock"
_HEADER = "# Environment of "
# Not of this interpreter's packages, and broken beside its torch: no environment gets them.
_NEVER = ("torchvision", "torchaudio")
_LAST_LINES = 3


class MissingEnvironment(InputError):
    """An environment is not built, or of another lock; the message holds the command that builds it."""


@dataclass(frozen=True)
class Environment:
    """One environment, built or not.

    Attributes:
        name: of the framework, with ``@VERSION`` where it is for one version.
        requirements: what the lock was resolved from; the framework's package is the first.
        lock: pinned packages with hashes; "" where uv resolves them when it is built.
    """

    name: str
    requirements: tuple[str, ...]
    lock: str

    @property
    def folder(self) -> Path:
        """Where it is, or will be."""
        return environments_folder() / self.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def version(self) -> str:
        """Of the framework's package."""
        wanted = Requirement(self.requirements[0])
        pinned = re.search(rf"^{re.escape(wanted.name)}==([^\s;]+)", self.lock, re.MULTILINE | re.IGNORECASE)
        exact = [item.version for item in wanted.specifier if item.operator == "=="]
        return pinned[1] if pinned is not None else exact[0]

    @property
    def digest(self) -> str:
        """Of the lock."""
        return hashlib.sha256(self.lock.encode()).hexdigest()[:16]

    @property
    def build_command(self) -> str:
        """What builds it."""
        return f"spikemark env build {self.name}"

    def state(self) -> str:
        """The word "built", or why it is not, with the command that builds it."""
        if not (self.folder / _MARK).is_file():
            return f"not built: {self.build_command}"
        if self.lock and _mark(self.folder)["lock"] != self.digest:
            return f"built from another lock: {self.build_command}"
        return "built"

    def require(self) -> None:
        """That it is built.

        Raises:
            MissingEnvironment: it is not.
        """
        state = self.state()
        if state != "built":
            raise MissingEnvironment(f"the environment of {self.name} is {state}")


def environments_folder() -> Path:
    """Where environments are built: ``SPIKEMARK_ENVIRONMENTS``, else below the user's cache."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named:
        return Path(named).absolute()
    import pooch  # takes a while, which a plan need not

    return Path(pooch.os_cache("spikemark")) / "environments"


def current() -> dict[str, str]:
    """Name and lock of the environment that this process runs in; empty outside of one."""
    folder = Path(sys.prefix)
    return _mark(folder) if (folder / _MARK).is_file() else {}


def _mark(folder: Path) -> dict[str, str]:
    mark: dict[str, str] = json.loads((folder / _MARK).read_text(encoding="utf-8"))
    return mark


# --- locks ----------------------------------------------------------------------------------------------------------


@cache
def lock_files() -> dict[str, Path]:
    """Locks by the name of their environment, of all packages that bring adapters; nothing is imported."""
    packages = {entry.module.partition(".")[0] for entry in metadata.entry_points(group=ADAPTER_GROUP)}
    found = (path for package in sorted(packages) for folder in _folders(package) for path in _locks(folder))
    return {path.name.removesuffix(_SUFFIX): path for path in found}


def _folders(package: str) -> list[str]:
    spec = importlib.util.find_spec(package)
    return list(spec.submodule_search_locations or ()) if spec is not None else []


def _locks(folder: str) -> list[Path]:
    return sorted(Path(folder, _LOCKS).glob(f"*{_SUFFIX}"))


def locked_environment(name: str) -> Environment | None:
    """The environment of a lock; None where there is no lock of that name.

    Raises:
        InputError: the lock does not begin with what it is of.
    """
    path = lock_files().get(name)
    if path is None:
        return None
    text = path.read_text(encoding="utf-8")
    first = text.partition("\n")[0]
    requirements = tuple(first.removeprefix(_HEADER).split(", "))
    try:
        well_formed = first.startswith(_HEADER) and all(map(Requirement, requirements))
    except InvalidRequirement:
        well_formed = False
    if not well_formed:
        raise InputError(f"{path}: its first line should be {_HEADER!r} and the requirements; it is {first!r}")
    return Environment(name, requirements, text)


def resolve(requirements: Sequence[str]) -> str:
    """The lock of requirements: everything that they need and this interpreter's own packages are not.

    Raises:
        InputError: uv is not installed, or finds no such packages.
    """
    overrides = "".join(f'{package} ; python_version < "3"\n' for package in (*sorted(_shared()), *_NEVER))
    python = "{}.{}".format(*sys.version_info)
    with tempfile.TemporaryDirectory(prefix="spikemark-env-") as folder:
        without = Path(folder, "overrides.txt")
        without.write_text(overrides, encoding="utf-8")
        found = _uv(
            "pip", "compile", "-", "--override", str(without), "--universal", "--python-version", python,
            "--generate-hashes", "--no-header", "--no-annotate", given="\n".join(requirements),
        )  # fmt: skip
    return f"{_HEADER}{', '.join(requirements)}\n{found}"


def _shared() -> set[str]:
    """Packages that Spikemark itself needs, with all that they need: those that every environment shares."""
    todo, found = ["spikemark"], set[str]()
    while todo:
        package = todo.pop()
        try:
            needed = metadata.requires(package) or ()
        except metadata.PackageNotFoundError:
            continue  # of another platform
        found.add(package)
        wanted = [Requirement(text) for text in needed]
        todo += [
            requirement.name.lower()
            for requirement in wanted
            if requirement.name.lower() not in found
            and (requirement.marker is None or requirement.marker.evaluate({"extra": ""}))
        ]
    return found


# --- building -------------------------------------------------------------------------------------------------------


def build(environment: Environment) -> None:
    """Build an environment, in place of one of its name.

    Raises:
        InputError: uv is not installed, or a package of the lock cannot be installed.
        OSError: the folder cannot be written.
    """
    root = environments_folder()
    root.mkdir(parents=True, exist_ok=True)
    with locked(root, lambda: None):
        lock = environment.lock or resolve(environment.requirements)
        shutil.rmtree(environment.folder, ignore_errors=True)
        python, _ = overlay(environment.folder)
        path = environment.folder / f"requirements{_SUFFIX}"
        # Its own package comes last and is built without isolation: it may need what the lock brings, and where it is
        # compiled against torch, that is the torch that it will run with.
        own = Requirement(environment.requirements[0]).name
        for text in (_without(lock, own), lock):
            path.write_text(text, encoding="utf-8")
            _uv(
                "pip", "install", "--python", str(python), "--no-deps", "--require-hashes", "--no-build-isolation",
                "--requirement", str(path),
            )  # fmt: skip
        mark = {"name": environment.name, "lock": replace(environment, lock=lock).digest}
        (environment.folder / _MARK).write_text(json.dumps(mark), encoding="utf-8")


def _without(lock: str, package: str) -> str:
    """The lock without the lines of a package, of which all but the first are indented."""
    return re.sub(rf"^{re.escape(package)}==.*\n(?:[ \t].*\n)*", "", lock, flags=re.MULTILINE | re.IGNORECASE)


def overlay(folder: Path, further: Iterable[Path] = ()) -> tuple[Path, Path]:
    """Make a virtual environment that sees the packages of this interpreter, without pip of its own.

    Args:
        folder: of the environment.
        further: folders that it sees as well.

    Returns:
        Its interpreter, and the folder of its packages.
    """
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, capture_output=True)
    python = folder / "bin" / "python"
    ask = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    packages = Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip())
    # Not --system-site-packages: from inside a virtual environment that would show the packages of its base. A path in
    # a .pth file is searched last, and the .pth files there, editable installations of ours, are not read.
    shown = dict.fromkeys([sysconfig.get_path("purelib"), *map(str, further)])
    (packages / "packages-of-the-parent.pth").write_text("".join(f"{path}\n" for path in shown), encoding="utf-8")
    return python, packages


def uv() -> str | None:
    """Path of uv; None if it is not installed."""
    return shutil.which("uv") or shutil.which("uv", path=sysconfig.get_path("scripts"))


def _uv(*arguments: str, given: str = "") -> str:
    program = uv()
    if program is None:
        raise InputError("environments are built by uv, which is not installed: pip install uv")
    done = subprocess.run([program, *arguments, "--quiet"], input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"uv {' '.join(arguments[:2])} failed: {last_lines(done.stderr)}")
    return done.stdout


def last_lines(text: str) -> str:
    """The last lines of a program's output as one."""
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return " / ".join(lines[-_LAST_LINES:]) or "no message"


def every_environment() -> Iterator[Environment]:
    """Those of all locks."""
    for name in sorted(lock_files()):
        found = locked_environment(name)
        assert found is not None
        yield found
