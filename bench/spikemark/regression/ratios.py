"""How many times as large the one side is: a median ratio with its bootstrap interval and one-sided tests.

Knows positive numbers, nothing of where they come from. The tests of seeds and samples are in
`spikemark.core.statistics`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from spikemark.core.statistics import ALPHA, DRAWS, Floats, Interval


@dataclass(frozen=True)
class Ratio(Interval):
    """A median ratio, first to second.

    Attributes:
        draws: its bootstrap distribution as logarithms; empty where there are too few values for any.
    """

    draws: Floats

    def p_beyond(self, limit: float) -> float:
        """One-sided p-value of "the ratio has not passed `limit`", seen from 1; 1 without a distribution.

        Below 0.025 exactly when the whole 95 % interval lies beyond the limit, up to the resolution of the draws.
        """
        if not self.draws.size:
            return 1.0
        short = self.draws <= math.log(limit) if limit >= 1 else self.draws >= math.log(limit)
        return (int(short.sum()) + 1) / (self.draws.size + 1)

    @property
    def error(self) -> float:
        """Standard error of the ratio's logarithm; NaN without a distribution."""
        return float(self.draws.std()) if self.draws.size else math.nan


FEWEST_VALUES = 6
"""With fewer values, not even all of them on one side of a number exclude it at 95 %."""
LARGEST_LOG = 700.0
"""Logarithms of ratios end here: the exponential of more is no number."""


def median_ratio(
    first: ArrayLike, second: ArrayLike, *, paired: bool = False, between: float = 0.0, degrees: int = 0
) -> Ratio:
    """How many times `second` is `first`: the ratio of their medians, or the median of the ratios of pairs.

    The 95 % interval is the bootstrap's. It needs no resampling: the k-th of n values drawn with replacement
    is the value at the k-th of n uniform numbers, which is beta distributed.

    Args:
        first: positive values.
        second: positive values; as many, in the same order, when `paired`.
        paired: whether the i-th values of both were taken together.
        between: standard error, in logarithms, that the values cannot show because it moves all of a side at once (such
            as the chance of a process when all values are from one); it widens the interval.
        degrees: degrees of freedom of `between`.

    Raises:
        ValueError: no values, a value that is not positive and finite, or pairs that do not pair.
    """
    sides = [np.asarray(side, dtype=np.float64).ravel() for side in (first, second)]
    if any(not s.size or not np.all(np.isfinite(s)) or np.any(s <= 0) for s in sides):
        raise ValueError("values must be positive and finite, at least one on each side")
    if paired and sides[0].size != sides[1].size:
        raise ValueError(f"{sides[0].size} and {sides[1].size} values are no pairs")
    logs = [np.sort(np.log(sides[0] / sides[1]))] if paired else [np.sort(np.log(side)) for side in sides]
    n = min(log.size for log in logs)
    value = float(np.median(logs[0])) - (0.0 if paired else float(np.median(logs[1])))
    value = min(max(value, -LARGEST_LOG), LARGEST_LOG)
    if n < FEWEST_VALUES and not between > 0:
        return Ratio(math.exp(value), math.nan, math.nan, n, np.empty(0))
    rng = np.random.default_rng(0)
    draws = np.zeros(DRAWS) + value
    if n >= FEWEST_VALUES:
        drawn = [_median_draws(log, rng) for log in logs]
        draws = drawn[0] if paired else drawn[0] - drawn[1]
    if between > 0:
        chances = rng.permutation(stats.t.ppf((np.arange(DRAWS) + 0.5) / DRAWS, degrees))
        draws = draws + min(between, LARGEST_LOG) * chances
    draws = np.clip(draws, -LARGEST_LOG, LARGEST_LOG)
    low, high = np.quantile(draws, [ALPHA / 2, 1 - ALPHA / 2])
    return Ratio(math.exp(value), math.exp(low), math.exp(high), n, draws)


def _median_draws(ordered: Floats, rng: np.random.Generator) -> Floats:
    """Medians of bootstrap samples of sorted values."""
    n = ordered.size
    lower, upper = (n + 1) // 2, n // 2 + 1  # the ranks whose values the median averages
    at = rng.beta(lower, n - lower + 1, DRAWS)
    middle = ordered[np.minimum((at * n).astype(int), n - 1)]
    if lower == upper:
        return np.asarray(middle)
    at += (1 - at) * rng.beta(1, n - lower, DRAWS)  # the next of the uniform numbers, given the one before
    return np.asarray((middle + ordered[np.minimum((at * n).astype(int), n - 1)]) / 2)
