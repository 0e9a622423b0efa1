"""The leaderboard: one row per system of a group, frameworks that agree collapsed, ranks shared by ties."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from statistics import fmean
from types import MappingProxyType

from spikemark.core.statistics import Interval, Runs, mean_interval
from spikemark.errors import InputError
from spikemark.registry import registry
from spikemark.report.accuracy import Results, apart, results_of
from spikemark.report.cells import BASELINE, Cells, axis
from spikemark.report.comparisons import Ranking, rank, weight
from spikemark.report.curves import mean_under_noise
from spikemark.report.families import Judged, judged
from spikemark.report.model import ABSENT, DASH, TIMES, Entry, Table, decimals, estimate, number, slug
from spikemark.report.throughput import typical

NOISY = "under noise (%)"
LOST = "lost to "
ENERGY = f"energy ({TIMES} {BASELINE})"
TRAINING, INFERENCE = f"training ({TIMES})", f"inference ({TIMES})"
PRIORITIES: Mapping[str, str] = {
    "accuracy": "accuracy (%)",
    "robustness": NOISY,
    "energy": ENERGY,
    "training speed": TRAINING,
    "inference speed": INFERENCE,
    "memory": "memory (MiB)",
}
"""What may matter most, and the column that answers it."""
LESS_IS_BETTER = (ENERGY, "memory (MiB)")
_ARXIV = re.compile(r"arXiv (\d{4}\.\d{4,5})")


@dataclass(frozen=True)
class Home:
    """Where the records of a system lie.

    Attributes:
        tier: how far its numbers are confirmed.
        folder: of the records.
        page: name of the page with everything that was measured.
    """

    tier: str
    folder: str
    page: str


@dataclass(frozen=True)
class Origin:
    """Where the numbers of a row come from.

    Attributes:
        anchor: in links.
        system: whose they are.
        home: where its records lie.
        command: measures them again.
        commits: of Spikemark, when they were measured.
        records: keys of the records by measure.
    """

    anchor: str
    system: str
    home: Home
    command: str
    commits: tuple[str, ...]
    records: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class Board:
    """One group of a suite.

    Attributes:
        suite: its name.
        dataset: the data set.
        network: the network.
        where: what tells the group apart, data set and network first.
        table: one row per system.
        origins: of the rows, in order.
        weight: what it rests on.
    """

    suite: str
    dataset: str
    network: str
    where: str
    table: Table
    origins: tuple[Origin, ...]
    weight: tuple[int, ...]

    @property
    def firmness(self) -> tuple[bool, tuple[int, ...]]:
        """What to show first: matched neurons before others, then what rests on most."""
        return "native" not in self.where, self.weight

    @property
    def pages(self) -> tuple[str, ...]:
        """Names of the pages that have all the numbers behind it."""
        return tuple(dict.fromkeys(origin.home.page for origin in self.origins))


def boards(suite: str, cells: Cells, homes: Mapping[str, Home] = MappingProxyType({})) -> Iterator[Board]:
    """A board for every group of which systems were trained.

    Args:
        suite: its name.
        cells: its records.
        homes: of systems that others handed in; the rest are ours.
    """
    ours = Home("measured here", f"the results of {suite}", slug(suite))
    for where, group in cells.by_measure("accuracy", "energy", "robustness").groups():
        trained = group.where(measure="accuracy").ok
        systems = trained.names("system")
        if len(systems) < 2:
            continue
        (place,) = trained.names("dataset", "network", "variant")
        # Timings train nothing, so their settings are others'.
        timed = cells.where(measure="throughput", **dict(zip(("dataset", "network", "variant"), place, strict=True)))
        timed = next(timed.editions())[1] if timed.records else timed
        name = slug(f"{suite} {where}")
        shown = _shown(group, trained)
        by_name = {system: _origin(name, suite, system, homes.get(system, ours), shown, timed) for (system,) in systems}
        table, order = _table(where, group, shown, timed, by_name)
        ranked_origins = tuple(by_name[system] for system in order)
        yield Board(suite, place[0], place[1], where, table, ranked_origins, weight(trained))


def _shown(group: Cells, trained: Cells) -> Cells:
    """What rows show: of each system the records of the leading framework, or of the first one that has it."""
    speaking: dict[str, str] = {}
    for framework, system in trained.names("framework", "system"):
        if framework == trained.leading or system not in speaking:
            speaking[system] = framework
    return Cells(tuple(r for r in group if speaking.get(axis(r, "system")) == axis(r, "framework")))


def _table(
    where: str, group: Cells, leading: Cells, timed: Cells, origins: Mapping[str, Origin]
) -> tuple[Table, list[str]]:
    trained = leading.where(measure="accuracy").ok
    every, _ = results_of(group.where(measure="accuracy").ok)
    frameworks = {system: framework for framework, system in trained.names("framework", "system")}
    results = {system: runs for system, framework in frameworks.items() if (runs := every[framework, system])}
    ranks = _ranks(results)
    energies, families = _energies(leading), judged(group, group.where(measure="accuracy").ok.leading)
    ranking = rank(results, leading.baseline)
    order = sorted(results, key=lambda name: (ranks[name], -mean_interval(results[name]).value))
    columns: dict[str, list[Entry]] = {}
    for system in order:
        here, own = leading.where(system=system), timed.where(system=system)
        neuron = here.names("neuron")[0][0]
        accuracy = mean_interval(results[system], bounds=(0, 1))
        rate = here.runs("firing_rate")
        row = {
            "rank": Entry(str(ranks[system]), float(ranks[system])),
            "system": Entry(system),
            "neuron": Entry(neuron),
            "accuracy (%)": Entry(estimate(accuracy, 100, 1), 100 * accuracy.value, strong=ranks[system] == 1),
            f"against {BASELINE}": _verdict(ranking, system),
            NOISY: _noisy(here.where(measure="robustness")),
            **{f"{LOST}{family}": _lost(families, family, system) for family in families.families},
            ENERGY: _ratio(energies.get(system)),
            "firing rate (%)": Entry(number(100 * fmean(rate.values()), 1), 100 * fmean(rate.values()))
            if rate
            else ABSENT,
            TRAINING: _speeds(own, "training_samples_per_second_ratio"),
            INFERENCE: _speeds(own, "samples_per_second_ratio"),
            "memory (MiB)": _speeds(own, "peak_memory", 2**-20),
            "seeds": Entry(str(accuracy.n), float(accuracy.n)),
            **({"tier": Entry(origins[system].home.tier)} if len({one.home for one in origins.values()}) > 1 else {}),
            "frameworks": _frameworks(every, frameworks[system], system),
            "route": _routes(group, system),
            "paper": _paper(system),
        }
        for heading, entry in row.items():
            linked = entry.sort is not None and heading not in ("rank", "seeds")
            columns.setdefault(heading, []).append(
                replace(entry, link=f"#{origins[system].anchor}") if linked else entry
            )
    rows = tuple(zip(*columns.values(), strict=True))
    return Table(where, tuple(columns), rows, 3), order


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


def _verdict(ranking: Ranking, system: str) -> Entry:
    test = ranking.against_baseline.get(system)
    if test is None:
        return Entry("(itself)", tone="muted") if system == ranking.baseline else ABSENT
    return Entry(test.verdict, 100 * test.difference.value, tone=test.tone)


def _lost(families: Judged, family: str, system: str) -> Entry:
    """Points lost beyond the baseline's own loss; in colour where the corrected test tells them apart."""
    value = families.points(family, system)
    if value is None:
        return ABSENT
    test = families.tests.get((family, system))
    return Entry(number(value, 1), value, tone=test.tone if test else "")


