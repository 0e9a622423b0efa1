"""Writes a comparison as text, Markdown, JSON, or annotations and a job summary for GitHub."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import MappingProxyType

from tabulate import tabulate

from spikemark.regression.compare import Comparison
from spikemark.regression.verdicts import Finding

MARK = "<!-- spikemark-compare -->"
"""First line of the Markdown: a workflow finds its own comment by it and updates that one."""

JSON_SCHEMA = 1
_COLUMNS = ("verdict", "benchmark", "metric", "change", "95 % interval", "base", "head", "note")


def verdict_line(comparison: Comparison) -> str:
    """One line: what a reader must know first."""
    counts: dict[str, int] = {}
    for finding in comparison.findings:
        counts[finding.verdict] = counts.get(finding.verdict, 0) + 1
    parts = [f"{count} {word}" for word, count in sorted(counts.items())]
    for word, names in (
        ("newly failed", comparison.newly_failed),
        ("missing", comparison.missing),
        ("new", comparison.new),
    ):
        if names:
            parts.append(f"{len(names)} {word}")
    lacking = comparison.missing if comparison.missing_fails else []
    found = len(comparison.regressions) + len(comparison.newly_failed) + len(lacking)
    outcome = "no regression" if comparison.passed else f"REGRESSION ({found})"
    return f"{outcome}: {comparison.head} against {comparison.base}: {', '.join(parts)}"


def as_text(comparison: Comparison) -> str:
    """For a terminal."""
    table = tabulate([_row(f) for f in comparison.findings], headers=_COLUMNS, disable_numparse=True)
    return "\n".join([table, "", *_lists(comparison), verdict_line(comparison)])


def as_markdown(comparison: Comparison) -> str:
    """For a pull request's comment or a job's summary: what changed in sight, what did not folded away."""
    changed = [f for f in comparison.findings if f.verdict != "same"]
    same = [f for f in comparison.findings if f.verdict == "same"]
    lines = [MARK, f"### Spikemark: {verdict_line(comparison)}", ""]
    if changed:
        lines += [_markdown_table(changed), ""]
    if same:
        title = f"{len(same)} the same"
        lines += [f"<details><summary>{title}</summary>", "", _markdown_table(same), "", "</details>", ""]
    lines += [f"- {line}" for line in _lists(comparison)]
    limits = comparison.limits
    lines += [
        "",
        f"Passes: {limits.threshold:.3g} more time or memory, {limits.margin:.3g} of accuracy, "
        f"{limits.instructions:.3g} more instructions (fractions); everything deterministic must stay equal.",
    ]
    return "\n".join(lines) + "\n"


def as_json(comparison: Comparison) -> str:
    """For programs; numbers that do not exist are null."""
    data = (
        {"schema_version": JSON_SCHEMA}
        | asdict(comparison)
        | {"passed": comparison.passed, "verdict": verdict_line(comparison)}
    )
    data["newly_failed"] = comparison.newly_failed
    return json.dumps(_finite(data), indent=1) + "\n"


def as_github(comparison: Comparison) -> str:
    """Workflow commands, which GitHub shows as annotations of the run, and the verdict."""
    lines = [
        _annotation("error", f.benchmark, f"{f.label} is {f.verdict}: {_change(f)} {_interval(f)}")
        for f in comparison.regressions
    ]
    lines += [_annotation("error", name, f"fails now: {why}") for name, why in comparison.newly_failed.items()]
    lines += [_annotation("warning", "missing", name) for name in comparison.missing]
    lines += [_annotation("notice", "", line) for line in comparison.warnings]
    return "\n".join([*lines, verdict_line(comparison)])


RENDERERS: Mapping[str, Callable[[Comparison], str]] = MappingProxyType(
    {"text": as_text, "markdown": as_markdown, "json": as_json, "github": as_github}
)


def _row(finding: Finding) -> list[str]:
    verdict = finding.verdict.upper() if finding.regression else finding.verdict
    values = [f"{value:.6g} {finding.unit}".strip() for value in (finding.base, finding.head)]
    return [verdict, finding.benchmark, finding.label, _change(finding), _interval(finding), *values, _note(finding)]


def _change(finding: Finding) -> str:
    if math.isinf(finding.change):
        return f"{finding.head - finding.base:+.6g}"
    if finding.kind == "score":
        return f"{100 * finding.change:+.2f} points"
    small = 0 < abs(finding.change) < 5e-5
    return f"{100 * finding.change:+.1e} %" if small else f"{100 * finding.change:+.2f} %"


def _interval(finding: Finding) -> str:
    if finding.kind == "exact":
        return "exact"
    if math.isnan(finding.low):
        return "none"
    return f"{100 * finding.low:+.2f} .. {100 * finding.high:+.2f}"


def _note(finding: Finding) -> str:
    parts = [finding.note] if finding.note else []
    if not math.isnan(finding.detectable):
        unit = "points" if finding.kind == "score" else "%"
        parts.append(f"could have seen {100 * finding.detectable:.2g} {unit}")
    return "; ".join(parts)


def _lists(comparison: Comparison) -> list[str]:
    lines = [f"failed: {name}: {why}" for name, why in comparison.newly_failed.items()]
    lines += [f"failed on both sides: {name}" for name in comparison.failed if name in comparison.failed_before]
    lines += [f"works again: {name}" for name in comparison.failed_before if name not in comparison.failed]
    lines += [f"missing in HEAD: {name}" for name in comparison.missing]
    lines += [f"new in HEAD: {name}" for name in comparison.new]
    return lines + [f"note: {line}" for line in comparison.warnings]


def _markdown_table(findings: list[Finding]) -> str:
    rows = [[text.replace("|", "\\|") for text in _row(finding)] for finding in findings]
    table: str = tabulate(rows, headers=_COLUMNS, tablefmt="github", disable_numparse=True)
    return table


def _annotation(level: str, about: str, message: str) -> str:
    """A workflow command. GitHub decodes colons and commas in its title alone, the other characters everywhere."""
    title = _escape(f"Spikemark: {about}" if about else "Spikemark").replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={title}::{_escape(message)}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _finite(data: object) -> object:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
