"""Families of noise, attacks, and intervals over seeds and samples."""

import numpy as np
import pytest
from synthetic_records import make_record

from spikemark.core.measurement import pack_correct
from spikemark.core.statistics import mean_interval, paired_difference
from spikemark.report.attacks import attacks_section, last_doubling, told_attacks
from spikemark.report.cells import Cells
from spikemark.report.curves import (
    all_noises_of,
    attacks_of,
    family_of,
    mean_over_severities,
    noises_of,
    sampled_curves,
)  # fmt: skip
from spikemark.report.families import families_section, points_lost
from spikemark.report.model import DASH
from spikemark.report.robustness import robustness_section

SAMPLES = 60


def noisy_record(neuron, seed, right, extra=(), packed=True, domains=None):
    """Accuracy of ``right[noise][severity]``: bits ``[draws, samples]``."""
    rows = []
    for noise, curve in right.items():
        for severity, bits in enumerate(curve):
            row = {"metric": "accuracy", "unit": "fraction", "split": "test", "noise": noise, "severity": severity}
            row["value"] = float(bits.mean())
            if len(bits) > 1:
                row["values"] = bits.mean(1).tolist()
            if packed:
                row["correct"] = pack_correct(bits.ravel())
            rows.append(row)
    noises = {
        name: {"domain": (domains or {}).get(name, "input"), "levels": [0.1, 0.2, 0.3, 0.4, 0.5]}
        for name in right
        if not name.startswith("worst-")
    }
    return make_record("robustness", "norse", neuron, seed, measurements=[*rows, *extra], cell={"noises": noises})


def bits(rng, share, draws=1):
    return rng.random((draws, SAMPLES)) < share


def two_systems(seeds=5, packed=True, draws=3):
    """`stl` loses less than `lif` under lost spikes, more under spurious ones, and as much under input noise."""
    records = []
    losses = {"lif": (0.3, 0.3, 0.2), "stl": (0.1, 0.6, 0.2)}
    for neuron, (lost, spurious, noise) in losses.items():
        for seed in range(seeds):
            rng = np.random.default_rng([seed, len(neuron), ord(neuron[0])])
            clean = bits(rng, 0.95)
            right = {
                name: [clean, bits(rng, 0.95 - loss, draws), bits(rng, 0.95 - loss - 0.05, draws)]
                for name, loss in (("spike-deletion", lost), ("spike-insertion", spurious), ("gaussian", noise))
            }
            records.append(noisy_record(neuron, seed, right, packed=packed))
    return Cells.of(records)


@pytest.mark.parametrize("packed", [True, False])
def test_verdicts_by_family(packed):
    table = families_section(two_systems(packed=packed)).tables[0]
    rows = {(row[1].text, row[2].text): row for row in table.rows}
    assert rows.keys() == {(f, s) for f in ("lost spikes", "spurious spikes", "input") for s in ("mlp-lif", "mlp-stl")}
    assert "more robust" in rows["lost spikes", "mlp-stl"][4].text
    assert rows["lost spikes", "mlp-stl"][4].sort < 0
    assert "less robust" in rows["spurious spikes", "mlp-stl"][4].text
    assert "undecided" in rows["input", "mlp-stl"][4].text
    assert rows["input", "mlp-lif"][4].text == "(itself)"
    assert rows["lost spikes", "mlp-lif"][3].sort == pytest.approx(100 * 0.325, abs=6)


def test_points_lost_by_hand():
    clean = {0: np.array([1.0, 1.0, 0.0, 1.0]), 1: np.array([1.0, 1.0, 1.0, 1.0]), 2: np.array([1.0])}
    first = {0: clean, 1: {0: np.array([1.0, 0.0, 0.0, 1.0]), 1: np.array([0.5, 1.0, 1.0, 0.0])}}
    second = {0: clean, 1: {0: np.array([0.0, 0.0, 0.0, 1.0])}, 2: {0: np.array([0.0, 0.0, 1.0, 1.0])}}
    lost = points_lost([first, second])
    assert lost.keys() == {0}  # seed 1 lacks the second noise
    noisy = (np.array([1.0, 0, 0, 1]) + (np.array([0.0, 0, 0, 1]) + np.array([0.0, 0, 1, 1])) / 2) / 2
    np.testing.assert_allclose(lost[0], clean[0] - noisy)


def test_intervals_hold_for_samples_too_where_records_keep_them():
    with_samples, without = (two_systems(packed=packed) for packed in (True, False))
    first, second = (sampled_curves(c, noises_of(c))["norse", "mlp-lif"]["gaussian"] for c in (with_samples, without))
    sampled, single = mean_over_severities(first), mean_over_severities(second)
    assert {len(runs) for runs in sampled.values()} == {SAMPLES}
    assert {len(runs) for runs in single.values()} == {1}
    assert {s: float(runs.mean()) for s, runs in sampled.items()} == pytest.approx({s: r[0] for s, r in single.items()})


def test_one_record_without_samples_makes_all_numbers_single():
    full = list(two_systems())
    mixed = Cells.of([*full[:-1], *list(two_systems(packed=False))[-1:]])
    curves = sampled_curves(mixed, ["gaussian"])
    assert {len(runs) for own in curves.values() for by in own["gaussian"].values() for runs in by.values()} == {1}


