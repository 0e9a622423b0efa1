"""What a report consists of, before it is written as Markdown, HTML or CSV; and how numbers become text."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from spikemark.core.statistics import Interval

Tone = Literal["", "good", "bad", "muted"]
MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"
DASH = "\N{EN DASH}"
TIE = "\N{ALMOST EQUAL TO}"


@dataclass(frozen=True)
class Entry:
    """One place of a table.

    Attributes:
        text: what is shown.
        sort: what the column is sorted by; the text when None.
        strong: whether it stands out.
        tone: how it is coloured where there are colours.
        summary: what a page shows at first, with the text behind it; nothing is hidden when empty.
        link: where a page goes from it.
        data: what scripts of a page read, by name.
    """

    text: str
    sort: float | None = None
    strong: bool = False
    tone: Tone = ""
    summary: str = ""
    link: str = ""
    data: Mapping[str, str] = field(default_factory=dict)


ABSENT = Entry(DASH, tone="muted")


@dataclass(frozen=True)
class Table:
    """A table; the first `labels` columns are names, the others numbers.

    Attributes:
        title: its caption.
        columns: their headings.
        rows: entries, as many as columns in each.
        labels: how many columns hold names.
        note: what must be known to read it, n above all.
        collapsed: whether only its title shows at first.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Entry, ...], ...]
    labels: int = 1
    note: str = ""
    collapsed: bool = False


def alike(rows: Iterable[tuple[Entry, ...]], place: int = 0) -> tuple[tuple[Entry, ...], ...]:
    """Rows that agree to the last digit shown, but for the name at one place, as one row that lists the names.

    So frameworks that compute the same are one row, and one that does not stands out.
    """
    found: dict[tuple[tuple[str, bool, Tone], ...], list[tuple[Entry, ...]]] = {}
    for row in rows:
        shown = tuple((entry.text, entry.strong, entry.tone) for i, entry in enumerate(row) if i != place)
        found.setdefault(shown, []).append(row)
    return tuple(_joined([row[place].text for row in same], same[0], place) for same in found.values())


def agreed(
    rows: Sequence[tuple[Entry, ...]], agreeing: Mapping[str, Sequence[str]], at: int
) -> list[tuple[Entry, ...]]:
    """Rows of frameworks that agree on a system, as one with the numbers of the first.

    Args:
        rows: framework and system first.
        agreeing: frameworks by system, the one that speaks for them first.
        at: the column that is told of each framework, behind its name.
    """
    found = []
    for row in rows:
        framework, system = row[0].text, row[1].text
        names = agreeing.get(system, ())
        if len(names) < 2 or framework not in names:
            found.append(row)
        elif framework == names[0]:
            own = {r[0].text: r[at].text.partition(" ")[0] for r in rows if r[1].text == system and r[0].text in names}
            same = len(set(own.values())) == 1
            told = ", ".join(name if same else f"{name} {number}" for name, number in own.items())
            found.append((Entry(told, summary=f"{len(own)} alike"), *row[1:]))
    return found


def _joined(names: list[str], row: tuple[Entry, ...], place: int) -> tuple[Entry, ...]:
    if len(names) == 1:
        return row
    return (*row[:place], Entry(", ".join(names), summary=f"{len(names)} alike"), *row[place + 1 :])


@dataclass(frozen=True)
class Chart:
    """An interactive chart of the HTML page.

    Attributes:
        name: unique in the report.
        title: its caption.
        data: plotly traces; a trace whose ``meta`` is one of `choices` shows only while that one is chosen.
        layout: plotly layout, without colours of the theme.
        choices: what a reader chooses from; none when empty.
        choice_label: what the choices are, such as "Framework".
    """

    name: str
    title: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    choices: tuple[str, ...] = ()
    choice_label: str = ""


@dataclass(frozen=True)
class Figure:
    """A figure for Markdown, as the text of an SVG file.

    Attributes:
        name: unique in the report; the last part of the file's name.
        title: its caption.
        svg: the file.
    """

    name: str
    title: str
    svg: str


