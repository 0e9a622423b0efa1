"""The throughput section: speed and memory against the reference, matched and out of the box."""

from __future__ import annotations

import math
from collections.abc import Mapping
from statistics import fmean

from spikemark.core.measurement import Measurement
from spikemark.core.statistics import Interval
from spikemark.measures.speed.points import TRACKS
from spikemark.report import charts, figures
from spikemark.report.cells import REFERENCE, Cells
from spikemark.report.model import ABSENT, DASH, TIMES, Entry, Section, Table, decimals, estimate, number
from spikemark.report.plots import VAGUE, Bar, Ratios
from spikemark.report.summary import interval_of

READING = """\
Medians over interleaved rounds; ratios compare each framework with the plain PyTorch reference, timed in the same
rounds, with the 95 % interval of the median. Throughput: higher is better. Latency: lower is better. A ratio whose
interval spans more than a factor of 2 is grey: the machine was too noisy to measure it. The matched track runs the
very same neuron in every framework; the native track uses the framework's own default neuron instead, which computes
something else and shows what users get out of the box; rows of a framework's own neurons are of the native track
alone, and their reference is the reference's LIF. In the rows of the reference itself, the matched track compares two
copies of one network: their distance from 1 is the noise of the measurement. Peak memory is what one forward and
backward pass adds; the first call includes compiling and loading."""

TRAINING, INFERENCE = "training_samples_per_second_ratio", "samples_per_second_ratio"
QUANTITIES = {
    "samples_per_second": "inference",
    "training_samples_per_second": "training",
    "latency": "latency",
}


def throughput_section(cells: Cells) -> Section:
    """A table and bars for every data set, network and variant that was timed."""
    section = Section("Throughput", READING)
    for where, group in cells.where(measure="throughput").groups():
        section.tables.append(_table(f"Throughput: {where}", group))
        ratios = _ratios(where, group)
        if any(ratios.bars.values()):
            section.charts.append(charts.throughput_chart(ratios))
            section.figures.append(figures.throughput_figure(ratios))
    return section


def _table(title: str, group: Cells) -> Table:
    rows = []
    for framework, system in group.names("framework", "system"):
        contender = group.where(framework=framework, system=system)
        problems = contender.problems()
        for track in TRACKS:
            measured = [typical(contender, metric, track) for metric in QUANTITIES]
            if any(measured):
                row = _row(contender, track, measured)
                rows.append((Entry(framework), Entry(system), Entry(track), *row))
        if problems:
            blank = [ABSENT] * 9
            rows.append((Entry(framework), Entry(system), Entry(problems, tone="bad"), *blank))
    columns = (
        "framework",
        "system",
        "track",
        "inference, samples/s",
        f"{TIMES} reference",
        "training, samples/s",
        f"{TIMES} reference",
        "latency, ms",
        f"{TIMES} reference",
        "peak memory, MiB",
        "first call, ms",
        "n",
    )
    return Table(title, columns, tuple(rows), 3, _machine(group))


def _row(contender: Cells, track: str, measured: list[Interval | None]) -> list[Entry]:
    row = []
    for metric, median in zip(QUANTITIES, measured, strict=True):
        row.append(_number(median, 1e3 if metric == "latency" else 1))
        ratio = typical(contender, f"{metric}_ratio", track)
        row.append(Entry(estimate(ratio), ratio.value) if ratio else ABSENT)
    row.append(_number(typical(contender, "peak_memory", track), 2**-20))
    row.append(_number(typical(contender, "first_call", track), 1e3))
    return [*row, rounds_entry(contender.rows("samples_per_second", track=track))]


def typical(contender: Cells, metric: str, track: str | None, **features: str) -> Interval | None:
    """One cell's median and interval as recorded; over several cells, see `interval_of`."""
    rows = list(contender.rows(metric, track=track, **features).values())
    if not rows:
        return None
    if len(rows) == 1:
        row = rows[0]
        return Interval(row["value"], row.get("low", math.nan), row.get("high", math.nan), len(row.get("values", [0])))
    return interval_of(rows)


def _number(interval: Interval | None, scale: float) -> Entry:
    if interval is None:
        return ABSENT
    value = scale * interval.value
    return Entry(number(value, decimals([value])), value)


def rounds_entry(rows: dict[int, Measurement]) -> Entry:
    """How many cells, and how many rounds in each."""
    rounds = sorted(len(row.get("values", [0])) for row in rows.values()) or [0]
    each = str(rounds[0]) if rounds[0] == rounds[-1] else f"{rounds[0]} to {rounds[-1]}"
    cells = "1 cell" if len(rows) == 1 else f"{len(rows)} cells"
    return Entry(f"{cells}, {each} rounds", float(len(rows)))


