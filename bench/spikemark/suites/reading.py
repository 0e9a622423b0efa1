"""Which files below a folder may be results, and what is told of the others. Nothing is moved, renamed or written."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from spikemark.errors import InputError
from spikemark.suites.packed import PACKED, unpacked

SUFFIX = ".json"
_NAMED = 3
log = logging.getLogger(__name__)


class ResultsError(InputError):
    """A results folder or file is not what it should be; the message names it."""


class Remarks:
    """What a reader must know of files that were left out or look strange: one line for each reason, with names."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}

    def add(self, reason: str, place: str) -> None:
        """Remember a place."""
        self._places.setdefault(reason, []).append(place)

    def tell(self) -> None:
        """Log a warning for each reason."""
        for reason, places in self._places.items():
            more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
            log.warning("%s: %s%s", reason, ", ".join(places[:_NAMED]), more)


def result_files(path: Path, remarks: Remarks) -> list[Path]:
    """A file itself; or the files in a folder and those below it whose names are those of records or packed records.

    Hidden files and folders are not ours.

    Raises:
        ResultsError: there is no such path, or a folder cannot be read.
    """
    if path.is_file():
        return [path]
    found: list[Path] = []
    for folder, folders, names in os.walk(path, onerror=_unreadable):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted([*names, *folders]):
            if name.startswith(".") or not name.endswith((SUFFIX, PACKED)):
                continue
            file = Path(folder, name)
            if file.is_file():
                found.append(file)
            else:
                remarks.add("left out, no regular files", str(file))
    return sorted(found)


def contents(path: Path, remarks: Remarks) -> Iterator[tuple[str, bytes]]:
    """What each result file below `path` is called and holds; a packed one holds several.

    Raises:
        ResultsError: there is no such path, or something there cannot be read.
    """
    for file in result_files(path, remarks):
        if file.name.endswith(PACKED):
            yield from ((f"{file}: {name}", text) for name, text in unpacked(file))
        else:
            yield str(file), content(file)


def content(file: Path) -> bytes:
    """The bytes of a file.

    Raises:
        ResultsError: it cannot be read.
    """
    try:
        if not file.is_file():  # reading a pipe would wait forever
            file.stat()
            raise ResultsError(f"{file} is no regular file; move it out of the results")
        return file.read_bytes()
    except OSError as error:
        _unreadable(error)


def _unreadable(error: OSError) -> NoReturn:
    if isinstance(error, FileNotFoundError):
        raise ResultsError(f"{error.filename} does not exist; expected a results folder") from None
    if isinstance(error, NotADirectoryError):
        raise ResultsError(f"{error.filename} is neither a folder nor a regular file") from None
    raise ResultsError(f"{error.filename} cannot be read ({error.strerror})") from None
