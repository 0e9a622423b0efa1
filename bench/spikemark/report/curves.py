"""Accuracy under noise by severity and seed, as every section about noise reads it from the records."""

from __future__ import annotations

from spikemark.report.cells import Cells

Curve = dict[int, dict[int, float]]
"""Severity, then seed, then accuracy."""


def noises_of(cells: Cells) -> list[str]:
    """The noises that any record holds, in order of appearance."""
    return [str(noise) for noise in cells.features("accuracy", "noise")]


def curve_of(contender: Cells, noise: str) -> Curve:
    """The severities at which there is a run."""
    severities = sorted({int(severity) for severity in contender.features("accuracy", "severity")})
    curve = {s: contender.runs("accuracy", split="test", noise=noise, severity=s) for s in severities}
    return {severity: runs for severity, runs in curve.items() if runs}


def mean_over_severities(curve: Curve) -> dict[int, float]:
    """By seed, over the noisy severities; seeds that lack one are left out."""
    return means([runs for severity, runs in curve.items() if severity > 0])


def means(parts: list[dict[int, float]]) -> dict[int, float]:
    """By seed, over the parts; seeds that lack one are left out."""
    seeds = set.intersection(*(set(part) for part in parts)) if parts else set()
    return {seed: sum(part[seed] for part in parts) / len(parts) for seed in sorted(seeds)}
