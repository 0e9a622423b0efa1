"""Weight updates and regulation of thresholds: by hand, and against a loop in plain Python."""

import numpy as np
import pytest
from slow_first_spike import CASES, dyadic, learn, spike_times

from spikemark.errors import InputError
from spikemark.methods.first_spike.kernels import learn_samples, regulate, timing_errors, update
from spikemark.methods.first_spike.options import FirstSpike as Rule

CLASSES = 3
FLOOR = 1.5


def make(random, rule, wta, regulation, size):
    return Rule(
        rule=rule,
        causal=float(random.uniform(0.01, 0.2)),
        other=-float(random.uniform(0.01, 0.2)),
        gap=float(random.uniform(0, 0.3)),
        winner_take_all=wta,
        non_target=int(random.integers(0, size)),
        normalised=bool(random.integers(2)),
        regulation=regulation,
        threshold_rate=float(random.uniform(0.1, 1)),
    )


VARIANTS = [("r-stdp", "none", False)] + [
    (name, regulation, wta)
    for name in ("s2-stdp", "sstdp")
    for regulation in ("none", "cr-1", "cr-2")
    for wta in (False, True)
]


@pytest.mark.parametrize(("name", "regulation", "wta"), VARIANTS)
def test_samples_against_loop(name, regulation, wta, random):
    for _ in range(CASES if name == "r-stdp" else 3):
        size, inputs = int(random.integers(1, 5)), int(random.integers(2, 16))
        neurons = CLASSES * size
        rule = make(random, name, wta, regulation, size)
        target = np.arange(neurons) % size < size - rule.non_target
        weights = dyadic(random, neurons, inputs)
        norms = weights.sum(1).astype(float)
        fixed, adaptive = np.full(neurons, FLOOR), FLOOR + dyadic(random, neurons).astype(float)
        kept = random.random((1, neurons)) < 0.9
        times, y = spike_times(random, 1, inputs), int(random.integers(CLASSES))
        accuracy = 0.25
        options = {
            **{key: getattr(rule, key) for key in ("rule", "causal", "other", "gap", "normalised", "regulation")},
            **{"wta": wta, "eta": rule.threshold_rate, "floor": FLOOR, "low": 0.0, "high": 1.0},
        }
        new, thresholds, winners, spikes, potentials, errors = learn(
            times[0].tolist(), y, weights.tolist(), fixed, adaptive, target, options, norms, CLASSES, kept[0], accuracy
        )
        scales = (1 - accuracy, accuracy) if name == "r-stdp" else (1.0, 1.0)
        constants = rule.constants(*scales, rule.threshold_rate, 0.0, 1.0, FLOOR)
        learned, moved = np.ascontiguousarray(weights.T), adaptive.copy()
        first, levels, losses = np.empty((1, CLASSES), np.float32), np.empty((1, CLASSES)), np.empty(1)
        out = (first, levels, losses)
        learn_samples(times, np.array([y]), learned, norms, fixed, moved, target, kept, constants, *out)
        np.testing.assert_allclose(learned.T, new, atol=2e-6)
        np.testing.assert_allclose(moved, thresholds, atol=1e-12)
        if name != "r-stdp":
            np.testing.assert_array_equal(first[0], [spikes[j] for j in winners])
            np.testing.assert_array_equal(levels[0], [potentials[j] for j in winners])
            np.testing.assert_allclose(losses[0], np.mean([e**2 for e in errors.values()]), atol=1e-12)


def test_regulation_sums_to_zero_before_clipping(random):
    for _ in range(CASES):
        size = int(random.integers(2, 7))
        neurons = CLASSES * size
        rule = make(random, "s2-stdp", True, "cr-1", size)
        target = np.arange(neurons) % size < size - rule.non_target
        thresholds = random.uniform(1, 9, neurons)
        before = thresholds.copy()
        spikes, potentials = spike_times(random, neurons), dyadic(random, neurons).astype(float)
        y = int(random.integers(CLASSES))
        constants = rule.constants(1.0, 1.0, rule.threshold_rate, 0.0, 1.0, FLOOR)
        regulate(thresholds, spikes, potentials, target, y, size, constants)
        change = thresholds - before
        assert abs(change.sum()) < 1e-12
        group = np.arange(neurons) // size == y
        assert not change[~(group & target)].any()
        assert (np.abs(change).sum() > 0) == ((group & target).sum() > 1)


