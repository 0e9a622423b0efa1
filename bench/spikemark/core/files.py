"""Files that are written whole or not at all, folders that one process at a time writes into."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_PREFIX, _SUFFIX = ".spikemark-", ".part"
_LONG_AGO = 3600.0


@contextmanager
def staged(*paths: Path) -> Iterator[list[Path]]:
    """Temporary files beside `paths`, which take those names together once all are written.

    A crash at any moment leaves each file as it was or as it is to be; an error leaves all of them as they were.

    Raises:
        OSError: a file cannot be written; it names the file or its folder.
    """
    parts: list[Path] = []
    try:
        for path in paths:
            if path.is_dir():
                raise IsADirectoryError(21, "is a folder", str(path))
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_PREFIX, suffix=_SUFFIX)
            os.close(descriptor)
            parts.append(Path(name))
        yield parts
        for part in parts:
            part.chmod(0o644)
            with part.open("rb") as file:
                os.fsync(file.fileno())
        for part, path in zip(parts, paths, strict=True):
            part.replace(path)
    except BaseException as error:
        for part in parts:
            part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None and error.filename is None:
            error.filename = str(paths[0].parent)
        raise


def write_files(contents: Mapping[Path, str | bytes]) -> None:
    """Write files, all or none of them.

    Raises:
        OSError: one cannot be written.
    """
    with staged(*contents) as parts:
        for part, content in zip(parts, contents.values(), strict=True):
            part.write_bytes(content.encode() if isinstance(content, str) else content)


def sweep(folder: Path, older_than: float = _LONG_AGO) -> None:
    """Remove the temporary files of writers that were killed.

    Args:
        folder: theirs.
        older_than: seconds; 0 where no other process can be writing.
    """
    for part in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        if time.time() - part.stat().st_mtime >= older_than:
            part.unlink(missing_ok=True)


@contextmanager
def locked(folder: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold the folder's lock, which the system takes back from a process that dies.

    Args:
        folder: exists.
        on_wait: told when another process holds the lock, before waiting for it.

    Raises:
        OSError: the folder cannot be written.
    """
    lock = FileLock(folder / ".spikemark.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        on_wait()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
