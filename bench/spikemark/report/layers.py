"""The section on single layers: time against the reference and the memory limit, price of learning, growth."""

from __future__ import annotations

import math
from collections.abc import Iterator

from spikemark.core.measurement import Measurement
from spikemark.core.statistics import Interval, median_ratio_interval
from spikemark.measures.speed.points import GROWTH, TRACKS, LayerAxis, Point
from spikemark.report.cells import BASELINE, REFERENCE, Cells
from spikemark.report.growth import PHASE, growth_plot, growth_table, roofline_plot, told_growth
from spikemark.report.logplots import log_chart, log_figures
from spikemark.report.model import ABSENT, TIMES, Entry, Section, Table, decimals, estimate, number, titled
from spikemark.report.plots import VAGUE
from spikemark.report.throughput import geometric_means, leader

READING = """\
Layers alone, without synapses. Time is the median over interleaved rounds; its ratio is to the reference's layer of
the same neuron, timed in the same rounds, with the 95 % interval of its median: above 1 is slower than the reference.
In the rows of the reference itself the matched ratio compares two copies of one layer: what it strays from 1 is the
noise. Bandwidth is how near a layer comes to a plain copy, which moves a tensor of this size in the same rounds: the
fewest bytes that any implementation must move, by the time it takes, as a fraction of the copy's; 1 is the limit. The
native track is the framework's own default neuron, which computes something else. Peak memory is what forward and
backward add in a fresh process, the first call is the first one there. An exponent of 1 means that twice the size takes
twice as much; below 1, calls are paid for more than numbers."""
PRICE_READING = """\
Forward and backward. Both ends of a matched / matched ratio come from different cells, so each is first divided by the
copy of its own rounds; the interval joins the far ends of both, which holds at 90 % at least. Matched / native is taken
round by round."""
_SHOWN: tuple[LayerAxis, ...] = ("dtype", "compile", "convolution", *GROWTH)


def layers_section(cells: Cells) -> Section:
    """Tables and plots of all cells of layers; empty where there are none."""
    section = Section("Layers", READING)
    for where, timed in cells.where(measure="layers").groups():
        _add(section, where, timed)
    return section


def told_layers(cells: Cells) -> Iterator[str]:
    """Which framework has the fastest layers at the first point, and how time grows with the size, as sentences."""
    for where, timed in cells.where(measure="layers").groups():
        point, own = next(iter(_shown(timed).items()))
        ratios: dict[str, dict[str, Interval]] = {}
        for neuron, framework in own.names("neuron", "framework"):
            contender = own.where(neuron=neuron, framework=framework)
            taken = _interval(_one(contender, "seconds_ratio", point, PHASE, "matched"))
            if framework != REFERENCE and taken is not None and 0 < taken.high <= VAGUE * taken.low:
                # How many times as fast, from how many times as long.
                fast = Interval(1 / taken.value, 1 / taken.high, 1 / taken.low, taken.n)
                ratios.setdefault(framework, {})[neuron] = fast
        if ratios:
            numbers = ", ".join(f"{name} {number(mean)} {TIMES}" for name, mean in geometric_means(ratios).items())
            at = titled(f"Layers at {point.label}, {PHASE}", where)
            yield f"{at}, speed relative to plain PyTorch: {leader(ratios)} ({numbers})."
        yield from told_growth(timed)


def _add(section: Section, where: str, timed: Cells) -> None:
    for number_of, (point, own) in enumerate(_shown(timed).items()):
        section.tables.append(_table(point, own, where))
        price = None if number_of else _price(point, own, where)
        section.tables.extend([price] if price is not None and price.rows else [])
    growth = growth_table(timed, where)
    section.tables.extend([growth] if growth is not None else [])
    for plot in (growth_plot(timed, where), roofline_plot(timed, where)):
        if plot is not None:
            section.charts.append(log_chart(plot))
            section.figures.extend(log_figures(plot))


def _shown(timed: Cells) -> dict[Point, Cells]:
    """The points of tables. Where several cells hold one, that of the first axis: two are too few to pool."""
    axes = [axis for axis in _SHOWN if timed.where(axis=axis).records]
    shown: dict[Point, Cells] = {}
    for axis in [axis for axis in axes if axis not in GROWTH] or axes:
        own = timed.where(axis=axis)
        for point in _points(own):
            shown.setdefault(point, own)
    return shown


def _points(cells: Cells) -> list[Point]:
    """All points of some cells, whether or not they could be measured, in the order of the records."""
    points = [row["point"] for record in cells.ok for row in record["measurements"] if "point" in row]
    return list(dict.fromkeys(Point.from_dict(point) for point in points))


def _table(point: Point, cells: Cells, where: str) -> Table:
    rows = []
    for neuron, framework in cells.names("neuron", "framework"):
        contender = cells.where(neuron=neuron, framework=framework)
        names = (Entry(neuron), Entry(framework))
        for track in TRACKS:
            row = _row(point, contender, track)
            why = _one(contender, "unsupported", point, track=track)
            if why is not None:
                row[0] = Entry(f"unsupported: {why.get('why', 'no reason was recorded')}", tone="bad")
            if any(entry is not ABSENT for entry in row):
                rows.append((*names, Entry(track), *row))
        problems = contender.problems()
        if problems:
            rows.append((*names, Entry(problems, tone="bad"), *[ABSENT] * 8))
    columns = (
        "neuron",
        "framework",
        "track",
        "forward, ms",
        f"{TIMES} reference",
        "forward + backward, ms",
        f"{TIMES} reference",
        "bandwidth",
        "peak memory, MiB",
        "first call, ms",
        "rounds",
    )
    return Table(titled(f"Layers at {point.label}", where), columns, tuple(rows), 3, _machine(point, cells))


