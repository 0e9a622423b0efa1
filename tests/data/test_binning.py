from dataclasses import replace

import numpy as np
import pytest

from spikemark.data.binning import bin_events, check_events, make_events
from spikemark.data.card import DATASETS, Binning, Sizes
from spikemark.data.loading import load_dataset
from spikemark.errors import DataError, InputError

SENSOR = (4, 2, 2)
WHOLE = Binning("time", 2, 100, "split", "count", full_scale=4)
# x, y, t, p
EVENTS = make_events([0, 3, 3, 3, 1], [0, 1, 1, 1, 0], [0, 10, 49, 50, 120], [0, 1, 1, 1, 0])


def places(frames):
    return {tuple(place.tolist()): frames[tuple(place)].item() for place in np.argwhere(frames)}


def test_by_time_counted():
    # Bins of 50 us; the event at 120 us is after the window; 2 of 4 events are one half.
    assert places(bin_events(EVENTS, SENSOR, WHOLE)) == {(0, 0, 0, 0): 0.25, (0, 1, 1, 3): 0.5, (1, 1, 1, 3): 0.25}


def test_by_count_gives_every_bin_the_same_number():
    frames = bin_events(EVENTS, SENSOR, replace(WHOLE, by="count", window_us=200, full_scale=1, steps=5))
    assert frames.sum((1, 2, 3)).tolist() == [1, 1, 1, 1, 1]
    frames = bin_events(EVENTS, SENSOR, replace(WHOLE, by="count"))
    assert frames.sum((1, 2, 3)).tolist() == [0.5, 0.5]


def test_binary_full_scale_polarities_and_size():
    assert places(bin_events(EVENTS, SENSOR, replace(WHOLE, mode="binary"))) == {
        (0, 0, 0, 0): 255,
        (0, 1, 1, 3): 255,
        (1, 1, 1, 3): 255,
    }
    assert bin_events(EVENTS, SENSOR, replace(WHOLE, full_scale=1)).max() == 1
    merged = bin_events(EVENTS, SENSOR, replace(WHOLE, polarities="merge", size=(1, 2)))
    assert merged.shape == (2, 1, 1, 2)
    assert places(merged) == {(0, 0, 0, 0): 0.25, (0, 0, 0, 1): 0.5, (1, 0, 0, 1): 0.25}
    assert not bin_events(EVENTS[:0], SENSOR, replace(WHOLE, by="count")).any()


@pytest.mark.parametrize("name", [name for name, card in DATASETS.items() if card.kind == "events"])
def test_cards_say_what_their_binning_gives(name):
    card = DATASETS[name]
    assert card.binned(Binning()) == card


def test_data_set_with_another_binning():
    small = Sizes(20, 5, 10)
    plain = load_dataset("randman", sizes=small)
    data = load_dataset("randman", sizes=small, binning=Binning(steps=50, size=(1, 10), mode="count", full_scale=2))
    assert data.shape == (10,)
    assert data.steps == 50
    assert data.train.inputs.shape == (20, 50, 10)
    # Two steps and two neurons fall together; each spike counts one half.
    expected = plain.test.inputs.reshape(10, 50, 2, 10, 2).sum((2, 4)).div(2).clamp(max=1)
    assert data.test.inputs.equal(expected)
    assert data.test.recordings.frames().equal(data.test.inputs)
    assert load_dataset("randman", sizes=small, binning=Binning()).test.inputs.equal(plain.test.inputs)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"by": "frames"}, "by: 'frames' is not one of 'time' or 'count'"),
        ({"polarities": "both"}, "polarities: 'both' is not one of 'split' or 'merge'"),
        ({"mode": "sum"}, "mode: 'sum' is not one of 'binary' or 'count'"),
        ({"steps": 0}, "steps: .* greater than or equal to 1, found 0"),
        ({"steps": True}, "steps: .* valid integer, found True"),
        ({"window_us": 1.5}, "window_us: .* valid integer, found 1.5"),
        ({"full_scale": -1}, "full_scale: .* greater than or equal to 1, found -1"),
        ({"size": (3,)}, "size.1: is missing"),
        ({"size": (0, 3)}, "size.0: .* greater than or equal to 1, found 0"),
    ],
)
def test_bad_fields(fields, message):
    with pytest.raises(InputError, match=message):
        Binning(**fields)


def test_binning_that_does_not_fit_the_data():
    with pytest.raises(InputError, match="binning: digits is image data and has no event lists to bin"):
        load_dataset("digits", binning=Binning(steps=3))
    with pytest.raises(InputError, match=r"binning.size: 1 x 21 is larger than the sensor of 1 x 20"):
        load_dataset("randman", binning=Binning(size=(1, 21)))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([], [], [], []), "x.bin: holds no events"),
        (([0, 4], [0, 0], [0, 1], [0, 0]), r"x.bin, event 1: pixel \(4, 0\) lies outside the sensor of 4 x 2"),
        (([0, 1], [0, -1], [0, 1], [0, 0]), r"x.bin, event 1: pixel \(1, -1\) lies outside"),
        (([0], [0], [0], [2]), "x.bin, event 0: polarity 2, expected 0..1"),
        (([0], [0], [-5], [0]), "x.bin, event 0: time -5 us is before"),
        (([0, 0, 0], [0, 0, 0], [0, 9, 8], [0, 0, 0]), "x.bin, event 2: time 8 us comes after 9 us"),
    ],
)
def test_bad_recordings(columns, message):
    with pytest.raises(DataError, match=message):
        check_events(make_events(*columns), SENSOR, "x.bin")
