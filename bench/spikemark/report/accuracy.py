"""The accuracy section: neurons against each other, and frameworks against each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from spikemark.core.statistics import Interval, Runs, mean_interval
from spikemark.report.cells import Cells
from spikemark.report.comparisons import PairedTest, Ranking, paired_tests, rank
from spikemark.report.learned import learned_section
from spikemark.report.model import ABSENT, TIE, Entry, Section, Table, agreed, alike, number, percent
from spikemark.report.training import learning_chart, training_table

READING = f"""\
Test accuracy in percent: mean [95 % interval] over seeds and test samples. The test set is read once, with the
weights of the epoch that was best on the validation set; the last epoch is shown beside it. Frameworks share a row,
with the numbers of the first one, where a paired test does not tell them apart or by less than half a point; what
each reached is behind its name. In each framework the best neuron is bold, and {TIE} marks those that a paired test
cannot tell from it; one without a mark is worse. Tests are corrected (Holm) within one framework, and for the
comparison of frameworks within one system; intervals are not, so one that excludes 0 may still be undecided.
"Undecided" does not mean equal: MDE is the smallest true difference that the test, so corrected, would find in about
80 of 100 repetitions."""

Results = dict[tuple[str, str], Runs]


def accuracy_sections(cells: Cells) -> list[Section]:
    """Accuracy, and what training did to learned parameters."""
    return [accuracy_section(cells), learned_section(cells)]


def accuracy_section(cells: Cells) -> Section:
    """Tables for every data set, network and variant."""
    section = Section("Accuracy", READING)
    for where, group in cells.where(measure="accuracy").groups():
        results, last = results_of(group)
        baseline = group.baseline
        rankings = {
            framework: rank({s: runs for (f, s), runs in results.items() if f == framework}, baseline)
            for (framework,) in group.names("framework")
        }
        section.tables.append(_table(f"Test accuracy: {where}", group, results, last, rankings))
        section.tables.extend(_neurons(f"Neurons against each other: {where}", group, rankings, results))
        section.tables.extend(_frameworks(where, group, results))
        section.tables.extend(training_table(where, group))
        section.charts.extend(learning_chart(where, group))
    return section


def ranked(group: Cells) -> tuple[str, Ranking, dict[str, Runs]]:
    """The systems of one group against each other: in the reference, or the first framework; with their results."""
    results, _ = results_of(group)
    framework = group.leading
    own = {system: runs for (f, system), runs in results.items() if f == framework and runs}
    return framework, rank(own), own


def apart(results: Results, leading: str, system: str) -> list[str]:
    """The frameworks whose accuracy differs from the leading one's, where that is found and matters."""
    own = {framework: runs for (framework, name), runs in results.items() if name == system and runs}
    if leading not in own:
        return []
    tests = paired_tests({name: (runs, own[leading]) for name, runs in own.items() if name != leading})
    return [name for name, test in tests.items() if test.matters]


def agreeing_frameworks(group: Cells, results: Results) -> dict[str, list[str]]:
    """By system, the leading framework and those whose results are not told from its own; none with lost runs."""
    found = {}
    for (system,) in group.names("system"):
        whole = [f for (f, s), runs in results.items() if s == system and runs
                 and not group.where(framework=f, system=system).problems()]  # fmt: skip
        if group.leading in whole:
            differ = apart(results, group.leading, system)
            found[system] = [group.leading, *(name for name in whole if name != group.leading and name not in differ)]
    return found


def results_of(group: Cells) -> tuple[Results, Results]:
    """Best-validation and last-epoch accuracy of every framework and system."""
    best, last = Results(), Results()
    for framework, system in group.names("framework", "system"):
        contender = group.where(framework=framework, system=system)
        best[framework, system] = contender.accuracy()
        last[framework, system] = contender.runs("accuracy_last_epoch", split="test")
    return best, last


