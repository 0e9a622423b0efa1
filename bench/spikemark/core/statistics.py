"""What few seeds can and cannot say: intervals, a paired test, its correction and its blind spot.

Runs of one system are given as a mapping from seed to its result: one number, or one per test sample (such as the
per-sample correctness of a record). Two kinds of chance are told apart and added: a new seed and a new test sample.
Samples are many, so they are resampled (bootstrap). Seeds are few, and resampling three of them would call
a quarter of all ties a difference; their mean gets Student's t instead. ``docs/statistics.md`` has the equations and
the measured false-alarm rates. Every result is deterministic: the resampling is seeded with a constant.

This module knows nothing of records, networks or metrics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial
from typing import Any, Literal

import numpy as np
import scipy  # imports its parts when they are asked for
from numpy.typing import ArrayLike, NDArray

Runs = Mapping[int, ArrayLike]
Verdict = Literal["better", "worse", "undecided"]
Floats = NDArray[np.float64]

ALPHA = 0.05
POWER = 0.8
DRAWS = 20_000
MANY = 100
"""Different values among samples above which the mean of that many samples is taken to be normal."""


@dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval.

    Attributes:
        value: the estimate.
        low: lower end; NaN where there is nothing to judge by.
        high: upper end; NaN likewise.
        n: how many independent runs (or, for one cell's ratios, repeats) are behind it.
    """

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Difference(Interval):
    """The mean of first minus second, over the seeds that both have.

    Attributes:
        p: two-sided p-value of "no difference"; below 0.05 where the interval excludes 0. It is 1 where there is
            nothing to judge by: a single seed, or no spread in any seed or sample.
        error: standard error of `value`; NaN for a single seed.
        seed_error: the part of `error` that the seeds show, of `n - 1` degrees of freedom; what samples add is known
            far better. The parts add as squares.
        tails: for each bound that was asked for, the one-sided p-values of "the truth is at most the bound" and of
            "the truth is at least the bound".
    """

    p: float
    error: float
    seed_error: float
    tails: Mapping[float, tuple[float, float]] = field(default_factory=dict, repr=False)

    def p_above(self, bound: float) -> float:
        """Small where the truth surely lies above the bound."""
        return self.tails[bound][0]

    def p_below(self, bound: float) -> float:
        """Small where the truth surely lies below the bound."""
        return self.tails[bound][1]

    def p_within(self, margin: float) -> float:
        """Small where the truth surely lies within plus or minus the margin (two one-sided tests: Schuirmann 1987)."""
        return max(self.p_above(-margin), self.p_below(margin))


def mean_interval(runs: Runs, *, bounds: tuple[float, float] = (-math.inf, math.inf)) -> Interval:
    """Mean over seeds (and test samples) with its 95 % interval.

    Args:
        runs: results by seed.
        bounds: what the quantity cannot leave, for example ``(0, 1)``; the interval is cut there.

    Raises:
        ValueError: no runs, a number that is not finite, or runs with different numbers of samples.
    """
    matrix = _matrix(runs)
    if len(matrix) < 2:
        return Interval(float(matrix.mean()), math.nan, math.nan, len(matrix))
    spread = _Spread(matrix, partial(_bootstrap, bounds=bounds))
    low, high = spread.interval()
    return Interval(spread.value, max(low, bounds[0]), min(high, bounds[1]), len(matrix))


def paired_difference(first: Runs, second: Runs, *, bounds: Sequence[float] = ()) -> Difference:
    """Whether the mean of `first` differs from that of `second`, seed by seed and sample by sample.

    Only seeds that both have take part. Pairing removes what both share: the seed's data order, and samples
    that are hard for everybody.

    Args:
        first: results by seed.
        second: likewise.
        bounds: for which one-sided tests are made.

    Raises:
        ValueError: no shared seed, a number that is not finite, or different numbers of samples.
    """
    shared = sorted(set(first) & set(second))
    if not shared:
        raise ValueError(f"no shared seed: the first has {sorted(first)}, the second {sorted(second)}")
    matrix = _matrix({("first", s): first[s] for s in shared} | {("second", s): second[s] for s in shared})
    matrix = matrix[: len(shared)] - matrix[len(shared) :]
    nothing = dict.fromkeys(bounds, (1.0, 1.0))
    if len(shared) < 2:
        return Difference(float(matrix.mean()), math.nan, math.nan, 1, 1.0, math.nan, math.nan, nothing)
    spread = _Spread(matrix, _sign_flips)
    value, error, seed_error = spread.value, spread.error(), spread.seed_error
    if error == 0:  # every seed and sample says the same, which few of them may do by luck
        return Difference(value, math.nan, math.nan, len(shared), 1.0, error, seed_error, nothing)
    tails = {bound: spread.tails(bound) for bound in bounds}
    return Difference(value, *spread.interval(), len(shared), spread.p(), error, seed_error, tails)


