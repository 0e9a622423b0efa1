"""The sections on identical semantics: how each framework computes a neuron, and whether its spikes are right."""

from __future__ import annotations

from dataclasses import replace

from spikemark.core.measurement import Measurement
from spikemark.report.cells import REFERENCE, Cells, axis
from spikemark.report.model import ABSENT, Entry, Section, Table, Tone, number, titled

ROUTES_READING = """\
How much of each neuron is the framework's own code. Native: its class as it is. Composed: its functions in our order.
Custom: a subclass that overrides its dynamics. The reasons are in the second table."""
CONFORMANCE_READING = """\
Spikes and gradients of every framework are compared with the oracle's, on inputs where floating-point arithmetic is
exact and the membrane potential meets the threshold exactly, as often as the table says. Anything but 0 differing
spikes means that the framework's other numbers are not comparable. The gradient error is the largest relative one,
over all tensors."""
_COLUMNS = (
    "framework",
    "neuron",
    "differing spikes",
    "compared spikes",
    "spikes at threshold",
    "gradient error, float32",
    "gradient error, float64",
)
_TONES: dict[bool, Tone] = {True: "bad", False: "good"}


def routes_section(cells: Cells) -> Section:
    """Framework by neuron: kind of route, and why."""
    routes = {
        (axis(record, "framework"), axis(record, "neuron")): (route["kind"], route.get("why", "not recorded"))
        for record in cells
        if "kind" in (route := record["route"])
    }
    frameworks = sorted({framework for framework, _ in routes}, key=lambda name: (name != REFERENCE, name))
    neurons = list(dict.fromkeys(neuron for _, neuron in routes))
    if not routes:
        return Section("Routes", "", outcome="The records do not say how the frameworks compute their neurons.")
    kinds = [
        (Entry(neuron), *(_kind(routes.get((framework, neuron))) for framework in frameworks)) for neuron in neurons
    ]
    whys = [
        (Entry(framework), Entry(neuron), Entry(kind), Entry(why))
        for (framework, neuron), (kind, why) in routes.items()
    ]
    tables = [
        Table("Kind of route", ("neuron", *frameworks), tuple(kinds), 1 + len(frameworks)),
        Table("Why", ("framework", "neuron", "route", "why"), tuple(whys), 4, collapsed=True),
    ]
    return Section("Routes", ROUTES_READING, tables)


def _kind(route: tuple[str, str] | None) -> Entry:
    if route is None:
        return Entry("not recorded", tone="muted")
    return Entry(route[0], tone="bad" if route[0] == "unsupported" else "")


def conformance_section(cells: Cells) -> Section:
    """Differing spikes and gradient errors of every framework and neuron."""
    section = Section("Conformance", CONFORMANCE_READING)
    wrong: list[str] = []
    for where, checked in cells.where(measure="conformance").groups():
        title = "Spikes and gradients against the oracle"
        section.tables.append(_against_oracle(titled(title, where), checked, wrong))
    alarm = f"Spikes differ from the oracle's: {', '.join(wrong)}." if wrong else ""
    return replace(section, alarm=alarm)


def _against_oracle(title: str, checked: Cells, wrong: list[str]) -> Table:
    """A row per framework and neuron; those with differing spikes are added to `wrong`."""
    rows = []
    for framework, neuron in checked.names("framework", "neuron"):
        contender = checked.where(framework=framework, neuron=neuron)
        names = (Entry(framework), Entry(neuron))
        measured = [row for record in contender.ok for row in record["measurements"]]
        problems = contender.problems()
        if measured:
            rows.append((*names, *_outcome(measured)))
            if _sum(measured, "differing_spikes"):
                wrong.append(f"{framework} {neuron}")
        if problems or not measured:
            rows.append((*names, Entry(problems or "not measured", tone="bad"), *[ABSENT] * 4))
    return Table(title, _COLUMNS, tuple(rows), 2)


def _outcome(rows: list[Measurement]) -> list[Entry]:
    differing, compared, at_threshold = (
        _sum(rows, metric) for metric in ("differing_spikes", "compared_spikes", "spikes_at_threshold")
    )
    wrong = differing > 0 or compared == 0
    return [
        Entry(number(differing, 0) if compared else "nothing compared", differing, strong=wrong, tone=_TONES[wrong]),
        Entry(number(compared, 0), compared),
        Entry(number(at_threshold, 0), at_threshold),
        *(_gradient_error(rows, dtype) for dtype in ("float32", "float64")),
    ]


def _sum(rows: list[Measurement], metric: str) -> float:
    return sum(row["value"] for row in rows if row["metric"] == metric)


def _gradient_error(rows: list[Measurement], dtype: str) -> Entry:
    errors = [row["value"] for row in rows if row["metric"] == "gradient_error" and row.get("dtype") == dtype]
    return Entry(f"{max(errors):.1e}", max(errors)) if errors else ABSENT
