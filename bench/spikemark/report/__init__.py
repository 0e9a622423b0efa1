"""Reports: what a folder of records says, as Markdown, CSV, figures and one HTML page.

Rendered from the records alone, so the same records give the same bytes: no clock, no paths, no settings of a machine.
"""

from __future__ import annotations

from pathlib import Path

from spikemark.report.accuracy import accuracy_section
from spikemark.report.cells import Cells, axis
from spikemark.report.claims import SUITE as CLAIMS_SUITE
from spikemark.report.claims import claims_sections
from spikemark.report.corruption import corruption_section
from spikemark.report.energy import energy_section
from spikemark.report.layers import layers_section
from spikemark.report.markdown import markdown
from spikemark.report.model import Section, slug
from spikemark.report.page import page
from spikemark.report.provenance import environment_section, fairness_section, problems_section
from spikemark.report.robustness import robustness_section
from spikemark.report.semantics import conformance_section, routes_section
from spikemark.report.summary import counts, csv, summary
from spikemark.report.throughput import throughput_section
from spikemark.suites.records import Record, ResultsError, load_records, write_atomically

__all__ = ["write_report"]


def write_report(results: Path, out: Path) -> list[Path]:
    """Render every suite in a results folder.

    Args:
        results: a folder with the records of one suite, or with a folder for each suite.
        out: where NAME.md, NAME.csv, NAME.html and the figures NAME-*.svg are written, NAME being the suite's.

    Returns:
        The files written, sorted.

    Raises:
        ResultsError: nothing there, something that is no record, or two suites of one name.
        OSError: `out` cannot be written.
    """
    texts: dict[str, str] = {}
    for suite, records in _suites(results).items():
        texts |= _render(suite, Cells.of(records))
    # Everything is rendered before anything is written, so that an error leaves the old reports whole.
    for name, text in texts.items():
        write_atomically(out / name, text)
    return sorted(out / name for name in texts)


def _suites(results: Path) -> dict[str, list[Record]]:
    """The records of each suite. A suite lives in one folder; two folders with one name would mix two runs."""
    folders = [results]
    if results.is_dir() and not any(results.glob("*.json")):
        folders = sorted(folder for folder in results.iterdir() if any(folder.rglob("*.json"))) or [results]
    suites: dict[str, list[Record]] = {}
    homes: dict[str, Path] = {}
    for folder in folders:
        for record in load_records(folder):
            suite = record["suite"]
            home = homes.setdefault(slug(suite), folder)
            if home != folder:
                raise ResultsError(f"{home} and {folder} both hold a suite {suite!r}; report one folder at a time")
            suites.setdefault(suite, []).append(record)
    if len({slug(suite) for suite in suites}) < len(suites):
        raise ResultsError(
            f"{results} holds suites whose names differ too little for files: {', '.join(sorted(suites))}"
        )
    return dict(sorted(suites.items()))


def _render(suite: str, cells: Cells) -> dict[str, str]:
    """Name and text of every file of a suite's report."""
    sections = _sections(suite, cells)
    title, abstract, name = f"Spikemark: {suite}", _abstract(cells), slug(suite)
    files = {
        f"{name}.md": markdown(title, abstract, sections, name),
        f"{name}.csv": csv(summary(suite, cells)),
        f"{name}.html": page(title, abstract, sections),
    }
    return files | {f"{name}-{figure.name}.svg": figure.svg for section in sections for figure in section.figures}


def _sections(suite: str, cells: Cells) -> list[Section]:
    """All sections in their order; those of a measure only where it was to be taken."""
    measured = [
        accuracy_section(cells),
        robustness_section(cells),
        corruption_section(cells),
        energy_section(cells),
        throughput_section(cells),
        layers_section(cells),
        conformance_section(cells),
    ]
    if suite == CLAIMS_SUITE:
        # The ledger's cells differ in their settings from claim to claim: rankings of all of them would mean nothing.
        measured = claims_sections(cells)
    always = [routes_section(cells), fairness_section(cells), problems_section(cells), environment_section(cells)]
    return [section for section in measured if section.tables] + always


def _abstract(cells: Cells) -> str:
    """What was run: axes and counts."""
    total = ", ".join(f"{count} {word}" for word, count in counts(cells).items())
    sentences = [f"{len(cells)} cells ({total})."]
    # Cells of layers name an axis and a neuron where others name a data set and a system.
    layers = cells.where(measure="layers")
    others = [record for record in cells if axis(record, "measure") != "layers"]
    trained = [record for record in others if axis(record, "measure") == "train"] or others
    parts = []
    for name, plural in (
        ("dataset", "data sets"),
        ("framework", "frameworks"),
        ("system", "systems"),
        ("seed", "seeds"),
    ):
        values = list(dict.fromkeys(axis(record, name) for record in trained))
        parts.append(f"{plural}: {', '.join(values)}")
    if trained:
        sentences.append(f"{'; '.join(parts).capitalize()}.")
    if layers.records:
        alone = [", ".join(name for (name,) in layers.names(of)) for of in ("framework", "neuron", "dataset")]
        sentences.append("Single layers: frameworks: {}; neurons: {}; axes: {}.".format(*alone))
    return " ".join(sentences)
