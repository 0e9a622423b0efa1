"""Submissions beside our own records: whose systems join which suite, and where their records lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from spikemark.errors import InputError
from spikemark.report.cells import Cells, axis
from spikemark.report.leaderboard import Home
from spikemark.report.model import slug
from spikemark.suites.records import Record
from spikemark.suites.submission import About, records_of, submissions


@dataclass(frozen=True)
class HandedIn:
    """One submission.

    Attributes:
        about: what is said of it.
        folder: where it lies, as links and notes name it.
        records: what was measured.
    """

    about: About
    folder: str
    records: Sequence[Record]

    @property
    def page(self) -> str:
        """Name of its page."""
        return slug(f"submission {self.about.name} {self.about.revision}")


def read_submissions(folder: Path) -> Iterator[HandedIn]:
    """All submissions below a folder, by name and revision.

    Raises:
        InputError: there is no such folder, or a submission is not whole.
        ResultsError: a record cannot be used.
    """
    if not folder.is_dir():
        raise InputError(f"{folder} does not exist; expected a folder of submissions")
    for about in submissions(folder):
        place = Path(about.name) / about.revision
        yield HandedIn(about, f"{folder.name}/{place.as_posix()}", records_of(folder / place))


def joined(
    suites: Mapping[str, Cells], handed_in: Sequence[HandedIn]
) -> Iterator[tuple[str, Cells, Mapping[str, Home]]]:
    """Every suite, with the systems of submissions that it lacks, and the homes of these systems.

    A system that several have is that of our own records, or else of the first submission.
    """
    names = dict.fromkeys([*suites, *(record["suite"] for one in handed_in for record in one.records)])
    for suite in names:
        ours = suites.get(suite, Cells(()))
        taken = {system for (system,) in ours.names("system")}
        homes: dict[str, Home] = {}
        added: list[Record] = []
        for one in handed_in:
            own = [r for r in one.records if r["suite"] == suite and axis(r, "system") not in taken]
            systems = dict.fromkeys(axis(record, "system") for record in own)
            homes |= {system: Home(one.about.tier, one.folder, one.page) for system in systems}
            taken |= systems.keys()
            added += own
        yield suite, Cells.of([*ours, *added]) if added else ours, homes
