"""A static site over all suites of some results: a landing page with the leaderboard, and a page per suite.

It opens from disk without a network; all pages share one plotting bundle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spikemark.core.files import sweep, write_files
from spikemark.errors import InputError
from spikemark.report import abstract_of, sections_of, suites_of
from spikemark.report.cells import Cells
from spikemark.report.findings import cards, findings
from spikemark.report.formats import ASSETS, asset, landing, page
from spikemark.report.leaderboard import boards
from spikemark.report.model import slug
from spikemark.report.summary import csv, summary
from spikemark.suites.records import Record
from spikemark.suites.suite import load_suite


def write_site(results: Path | list[Record], out: Path) -> list[Path]:
    """Render all suites in some results as one site.

    Args:
        results: see `spikemark.report.write_report`.
        out: where ``index.html``, a page and a CSV file per suite, and ``assets`` are written.

    Returns:
        The files written, sorted.

    Raises:
        ResultsError: there are no records, or one cannot be used.
        OSError: `out` cannot be written.
    """
    suites = {suite: Cells.of(records) for suite, records in suites_of(results).items()}
    texts: dict[str, str] = {f"assets/{name}": asset(name) for name in ASSETS}
    # The suites that were measured most answer first.
    found = {suite: findings(suites[suite]) for suite in sorted(suites, key=lambda suite: -len(suites[suite]))}
    for suite, cells in suites.items():
        title, name = f"Spikemark: {suite}", slug(suite)
        texts[f"{name}.html"] = page(title, abstract_of(cells), found[suite], sections_of(cells), linked=True)
        texts[f"{name}.csv"] = csv(summary(suite, cells))
    every = [board for suite, cells in suites.items() for board in boards(suite, cells)]
    texts["index.html"] = landing(cards(found), every, [_about(suite, cells) for suite, cells in suites.items()])
    files = {out / name: text for name, text in texts.items()}
    sweep(out)
    write_files(files)
    return sorted(files)


def _about(suite: str, cells: Cells) -> dict[str, Any]:
    try:
        description = load_suite(suite).description
    except InputError:  # a suite of somebody's own, whose file is not at hand
        description = ""
    return {"name": suite, "page": slug(suite), "cells": len(cells), "description": description}
