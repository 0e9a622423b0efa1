"""The matrix as files: a page, a table, data, and a badge."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from spikemark.core.files import write_files
from spikemark.core.frameworks import entry_name
from spikemark.measures.semantics.stated import StatedResult
from spikemark.regression.matrix import Change, Entry, Graph, Layer, Matrix

COLUMNS = ("part", "framework", "version", "backend", "subject", "finding", "differing", "compared", "gradient_error")
_READING = """\
Every contender runs in an environment of its own, which [docs/environments.md](../docs/environments.md) describes;
`spikemark conformance --matrix` makes this page. It has five parts. *Conformance* lends a framework our spike and our
reset and asks whether its machinery computes the neuron spec. *Own classes* lends nothing: each class is compared with
an equation that its documentation or its name states. *Surrogates* are slopes in a single step. *NIR* is what importers
make of small graphs. *Changes* compares a framework's own layers with those of the version before it."""


def write_matrix(matrix: Matrix, out: Path) -> list[Path]:
    """Write ``conformance.md``, ``.csv``, ``.json`` and the badge's ``conformance-badge.json``.

    Args:
        matrix: what was found.
        out: the folder.
    """
    files = {
        out / "conformance.md": page(matrix),
        out / "conformance.csv": pd.DataFrame(rows(matrix), columns=list(COLUMNS)).to_csv(index=False),
        out / "conformance.json": json.dumps({"schema_version": 1, **data(matrix)}, indent=1) + "\n",
        out / "conformance-badge.json": json.dumps(badge(matrix)) + "\n",
    }
    write_files(dict(files))
    return list(files)


def badge(matrix: Matrix) -> dict[str, Any]:
    """What shields.io's endpoint badge reads."""
    compared, differing = (sum(_counts(entry)[i] for entry in matrix.entries) for i in (0, 1))
    count = f"{compared / 1e6:.1f} million" if compared >= 1e6 else f"{compared:,}"
    good = compared > 0 and all(_passed(entry) is not False for entry in matrix.entries)
    color = "brightgreen" if good else "red"
    return {
        "schemaVersion": 1,
        "label": "conformance",
        "message": f"{differing:,} of {count} spikes differ",
        "color": color,
    }


def _counts(entry: Entry) -> tuple[int, int]:
    return sum(row.compared_spikes for row in entry.conformance), sum(row.differing_spikes for row in entry.conformance)


def _passed(entry: Entry) -> bool | None:
    """None where nothing is supported."""
    rows_with_results = [row for row in entry.conformance if row.results]
    return all(row.passed for row in rows_with_results) if rows_with_results else None


def rows(matrix: Matrix) -> Iterator[tuple[Any, ...]]:
    """The long table, see `COLUMNS`."""
    for entry in matrix.entries:
        place = (entry.framework, entry.version, entry.backend)
        for row in entry.conformance:
            verdict = "ok" if row.passed else "failed" if row.results else "unsupported"
            error = row.gradient_error("float32") if row.results else None
            yield ("conformance", *place, row.subject, verdict, row.differing_spikes, row.compared_spikes, error)
        for stated in entry.stated:
            found = stated.raised or ("holds" if stated.holds else "differs")
            yield ("own class", *place, stated.name, found, stated.differing, stated.compared, stated.gradient_error)
        for surrogate in entry.surrogates:
            yield ("surrogate", *place, surrogate.layer, surrogate.finding, None, None, None)
        for graph in entry.graphs:
            yield ("nir", *place, graph.graph, graph.outcome, graph.differing, graph.outputs, None)
    for entry in matrix.entries:
        for backend, why in matrix.unmeasured.items():
            yield ("unmeasured", entry.framework, entry.version, backend, "", why, None, None, None)
    for change in matrix.changes:
        for layer in change.layers:
            place = (change.after, change.after.partition("@")[2], "cpu")
            yield ("change", *place, layer.layer, str(layer.difference), None, None, None)


def data(matrix: Matrix) -> dict[str, Any]:
    """The findings as plain data."""
    return {
        "torch": version("torch").partition("+")[0],
        "rows": [dict(zip(COLUMNS, row, strict=True)) for row in rows(matrix)],
        "changes": [
            {
                "before": change.before,
                "after": change.after,
                "compared": change.compared,
                "new": list(change.new),
                "layers": [
                    {
                        "layer": one.layer,
                        "spikes": one.spikes,
                        "gradients": one.gradients,
                        "cause": _cause(one),
                    }
                    for one in change.layers
                ],
            }
            for change in matrix.changes
        ],
    }


def page(matrix: Matrix) -> str:
    """The Markdown page."""
    backends = ", ".join(dict.fromkeys(entry.backend for entry in matrix.entries))
    parts = [
        "# Conformance: frameworks, versions, backends",
        "## What this says",
        "\n".join(f"- {said}" for said in _says(matrix)),
        "## How it is made",
        _READING,
        f"torch {version('torch').partition('+')[0]}; backends: {backends}."
        + "".join(f" Not measured: {backend} ({why})." for backend, why in matrix.unmeasured.items()),
        "## Conformance with the oracle",
        _conformance(matrix.entries),
        *_reasons(matrix.entries),
        "## Own classes against their statements",
        "512 spikes of 4 neurons each, on random currents. A gradient error is relative to the largest gradient. Where "
        "a class differs, whoever takes the statement for the class gets other spikes or gradients.",
        *_stated(matrix.entries),
        "## Surrogates",
        "A surrogate stands for the derivative of a step that rises, so its slope should not be negative, nor zero at "
        "every distance from the threshold.",
        _surrogates(matrix.entries),
        "## Small NIR graphs",
        "Differing outputs of all, and the causes, each proved; [docs/nir.md](../docs/nir.md) explains the causes.",
        _graphs([entry for entry in matrix.entries if entry.graphs]),
        "## Changes between versions",
        "Spikes, and the sum of the magnitudes of the currents' gradients, of layers with their own surrogates, resets "
        "and defaults, on the same inputs.",
        *(_change(change) for change in matrix.changes),
    ]
    return "\n\n".join(parts) + "\n"


