"""Intervals and the paired test: by hand, against scipy, and by simulation of their false alarms.

Run as a program, it prints the table of docs/statistics.md (some minutes): python tests/core/test_statistics.py 2000
"""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from spikemark.core import statistics
from spikemark.core.statistics import (
    Difference,
    holm,
    mean_interval,
    median_ratio_interval,
    minimum_detectable_effect,
    paired_difference,
    verdict,
)


def by_seed(rows):
    return dict(enumerate(rows))


def test_interval_over_seeds_is_students():
    interval = mean_interval({7: 1.0, 8: 2.0, 9: 3.0})
    assert (interval.value, interval.n) == (2.0, 3)
    half_width = 4.302653 / math.sqrt(3)  # t(0.975) with 2 degrees of freedom; the standard deviation is 1
    assert interval.low == pytest.approx(2 - half_width, abs=0.005)
    assert interval.high == pytest.approx(2 + half_width, abs=0.005)


def test_interval_stays_within_bounds():
    interval = mean_interval(by_seed([0.99, 0.95, 1.0]), bounds=(0, 1))
    assert interval.high == 1.0
    assert 0 < interval.low < 0.95


def test_one_seed_gives_no_interval_and_no_verdict():
    interval = mean_interval({0: 0.5})
    assert interval.value == 0.5
    assert math.isnan(interval.low)
    assert math.isnan(interval.high)
    difference = paired_difference({0: [1, 1, 1]}, {0: [0, 0, 0]})
    assert difference.value == 1
    assert difference.p == 1
    assert verdict(difference) == "undecided"
    assert math.isnan(minimum_detectable_effect(difference))


def test_interval_over_samples_of_runs_that_agree_is_the_bootstrap():
    correct = np.arange(400) < 300  # 3 of 4 right, in every seed the same: only the samples are at random
    interval = mean_interval(by_seed([correct] * 4))
    half_width = 1.96 * math.sqrt(0.75 * 0.25 / 400)
    assert interval.value == 0.75
    assert interval.low == pytest.approx(0.75 - half_width, abs=0.003)
    assert interval.high == pytest.approx(0.75 + half_width, abs=0.003)


def test_samples_widen_the_interval_of_seeds():
    rng = np.random.default_rng(5)
    matrix = (rng.normal(1, 1, 200) + rng.normal(0, 0.05, (5, 1)) + rng.normal(0, 0.1, (5, 200))) > 0
    with_samples = mean_interval(by_seed(matrix))
    without = mean_interval(by_seed(matrix.mean(axis=1)))
    assert with_samples.value == pytest.approx(without.value)
    assert with_samples.high - with_samples.low > 1.1 * (without.high - without.low)


def test_paired_test_over_seeds_is_the_paired_t_test():
    first, second = [0.91, 0.93, 0.95, 0.90, 0.94], [0.90, 0.91, 0.94, 0.905, 0.92]
    difference = paired_difference(by_seed(first), by_seed(second))
    expected = stats.ttest_rel(first, second)
    low, high = expected.confidence_interval()
    assert difference.p == pytest.approx(expected.pvalue, abs=3e-4)
    assert (difference.low, difference.high) == pytest.approx((low, high), rel=5e-3)
    assert difference.error == pytest.approx(np.std(np.subtract(first, second), ddof=1) / math.sqrt(5))
    assert difference.seed_error == difference.error


def test_difference_turns_its_sign_with_the_order():
    rng = np.random.default_rng(3)
    first, second = by_seed(rng.random((4, 80)) < 0.9), by_seed(rng.random((4, 80)) < 0.6)
    there, back = paired_difference(first, second), paired_difference(second, first)
    assert there.value == pytest.approx(-back.value)
    assert there.p == pytest.approx(back.p, abs=2e-3)
    assert there.low == pytest.approx(-back.high, abs=5e-3)
    assert (verdict(there), verdict(back)) == ("better", "worse")


def test_only_shared_seeds_take_part():
    difference = paired_difference({1: 0.5, 2: 0.6, 3: 9.0}, {2: 0.5, 1: 0.4, 4: -9.0})
    assert difference.value == pytest.approx(0.1)
    assert difference.n == 2


