"""A static site over all suites of some results: a landing page with the leaderboard, and a page per suite.

It opens from disk without a network; all pages share one plotting bundle and one table library.
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from spikemark.core.files import sweep, write_files
from spikemark.errors import InputError
from spikemark.report import abstract_of, sections_of, suites_of
from spikemark.report.cells import Cells
from spikemark.report.claims import claims_table, judged_claims
from spikemark.report.findings import Finding, cards, findings
from spikemark.report.formats import ASSETS, asset, landing, page
from spikemark.report.leaderboard import boards
from spikemark.report.model import ABSENT, Entry, Section, Table, number, slug
from spikemark.report.submitted import HandedIn, joined, read_submissions
from spikemark.report.summary import csv, summary
from spikemark.suites.records import Record
from spikemark.suites.suite import load_suite

NIR, GATE = "nir.csv", "regression-power.csv"
"""Tables that may lie beside records: what frameworks make of NIR graphs, and how often regression gates are wrong."""


def write_site(results: Path | list[Record], out: Path, submitted: Path | None = None) -> list[Path]:
    """Render all suites in some results as one site.

    Args:
        results: see `spikemark.report.write_report`.
        out: where ``index.html``, a page and a zipped CSV file per suite, a page per submission, and ``assets`` are
            written.
        submitted: folder of submissions, whose systems join the leaderboard with their tier; none when None.

    Returns:
        The files written, sorted.

    Raises:
        ResultsError: there are no records, or one cannot be used.
        InputError: a submission is not whole.
        OSError: `out` cannot be written.
    """
    suites = {suite: Cells.of(records) for suite, records in suites_of(results).items()}
    handed_in = list(read_submissions(submitted)) if submitted is not None else []
    texts: dict[str, str | bytes] = {f"assets/{name}": asset(name) for name in ASSETS}
    # The suites that were measured most answer first.
    found = {suite: findings(suites[suite]) for suite in sorted(suites, key=lambda suite: -len(suites[suite]))}
    for suite, cells in suites.items():
        title, name = f"Spikemark: {suite}", slug(suite)
        texts[f"{name}.html"] = page(title, abstract_of(cells), found[suite], sections_of(cells), linked=True)
        texts[f"{name}.csv.zip"] = _zipped(f"{name}.csv", csv(summary(suite, cells)))
    for one in handed_in:
        cells, title = Cells.of(one.records), f"{one.about.name}: handed in, {one.about.tier}"
        texts[f"{one.page}.html"] = page(title, abstract_of(cells), findings(cells), sections_of(cells), linked=True)
    every = [board for suite, cells, homes in joined(suites, handed_in) for board in boards(suite, cells, homes)]
    texts["index.html"] = landing(
        list(cards(found).values()),
        sorted(every, key=lambda board: board.firmness, reverse=True),
        _claims(suites),
        [section for section in (_conformance(suites), _nir(results)) if section.tables],
        [_about(suite, cells) for suite, cells in suites.items()],
        _trust(found, results),
        _submitted(handed_in),
    )
    files = {out / name: text for name, text in texts.items()}
    sweep(out)
    write_files(files)
    return sorted(files)


def _zipped(name: str, text: str) -> bytes:
    """A file in an archive, the same bytes each time: without a time of its own."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _submitted(handed_in: Sequence[HandedIn]) -> Section:
    """Every submission with its tier and who has reproduced it."""
    rows = []
    for one in handed_in:
        about = one.about
        by = ", ".join(f"{again.by} ({again.jobs} jobs)" for again in about.reproductions)
        rows.append(
            (
                Entry(about.name, link=f"{one.page}.html"),
                Entry(about.tier),
                Entry(by) if by else ABSENT,
                Entry(", ".join(about.suites)),
                Entry(about.source, link=about.source if about.source.startswith("https://") else ""),
                Entry(about.revision),
            )
        )
    outcome = (
        "Reported: the authors measured it. Reproduced by others: somebody else got the same. Reproduced here: this "
        "project got the same."
    )
    columns = ("name", "tier", "reproduced by", "suites", "source", "revision")
    tables = [Table("Submissions", columns, tuple(rows), len(columns))] if rows else []
    return Section("Handed in by others", "", tables, outcome=outcome)


