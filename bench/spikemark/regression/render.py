"""Writes a comparison as text, Markdown, JSON, JUnit XML, or annotations and a job summary for GitHub."""

from __future__ import annotations

import json
import math
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import MappingProxyType
from xml.etree import ElementTree

from tabulate import tabulate

from spikemark.regression.compare import Comparison
from spikemark.regression.verdicts import Finding

MARK = "<!-- spikemark-compare -->"
"""First line of the Markdown: a workflow finds its own comment by it and updates that one."""

LONGEST_COMMENT = 65_000
"""Characters of a comment; GitHub refuses more than 65,536."""

JSON_SCHEMA = 2
WIDTH = 100
_COLUMNS = ("verdict", "benchmark", "metric", "change", "95 % interval", "base", "head", "note")
_SCALES: Mapping[str, tuple[tuple[float, str], ...]] = MappingProxyType(
    {
        "s": ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")),
        "bytes": ((2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"), (1.0, "bytes")),
        "fraction": ((0.01, "%"),),
    }
)
# Of XML 1.0, what may not stand in a document however it is escaped.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def verdict_line(comparison: Comparison) -> str:
    """One line: what a reader must know first."""
    between = f"{comparison.head} against {comparison.base}"
    counts: dict[str, int] = {}
    for finding in comparison.findings:
        counts[finding.verdict] = counts.get(finding.verdict, 0) + 1
    parts = [f"{count} {word}" for word, count in sorted(counts.items())]
    for word, names in (
        ("newly failed", comparison.newly_failed),
        ("missing", comparison.missing),
        ("new", comparison.new),
        ("degenerate", comparison.degenerate),
    ):
        if names:
            parts.append(f"{len(names)} {word}")
    if comparison.identical:
        parts.insert(0, f"identical ({comparison.compared} numbers)" if comparison.compared else "identical files")
    found = len(comparison.regressions) + len(comparison.newly_failed)
    outcome = "no regression"
    if found:
        outcome = f"REGRESSION ({found})"
    elif not comparison.passed:
        outcome = f"FAILED ({', '.join(dict.fromkeys(line.partition(':')[0] for line in comparison.also_failing))})"
    return f"{outcome}: {between}: {', '.join(parts)}"


def changed(comparison: Comparison) -> list[Finding]:
    """What a reader must see: everything that is not the same, and predictions that changed."""
    return [f for f in comparison.findings if f.verdict != "same" or f.lost or f.won]


def as_text(comparison: Comparison, *, everything: bool = False) -> str:
    """For a terminal: the verdict first, then what changed, or everything; at most 100 columns."""
    shown = comparison.findings if everything else [f for f in changed(comparison) if not _silent(f)]
    lines = [verdict_line(comparison)]
    if shown:
        lines += ["", *_blocks(shown)]
    lines += [line for text in _lists(comparison) for line in _wrapped(text)]
    quiet = [f for f in comparison.findings if f not in shown]
    if quiet:
        undecided = sum(f.verdict == "undecided" for f in quiet)
        of_these = f", {undecided} of them undecided" if undecided else ""
        lines.append(f"{len(quiet)} more without a change{of_these} (--all shows them)")
    return "\n".join([*lines, *(line for text in advice(comparison) for line in _wrapped(text))])


def _silent(finding: Finding) -> bool:
    """Whether a finding says nothing but that it could not be told."""
    return finding.verdict == "undecided" and not (finding.lost or finding.won)


def _blocks(findings: list[Finding]) -> list[str]:
    """Two short lines for each: what became of which number; how much, and what else is known."""
    lines = []
    for finding in findings:
        verdict, change = _word(finding), _change(finding)
        interval = "" if math.isnan(finding.low) or finding.kind == "exact" else f" [{_interval(finding)}]"
        lines += _wrapped(f"{verdict:<10} {finding.benchmark}: {finding.label}")
        lines += _wrapped(f"{'':10} {change}{interval}   {_value(finding, 'base')} -> {_value(finding, 'head')}", 13)
        if note := _note(finding):
            lines += _wrapped(f"{'':10} {note}", 13)
    return lines


def _wrapped(text: str, indent: int = 4) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, subsequent_indent=" " * indent, drop_whitespace=True, replace_whitespace=False
    ) or [""]


def advice(comparison: Comparison) -> list[str]:
    """What to do about verdicts that are not in."""
    told = []
    without = [f for f in comparison.findings if f.verdict == "undecided" and "noise floor" in f.note]
    if without:
        told.append(
            f"undecided for want of a noise floor: {len(without)}. Compare six runs on each side, or measure the floor "
            "once: spikemark compare BASE RUNS-OF-THE-SAME-COMMIT --same-code"
        )
    noisy = [f for f in comparison.findings if f.verdict == "undecided" and f.kind == "cost" and f not in without]
    if noisy:
        told.append(f"undecided because of noise: {len(noisy)}. Measure longer (--budget), or on a quieter machine")
    return told


def as_markdown(comparison: Comparison, *, longest: float = math.inf) -> str:
    """For a pull request's comment or a job's summary: what changed in sight, what did not folded away.

    Args:
        comparison: the verdicts.
        longest: characters; rows and lines that do not fit are left out, and their number is said.
    """
    regressions = [f for f in comparison.findings if f.regression]
    others = [f for f in changed(comparison) if not f.regression and not _silent(f)]
    silent = [f for f in changed(comparison) if not f.regression and _silent(f)]
    same = [f for f in comparison.findings if f not in regressions and f not in others and f not in silent]
    limits = comparison.limits
    foot = (
        f"\nPasses: {limits.threshold:.3g} more time or memory, {limits.margin:.3g} of accuracy, "
        f"{limits.instructions:.3g} more instructions (fractions); everything deterministic must stay equal.\n"
    )
    head = f"{MARK}\n### Spikemark: {verdict_line(comparison)}\n"
    room = longest - len(head) - len(foot) - 200
    lists = [f"- {line}" for line in (*_lists(comparison), *advice(comparison))]
    kept, left_out = [], 0
    for section in (
        _section("", regressions),
        _section("", others),
        ["", *lists] if lists else [],
        _section(f"{len(silent)} undecided", silent),
        _section(f"{len(same)} the same", same),
    ):
        fitting, dropped = _fit(section, room)
        kept += fitting
        left_out += dropped
        room -= sum(len(line) + 1 for line in fitting)
    if left_out:
        kept += ["", f"{left_out} rows and lines did not fit here; the whole table is in the artifact of this run."]
    return head + "\n".join(kept) + "\n" + foot


def _section(title: str, findings: list[Finding]) -> list[str]:
    if not findings:
        return []
    table = ["", *_markdown_table(findings).splitlines()]
    return ["", f"<details><summary>{title}</summary>", *table, "", "</details>"] if title else table


def _fit(section: list[str], room: float) -> tuple[list[str], int]:
    """The beginning of a section that has room; how many of its lines have none. What is opened is closed."""
    if sum(len(line) + 1 for line in section) <= room:
        return section, 0
    closing = section[-2:] if section[-1] == "</details>" else []
    heading = next((i + 1 for i, line in enumerate(section) if line.startswith("|--")), 1)
    body = section[heading : len(section) - len(closing)]
    used, fitting = sum(len(line) + 1 for line in (*section[:heading], *closing)), 0
    for line in body:
        used += len(line) + 1
        if used > room:
            break
        fitting += 1
    return ([*section[:heading], *body[:fitting], *closing], len(body) - fitting) if fitting else ([], len(body))


def as_json(comparison: Comparison) -> str:
    """For programs; numbers that do not exist are null. `docs/regression.md` says what each field is."""
    data = (
        {"schema_version": JSON_SCHEMA, "passed": comparison.passed, "verdict": verdict_line(comparison)}
        | asdict(comparison)
        | {"newly_failed": comparison.newly_failed, "also_failing": comparison.also_failing}
    )
    return json.dumps(_finite(data), indent=1) + "\n"


def as_junit(comparison: Comparison) -> str:
    """JUnit XML, which CI systems other than GitHub show: a test case for each number, failed cell and broken rule."""
    suite = ElementTree.Element("testsuite", name="spikemark")
    for finding in comparison.findings:
        case = ElementTree.SubElement(suite, "testcase", classname=_xml(finding.benchmark), name=_xml(finding.label))
        told = f"{_change(finding)} {_interval(finding)} {_note(finding)}".strip()
        if finding.regression:
            ElementTree.SubElement(case, "failure", message=_xml(f"{finding.verdict}: {told}"))
        elif finding.verdict == "undecided":
            ElementTree.SubElement(case, "skipped", message=_xml(f"undecided: {told}"))
        else:
            ElementTree.SubElement(case, "system-out").text = _xml(f"{finding.verdict}: {told}")
    for name, why in comparison.newly_failed.items():
        case = ElementTree.SubElement(suite, "testcase", classname=_xml(name), name="runs")
        ElementTree.SubElement(case, "error", message=_xml(why))
    for line in comparison.also_failing:
        word, _, about = line.partition(": ")
        case = ElementTree.SubElement(suite, "testcase", classname=_xml(about), name=word)
        ElementTree.SubElement(case, "failure", message=word)
    for name, found in (("tests", "testcase"), ("failures", ".//failure"), ("errors", ".//error")):
        suite.set(name, str(len(suite.findall(found))))
    suite.set("skipped", str(len(suite.findall(".//skipped"))))
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    return _NOT_XML.sub("\ufffd", text)


def as_github(comparison: Comparison) -> str:
    """Workflow commands, which GitHub shows as annotations of the run, and the verdict."""
    lines = [
        _annotation("error", f.benchmark, f"{f.label} is {f.verdict}: {_change(f)} {_interval(f)} {_note(f)}".rstrip())
        for f in comparison.regressions
    ]
    lines += [_annotation("error", name, f"fails now: {why}") for name, why in comparison.newly_failed.items()]
    lines += [_annotation("error", *line.split(": ", 1)) for line in comparison.also_failing]
    if "missing" not in comparison.fail_on:
        lines += [_annotation("warning", "missing", name) for name in comparison.missing]
    lines += [_annotation("notice", "", line) for line in (*comparison.warnings, *advice(comparison))]
    return "\n".join([*lines, verdict_line(comparison)])


RENDERERS: Mapping[str, Callable[[Comparison], str]] = MappingProxyType(
    {"text": as_text, "markdown": as_markdown, "json": as_json, "github": as_github, "junit": as_junit}
)


def _word(finding: Finding) -> str:
    return finding.verdict.upper() if finding.regression else finding.verdict


def _row(finding: Finding) -> list[str]:
    values = [_value(finding, side) for side in ("base", "head")]
    change, interval = _change(finding), _interval(finding)
    return [_word(finding), finding.benchmark, finding.label, change, interval, *values, _note(finding)]


def _value(finding: Finding, side: str) -> str:
    """A side's number in a unit that people read, the same for both sides."""
    value: float = getattr(finding, side)
    scales = _SCALES.get(finding.unit)
    if scales is None:
        unit = "" if finding.unit == "1" else finding.unit
        return f"{value:,.6g} {unit}".strip() if abs(value) < 1e6 else f"{value:,.0f} {unit}".strip()
    larger = max(abs(finding.base), abs(finding.head))
    scale, unit = next((pair for pair in scales if larger >= pair[0]), scales[-1])
    return f"{value / scale:.4g} {unit}"


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
    lines += [f"degenerate: {name}: {why}" for name, why in comparison.degenerate.items()]
    lines += [f"missing in HEAD: {name}" for name in comparison.missing]
    lines += [f"new in HEAD: {name}" for name in comparison.new]
    return lines + [f"note: {line}" for line in comparison.warnings]


def _markdown_table(findings: list[Finding]) -> str:
    rows = [[text.replace("|", "\\|").replace("\n", " ") for text in _row(finding)] for finding in findings]
    table: str = tabulate(rows, headers=_COLUMNS, tablefmt="pipe", disable_numparse=True)
    return re.sub(r" {2,}", " ", table)  # GitHub pads by itself, and characters are scarce


def _annotation(level: str, about: str, message: str) -> str:
    """A workflow command. GitHub decodes colons and commas in its title alone, the other characters everywhere."""
    title = _escape(f"Spikemark: {about}" if about else "Spikemark").replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={title}::{_escape(message)}"


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _finite(data: object) -> object:
    if isinstance(data, dict):
        return {key: _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