def test_variance_is_split_between_seeds_and_samples_by_hand():
    # Means of rows 1, 2 and of columns 0, 3; nothing left over, so the columns' mean square, 4.5, is the samples' own.
    difference = paired_difference(by_seed([[-0.5, 2.5], [0.5, 3.5]]), by_seed([[0, 0], [0, 0]]))
    assert difference.value == 1.5
    assert difference.seed_error == pytest.approx(math.sqrt(0.5 / 2))
    assert difference.error == pytest.approx(math.sqrt(0.5 / 2 + 4.5 / 2))


def test_identical_runs_are_undecided_without_a_detectable_effect():
    correct = by_seed([[1, 0, 1], [1, 1, 1]])
    difference = paired_difference(correct, correct)
    assert (difference.value, difference.p) == (0, 1)
    assert math.isnan(difference.low)
    assert math.isnan(minimum_detectable_effect(difference))


@pytest.mark.parametrize("lucky", [[5, 5, 5], [5, 6, 7]], ids=["same sample", "three samples"])
def test_seeds_that_agree_by_luck_prove_nothing(lucky):
    """One sample more right in each of three seeds: a t test over seeds alone sees no spread and says p = 0."""
    first = np.zeros((3, 300))
    first[range(3), lucky] = 1
    difference = paired_difference(by_seed(first), by_seed(np.zeros((3, 300))))
    assert difference.value == pytest.approx(1 / 300)
    assert difference.p > 0.05
    assert difference.low <= 0


@pytest.mark.parametrize(("differing", "p"), [(4, 2 / 16), (5, 2 / 32), (6, 2 / 64)])
def test_few_samples_that_differ_are_judged_as_by_the_sign_test(differing, p):
    first = np.zeros((3, 300))
    first[:, :differing] = 1
    difference = paired_difference(by_seed(first), by_seed(np.zeros((3, 300))))
    assert difference.p == pytest.approx(p, abs=0.006)
    assert (difference.low <= 0) == (p > 0.05)


def test_all_right_is_not_certainty():
    interval = mean_interval(by_seed([np.ones(300)] * 3), bounds=(0, 1))
    assert (interval.value, interval.high) == (1, 1)
    assert interval.low == pytest.approx(stats.beta.ppf(0.025, 300.5, 0.5), abs=0.004)  # Jeffreys' interval


def test_equal_differences_of_single_numbers_prove_nothing():
    """They are equal up to rounding only, which a t test would take for great precision."""
    difference = paired_difference(by_seed([0.913, 0.923, 0.903]), by_seed([0.91, 0.92, 0.90]))
    assert difference.value == pytest.approx(0.003)
    assert difference.p == 1
    assert verdict(difference) == "undecided"
    assert math.isnan(minimum_detectable_effect(difference))


def test_results_are_deterministic():
    rng = np.random.default_rng(0)
    runs = by_seed(rng.random((3, 50)) < 0.7)
    once = paired_difference(runs, by_seed(rng.random((3, 50)) < 0.7)), mean_interval(runs)
    rng = np.random.default_rng(0)
    np.random.default_rng().random()
    runs = by_seed(rng.random((3, 50)) < 0.7)
    assert once == (paired_difference(runs, by_seed(rng.random((3, 50)) < 0.7)), mean_interval(runs))


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ({}, "no runs"),
        ({0: 1.0, 1: math.nan}, "not a finite number"),
        ({0: [1, 0], 1: [1, 0, 1]}, r"different numbers of test samples, or none: \[2, 3\]"),
        ({0: []}, "or none"),
    ],
)
def test_bad_runs_are_refused(runs, message):
    with pytest.raises(ValueError, match=message):
        mean_interval(runs)


def test_systems_without_a_shared_seed_are_refused():
    with pytest.raises(ValueError, match=r"no shared seed: the first has \[0\], the second \[1\]"):
        paired_difference({0: 1.0}, {1: 1.0})


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize("degrees", [2, 4, 30])
def test_minimum_detectable_effect_is_found_in_about_80_of_100(degrees):
    difference = Difference(0.0, -1, 1, degrees + 1, p=1.0, error=0.5, seed_error=0.5)
    effect = minimum_detectable_effect(difference)
    power = stats.nct.sf(stats.t.ppf(0.975, degrees), degrees, effect / difference.error)
    assert power == pytest.approx(0.8, abs=0.035)
    assert minimum_detectable_effect(difference, comparisons=5) > effect


