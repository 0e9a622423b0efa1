"""Accuracy under noise by severity and seed, as every section about noise reads it from the records."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TypeVar

import numpy as np

from spikemark.core.measurement import Measurement, unpack_correct
from spikemark.core.statistics import Floats
from spikemark.noise.case import FAMILIES, NOISES, WORST
from spikemark.report.cells import Cells

Curve = Mapping[int, float]
"""Accuracy at each severity; 0 is clean."""
SeededCurve = dict[int, dict[int, float]]
"""Severity, then seed, then accuracy."""
SampledCurve = dict[int, Mapping[int, Floats]]
"""Severity, then seed, then for each sample the share of draws in which it is read correctly; or one number for all."""
Result = TypeVar("Result", float, Floats)


def noises_of(cells: Cells) -> list[str]:
    """The noises that any record holds, in order of appearance; of several attacks of one threat their worst alone."""
    every = all_noises_of(cells)
    return [noise for noise in every if f"{WORST}{threat_of(noise)}" not in every]


def all_noises_of(cells: Cells) -> list[str]:
    """The noises that any record holds, single attacks among them."""
    return [str(noise) for noise in cells.by_measure("robustness").features("accuracy", "noise")]


def attacks_of(cells: Cells) -> list[str]:
    """The attacks that any record holds, the worst of several after them."""
    return [noise for noise in all_noises_of(cells) if threat_of(noise) is not None or noise.startswith(WORST)]


def family_of(noise: str, cells: Cells) -> str:
    """The family of a noise: that of its entry, else of the domain that records tell; "other" where they tell none."""
    if noise.startswith(WORST):
        return FAMILIES["adversary"]
    if noise in NOISES:
        return NOISES[noise].family
    domains = (r["cell"]["noises"][noise]["domain"] for r in cells if noise in r["cell"].get("noises", {}))
    return FAMILIES.get(next(domains, ""), "other")


def threat_of(noise: str) -> str | None:
    """What bounds an attack; None for noises that are none, and for the worst of several."""
    return NOISES[noise].threat if noise in NOISES else None


def curve_of(contender: Cells, noise: str) -> SeededCurve:
    """The severities at which there is a run."""
    own = contender.by_measure("robustness")
    severities = sorted({int(severity) for severity in own.features("accuracy", "severity")})
    curve = {s: own.runs("accuracy", split="test", noise=noise, severity=s) for s in severities}
    return {severity: runs for severity, runs in curve.items() if runs}


def sampled_curves(cells: Cells, noises: Sequence[str]) -> dict[tuple[str, str], dict[str, SampledCurve]]:
    """Of each framework and system the curve of each noise: by sample where every record of the group keeps that."""
    rows = [row for record in cells.ok for row in record["measurements"] if row["metric"] == "accuracy"]
    if not (rows and all("correct" in row for row in rows)):
        return {
            names: {noise: _lifted(curve_of(_named(cells, *names), noise)) for noise in noises}
            for names in _contenders(cells)
        }
    return {names: {noise: _unpacked(_named(cells, *names), noise) for noise in noises} for names in _contenders(cells)}


def _contenders(cells: Cells) -> list[tuple[str, str]]:
    return [(framework, system) for framework, system in cells.names("framework", "system")]


def _named(cells: Cells, framework: str, system: str) -> Cells:
    return cells.where(framework=framework, system=system)


def _lifted(curve: SeededCurve) -> SampledCurve:
    return {s: {seed: np.array([value]) for seed, value in runs.items()} for s, runs in curve.items()}


def _unpacked(contender: Cells, noise: str) -> SampledCurve:
    own = contender.by_measure("robustness")
    return {
        severity: _Shares(own.rows("accuracy", split="test", noise=noise, severity=severity))
        for severity in curve_of(contender, noise)
    }


class _Shares(Mapping[int, Floats]):
    """By seed, for each sample the share of draws in which it is read correctly; unpacked whenever one asks.

    A bit in a record is a float64 here, and a ledger has so many samples that memory could not hold them all.
    """

    def __init__(self, rows: Mapping[int, Measurement]) -> None:
        self._rows = rows

    def __getitem__(self, seed: int) -> Floats:
        row = self._rows[seed]
        shares: Floats = unpack_correct(row["correct"]).reshape(len(row.get("values", [0])), -1).mean(axis=0)
        return shares

    def __iter__(self) -> Iterator[int]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def mean_under_noise(cells: Cells, noises: Sequence[str] | None = None) -> dict[int, float]:
    """By seed, accuracy over the severities of each noise and then over the noises; all in the records when None."""
    wanted = noises_of(cells) if noises is None else noises
    return means([mean_over_severities(curve_of(cells, noise)) for noise in wanted])


def mean_over_severities(curve: Mapping[int, Mapping[int, Result]]) -> dict[int, Result]:
    """By seed, over the noisy severities; seeds that lack one are left out."""
    return means([runs for severity, runs in curve.items() if severity > 0])


def means(parts: Sequence[Mapping[int, Result]]) -> dict[int, Result]:
    """By seed, over the parts; seeds that lack one are left out."""
    seeds = set.intersection(*(set(part) for part in parts)) if parts else set()
    return {seed: _mean([part[seed] for part in parts]) for seed in sorted(seeds)}


def _mean(values: Sequence[Result]) -> Result:
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total / len(values)


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
