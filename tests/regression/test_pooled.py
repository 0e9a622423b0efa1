"""How far repeated trainings move, learned from all series of a comparison."""

import math

import numpy as np
import pytest
from scipy import stats

from spikemark.core.statistics import holm
from spikemark.regression.pooled import FEWEST_SERIES, Moved, _fitted, lower_tails


def drawn(rng, series, degrees, seeds=3, step=0.0):
    """Changes without any effect; the variances come from an inverse gamma distribution, or are all the same."""
    spread = np.sqrt(degrees / rng.chisquare(degrees, series)) if math.isfinite(degrees) else np.ones(series)
    changes = rng.normal(size=(series, seeds)) * spread[:, None]
    return [Moved(tuple(map(float, np.rint(row / step) * step if step else row)), step) for row in changes]


def test_a_tail_is_the_normal_one_averaged_over_what_the_variance_may_be():
    series = drawn(np.random.default_rng(1), 40, degrees=6)
    degrees, scale = _fitted(series)
    for moved, tail in zip(series[:4], lower_tails(series), strict=False):
        # The posterior of the variance, on a grid: prior times likelihood of the seeds around their mean.
        variances = np.exp(np.linspace(-8, 12, 20_001))
        weights = stats.invgamma.pdf(variances, degrees / 2, scale=degrees * scale / 2) * variances
        weights *= stats.gamma.pdf(moved.variance, moved.degrees / 2, scale=2 * variances / moved.degrees)
        averaged = np.average(stats.norm.cdf(moved.mean / np.sqrt(variances / len(moved.changes))), weights=weights)
        assert tail == pytest.approx(averaged, rel=1e-3)


@pytest.mark.parametrize(("true", "low", "high"), [(2, 1, 3), (8, 3, 12), (math.inf, 12, 64)])
def test_variances_that_differ_count_for_themselves(true, low, high):
    degrees, scale = _fitted(drawn(np.random.default_rng(2), 300, true))
    assert low <= degrees <= high
    assert 0.6 < scale < 1.6


@pytest.mark.parametrize(("degrees", "step"), [(math.inf, 0.5), (2, 0.0)])
def test_chance_alone_is_rarely_an_effect(degrees, step):
    rng = np.random.default_rng(3)
    alarms = 0
    for _ in range(60):
        tails = lower_tails([moved for moved in drawn(rng, 24, degrees, step=step) if any(moved.changes)])
        alarms += min(holm([2 * min(tail, 1 - tail) for tail in tails])) < 0.05
    assert alarms <= 7  # 5 % of 60 are 3; more than 7 happen in 1 of 100 cases


def test_three_seeds_of_one_series_become_certain_beside_others():
    quiet = drawn(np.random.default_rng(4), 100, math.inf)
    moved = Moved((-7.0, -5.5, -9.0))
    *_, alone = [stats.t.cdf(moved.mean / math.sqrt(moved.variance / 3), 2)]
    assert alone > 0.005
    assert lower_tails([*quiet, moved])[-1] < 1e-6
    assert lower_tails([*quiet, Moved((7.0, 5.5, 9.0))])[-1] > 1 - 1e-6


def test_too_few_series_say_nothing_and_copies_count_once():
    rng = np.random.default_rng(5)
    one = drawn(rng, 1, 4)[0]
    assert lower_tails(drawn(rng, FEWEST_SERIES - 1, 4)) == []
    assert lower_tails([one] * 50) == []


def test_seeds_that_all_agree_take_part_as_what_whole_predictions_can_hide():
    rng = np.random.default_rng(6)
    agreeing = [Moved((0.01, 0.01, 0.01), 0.01), Moved((-0.02, -0.02, -0.02), 0.01)]
    others = drawn(rng, 40, math.inf, step=0.01)
    tails = lower_tails([*agreeing, *others])
    assert all(0 < tail < 1 for tail in tails)
    assert lower_tails([Moved((0.0, 0.0, 0.0), 0.01), *others])[0] == 0.5
