"""What a report says first: a few sentences with links, each from a test that the report itself shows.

A sentence names a winner only where the corrected test does, and an effect only where it matters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from spikemark.core.statistics import Interval, mean_interval
from spikemark.report.accuracy import ranked
from spikemark.report.cells import PROFILE, REFERENCE, Cells
from spikemark.report.claims import judged_claims
from spikemark.report.comparisons import PairedTest, paired_tests
from spikemark.report.curves import mean_under_noise, noises_of
from spikemark.report.families import told_apart
from spikemark.report.model import DASH, TIMES, number, slug
from spikemark.report.native import TITLE, own_results
from spikemark.report.throughput import typical
from spikemark.report.verdicts import Verdict

MATTERS = 0.5
"""Percentage points of accuracy, and percent of a cost, below which a difference is not worth a sentence."""
_MOST = 4
"""Names that a sentence lists before it counts the rest."""


@dataclass(frozen=True)
class Bar:
    """One bar of a small chart.

    Attributes:
        label: what it is of.
        text: its value.
        length: as a fraction of the longest one.
    """

    label: str
    text: str
    length: float


@dataclass(frozen=True)
class Finding:
    """One sentence.

    Attributes:
        topic: such as "Accuracy".
        sentence: plain text.
        section: title of the section with the numbers.
        bars: the numbers that it is about, where a picture helps.
    """

    topic: str
    sentence: str
    section: str
    bars: tuple[Bar, ...] = ()

    @property
    def anchor(self) -> str:
        """Of that section."""
        return slug(self.section)


@dataclass(frozen=True)
class Card:
    """A question and what a suite answers.

    Attributes:
        question: as a newcomer asks it.
        finding: the answer.
        page: name of the suite's page.
    """

    question: str
    finding: Finding
    page: str


QUESTIONS: Mapping[str, str] = {
    "Claims": "What does a learned threshold bring?",
    "Accuracy": "Which neuron is the most accurate?",
    "Robustness": "Which neuron is the most robust?",
    "Speed": "Which framework is the fastest?",
    "Energy": "What does it cost in energy?",
    "Own neurons": "What do I get when I follow a framework's documentation?",
}
"""By topic."""


def cards(found: Mapping[str, Sequence[Finding]]) -> list[Card]:
    """For each question its first answer, by suite in the order given."""
    cards = []
    for topic, question in QUESTIONS.items():
        answers = ((suite, finding) for suite, told in found.items() for finding in told if finding.topic == topic)
        first = next(answers, None)
        if first is not None:
            suite, finding = first
            cards.append(Card(question, finding, slug(suite)))
    return cards


def findings(cells: Cells) -> list[Finding]:
    """At most one sentence for each question that the records can answer, the ones on claims first."""
    return [
        *_claims(cells),
        *_native(cells),
        *_accuracy(cells),
        *_robustness(cells),
        *_energy(cells),
        *_speed(cells),
        *_problems(cells),
    ]


def _claims(cells: Cells) -> Iterator[Finding]:
    verdicts: dict[Verdict, list[str]] = {}
    for claim, verdict in judged_claims(cells).items():
        verdicts.setdefault(verdict, []).append(claim.name)
    if not verdicts:
        return
    total = sum(map(len, verdicts.values()))
    told = "; ".join(f"{len(names)} {verdict} ({_listed(names)})" for verdict, names in sorted(verdicts.items()))
    yield Finding("Claims", f"Of {total} claims that these records bear on: {told}.", "Claims")


def _native(cells: Cells) -> Iterator[Finding]:
    """How far the frameworks' own neurons lie apart, in accuracy and in additions."""
    found = [(where, results) for where, results in own_results(cells) if len(results) > 1]
    if not found:
        return
    where, results = max(found, key=lambda pair: len(pair[1]))
    accuracies = sorted(100 * result.accuracy for result in results)
    spent = sorted(results, key=lambda result: result.additions)
    least, most = spent[0], spent[-1]
    sentence = (
        f"On {where}, {len(results)} of the frameworks' own neurons reach {number(accuracies[0], 1)} to "
        f"{number(accuracies[-1], 1)} % and spend from {number(least.additions, 0)} ({least.neuron}) to "
        f"{number(most.additions, 0)} ({most.neuron}) additions per sample."
    )
    frameworks = dict.fromkeys(result.neuron.partition(":")[0] for result in results)
    own = [[result for result in spent if result.neuron.startswith(f"{name}:")] for name in frameworks]
    shown = {result.neuron: result.additions for one in own for result in (one[0], one[-1])}
    yield Finding("Own neurons", sentence, TITLE, _bars(shown, 0, " additions", most_first=False))


def _accuracy(cells: Cells) -> Iterator[Finding]:
    group = _largest(cells.where(measure="accuracy"))
    if group is None:
        return
    where, own = group
    framework, ranking, results = ranked(own)
    if ranking.best is None:
        return
    best = mean_interval(results[ranking.best], bounds=(0, 1))
    worse = [name for name, test in ranking.against_best.items() if _matters(test) and test.verdict == "worse"]
    ties = [test for test in ranking.against_best.values() if test.verdict == "undecided"]
    if worse and not ties:
        said = f"{ranking.best} is the most accurate ({number(100 * best.value, 1)} %)"
    elif worse:
        said = (
            f"{ranking.best} ({number(100 * best.value, 1)} %) is not told apart from {_count(len(ties), 'other')}; "
            f"less accurate: {_listed(worse)}"
        )
    else:
        smallest = [100 * test.detectable for test in ties if test.detectable > 0]
        seen = f"; {_range(smallest)} points could have been seen" if smallest else ""
        said = f"no difference between {len(results)} systems is found{seen}"
    shown = {name: 100 * mean_interval(runs, bounds=(0, 1)).value for name, runs in results.items()}
    yield Finding("Accuracy", f"On {where} ({framework}): {said}.", "Accuracy", _bars(shown, 1, " %"))


