"""Two functions against each other in one process: timed alternately, judged by the ratios of their rounds."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch

from spikemark.core.statistics import ALPHA
from spikemark.errors import InputError
from spikemark.regression.ratios import Ratio, median_ratio
from spikemark.regression.visit import time_in_turns

# Haybittle and Peto, as in `spikemark.regression.ab`: a look before the end takes overwhelming evidence.
_EARLY_ALPHA = 0.001
_LOOKS = 5


@dataclass(frozen=True)
class Race:
    """How two functions compare.

    Attributes:
        verdict: "slower", "not slower" or "undecided".
        ratio: time of the first, divided by that of the second, round by round.
        unrest: by how much the second seemed to differ from itself, as a factor of at least 1: the far end of the 95 %
            interval of its time when measured twice in every round.
        rounds: how many there were.
        seconds: that they took.
    """

    verdict: Literal["slower", "not slower", "undecided"]
    ratio: Ratio
    unrest: float
    rounds: int
    seconds: float

    def __str__(self) -> str:
        """In words, with the interval and how far the measurement is from resting."""
        low, high = (100 * (end - 1) for end in (self.ratio.low, self.ratio.high))
        return (
            f"{100 * (self.ratio.value - 1):+.1f} % [{low:+.1f}, {high:+.1f}] in {self.rounds} rounds of "
            f"{self.seconds:.1f} s; the same function twice: up to {100 * (self.unrest - 1):.1f} % apart"
        )


def race(first: Callable[[], object], than: Callable[[], object], *, budget: float = 2.0, floor: float = 0.05) -> Race:
    """Whether `first` takes more processor time than `than`, by more than `floor`.

    Every round times both functions and `than` once more. The two times of `than` show what this process cannot tell
    apart right now, and a slowdown must exceed the floor by more than that. It ends when the verdict is clear,
    looked at five times, or with the budget. The clock is the thread's processor time and torch runs in one thread,
    so that other processes do not count; work on a GPU, in other threads, or waiting is not seen.

    Args:
        first: without arguments.
        than: likewise.
        budget: seconds of measuring, at most; three rounds are always run.
        floor: the largest slowdown that passes, as a fraction.

    Raises:
        InputError: the budget or the floor is not positive, or infinite.
    """
    for option, value in (("budget", budget), ("floor", floor)):
        if not (value > 0 and math.isfinite(value)):
            raise InputError(f"{option} {value:g}: expected a positive number")
    works = {"first": first, "than": than, "than again": than}
    timed: dict[str, list[float]] = {name: [] for name in works}
    threads, collecting = torch.get_num_threads(), gc.isenabled()
    torch.set_num_threads(1)
    gc.collect()
    gc.freeze()  # so that the collection before each stretch of rounds is quick
    start = time.perf_counter()
    try:
        while True:
            for name, times in time_in_turns(works, budget / _LOOKS).items():
                timed[name] += times
            seconds = time.perf_counter() - start
            found = _judged(timed, floor, _EARLY_ALPHA if seconds < budget else ALPHA, seconds)
            if found.verdict != "undecided" or seconds >= budget:
                return found
    finally:
        gc.unfreeze()
        torch.set_num_threads(threads)
        (gc.enable if collecting else gc.disable)()


def _judged(timed: dict[str, list[float]], floor: float, alpha: float, seconds: float) -> Race:
    ratio = median_ratio(timed["first"], timed["than"], paired=True)
    again = median_ratio(timed["than again"], timed["than"], paired=True)
    if not (ratio.draws.size and again.draws.size):
        return Race("undecided", ratio, math.nan, ratio.n, seconds)
    unrest = max(again.high, 1 / again.low, 1.0)
    verdict: Literal["slower", "not slower", "undecided"] = "undecided"
    if ratio.p_beyond((1 + floor) * unrest) < alpha / 2:
        verdict = "slower"
    elif np.quantile(ratio.draws, 1 - alpha / 2) < math.log1p(floor):
        verdict = "not slower"
    return Race(verdict, ratio, unrest, ratio.n, seconds)
