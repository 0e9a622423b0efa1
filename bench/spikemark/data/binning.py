"""From event lists to frames: what one event is, and how recordings are cut into time steps. Knows no files.

A recording is a structured array of `EVENT` in order of time. Binning is exact counting in whole numbers, so the same
events give the same frames on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikemark.data.card import Binning, Sensor
from spikemark.errors import DataError

EVENT = np.dtype([("x", np.int16), ("y", np.int16), ("t", np.int32), ("p", np.int8)])
"""Column, row, microseconds since the recording's start, polarity; tonic's names of the fields."""

Events = NDArray[np.void]


def bin_events(events: Events, sensor: Sensor, binning: Binning) -> NDArray[Any]:
    """Frames ``[steps, *binning.shape(sensor)]`` of one recording.

    Args:
        events: of dtype `EVENT`, in order of time, inside the sensor.
        sensor: that recorded them.
        binning: without None, except for `size`.

    Returns:
        uint8 0 and 255 in mode "binary", float32 in 0..1 in mode "count".
    """
    steps, window, full_scale = binning.steps, binning.window_us, binning.full_scale
    assert steps is not None
    assert window is not None
    assert full_scale is not None
    width, height, polarities = sensor
    rows, columns = binning.size or (height, width)
    planes = 1 if binning.polarities == "merge" else polarities
    x, y, t, p = (events[name].astype(np.int64) for name in ("x", "y", "t", "p"))
    inside = np.flatnonzero((t >= 0) & (t < window))
    if binning.by == "time":
        bins = t[inside] * steps // window
    else:
        bins = np.arange(len(inside)) * steps // max(1, len(inside))
    plane = p[inside] if planes > 1 else 0
    place = ((bins * planes + plane) * rows + y[inside] * rows // height) * columns + x[inside] * columns // width
    shape = (steps, *binning.shape(sensor))
    size = steps * planes * rows * columns
    if binning.mode == "binary":
        frames = np.zeros(size, dtype=np.uint8)
        frames[place] = 255
        return frames.reshape(shape)
    counts = np.bincount(place, minlength=size)
    return np.minimum(counts / full_scale, 1).astype(np.float32).reshape(shape)


def make_events(x: Any, y: Any, t: Any, p: Any) -> Events:
    """A recording from its columns, or numbers that hold for all its events but x."""
    events = np.empty(len(x), dtype=EVENT)
    events["x"], events["y"], events["t"], events["p"] = x, y, t, p
    return events


def check_events(events: Events | Mapping[str, NDArray[np.int64]], sensor: Sensor, origin: str) -> None:
    """That a recording holds events, all of them inside the sensor and in order of time.

    Args:
        events: the fields of `EVENT`, in types that hold whatever the file holds.
        sensor: that recorded them.
        origin: the file, for the message.

    Raises:
        DataError: it does not; the message names origin and event.
    """
    width, height, polarities = sensor
    x, y, t, p = (events[name] for name in ("x", "y", "t", "p"))
    if len(t) == 0:
        raise DataError(f"{origin}: holds no events")
    outside = np.flatnonzero((x < 0) | (x >= width) | (y < 0) | (y >= height))
    if outside.size:
        i = int(outside[0])
        raise DataError(f"{origin}, event {i}: pixel ({x[i]}, {y[i]}) lies outside the sensor of {width} x {height}")
    strange = np.flatnonzero((p < 0) | (p >= polarities))
    if strange.size:
        i = int(strange[0])
        raise DataError(f"{origin}, event {i}: polarity {p[i]}, expected 0..{polarities - 1}")
    if t[0] < 0:
        raise DataError(f"{origin}, event 0: time {t[0]} us is before the recording's start")
    backwards = np.flatnonzero(np.diff(t) < 0)
    if backwards.size:
        i = int(backwards[0]) + 1
        raise DataError(f"{origin}, event {i}: time {t[i]} us comes after {t[i - 1]} us")
