"""What a report says first: a few sentences with links, each from a test that the report itself shows.

A sentence names a winner only where the corrected test does, and an effect only where it matters.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from spikemark.core.statistics import mean_interval
from spikemark.report.accuracy import ranked
from spikemark.report.attacks import told_attacks
from spikemark.report.cells import Cells, neurons_of
from spikemark.report.claims import judged_claims
from spikemark.report.comparisons import MATTERS, breadth, weight
from spikemark.report.curves import mean_under_noise
from spikemark.report.energy import relative_costs, told_costs
from spikemark.report.families import Judged, judged, told_losses
from spikemark.report.layers import told_layers
from spikemark.report.model import ABSENT, DASH, TIMES, Entry, Table, listed, number, slug
from spikemark.report.native import TITLE, own_results
from spikemark.report.plots import framework_style, neuron_style
from spikemark.report.provenance import fairness
from spikemark.report.throughput import TRAINING, mean_ratios, told_memory, told_speeds
from spikemark.report.twins import Twins
from spikemark.report.verdicts import REFUTED, Verdict

_ENOUGH = 6
"""Sentences with which a report opens, where it has so many to say."""
_MOST, _QUOTED = 4, 3
"""Names, and statements of claims, that a sentence lists before it counts the rest."""
_BARS = 6
_COUNTED: Mapping[Verdict, str] = {
    "holds": "{0} hold{1}",
    "opposite found": "{0} {2} refuted",
    "smaller than margin": "{0} {2} too small to matter",
    "undecided": "{0} {2} undecided",
    "not testable here": "{0} cannot be tested here",
    "not run": "{0} {2} not run",
}


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
        weight: what it rests on, such as seeds, samples, frameworks and systems; more is firmer.
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
class Answer:
    """What a suite answers.

    Attributes:
        finding: the answer.
        page: name of the suite's page.
    """

    finding: Finding
    page: str


@dataclass(frozen=True)
class Card:
    """A question and its answers.

    Attributes:
        question: as a newcomer asks it.
        answer: that of the suite whose records rest on most.
        others: those of the other suites.
    """

    question: str
    answer: Answer
    others: tuple[Answer, ...] = ()


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
    """For each topic the answer that rests on most, and what the other suites answer."""
    cards = {}
    for topic, question in QUESTIONS.items():
        first = {suite: next((one for one in told if one.topic == topic), None) for suite, told in found.items()}
        answers = [Answer(finding, slug(suite)) for suite, finding in first.items() if finding is not None]
        if answers:
            best = max(answers, key=lambda answer: answer.finding.weight)
            others = [answer for answer in answers if answer is not best]
            cards[topic] = Card(
                question, best, tuple(sorted(others, key=lambda answer: answer.finding.weight, reverse=True))
            )
    return cards


def findings(cells: Cells) -> list[Finding]:
    """A sentence for each question that the records can answer; where these are few, further ones of what they hold.

    Args:
        cells: of one suite.
    """
    answers = {answer: answer(cells) for answer in _ANSWERS}
    told = {answer: list(islice(found, 0 if answer in _FURTHER else 1)) for answer, found in answers.items()}
    for _ in range(_ENOUGH):
        for answer in (*_FURTHER, *answers):
            if sum(map(len, told.values())) < _ENOUGH:
                told[answer] += islice(answers[answer], 1)
    return [finding for found in told.values() for finding in found]


def _claims(cells: Cells) -> Iterator[Finding]:
    judged = judged_claims(cells)
    verdicts: dict[Verdict, list[str]] = {}
    for claim, (verdict, _) in judged.items():
        verdicts.setdefault(verdict, []).append(claim.statement)
    if not verdicts.keys() - {"not run"}:
        return
    counted = listed(
        (_COUNTED[verdict].format(*_number(len(names))) for verdict, names in sorted(verdicts.items())),
        most=len(verdicts),
        last=" and ",
    )
    partly = [claim.statement for claim, (verdict, rows) in judged.items() if verdict == "undecided" and _so_far(rows)]
    told = {
        "Shown": verdicts.get("holds", []),
        "Refuted by at least one contrast": [name for verdict in REFUTED for name in verdicts.get(verdict, [])],
        "Found in all contrasts that were run, with others still to run": partly,
    }
    quoted = "".join(f" {what}: {_quoted(names)}." for what, names in told.items() if names)
    sentence = f"Of {_count(len(judged), 'published claim')} that these records test, {counted}.{quoted}"
    yield Finding("Claims", sentence, "Claims", weight=(len(judged),))


def _so_far(rows: Sequence[Verdict]) -> bool:
    return {verdict for verdict in rows if verdict != "not run"} == {"holds"}


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
    for where, own in _firmest(cells.where(measure="accuracy")):
        framework, ranking, results = ranked(own)
        if ranking.best is None:
            continue
        order = sorted(results, key=lambda name: -mean_interval(results[name]).value)
        tests = ranking.against_best
        ties = [name for name in order if name in tests and tests[name].verdict == "undecided"]
        worse = [name for name in order if name in tests and tests[name].verdict == "worse"]
        shown = {name: 100 * mean_interval(results[name], bounds=(0, 1)).value for name in order}
        best = f"{ranking.best} ({number(shown[ranking.best], 1)} %)"
        if not worse:
            smallest = [100 * tests[name].detectable for name in ties if tests[name].detectable > 0]
            seen = f"; a difference of {_range(smallest)} points could have been seen" if smallest else ""
            said = f"no difference between {len(results)} systems is found{seen}"
        elif ties:
            said = f"{listed([best, *ties], _MOST, ' and ')} cannot be told apart"
        else:
            said = f"{best} is the most accurate"
        for names, how in (
            ([name for name in worse if tests[name].matters], "less accurate"),
            ([name for name in worse if not tests[name].matters], f"less accurate by under {MATTERS:g} points"),
        ):
            said += f"; {listed(names, _MOST, ' and ')} {_is(names)} {how}" if names else ""
        bars = _bars({name: shown[name] for name in order[:_BARS]}, 1, " %", _colours(own))
        yield Finding("Accuracy", f"On {_place(where, own, framework)}: {said}.", "Accuracy", bars, weight=weight(own))


def _robustness(cells: Cells) -> Iterator[Finding]:
    """Against which families of noise a neuron is more or less robust than the baseline, in the first framework."""
    for where, every in _firmest(cells.where(measure="robustness")):
        framework = every.leading
        own = every.where(framework=framework)
        base, systems = own.baseline, own.variations
        place = f"On {_place(where, own, framework)}"
        if base is None or len(systems) < 2:
            under = {name: mean_under_noise(own.where(system=name)) for name in systems}
            shown = {name: 100 * mean_interval(runs, bounds=(0, 1)).value for name, runs in under.items() if runs}
            if shown:
                told = listed((f"{name} {number(value, 1)} %" for name, value in shown.items()), _MOST)
                sentence = f"{place}, mean accuracy under noise: {told}."
                yield Finding("Robustness", sentence, "Robustness", weight=weight(own))
            continue
        found = judged(every, framework).of(systems)
        said = told_losses(found, base) or f"no system is told apart from {base} under any family of noise"
        apart = found.apart
        order = sorted(apart, key=lambda system: -max(abs(lost) for _, lost in apart[system]))
        rest = [system for system in systems if system not in (base, *order)]
        grid = _strip(where, found, [base, *order, *rest], neurons_of(own))
        section = "Robustness by family of noise"
        yield Finding("Robustness", f"{place}: {said}.", section, grid=grid, weight=weight(every))


def _attacks(cells: Cells) -> Iterator[Finding]:
    for where, every in _firmest(cells.where(measure="robustness")):
        for sentence in told_attacks(where, every):
            yield Finding("Attacks", sentence, "Attacks", weight=weight(every))


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
    """Every neuron's energy against that of the baseline neuron, in the first framework."""
    for where, every in _firmest(cells.where(measure="energy")):
        systems = every.variations
        ratios, sentence = relative_costs(every), told_costs(where, every, systems)
        own = every.where(framework=every.leading)
        if sentence:
            shown = {name: math.exp(ratios[name].difference.value) for name in systems if name in ratios}
            shown |= {str(own.baseline): 1.0} if shown else {}
            bars = _bars(shown, 2, f" {TIMES}", _colours(own), most_first=False)
            yield Finding("Energy", sentence, "Energy", bars, weight=weight(every))