def median_ratio_interval(groups: Sequence[ArrayLike]) -> Interval:
    """Typical ratio of paired timings with its 95 % interval.

    One group (the repeats of one cell): their median, and the order statistics that enclose the true median whatever
    the distribution (the sign test's interval); fewer than 6 repeats cannot give one at 95 %. Several groups (one a
    cell): the geometric mean of their medians and Student's t on the logarithms, since cells are few.

    Raises:
        ValueError: no group, an empty one, or a ratio that is not positive and finite.
    """
    ratios = [np.asarray(group, dtype=np.float64).ravel() for group in groups]
    if not ratios or any(not r.size or not np.all(np.isfinite(r)) or np.any(r <= 0) for r in ratios):
        raise ValueError("ratios must be positive and finite, at least one in every group")
    if len(ratios) > 1:
        log = mean_interval({i: math.log(float(np.median(r))) for i, r in enumerate(ratios)})
        return Interval(math.exp(log.value), math.exp(log.low), math.exp(log.high), log.n)
    ordered = np.sort(ratios[0])
    n = ordered.size
    rank = _sign_rank(n)
    if rank == 0:
        return Interval(float(np.median(ordered)), math.nan, math.nan, n)
    return Interval(float(np.median(ordered)), float(ordered[rank - 1]), float(ordered[n - rank]), n)


@cache
def _sign_rank(n: int) -> int:
    """The largest number with P(fewer than it of `n` fair coins fall on heads) below alpha / 2."""
    rank, ways, below = 0, 1, 1  # ways: to have `rank` heads; below: to have at most so many
    while below * round(2 / ALPHA) < 2**n:
        rank += 1
        ways = ways * (n - rank + 1) // rank
        below += ways
    return rank


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values of one family of tests (Holm, Scand. J. Statist. 6, 1979), in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    floor = 0.0
    for rank, i in enumerate(order):
        floor = max(floor, min(1.0, (len(p_values) - rank) * p_values[i]))
        adjusted[i] = floor
    return adjusted


def minimum_detectable_effect(difference: Difference, comparisons: int = 1) -> float:
    """The smallest true difference that this test would find in about 80 of 100 repetitions.

    ``(t(1 - alpha / 2 / comparisons) + t(power)) * error`` (Bloom, Evaluation Review 19(5), 1995; with three seeds the
    exact power is 77 %), where each ``t * error`` joins t times the seeds' part and the normal's quantile times the
    samples' part, as squares.

    Args:
        difference: the outcome of `paired_difference`.
        comparisons: how many tests share the 5 %: the size of the family that `holm` corrects.

    Returns:
        In the unit of the difference; NaN where the data show no spread to judge by (one seed, or no difference
        in any sample).
    """
    if not difference.error > 0:
        return math.nan
    levels = [1 - ALPHA / 2 / comparisons, POWER]
    of_seeds = scipy.special.stdtrit(difference.n - 1, levels) * difference.seed_error
    of_samples = scipy.special.ndtri(levels) * math.sqrt(max(0.0, difference.error**2 - difference.seed_error**2))
    return float(np.hypot(of_seeds, of_samples).sum())


def verdict(difference: Difference, p: float | None = None) -> Verdict:
    """What may be said of the first against the second, where more is better.

    Args:
        difference: the outcome of `paired_difference`.
        p: the p-value after `holm`; the difference's own when None.
    """
    if (difference.p if p is None else p) >= ALPHA:
        return "undecided"
    return "better" if difference.value > 0 else "worse"


def _matrix(runs: Mapping[Any, ArrayLike]) -> Floats:
    """Results as ``[seeds, samples]`` in the order given, with a single column where runs are single numbers."""
    rows = [np.atleast_1d(np.asarray(run, dtype=np.float64)) for run in runs.values()]
    if not rows:
        raise ValueError("no runs")
    sizes = sorted({row.size for row in rows})
    if len(sizes) > 1 or sizes[0] == 0:
        raise ValueError(f"runs have different numbers of test samples, or none: {sizes}")
    matrix = np.stack([row.ravel() for row in rows])
    if not np.all(np.isfinite(matrix)):
        raise ValueError("a result is not a finite number")
    return matrix


def _spread_of(values: Floats) -> float:
    """Standard deviation; 0 where it is no more than rounding, which would else look like great precision."""
    spread = float(values.std(ddof=1))
    return spread if spread > 1e-12 * float(np.abs(values).max()) else 0.0


@cache
def _student(degrees: int) -> Floats:
    """Student's t as `DRAWS` equally likely values, in an order that has nothing to do with the samples' draws."""
    quantiles: Floats = scipy.special.stdtrit(degrees, (np.arange(DRAWS) + 0.5) / DRAWS)
    return np.random.default_rng(1).permutation(quantiles)


@cache
def _normal() -> Floats:
    """The standard normal likewise, in another order."""
    quantiles: Floats = scipy.special.ndtri((np.arange(DRAWS) + 0.5) / DRAWS)
    return np.random.default_rng(2).permutation(quantiles)