def _energies(own: Cells) -> dict[str, Interval]:
    """Energy relative to the baseline neuron, by system."""
    base = own.baseline
    if base is None:
        return {}
    costs = {system: own.where(system=system).runs("energy", profile=own.profile) for (system,) in own.names("system")}
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


def _speeds(own: Cells, metric: str, scale: float = 1.0) -> Entry:
    """The best framework's, by name; those of all frameworks for the page, whose reader may choose one."""
    found = {
        framework: scale * median.value
        for (framework,) in own.names("framework")
        if (median := typical(own.where(framework=framework), metric, "matched")) is not None
    }
    if not found:
        return ABSENT
    best = (min if metric == "peak_memory" else max)(found, key=lambda framework: found[framework])
    texts = {name: number(value, decimals([value])) for name, value in found.items()}
    by = {name: [texts[name], value] for name, value in found.items()}
    return Entry(f"{texts[best]} {best}", found[best], data={"by": json.dumps(by, sort_keys=True)})


def _frameworks(results: Results, leading: str, system: str) -> Entry:
    """Those on which it was trained: how many agree, and behind that what each reached."""
    own = {framework: runs for (framework, name), runs in results.items() if name == system and runs}
    reached = {name: number(100 * mean_interval(runs, bounds=(0, 1)).value, 1) for name, runs in own.items()}
    names = json.dumps(sorted(own))
    if len(own) == 1:
        return Entry(leading, data={"names": names})
    differ = apart(results, leading, system)
    summary = f"{len(own)} alike" if not differ else f"{len(differ)} of {len(own)} differ"
    return Entry(", ".join(f"{name} {text}" for name, text in reached.items()), summary=summary, data={"names": names})


def _routes(group: Cells, system: str) -> Entry:
    kinds: dict[str, list[str]] = {}
    for record in group.where(system=system):
        if "kind" in record["route"]:
            kinds.setdefault(record["route"]["kind"], []).append(record["cell"]["framework"])
    told = [f"{kind}: {', '.join(dict.fromkeys(names))}" for kind, names in sorted(kinds.items())]
    if not told:
        return ABSENT
    return Entry("; ".join(told), summary=", ".join(sorted(kinds))) if len(told) > 1 else Entry(told[0])


def _paper(system: str) -> Entry:
    """The publication behind a system, as registered; linked where it has a number that links can be made of."""
    try:
        source = registry("system").source(system)
    except InputError:  # somebody's own, which is not registered here
        return ABSENT
    if not source:
        return ABSENT
    found = _ARXIV.search(source)
    return Entry(source, summary="source", link=f"https://arxiv.org/abs/{found[1]}" if found else "")


def _origin(board: str, suite: str, system: str, home: Home, shown: Cells, timed: Cells) -> Origin:
    """The records behind a row: those whose numbers it shows, and timings of all frameworks."""
    own = shown.where(system=system)
    records = [*own.ok, *timed.where(system=system).ok]
    keys: dict[str, list[str]] = {}
    for record in records:
        keys.setdefault(record["cell"]["measure"], []).append(record["key"])
    axes = {name: own.names(name)[0][0] for name in ("dataset", "variant")} if own.records else {}
    terms = [f"system={system}", *(f"{name}={value}" for name, value in axes.items() if value != DASH)]
    return Origin(
        f"{board}-{slug(system)}",
        system,
        home,
        f"spikemark run {suite} " + " ".join(f"--only {term}" for term in terms),
        tuple(sorted({record["environment"]["commit"] for record in records if record["environment"].get("commit")})),
        {measure: tuple(found) for measure, found in sorted(keys.items())},
    )
