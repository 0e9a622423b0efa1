"""Measured energy: joules per sample by source, the power of work and of idling, and why there are none."""

from __future__ import annotations

from collections.abc import Iterable

from spikemark.core.statistics import Interval
from spikemark.measures.joules import HEADING
from spikemark.measures.speed.points import TRACKS
from spikemark.report.cells import Cells, axis, first_line, problem
from spikemark.report.model import ABSENT, TIMES, Entry, Section, Table, decimals, estimate, number, titled
from spikemark.report.throughput import rounds_entry, typical

READING = """\
Joules that counters of the machine told during windows of repeated inference, divided by the samples: medians over
interleaved windows with their 95 % interval. The source says what is counted: rapl, all packages of the processors;
rapl-dram, their memory; nvml, the whole board of the GPU. A counter counts everything that runs meanwhile, idling
included; windows in which the process slept tell its share. Ratios compare with the plain PyTorch reference in the same
rounds. These are joules of the machine that ran the network; the estimates of the section on energy are of
other hardware, so the two must not be compared."""


def joules_section(cells: Cells) -> Section:
    """A table for every data set, network and variant that was measured or could not be."""
    section = Section("Measured energy", READING)
    for where, group in cells.where(measure="joules").groups():
        section.tables.append(_table(titled("Measured energy", where), group))
    return section


def sources(group: Cells) -> list[str]:
    """Where joules were read, in order of appearance."""
    return [str(source) for source in group.features("joules", "profile")]


def measured_columns(group: Cells, contenders: Iterable[Cells]) -> dict[str, list[Entry]]:
    """For tables of estimates: a column by heading for each source of joules; none where none were measured."""
    own = list(contenders)
    found = {}
    for source in sources(group):
        column = [_own(contender, source) for contender in own]
        found[f"{HEADING} ({source})"] = _shown(column)
    return found


def _own(contender: Cells, source: str) -> Interval | None:
    """Of the neuron of the spec or, where it has none, of the framework's own."""
    of_tracks = (typical(contender, "joules", track, profile=source) for track in TRACKS)
    return next((interval for interval in of_tracks if interval is not None), None)


def _table(title: str, group: Cells) -> Table:
    places = [
        (contender, track, source)
        for names in group.names("framework", "system")
        for contender in [group.where(framework=names[0], system=names[1])]
        for source in sources(contender)
        for track in TRACKS
        if contender.rows("joules", track=track, profile=source)
    ]

    def column(metric: str, *, of_track: bool = True) -> list[Interval | None]:
        return [typical(one, metric, track if of_track else None, profile=source) for one, track, source in places]

    power, idle = column("power"), column("idle_power", of_track=False)
    columns = [
        _shown(column("joules")),
        [ABSENT if ratio is None else Entry(estimate(ratio), ratio.value) for ratio in column("joules_ratio")],
        _shown(power),
        _shown(idle),
        [_share(work, rest) for work, rest in zip(power, idle, strict=True)],
        [rounds_entry(one.rows("joules", track=track, profile=source)) for one, track, source in places],
    ]
    rows = []
    for (contender, track, source), *numbers in zip(places, *columns, strict=True):
        names = contender.names("framework", "system")[0]
        rows.append((*(Entry(name) for name in (*names, track, source)), *numbers))
    for framework, system, reason in _without(group):
        rows.append((Entry(framework), Entry(system), Entry(reason, tone="bad"), *[ABSENT] * (len(columns) + 1)))
    headings = ("framework", "system", "track", "source", HEADING, f"{TIMES} reference", "power, W", "idle power, W")
    return Table(title, (*headings, "above idle (%)", "n"), tuple(rows), 4)


def _without(group: Cells) -> dict[tuple[str, str, str], None]:
    """Contenders that were not measured, each with the reason."""
    found: dict[tuple[str, str, str], None] = {}
    for record in group:
        if (word := problem(record)) is not None:
            reason = f"{word}: {first_line(record['error'])}"
            found[axis(record, "framework"), axis(record, "system"), reason] = None
    return found


def _share(work: Interval | None, rest: Interval | None) -> Entry:
    """How much of the power is not spent in idling, too."""
    if work is None or rest is None:
        return ABSENT
    share = 100 * (1 - rest.value / work.value)
    return Entry(number(share, 1), share)


def _shown(column: list[Interval | None]) -> list[Entry]:
    """With three significant digits each, since sources and networks differ by powers of ten."""
    return [ABSENT if i is None else Entry(estimate(i, digits=decimals([i.value])), i.value) for i in column]
