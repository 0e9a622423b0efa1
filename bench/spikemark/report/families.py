"""The section that sums up noises by family: is a network robust to lost spikes, to spurious ones, to attacks?"""

from __future__ import annotations

from collections.abc import Mapping

from spikemark.core.statistics import Floats, Interval, Runs, Verdict, mean_interval
from spikemark.report.cells import BASELINE, Cells
from spikemark.report.comparisons import PairedTest, paired_tests
from spikemark.report.curves import SampledCurve, family_of, mean_over_severities, means, noises_of, sampled_curves
from spikemark.report.model import ABSENT, Entry, Section, Table, alike, estimate, titled

READING = f"""\
Robust against what? Points lost: clean accuracy minus accuracy under noise, mean over the severities and noises of a
family, so that a better clean accuracy is not taken for robustness. It is compared with that of {BASELINE} in the same
framework, paired by seed and, where records keep them, by test sample and draw; the tests of a framework are corrected
together (Holm). Undecided is not equal: MDE is the smallest true difference that the test would find in about 80 of 100
repetitions. Attacks are summed up by the worst of them per sample, where several were run."""
_WORDS: Mapping[Verdict, str] = {"better": "more robust", "worse": "less robust", "undecided": "undecided"}
Lost = dict[int, Floats]


def families_section(cells: Cells) -> Section:
    """A table for every data set, network and variant where the baseline was measured under noise."""
    section = Section("Robustness by family of noise", READING)
    for where, group in cells.where(measure="robustness").groups():
        families = _families(group)
        curves = sampled_curves(group, [noise for noises in families.values() for noise in noises])
        baselines = [system for system, neuron in group.names("system", "neuron") if neuron == BASELINE]
        rows = [
            row
            for (framework,) in group.names("framework")
            for row in _rows(framework, _of(framework, curves), families, baselines)
        ]
        if rows and baselines:
            columns = ("framework", "family", "system", "points lost", f"minus {baselines[0]}", "p", "noises", "n")
            title = titled("Verdicts by family of noise", where)
            section.tables.append(Table(title, columns, alike(rows), 3, "n: seeds. Fewer points lost is better."))
    return section


def told_apart(group: Cells, framework: str) -> dict[tuple[str, str], float]:
    """Points lost beyond the baseline's, by family and system, wherever the corrected test tells them apart."""
    own, families = group.where(framework=framework), _families(group)
    curves = _of(framework, sampled_curves(own, [noise for noises in families.values() for noise in noises]))
    base = own.baseline
    tests = _tests(_lost(curves, families), base)
    return {place: -100 * test.difference.value for place, test in tests.items() if test.verdict != "undecided"}


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
) -> list[tuple[Entry, ...]]:
    lost = _lost(curves, families)
    base = next((system for system in baselines if system in curves), None)
    tests = _tests(lost, base)
    return [
        (
            Entry(framework),
            Entry(family),
            Entry(system),
            _points(mean_interval(runs)),
            *_judged(tests.get((family, system)), system == base),
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


def _judged(test: PairedTest | None, itself: bool) -> tuple[Entry, Entry]:
    if test is None:
        return (Entry("(itself)", tone="muted") if itself else ABSENT), ABSENT
    d = test.difference
    lost = Interval(-d.value, -d.high, -d.low, d.n)
    text = f"{estimate(lost, 100, signed=True)} {_WORDS[test.verdict]}"
    if test.verdict == "undecided" and test.detectable > 0:
        text += f", MDE {100 * test.detectable:.2f}"
    return Entry(text, 100 * lost.value, tone=test.entry().tone), test.p_entry()