def _robustness(cells: Cells) -> Iterator[Finding]:
    """Against which families of noise a system is more or less robust than the baseline, in the first framework."""
    group = _largest(cells.where(measure="robustness"))
    if group is None:
        return
    where, every = group
    framework = every.leading
    own = every.where(framework=framework)
    base = own.baseline
    if base is None or len(own.names("system")) < 2:
        return
    apart = {place: lost for place, lost in told_apart(every, framework).items() if abs(lost) >= MATTERS}
    by_system: dict[str, list[str]] = {}
    for (family, system), lost in sorted(apart.items(), key=lambda item: -abs(item[1])):
        by_system.setdefault(system, []).append(f"{number(abs(lost), 1)} {'more' if lost > 0 else 'fewer'} to {family}")
    if by_system:
        told = "; ".join(f"{system} {_listed(families, 2)}" for system, families in list(by_system.items())[:_MOST])
        said = f"points of accuracy lost, compared with {base}: {told}"
    else:
        said = f"no system is told apart from {base} under any family of noise"
    shown = {
        system: 100 * mean_interval(runs).value
        for (system,) in own.names("system")
        if (runs := mean_under_noise(own.where(system=system), noises_of(own)))
    }
    section = "Robustness by family of noise"
    yield Finding("Robustness", f"On {where} ({framework}): {said}.", section, _bars(shown, 1, " %"))


def _energy(cells: Cells) -> Iterator[Finding]:
    """Every system's energy against that of the baseline neuron, in the first framework."""
    group = _largest(cells.where(measure="energy"))
    if group is None:
        return
    where, every = group
    own = every.where(framework=every.leading)
    costs = {
        system: {
            seed: math.log(value)
            for seed, value in own.where(system=system).runs("energy", profile=PROFILE).items()
            if value > 0
        }
        for (system,) in own.names("system")
    }
    base = own.baseline
    if base is None or not costs.get(base):
        return
    tests = paired_tests({name: (runs, costs[base]) for name, runs in costs.items() if name != base and runs})
    changed = {
        name: math.exp(test.difference.value)
        for name, test in tests.items()
        if test.verdict != "undecided" and abs(test.difference.value) > math.log1p(MATTERS / 100)
    }
    if changed:
        order = sorted(changed, key=lambda name: -abs(math.log(changed[name])))
        said = _listed([f"{name} {number(changed[name], 2)} {TIMES}" for name in order])
        sentence = f"Energy per sample on {where} ({PROFILE}), relative to {base}: {said}"
    elif tests:
        sentence = f"Energy per sample on {where} ({PROFILE}): no system is told apart from {base}"
    else:
        return
    shown = {base: 1.0} | {name: math.exp(test.difference.value) for name, test in tests.items()}
    yield Finding("Energy", f"{sentence}.", "Energy", _bars(shown, 2, f" {TIMES}", most_first=False))


def _speed(cells: Cells) -> Iterator[Finding]:
    """Training speed of the frameworks on the matched track, relative to the reference."""
    group = _largest(cells.where(measure="throughput"))
    if group is None:
        return
    where, own = group
    ratios: dict[str, Interval] = {}
    for (framework,) in own.names("framework"):
        logs = {}
        for number_, (system,) in enumerate(own.where(framework=framework).names("system")):
            one = typical(own.where(framework=framework, system=system), "training_samples_per_second_ratio", "matched")
            if one is not None and one.value > 0:
                logs[number_] = math.log(one.value)
        if logs and framework != REFERENCE:
            ratios[framework] = mean_interval(logs)
    if not ratios:
        return
    order = sorted(ratios, key=lambda framework: -ratios[framework].value)
    told = ", ".join(f"{name} {_ratio(ratios[name])}" for name in order)
    sentence = f"Training speed on {where}, relative to the plain PyTorch reference, mean over systems: {told}."
    shown = {name: math.exp(ratios[name].value) for name in order}
    yield Finding("Speed", sentence, "Throughput", _bars(shown, 2, f" {TIMES}"))


def _problems(cells: Cells) -> Iterator[Finding]:
    words = cells.problems()
    if words:
        yield Finding("Left out", f"Trainings without a usable result: {words}.", "Cells without a result")


def _bars(values: Mapping[str, float], digits: int, unit: str, *, most_first: bool = True) -> tuple[Bar, ...]:
    longest = max(values.values())
    order = sorted(values, key=lambda name: values[name], reverse=most_first)
    return tuple(Bar(name, f"{number(values[name], digits)}{unit}", values[name] / longest) for name in order)


def _largest(cells: Cells) -> tuple[str, Cells] | None:
    """The group of matched neurons that compares most systems; the first of equal ones."""
    groups = list(cells.where(track=DASH).ok.groups())
    return max(groups, key=lambda group: len(group[1].names("system")), default=None)


def _matters(test: PairedTest) -> bool:
    return abs(100 * test.difference.value) >= MATTERS


def _listed(names: Iterable[str], most: int = _MOST) -> str:
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def _ratio(log: Interval) -> str:
    value, low, high = (number(math.exp(end), 2) for end in (log.value, log.low, log.high))
    return f"{value} {TIMES}" + ("" if math.isnan(log.low) else f" [{low}, {high}]")


def _count(many: int, what: str) -> str:
    return f"{many} {what}{'s' if many > 1 else ''}"


def _range(values: list[float]) -> str:
    low, high = number(min(values), 1), number(max(values), 1)
    return low if low == high else f"{low} to {high}"
