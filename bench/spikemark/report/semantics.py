"""The sections on identical semantics: how each framework computes a neuron, and whether its spikes are right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikemark.report.cells import Cells, axis, first_line, problem
from spikemark.report.model import ABSENT, Entry, Section, Table, number
from spikemark.results import Measurement, Record

ROUTES_READING = """\
How much of each neuron is the framework's own code. Native: its class as it is. Composed: its functions in our order.
Custom: a subclass that overrides its dynamics. The reasons are in the second table."""
CONFORMANCE_READING = """\
Spikes and gradients of every framework against the oracle, on inputs where floating-point arithmetic is exact and the
membrane potential does meet the threshold. Anything but 0 differing spikes means that the framework's other numbers are
not comparable. The gradient error is the largest relative one, over all tensors."""


def routes_section(cells: Cells) -> Section:
    """Framework by neuron: kind of route, and why."""
    routes = {}
    for record in cells:
        route = _route(record)
        if route is not None:
            routes[axis(record, "framework"), axis(record, "neuron")] = route
    frameworks = list(dict.fromkeys(framework for framework, _ in routes))
    neurons = list(dict.fromkeys(neuron for _, neuron in routes))
    if not routes:
        return Section("Routes", "The records do not say how the frameworks compute their neurons.")
    kinds = [
        (Entry(neuron), *(_kind(routes.get((framework, neuron))) for framework in frameworks)) for neuron in neurons
    ]
    whys = [
        (Entry(framework), Entry(neuron), Entry(kind), Entry(why))
        for (framework, neuron), (kind, why) in routes.items()
    ]
    tables = [
        Table("Routes", ("neuron", *frameworks), tuple(kinds), 1 + len(frameworks)),
        Table("Why", ("framework", "neuron", "route", "why"), tuple(whys), 4, collapsed=True),
    ]
    return Section("Routes", ROUTES_READING, tables)


def _route(record: Record) -> tuple[str, str] | None:
    if problem(record) == "unsupported":
        return "unsupported", first_line(record["error"])
    for place in (record["cell"], record["environment"]):
        route: Any = place.get("route")
        if isinstance(route, Mapping):
            return str(route.get("kind", "not recorded")), str(route.get("why", "not recorded"))
    return None


def _kind(route: tuple[str, str] | None) -> Entry:
    if route is None:
        return Entry("not recorded", tone="muted")
    return Entry(route[0], tone="bad" if route[0] == "unsupported" else "")


def conformance_section(cells: Cells) -> Section:
    """Differing spikes and gradient errors of every framework and neuron."""
    checked = cells.where(measure="conformance")
    rows, wrong = [], []
    for framework, neuron in checked.names("framework", "neuron"):
        contender = checked.where(framework=framework, neuron=neuron)
        measured = [row for record in contender.ok for row in record["measurements"]]
        problems = contender.problems()
        if not measured:
            rows.append((Entry(framework), Entry(neuron), Entry(problems or "not measured", tone="bad"), *[ABSENT] * 3))
            continue
        differing, compared = _sum(measured, "differing_spikes"), _sum(measured, "compared_spikes")
        if differing:
            wrong.append(f"{framework} {neuron}")
        shown = Entry(number(differing, 0), differing, strong=bool(differing), tone="bad" if differing else "good")
        rows.append(
            (
                Entry(framework),
                Entry(neuron),
                shown,
                Entry(number(compared, 0), compared),
                *(_gradient_error(measured, unit) for unit in ("float32", "float64")),
            )
        )
        if problems:
            rows.append((Entry(framework), Entry(neuron), Entry(problems, tone="bad"), *[ABSENT] * 3))
    columns = ("framework", "neuron", "differing spikes", "compared spikes", "gradient error, float32", "float64")
    alarm = f"Spikes differ from the oracle's: {', '.join(wrong)}." if wrong else ""
    tables = [Table("Conformance", columns, tuple(rows), 2)] if rows else []
    return Section("Conformance", CONFORMANCE_READING, tables, alarm=alarm)


def _sum(rows: list[Measurement], metric: str) -> float:
    return sum(row["value"] for row in rows if row["metric"] == metric)


def _gradient_error(rows: list[Measurement], unit: str) -> Entry:
    errors = [row["value"] for row in rows if row["metric"] == "gradient_error" and row["unit"] == unit]
    return Entry(f"{max(errors):.1e}", max(errors)) if errors else ABSENT
