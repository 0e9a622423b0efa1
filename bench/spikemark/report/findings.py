"""What a report says first: a few sentences with links, each from a test that the report itself shows.

A sentence names a winner only where the corrected test does, and an effect only where it matters.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from spikemark.core.statistics import mean_interval
from spikemark.report.accuracy import ranked
from spikemark.report.cells import Cells, neurons_of
from spikemark.report.claims import judged_claims
from spikemark.report.energy import relative_costs, told_costs
from spikemark.report.families import Judged, judged, told_losses
from spikemark.report.model import ABSENT, DASH, TIMES, Entry, Table, number, slug
from spikemark.report.native import TITLE, own_results
from spikemark.report.plots import framework_style, neuron_style
from spikemark.report.provenance import fairness
from spikemark.report.throughput import TRAINING, mean_ratios, told_speeds
from spikemark.report.verdicts import REFUTED, Verdict

_MOST = 4
"""Names that a sentence lists before it counts the rest."""


@dataclass(frozen=True)
class Bar:
    """One bar of a small chart.

    Attributes:
        label: what it is of.
        text: its value.
        length: as a fraction of the longest one.
        colour: that of its neuron or framework in every figure.
    """

    label: str
    text: str
    length: float
    colour: str


@dataclass(frozen=True)
class Finding:
    """One sentence.

    Attributes:
        topic: such as "Accuracy".
        sentence: plain text.
        section: title of the section with the numbers.
        bars: the numbers that it is about, where a picture helps.
        grid: likewise, where there are two directions.
        weight: what it rests on: seeds, frameworks and systems; more is firmer.
    """

    topic: str
    sentence: str
    section: str
    bars: tuple[Bar, ...] = ()
    grid: Table | None = None
    weight: tuple[int, ...] = ()

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
    "Accuracy": "Which neuron is the most accurate?",
    "Robustness": "Which neuron is the most robust?",
    "Speed": "Which framework is the fastest?",
    "Energy": "What does it cost in energy?",
    "Claims": "What does a learned threshold bring?",
    "Own neurons": "What do I get when I follow a framework's documentation?",
}
"""By topic."""


def cards(found: Mapping[str, Sequence[Finding]]) -> dict[str, Card]:
    """For each topic the answer that rests on most, of the first suite that gives one so firm."""
    cards = {}
    for topic, question in QUESTIONS.items():
        answers = [(suite, finding) for suite, told in found.items() for finding in told if finding.topic == topic]
        if answers:
            suite, finding = max(answers, key=lambda answer: answer[1].weight)
            cards[topic] = Card(question, finding, slug(suite))
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
        *_trust(cells),
        *_problems(cells),
    ]


def _claims(cells: Cells) -> Iterator[Finding]:
    verdicts: dict[Verdict, list[str]] = {}
    for claim, verdict in judged_claims(cells).items():
        verdicts.setdefault(verdict, []).append(claim.statement)
    if not verdicts:
        return
    total = sum(map(len, verdicts.values()))
    counted = ", ".join(f"{len(names)} {verdict}" for verdict, names in sorted(verdicts.items()))
    decided = "".join(
        f" {verdict.capitalize()}: {_listed(verdicts[verdict], 2)}."
        for verdict in ("holds", *REFUTED)
        if verdict in verdicts
    )
    sentence = f"Of {_count(total, 'published claim')} on which these records bear: {counted}.{decided}"
    yield Finding("Claims", sentence, "Claims", weight=(total,))


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
    colours = {name: framework_style(name.partition(":")[0]).colour for name in shown}
    bars = _bars(shown, 0, " additions", colours, most_first=False)
    yield Finding("Own neurons", sentence, TITLE, bars, weight=(len(results),))


def _accuracy(cells: Cells) -> Iterator[Finding]:
    group = _firmest(cells.where(measure="accuracy"))
    if group is None:
        return
    where, own = group
    framework, ranking, results = ranked(own)
    if ranking.best is None:
        return
    best = mean_interval(results[ranking.best], bounds=(0, 1))
    worse = [name for name, test in ranking.against_best.items() if test.matters and test.verdict == "worse"]
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
    bars = _bars(shown, 1, " %", _colours(own))
    yield Finding("Accuracy", f"On {where} ({framework}): {said}.", "Accuracy", bars, weight=_weight(own))


def _robustness(cells: Cells) -> Iterator[Finding]:
    """Against which families of noise a system is more or less robust than the baseline, in the first framework."""
    group = _firmest(cells.where(measure="robustness"))
    if group is None:
        return
    where, every = group
    framework = every.leading
    own = every.where(framework=framework)
    base = own.baseline
    if base is None or len(own.names("system")) < 2:
        return
    found = judged(every, framework)
    said = told_losses(found, base) or f"no system is told apart from {base} under any family of noise"
    apart = found.apart
    order = sorted(apart, key=lambda system: -max(abs(lost) for _, lost in apart[system]))
    rest = [system for (system,) in own.names("system") if system not in (base, *order)]
    grid = _strip(where, found, [base, *order, *rest], neurons_of(own))
    section = "Robustness by family of noise"
    yield Finding("Robustness", f"On {where} ({framework}): {said}.", section, grid=grid, weight=_weight(every))


def _strip(where: str, found: Judged, systems: Sequence[str], neurons: Mapping[str, str]) -> Table:
    """Points lost, families down and systems across; in colour where the test tells a system from the baseline."""
    shown = systems[:_MOST]
    rows = tuple(
        (Entry(family), *(_lost(found, family, system) for system in shown))
        for family in found.families
        if any((family, system) in found.lost for system in shown)
    )
    short = [neurons[system] if list(neurons.values()).count(neurons[system]) == 1 else system for system in shown]
    return Table(f"Points of accuracy lost: {where}", ("lost to", *short), rows)


def _lost(found: Judged, family: str, system: str) -> Entry:
    value = found.points(family, system)
    if value is None:
        return ABSENT
    test = found.tests.get((family, system))
    return Entry(number(value, 1), value, tone=test.tone if test and test.matters else "")


def _energy(cells: Cells) -> Iterator[Finding]:
    """Every system's energy against that of the baseline neuron, in the first framework."""
    group = _firmest(cells.where(measure="energy"))
    if group is None:
        return
    where, every = group
    ratios, sentence = relative_costs(every), told_costs(where, every)
    if not sentence:
        return
    shown = {name: math.exp(test.difference.value) for name, test in ratios.items()}
    own = every.where(framework=every.leading)
    shown |= {str(own.baseline): 1.0}
    bars = _bars(shown, 2, f" {TIMES}", _colours(own), most_first=False)
    yield Finding("Energy", sentence, "Energy", bars, weight=_weight(every))


