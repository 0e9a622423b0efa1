"""Checks of NIR graphs as a table and as sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pandas as pd

from spikemark.models.nir_causes import CAUSES, OTHER_CAUSES
from spikemark.models.nir_check import FrameworkCheck, GraphCheck

COLUMNS = (
    "graph", "framework", "node", "kind", "spikes in NIR", "spikes", "differing", "of", "first step",
    "differing on its own inputs", "causes",
)  # fmt: skip


def table(checks: Iterable[GraphCheck]) -> pd.DataFrame:
    """One row per node of a graph and framework, and one for a framework that refuses the graph."""
    rows = [row for check in checks for framework in check.frameworks for row in _rows(check.name, framework)]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(graph: str, check: FrameworkCheck) -> Iterator[tuple[Any, ...]]:
    if check.refusal is not None:
        yield (graph, check.framework, *["-"] * 8, _refused(check))
        return
    for node in check.nodes:
        counts = ["-" if count is None else count for count in (node.expected, node.spikes)]
        first = "-" if node.first is None else node.first
        own = f"{node.own}" + (f" ({node.rounded} within rounding)" if node.rounded else "")
        causes = ", ".join(node.causes) or "none"
        yield (graph, check.framework, node.node, node.kind, *counts, node.differing, node.compared, first, own, causes)


def _refused(check: FrameworkCheck) -> str:
    way_out = f"; it takes it with {' and '.join(check.requires)}" if check.requires else ""
    return f"refused: {check.refusal}{way_out}"


def sentences(check: GraphCheck) -> list[str]:
    """What was found, one line per framework and one per cause."""
    lines = [f"no neuron of {', '.join(check.silent)} fires, so that little is compared"] if check.silent else []
    for framework in check.frameworks:
        lines += _sentences(framework)
    return lines


def _sentences(check: FrameworkCheck) -> Iterator[str]:
    name = check.framework
    if check.refusal is not None:
        yield f"{name}: {_refused(check)}"
    elif check.faithful:
        yield f"{name}: every node gives what NIR says"
    else:
        first = check.first
        where = f"; the first to differ is node {first.node} in step {first.first}" if first else ""
        yield (
            f"{name}: {check.differing:,} of {check.outputs:,} outputs differ{where}; where the equations have "
            f"the causes below, {check.unexplained:,} still do"
        )
        for cause in dict.fromkeys(cause for node in check.nodes for cause in node.causes):
            nodes = [node.node for node in check.nodes if cause in node.causes]
            yield f"{name}: {cause} (node {', '.join(nodes)}): it {told(cause)}"


def told(cause: str) -> str:
    """What an importer with a cause does; of several that would each do, all."""
    texts = {**{name: text for name, (text, _) in CAUSES.items()}, **OTHER_CAUSES}
    return ", or ".join(" and ".join(texts[name] for name in way.split(" + ")) for way in cause.split(" or "))
