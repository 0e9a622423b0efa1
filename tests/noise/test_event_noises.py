"""Noise on event lists, one recording at a time, by hand and against tonic."""

import numpy as np
import pytest
import torch

from spikemark.core.streams import generator
from spikemark.data.binning import EVENT, make_events
from spikemark.data.card import DATASETS, Sizes
from spikemark.data.loading import load_dataset
from spikemark.errors import InputError
from spikemark.noise import events
from spikemark.noise.case import NOISES, Case
from spikemark.noise.targets import draws_of_numpy

pytest.importorskip("tonic", reason="tonic (extra 'events') is not installed")
SENSOR, DURATION = (20, 10, 2), 100_000
COUNT = 4_000
_RANDOM = np.random.default_rng(1)
RECORDING = make_events(
    _RANDOM.integers(20, size=COUNT),
    _RANDOM.integers(10, size=COUNT),
    np.sort(_RANDOM.integers(DURATION, size=COUNT)),
    _RANDOM.integers(2, size=COUNT),
)
ALL = [name for name, noise in NOISES.items() if noise.domain == "events"]


def changed(make, level, recording=RECORDING, sensor=SENSOR, seed=0):
    before = recording.copy()
    with draws_of_numpy(generator("noise", seed)) as random:
        after = make(sensor, DURATION, level, random)(recording)
    assert np.array_equal(recording, before)
    assert after.dtype == EVENT
    return after


def test_event_drop_keeps_the_rest():
    after = changed(events.event_drop, 0.3)
    assert len(after) == 0.7 * COUNT
    assert np.isin(after, RECORDING).all()


def test_drop_by_time_leaves_a_gap_of_the_named_length():
    after = changed(events.drop_by_time, 0.25)
    assert np.diff(after["t"]).max() == pytest.approx(0.25 * DURATION, rel=0.02)
    assert len(after) == pytest.approx(0.75 * COUNT, rel=0.05)


def test_drop_by_area_empties_a_box_of_the_named_sides():
    after = changed(events.drop_by_area, 0.5)
    counts = np.zeros((20, 10))
    np.add.at(counts, (after["x"], after["y"]), 1)
    empty = np.argwhere(counts == 0)
    assert len(empty) == 10 * 5
    assert (empty.max(0) - empty.min(0)).tolist() == [9, 4]


@pytest.mark.parametrize("level", NOISES["drop-by-area"].levels)
def test_drop_by_area_reaches_every_edge_alike(level):
    grid = make_events(np.tile(np.arange(20), 10), np.repeat(np.arange(10), 20), 0, 0)
    dropped = np.zeros((10, 20))
    with draws_of_numpy(generator("edges")) as random:
        change = events.drop_by_area(SENSOR, DURATION, level, random)
        for _ in range(2_000):
            kept = change(grid)
            dropped += 1
            np.subtract.at(dropped, (kept["y"], kept["x"]), 1)
    box = [max(1, int(side * level)) for side in (20, 10)]
    assert dropped.sum() == 2_000 * box[0] * box[1]
    for first, last in ((dropped[:, 0], dropped[:, -1]), (dropped[0], dropped[-1])):
        assert last.sum() == pytest.approx(first.sum(), rel=0.25)


def test_drop_by_area_on_a_line_of_channels_empties_a_band():
    line = RECORDING.copy()
    line["y"] = 0
    after = changed(events.drop_by_area, 0.3, line, (20, 1, 2))
    missing = sorted(set(range(20)) - set(after["x"].tolist()))
    assert len(missing) == 6
    assert missing[-1] - missing[0] == 5


def test_time_jitter_has_the_named_deviation_and_stays_in_order():
    middle = RECORDING.copy()
    middle["t"] = DURATION // 2
    after = changed(events.time_jitter, 0.02, middle)
    assert after["t"].astype(float).std() == pytest.approx(0.02 * DURATION, rel=0.05)
    assert (np.diff(after["t"]) >= 0).all()


@pytest.mark.parametrize("make", [events.time_jitter, events.background, events.hot_pixels])
def test_the_order_of_events_of_one_time_is_the_same_on_every_processor(make, monkeypatch):
    """numpy's default sort leaves it to the processor; here two such processors, one of which turns ties round."""
    argsort = np.argsort
    crowded = RECORDING.copy()
    crowded["t"] //= 5_000

    def turned(values, kind=None):
        return argsort(values, kind="stable") if kind else len(values) - 1 - argsort(values[::-1], kind="stable")

    orders = []
    for sort in (argsort, turned):
        monkeypatch.setattr(np, "argsort", sort)
        orders.append(changed(make, 0.05, crowded))
    assert np.array_equal(*orders)