def _about(suite: str, cells: Cells) -> dict[str, Any]:
    try:
        description = load_suite(suite).description
    except InputError:  # a suite of somebody's own, whose file is not at hand
        description = ""
    minutes = sum(record["seconds"] for record in cells) / 60
    took = f"{number(minutes / 60, 1)} hours" if minutes >= 60 else f"{number(minutes, 0)} minutes"
    return {"name": suite, "page": slug(suite), "cells": len(cells), "description": description, "took": took}


def _claims(suites: Mapping[str, Cells]) -> dict[str, Any] | None:
    """Of the suite that judges most of them."""
    judged = {suite: judged_claims(cells) for suite, cells in suites.items()}
    suite = max(judged, key=lambda name: len(judged[name]))
    if not judged[suite]:
        return None
    counts = dict(sorted(Counter(verdict for verdict, _ in judged[suite].values()).items()))
    return {"counts": counts, "table": claims_table(suites[suite]), "page": slug(suite)}


def _conformance(suites: Mapping[str, Cells]) -> Section:
    """Spikes that were compared with the oracle's, and those that differ, over all suites; each job once."""
    records = {r["key"]: r for cells in suites.values() for r in cells.where(measure="conformance").ok}
    checked = Cells(tuple(records.values()))
    rows = []
    for framework, version in checked.names("framework", "framework_version"):
        own = checked.where(framework=framework, framework_version=version)
        differing, compared, ties = (
            sum(row["value"] for record in own for row in record["measurements"] if row["metric"] == metric)
            for metric in ("differing_spikes", "compared_spikes", "spikes_at_threshold")
        )
        neurons = ", ".join(name for (name,) in own.names("neuron"))
        counts = [Entry(number(value, 0), value) for value in (compared, ties, differing)]
        rows.append((Entry(framework), Entry(version), Entry(neurons), *counts))
    outcome = "Spikes of every framework's matched layers, compared one by one with a float64 oracle."
    columns = ("framework", "version", "neurons", "compared spikes", "at the threshold", "differing spikes")
    table = Table("Spikes compared with the oracle's", columns, tuple(rows), 3)
    return Section("Conformance", "", [table] if rows else [], outcome=outcome)


def _nir(results: Path | list[Record]) -> Section:
    """Graphs of NIR on several frameworks: computed as NIR says, otherwise, or refused."""
    found = _beside(results, NIR)
    rows = []
    if found is not None:
        for framework, own in found.groupby("framework", sort=False):
            outcomes = Counter(_outcome(graph) for _, graph in own.groupby("graph", sort=False))
            causes = Counter(
                cause.strip()
                for text in own["causes"]
                if not text.startswith("refused")
                for cause in text.split(",")
                if cause.strip() not in ("none", "-")
            )
            common = ", ".join(f"{cause} ({count})" for cause, count in causes.most_common(4))
            counts = [
                Entry(str(outcomes[word]), float(outcomes[word])) for word in ("as NIR says", "otherwise", "refused")
            ]
            rows.append((Entry(str(framework)), Entry(common), *counts))
    outcome = "One graph, each framework's own importer, against NIR's equations in float64."
    columns = ("framework", "most frequent causes", "as NIR says", "otherwise", "refused")
    return Section("NIR", "", [Table("NIR graphs", columns, tuple(rows), 2)] if rows else [], outcome=outcome)


def _outcome(graph: pd.DataFrame) -> str:
    if graph["causes"].str.startswith("refused").any():
        return "refused"
    return "as NIR says" if (graph["differing"] == "0").all() else "otherwise"


def _trust(found: Mapping[str, Sequence[Finding]], results: Path | list[Record]) -> list[str]:
    lines = []
    for topic in ("Conformance", "Fairness"):
        told = [finding for findings in found.values() for finding in findings if finding.topic == topic]
        lines += [max(told, key=lambda finding: finding.weight).sentence] if told else []
    gate = _beside(results, GATE)
    if gate is not None:
        alarms = "; ".join(f"{row.rule} {row.false_alarms} %" for row in gate.itertuples())
        lines.append(f"False alarms of regression gates where nothing had changed: {alarms}.")
    return lines


def _beside(results: Path | list[Record], name: str) -> pd.DataFrame | None:
    """A table that lies beside the records, as text; None where there is none."""
    if isinstance(results, list) or not (results / name).is_file():
        return None
    return pd.read_csv(results / name, dtype=str, keep_default_na=False)
