"""Two commits side by side: a git worktree and an environment for each, gone afterwards whatever happens.

An environment is a virtual environment that sees this interpreter's packages and has the commit installed before them.
Not as an editable installation: that is found after the packages of the parent, and the parent's own copy of the
project would be measured in its place. Where a commit asks for other dependencies than the installed ones, they go into
its own environment only.
"""

from __future__ import annotations

import importlib.util
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from types import FrameType

from packaging.requirements import Requirement

from spikemark.core.environments import last_lines, overlay
from spikemark.errors import InputError
from spikemark.regression.processes import in_parallel, run_quietly

_OURS = Path(sysconfig.get_path("purelib"))
_WITNESS = "SPIKEMARK_WITNESS"
"""Names a folder: a process of a side leaves a file there when it imported something that its commit installs."""
_WITNESS_CODE = f"""
import atexit, os, sys

def tell():
    folder, here = os.environ.get("{_WITNESS}"), os.path.dirname(__file__) + os.sep
    found = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    if folder and any(file and file.startswith(here) and file != __file__ for file in found):
        open(os.path.join(folder, str(os.getpid())), "w").close()

atexit.register(tell)
"""


@dataclass(frozen=True)
class Checkout:
    """One side, ready to run.

    Attributes:
        ref: as it was asked for.
        commit: its full hash.
        folder: of the worktree.
        python: the interpreter of its environment.
        package: the distribution that the commit installs; "" where nothing was installed.
    """

    ref: str
    commit: str
    folder: Path
    python: Path
    package: str = ""

    def run(
        self, command: Sequence[str], folder: Path, *, what: str, timeout: float, fine: Sequence[int] = (0,)
    ) -> str:
        """Run a command that must import something of what the commit installs; see `run_quietly`.

        Raises:
            InputError: it failed, or imported nothing of it.
        """
        with tempfile.TemporaryDirectory(prefix="spikemark-witness-") as name:
            shown = run_quietly(command, folder, what=what, timeout=timeout, fine=fine, environment={_WITNESS: name})
            if self.package and not any(Path(name).iterdir()):
                raise InputError(
                    f"{what} imported nothing of {self.package} that the commit installs, so it measures nothing of it "
                    "(start Python with -P where a script lies beside the sources)"
                )
        return shown


@dataclass(frozen=True)
class Pair:
    """Two commits of a repository.

    Attributes:
        base: full hash of what the head is judged against.
        head: full hash of the change.
        base_name: how the base is called, which says so where it is a merge base.
        head_name: how the head is called.
        same: whether both hold the same files.
    """

    base: str
    head: str
    base_name: str
    head_name: str
    same: bool


def resolve(repository: Path, base: str, head: str, *, merge_base: bool) -> Pair:
    """Look both refs up.

    Args:
        repository: a git repository that has both.
        base: a ref.
        head: a ref.
        merge_base: judge against the last commit that both have, so that what `base` gained since is not charged to
            `head`.

    Raises:
        InputError: no git repository, no such ref, or no commit that both have.
    """
    first, last = (_commit(repository, ref) for ref in (base, head))
    name = base
    if merge_base:
        found = subprocess.run(
            ["git", "-C", str(repository), "merge-base", first, last], capture_output=True, text=True, check=False
        )
        if found.returncode:
            raise InputError(
                f"{base} and {head} have no commit in common (a shallow clone lacks history): fetch more of it, "
                "or say --no-merge-base"
            )
        if (common := found.stdout.strip()) != first:
            first, name = common, f"merge base with {base}"
    trees = [_git(repository, "rev-parse", f"{commit}^{{tree}}") for commit in (first, last)]
    return Pair(first, last, name, head, trees[0] == trees[1])


