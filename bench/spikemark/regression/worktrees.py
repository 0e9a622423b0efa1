"""Two commits side by side: a git worktree and an environment for each, gone afterwards whatever happens.

An environment is a virtual environment that sees this interpreter's packages and has the commit installed before them.
Not as an editable installation: that is found after the packages of the parent, and the parent's own copy of the
project would be measured in its place. Where a commit asks for other dependencies than the installed ones, they go into
its own environment only.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from spikemark.errors import InputError

_LAST_LINES = 3


@dataclass(frozen=True)
class Checkout:
    """One side, ready to run.

    Attributes:
        ref: as it was asked for.
        commit: its full hash.
        folder: of the worktree.
        python: the interpreter of its environment.
    """

    ref: str
    commit: str
    folder: Path
    python: Path


@contextmanager
def checkouts(repository: Path, base: str, head: str) -> Iterator[tuple[Checkout, Checkout]]:
    """Check both refs out and install each; remove the worktrees and environments at the end, also after Ctrl-C.

    Both paths have the same length, since longer paths cost instructions.

    Raises:
        InputError: no git repository, a dirty worktree, a ref that does not exist or does not install.
    """
    commits = [_commit(repository, ref) for ref in (base, head)]
    _require_clean(repository)
    with _terminated_as_interrupted(), tempfile.TemporaryDirectory(prefix="spikemark-ab-") as name:
        folder = Path(name).resolve()
        added: list[Path] = []
        try:
            sides = []
            for label, ref, commit in zip(("base", "head"), (base, head), commits, strict=True):
                worktree = folder / label / "source"
                added.append(worktree)
                _git(repository, "worktree", "add", "--detach", "--quiet", str(worktree), commit)
                python = _environment(folder / label / "environment")
                _install(python, worktree, ref)
                sides.append(Checkout(ref, commit, worktree, python))
            yield sides[0], sides[1]
        finally:
            for worktree in added:
                shutil.rmtree(worktree, ignore_errors=True)
            _git(repository, "worktree", "prune")


def _commit(repository: Path, ref: str) -> str:
    inside = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "--show-toplevel"], capture_output=True, check=False
    )
    if inside.returncode:
        raise InputError(f"{repository.resolve()} is not in a git repository")
    asked = ["git", "-C", str(repository), "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)
    if found.returncode:
        hint = "was it fetched? a shallow clone lacks history"
        raise InputError(f"there is no commit {ref!r} in {repository.resolve()} ({hint})")
    return found.stdout.strip()


def _require_clean(repository: Path) -> None:
    """Changes that are not committed would silently take no part."""
    changed = _git(repository, "status", "--porcelain", "--untracked-files=no").splitlines()
    if changed:
        files = ", ".join(line[3:] for line in changed[:3]) + (", ..." if len(changed) > 3 else "")
        where = f"uncommitted changes in {repository.resolve()} ({files})"
        raise InputError(f"{where}: commit them first, only commits are measured")


def _git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"git {arguments[0]} failed: {_last(done.stderr)}")
    return done.stdout


def _environment(folder: Path) -> Path:
    """A virtual environment that sees the packages of this interpreter, without pip of its own."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, capture_output=True)
    python = folder / "bin" / "python"
    ours = Path(sysconfig.get_path("purelib"))
    theirs = Path(_output(python, "import sysconfig; print(sysconfig.get_path('purelib'))"))
    # Not --system-site-packages: from inside a virtual environment that would show the packages of its base. A path in
    # a .pth file is searched last, and the .pth files there, editable installations of ours, are not read.
    (theirs / "packages-of-the-parent.pth").write_text(f"{ours}\n", encoding="utf-8")
    return python


def _install(python: Path, worktree: Path, ref: str) -> None:
    if not (worktree / "pyproject.toml").exists():
        raise InputError(f"{ref} does not install: it has no pyproject.toml")
    options = ["--no-deps"] if _satisfied(python, worktree) else []
    command = [
        sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install", "--quiet",
        "--no-build-isolation", *options, str(worktree),
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"{ref} does not install: {_last(done.stderr)}")


def _satisfied(python: Path, worktree: Path) -> bool:
    """Whether all dependencies of the commit are met by what its environment sees already."""
    try:
        project = tomllib.loads((worktree / "pyproject.toml").read_text(encoding="utf-8")).get("project", {})
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{worktree.name}/pyproject.toml is not TOML: {error}") from None
    check = (
        "import sys\n"
        "from importlib.metadata import PackageNotFoundError, version\n"
        "from packaging.requirements import Requirement\n"
        "for line in sys.argv[1:]:\n"
        "    wanted = Requirement(line)\n"
        "    if wanted.marker is None or wanted.marker.evaluate():\n"
        "        try:\n"
        "            found = version(wanted.name)\n"
        "        except PackageNotFoundError:\n"
        "            sys.exit(1)\n"
        "        if found not in wanted.specifier:\n"
        "            sys.exit(1)\n"
    )
    arguments = [str(python), "-c", check, *_dependencies(project)]
    return subprocess.run(arguments, capture_output=True, check=False).returncode == 0


def _dependencies(project: dict[str, Any]) -> list[str]:
    found = project.get("dependencies", [])
    return [line for line in found if isinstance(line, str)]


def _output(python: Path, code: str) -> str:
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def _last(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return " / ".join(lines[-_LAST_LINES:]) or "no message"


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """A CI job that is cancelled gets SIGTERM: clean up then as after Ctrl-C."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