@dataclass(frozen=True)
class Section:
    """One question and its answer.

    Attributes:
        title: the heading.
        reading: how to read what follows.
        tables: in order.
        charts: for HTML.
        figures: for Markdown.
        outcome: what was found where no table says it; always shown.
        alarm: what must not be overlooked; empty when there is nothing.
    """

    title: str
    reading: str
    tables: list[Table] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    outcome: str = ""
    alarm: str = ""

    @property
    def anchor(self) -> str:
        """The section's name in links."""
        return slug(self.title)


_LONGEST = 100


def slug(text: str) -> str:
    """Text as a part of a file name or a link: lower-case letters, digits and hyphens only, not many of them."""
    plain = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "unnamed"
    if len(plain) <= _LONGEST:
        return plain
    return f"{plain[:_LONGEST]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def titled(title: str, where: str) -> str:
    """A title with the group that it is about, if it has a name."""
    return f"{title}: {where}" if where else title


def listed(words: Iterable[str], most: int, last: str = ", ") -> str:
    """Words with `last` before the final one; beyond `most` of them, how many more there are."""
    every = list(words)
    if len(every) > most:
        every, last = [*every[:most], f"{len(every) - most} more"], " and "
    return last.join(filter(None, (", ".join(every[:-1]), *every[-1:])))


def number(value: float, digits: int = 2, *, signed: bool = False) -> str:
    """A number with so many decimals, a true minus sign and thousands set apart."""
    text = f"{value:+,.{digits}f}" if signed else f"{value:,.{digits}f}"
    return text.replace("-", MINUS)


def estimate(interval: Interval, scale: float = 1.0, digits: int = 2, *, signed: bool = False) -> str:
    """An interval as "value [low, high]", times `scale`; without brackets where there is no interval."""
    value = number(scale * interval.value, digits, signed=signed)
    if math.isnan(interval.low):
        return value
    ends = ", ".join(number(scale * end, digits, signed=signed) for end in (interval.low, interval.high))
    return f"{value} [{ends}]"


def decimals(values: Iterable[float], significant: int = 3) -> int:
    """How many decimals give the largest of the values so many significant digits."""
    largest = max((abs(value) for value in values if math.isfinite(value)), default=0.0)
    return max(0, significant - 1 - math.floor(math.log10(largest))) if largest > 0 else 0


def prefix(values: Iterable[float]) -> tuple[float, str]:
    """The power of 1000, and its SI prefix, that keeps the largest of the values below 1000."""
    largest = max((abs(value) for value in values), default=0.0)
    for scale, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if largest >= scale:
            return scale, name
    return 1.0, ""


def n_of(intervals: Iterable[Interval | None]) -> str:
    """How many runs are behind the intervals: a number, or the fewest and the most."""
    counts = sorted({interval.n for interval in intervals if interval is not None})
    if not counts:
        return "0"
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def n_entry(intervals: Sequence[Interval | None], problems: str = "") -> Entry:
    """`n_of` a row, and what became of the other runs."""
    fewest = min((interval.n for interval in intervals if interval is not None), default=0)
    text = f"{n_of(intervals)}; {problems}" if problems else n_of(intervals)
    return Entry(text, float(fewest), tone="bad" if problems else "")


def share_entry(value: float, *, bad: bool = False) -> Entry:
    """A fraction as percent; a dash where it is not known."""
    return ABSENT if math.isnan(value) else Entry(number(100 * value, 1), 100 * value, tone="bad" if bad else "")


def percent(interval: Interval | None, mark: str = "") -> Entry:
    """A fraction as percent, with its mark ("best", "tie" or none)."""
    if interval is None:
        return ABSENT
    text = estimate(interval, 100) + (f" {TIE}" if mark == "tie" else "")
    return Entry(text, 100 * interval.value, strong=mark == "best")
