"""What happens to event lists before they are binned, with tonic's transforms where tonic has them and does as it says.

Every noise is a maker ``(sensor, duration, level, random)`` of a change of one recording; what the maker draws is the
same for all samples (hot pixels), what the change draws is not. Times are fractions of the binned window and amounts
are relative to the recording, so that a level means the same to a camera and to a silicon ear. Recordings are changed
one after the other, so no draw depends on how many follow.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from spikemark.core.lazy import LazyModule
from spikemark.data.card import Sensor
from spikemark.errors import needs
from spikemark.noise.case import noise

if TYPE_CHECKING:
    import numpy as np

    from spikemark.data.binning import Events
else:
    np = LazyModule("numpy")

Change = Callable[["Events"], "Events"]
HOT_RATE = 10.0
_GU = "Gu et al., EventDrop, IJCAI 2021 (arXiv 2106.05836)"
_FENG = "Feng et al., Event density based denoising, Applied Sciences 10, 2020: background activity and hot pixels"


def _tonic() -> Any:
    with needs("events", "noise on events"):
        from tonic import transforms
    return transforms


@noise(
    "event-drop",
    domain="events",
    levels=(0.5, 0.65, 0.73, 0.78, 0.82),
    unit="fraction of events",
    summary="Events lost at random.",
    source=f"{_GU}; tonic DropEvent",
)
def event_drop(sensor: Sensor, duration: int, level: float, random: np.random.Generator) -> Change:
    """Lose the fraction `level` of the events."""
    return _changing(_tonic().DropEvent(p=level))


@noise(
    "drop-by-time",
    domain="events",
    levels=(0.2, 0.3, 0.37, 0.44, 0.5),
    unit="fraction of the recording",
    summary="All events of an interval lost.",
    source=f"{_GU}; tonic DropEventByTime",
)
def drop_by_time(sensor: Sensor, duration: int, level: float, random: np.random.Generator) -> Change:
    """Lose the events of an interval at a random place, `level` of the time up to the last event."""
    return _changing(_tonic().DropEventByTime(duration_ratio=level))


@noise(
    "drop-by-area",
    domain="events",
    levels=(0.15, 0.25, 0.35, 0.45, 0.53),
    unit="side of the box in sides",
    summary="All events of a box of pixels lost.",
    source=f"{_GU}; as tonic DropEventByArea",
)
def drop_by_area(sensor: Sensor, duration: int, level: float, random: np.random.Generator) -> Change:
    """Lose the events of a box of `level` of both sides at a random place, in each recording its own.

    On a line of channels, the box is a band of `level` of them. tonic's own transform never reaches the last row and
    the last column.
    """
    width, height, _ = sensor

    def change(events: Events) -> Events:
        outside = np.zeros(len(events), dtype=bool)
        for name, side in (("x", width), ("y", height)):
            length = max(1, int(side * level))
            start = random.integers(side - length + 1)
            outside |= (events[name] < start) | (events[name] >= start + length)
        kept: Events = events[outside]
        return kept

    return change


@noise(
    "time-jitter",
    domain="events",
    levels=(0.01, 0.03, 0.1, 0.3, 1.0),
    unit="standard deviation in windows",
    summary="Every event early or late by its own time.",
    source="tonic TimeJitter",
)
def time_jitter(sensor: Sensor, duration: int, level: float, random: np.random.Generator) -> Change:
    """Move every event in time by a normal draw of standard deviation `level` windows; some leave the window."""
    jittered = _changing(_tonic().TimeJitter(std=level * duration, clip_negative=True))
    return lambda events: _in_order(jittered(events))


@noise(
    "spatial-jitter",
    domain="events",
    levels=(0.5, 1.2, 1.7, 2.2, 2.6),
    unit="standard deviation in pixels",
    summary="Every event at a wrong pixel nearby.",
    source="tonic SpatialJitter",
)
def spatial_jitter(sensor: Sensor, duration: int, level: float, random: np.random.Generator) -> Change:
    """Move every event by a normal draw of standard deviation `level` pixels in each direction; some leave the sensor.

    tonic draws; rounding is ours, because tonic cuts fractions off, which shifts everything by half a pixel.
    """
    from spikemark.data.binning import make_events

    width, height, _ = sensor
    jitter = _tonic().SpatialJitter(sensor_size=sensor, var_x=level**2, var_y=level**2 if height > 1 else 0.0)
    exact = np.dtype([("x", np.float64), ("y", np.float64), ("t", np.int32), ("p", np.int8)])

    def change(events: Events) -> Events:
        moved = jitter(events.astype(exact))
        x, y = np.rint(moved["x"]), np.rint(moved["y"])
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        return make_events(x[inside], y[inside], moved["t"][inside], moved["p"][inside])

    return change


@noise(
    "background-noise",
    domain="events",
    levels=(0.1, 0.25, 0.4, 0.6, 0.8),
    unit="noise events per event",
    summary="Events from nowhere, evenly over sensor and time.",
    source=f"{_FENG}; tonic UniformNoise",
)
def background(sensor: Sensor, duration: int, level: float, random: np.random.Generator) -> Change:
    """Add `level` events for each event of the recording, anywhere on the sensor and at any time of the recording."""
    from tonic.functional import uniform_noise_numpy

    def change(events: Events) -> Events:
        return _in_order(uniform_noise_numpy(events, sensor, round(level * len(events))))

    return change


@noise(
    "hot-pixels",
    domain="events",
    levels=(0.005, 0.015, 0.04, 0.065, 0.09),
    unit="fraction of pixels",
    summary="Pixels that fire ten times as often as the others, always the same.",
    source=_FENG,
)
def hot_pixels(sensor: Sensor, duration: int, level: float, random: np.random.Generator) -> Change:
    """The fraction `level` of the pixels, the same in all recordings, fires ten times as often as pixels do on average.

    Their events come at random times of the window with random polarity.
    """
    from spikemark.data.binning import make_events

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


@noise(
    "refractory-period",
    domain="events",
    levels=(0.05, 0.08, 0.11, 0.15, 0.2),
    unit="windows",
    summary="Pixels that stay silent for a while after an event.",
    source="as tonic RefractoryPeriod",
)
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


@noise(
    "polarity-flip",
    domain="events",
    levels=(0.1, 0.2, 0.3, 0.4, 0.5),
    unit="probability per event",
    summary="Events of the other polarity.",
    source="as tonic RandomFlipPolarity, here event by event",
    polarities=2,
)
def polarity_flip(sensor: Sensor, duration: int, level: float, random: np.random.Generator) -> Change:
    """Turn the polarity of each event over with probability `level`; tonic's transform turns whole recordings."""

    def change(events: Events) -> Events:
        flipped = events.copy()
        flipped["p"] ^= random.random(len(events)) < level
        return flipped

    return change


@noise(
    "time-skew",
    domain="events",
    levels=(0.25, 0.6, 1.0, 1.6, 2.5),
    unit="relative error of the clock",
    summary="A clock that runs too slow or too fast.",
    source="tonic TimeSkew",
)
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


def _in_order(events: Events) -> Events:
    """By time, then by pixel and polarity.

    Bins of equal numbers of events depend on the order of events of one time. tonic leaves that to numpy's fastest
    sort, which gives another order on a processor with other instructions.
    """
    ordered: Events = events[np.lexsort((events["p"], events["x"], events["y"], events["t"]))]
    return ordered
