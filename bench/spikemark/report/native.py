"""The native track on one screen: what each framework's own neurons reach and spend."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean

from spikemark.core.statistics import Interval, Runs, mean_interval
from spikemark.report.cells import PROFILE, REFERENCE, Cells
from spikemark.report.comparisons import rank
from spikemark.report.curves import mean_under_noise, noises_of
from spikemark.report.energy import entries
from spikemark.report.model import (
    ABSENT,
    DASH,
    TIE,
    TIMES,
    Entry,
    Section,
    Table,
    estimate,
    listed,
    n_entry,
    number,
    percent,
)
from spikemark.report.summary import positive
from spikemark.report.throughput import typical
from spikemark.suites.records import TrainingRecord
from spikemark.suites.settings import OF_TRAINING

TITLE = "What you get when you follow the documentation"
READING = f"""\
Every framework's own neurons, as its documentation uses them, in the same network, on the same data, seeds and noises.
They compute different things, so nothing here says that one framework computes right: that is what the matched neurons
are for, some of which stand at the end of the tables. Input gains of the defaults differ up to tenfold, so each row had
the same search on validation data; its outcome is in the last columns. Accuracy in percent, mean [95 % interval] over
seeds and test samples; the best is bold, and {TIE} marks what a paired test (Holm) cannot tell from it. Noisy: mean
accuracy over the noises. Additions, firing rate and energy are counted per sample. Training and inference: speed
relative to the reference's LIF in the same network. Learns: parameters of the neuron that training may move, and the
share of their values that it moved by more than 10 %. The routes below say what each neuron is."""
_MOST = 2
_TRAINED = ("accuracy", "robustness", "energy")


@dataclass(frozen=True)
class OwnResult:
    """What one own neuron reaches and spends: means over seeds.

    Attributes:
        neuron: its name.
        accuracy: on the test set, a fraction.
        additions: accumulates per sample.
    """

    neuron: str
    accuracy: float
    additions: float


def native_sections(cells: Cells) -> list[Section]:
    """A table for every data set, network and variant; no section without own neurons."""
    tables = [_table(where, cells, group) for where, group in _groups(cells)]
    return [Section(TITLE, READING, tables)] if tables else []


def own_results(cells: Cells) -> Iterator[tuple[str, list[OwnResult]]]:
    """By group, the own neurons whose accuracy and operations are both known."""
    for where, group in _groups(cells):
        results = []
        for _, name, own in _contenders(group):
            accuracy, spent = _accuracy(own), own.runs("acs")
            if accuracy and spent:
                mean = mean_interval(accuracy, bounds=(0, 1)).value
                results.append(OwnResult(name, mean, fmean(spent.values())))
        yield where, results


def _groups(cells: Cells) -> Iterator[tuple[str, Cells]]:
    for where, group in cells.where(track="native").by_measure(*_TRAINED).groups():
        yield where.replace(", native", ""), group


def _contenders(group: Cells) -> list[tuple[str, str, Cells]]:
    """Framework, name and records: named by the neuron, or by the system where several systems have that neuron."""
    found = []
    for framework, neuron, system in group.names("framework", "neuron", "system"):
        alone = len(group.where(framework=framework, neuron=neuron).names("system")) == 1
        own = group.where(framework=framework, system=system)
        found.append((framework, neuron if alone else system, own))
    return found


def _table(where: str, cells: Cells, group: Cells) -> Table:
    rows = _contenders(group)
    rows += [(framework, f"{name}, matched", own) for framework, name, own in _contenders(_matched(cells, group))]
    accuracies = {neuron: _accuracy(own) for _, neuron, own in rows}
    ranking = rank(accuracies)
    reached = [mean_interval(runs, bounds=(0, 1)) if runs else None for runs in accuracies.values()]
    noisy = [_noisy(own, group) for *_, own in rows]
    spent = [positive(own.runs("acs")) for *_, own in rows]
    rates = [positive(own.runs("firing_rate")) for *_, own in rows]
    energies = [positive(own.runs("energy", profile=PROFILE)) for *_, own in rows]
    columns: list[list[Entry]] = [
        [_reached(i, ranking.mark(row[1]), row[2]) for i, row in zip(reached, rows, strict=True)],
        [percent(interval) for interval in noisy],
        entries(spent, 1e-3),
        entries(rates, 100),
        entries(energies, 1e-3),
        *([_speed(cells, group, row, metric) for row in rows] for metric in ("training_samples", "samples")),
        [_learned(own) for *_, own in rows],
        *([_chosen(own, path) for *_, own in rows] for path in (("norm_gain",), ("optimizer", "learning_rate"))),
        [n_entry([interval]) for interval in reached],
    ]
    headings = (
        "framework", "neuron", "accuracy (%)", "noisy (%)", "additions (k)", "firing rate (%)", f"{PROFILE} (nJ)",
        f"training, {TIMES} reference", f"inference, {TIMES} reference", "learns (moved)", "gain", "learning rate", "n",
    )  # fmt: skip
    shown = tuple(
        (Entry(framework), Entry(neuron.removeprefix(f"{framework}:")), *(column[i] for column in columns))
        for i, (framework, neuron, _) in enumerate(rows)
    )
    return Table(f"Own neurons: {where}", headings, shown, 2, "n: seeds.")


def _matched(cells: Cells, group: Cells) -> Cells:
    """The reference's neurons in the same network, on the same data, trained with the same settings."""
    cell = group.records[0]["cell"]
    axes = {name: str(cell.get(name, DASH)) for name in ("dataset", "network", "variant")}
    found = cells.where(framework=REFERENCE, track=DASH, **axes).by_measure(*_TRAINED)

    def of_training(settings: dict[str, object]) -> list[object]:
        return [settings.get(name) for name in OF_TRAINING]

    wanted = of_training(cell["settings"])
    return Cells(tuple(record for record in found if of_training(record["cell"]["settings"]) == wanted))


