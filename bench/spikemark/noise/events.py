"""What happens to event lists before they are binned, with tonic's transforms where tonic has them and does as it says.

Every noise is a maker ``(sensor, duration, level, random)`` of a change of one recording; what the maker draws is the
same for all samples (hot pixels), what the change draws is not. Times are fractions of the binned window and amounts
are relative to the recording, so that a level means the same to a camera and to a silicon ear.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from spikemark.data.binning import Events, Sensor, make_events
from spikemark.errors import InputError
from spikemark.noise.case import Case, Perturb

Change = Callable[[Events], Events]
Make = Callable[[Sensor, int, float, np.random.Generator], Change]
HOT_RATE = 10.0


def on_events(make: Make) -> Perturb:
    """A noise that changes every recording behind the samples and bins it anew."""

    def perturb(case: Case, level: float, generator: torch.Generator) -> AbstractContextManager[Case]:
        recordings = case.recordings
        if recordings is None:
            raise InputError("this noise disturbs event lists; the samples have none")
        if len(recordings) != len(case.inputs):
            raise InputError(f"{recordings.name}: {len(recordings)} recordings for {len(case.inputs)} samples")
        window = recordings.binning.window_us
        assert window is not None
        with _draws_of_numpy(generator) as random:
            change = make(recordings.sensor, window, level, random)
            noisy = recordings.frames(lambda events: change(events) if len(events) else events)
        return nullcontext(replace(case, inputs=noisy))

    return perturb


@contextmanager
def _draws_of_numpy(generator: torch.Generator) -> Iterator[np.random.Generator]:
    """Draws that follow from `generator`: tonic's, from numpy's global generator, restored afterwards, and ours."""
    seeds = torch.randint(2**32, (2,), generator=generator).tolist()
    before = np.random.get_state()
    np.random.seed(seeds[0])
    try:
        yield np.random.default_rng(seeds[1])
    finally:
        np.random.set_state(before)


def _tonic() -> Any:
    try:
        from tonic import transforms
    except ModuleNotFoundError as error:
        raise InputError("noise on events needs tonic: pip install 'spikemark[events]'") from error
    return transforms


def event_drop(sensor: Sensor, duration: int, level: float, random: np.random.Generator) -> Change:
    """Lose the fraction `level` of the events."""
    return _changing(_tonic().DropEvent(p=level))


def drop_by_time(sensor: Sensor, duration: int, level: float, random: np.random.Generator) -> Change:
    """Lose the events of an interval at a random place, `level` of the time up to the last event."""
    return _changing(_tonic().DropEventByTime(duration_ratio=level))


def drop_by_area(sensor: Sensor, duration: int, level: float, random: np.random.Generator) -> Change:
    """Lose the events of a box of `level` of both sides at a random place, in each recording its own.

    On a line of channels, where tonic's box has no height and drops nothing, a band of `level` of them.
    """
    width, height, _ = sensor
    if height > 1:
        return _changing(_tonic().DropEventByArea(sensor_size=sensor, area_ratio=level))
    band = max(1, int(width * level))

    def change(events: Events) -> Events:
        start = random.integers(width - band + 1)
        kept: Events = events[(events["x"] < start) | (events["x"] >= start + band)]
        return kept

    return change


def time_jitter(sensor: Sensor, duration: int, level: float, random: np.random.Generator) -> Change:
    """Move every event in time by a normal draw of standard deviation `level` windows; some leave the window."""
    return _changing(_tonic().TimeJitter(std=level * duration, clip_negative=True, sort_timestamps=True))


def spatial_jitter(sensor: Sensor, duration: int, level: float, random: np.random.Generator) -> Change:
    """Move every event by a normal draw of standard deviation `level` pixels in each direction; some leave the sensor.

    tonic draws; rounding is ours, because tonic cuts fractions off, which shifts everything by half a pixel.
    """
    width, height, _ = sensor
    jitter = _tonic().SpatialJitter(sensor_size=sensor, var_x=level**2, var_y=level**2 if height > 1 else 0.0)
    exact = np.dtype([("x", np.float64), ("y", np.float64), ("t", np.int32), ("p", np.int8)])

    def change(events: Events) -> Events:
        moved = jitter(events.astype(exact))
        x, y = np.rint(moved["x"]), np.rint(moved["y"])
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        return make_events(x[inside], y[inside], moved["t"][inside], moved["p"][inside])

    return change


def background(sensor: Sensor, duration: int, level: float, random: np.random.Generator) -> Change:
    """Add `level` events for each event of the recording, anywhere on the sensor and at any time of the recording."""
    from tonic.functional import uniform_noise_numpy

    def change(events: Events) -> Events:
        noisy: Events = uniform_noise_numpy(events, sensor, round(level * len(events)))
        return noisy

    return change


def hot_pixels(sensor: Sensor, duration: int, level: float, random: np.random.Generator) -> Change:
    """The fraction `level` of the pixels, the same in all recordings, fires ten times as often as pixels do on average.

    Their events come at random times of the window with random polarity.
    """
    width, height, polarities = sensor
    pixels = width * height
    hot = random.permutation(pixels)[: max(1, round(level * pixels))]

    def change(events: Events) -> Events:
        count = max(1, round(HOT_RATE * len(events) / pixels))
        x, y = np.tile(hot % width, count), np.tile(hot // width, count)
        times, signs = random.integers(duration, size=len(x)), random.integers(polarities, size=len(x))
        together = np.concatenate((events, make_events(x, y, times, signs)))
        ordered: Events = together[np.argsort(together["t"], kind="stable")]
        return ordered

    return change


def refractory_period(sensor: Sensor, duration: int, level: float, random: np.random.Generator) -> Change:
    """Lose an event when its pixel had one, lost or not, within `level` windows before it.

    As tonic's transform, whose loop in Python over all events would take most of a sweep; a test holds both together.
    """
    width, _, _ = sensor
    period = level * duration

    def change(events: Events) -> Events:
        pixel = events["y"].astype(np.int64) * width + events["x"]
        order = np.argsort(pixel, kind="stable")  # within a pixel, in order of time
        times, pixel = events["t"][order], pixel[order]
        late = np.ones(len(events), dtype=bool)
        late[1:] = (np.diff(pixel) != 0) | (np.diff(times) > period)
        kept: Events = events[np.sort(order[late])]
        return kept

    return change


def polarity_flip(sensor: Sensor, duration: int, level: float, random: np.random.Generator) -> Change:
    """Turn the polarity of each event over with probability `level`; tonic's transform turns whole recordings."""

    def change(events: Events) -> Events:
        flipped = events.copy()
        flipped["p"] ^= random.random(len(events)) < level
        return flipped

    return change


def time_skew(sensor: Sensor, duration: int, level: float, random: np.random.Generator) -> Change:
    """Run each recording's clock ``1 + level`` times too slow or too fast, with equal chance."""
    skew = _tonic().functional.time_skew_numpy

    def change(events: Events) -> Events:
        skewed: Events = skew(events.copy(), (1 + level) ** random.choice((-1.0, 1.0)))
        return skewed

    return change


def _changing(transform: Any) -> Change:
    """A transform of tonic's; those that write in place get a copy."""

    def change(events: Events) -> Events:
        changed: Events = transform(events.copy())
        return changed

    return change