def _speed(cells: Cells) -> Iterator[Finding]:
    """Speed of the frameworks on the matched track, relative to the reference; a winner leads in every network."""
    groups = list(cells.where(measure="throughput", track=DASH).ok.groups())
    where, own = max(groups, key=lambda group: _weight(group[1])[1:], default=("", None))
    if own is None:
        return
    means, sentence = mean_ratios(own, TRAINING), told_speeds(where, own)
    if not means or not sentence:
        return
    bars = _bars(means, 2, f" {TIMES} training", {name: framework_style(name).colour for name in means})
    yield Finding("Speed", sentence, "Throughput", bars, weight=_weight(own)[1:])


def _trust(cells: Cells) -> Iterator[Finding]:
    """Whether spikes are those of the oracle, and work was the same for all."""
    checked = cells.where(measure="conformance").ok
    compared, differing = (
        sum(row["value"] for record in checked for row in record["measurements"] if row["metric"] == metric)
        for metric in ("compared_spikes", "differing_spikes")
    )
    if compared:
        frameworks = ", ".join(name for (name,) in checked.names("framework"))
        none = "No spike" if differing == 0 else f"{number(differing, 0)} spikes"
        verb = "differs" if differing == 0 else "differ"
        sentence = f"{none} of {number(compared, 0)} {verb} from the float64 oracle's ({frameworks})."
        yield Finding("Conformance", sentence, "Conformance", weight=(int(compared),))
    same, mismatches = fairness(cells)
    if same:
        all_agree = "all agree" if not mismatches else f"{len(mismatches)} differ"
        sentence = (
            f"{number(same, 0)} fingerprints of weights, batches and noises compared across frameworks: {all_agree}."
        )
        yield Finding("Fairness", sentence, "Fairness", weight=(same,))


def _problems(cells: Cells) -> Iterator[Finding]:
    words = cells.problems()
    if words:
        yield Finding("Left out", f"Trainings without a usable result: {words}.", "Cells without a result")


def _bars(
    values: Mapping[str, float], digits: int, unit: str, colours: Mapping[str, str], *, most_first: bool = True
) -> tuple[Bar, ...]:
    longest = max(values.values())
    order = sorted(values, key=lambda name: values[name], reverse=most_first)
    return tuple(
        Bar(name, f"{number(values[name], digits)}{unit}", values[name] / longest, colours[name]) for name in order
    )


def _colours(own: Cells) -> dict[str, str]:
    """Of each system, that of its neuron."""
    return {system: neuron_style(neuron).colour for system, neuron in own.names("system", "neuron")}


def _firmest(cells: Cells) -> tuple[str, Cells] | None:
    """The group of matched neurons with most seeds, frameworks and systems; the first of equal ones."""
    groups = list(cells.where(track=DASH).ok.groups())
    several = [group for group in groups if len(group[1].names("system")) > 1]
    return max(several or groups, key=lambda group: _weight(group[1]), default=None)


def _weight(own: Cells) -> tuple[int, ...]:
    return len(own.names("seed")), len(own.names("framework")), len(own.names("system"))


def _listed(names: Iterable[str], most: int = _MOST) -> str:
    every = list(names)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more


def _count(many: int, what: str) -> str:
    return f"{many} {what}{'s' if many > 1 else ''}"


def _range(values: list[float]) -> str:
    low, high = number(min(values), 1), number(max(values), 1)
    return low if low == high else f"{low} to {high}"