def _twins(cells: Cells) -> Iterator[Finding]:
    for where, group in _firmest(cells.by_measure("accuracy", "energy")):
        twins = Twins.of(where, group, [str(profile) for profile in group.features("energy", "profile")])
        if twins is not None:
            yield Finding("Dense twins", twins.told, "Energy", weight=weight(group))


def _speed(cells: Cells) -> Iterator[Finding]:
    """Speed of the frameworks on the matched track, relative to the reference; a winner leads in every network."""
    for where, own in _timed(cells):
        means, sentence = mean_ratios(own, TRAINING), told_speeds(where, own)
        if means and sentence:
            colours = {name: framework_style(name).colour for name in means}
            bars = _bars(means, 2, f" {TIMES} training", colours)
            yield Finding("Speed", sentence, "Throughput", bars, weight=breadth(own))


def _memory(cells: Cells) -> Iterator[Finding]:
    for where, own in _timed(cells):
        sentence = told_memory(where, own)
        if sentence:
            yield Finding("Memory", sentence, "Throughput", weight=breadth(own))


def _layers(cells: Cells) -> Iterator[Finding]:
    for sentence in told_layers(cells):
        yield Finding("Layers", sentence, "Layers")


def _conformance(cells: Cells) -> Iterator[Finding]:
    """Whether spikes are those of the oracle."""
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