def test_minimum_detectable_effect_of_samples_is_the_normals():
    difference = Difference(0.0, -1, 1, 3, p=1.0, error=0.5, seed_error=0.0)
    assert minimum_detectable_effect(difference) == pytest.approx((1.959964 + 0.841621) * 0.5)


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("situation", ["seeds dominate", "samples dominate", "neither, only the rest"])
def test_detectable_effect_is_never_below_what_the_interval_leaves_open(situation, seeds):
    for repetition in range(5):
        first, second = equal_systems(np.random.default_rng(repetition), seeds, 200, situation)
        difference = paired_difference(by_seed(first), by_seed(second))
        assert minimum_detectable_effect(difference) > 0.9 * (difference.high - difference.low) / 2


def test_verdict_words():
    difference = Difference(-0.1, -0.2, -0.01, 5, p=0.02, error=0.03, seed_error=0.03)
    assert verdict(difference) == "worse"
    assert verdict(difference, p=0.06) == "undecided"


def test_median_of_one_cell_is_enclosed_by_order_statistics():
    ratios = [1.0, 5.0, 2.0, 9.0, 4.0, 3.0, 8.0, 7.0, 6.0, 10.0]
    interval = median_ratio_interval([ratios])  # n = 10: the second and the ninth (97.9 %), as in any table
    assert (interval.value, interval.low, interval.high, interval.n) == (5.5, 2.0, 9.0, 10)
    assert median_ratio_interval([[1, 2, 3, 4, 5, 6]]).low == 1  # 1 - 2 / 2^6 = 96.9 %
    for n in (6, 10, 33, 500, 1501):
        rank = stats.binom.ppf(0.025, n, 0.5)
        assert median_ratio_interval([range(1, n + 1)]).low == rank
    assert math.isnan(median_ratio_interval([[1, 2, 3, 4, 5]]).low)  # 1 - 2 / 2^5 = 93.8 %: too few


def test_median_over_cells_is_geometric():
    interval = median_ratio_interval([[1, 2, 3], [8, 8, 9], [4]])  # medians 2, 8, 4: logarithms 1, 3, 2 to base 2
    half_width = 4.302653 / math.sqrt(3)
    assert (interval.value, interval.n) == (pytest.approx(4), 3)
    assert math.log2(interval.low) == pytest.approx(2 - half_width, abs=0.005)
    assert math.log2(interval.high) == pytest.approx(2 + half_width, abs=0.005)


@pytest.mark.parametrize("groups", [[], [[]], [[1, 0]], [[1, math.inf]], [[1], [-1]]])
def test_bad_ratios_are_refused(groups):
    with pytest.raises(ValueError, match="positive and finite"):
        median_ratio_interval(groups)


SITUATIONS = {  # standard deviations of: a seed's luck, a sample's liking for one system, the rest; and the luck's form
    "all three alike": (0.3, 0.5, 0.5, "normal"),
    "seeds dominate": (0.5, 0.0, 0.3, "normal"),
    "samples dominate": (0.0, 1.0, 0.3, "normal"),
    "neither, only the rest": (0.0, 0.0, 1.0, "normal"),
    "heavy-tailed luck": (0.5, 0.2, 0.5, "laplace"),
    "two-valued luck": (0.5, 0.2, 0.5, "two-valued"),
    "one seed in ten fails": (0.5, 0.2, 0.5, "failing"),
}