def test_spatial_jitter_is_unbiased_and_stays_on_the_sensor():
    middle = RECORDING.copy()
    middle["x"], middle["y"] = 10, 5
    after = changed(events.spatial_jitter, 1.0, middle)
    assert after["x"].mean() == pytest.approx(10, abs=0.05)
    assert after["x"].astype(float).std() == pytest.approx((1 + 1 / 12) ** 0.5, rel=0.05)
    everywhere = changed(events.spatial_jitter, 3.0)
    assert everywhere["x"].min() >= 0
    assert everywhere["x"].max() < 20
    assert everywhere["y"].max() < 10
    assert 0.5 * COUNT < len(everywhere) < COUNT


def test_background_adds_the_named_number_everywhere():
    after = changed(events.background, 0.5, RECORDING[RECORDING["x"] < 2])
    added = after[after["x"] >= 2]
    assert len(after) == pytest.approx(1.5 * (RECORDING["x"] < 2).sum(), abs=1)
    assert len(set(added["x"].tolist())) == 18
    assert set(added["p"].tolist()) == {0, 1}
    assert (np.diff(after["t"]) >= 0).all()


def test_hot_pixels_are_the_same_in_all_recordings():
    with draws_of_numpy(generator("noise")) as random:
        change = events.hot_pixels(SENSOR, DURATION, 0.02, random)
        one, two = change(RECORDING), change(RECORDING[::2])
    hot = []
    for noisy, clean in ((one, RECORDING), (two, RECORDING[::2])):
        extra = np.zeros((20, 10))
        np.add.at(extra, (noisy["x"], noisy["y"]), 1)
        np.subtract.at(extra, (clean["x"], clean["y"]), 1)
        assert set(extra[extra > 0].tolist()) == {10 * len(clean) / 200}
        hot.append(np.argwhere(extra).tolist())
    assert hot[0] == hot[1]
    assert len(hot[0]) == 4


@pytest.mark.parametrize("level", [0.001, 0.02, 0.2])
def test_refractory_period_is_tonics(level):
    from tonic.functional import refractory_period_numpy

    after = changed(events.refractory_period, level)
    # tonic starts its memory so that an event at time 0 is lost; ours keeps a pixel's first event.
    late = RECORDING.copy()
    late["t"] += 10
    expected = refractory_period_numpy(late, level * DURATION)
    expected["t"] -= 10
    assert np.array_equal(after, expected)
    assert len(after) < COUNT


def test_polarity_flip_turns_the_named_fraction():
    after = changed(events.polarity_flip, 0.3)
    assert (after["p"] != RECORDING["p"]).mean() == pytest.approx(0.3, abs=0.03)
    assert np.array_equal(after["t"], RECORDING["t"])
    assert set(after["p"].tolist()) == {0, 1}


def test_time_skew_goes_both_ways():
    factors = {round(changed(events.time_skew, 1.0, seed=seed)["t"][-1] / RECORDING["t"][-1], 2) for seed in range(8)}
    assert factors == {0.5, 2.0}


@pytest.mark.parametrize("name", ALL)
def test_numpys_global_draws_are_left_alone(name):
    data = load_dataset("randman", sizes=Sizes(1, 1, 5))
    if NOISES[name].polarities > 1:
        with pytest.raises(InputError, match=f"noise {name}: needs events of 2 polarities; randman has one"):
            NOISES[name].check(DATASETS["randman"])
        return
    case = Case(torch.nn.Identity(), data.test.inputs, data.test.labels, None, recordings=data.test.recordings)
    np.random.seed(3)
    expected = np.random.random(4)
    np.random.seed(3)
    with NOISES[name].apply(case, 3, generator("noise")) as noisy:
        assert noisy.inputs.shape == data.test.inputs.shape
    assert np.array_equal(np.random.random(4), expected)


def test_samples_without_event_lists_are_refused():
    case = Case(torch.nn.Identity(), torch.rand(3, 5, 2), torch.zeros(3), None)
    with pytest.raises(InputError, match="disturbs event lists; the samples have none"):
        NOISES["event-drop"].apply(case, 1, generator("noise"))
    with pytest.raises(InputError, match="noise event-drop: is for events data; mnist is image"):
        NOISES["event-drop"].check(DATASETS["mnist"])
    with pytest.raises(InputError, match="noise gaussian: is for image and points and series data; nmnist1k is events"):
        NOISES["gaussian"].check(DATASETS["nmnist1k"])
    recordings = load_dataset("randman", sizes=Sizes(1, 1, 5)).test.recordings
    with pytest.raises(InputError, match="randman: 5 recordings for 3 samples"):
        NOISES["event-drop"].apply(
            Case(torch.nn.Identity(), torch.rand(3, 5), torch.zeros(3), None, recordings=recordings), 1, generator("n")
        )
    with pytest.raises(InputError, match="randman: 6 recordings asked for, 5 at hand"):
        recordings.first(6)
