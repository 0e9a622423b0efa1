"""Packed results: a results folder as one compressed file that every command reads like the folder.

The file is a tar archive whose members are records under their names, compressed by LZMA: plain enough for any tool to
open, and many times smaller than the folder, since records of one suite resemble each other.
"""

from __future__ import annotations

import io
import json
import lzma
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from spikemark.core.files import write_files
from spikemark.errors import InputError

if TYPE_CHECKING:
    from spikemark.suites.records import Record

PACKED = ".records.tar.xz"
_MOST_BYTES = 1 << 30


def pack(folder: Path, out: Path | None = None) -> Path:
    """Write the records of `folder` as one file; the folder stays as it is.

    Args:
        folder: of records.
        out: the file; beside the folder, under its name, when None.

    Returns:
        The file.

    Raises:
        ResultsError: there is no record in the folder.
    """
    from spikemark.suites.records import load_records

    records = load_records(folder)
    target = out or folder.with_name(folder.name + PACKED)
    if not target.name.endswith(PACKED):
        raise InputError(f"{target}: a packed file's name ends in {PACKED}")
    write_files({target: packed(records)})
    return target


def packed(records: Iterable[Record]) -> bytes:
    """The content of a packed file; the same records give the same bytes."""
    from spikemark.suites.records import record_name

    members = {record_name(record): json.dumps(record, sort_keys=True).encode() for record in records}
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz", preset=9) as archive:
        for name in sorted(members):
            member = tarfile.TarInfo(name)
            member.size = len(members[name])
            archive.addfile(member, io.BytesIO(members[name]))
    return buffer.getvalue()


def unpacked(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and content of every record in a packed file; nothing is written.

    Raises:
        InputError: the file is damaged, or larger than any results are.
    """
    total = 0
    try:
        with tarfile.open(path, mode="r:xz") as archive:
            for member in archive:
                total += member.size
                if total > _MOST_BYTES:
                    raise InputError(f"{path} unpacks to more than {_MOST_BYTES >> 20} MiB; this is no results file")
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None:
                    yield member.name, content.read()
    except (tarfile.TarError, EOFError, OSError, lzma.LZMAError) as error:
        raise InputError(f"{path} is damaged: {error}") from None
