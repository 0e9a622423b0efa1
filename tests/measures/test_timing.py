"""The interleaved timer, driven by a clock that only the contenders move."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest

from spikemark.measures.speed.timing import Budget, interleave, visiting_order


class FakeMachine:
    """A clock, and contenders that move it by what they cost."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[str] = []

    def clock(self) -> float:
        return self.now

    def contender(self, name: str, cost: Callable[[], float]) -> Callable[[], None]:
        def work() -> None:
            self.calls.append(name)
            self.now += cost()

        return work

    def contenders(self, **costs: float) -> dict[str, Callable[[], None]]:
        return {name: self.contender(name, lambda cost=cost: cost) for name, cost in costs.items()}  # type: ignore[misc]


def test_a_slowed_contender_is_seen_exactly() -> None:
    machine = FakeMachine()
    timings = interleave(
        machine.contenders(a=0.010, b=0.015, c=0.005), Budget(seconds=10.0), reference="a", clock=machine.clock
    )
    assert timings.median("b") == pytest.approx(0.015)
    ratio = timings.ratio("b")
    assert (ratio.low, ratio.value, ratio.high) == pytest.approx((1.5, 1.5, 1.5))
    assert timings.ratio("c").value == pytest.approx(0.5)
    assert timings.ratio("a").value == 1.0


def test_the_first_call_is_kept_apart() -> None:
    machine = FakeMachine()
    costs = iter([5.0])
    compiled = machine.contender("compiled", lambda: next(costs, 0.01))
    timings = interleave(
        {"plain": machine.contender("plain", lambda: 0.01), "compiled": compiled},
        Budget(seconds=100.0),
        clock=machine.clock,
    )
    assert timings.first_call["compiled"] == pytest.approx(5.0)
    assert max(timings.seconds["compiled"]) == pytest.approx(0.01)


def test_every_visit_leads_with_an_untimed_call() -> None:
    machine = FakeMachine()
    previous = ""

    def cost(name: str) -> float:
        nonlocal previous
        cold, previous = previous != name, name
        return 0.08 if cold else 0.02

    contenders = {name: machine.contender(name, lambda name=name: cost(name)) for name in "ab"}  # type: ignore[misc]
    timings = interleave(contenders, Budget(seconds=100.0), clock=machine.clock)
    assert set(np.round(timings.seconds["a"] + timings.seconds["b"], 9)) == {0.02}


def test_visits_last_longer_than_asked() -> None:
    machine = FakeMachine()
    timings = interleave(machine.contenders(slow=0.5, fast=1e-6), Budget(), visit_seconds=1e-3, clock=machine.clock)
    assert timings.repeats["slow"] == 1
    assert 1000 <= timings.repeats["fast"] <= 2500
    assert timings.median("fast") == pytest.approx(1e-6)


def test_work_that_the_clock_cannot_see_is_refused() -> None:
    machine = FakeMachine()
    with pytest.raises(ValueError, match="too little work"):
        interleave({"nothing": lambda: None}, Budget(), clock=machine.clock)


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_order_is_fair(count: int) -> None:
    names = [str(i) for i in range(count)]
    rounds = [visiting_order(names, r) for r in range(2 * count)]
    assert all(sorted(order) == sorted(names) for order in rounds)
    for place in range(count):
        assert set(Counter(order[place] for order in rounds).values()) == {2}
    neighbours = Counter(pair for order in rounds for pair in pairwise(order))
    assert all(neighbours[a, b] == neighbours[b, a] for a, b in neighbours)


def test_contenders_take_turns_in_that_order() -> None:
    machine = FakeMachine()
    timings = interleave(
        machine.contenders(a=1.0, b=1.0, c=1.0), Budget(seconds=1.0, min_rounds=6), clock=machine.clock
    )
    assert timings.rounds == 6
    expected = [name for r in range(6) for name in visiting_order(["a", "b", "c"], r) for _ in range(2)]
    assert machine.calls[-len(expected) :] == expected


def test_a_drift_cancels() -> None:
    machine = FakeMachine()
    drifting = {n: machine.contender(n, lambda: 0.01 * (1 + machine.now / 100)) for n in ("a", "b")}
    timings = interleave(drifting, Budget(seconds=60.0, min_rounds=500), clock=machine.clock)
    assert timings.seconds["a"][-1] > 1.2 * timings.seconds["a"][0]
    assert timings.ratio("b").value == pytest.approx(1.0, abs=2e-4)


def _noisy(machine: FakeMachine, spread: float) -> dict[str, Callable[[], None]]:
    rng = np.random.default_rng(0)
    return {n: machine.contender(n, lambda: float(0.01 * rng.lognormal(0, spread))) for n in ("a", "b")}


def test_it_stops_when_the_ratio_is_known_well_enough() -> None:
    rounds = {}
    for spread in (0.01, 0.1):
        machine = FakeMachine()
        timings = interleave(
            _noisy(machine, spread), Budget(seconds=1e6, target_relative_error=0.02), clock=machine.clock
        )
        ratio = timings.ratio("b")
        assert timings.precise
        assert max(ratio.high - ratio.value, ratio.value - ratio.low) <= 0.02 * ratio.value
        assert ratio.low <= 1.0 <= ratio.high
        rounds[spread] = timings.rounds
    assert rounds[0.01] < rounds[0.1]


def test_it_stops_when_the_budget_is_spent() -> None:
    machine = FakeMachine()
    timings = interleave(_noisy(machine, 0.5), Budget(seconds=2.0, target_relative_error=1e-6), clock=machine.clock)
    assert not timings.precise
    assert timings.rounds > 8
    assert 2.0 <= machine.now < 2.2


def test_the_fewest_rounds_are_run_beyond_the_budget() -> None:
    machine = FakeMachine()
    timings = interleave(machine.contenders(a=10.0, b=11.0), Budget(seconds=1.0, min_rounds=9), clock=machine.clock)
    assert timings.rounds == 9


def test_a_single_contender_is_timed_until_its_own_time_is_known() -> None:
    machine = FakeMachine()
    timings = interleave({"a": _noisy(machine, 0.1)["a"]}, Budget(1e6, 6, 0.02), clock=machine.clock)
    assert timings.precise
    assert timings.rounds > 20


def test_queued_work_is_waited_for() -> None:
    machine = FakeMachine()
    queue: list[float] = []

    def synchronize() -> None:
        machine.now += sum(queue)
        queue.clear()

    contenders = {"a": lambda: queue.append(0.01), "b": lambda: queue.append(0.03)}
    timings = interleave(contenders, Budget(), clock=machine.clock, synchronize=synchronize)
    assert timings.ratio("b").value == pytest.approx(3.0)


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_is_collected_between_visits_only(enabled: bool) -> None:
    machine = FakeMachine()
    seen = []

    def work() -> None:
        seen.append(gc.isenabled())
        machine.now += 0.01

    was = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        interleave({"a": work}, Budget(), clock=machine.clock)
        after = gc.isenabled()
    finally:
        (gc.enable if was else gc.disable)()
    assert seen
    assert not any(seen)
    assert after is enabled


def test_a_failing_contender_leaves_the_collector_as_it_was() -> None:
    def work() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interleave({"a": work}, Budget())
    assert gc.isenabled()


def test_bad_requests() -> None:
    with pytest.raises(ValueError, match="no contender"):
        interleave({}, Budget())
    with pytest.raises(ValueError, match=r"'c' is no contender \(there are: a\)"):
        interleave({"a": lambda: None}, Budget(), reference="c")
    for wrong in ({"seconds": 0.0}, {"min_rounds": 5}, {"target_relative_error": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Budget(**wrong)  # type: ignore[arg-type]
