"""The page of a history: a small chart for every series, those that moved most first. It needs no JavaScript."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from spikemark.regression.history import Past
from spikemark.regression.trends import Change, Regression, by_size

_WIDTH, _HEIGHT, _MARGIN = 260.0, 90.0, 6.0
_STYLE = """
:root { color-scheme: light dark; --line: #0072b2; --change: #d55e00; }
@media (prefers-color-scheme: dark) { :root { --line: #56b4e9; --change: #e69f00; } }
body { font-family: sans-serif; max-width: 76rem; margin: 1rem auto; padding: 0 1rem; }
.series { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1rem; }
figure { margin: 0; padding: .6rem; border: 1px solid #8888; border-radius: 4px; overflow-wrap: anywhere; }
figcaption { font-size: .85rem; }
svg { width: 100%; height: auto; }
polyline { fill: none; stroke: var(--line); stroke-width: 1.5; }
circle { fill: var(--line); }
line { stroke: var(--change); stroke-dasharray: 4 3; }
""".strip()


def trend_page(pasts: Sequence[Past], found: Sequence[Regression], commits: str = "") -> str:
    """One HTML page, complete in itself.

    Args:
        pasts: all series.
        found: what became worse, to begin with.
        commits: address of a commit's page without its hash; "" leaves commits as text.
    """
    sized = by_size(pasts)
    moved = [_figure(past, changes, commits) for past, changes in sized if changes]
    flat = [_figure(past, [], commits) for past, changes in sized if not changes]
    worse = "".join(f"<li>{escape(str(one))} {_link(one.change.commit, commits)}</li>" for one in found)
    parts = [
        f"<h2>Worse</h2><ul>{worse}</ul>" if worse else "<p>Nothing is worse at the newest commit.</p>",
        f"<h2>{len(moved)} that changed</h2><div class='series'>{''.join(moved)}</div>" if moved else "",
        f"<details{'' if moved else ' open'}><summary>{len(flat)} without a change</summary>"
        f"<div class='series'>{''.join(flat)}</div></details>"
        if flat
        else "",
    ]
    body = "\n".join(part for part in parts if part)
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'><title>Spikemark: history</title>"
        f"<meta name='viewport' content='width=device-width'><style>{_STYLE}</style></head>\n"
        f"<body><main><h1>History</h1>\n{body}\n</main></body></html>\n"
    )


def _figure(past: Past, changes: Sequence[Change], commits: str) -> str:
    title = f"{past.benchmark}: {past.label}"
    told = "".join(f"<br>{escape(str(change))} at {_link(change.commit, commits)}" for change in reversed(changes))
    latest = f"{past.values[-1]:.6g} {past.unit} at {_short(past.commits[-1])}"
    return (
        f"<figure><figcaption><strong>{escape(title)}</strong><br>{escape(past.machine)}</figcaption>"
        f"{_chart(past, changes, title)}<figcaption>{escape(latest)}{told}</figcaption></figure>\n"
    )


def _chart(past: Past, changes: Sequence[Change], title: str) -> str:
    low, high = min(past.values), max(past.values)
    step = (_WIDTH - 2 * _MARGIN) / max(1, len(past.values) - 1)

    def place(index: float, value: float) -> tuple[float, float]:
        up = (value - low) / (high - low) if high > low else 0.5
        return _MARGIN + step * index, _HEIGHT - _MARGIN - up * (_HEIGHT - 2 * _MARGIN)

    points = [place(index, value) for index, value in enumerate(past.values)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dots = "".join(
        f"<circle cx='{x:.1f}' cy='{y:.1f}' r='2.5'><title>{escape(_short(commit))}: {value:.6g}</title></circle>"
        for (x, y), commit, value in zip(points, past.commits, past.values, strict=True)
    )
    marks = "".join(
        f"<line x1='{x:.1f}' x2='{x:.1f}' y1='0' y2='{_HEIGHT:g}'/>"
        for x, _ in (place(change.index - 0.5, low) for change in changes)
    )
    name = escape(f"{title}, {len(past.values)} commits, from {low:.6g} to {high:.6g} {past.unit}", quote=True)
    return (
        f"<svg viewBox='0 0 {_WIDTH:g} {_HEIGHT:g}' role='img' aria-label='{name}'>"
        f"{marks}<polyline points='{line}'/>{dots}</svg>"
    )


def _link(commit: str, commits: str) -> str:
    if not commits:
        return f"<code>{escape(_short(commit))}</code>"
    return f"<a href='{escape(commits + commit, quote=True)}'><code>{escape(_short(commit))}</code></a>"


def _short(commit: str) -> str:
    return commit[:12]
