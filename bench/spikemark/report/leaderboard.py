"""The leaderboard: one row per system of a group, frameworks that agree collapsed, ranks shared by ties."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from spikemark.core.statistics import Interval, Runs, mean_interval
from spikemark.report.accuracy import ranked
from spikemark.report.cells import PROFILE, Cells
from spikemark.report.comparisons import rank
from spikemark.report.curves import mean_under_noise
from spikemark.report.model import ABSENT, TIMES, Entry, Table, decimals, estimate, number, slug
from spikemark.report.throughput import typical

MEANINGS: Mapping[str, str] = {
    "rank": "systems that a paired test cannot tell apart share a rank",
    "system": "neuron, network and rule of learning",
    "neuron": "name in the catalogue",
    "accuracy (%)": "test accuracy, mean over seeds and test samples [95 % interval]",
    "under noise (%)": "accuracy, mean over the noises and severities of the suite",
    f"energy ({TIMES} lif)": "energy per sample under the profile 45nm-fp32, divided by that of LIF",
    "firing rate (%)": "spikes per neuron and time step",
    f"training ({TIMES})": "training speed of the fastest framework, relative to the plain PyTorch reference",
    f"inference ({TIMES})": "inference speed of the fastest framework, relative to the plain PyTorch reference",
    "frameworks": "on which it was run; their matched layers compute the same spikes",
    "seeds": "independent trainings",
}
"""What each column means, by its heading."""


@dataclass(frozen=True)
class Board:
    """One group of a suite.

    Attributes:
        suite: its name.
        where: data set, network and what else tells the group apart.
        table: one row per system.
    """

    suite: str
    where: str
    table: Table

    @property
    def page(self) -> str:
        """Name of the suite's page."""
        return slug(self.suite)


def boards(suite: str, cells: Cells) -> Iterator[Board]:
    """A board for every group of which systems were trained."""
    for where, group in cells.by_measure("accuracy", "energy", "robustness").groups():
        trained = group.where(measure="accuracy").ok
        if len(trained.names("system")) > 1:
            (place,) = trained.names("dataset", "network", "variant")
            # Timings train nothing, so their settings are others'.
            timed = cells.where(
                measure="throughput", **dict(zip(("dataset", "network", "variant"), place, strict=True))
            )
            yield Board(suite, where, _table(where, group, trained, next(timed.editions())[1]))


def _table(where: str, group: Cells, trained: Cells, timed: Cells) -> Table:
    framework, _, results = ranked(trained)
    ranks = _ranks(results)
    energies = _energies(group.where(framework=framework))
    rows = []
    for system in sorted(results, key=lambda name: (ranks[name], -mean_interval(results[name]).value)):
        own = group.where(system=system)
        here = own.where(framework=framework)
        accuracy = mean_interval(results[system], bounds=(0, 1))
        rate = here.runs("firing_rate")
        names = ", ".join(name for (name,) in own.where(measure="accuracy").ok.names("framework"))
        rows.append(
            (
                Entry(str(ranks[system]), float(ranks[system])),
                Entry(system),
                Entry(own.names("neuron")[0][0]),
                Entry(estimate(accuracy, 100, 1), 100 * accuracy.value, strong=ranks[system] == 1),
                _noisy(here.where(measure="robustness")),
                _ratio(energies.get(system)),
                Entry(number(100 * _mean(rate), 1), 100 * _mean(rate)) if rate else ABSENT,
                _fastest(timed.where(system=system), "training_samples_per_second_ratio"),
                _fastest(timed.where(system=system), "samples_per_second_ratio"),
                Entry(names),
                Entry(str(accuracy.n), float(accuracy.n)),
            )
        )
    return Table(where, tuple(MEANINGS), tuple(rows), 3)


def _ranks(results: Mapping[str, Runs]) -> dict[str, int]:
    """The best and all that cannot be told from it come first; then the best of the rest, and so on."""
    ranks: dict[str, int] = {}
    left = dict(results)
    while left:
        place = len(ranks) + 1
        ranking = rank(left)
        level = [name for name in left if len(left) == 1 or ranking.mark(name)]
        ranks |= dict.fromkeys(level, place)
        left = {name: runs for name, runs in left.items() if name not in level}
    return ranks


def _energies(own: Cells) -> dict[str, Interval]:
    """Energy relative to the baseline neuron, by system."""
    base = own.baseline
    if base is None:
        return {}
    costs = {system: own.where(system=system).runs("energy", profile=PROFILE) for (system,) in own.names("system")}
    found = {}
    for system, runs in costs.items():
        shared = [seed for seed in runs if costs[base].get(seed, 0) > 0 and runs[seed] > 0]
        if shared:
            log = mean_interval({seed: math.log(runs[seed] / costs[base][seed]) for seed in shared})
            found[system] = Interval(math.exp(log.value), math.exp(log.low), math.exp(log.high), log.n)
    return found


def _noisy(own: Cells) -> Entry:
    runs = mean_under_noise(own)
    if not runs:
        return ABSENT
    interval = mean_interval(runs, bounds=(0, 1))
    return Entry(estimate(interval, 100, 1), 100 * interval.value)


def _ratio(interval: Interval | None) -> Entry:
    if interval is None:
        return ABSENT
    exact = interval.low == interval.high
    shown = Interval(interval.value, math.nan, math.nan, interval.n) if exact else interval
    return Entry(estimate(shown, digits=decimals([interval.value])), interval.value)


def _fastest(own: Cells, metric: str) -> Entry:
    ratios = {
        framework: ratio
        for (framework,) in own.names("framework")
        if (ratio := typical(own.where(framework=framework), metric, "matched")) is not None
    }
    if not ratios:
        return ABSENT
    best = max(ratios, key=lambda framework: ratios[framework].value)
    return Entry(f"{number(ratios[best].value, 2)} {best}", ratios[best].value)


def _mean(runs: Mapping[int, float]) -> float:
    return sum(runs.values()) / len(runs)