def test_regulation_by_hand():
    labelled = {"winner_take_all": True, "non_target": 1}
    rule = Rule(rule="s2-stdp", causal=0.1, other=-0.1, regulation="cr-2", threshold_rate=3.0, **labelled)
    thresholds = np.array([10.0, 10.0, 10.5, 10.0, 7.0, 7.0, 7.0, 7.0])
    spikes = np.float32([0.5, 0.4, 0.6, 0.1, 0, 0, 0, 0])
    target = np.array([True, True, True, False] * 2)
    constants = rule.constants(1.0, 1.0, 3.0, 0.0, 1.0, 10.0)
    regulate(thresholds, spikes, np.zeros(8), target, 0, 4, constants)
    # Three targets compete: the second wins +2, the others lose 1 each, and none falls below 10.
    assert thresholds.tolist() == [10.0, 12.0, 10.0, 10.0, 7.0, 7.0, 7.0, 7.0]


def errors_of(rule, spikes, y=0, size=2, target=None):
    spikes = np.float32(spikes)
    neurons = len(spikes)
    learners, errors = np.empty(neurons, dtype=np.int64), np.empty(neurons)
    target = np.ones(neurons, dtype=bool) if target is None else np.array(target)
    constants = rule.constants(1.0, 1.0, 0.0, 0.0, 1.0, 1.0)
    count = timing_errors(learners, errors, spikes, np.zeros(neurons), target, y, size, constants)
    return dict(zip(learners[:count].tolist(), errors[:count].tolist(), strict=True))


def test_errors_of_a_group_by_hand():
    rule = Rule(rule="s2-stdp", causal=0.1, other=-0.1, gap=0.2, winner_take_all=True)
    # Winners 1 and 2 at 0.25 and 0.75: base 0.5, targets 0.5 - 0.1 and 0.5 + 0.1.
    assert errors_of(rule, [0.5, 0.25, 0.75, 1.0]) == pytest.approx({1: -0.15, 2: 0.15})
    # The winner of the right class is labelled non-target: it too should be late.
    labelled = errors_of(rule, [0.5, 0.25, 0.75, 1.0], target=[True, False, True, False])
    assert labelled == pytest.approx({1: -0.35, 2: 0.15})
    # All silent: the base is 1 - 0.1.
    assert errors_of(rule, [1.0] * 4) == pytest.approx({0: 0.2, 2: 0.0})
    # With ranges, those on the right side have no error.
    ranges = Rule(rule="sstdp", causal=0.1, other=-0.1, gap=0.2, winner_take_all=True)
    assert errors_of(ranges, [0.5, 0.25, 0.75, 1.0]) == {1: 0.0, 2: 0.0}


def test_update_by_hand():
    rule = Rule(rule="s2-stdp", causal=0.5, other=-0.25, normalised=True)
    weights = np.float32([[0.5, 0.5], [0.5, 0.5], [0.9, 0.5]])
    learners, errors = np.array([0, 1]), np.array([0.4, 0.0])
    constants = rule.constants(1.0, 1.0, 0.0, 0.0, 1.0, 1.0)
    spikes = np.float32([0.5, 0.5])
    norms = np.array([1.9, 1.5])
    update(weights, np.float32([0.25, 0.75, 0.5]), spikes, learners, errors, 0.5, -0.25, norms, constants)
    # 0.5 + 0.2, 0.5 - 0.1 and 0.9 + 0.2 clipped to 1, whose sum is brought from 2.1 back to 1.9.
    np.testing.assert_allclose(weights[:, 0], np.array([0.7, 0.4, 1.0]) * 1.9 / 2.1, rtol=1e-6)
    np.testing.assert_array_equal(weights[:, 1], [0.5, 0.5, 0.5])


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"rule": "stdp"}, "rule"),
        ({"regulation": "cr-3"}, "regulation"),
        ({"gap": 1.5}, "gap"),
        ({"causal": -0.1}, "causal"),
        ({"causal": float("nan")}, "causal"),
        ({"other": 0.1}, "other"),
        ({"dropout": 1.0}, "dropout"),
        ({"non_target": -1}, "non_target"),
        ({"gape": 0.1}, "gape"),
    ],
)
def test_wrong_options_are_named(options, field):
    with pytest.raises(InputError, match=field):
        Rule(**({"rule": "s2-stdp", "causal": 0.1, "other": -0.1} | options))


def test_missing_option_is_named():
    with pytest.raises(InputError, match="causal: is missing"):
        Rule(rule="s2-stdp", other=-0.1)


@pytest.mark.parametrize(("labels", "field"), [(3, "neurons_per_class"), (2, "non_target")])
def test_groups_need_a_target_neuron(labels, field):
    with pytest.raises(InputError, match=field):
        Rule(rule="s2-stdp", causal=0.1, other=-0.1, non_target=labels).check_groups(2)
