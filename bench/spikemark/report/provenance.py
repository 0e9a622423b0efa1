"""The sections on whether the numbers may be trusted: fairness, cells that are left out, environment and protocol."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from spikemark.report.cells import Cells, axis, cause, first_line, problem
from spikemark.report.model import DASH, Entry, Section, Table
from spikemark.suites.records import Record, flat

FAIRNESS_READING = """\
Cells that differ in nothing but the framework must have started from the same weights, seen the same batches in the
same order and met the same noise. Each record holds fingerprints of these; here they are compared."""
PROBLEMS_READING = """\
Cells that no mean and no contrast above uses, and why: those that failed or ran out of time, those that a framework
cannot express (unsupported), and those whose network says nothing about its neuron (degenerate; their numbers are in
the records). The tables say how many runs are behind them. Measures of one training that went wrong share a row."""
ENVIRONMENT_READING = """\
What the results were measured on and with, as the records have it; several values mean that records differ in it."""
_NOT_SETTINGS = (
    "framework", "system", "neuron", "track", "network", "dataset", "axis", "seed", "measure", "subject",
    "system_definition",
)  # fmt: skip
_OF_THE_FRAMEWORK = ("framework", "framework_version", "plugins")


@dataclass(frozen=True)
class Mismatch:
    """Frameworks that were to do identical work and did not.

    Attributes:
        cell: what was compared: measure, system, data set and seed.
        name: of the fingerprint, such as "initial_weights".
        found: the fingerprint of each framework, None where it has none.
    """

    cell: str
    name: str
    found: tuple[tuple[str, str | None], ...]


def is_attack(record: Record, fingerprint: str) -> bool:
    """Whether a fingerprint is of samples crafted against one network, which differ from network to network."""
    kind, _, rest = fingerprint.partition(":")
    noise = record["cell"].get("noises", {}).get(rest.partition(":")[0], {})
    return kind == "noise" and noise.get("domain") == "adversary"


def fairness(cells: Cells) -> tuple[int, list[Mismatch]]:
    """Compare the fingerprints of cells that differ in nothing but the framework.

    Returns:
        How many fingerprints were compared across frameworks, and those that differ.
    """
    compared, mismatches = 0, []
    groups: dict[str, dict[str, Record]] = {}
    for record in sorted(cells.ok, key=lambda r: r["started"]):
        # Of a framework that was upgraded between runs, the newest record.
        groups.setdefault(_work(record), {})[axis(record, "framework")] = record
    for _, alike in sorted(groups.items()):
        if len(alike) < 2:
            continue
        records = sorted(alike.values(), key=lambda r: axis(r, "framework"))
        where = " ".join(axis(records[0], n) for n in ("measure", "system", "dataset") if axis(records[0], n) != DASH)
        for name in sorted({name for record in records for name in record["fingerprints"]}):
            if any(is_attack(record, name) for record in records):
                continue
            compared += 1
            found = tuple((axis(record, "framework"), record["fingerprints"].get(name)) for record in records)
            if len({fingerprint for _, fingerprint in found}) > 1:
                mismatches.append(Mismatch(f"{where} seed {axis(records[0], 'seed')}", name, found))
    return compared, mismatches


def _work(record: Record) -> str:
    """What a cell did, whoever did it: its axes, and all else but the framework."""
    cell = {key: value for key, value in record["cell"].items() if key not in _OF_THE_FRAMEWORK}
    names = [axis(record, name) for name in ("measure", "system", "dataset", "variant", "seed")]
    return json.dumps([*names, cell], sort_keys=True)


def fairness_section(cells: Cells) -> Section:
    """Fingerprints across frameworks; an alarm where they differ."""
    compared, mismatches = fairness(cells)
    reading = FAIRNESS_READING
    if any(is_attack(record, name) for record in cells for name in record["fingerprints"]):
        reading += " Attacks are crafted against each network, so their samples are not compared."
    if not mismatches:
        outcome = f"{compared} fingerprints were compared across frameworks: all agree."
        nothing = "No fingerprints could be compared across frameworks."
        return Section("Fairness", reading, outcome=outcome if compared else nothing)
    rows = tuple(
        (Entry(m.cell), Entry(m.name), Entry(framework), Entry(fingerprint or "missing", tone="bad"))
        for m in mismatches
        for framework, fingerprint in m.found
    )
    table = Table("Fingerprints that differ", ("cell", "fingerprint", "framework", "value"), rows, 4)
    alarm = (
        f"{len(mismatches)} of {compared} fingerprints differ between frameworks: these did not do identical work, and "
        "their numbers must not be compared."
    )
    return Section("Fairness", reading, [table], alarm=alarm)


def problems_section(cells: Cells) -> Section:
    """Every cell that is left out, with the reason: failed, timed out, diverged, unsupported or degenerate."""
    causes: dict[tuple[str, ...], list[Record]] = {}
    for record in cells:
        if problem(record) is not None:
            causes.setdefault((*cause(record), first_line(record["error"])), []).append(record)
    rows = []
    for (*_, word, reason), records in causes.items():
        first, measures = records[0], ", ".join(axis(record, "measure") for record in records)
        names = [axis(first, n) for n in ("framework", "system", "neuron", "dataset", "variant", "seed")]
        entries = [Entry(name) for name in (measures, *names, reason, first["key"])]
        rows.append((Entry(word, tone="bad"), *entries))
    parts = _parts_left_out(cells)
    older = f" {cells.superseded} older records of cells that were run again are left out." if cells.superseded else ""
    if not rows:
        return Section("Cells without a result", "", parts, outcome=f"None: all {len(cells)} cells have one.{older}")
    columns = ("status", "measures", "framework", "system", "neuron", "data set", "variant", "seed", "reason", "key")
    without = len(cells) - len(cells.ok)
    table = Table(f"{without} of {len(cells)} cells have no result", columns, tuple(rows), len(columns))
    return Section("Cells without a result", PROBLEMS_READING, [table, *parts], outcome=older.strip())


def _parts_left_out(cells: Cells) -> list[Table]:
    """What measures left out of cells that have a result otherwise."""
    seeds: dict[tuple[str, ...], list[str]] = {}
    for record in cells:
        names = [axis(record, name) for name in ("measure", "framework", "system", "dataset", "variant")]
        for part, why in record.get("left_out", {}).items():
            seeds.setdefault((*names, part, why), []).append(axis(record, "seed"))
    rows = tuple((*map(Entry, place), Entry(", ".join(found))) for place, found in seeds.items())
    columns = ("measure", "framework", "system", "data set", "variant", "left out", "reason", "seeds")
    return [Table("Parts that were left out", columns, rows, len(columns))] if rows else []


def environment_section(cells: Cells) -> Section:
    """Versions, processor, threads, commit; and the settings of the cells."""
    tables = [
        _values("Environment", [_leaves(r["environment"]) for r in cells]),
        _values("Settings", [dict(_settings(r["cell"])) for r in cells]),
    ]
    days = sorted(record["started"][:10] for record in cells)
    hours = sum(record["seconds"] for record in cells) / 3600
    when = f"Measured from {days[0]} to {days[-1]}; {hours:.2f} hours of computing in all cells together."
    return Section("Environment", ENVIRONMENT_READING, [table for table in tables if table.rows], outcome=when)


def _settings(cell: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, text in _leaves({key: value for key, value in cell.items() if key not in _NOT_SETTINGS}).items():
        is_version = name == "framework_version"
        yield (f"{name} of {cell.get('framework')}" if is_version else name.removeprefix("settings.")), text


def _leaves(data: Mapping[str, Any]) -> dict[str, str]:
    """Dotted names and texts of all values in nested mappings."""
    return {name: _text(value) for name, value in flat(data).items()}


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _values(title: str, sources: list[dict[str, str]]) -> Table:
    """Each name with its values, and how many records have each where they differ."""
    rows = []
    for name in sorted({name for source in sources for name in source}):
        counts = Counter(source[name] for source in sources if name in source)
        several = len(counts) > 1
        texts = [f"{value} ({n} cells)" if several else value for value, n in sorted(counts.items())]
        rows.append((Entry(name), Entry("; ".join(texts))))
    return Table(title, ("name", "value"), tuple(rows), 2, collapsed=True)
