"""Accuracy under noise by severity and seed, as every section about noise reads it from the records."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from spikemark.report.cells import Cells

Curve = Mapping[int, float]
"""Accuracy at each severity; 0 is clean."""
SeededCurve = dict[int, dict[int, float]]
"""Severity, then seed, then accuracy."""


def noises_of(cells: Cells) -> list[str]:
    """The noises that any record holds, in order of appearance."""
    return [str(noise) for noise in cells.by_measure("robustness").features("accuracy", "noise")]


def curve_of(contender: Cells, noise: str) -> SeededCurve:
    """The severities at which there is a run."""
    own = contender.by_measure("robustness")
    severities = sorted({int(severity) for severity in own.features("accuracy", "severity")})
    curve = {s: own.runs("accuracy", split="test", noise=noise, severity=s) for s in severities}
    return {severity: runs for severity, runs in curve.items() if runs}


def mean_over_severities(curve: SeededCurve) -> dict[int, float]:
    """By seed, over the noisy severities; seeds that lack one are left out."""
    return means([runs for severity, runs in curve.items() if severity > 0])


def means(parts: list[dict[int, float]]) -> dict[int, float]:
    """By seed, over the parts; seeds that lack one are left out."""
    seeds = set.intersection(*(set(part) for part in parts)) if parts else set()
    return {seed: sum(part[seed] for part in parts) / len(parts) for seed in sorted(seeds)}


def mean_accuracy(curve: Curve) -> float:
    """Mean over the noisy severities, without the clean one."""
    noisy = [accuracy for severity, accuracy in curve.items() if severity > 0]
    return math.fsum(noisy) / len(noisy)


def normalised_area(curve: Curve, chance: float) -> float:
    """Area under the margin over chance, from clean to the last severity, as a fraction of keeping all of it.

    1: nothing is lost at any severity; 0: chance throughout. By the trapezoidal rule; NaN where the clean accuracy
    itself is no better than chance.
    """
    severities = sorted(curve)
    margin = curve[0] - chance
    if margin <= 0:
        return math.nan
    area = math.fsum((b - a) * (curve[a] + curve[b] - 2 * chance) / 2 for a, b in pairwise(severities))
    return area / (margin * (severities[-1] - severities[0]))


def half_margin_severity(curve: Curve, chance: float) -> float | None:
    """The severity at which half of the clean margin over chance is first lost, interpolated linearly.

    None where that does not happen up to the last severity; NaN where there is no margin to lose.
    """
    if curve[0] <= chance:
        return math.nan
    half = (curve[0] + chance) / 2
    for a, b in pairwise(sorted(curve)):
        if curve[b] <= half:
            return a + (b - a) * (curve[a] - half) / (curve[a] - curve[b])
    return None


def corruption_error(curve: Curve, baseline: Curve) -> float:
    """``sum_s E_s / sum_s E_s(baseline)`` over the noisy severities, E the error rate.

    CE of Hendrycks and Dietterich, ICLR 2019, as a fraction: 1 is the baseline's. NaN where the baseline never errs.
    """
    return _quotient(curve, baseline, lambda c, severity: 1 - c[severity])


def relative_corruption_error(curve: Curve, baseline: Curve) -> float:
    """``sum_s (E_s - E_0) / sum_s (E_s - E_0)(baseline)``: the errors that the noise adds to the clean ones.

    Relative CE of Hendrycks and Dietterich, ICLR 2019, as a fraction. NaN where the baseline loses nothing.
    """
    return _quotient(curve, baseline, lambda c, severity: c[0] - c[severity])


def mean_over_noises(
    number: Callable[[Curve, Curve], float], curves: Mapping[str, Curve], baseline: Mapping[str, Curve]
) -> float:
    """The mean over noises: mCE of `corruption_error`, relative mCE of `relative_corruption_error`.

    Raises:
        ValueError: the baseline was measured under other noises.
    """
    if set(curves) != set(baseline) or not curves:
        names = ", ".join(sorted(set(curves) ^ set(baseline))) or "none at all"
        raise ValueError(f"system and baseline need the same noises; they differ in: {names}")
    return math.fsum(number(curves[noise], baseline[noise]) for noise in curves) / len(curves)


def _quotient(curve: Curve, baseline: Curve, error: Callable[[Curve, int], float]) -> float:
    severities: Sequence[int] = sorted(set(curve) - {0})
    if set(curve) != set(baseline):
        raise ValueError(f"curves have other severities: {sorted(curve)} and {sorted(baseline)}")
    below = math.fsum(error(baseline, severity) for severity in severities)
    above = math.fsum(error(curve, severity) for severity in severities)
    return above / below if below else math.nan