def test_many_different_values_are_normal_and_quick():
    rng = np.random.default_rng(0)
    runs = {seed: rng.random(2000) for seed in range(4)}
    interval = mean_interval(runs, bounds=(0, 1))
    halved = {seed: np.round(values * 8) / 8 for seed, values in runs.items()}  # few values: by resampling
    other = mean_interval(halved, bounds=(0, 1))
    assert interval.high - interval.low == pytest.approx(other.high - other.low, rel=0.15)
    shifted = paired_difference({s: v + 0.02 * rng.normal(1, 1, 2000) for s, v in runs.items()}, runs)
    assert shifted.low < 0.02 < shifted.high
    assert shifted.p < 0.01


def attacked(seed=0, neuron="lif"):
    """Two attacks and their worst; the first goes on falling, and begins blind on every fourth sample."""
    a, b = np.arange(SAMPLES) % 4 > 0, np.arange(SAMPLES) % 4 < 3
    one = np.ones((1, SAMPLES), dtype=bool)
    right = {name: [one, found[None]] for name, found in (("apgd-linf", a), ("square-linf", b), ("worst-linf", a & b))}
    steps = {"apgd-linf": {1: 0.9, 10: 0.8, 50: 0.8, 100: 0.75}, "square-linf": {1: 0.8, 500: 0.75, 1000: 0.75}}
    extra = [
        {"metric": "accuracy_after_steps", "value": value, "unit": "fraction", "split": "test", "noise": name}
        | {"severity": 1, "point": {"steps": at}}
        for name, curve in steps.items()
        for at, value in curve.items()
    ]
    flat = {"metric": "zero_gradients", "value": 0.25, "unit": "fraction", "split": "test", "noise": "apgd-linf"}
    right |= {"gaussian": [one, a[None]]}
    domains = {name: "adversary" for name in right if name != "gaussian"}
    return noisy_record(neuron, seed, right, [*extra, flat | {"severity": 1}], domains=domains)


def test_the_worst_attack_stands_for_all_in_sums():
    cells = Cells.of([attacked(seed) for seed in range(3)])
    assert noises_of(cells) == ["worst-linf", "gaussian"]
    assert all_noises_of(cells) == ["apgd-linf", "square-linf", "worst-linf", "gaussian"]
    assert attacks_of(cells) == ["apgd-linf", "square-linf", "worst-linf"]
    assert family_of("worst-linf", cells) == "attacks"
    table = robustness_section(cells).tables[0]
    assert table.columns == ("framework", "system", "clean", "all noises", "worst-linf", "gaussian", "n")
    assert table.rows[0][3].sort == pytest.approx(100 * (0.5 + 0.75) / 2)


def test_attacks_are_shown_one_by_one_with_the_worst_first():
    left, steps = attacks_section(Cells.of([attacked(seed) for seed in range(3)])).tables
    assert left.columns == ("framework", "system", "attack", "clean", "1 (0.1)", "alone", "n")
    assert [row[2].text for row in left.rows] == ["worst-linf", "apgd-linf", "square-linf"]
    assert [row[4].sort for row in left.rows] == pytest.approx([50, 75, 75])
    assert [row[4].strong for row in left.rows] == [True, False, False]
    assert [row[5].text for row in left.rows] == [DASH, "25.0", "25.0"]  # of four samples each fools another one
    assert steps.columns == (
        *("framework", "system", "attack", "1", "10", "50", "100", "500", "1000", "converged", "zero gradient (%)"),
    )
    apgd, square = steps.rows
    assert [entry.text for entry in apgd[3:]] == ["90.0", "80.0", "80.0", "75.0", DASH, DASH, "no, 5.0 lost", "25.0"]
    assert [entry.text for entry in square[3:]] == ["80.0", DASH, DASH, DASH, "75.0", "75.0", "yes", DASH]


def worst_of(neuron, *left):
    """What the worst attack leaves at each severity."""
    places = np.arange(SAMPLES)
    curve = [(places < share * SAMPLES)[None] for share in (1.0, *left)]
    return noisy_record(neuron, 0, {"apgd-linf": curve, "worst-linf": curve}, domains={"apgd-linf": "adversary"})


@pytest.mark.parametrize(
    ("lif", "stl", "told"),
    [
        ((0.8, 0.5, 0.05), (0.9, 0.6, 0.0), "50.0 % (lif) to 60.0 % (stl) of the samples read correctly at severity 2"),
        ((0.8, 0.5, 0.2), (0.9, 0.6, 0.05), "5.0 % (stl) to 20.0 % (lif) of the samples read correctly at severity 3"),
        ((0.0, 0.0, 0.0), (0.05, 0.0, 0.0), "0.0 % (lif) to 5.0 % (stl) of the samples read correctly at severity 1"),
    ],
)
def test_the_radius_that_is_told_leaves_something(lif, stl, told):
    cells = Cells.of([worst_of("lif", *lif), worst_of("stl", *stl)])
    assert told.replace("(lif)", "(mlp-lif)").replace("(stl)", "(mlp-stl)") in next(told_attacks("made-up", cells))


def test_last_doubling():
    assert last_doubling({1: 0.9, 10: 0.8, 50: 0.7, 100: 0.6}) == pytest.approx(0.1)
    assert last_doubling({1: 0.9, 200: 0.7, 500: 0.5}) == pytest.approx(0.2)
    assert last_doubling({1: 0.9}) == 0


def test_families_of_noises_that_nothing_registered():
    records = [noisy_record("lif", 0, {"mine": [np.ones((1, 4), dtype=bool)] * 2}, domains={"mine": "hardware"})]
    assert family_of("mine", Cells.of(records)) == "hardware"
    assert family_of("nobody's", Cells.of(records)) == "other"
