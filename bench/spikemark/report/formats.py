"""A report as Markdown, for repositories and READMEs; and as one HTML page that needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from jinja2.utils import htmlsafe_json_dumps
from markupsafe import Markup

from spikemark.report.findings import Card, Finding
from spikemark.report.leaderboard import LESS_IS_BETTER, PRIORITIES, Board
from spikemark.report.meanings import Explained, meaning
from spikemark.report.model import Entry, Section, Table

PLOTLY, TABLES = "plotly-cartesian.min.js", "dataTables.min.js"
"""plotly.js 3.1.0, the bundle of cartesian charts, and DataTables 3.1.5, both under the MIT licence."""
ASSETS = (PLOTLY, TABLES)


def markdown(
    title: str, summary: str, findings: Sequence[Finding], sections: Sequence[Section], figure_name: str
) -> str:
    """The report's text.

    Args:
        title: of the report.
        summary: what was run.
        findings: what it says, the first thing that is read.
        sections: in order.
        figure_name: what the names of its figures' files begin with.
    """
    parts = [f"# {plain(title)}"]
    if findings:
        parts.append("## What this says")
        parts.append("\n".join(f"- [{plain(f.topic)}](#{f.anchor}): {plain(f.sentence)}" for f in findings))
    parts += ["<details>", "<summary>What was run</summary>", plain(summary), "</details>"]
    for section in sections:
        parts.append(f"## {plain(section.title)}")
        if section.alarm:
            parts.append(f"> **Warning: {plain(section.alarm)}**")
        if section.outcome:
            parts.append(plain(section.outcome))
        if section.reading:
            parts += ["<details>", "<summary>How to read this</summary>", plain(section.reading), "</details>"]
        parts += [f"![{plain(figure.title)}]({figure_name}-{figure.name}.svg)" for figure in section.figures]
        for table in section.tables:
            parts += _table(table)
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> list[str]:
    body = _grid(table)
    note = [plain(table.note)] if table.note else []
    if table.collapsed:
        return ["<details>", f"<summary>{plain(table.title)}</summary>", body, *note, "</details>"]
    return [f"### {plain(table.title)}", body, *note]


def _grid(table: Table) -> str:
    # Headings may repeat ("p" twice), which pandas and tabulate both allow.
    columns = pd.Index([plain(column) for column in table.columns])
    frame = pd.DataFrame([[_entry(entry) for entry in row] for row in table.rows], columns=columns, dtype=str)
    alignment = ["left"] * table.labels + ["right"] * (len(table.columns) - table.labels)
    return frame.to_markdown(index=False, tablefmt="pipe", disable_numparse=True, colalign=alignment)


def _entry(entry: Entry) -> str:
    text = plain(entry.text)
    if not entry.strong:
        return text
    value, separator, rest = text.partition(" ")
    return f"**{value}**{separator}{rest}"


def plain(text: str) -> str:
    """Text without meaning to Markdown or HTML: what records hold is shown, never obeyed."""
    shown = escape(" ".join(text.split()), quote=False)
    for character in "\\`*":
        shown = shown.replace(character, f"\\{character}")
    return shown.replace("](", "]\\(").replace("|", "&#124;")  # tables split at pipes even where they are escaped


def page(
    title: str, summary: str, findings: Sequence[Finding], sections: Sequence[Section], *, linked: bool = False
) -> str:
    """The page's text; everything that comes from records is escaped.

    Args:
        title: of the report.
        summary: what was run.
        findings: what it says, the first thing that is read.
        sections: in order.
        linked: whether it lies in a site, whose pages share `ASSETS`; else it needs nothing but itself.
    """
    return _rendered(
        "page.html.jinja",
        title=title,
        summary=summary,
        findings=findings,
        sections=sections,
        charts=any(section.charts for section in sections),
        linked=linked,
        libraries={name: "" if linked else asset(name) for name in ASSETS},
    )


def landing(
    cards: Sequence[Card],
    boards: Sequence[Board],
    claims: Mapping[str, Any] | None,
    checks: Sequence[Section],
    suites: Sequence[Mapping[str, Any]],
    trust: Sequence[str],
    submitted: Section,
) -> str:
    """The landing page of a site.

    Args:
        cards: what was found, a question each.
        boards: the leaderboard, a table per group; the firmest first.
        claims: counts of verdicts, a table of claims, and the page with their contrasts; None without any.
        checks: what was compared with an oracle.
        suites: name, counts and description of every suite.
        trust: sentences on why the numbers may be trusted.
        submitted: what others handed in.
    """
    return _rendered(
        "landing.html.jinja",
        cards=cards,
        boards=boards,
        claims=claims,
        checks=checks,
        suites=suites,
        trust=trust,
        submitted=submitted,
        priorities=PRIORITIES,
        less=LESS_IS_BETTER,
    )


def asset(name: str) -> str:
    """The text of a library that pages use."""
    return resources.files("spikemark.report").joinpath("assets", name).read_text(encoding="utf-8")


def _rendered(template: str, **values: Any) -> str:
    environment = Environment(
        loader=PackageLoader("spikemark.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    explained = Explained()
    environment.filters |= {"compact": _compact, "meaning": meaning, "explained": explained.mark}
    environment.globals["terms"] = explained.met
    return environment.get_template(template).render(values)


def _compact(data: Any) -> Markup:
    """JSON inside HTML, with as many digits as a screen shows."""
    return htmlsafe_json_dumps(_rounded(data), separators=(",", ":"), sort_keys=True)


def _rounded(data: Any) -> Any:
    if isinstance(data, float):
        return float(f"{data:.5g}") if math.isfinite(data) else None
    if isinstance(data, Mapping):
        return {key: _rounded(value) for key, value in data.items()}
    return [_rounded(value) for value in data] if isinstance(data, list | tuple) else data
