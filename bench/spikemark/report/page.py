"""A report as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

from collections.abc import Sequence

from jinja2 import Environment, PackageLoader, StrictUndefined
from plotly.offline import get_plotlyjs

from spikemark.report.model import Section


def page(title: str, summary: str, sections: Sequence[Section]) -> str:
    """The page's text; everything that comes from records is escaped.

    Args:
        title: of the report.
        summary: a paragraph.
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
        title=title, summary=summary, sections=sections, charts=charts, plotly=get_plotlyjs() if charts else ""
    )
