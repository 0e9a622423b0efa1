"""The section that sums up noises by family: is a network robust to lost spikes, to spurious ones, to attacks?"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from spikemark.core.statistics import Floats, Interval, Runs, Verdict, mean_interval
from spikemark.report.cells import BASELINE, Cells
from spikemark.report.comparisons import PairedTest, paired_tests
from spikemark.report.curves import SampledCurve, family_of, mean_over_severities, means, noises_of, sampled_curves
from spikemark.report.model import ABSENT, Entry, Section, Table, alike, estimate, number, titled

READING = f"""\
Points lost are clean accuracy minus accuracy under noise, mean over the severities and noises of a family, so that a
better clean accuracy is not taken for robustness. It is compared with that of {BASELINE} in the
same framework, paired by seed and, where records keep them, by test sample and draw; the tests are corrected together
(Holm). Undecided is not equal: MDE is the smallest true difference that the test would find in about 80 of 100
repetitions. All frameworks run the same neuron, so there is one verdict: that of the first framework. The numbers of
the others follow. Attacks are summed up by the worst of them per sample, where several were run."""
_WORDS: Mapping[Verdict, str] = {"better": "more robust", "worse": "less robust", "undecided": "undecided"}
Lost = dict[int, Floats]
_MOST = 2


def families_section(cells: Cells) -> Section:
    """A table for every data set, network and variant where the baseline was measured under noise."""
    section = Section("Robustness by family of noise", READING)
    for where, group in cells.where(measure="robustness").groups():
        families = _families(group)
        curves = sampled_curves(group, [noise for noises in families.values() for noise in noises])
        baselines = [system for system, neuron in group.names("system", "neuron") if neuron == BASELINE]
        frameworks = [name for (name,) in group.names("framework")]
        leading, *others = sorted(frameworks, key=lambda name: name != group.leading)
        verdicts = _rows(leading, _of(leading, curves), families, baselines, told=True)
        numbers = [row for name in others for row in _rows(name, _of(name, curves), families, baselines, told=False)]
        if baselines and (verdicts or numbers):
            columns = ("framework", "family", "system", "points lost", f"minus {baselines[0]}", "p", "noises", "n")
            title, note = titled("Verdicts by family of noise", where), "n: seeds. Fewer points lost is better."
            section.tables.append(Table(title, columns, tuple(verdicts), 3, note))
            if numbers:
                again, without = titled("Numbers of other frameworks", where), (*columns[:5], *columns[6:])
                section.tables.append(Table(again, without, alike(numbers), 3, note, collapsed=True))
    return section


@dataclass(frozen=True)
class Judged:
    """What noise costs the systems of one group in one framework.

    Attributes:
        families: noises by family.
        lost: points lost as fractions, by family and system.
        tests: of each but the baseline's against it.
    """

    families: Mapping[str, Sequence[str]]
    lost: Mapping[tuple[str, str], Lost]
    tests: Mapping[tuple[str, str], PairedTest]

    def points(self, family: str, system: str) -> float | None:
        """Percentage points that a system loses to a family; None where that was not measured."""
        runs = self.lost.get((family, system))
        return None if runs is None else 100 * mean_interval(runs).value

    def of(self, systems: Collection[str]) -> Judged:
        """The same of some systems; tests stay corrected over all."""
        lost = {place: runs for place, runs in self.lost.items() if place[1] in systems}
        return Judged(self.families, lost, {place: test for place, test in self.tests.items() if place in lost})

    @property
    def apart(self) -> dict[str, list[tuple[str, float]]]:
        """By system, the families in which it loses more or fewer points than the baseline, and how many."""
        told: dict[str, list[tuple[str, float]]] = {}
        for (family, system), test in self.tests.items():
            if test.matters:
                told.setdefault(system, []).append((family, -100 * test.difference.value))
        return told


def losses_in_words(group: Cells) -> str:
    """What the corrected tests say of a group in its leading framework, as a sentence; "" where they say nothing."""
    framework = group.leading
    base = group.where(framework=framework).baseline
    said = told_losses(judged(group, framework), base) if base else ""
    return f"{said[:1].upper()}{said[1:]}." if said else ""


def told_losses(found: Judged, base: str) -> str:
    """Which systems lose how many points more or fewer than the baseline; "" where none is told apart from it."""
    apart = found.apart
    if not apart:
        return ""
    order = sorted(apart, key=lambda system: -max(abs(lost) for _, lost in apart[system]))
    mixed = all(len({lost > 0 for _, lost in families}) == 2 for families in apart.values())
    start = "no neuron is the most robust throughout; " if mixed else ""
    losses = "; ".join(f"{system} loses {_losses(apart[system])}" for system in order[:_MOST])
    return f"{start}compared with {base}, {losses}{_rest(len(order) - _MOST, 'system')}"


def _losses(families: Sequence[tuple[str, float]]) -> str:
    """In words, the largest first."""
    order = sorted(families, key=lambda pair: -abs(pair[1]))
    words = [f"{number(abs(lost), 1)} points {'more' if lost > 0 else 'fewer'} to {family}" for family, lost in order]
    return " and ".join(words[:_MOST])


def _rest(many: int, what: str) -> str:
    return f"; {many} more {what}{'s' if many > 1 else ''} differ{'s' if many == 1 else ''}" if many > 0 else ""


def judged(group: Cells, framework: str) -> Judged:
    """Every family and system of a group in one framework."""
    own, families = group.where(framework=framework), _families(group)
    curves = _of(framework, sampled_curves(own, [noise for noises in families.values() for noise in noises]))
    lost = _lost(curves, families)
    return Judged(families, lost, _tests(lost, own.baseline))


def _families(group: Cells) -> dict[str, list[str]]:
    families: dict[str, list[str]] = {}
    for noise in noises_of(group):
        families.setdefault(family_of(noise, group), []).append(noise)
    return families


def _of(
    framework: str, curves: Mapping[tuple[str, str], dict[str, SampledCurve]]
) -> dict[str, dict[str, SampledCurve]]:
    return {system: found for (name, system), found in curves.items() if name == framework}


def _rows(
    framework: str,
    curves: Mapping[str, dict[str, SampledCurve]],
    families: Mapping[str, list[str]],
    baselines: list[str],
    *,
    told: bool,
) -> list[tuple[Entry, ...]]:
    """One row per family and system, with its verdict where that is to be told."""
    lost = _lost(curves, families)
    base = next((system for system in baselines if system in curves), None)
    tests = _tests(lost, base)
    return [
        (
            Entry(framework),
            Entry(family),
            Entry(system),
            _points(mean_interval(runs)),
            *_judged(tests.get((family, system)), system == base, told=told),
            Entry(str(len(families[family])), float(len(families[family]))),
            Entry(str(len(runs)), float(len(runs))),
        )
        for (family, system), runs in lost.items()
    ]


def _lost(
    curves: Mapping[str, dict[str, SampledCurve]], families: Mapping[str, list[str]]
) -> dict[tuple[str, str], Lost]:
    """By family and system."""
    return {
        (family, system): runs
        for family, noises in families.items()
        for system, own in curves.items()
        if (runs := points_lost([own[noise] for noise in noises]))
    }


def _tests(lost: Mapping[tuple[str, str], Lost], base: str | None) -> dict[tuple[str, str], PairedTest]:
    """Every family and system against the baseline, corrected together; more is better, so losses are negated."""
    places = [(family, system) for family, system in lost if system != base and (family, base) in lost]
    tests = paired_tests(
        {
            f"{number}": (_negated(lost[family, system]), _negated(lost[family, str(base)]))
            for number, (family, system) in enumerate(places)
        }
    )
    return {places[int(number)]: test for number, test in tests.items()}


def points_lost(curves: list[SampledCurve]) -> Lost:
    """By seed, clean accuracy minus the mean over noises and their severities; seeds that lack one are left out."""
    noisy = means([mean_over_severities(curve) for curve in curves])
    clean = curves[0].get(0, {})
    return {seed: clean[seed] - runs for seed, runs in noisy.items() if seed in clean}


def _negated(lost: Lost) -> Runs:
    return {seed: -runs for seed, runs in lost.items()}


def _points(interval: Interval) -> Entry:
    return Entry(estimate(interval, 100), 100 * interval.value)


def _judged(test: PairedTest | None, itself: bool, *, told: bool) -> tuple[Entry, ...]:
    if test is None:
        return (Entry("(itself)", tone="muted") if itself else ABSENT, *([ABSENT] if told else []))
    d = test.difference
    lost = Interval(-d.value, -d.high, -d.low, d.n)
    text = estimate(lost, 100, signed=True)
    if not told:
        return (Entry(text, 100 * lost.value),)
    text += f" {_WORDS[test.verdict]}"
    if test.verdict == "undecided" and test.detectable > 0:
        text += f", MDE {100 * test.detectable:.2f}"
    return Entry(text, 100 * lost.value, tone=test.tone), test.p_entry()