def _row(point: Point, contender: Cells, track: str) -> list[Entry]:
    row = []
    for phase in ("forward", PHASE):
        row.append(_number(_one(contender, "seconds", point, phase, track), 1e3))
        ratio = _interval(_one(contender, "seconds_ratio", point, phase, track))
        row.append(Entry(estimate(ratio), ratio.value) if ratio else ABSENT)
    fraction = _interval(_one(contender, "bandwidth_fraction", point, PHASE, track))
    row.append(Entry(estimate(fraction, digits=3), fraction.value) if fraction else ABSENT)
    row.append(_number(_one(contender, "peak_memory", point, track=track), 2**-20))
    row.append(_number(_one(contender, "first_call", point, track=track), 1e3))
    rounds = [
        len(found.get("values", []))
        for phase in ("forward", PHASE)
        if (found := _one(contender, "seconds", point, phase, track)) is not None
    ]
    return [*row, Entry(", ".join(map(str, rounds)), float(min(rounds))) if rounds else ABSENT]


def _price(point: Point, cells: Cells, where: str) -> Table:
    """What a neuron costs more than the fixed-threshold one, and than the framework's own."""
    rows = []
    for neuron, framework in cells.names("neuron", "framework"):
        own = cells.where(neuron=neuron, framework=framework)
        plain = cells.where(neuron=BASELINE, framework=framework)
        time, memory = (
            [_one(c, name, point, phase, "matched") for c in (own, plain)]
            for name, phase in (("bandwidth_fraction", PHASE), ("peak_memory", None))
        )
        native = [_one(own, "seconds", point, PHASE, track) for track in TRACKS]
        native_memory = [_one(own, "peak_memory", point, track=track) for track in TRACKS]
        itself = Entry("(itself)", tone="muted")
        row = [
            itself if neuron == BASELINE else _far_ends(*reversed(time)),
            _round_by_round(*native),
            itself if neuron == BASELINE else _quotient(*memory),
            _quotient(*native_memory),
        ]
        if any(entry not in (ABSENT, itself) for entry in row):
            rows.append((Entry(neuron), Entry(framework), *row))
    columns = [f"{what} / {base}" for what in ("time", "memory") for base in (f"matched {BASELINE}", "native")]
    title = titled(f"Price of learnable thresholds, {point.label}", where)
    return Table(title, ("neuron", "framework", *columns), tuple(rows), 2, PRICE_READING)


def _far_ends(first: Measurement | None, second: Measurement | None) -> Entry:
    a, b = _interval(first), _interval(second)
    if a is None or b is None or min(b.value, b.low, b.high) <= 0:
        return ABSENT
    ratio = Interval(a.value / b.value, a.low / b.high, a.high / b.low, min(a.n, b.n))
    return Entry(estimate(ratio), ratio.value)


def _round_by_round(first: Measurement | None, second: Measurement | None) -> Entry:
    rounds = [row.get("values", []) if row is not None else [] for row in (first, second)]
    if not rounds[0] or len(rounds[0]) != len(rounds[1]) or min(map(min, rounds)) <= 0:
        return ABSENT
    ratio = median_ratio_interval([[a / b for a, b in zip(*rounds, strict=True)]])
    return Entry(estimate(ratio), ratio.value)


def _quotient(first: Measurement | None, second: Measurement | None) -> Entry:
    if first is None or second is None or second["value"] <= 0:
        return ABSENT
    value = first["value"] / second["value"]
    return Entry(number(value), value)


def _one(
    cells: Cells, metric: str, point: Point, phase: str | None = None, track: str | None = None
) -> Measurement | None:
    """The measurement at a point; of the first seed, should there be several."""
    rows = cells.rows(metric, point=point.to_dict(), split=phase, track=track)
    return next(iter(rows.values()), None)


def _interval(row: Measurement | None) -> Interval | None:
    if row is None:
        return None
    return Interval(row["value"], row.get("low", math.nan), row.get("high", math.nan), len(row.get("values", [0])))


def _number(row: Measurement | None, scale: float) -> Entry:
    if row is None:
        return ABSENT
    value = scale * row["value"]
    return Entry(number(value, decimals([value])), value)


def _machine(point: Point, cells: Cells) -> str:
    """Threads, the copy, and the bytes that must be moved."""
    rows = [row for record in cells.ok for row in record["measurements"]]
    threads = sorted({row["value"] for row in rows if row["metric"] == "threads"})
    here = [row for row in rows if row.get("point") == point.to_dict() and row.get("split") == PHASE]
    copies = [row["value"] / 1e9 for row in here if row["metric"] == "copy_bandwidth"]
    moved = [row["value"] for row in here if row["metric"] == "bytes_moved"]
    notes = [f"Threads: {', '.join(f'{value:g}' for value in threads)}."] if threads else []
    if copies and moved:
        low, high = (number(bound, 1) for bound in (min(copies), max(copies)))
        mib = number(moved[0] / 2**20, 1)
        notes.append(f"A copy of the currents: {low} to {high} GB/s across cells; {PHASE} must move {mib} MiB.")
    return " ".join(notes)