def equal_systems(rng: np.random.Generator, seeds: int, samples: int, situation: str) -> list[NDArray[np.bool_]]:
    """Per-sample correctness of two systems that are equally good on average, about 80 % right."""
    luck_sd, taste_sd, rest_sd, form = SITUATIONS[situation]
    difficulty = rng.normal(1.8, 1.5, samples)
    systems = []
    for _ in range(2):
        luck = {
            "normal": lambda: rng.normal(0, 1, seeds),
            "laplace": lambda: rng.laplace(0, math.sqrt(0.5), seeds),
            "two-valued": lambda: rng.choice([-1.0, 1.0], seeds),
            "failing": lambda: np.where(rng.random(seeds) < 0.1, -3, 1 / 3),
        }[form]()
        taste = rng.normal(0, taste_sd, samples)
        systems.append(difficulty + taste + luck_sd * luck[:, None] + rng.normal(0, rest_sd, (seeds, samples)) > 0)
    return systems


def false_alarms(seeds: int, situation: str, repetitions: int, samples: int = 500) -> tuple[float, float]:
    """Rate of "different" at 5 % for two equal systems: our paired test, and a plain bootstrap of the seeds."""
    rng = np.random.default_rng(1)
    ours = plain = 0
    for _ in range(repetitions):
        first, second = equal_systems(rng, seeds, samples, situation)
        ours += paired_difference(by_seed(first), by_seed(second)).p < 0.05
        means = (first.astype(float) - second).mean(axis=1)
        resampled = means[rng.integers(0, seeds, (1000, seeds))].mean(axis=1)
        plain += 2 * min((resampled <= 0).mean(), (resampled >= 0).mean()) < 0.05
    return ours / repetitions, plain / repetitions


@pytest.mark.parametrize(("situation", "seeds"), [("seeds dominate", 3), ("all three alike", 5)])
def test_false_alarm_rate_is_near_nominal(situation, seeds):
    ours, plain = false_alarms(seeds, situation, 100, samples=200)
    assert 0 < ours <= 0.09  # 5 % and 1.8 standard errors of 100 repetitions
    assert plain > 0.12  # why the seeds are not simply resampled


def test_true_differences_are_found():
    rng = np.random.default_rng(2)
    first, second = equal_systems(rng, 5, 500, "all three alike")
    worse = second & (rng.random(second.shape) < 0.85)
    assert verdict(paired_difference(by_seed(first), by_seed(worse))) == "better"


if __name__ == "__main__":
    statistics.DRAWS = 4000  # enough to see 5 %, and five times as fast
    for name in SITUATIONS:
        rates = [false_alarms(n, name, int(sys.argv[1])) for n in (3, 5, 10)]
        cells = " | ".join(f"{100 * ours:.1f} ({100 * plain:.1f})" for ours, plain in rates)
        sys.stdout.write(f"| {name} | {cells} |\n")
        sys.stdout.flush()


def test_one_sided_tests_of_single_numbers_are_students():
    first, second = {0: 1.0, 1: 2.0, 2: 4.0, 3: 3.5}, {0: 0.5, 1: 1.0, 2: 3.5, 3: 2.0}
    difference = paired_difference(first, second, bounds=(-0.5, 0.5))
    for bound in (-0.5, 0.5):
        told = stats.ttest_rel(
            list(first.values()), [value + bound for value in second.values()], alternative="greater"
        )
        assert difference.p_above(bound) == pytest.approx(told.pvalue)
        assert difference.p_below(bound) == pytest.approx(1 - told.pvalue)
    assert difference.p_within(0.5) == pytest.approx(max(difference.p_above(-0.5), difference.p_below(0.5)))


def test_one_sided_tests_of_samples_agree_with_the_interval():
    random = np.random.default_rng(0)
    first = {seed: random.random(1000) < 0.9 for seed in range(5)}
    second = {seed: random.random(1000) < 0.85 for seed in range(5)}
    interval = paired_difference(first, second)
    difference = paired_difference(first, second, bounds=(interval.low, interval.high, 0.0))
    assert difference.p_above(interval.low) == pytest.approx(0.025, abs=2e-3)
    assert difference.p_below(interval.high) == pytest.approx(0.025, abs=2e-3)
    assert 2 * difference.p_above(0.0) == pytest.approx(difference.p, abs=2e-4)


def test_one_seed_shows_nothing_beyond_any_bound():
    difference = paired_difference({0: 1.0}, {0: 0.0}, bounds=(0.1,))
    assert (difference.p_above(0.1), difference.p_below(0.1)) == (1.0, 1.0)