def _accuracy(own: Cells) -> Runs:
    return own.accuracy()


def _reached(interval: Interval | None, mark: str, own: Cells) -> Entry:
    if interval is not None:
        return percent(interval, mark)
    if all(record["status"] == "unsupported" for record in own):
        return Entry("the framework has none", tone="muted")
    return Entry(own.problems() or "not recorded", tone="bad")


def _noisy(own: Cells, group: Cells) -> Interval | None:
    runs = mean_under_noise(own, noises_of(group))
    return mean_interval(runs, bounds=(0, 1)) if runs else None


def _speed(cells: Cells, group: Cells, row: tuple[str, str, Cells], metric: str) -> Entry:
    """The newest timing of the neuron in the network; the reference itself is 1 by construction, and is not timed."""
    cell = group.records[0]["cell"]
    axes = {name: str(cell.get(name, DASH)) for name in ("dataset", "network", "variant")}
    timed = cells.where(measure="throughput", track="native", neuron=row[2].names("neuron")[0][0], **axes).ok.groups()
    ratio = next((typical(one, f"{metric}_per_second_ratio", "native") for _, one in timed), None)
    return ABSENT if ratio is None else Entry(estimate(ratio), ratio.value)


def _trained(own: Cells) -> list[TrainingRecord]:
    return [record["trained"] for record in own.where(measure="accuracy") if "trained" in record]


def _learned(own: Cells) -> Entry:
    moved: dict[str, list[float]] = {}
    if not _trained(own):
        return ABSENT
    for trained in _trained(own):
        for change in trained["parameters"]:
            moved.setdefault(change["parameter"], []).append(change["share_moved"])
    told = [f"{name} ({number(100 * fmean(shares), 0)} %)" for name, shares in moved.items()]
    return Entry(listed(told, _MOST)) if told else Entry("nothing", tone="muted")


def _chosen(own: Cells, path: tuple[str, ...]) -> Entry:
    """The value that the search chose, the same for all seeds."""
    values = []
    for trained in _trained(own):
        value: object = trained["rule"]
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        values.append(value)
    found = list(dict.fromkeys(value for value in values if isinstance(value, int | float)))
    return Entry(" or ".join(f"{value:g}" for value in found), float(found[0])) if found else ABSENT
