"""A report as Markdown, for repositories and READMEs; and as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import pandas as pd
from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from spikemark.report.findings import Finding
from spikemark.report.model import Entry, Section, Table


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
        parts.append(plain(section.reading))
        for table in section.tables:
            parts += _table(table)
        parts += [f"![{plain(figure.title)}]({figure_name}-{figure.name}.svg)" for figure in section.figures]
    return "\n\n".join(parts) + "\n"


def _table(table: Table) -> list[str]:
    body = _grid(table)
    note = [plain(table.note)] if table.note else []
    if table.collapsed:
        return ["<details>", f"<summary>{plain(table.title)}</summary>", body, *note, "</details>"]
    return [f"### {plain(table.title)}", body, *note]


def _grid(table: Table) -> str:
    # Headings may repeat ("p" twice), which pandas and tabulate both allow.
    frame = pd.DataFrame([[_entry(entry) for entry in row] for row in table.rows], dtype=str)
    frame.columns = pd.Index([plain(column) for column in table.columns])
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


def page(title: str, summary: str, findings: Sequence[Finding], sections: Sequence[Section]) -> str:
    """The page's text; everything that comes from records is escaped.

    Args:
        title: of the report.
        summary: what was run.
        findings: what it says, the first thing that is read.
        sections: in order.
    """
    environment = Environment(
        loader=PackageLoader("spikemark.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    charts = [chart for section in sections for chart in section.charts]
    return environment.get_template("page.html.jinja").render(
        title=title,
        summary=summary,
        findings=findings,
        sections=sections,
        charts=charts,
        plotly=get_plotlyjs() if charts else "",
    )