def _bootstrap(columns: Floats, bounds: tuple[float, float]) -> tuple[Floats, float]:
    """Deviations of the mean when samples are drawn anew, and the standard deviation of one sample.

    Where the mean is bounded, half an imaginary sample stands at each bound: 300 right of 300 is not certainty.
    """
    spread = float(columns.std(ddof=1))
    levels, counts = np.unique(columns, return_counts=True)
    if levels.size > MANY:  # means over many noises; else they are few, so drawing how often each comes up is quick
        return spread / math.sqrt(columns.size) * _normal(), spread
    if all(map(math.isfinite, bounds)):
        levels, counts = np.append(levels, bounds), np.append(counts.astype(float), [0.5, 0.5])
    return _drawn_anew(tuple(levels), tuple(counts), columns.size) - columns.mean(), spread


@lru_cache(maxsize=256)
def _drawn_anew(levels: tuple[float, ...], counts: tuple[float, ...], size: int) -> Floats:
    """Means of `size` samples drawn from a histogram; kept, since the sections of a report ask for the same runs."""
    weights = np.array(counts)
    draws = np.random.default_rng(0).multinomial(size, weights / weights.sum(), size=DRAWS)
    means: Floats = draws @ np.array(levels) / size
    return means


def _sign_flips(columns: Floats) -> tuple[Floats, float]:
    """Deviations of the mean when first and second change places in random samples, and the samples' root mean square.

    This is the wild bootstrap under "no difference". It knows what drawing samples anew does not: that all of 4
    samples that differ favour the same side in 1 of 8 cases by chance alone.
    """
    size = math.sqrt(float((columns**2).mean()))
    sizes, counts = np.unique(np.abs(columns), return_counts=True)
    if sizes.size > MANY:
        return size / math.sqrt(columns.size) * _normal(), size
    draws = 2 * np.random.default_rng(0).binomial(counts, 0.5, size=(DRAWS, counts.size)) - counts
    return draws @ sizes / columns.size, size


class _Spread:
    """Chance around the mean of ``[seeds, samples]`` (both at random, crossed), for at least two seeds.

    With r, c the variances of seeds' and samples' own effects and e that of the rest, the mean of S seeds and N samples
    has variance ``r/S + c/N + e/(S N)``. The seeds' means show ``r + e/N``, so their t covers the first
    and last term. The samples' means show ``c + e/S``; `share` is the part of that which is c.
    """

    def __init__(self, matrix: Floats, resample: Callable[[Floats], tuple[Floats, float]]) -> None:
        self.seeds, self.samples = matrix.shape
        rows, columns = matrix.mean(axis=1), matrix.mean(axis=0)
        self.value = float(matrix.mean())
        self.seed_error = _spread_of(rows) / math.sqrt(self.seeds)
        self.sample_error, self.share = 0.0, 0.0
        self.views: Floats | None = None
        if self.samples == 1:
            return
        rest = matrix - rows[:, None] - columns + self.value
        noise = float((rest**2).sum()) / ((self.seeds - 1) * (self.samples - 1))
        resampled, spread = resample(columns)
        self.sample_error = spread / math.sqrt(self.samples)
        self.share = max(0.0, 1 - noise / self.seeds / spread**2) if spread > 0 else 0.0
        student = self.seed_error * _student(self.seeds - 1)
        # Seeds that agree by luck must not hide the chance of the samples: both views count, and the wider one wins.
        self.views = self.value + np.stack([student + math.sqrt(self.share) * resampled, resampled])

    def interval(self) -> tuple[float, float]:
        if self.views is None:
            half = float(scipy.special.stdtrit(self.seeds - 1, 1 - ALPHA / 2)) * self.seed_error
            return self.value - half, self.value + half
        low, high = np.quantile(self.views, [ALPHA / 2, 1 - ALPHA / 2], axis=1)
        return float(low.min()), float(high.max())

    def p(self) -> float:
        if self.views is None:
            return float(2 * scipy.special.stdtr(self.seeds - 1, -abs(self.value) / self.seed_error))
        rounding = 1e-12 * abs(self.value)
        tails = np.minimum((self.views <= rounding).mean(axis=1), (self.views >= -rounding).mean(axis=1))
        return min(1.0, 2 * float(tails.max()) + 1 / DRAWS)

    def tails(self, bound: float) -> tuple[float, float]:
        if self.views is None:
            place = (self.value - bound) / self.seed_error
            above, below = scipy.special.stdtr(self.seeds - 1, [-place, place])
            return float(above), float(below)
        below, above = ((side.mean(axis=1)).max() for side in (self.views <= bound, self.views >= bound))
        return min(1.0, float(below) + 1 / DRAWS), min(1.0, float(above) + 1 / DRAWS)

    def error(self) -> float:
        """Standard error, in the view that makes it larger."""
        return max(math.hypot(self.seed_error, math.sqrt(self.share) * self.sample_error), self.sample_error)