def _machine(group: Cells) -> str:
    """Threads and memory bandwidth, which bound what any implementation can reach."""
    found = {
        metric: [row["value"] for record in group.ok for row in record["measurements"] if row["metric"] == metric]
        for metric in ("threads", "copy_bandwidth")
    }
    notes = []
    if found["threads"]:
        notes.append(f"Threads: {', '.join(f'{value:g}' for value in sorted(set(found['threads'])))}.")
    if found["copy_bandwidth"]:
        low, high = (number(bound / 1e9, 1) for bound in (min(found["copy_bandwidth"]), max(found["copy_bandwidth"])))
        span = low if low == high else f"{low} to {high}"
        notes.append(f"Memory bandwidth of a plain copy, the limit of any layer: {span} GB/s across cells.")
    return " ".join(notes)


def mean_ratios(group: Cells, metric: str) -> dict[str, float]:
    """By framework, the geometric mean over systems of its speed divided by the reference's; the fastest first."""
    return geometric_means(_matched(group, metric))


def geometric_means(ratios: Mapping[str, Mapping[str, Interval]]) -> dict[str, float]:
    """By framework, over what it was compared in; the largest first."""
    means = {name: math.exp(fmean(math.log(ratio.value) for ratio in found.values())) for name, found in ratios.items()}
    return dict(sorted(means.items(), key=lambda item: -item[1]))


def leader(ratios: Mapping[str, Mapping[str, Interval]]) -> str:
    """Whether a framework is faster than the reference and all others throughout, in words."""
    first, *others = geometric_means(ratios)
    leads = _faster(ratios[first], {}) and all(_faster(ratios[first], ratios[name]) for name in others)
    return f"{first} is the fastest" if leads else "no framework is the fastest throughout"


def told_speeds(where: str, group: Cells) -> str:
    """Which framework leads in every network, in training and inference, as a sentence; "" without any timing."""
    told = []
    for doing, metric in (("Training", TRAINING), ("Inference", INFERENCE)):
        ratios = _matched(group, metric)
        if ratios:
            numbers = ", ".join(f"{name} {number(mean)} {TIMES}" for name, mean in geometric_means(ratios).items())
            told.append(f"{doing}: {leader(ratios)} ({numbers})")
    return f"On {where}, speed relative to plain PyTorch. {'. '.join(told)}." if told else ""


def told_memory(where: str, group: Cells) -> str:
    """What frameworks need for one pass, as a sentence; "" where fewer than two were measured."""
    needed = {}
    for (framework,) in group.names("framework"):
        own = group.where(framework=framework)
        found = [typical(own.where(system=system), "peak_memory", "matched") for (system,) in own.names("system")]
        if found and all(found):
            needed[framework] = fmean(interval.value for interval in found if interval) / 2**20
    if len(needed) < 2:
        return ""
    told = ", ".join(f"{name} {number(needed[name], 1)} MiB" for name in sorted(needed, key=lambda name: needed[name]))
    return f"On {where}, memory that one forward and backward pass adds, mean over networks: {told}."


def _matched(group: Cells, metric: str) -> dict[str, dict[str, Interval]]:
    """By framework and system, where the interval says anything; the reference itself is 1."""
    found: dict[str, dict[str, Interval]] = {}
    for framework, system in group.where(track=DASH).names("framework", "system"):
        ratio = typical(group.where(framework=framework, system=system), metric, "matched")
        if framework != REFERENCE and ratio is not None and ratio.low > 0 and ratio.high <= VAGUE * ratio.low:
            found.setdefault(framework, {})[system] = ratio
    return found


def _faster(first: Mapping[str, Interval], other: Mapping[str, Interval]) -> bool:
    """Whether every interval of the first lies above the other's in the same network; above 1 where it has none."""
    return all(ratio.low > (other[system].high if system in other else 1.0) for system, ratio in first.items())


def _ratios(where: str, group: Cells) -> Ratios:
    bars: dict[str, tuple[Bar, ...]] = {}
    for metric, name in QUANTITIES.items():
        found = []
        for framework, system in group.names("framework", "system"):
            contender = group.where(framework=framework, system=system)
            for track in TRACKS:
                ratio = typical(contender, f"{metric}_ratio", track)
                if ratio is not None:
                    kinds = {record["route"].get("kind", "") for record in contender} if track == "matched" else {""}
                    found.append(Bar(framework, track, system, ratio, ", ".join(sorted(kinds - {""}))))
        bars[name] = tuple(found)
    return Ratios(where, bars, told_speeds(where, group))
