"""What repeated trainings of all networks of a comparison tell about one of them.

Three seeds say little about how far a network's accuracy moves by chance; the other networks of the same comparison say
more. The moderated t-test (Smyth, Statistical Applications in Genetics and Molecular Biology 3, 2004) takes the
variances of all series for draws from one inverse gamma distribution, fits that, and adds what it says to each series'
own variance. It asks about these test samples: they are the same on both sides and in all seeds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, stats

from spikemark.core.statistics import ALPHA

FEWEST_SERIES = 8
"""Fewer say too little about how much variances differ."""
_DEGREES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)


@dataclass(frozen=True)
class Moved:
    """How a score moved in each seed.

    Attributes:
        changes: HEAD minus BASE, a number for each seed that both have; at least two.
        step: the smallest change that there can be: one prediction of many; 0 when unknown.
    """

    changes: tuple[float, ...]
    step: float = 0.0

    @property
    def degrees(self) -> int:
        """Of freedom, of the variance over seeds."""
        return len(self.changes) - 1

    @property
    def mean(self) -> float:
        """Over seeds."""
        return float(np.mean(self.changes))

    @property
    def variance(self) -> float:
        """Over seeds."""
        return float(np.var(self.changes, ddof=1))

    @property
    def least_variance(self) -> float:
        """The smallest that whole predictions can show unless all seeds agree."""
        return self.step**2 / len(self.changes)


def lower_tails(moved: Sequence[Moved]) -> list[float]:
    """For each series the p-value of "it does not move down", with what all of them say of its chance.

    Args:
        moved: series of one family, all of which moved in some seed.

    Returns:
        P-values, of which 1 minus them belong to moves up; none where there are too few series.
    """
    told = {(one.changes, one.step): one for one in moved}.values()  # one network on several frameworks is one
    fitted = _fitted([one for one in told if max(one.variance, one.least_variance) > 0])
    if fitted is None:
        return []
    degrees, typical = fitted
    found = []
    for one in moved:
        variance = (degrees * typical + one.degrees * one.variance) / (degrees + one.degrees)
        place = one.mean / math.sqrt(variance / len(one.changes))
        found.append(float(stats.t.cdf(place, degrees + one.degrees)))
    return found


def _fitted(series: Sequence[Moved]) -> tuple[float, float] | None:
    """Degrees of freedom and scale of the distribution that variances come from; None for too few series.

    Of the degrees, the fewest that the data do not exclude (likelihood ratio, one-sided 5 %): the more there are, the
    less a series' own variance counts.
    """
    if len(series) < FEWEST_SERIES:
        return None
    own, least = (np.array([getattr(one, name) for one in series]) for name in ("variance", "least_variance"))
    degrees = np.array([one.degrees for one in series])
    fits = [_best_scale(own, least, degrees, prior) for prior in _DEGREES]
    enough = max(likelihood for _, likelihood in fits) - float(stats.chi2.isf(2 * ALPHA, 1)) / 2
    return next((float(d), scale) for d, (scale, found) in zip(_DEGREES, fits, strict=True) if found >= enough)


def _best_scale(
    own: NDArray[np.float64], least: NDArray[np.float64], degrees: NDArray[np.int64], prior: int
) -> tuple[float, float]:
    """The most likely scale with so many degrees of freedom, and its logarithmic likelihood."""
    hidden = own < least  # all seeds agree: the variance is anything below what one prediction would show

    def loss(log_scale: float) -> float:
        scale = math.exp(log_scale)
        seen = stats.f.logpdf(own[~hidden] / scale, degrees[~hidden], prior) - log_scale
        return -float(seen.sum() + stats.f.logcdf(least[hidden] / scale, degrees[hidden], prior).sum())

    sizes = np.log(np.maximum(own, least))
    best = optimize.minimize_scalar(loss, bounds=(sizes.min() - 5, sizes.max() + 5), method="bounded")
    return math.exp(best.x), -float(best.fun)
