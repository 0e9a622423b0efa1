"""Interleaved timing: contenders take turns in one process, so that whatever slows the machine slows them all.

A round visits every contender once. Rounds start at another contender each time and every second one runs backwards,
so nobody is always first, nor always behind the same neighbour, and a drift of the machine cancels between the two
directions. What counts is the ratio to the reference *within* a round. This module knows callables and
a clock, nothing of networks, tensors or devices.
"""

from __future__ import annotations

import gc
import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from spikemark.core.measurement import Measurement
from spikemark.core.statistics import Interval, median_ratio_interval

Clock = Callable[[], float]
Contender = Callable[[], object]

# A sixth round gives the median its first 95 % interval.
FEWEST_ROUNDS = 6
# One visit lasts at least this long: 10^6 times the resolution of perf_counter on Linux, 10^4 times that on Windows.
VISIT_SECONDS = 1e-3
_MOST_REPEATS = 1 << 20


@dataclass(frozen=True)
class Budget:
    """When an interleaved run may stop.

    Attributes:
        seconds: time for one run, warm-up included; the fewest rounds are completed even beyond it.
        min_rounds: rounds before any stop, at least 6; below that a median has no 95 % interval.
        target_relative_error: stop once the interval of every ratio reaches at most this far from it, as a fraction.

    Raises:
        ValueError: a value is out of its range.
    """

    seconds: float = 1.0
    min_rounds: int = 8
    target_relative_error: float = 0.01

    def __post_init__(self) -> None:
        if not self.seconds > 0:
            raise ValueError(f"seconds: {self.seconds} is not positive")
        if self.min_rounds < FEWEST_ROUNDS:
            raise ValueError(f"min_rounds: {self.min_rounds} is below {FEWEST_ROUNDS}")
        if not self.target_relative_error > 0:
            raise ValueError(f"target_relative_error: {self.target_relative_error} is not positive")


@dataclass(frozen=True)
class Timings:
    """What an interleaved run measured.

    Attributes:
        reference: the contender that ratios are taken to.
        seconds: for each contender, seconds a call, one entry a round.
        first_call: for each contender, seconds of its very first call in this run.
        repeats: for each contender, calls in one timed visit.
        precise: whether the target was reached within the budget.
    """

    reference: str
    seconds: Mapping[str, tuple[float, ...]]
    first_call: Mapping[str, float]
    repeats: Mapping[str, int]
    precise: bool

    @property
    def rounds(self) -> int:
        """How many rounds were run."""
        return len(self.seconds[self.reference])

    def median(self, name: str) -> float:
        """Seconds a call, the median over rounds."""
        return statistics.median(self.seconds[name])

    def ratios(self, name: str) -> list[float]:
        """Time of `name` divided by that of the reference, round by round."""
        return _ratios(self.seconds[name], self.seconds[self.reference])

    def ratio(self, name: str) -> Interval:
        """Median of `ratios` with its 95 % interval: above 1, `name` is slower than the reference."""
        return median_ratio_interval([self.ratios(name)])


def visiting_order(names: Sequence[str], round_number: int) -> list[str]:
    """The order of contenders in a round: pairs of rounds start one contender later, the second of a pair reversed."""
    start = round_number // 2 % len(names)
    order = [*names[start:], *names[:start]]
    return order[::-1] if round_number % 2 else order


def interleave(
    contenders: Mapping[str, Contender],
    budget: Budget,
    *,
    reference: str | None = None,
    visit_seconds: float = VISIT_SECONDS,
    clock: Clock = time.perf_counter,
    synchronize: Callable[[], object] | None = None,
) -> Timings:
    """Time contenders against each other, round-robin, until their ratios to the reference are known well enough.

    Every contender is called once (its first call, kept apart), then warmed up while the number of calls in one
    visit is calibrated. A visit begins with one call that is not timed: it brings back to the caches what the others
    pushed out. The garbage collector works between visits, never in one.

    Args:
        contenders: the work of each; the return value is dropped.
        budget: when to stop.
        reference: what ratios are relative to; the first contender when None. With no other one, the run ends when its
            own time is known well enough.
        visit_seconds: how long one timed visit lasts at least.
        clock: seconds, increasing.
        synchronize: waits for work that was only queued, as on a GPU; called at both ends of every visit.

    Raises:
        ValueError: no contenders, the reference is none of them, or one does too little for the clock.
    """
    names = list(contenders)
    chosen = reference if reference is not None else next(iter(names), "")
    if chosen not in contenders:
        raise ValueError(f"the reference {chosen!r} is no contender (there are: {', '.join(names) or 'none'})")

    def visit(name: str, repeats: int, *, lead: bool = True) -> float:
        work = contenders[name]
        gc.collect(0)
        if lead:
            work()
        if synchronize is not None:
            synchronize()
        start = clock()
        for _ in range(repeats):
            work()
        if synchronize is not None:
            synchronize()
        return clock() - start

    end = clock() + budget.seconds
    gc.collect()
    with collector_paused():
        first_call = {name: visit(name, 1, lead=False) for name in names}
        repeats = {name: calibrate(name, partial(visit, name), visit_seconds) for name in names}
        seconds: dict[str, list[float]] = {name: [] for name in names}
        precise = False
        check_at = budget.min_rounds
        while not precise:
            done = len(seconds[chosen])
            if done >= budget.min_rounds and clock() >= end:
                break
            for name in visiting_order(names, done):
                seconds[name].append(visit(name, repeats[name]) / repeats[name])
            if done + 1 >= check_at:
                # Looking after every round would stop at the first lucky one.
                check_at = math.ceil((done + 1) * 1.25)
                precise = _precise(seconds, chosen, budget.target_relative_error)
    return Timings(chosen, {name: tuple(s) for name, s in seconds.items()}, first_call, repeats, precise)


def calibrate(name: str, visit: Callable[[int], float], visit_seconds: float) -> int:
    """How many calls fill a visit, by growing visits that warm the contender up on the way."""
    repeats = 1
    while (elapsed := visit(repeats)) < visit_seconds:
        if repeats == _MOST_REPEATS:
            raise ValueError(f"{repeats} calls of {name!r} took {elapsed:g} s: too little work to be timed")
        # At most tenfold at once, since short visits are the least certain.
        wanted = repeats * 1.2 * visit_seconds / elapsed if elapsed > 0 else math.inf
        repeats = min(max(2 * repeats, math.ceil(min(wanted, 10 * repeats))), _MOST_REPEATS)
    return repeats


def _precise(seconds: Mapping[str, Sequence[float]], reference: str, target: float) -> bool:
    base = seconds[reference]
    ratios: list[Sequence[float]] = [_ratios(own, base) for name, own in seconds.items() if name != reference] or [base]
    intervals = [median_ratio_interval([values]) for values in ratios]
    return all(max(i.high - i.value, i.value - i.low) <= target * i.value for i in intervals)


def _ratios(own: Sequence[float], reference: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(own, reference, strict=True)]


@contextmanager
def collector_paused() -> Iterator[None]:
    """Within, nothing is looked for; afterwards as before."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def timed_row(metric: str, unit: str, values: Sequence[float]) -> Measurement:
    """The median over rounds with its 95 % interval and the rounds themselves."""
    rounds = [rounded(value) for value in values]
    interval = median_ratio_interval([rounds])
    return {
        "metric": metric,
        "value": rounded(interval.value),
        "unit": unit,
        "low": interval.low,
        "high": interval.high,
        "values": rounds,
    }


def rounded(value: float) -> float:
    """Six digits: finer than any timing repeats, a third of the text in a record."""
    return float(f"{value:.6g}")