def _fairness(cells: Cells) -> Iterator[Finding]:
    """Whether work was the same for all."""
    same, mismatches = fairness(cells)
    if same:
        all_agree = "all agree" if not mismatches else f"{len(mismatches)} differ"
        sentence = (
            f"{number(same, 0)} fingerprints of weights, batches and noises were compared across frameworks: "
            f"{all_agree}."
        )
        yield Finding("Fairness", sentence, "Fairness", weight=(same,))


def _problems(cells: Cells) -> Iterator[Finding]:
    words = cells.problems()
    if words:
        yield Finding("Left out", f"Trainings without a usable result: {words}.", "Cells without a result")


def _bars(
    values: Mapping[str, float], digits: int, unit: str, colours: Mapping[str, str], *, most_first: bool = True
) -> tuple[Bar, ...]:
    longest = max(values.values(), default=1)
    order = sorted(values, key=lambda name: values[name], reverse=most_first)
    return tuple(
        Bar(name, f"{number(values[name], digits)}{unit}", values[name] / longest, colours[name]) for name in order
    )


def _colours(own: Cells) -> dict[str, str]:
    """Of each system, that of its neuron."""
    return {system: neuron_style(neuron).colour for system, neuron in own.names("system", "neuron")}


_ANSWERS: tuple[Callable[[Cells], Iterator[Finding]], ...] = (
    _claims, _native, _accuracy, _robustness, _attacks, _energy, _twins, _speed, _memory, _layers, _conformance,
    _fairness, _problems,
)  # fmt: skip
"""In the order in which they are told."""
_FURTHER = (_attacks, _twins, _memory, _layers)
"""What is told where the others say little."""


def _firmest(cells: Cells) -> list[tuple[str, Cells]]:
    """Groups of matched neurons, those that rest on most first; of several systems where there are such."""
    groups = list(cells.where(track=DASH).ok.groups())
    several = [group for group in groups if len(group[1].names("system")) > 1]
    return sorted(several or groups, key=lambda group: weight(group[1]), reverse=True)


def _timed(cells: Cells) -> list[tuple[str, Cells]]:
    """Groups of timings, those of most systems first, and every network once before one comes again."""
    groups = list(cells.where(measure="throughput", track=DASH).ok.groups())
    seen: Counter[object] = Counter()
    turns = []
    for where, own in sorted(groups, key=lambda group: breadth(group[1]), reverse=True):
        networks = tuple(own.names("network"))
        turns.append((seen[networks], (where, own)))
        seen[networks] += 1
    return [group for _, group in sorted(turns, key=lambda turn: turn[0])]


def _place(where: str, own: Cells, framework: str) -> str:
    return f"{where} ({framework}, {_count(len(own.names('seed')), 'seed')})"


def _quoted(names: Sequence[str]) -> str:
    more = [f"{len(names) - _QUOTED} more"] if len(names) > _QUOTED else []
    return "; ".join([*(f'"{name}"' for name in names[:_QUOTED]), *more])


def _is(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _number(many: int) -> tuple[int, str, str]:
    """A number, and what verbs end in behind it."""
    return many, "s" if many == 1 else "", "is" if many == 1 else "are"


def _count(many: int, what: str) -> str:
    return f"{many} {what}{'s' if many != 1 else ''}"


def _range(values: list[float]) -> str:
    low, high = number(min(values), 1), number(max(values), 1)
    return low if low == high else f"{low} to {high}"
