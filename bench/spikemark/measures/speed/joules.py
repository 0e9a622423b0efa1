"""Measured energy of networks: windows of repeated inference and of idling take turns, each between two readings.

The order of windows is that of `timing`, so that whatever the machine does meanwhile falls on all contenders alike,
and ratios are taken within a round. ``docs/energy.md`` says what the numbers can and cannot tell.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from spikemark.core.measurement import Measurement
from spikemark.errors import InputError
from spikemark.measures.speed.joule_counter import Reading
from spikemark.measures.speed.points import TRACKS
from spikemark.measures.speed.timing import (
    Clock,
    Contender,
    calibrate,
    collector_paused,
    timed_row,
    visiting_order,
)

__all__ = ["Window", "joule_rows", "windows"]

IDLE = "idle"
REFERENCE = "reference"
# Between two looks at the clock there is work for as long as this: waiting for a GPU costs little of it.
_LOOK_SECONDS = 0.02


class Counter(Protocol):
    """What reads joules, see `spikemark.measures.speed.joule_counter`."""

    def begin(self) -> None:
        """Begin a window."""

    def end(self) -> Reading:
        """End it."""


@dataclass(frozen=True)
class Window:
    """What one window took.

    Attributes:
        calls: how often the contender ran in it.
        reading: what the counter told.
    """

    calls: int
    reading: Reading


def windows(
    contenders: Mapping[str, Contender],
    counter: Counter,
    *,
    seconds: float,
    rounds: int,
    synchronize: Callable[[], object] | None = None,
    check: Callable[[], object] = lambda: None,
    clock: Clock = time.perf_counter,
    sleep: Callable[[float], object] = time.sleep,
) -> dict[str, list[Window]]:
    """Read the counter over windows of each contender and of idling, round-robin.

    A window begins behind one call that is not counted, and ends with the call in which its time is up.

    Args:
        contenders: the work of each.
        counter: of joules.
        seconds: that a window lasts at least.
        rounds: windows of each.
        synchronize: waits for work that was only queued, as on a GPU.
        check: called after every round; raises when time is up.
        clock: seconds, increasing.
        sleep: passes so many seconds without work.

    Returns:
        The windows by contender and, as "idle", of a process that sleeps; one for each round.
    """
    wait = synchronize or (lambda: None)

    def run(work: Contender, calls: int) -> float:
        start = clock()
        for _ in range(calls):
            work()
        wait()
        return clock() - start

    def work_until(work: Contender, calls: int, end: float) -> int:
        done = 0
        while clock() < end:
            run(work, calls)
            done += calls
        return done

    def window(name: str) -> Window:
        gc.collect(0)
        if name == IDLE:
            counter.begin()
            sleep(seconds)
            return Window(0, counter.end())
        run(contenders[name], 1)
        counter.begin()
        calls = work_until(contenders[name], repeats[name], clock() + seconds)
        return Window(calls, counter.end())

    gc.collect()
    with collector_paused():
        repeats = {
            name: calibrate(name, lambda calls, work=work: run(work, calls), _LOOK_SECONDS)  # type: ignore[misc]
            for name, work in contenders.items()
        }
        names = [*contenders, IDLE]
        found: dict[str, list[Window]] = {name: [] for name in names}
        for done in range(rounds):
            for name in visiting_order(names, done):
                found[name].append(window(name))
            check()
    return found


def joule_rows(found: Mapping[str, Sequence[Window]], samples: int) -> list[Measurement]:
    """What windows say, as the rows of a record.

    Args:
        found: see `windows`.
        samples: in one call of a contender.

    Returns:
        By source as ``profile``: ``joules`` per sample and ``power`` (W) of each track, ``joules_ratio`` where there is
        a "reference", and ``idle_power`` (W). A source that stood still in a window has no rows.

    Raises:
        InputError: all of them stood still in one.
    """
    moving = [
        source
        for source in found[IDLE][0].reading.joules
        if all(window.reading.joules[source] > 0 for own in found.values() for window in own)
    ]
    if not moving:
        shortest = min(window.reading.seconds for own in found.values() for window in own)
        names = ", ".join(found[IDLE][0].reading.joules)
        raise InputError(f"the energy counter {names} stood still in a window of {shortest:.2g} s; ask for longer ones")
    rows: list[Measurement] = []
    for source in moving:
        own: list[Measurement] = [timed_row("idle_power", "W", _powers(found[IDLE], source))]
        for track in (track for track in TRACKS if track in found):
            joules = _per_sample(found[track], source, samples)
            timed = [timed_row("joules", "J/sample", joules), timed_row("power", "W", _powers(found[track], source))]
            if REFERENCE in found:
                others = _per_sample(found[REFERENCE], source, samples)
                ratios = [a / b for a, b in zip(joules, others, strict=True)]
                timed.append(timed_row("joules_ratio", "x reference", ratios))
            own += [row | {"track": track} for row in timed]
        rows += [row | {"profile": source} for row in own]
    return rows


def _powers(own: Sequence[Window], source: str) -> list[float]:
    return [window.reading.joules[source] / window.reading.seconds for window in own]


def _per_sample(own: Sequence[Window], source: str, samples: int) -> list[float]:
    return [window.reading.joules[source] / (window.calls * samples) for window in own]