def _says(matrix: Matrix) -> Iterator[str]:
    yield f"{badge(matrix)['message']}, where frameworks compute the neuron spec with the spike that they are given."
    for entry in matrix.entries:
        names = [f"`{one.name}`" for one in entry.stated if not one.holds and not one.raised]
        if names:
            yield f"{_name(entry)}: {', '.join(names)} {'does' if len(names) == 1 else 'do'} not do what is stated."
    for change in matrix.changes:
        yield f"{change.before} to {change.after}: {len(change.layers)} of {change.compared} layers of its own changed."


def _table(rows_: Iterable[dict[str, Any]]) -> str:
    return pd.DataFrame(list(rows_)).to_markdown(index=False, disable_numparse=True)


def _name(entry: Entry) -> str:
    where = "" if entry.backend == "cpu" else f" on {entry.backend}"
    return f"{entry_name(entry.framework)} {entry.version}{where}"


def _conformance(entries: tuple[Entry, ...]) -> str:
    def line(entry: Entry) -> dict[str, Any]:
        compared, differing = _counts(entry)
        ran = [row for row in entry.conformance if row.results]
        errors = [
            f"{max((row.gradient_error(dtype) for row in ran), default=0.0):.1e}" if ran else "-"
            for dtype in ("float32", "float64")
        ]
        routes = dict.fromkeys(route for row in entry.conformance for route in row.routes)
        return {
            "framework": _name(entry),
            "backend": entry.backend,
            "specs": sum(row.specs for row in entry.conformance),
            "unsupported": sum(len(row.unsupported) for row in entry.conformance),
            "spikes compared": f"{compared:,}",
            "differing": differing,
            "gradient error float32": errors[0],
            "float64": errors[1],
            "routes": ", ".join(sorted(routes)) or "-",
            "verdict": {True: "ok", False: "FAILED", None: "unsupported"}[_passed(entry)],
        }

    return _table(map(line, entries))


def _reasons(entries: tuple[Entry, ...]) -> Iterator[str]:
    for entry in entries:
        for reason in dict.fromkeys(reason for row in entry.conformance for reason in row.unsupported):
            yield f"{_name(entry)}: {reason}."


def _stated(entries: tuple[Entry, ...]) -> Iterator[str]:
    for framework in dict.fromkeys(entry_name(entry.framework) for entry in entries):
        versions = [entry for entry in entries if entry_name(entry.framework) == framework and entry.stated]
        found = {_name(entry): {one.name: one for one in entry.stated} for entry in versions}
        names = {one.name: one.states for results in found.values() for one in results.values()}
        lines = [
            {f"class of {framework}": f"`{name}`", "states": states.replace("|", "\\|")}
            | {version: _outcome(results[name]) for version, results in found.items()}
            for name, states in names.items()
        ]
        if lines:
            yield _table(lines)


def _outcome(result: StatedResult) -> str:
    if result.raised:
        return f"raises {result.raised.partition(':')[0]}"
    if result.holds:
        return "exact" if result.gradient_error is not None else "exact spikes"
    parts = [f"{result.differing} of {result.compared} spikes"] if result.differing else []
    if result.gradient_error is not None:
        parts.append(f"gradient {result.gradient_error:.2g}")
    return f"**differs**: {', '.join(parts)}"


def _surrogates(entries: tuple[Entry, ...]) -> str:
    lines = [
        {"framework": _name(entry), "layer": f"`{one.layer}`", "slope": one.finding.replace("|", "\\|")}
        for entry in entries
        for one in entry.surrogates
    ]
    return _table(lines) if lines else "All are as they should be."


def _graphs(entries: list[Entry]) -> str:
    found = {_name(entry): {graph.graph: graph for graph in entry.graphs} for entry in entries}
    names = dict.fromkeys(graph.graph for entry in entries for graph in entry.graphs)
    return _table({"graph": name} | {title: _graph(graphs[name]) for title, graphs in found.items()} for name in names)


def _graph(graph: Graph) -> str:
    return graph.outcome if not graph.differing else f"{graph.differing} of {graph.outputs}: {graph.outcome}"


def _change(change: Change) -> str:
    counts = f"{change.compared} layers that both have; {len(change.layers)} changed."
    head = f"### {change.before} to {change.after}\n\n{counts}"
    new = f" New or no longer raising: {', '.join(f'`{name}`' for name in change.new)}." if change.new else ""
    if not change.layers:
        return head + new
    return f"{head}{new}\n\n" + _table(
        {
            "layer": f"`{one.layer}`",
            "spikes": _both(one.spikes),
            "gradients": _both(one.gradients),
            "what": ", ".join(one.difference.what),
            "cause": _cause(one),
        }
        for one in change.layers
    )


def _cause(layer: Layer) -> str:
    return layer.difference.cause or "not isolated"


def _both(values: tuple[float, float]) -> str:
    before, after = (f"{value:,.4g}" for value in values)
    return before if before == after else f"{before} to {after}"
