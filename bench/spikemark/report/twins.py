"""Spiking networks beside dense ones: who is on the front of energy and accuracy, and at which rate both cost the same.

Dense is what has no spikes. A constant input is counted once here, as networks compute it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from spikemark.core.statistics import Runs, mean_interval, paired_difference
from spikemark.report.cells import Cells
from spikemark.report.model import ABSENT, TIMES, Entry, Table, estimate, n_entry, number, percent
from spikemark.report.plots import EnergyAccuracy, EnergyPoint, front
from spikemark.report.summary import positive

ONCE = "constant input once"
_FRONT = (
    "Energy of one sample in nJ, with a constant input computed once instead of at every step. Bold: on the front, "
    "since no other network is both more accurate and cheaper. n: seeds."
)
_EVEN = (
    "Rate: share of spiking inputs that fire, mean over layers weighted by their synapses; behind max-pooling it is "
    "higher than the firing rate. For every profile the rate at which the spiking network would cost as much as the "
    "dense one, and the energy of the first relative to that of the second, bold where the first costs less; below 0 "
    "the spiking network costs more even if it never fires. Zeros are skipped in both, and a weight is read for every "
    "operation of both; potentials have 32 bits whatever the weights. Published bounds, with memory: 5.7 % (Yan, Bai "
    "and Wong, arXiv 2409.08290v4, T = 5) and 6.4 % (v3, T from 5 to 10)."
)


@dataclass(frozen=True)
class Contender:
    """A network whose energy is known.

    Attributes:
        framework: whose.
        system: its name.
        neuron: its neuron.
        own: its records.
    """

    framework: str
    system: str
    neuron: str
    own: Cells

    def energy(self, profile: str, metric: str = "energy_once") -> dict[int, float]:
        """By seed, in pJ per sample."""
        return self.own.runs(metric, profile=profile)

    @property
    def accuracy(self) -> Runs:
        """By seed."""
        return self.own.accuracy()

    @property
    def spikes(self) -> bool:
        """Whether it has spiking neurons."""
        return bool(self.own.runs("firing_rate"))


@dataclass(frozen=True)
class Twins:
    """Spiking and dense networks of one group.

    Attributes:
        where: data set, network and variant.
        profiles: names of those with a price for all that the networks do.
        contenders: in order.
    """

    where: str
    profiles: tuple[str, ...]
    contenders: tuple[Contender, ...]

    @classmethod
    def of(cls, where: str, group: Cells, profiles: Iterable[str]) -> Twins | None:
        """None where the group does not have networks of both kinds."""
        names = group.names("framework", "system", "neuron")
        found = [Contender(f, s, n, group.where(framework=f, system=s)) for f, s, n in names]
        priced = tuple(p for p in profiles if found and all(one.energy(p) for one in found))
        if not priced or len({one.spikes for one in found}) < 2:
            return None
        return cls(where, priced, tuple(found))

    @property
    def points(self) -> EnergyAccuracy:
        """For the plots."""
        return EnergyAccuracy(
            f"{self.where}, {ONCE}", {profile: tuple(self._points(profile)) for profile in self.profiles}
        )

    def _points(self, profile: str) -> Iterable[EnergyPoint]:
        for one in self.contenders:
            if one.accuracy:
                reached = mean_interval(one.accuracy, bounds=(0, 1))
                energy = positive(one.energy(profile))
                assert energy is not None  # no profile is among these that does not price all
                yield EnergyPoint(one.framework, one.system, one.neuron, energy, reached)

    def front(self) -> Table:
        """Accuracy, and energy under every profile."""
        points = {profile: {p.system: p for p in of} for profile, of in self.points.points.items()}
        rows = []
        for one in self.contenders:
            reached = mean_interval(one.accuracy, bounds=(0, 1)) if one.accuracy else None
            row = [Entry(one.system), percent(reached)]
            for profile in self.profiles:
                own = points[profile].get(one.system)
                row.append(ABSENT if own is None else _nanojoules(own, points[profile].values()))
            rows.append((*row, n_entry([reached], one.own.problems())))
        heads = ("system", "accuracy (%)", *(f"{profile} (nJ)" for profile in self.profiles), "n")
        return Table(f"Front of energy against accuracy: {self.where}", heads, tuple(rows), 1, _FRONT)

    @property
    def told(self) -> str:
        """Who is on the front under which profiles, as a sentence."""
        profiles: dict[tuple[str, ...], list[str]] = {}
        for profile, points in self.points.points.items():
            profiles.setdefault(tuple(point.system for point in front(list(points))), []).append(profile)
        told = "; ".join(f"{', '.join(systems)} under {', '.join(names)}" for systems, names in profiles.items())
        return f"On {self.where}, no other network is both more accurate and cheaper than these: {told}."

    def even(self) -> Table:
        """Every spiking network beside every dense one."""
        heads = ["spiking", "dense", "accuracy difference (points)", "rate (%)"]
        for profile in self.profiles:
            heads += [f"{profile}: equal at (%)", f"{profile}: energy ({TIMES} dense)"]
        rows = []
        for spiking in (one for one in self.contenders if one.spikes):
            for dense in (one for one in self.contenders if not one.spikes):
                rows.append(self._pair(spiking, dense))
        return Table(
            f"Rates at which spiking and dense cost the same: {self.where}", tuple(heads), tuple(rows), 2, _EVEN
        )

    def _pair(self, spiking: Contender, dense: Contender) -> tuple[Entry, ...]:
        difference = paired_difference(spiking.accuracy, dense.accuracy, bounds=(-1, 1))
        rate = next((found for p in self.profiles if (found := _rates(spiking, p, spiking.energy(p)))), {})
        row = [
            Entry(spiking.system),
            Entry(dense.system),
            Entry(estimate(difference, 100, signed=True), 100 * difference.value),
            _percent(rate),
        ]
        for profile in self.profiles:
            own, other = spiking.energy(profile), dense.energy(profile)
            ratios = {seed: own[seed] / other[seed] for seed in own if other.get(seed)}
            ratio = positive(ratios)
            row.append(_percent(_rates(spiking, profile, other)))
            row.append(ABSENT if ratio is None else Entry(number(ratio.value), ratio.value, strong=ratio.value < 1))
        return tuple(row)


def _rates(spiking: Contender, profile: str, energies: dict[int, float]) -> dict[int, float]:
    """By seed, the rate of spiking inputs at which a network would cost so much."""
    silent, driven = (spiking.energy(profile, f"energy_{name}") for name in ("silent", "driven"))
    return {s: (energies[s] - silent[s]) / driven[s] for s in silent if s in energies and driven.get(s)}


def _percent(rates: dict[int, float]) -> Entry:
    if not rates:
        return ABSENT
    mean = sum(rates.values()) / len(rates)
    return Entry(number(100 * mean, 1), 100 * mean)


def _nanojoules(own: EnergyPoint, all_points: Iterable[EnergyPoint]) -> Entry:
    value = own.energy.value / 1e3
    return Entry(number(value, 2), value, strong=own in front(list(all_points)))
