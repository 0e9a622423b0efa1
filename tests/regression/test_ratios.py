"""The ratio of medians: its bootstrap, its tests, and its refusals."""

import math

import numpy as np
import pytest

from spikemark.regression.ratios import _median_draws, median_ratio


@pytest.mark.parametrize("n", [7, 8, 41])
def test_draws_are_those_of_resampling(n):
    values = np.sort(np.random.default_rng(n).normal(size=n))
    drawn = _median_draws(values, np.random.default_rng(0))
    resampled = np.median(np.random.default_rng(1).choice(values, (20_000, n)), axis=1)
    for at in (0.2, 0.5, 0.8):
        middle = np.quantile(resampled, at)
        assert abs((drawn < middle).mean() - (resampled < middle).mean()) < 0.02
        assert abs((drawn <= middle).mean() - (resampled <= middle).mean()) < 0.02


def test_interval_covers_the_true_ratio():
    rng = np.random.default_rng(3)
    covered = [
        (ratio := median_ratio(1.1 * np.exp(0.1 * rng.standard_normal(30)), np.exp(0.1 * rng.standard_normal(30)))).low
        < 1.1
        < ratio.high
        for _ in range(200)
    ]
    assert np.mean(covered) > 0.92


def test_pairs_remove_what_both_share():
    rng = np.random.default_rng(4)
    shared = np.exp(rng.standard_normal(20))
    first, second = (shared * level * np.exp(0.01 * rng.standard_normal(20)) for level in (1.1, 1.0))
    assert median_ratio(first, second, paired=True).low > 1.05
    assert median_ratio(first, second).low < 1


def test_p_agrees_with_the_interval():
    ratio = median_ratio(np.linspace(1.05, 1.15, 30), np.linspace(0.98, 1.02, 30))
    assert ratio.p_beyond(ratio.low * 0.999) < 0.025 <= ratio.p_beyond(ratio.low * 1.001)
    assert ratio.p_beyond(0.95) > 0.99


def test_a_floor_widens_and_few_values_say_nothing():
    assert math.isnan(median_ratio([1.0] * 5, [1.0] * 5).low)
    assert median_ratio([1.0] * 5, [1.0] * 5).p_beyond(1.0) == 1.0
    widened = median_ratio([1.1], [1.0], between=0.1, degrees=9)
    assert widened.low < 1 < widened.high


@pytest.mark.parametrize("bad", [[], [0.0], [-1.0], [math.nan]])
def test_refuses_what_has_no_logarithm(bad):
    with pytest.raises(ValueError, match="positive and finite"):
        median_ratio(bad, [1.0])


def test_refuses_pairs_that_do_not_pair():
    with pytest.raises(ValueError, match="no pairs"):
        median_ratio([1.0, 2.0], [1.0], paired=True)


def test_what_no_number_holds_ends_at_the_largest_ratio():
    apart = median_ratio([1e-300] * 6, [1e300] * 6)
    assert (apart.value, apart.low, apart.high) == pytest.approx((math.exp(-700),) * 3)
    unknown = median_ratio([1.0], [1.0], between=1e308, degrees=2)
    assert (unknown.low, unknown.high) == pytest.approx((math.exp(-700), math.exp(700)))