@contextmanager
def checkouts(repository: Path, refs: Pair) -> Iterator[tuple[Checkout, Checkout]]:
    """Check both commits out and install each; remove the worktrees and environments at the end, also after Ctrl-C.

    Both paths have the same length, since longer paths cost instructions.

    Raises:
        InputError: a dirty worktree, or a commit that does not install.
    """
    commits = refs.base, refs.head
    _require_clean(repository)
    with _terminated_as_interrupted(), tempfile.TemporaryDirectory(prefix="spikemark-ab-") as name:
        folder = Path(name).resolve()
        worktrees = [folder / label / "source" for label in ("base", "head")]
        try:
            for worktree, commit in zip(worktrees, commits, strict=True):
                _git(repository, "worktree", "add", "--detach", "--quiet", str(worktree), commit)
            parts = zip((refs.base_name, refs.head_name), commits, worktrees, strict=True)
            one, other = in_parallel(*(partial(_prepare, *part) for part in parts))
            yield one, other
        finally:
            for worktree in worktrees:
                shutil.rmtree(worktree, ignore_errors=True)
            _git(repository, "worktree", "prune")


def _prepare(ref: str, commit: str, worktree: Path) -> Checkout:
    python, packages = _environment(worktree.parent / "environment")
    return Checkout(ref, commit, worktree, python, _install(python, packages, worktree, ref))


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
        raise InputError(f"git {arguments[0]} failed: {last_lines(done.stderr)}")
    return done.stdout


def _environment(folder: Path) -> tuple[Path, Path]:
    """An environment for a commit, whose processes leave a witness.

    Returns:
        Its interpreter, and the folder of its packages.
    """
    python, packages = overlay(folder, _harness())
    (packages / "spikemark_witness.py").write_text(_WITNESS_CODE, encoding="utf-8")
    (packages / "spikemark-witness.pth").write_text("import spikemark_witness\n", encoding="utf-8")
    return python, packages


def _harness() -> list[Path]:
    """Where this Spikemark and its adapters are imported from, which may be an editable installation."""
    found = (importlib.util.find_spec(name) for name in ("spikemark", "spikemark_adapters"))
    return [Path(spec.origin).parent.parent for spec in found if spec is not None and spec.origin is not None]


def _install(python: Path, packages: Path, worktree: Path, ref: str) -> str:
    """Install a commit and what it asks for beyond the packages of the parent; the name of its distribution."""
    if not any((worktree / name).exists() for name in ("pyproject.toml", "setup.py")):
        raise InputError(f"{ref} does not install: it has no pyproject.toml and no setup.py")
    isolation = ["--no-build-isolation"] if _can_build(worktree) else []
    _pip(python, ref, *isolation, "--no-deps", str(worktree))
    installed = next(iter(metadata.distributions(path=[str(packages)])), None)
    if installed is None:
        raise InputError(f"{ref} does not install: pip installed no package")
    lacking = _lacking(installed, packages)
    if lacking:
        _pip(python, ref, *lacking)
    return str(installed.name)


def _pip(python: Path, ref: str, *arguments: str) -> None:
    command = [
        sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check", "install", "--quiet",
        *arguments,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InputError(f"{ref} does not install: {last_lines(_own_output(done.stderr))}")


def _own_output(said: str) -> str:
    """What the program said that pip ran, without pip's frame and hints; everything where pip itself failed."""
    _, _, rest = said.rpartition(" lines of output]")
    own, end, _ = rest.partition("[end of output]")
    return own if end and own.strip() else said


def _can_build(worktree: Path) -> bool:
    """Whether what builds the commit is installed here; pip fetches it otherwise."""
    file = worktree / "pyproject.toml"
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return True  # pip says what is wrong with it
    system = content.get("build-system", {})
    wanted = system.get("requires", ["setuptools"]) if isinstance(system, dict) else []
    return all(_met(line, [_OURS]) for line in wanted)


def _lacking(installed: metadata.Distribution, packages: Path) -> list[str]:
    """Dependencies of a commit that its environment does not meet.

    Those that the parent's own copy of the package has, and goes without, are not among them: what is measured is what
    runs here.
    """
    ours = next(iter(metadata.distributions(name=installed.name, path=[str(_OURS)])), None)
    without = {line for line in (ours.requires if ours is not None else None) or () if not _met(line, [_OURS])}
    return [line for line in installed.requires or () if line not in without and not _met(line, [packages, _OURS])]


def _met(line: str, path: Sequence[Path]) -> bool:
    wanted = Requirement(line)
    if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
        return True
    found = next(iter(metadata.distributions(name=wanted.name, path=[str(folder) for folder in path])), None)
    return found is not None and wanted.specifier.contains(found.version, prereleases=True)


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