def _table(title: str, group: Cells, best: Results, last: Results, rankings: Mapping[str, Ranking]) -> Table:
    """A row for each system; frameworks that agree on it share one."""
    intervals = {key: mean_interval(runs, bounds=(0, 1)) for key, runs in best.items() if runs}
    most = max((interval.n for interval in intervals.values()), default=0)
    rows = []
    for framework, system, neuron in group.names("framework", "system", "neuron"):
        key, mark = (framework, system), rankings[framework].mark(system)
        problems = group.where(framework=framework, system=system).problems()
        names = (Entry(framework), Entry(system), Entry(neuron))
        ends = percent(mean_interval(last[key], bounds=(0, 1)) if last[key] else None)
        rows.append((*names, _place(intervals.get(key), most, mark, problems), ends))
    columns = ("framework", "system", "neuron", "best-validation epoch", "last epoch")
    note = (
        f"n = {most} seeds, unless noted. Intervals of the last epoch are over seeds alone, since single samples are "
        "recorded for the best one."
    )
    agreeing = agreeing_frameworks(group, best)
    return Table(title, columns, alike(agreed(rows, agreeing, 3)), 3, note)


def _place(interval: Interval | None, most: int, mark: str, problems: str) -> Entry:
    """Percent, with n where it is less than elsewhere, and what became of the other runs."""
    if interval is None:
        return Entry(problems or "not recorded", tone="bad" if problems else "muted")
    entry = percent(interval, mark)
    n = f"n = {interval.n}" if interval.n < most else ""
    remarks = ", ".join(remark for remark in (n, problems) if remark)
    return replace(entry, text=f"{entry.text} ({remarks})", tone="bad" if problems else "") if remarks else entry


def _neurons(title: str, group: Cells, rankings: Mapping[str, Ranking], results: Results) -> list[Table]:
    """Every system against the best and against the baseline neuron: one verdict where frameworks agree."""
    baseline = next((ranking.baseline for ranking in rankings.values() if ranking.baseline), None)
    agreeing = agreeing_frameworks(group, results)
    rows = []
    for (framework, system), runs in results.items():
        ranking, alike_on = rankings[framework], agreeing.get(system, [])
        if ranking.best is None or not runs or framework in alike_on[1:]:
            continue
        names = ", ".join(alike_on) if framework in alike_on else framework
        row = [Entry(names, summary=f"{len(alike_on)} alike" if "," in names else ""), Entry(system)]
        row += _outcome(ranking.against_best.get(system), system == ranking.best)
        if baseline:
            row += _outcome(ranking.against_baseline.get(system), system == baseline)
        rows.append(tuple(row))
    if not rows:
        return []
    columns = ("framework", "system", "minus the best", "p") + ((f"minus {baseline}", "p") if baseline else ())
    note = (
        "Percentage points, paired by seed and test sample; p after Holm's correction within the framework. Frameworks "
        "that agree on a system share a row, with the test of the first one."
    )
    return [Table(title, columns, tuple(rows), 2, note, collapsed=True)]


def _outcome(test: PairedTest | None, itself: bool) -> list[Entry]:
    if test is None:
        return [Entry("(itself)" if itself else "no shared seed", tone="muted"), ABSENT]
    return [test.entry(), test.p_entry()]


def _frameworks(where: str, group: Cells, results: Results) -> list[Table]:
    """Every framework against the reference, system by system: matched neurons should tie."""
    names = [name for (name,) in group.names("framework")]
    if len(names) < 2:
        return []
    base = group.leading
    others = [name for name in names if name != base]
    rows, differences = [], []
    for (system,) in group.names("system"):
        if len(group.where(system=system).names("framework")) < 2:
            continue  # a framework's own neuron
        tests = paired_tests({f: (results.get((f, system), {}), results.get((base, system), {})) for f in others})
        differences += [abs(test.difference.value) for test in tests.values()]
        entries = [tests[f].entry() if f in tests else Entry("no shared seed", tone="muted") for f in others]
        rows.append((Entry(system), *entries))
    if not rows:
        return []
    largest = number(100 * max(differences, default=0))
    note = (
        f"Accuracy minus that of {base}, in percentage points. Weights, batches and encoded inputs are the same, so "
        f"anything but a near-tie is a finding. Largest difference of means: {largest}."
    )
    return [Table(f"Frameworks against {base}: {where}", ("system", *others), tuple(rows), 1, note)]
