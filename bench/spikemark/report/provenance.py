"""The sections on whether the numbers may be trusted: fairness, cells without a result, environment and protocol."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from spikemark.report.cells import Cells, axis, fairness, first_line, is_attack, problem
from spikemark.report.model import Entry, Section, Table

FAIRNESS_READING = """\
Cells that differ in nothing but the framework must have started from the same weights, seen the same batches in the
same order and met the same noise. Each record holds fingerprints of these; here they are compared."""
PROBLEMS_READING = """\
Cells without a result, and why. They are left out of the means above, which say how many runs are behind them."""
ENVIRONMENT_READING = """\
What the results were measured on and with, as the records have it; several values mean that records differ in it."""
_NOT_SETTINGS = ("route", "framework", "system", "neuron", "network", "dataset", "seed", "measure", "system_definition")


def fairness_section(cells: Cells) -> Section:
    """Fingerprints across frameworks; an alarm where they differ."""
    compared, mismatches = fairness(cells)
    reading = FAIRNESS_READING
    if any(is_attack(name) for record in cells for name in record["fingerprints"]):
        reading += " Attacks are crafted against each network, so their samples are not compared."
    if not mismatches:
        outcome = f"{compared} fingerprints were compared across frameworks: all agree."
        nothing = "No fingerprints could be compared across frameworks."
        return Section("Fairness", f"{reading} {outcome if compared else nothing}")
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
    """Every cell that failed, timed out, diverged or is unsupported, with its error."""
    rows = []
    for record in cells:
        word = problem(record)
        if word is not None:
            places = [Entry(axis(record, n)) for n in ("measure", "framework", "system", "dataset", "seed")]
            rows.append((Entry(word, tone="bad"), *places, Entry(first_line(record["error"])), Entry(record["key"])))
    older = f" {cells.superseded} older records of cells that were run again are left out." if cells.superseded else ""
    if not rows:
        return Section("Cells without a result", f"None: all {len(cells)} cells have one.{older}")
    columns = ("status", "measure", "framework", "system", "dataset", "seed", "error", "key")
    table = Table(f"{len(rows)} of {len(cells)} cells have no result", columns, tuple(rows), 8)
    return Section("Cells without a result", PROBLEMS_READING + older, [table])


def environment_section(cells: Cells) -> Section:
    """Versions, processor, threads, commit; and the settings of the cells."""
    tables = [
        _values("Environment", [dict(_leaves(r["environment"])) for r in cells]),
        _values("Settings", [dict(_settings(r["cell"])) for r in cells]),
    ]
    days = sorted(record["started"][:10] for record in cells)
    hours = sum(record["seconds"] for record in cells) / 3600
    when = f" Measured from {days[0]} to {days[-1]}; {hours:.2f} hours of computing in all cells together."
    return Section("Environment", ENVIRONMENT_READING + when, [table for table in tables if table.rows])


def _settings(cell: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, text in _leaves({key: value for key, value in cell.items() if key not in _NOT_SETTINGS}):
        is_version = name == "framework_version"
        yield (f"{name} of {cell.get('framework')}" if is_version else name.removeprefix("settings.")), text


def _leaves(data: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Dotted names and texts of all values in nested mappings."""
    for key in sorted(data):
        value = data[key]
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}{key}.")
        elif key != "route":
            yield f"{path}{key}", _text(value)


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
