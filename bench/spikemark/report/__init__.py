"""Reports: what records say, as Markdown, CSV, figures and one HTML page.

Rendered from the records alone, so the same records give the same bytes: no clock, no paths, no settings of a machine.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spikemark.core.files import sweep, write_files
from spikemark.errors import InputError
from spikemark.measures.measure import MEASURES
from spikemark.registry import imported
from spikemark.report.cells import Cells, axis
from spikemark.report.claims import claims_sections
from spikemark.report.findings import findings
from spikemark.report.formats import markdown, page
from spikemark.report.generic import generic_section
from spikemark.report.model import DASH, Section, slug
from spikemark.report.native import native_sections
from spikemark.report.provenance import environment_section, fairness_section, problems_section
from spikemark.report.semantics import routes_section
from spikemark.report.summary import counts, csv, summary
from spikemark.suites.reading import SUFFIX, Remarks, ResultsError, result_files
from spikemark.suites.records import Record, iter_records

__all__ = ["write_report"]


def write_report(results: Path | list[Record], out: Path) -> list[Path]:
    """Render every suite in some results.

    Args:
        results: records; or a folder or packed file with those of one suite, or a folder with one of these per suite.
        out: where NAME.md, NAME.csv, NAME.html and the figures NAME-*.svg are written, NAME being the suite's.

    Returns:
        The files written, sorted.

    Raises:
        ResultsError: nothing there, a record that cannot be used, or two suites of one name.
        InputError: a measure's section cannot be found.
        OSError: `out` cannot be written.
    """
    texts: dict[str, str] = {}
    for suite, records in suites_of(results).items():
        texts |= _render(suite, Cells.of(records))
    # Everything is rendered before anything is written, so that an error leaves the old reports whole.
    files = {out / name: text for name, text in texts.items()}
    sweep(out)
    write_files(files)
    return sorted(files)


def suites_of(results: Path | list[Record]) -> dict[str, list[Record]]:
    """The records of each suite. A suite lives in one folder or file; two with one name would mix two runs."""
    suites: dict[str, list[Record]] = {}
    homes: dict[str, Path] = {}
    homed = (
        [(Path(), results)]
        if isinstance(results, list)
        else [(home, list(iter_records(home))) for home in _homes(results)]
    )
    for folder, records in homed:
        for record in records:
            suite = record["suite"]
            home = homes.setdefault(slug(suite), folder)
            if home != folder:
                raise ResultsError(f"{home} and {folder} both hold a suite {suite!r}; report one of them at a time")
            suites.setdefault(suite, []).append(record)
    if not suites:
        where = "there are" if isinstance(results, list) else f"{results} holds"
        raise ResultsError(f"{where} no records to report; run a suite with --out FOLDER first")
    if len({slug(suite) for suite in suites}) < len(suites):
        raise ResultsError(f"suites whose names differ too little for files: {', '.join(sorted(suites))}")
    return dict(sorted(suites.items()))


def _homes(results: Path) -> list[Path]:
    """The folder itself where records lie in it; else the folders and packed files in it that may hold some."""
    files = result_files(results, Remarks())
    if not results.is_dir() or any(file.parent == results and file.suffix == SUFFIX for file in files):
        return [results]
    return sorted({results / file.relative_to(results).parts[0] for file in files})


def _render(suite: str, cells: Cells) -> dict[str, str]:
    """Name and text of every file of a suite's report."""
    sections = sections_of(cells)
    name, found = slug(suite), findings(cells)
    title, abstract = f"Spikemark: {suite}", abstract_of(cells)
    files = {
        f"{name}.md": markdown(title, abstract, found, sections, name),
        f"{name}.csv": csv(summary(suite, cells)),
        f"{name}.html": page(title, abstract, found, sections),
    }
    return files | {f"{name}-{figure.name}.svg": figure.svg for section in sections for figure in section.figures}


def sections_of(cells: Cells) -> list[Section]:
    """Claims that the records can test, what was measured, and whether the numbers may be trusted."""
    measured = [section for name in _measures(cells) for section in _of_measure(name, cells)]
    always = [routes_section(cells), fairness_section(cells), problems_section(cells), environment_section(cells)]
    return [
        *claims_sections(cells),
        *native_sections(cells),
        *(section for section in measured if section.tables),
        *always,
    ]


def _measures(cells: Cells) -> list[str]:
    """Those in the records: in the order of registration, then those that are not registered any more."""
    found = {name for (name,) in cells.names("measure")}
    return [*(name for name in MEASURES if name in found), *sorted(found - set(MEASURES))]


def _of_measure(name: str, cells: Cells) -> Iterator[Section]:
    kind = MEASURES.get(name)
    section: Any = getattr(kind, "section", None)
    if section is None:
        yield generic_section(name, kind, cells)
        return
    if isinstance(section, str):
        try:
            section = imported(section)
        except (ImportError, AttributeError) as error:
            raise InputError(f"measure {name}: section {section!r} cannot be found ({error})") from None
    made = section(cells)
    for one in made if isinstance(made, list) else [made]:
        if not isinstance(one, Section):
            raise InputError(f"measure {name}: its section gave a {type(one).__name__}; expected a Section")
        yield one


def abstract_of(cells: Cells) -> str:
    """What was run: axes and counts."""
    total = ", ".join(f"{count} {word}" for word, count in counts(cells).items())
    sentences = [f"{len(cells)} cells ({total})."]
    # Cells of single layers have a neuron where others have a system and a data set.
    layers = [record for record in cells if axis(record, "subject") == "neuron"]
    others = [record for record in cells if axis(record, "subject") != "neuron"]
    trained = [record for record in others if axis(record, "subject") == "system"] or others
    names = {"dataset": "data sets", "framework": "frameworks", "system": "systems", "seed": "seeds"}
    if trained:
        sentences.append(f"{_values(trained, names).capitalize()}.")
    if layers:
        names = {"framework": "frameworks", "neuron": "neurons", "axis": "axes"}
        sentences.append(f"Single layers: {_values(layers, names)}.")
    return " ".join(sentences)


def _values(records: list[Record], names: dict[str, str]) -> str:
    found = {plural: dict.fromkeys(axis(record, name) for record in records) for name, plural in names.items()}
    return "; ".join(
        f"{plural}: {', '.join(v for v in values if v != DASH)}"
        for plural, values in found.items()
        if set(values) != {DASH}
    )
