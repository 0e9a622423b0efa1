"""The section on attacks: what each leaves at each radius, the worst of all, and whether their steps were enough."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from spikemark.core.statistics import mean_interval
from spikemark.noise.case import WORST
from spikemark.report.cells import Cells
from spikemark.report.curves import SampledCurve, attacks_of, sampled_curves, threat_of
from spikemark.report.model import ABSENT, DASH, Entry, Section, Table, alike, number, percent, titled

CONVERGED = 0.01
TOLD = 0.1
"""The share of samples that somebody still has to read correctly for a radius to be told."""
READING = f"""\
Robust accuracy in percent, that is accuracy on samples which an attack changed within a radius: mean [95 % interval]
over seeds (and test samples, where records keep them). Every attack gives an upper bound. The number to quote is the
worst of all attacks of one threat: a sample counts as read correctly only if none of them fooled the network at that
radius or a smaller one. Alone: share of samples that only this attack of its threat fooled at the largest radius. A
search that asks for scores alone (square), or draws by chance (random), should leave more than those by gradient and
fool next to nothing alone; where it does otherwise, a gradient was masked. Against steps: accuracy after so many
steps of a search, those through several derivatives counted one after the other, at the largest radius. An attack
whose last doubling of steps took more than {100 * CONVERGED:g} point has not converged: more steps would take more.
Zero gradient: share of the samples whose first gradient was zero throughout, so that a search by gradient begins
blind."""


def attacks_section(cells: Cells) -> Section:
    """Tables for every data set, network and variant whose records hold attacks."""
    section = Section("Attacks", READING)
    for where, group in cells.where(measure="robustness").groups():
        attacks = attacks_of(group)
        if attacks:
            section.tables.append(_left(where, group, attacks))
            steps = _against_steps(where, group, attacks)
            if steps.rows:
                section.tables.append(steps)
    return section


def told_attacks(where: str, group: Cells) -> Iterator[str]:
    """What the worst of all attacks leaves, and whether searches had enough steps, as sentences."""
    attacks = attacks_of(group)
    for worst in (name for name in attacks if name.startswith(WORST)):
        curves = sampled_curves(group, [worst])
        left: dict[str, float] = {}
        # The largest radius to be told: beyond it all are alike.
        for severity in sorted({s for own in curves.values() for s in own[worst] if s}, reverse=True):
            left = {
                system: mean_interval(own[worst][severity], bounds=(0, 1)).value
                for (framework, system), own in curves.items()
                if framework == group.leading and own[worst].get(severity)
            }
            if left and max(left.values()) >= TOLD:
                break
        if left:
            ordered = sorted(left, key=lambda name: left[name])
            least, most = (f"{number(100 * left[name], 1)} % ({name})" for name in (ordered[0], ordered[-1]))
            radius = _heading(
                group, [name for name in attacks if threat_of(name) == worst.removeprefix(WORST)], severity
            )
            yield (
                f"On {where} ({group.leading}), the worst of all {worst.removeprefix(WORST)} attacks leaves "
                f"{least} to {most} of the samples read correctly at severity {radius}."
            )
    severities = group.features("accuracy_after_steps", "severity")
    lost = [last_doubling(curve) for *_, curve, _ in _searched(group, attacks, max(severities))] if severities else []
    if lost:
        open_ended = sum(loss > CONVERGED for loss in lost)
        yield (
            f"{open_ended} of {len(lost)} searches for attacks had not converged after their last step; more steps "
            "would fool more samples, so accuracy under attack is an upper bound."
        )


def _left(where: str, group: Cells, attacks: list[str]) -> Table:
    """What each attack leaves at each severity."""
    curves = sampled_curves(group, attacks)
    severities = sorted({severity for own in curves.values() for curve in own.values() for severity in curve})
    rows = []
    for (framework, system), own in curves.items():
        for attack in sorted(attacks, key=lambda name: not name.startswith(WORST)):
            curve = own[attack]
            entries = [
                percent(mean_interval(curve[s], bounds=(0, 1)), "best" if attack.startswith(WORST) else "")
                if s in curve
                else ABSENT
                for s in severities
            ]
            seeds = max((len(runs) for runs in curve.values()), default=0)
            named = (Entry(framework), Entry(system), Entry(attack))
            rows.append((*named, *entries, _alone(attack, own, severities[-1]), Entry(str(seeds), float(seeds))))
    headings = [_heading(group, attacks, severity) for severity in severities]
    columns = ("framework", "system", "attack", *headings, "alone", "n")
    return Table(titled("What attacks leave", where), columns, alike(rows), 3, "n: seeds.")


def _alone(attack: str, curves: Mapping[str, SampledCurve], severity: int) -> Entry:
    """How many samples nothing but this attack fooled; absent where records do not keep samples."""
    others = [name for name in curves if name != attack and threat_of(name) == threat_of(attack)]
    right = [curves[name].get(severity, {}) for name in (attack, *others)]
    seeds = set.intersection(*map(set, right))
    if attack.startswith(WORST) or not others or not seeds or any(len(right[0][seed]) < 2 for seed in seeds):
        return ABSENT
    alone = [(right[0][seed] == 0) & np.all([runs[seed] > 0 for runs in right[1:]], axis=0) for seed in sorted(seeds)]
    share = 100 * float(np.mean(alone))
    return Entry(number(share, 1), share)


def _heading(group: Cells, attacks: list[str], severity: int) -> str:
    """The severity with the radius, where all attacks have the same."""
    if severity == 0:
        return "clean"
    noises = [found for record in group for name, found in record["cell"].get("noises", {}).items() if name in attacks]
    levels = {noise["levels"][severity - 1] for noise in noises}
    return f"{severity} ({min(levels):g})" if len(levels) == 1 else str(severity)


def _against_steps(where: str, group: Cells, attacks: list[str]) -> Table:
    """How accuracy fell with the steps of each search, at the largest severity."""
    severities = group.features("accuracy_after_steps", "severity")
    found = list(_searched(group, attacks, max(severities))) if severities else []
    every = sorted({steps for *_, curve, _ in found for steps in curve})
    rows = []
    for framework, system, attack, curve, flat in found:
        at = [Entry(number(100 * curve[s], 1), 100 * curve[s]) if s in curve else ABSENT for s in every]
        lost = last_doubling(curve)
        settled = Entry("yes", tone="muted") if lost <= CONVERGED else Entry(f"no, {100 * lost:.1f} lost", tone="bad")
        zero = ABSENT if flat is None else Entry(number(100 * flat, 1), 100 * flat, tone="bad" if flat > 0.01 else "")
        rows.append((Entry(framework), Entry(system), Entry(attack), *at, settled, zero))
    columns = ("framework", "system", "attack", *map(str, every), "converged", "zero gradient (%)")
    title = titled(f"Accuracy against steps, severity {max(severities, default=DASH)}", where)
    return Table(title, columns, alike(rows), 3, "Means over seeds, in percent.", collapsed=True)


def _searched(
    group: Cells, attacks: list[str], severity: int
) -> Iterator[tuple[str, str, str, dict[int, float], float | None]]:
    for framework, system in group.names("framework", "system"):
        own = group.where(framework=framework, system=system).ok
        for attack in attacks:
            curve: dict[int, list[float]] = {}
            flat = []
            for row in (row for record in own for row in record["measurements"]):
                if row.get("noise") != attack or row.get("severity") != severity:
                    continue
                if row["metric"] == "accuracy_after_steps":
                    curve.setdefault(row["point"]["steps"], []).append(row["value"])
                elif row["metric"] == "zero_gradients":
                    flat.append(row["value"])
            if curve:
                means = {steps: sum(values) / len(values) for steps, values in curve.items()}
                yield framework, system, attack, means, sum(flat) / len(flat) if flat else None


def last_doubling(curve: Mapping[int, float]) -> float:
    """How much accuracy the second half of the steps took, or the part of it that is told."""
    last = max(curve)
    before = max((steps for steps in curve if steps <= last / 2), default=min(curve))
    return curve[before] - curve[last]
