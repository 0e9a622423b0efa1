"""The records of one suite, looked up by the axes of their cells, in groups that never mix settings.

This module knows records; its neighbours know what a report says about them, and how it looks.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

from spikemark import errors
from spikemark.core.measurement import FEATURES, Measurement, unpack_correct
from spikemark.core.statistics import Runs
from spikemark.report.model import DASH
from spikemark.suites.reading import ResultsError
from spikemark.suites.records import Record, flat
from spikemark.suites.settings import OF_TRAINING

REFERENCE = "reference"
"""The framework that others are compared with, where it took part."""
BASELINE = "lif"
"""The neuron that others are compared with, where it took part."""
PROFILE = "45nm-fp32"
"""The prices of energy where one number has to stand for all: those that most publications use."""

_FEW = 3
_AXES = (
    "measure", "subject", "framework", "neuron", "track", "network", "system", "dataset", "axis", "seed", "variant",
    "settings", "framework_version", "system_definition", "plugins", "weights",
)  # fmt: skip


def axis(record: Record, name: str) -> str:
    """A cell's place on an axis, as text; a dash where it has none."""
    value = record["cell"].get(name)
    return DASH if value is None else str(value)


def first_line(error: str | None) -> str:
    """The line of an error that says what happened; the traceback below it stays in the record."""
    return errors.first_line(error, "no error was recorded")


def neurons_of(cells: Iterable[Record]) -> dict[str, str]:
    """The neuron of every system."""
    return {axis(record, "system"): axis(record, "neuron") for record in cells}


def problem(record: Record) -> str | None:
    """The status of a cell whose numbers are left out; None where they are used."""
    return None if record["status"] == "ok" else record["status"]


def cause(record: Record) -> tuple[str, ...]:
    """What cells have in common that failed together: one training that went wrong is one problem for all measures."""
    place = (axis(record, "system"), record["training"]) if record["training"] else ("", record["key"])
    return (*place, record["status"])


@dataclass(frozen=True)
class Cells:
    """Records of one suite, each cell once, in the order of their axes.

    Attributes:
        records: in that order.
        superseded: how many older records of the same cells were left out.
    """

    records: tuple[Record, ...]
    superseded: int = 0

    @classmethod
    def of(cls, records: Iterable[Record]) -> Self:
        """All records; where a cell was run more than once with the same settings, the one that was started last.

        Raises:
            ResultsError: test sets of one data set have different sizes though the settings are the same.
        """
        ordered = sorted(records, key=lambda r: (r["started"], r["key"]))
        newest = {json.dumps(r["cell"], sort_keys=True): r for r in ordered}
        cells = cls(tuple(sorted(newest.values(), key=_order)), len(ordered) - len(newest))
        cells._check_sizes()
        return cells

    def __iter__(self) -> Iterator[Record]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def where(self, **axes: str) -> Self:
        """Those whose cells are there on all the given axes."""
        found: Iterable[Record] = self.records
        for name, value in axes.items():
            found = [record for record in found if axis(record, name) == value]
        return type(self)(tuple(found))

    def by_measure(self, *measures: str) -> Self:
        """Those of some measures."""
        return self._those(lambda r: r["cell"]["measure"] in measures)

    @property
    def ok(self) -> Self:
        """Those whose numbers are used."""
        return self._those(lambda r: problem(r) is None)

    @property
    def profile(self) -> str:
        """The prices of energy where one number stands for all: the usual ones, or the first that were taken."""
        taken = [str(name) for name in self.features("energy", "profile")]
        return taken[0] if taken and PROFILE not in taken else PROFILE

    @property
    def with_degenerate(self) -> Self:
        """All, with the numbers of degenerate runs in use: for questions that are about degeneration."""
        used = (cast("Record", {**r, "status": "ok"}) if r["status"] == "degenerate" else r for r in self)
        return type(self)(tuple(used))

    def names(self, *axes: str) -> list[tuple[str, ...]]:
        """The places on these axes where there is a record, each once, in order."""
        return list(dict.fromkeys(tuple(axis(record, name) for name in axes) for record in self))

    @property
    def leading(self) -> str:
        """The reference, or the first framework where it did not take part."""
        names = [name for (name,) in self.names("framework")]
        return REFERENCE if REFERENCE in names else names[0]

    @property
    def baseline(self) -> str | None:
        """The first system of the baseline neuron; None where there is none."""
        return next((system for system, neuron in self.names("system", "neuron") if neuron == BASELINE), None)

    @property
    def variations(self) -> list[str]:
        """The baseline and the systems that differ from it in the neuron alone; all systems where there are none."""
        definitions = {axis(record, "system"): _without_neuron(record) for record in self}
        alone = [name for name, definition in definitions.items() if definition == definitions.get(self.baseline or "")]
        return alone if len(alone) > 1 else list(definitions)

    @property
    def samples(self) -> int:
        """How many test samples every run was asked, as records or settings tell; 0 where neither does."""
        return min((_samples(record) for record in self), default=0)

    def groups(self) -> Iterator[tuple[str, Self]]:
        """Those of one data set, network, variant, track and edition, which may be compared; and what to call them."""
        axes = ("dataset", "network", "variant", "track")
        for places in self.names(*axes):
            for words, edition in self.where(**dict(zip(axes, places, strict=True))).editions():
                yield ", ".join([*(place for place in places if place != DASH), *words]), edition

    def editions(self) -> Iterator[tuple[tuple[str, ...], Self]]:
        """Those whose settings, versions and definitions agree, the newest first; and words for what is their own.

        Records that do not have what differs (another framework, where one was upgraded) are in every edition.
        """
        facets = [
            {name: json.dumps(content, sort_keys=True) for name, content in facets_of(record).items()}
            for record in self
        ]
        texts: dict[str, set[str]] = {}
        for found in facets:
            for name, text in found.items():
                texts.setdefault(name, set()).add(text)
        mixed = {name: sorted(several) for name, several in texts.items() if len(several) > 1}
        if not mixed:
            yield (), self
            return
        marks = [{name: text for name, text in found.items() if name in mixed} for found in facets]
        for edition in _editions(mixed, zip((record["started"] for record in self), marks, strict=True)):
            inside = [mark.items() <= edition.items() for mark in marks]
            had = {name for mark, is_in in zip(marks, inside, strict=True) if is_in for name in mark}
            words = [word for name in mixed if name in had for word in _peculiar(name, edition[name], mixed[name])]
            own = tuple(record for record, is_in in zip(self, inside, strict=True) if is_in)
            yield tuple(_few(words)), type(self)(own)

    def problems(self) -> str:
        """How many cells are left out and why, such as "1 failed, 2 timeout"; a training counts once."""
        words = Counter(cause[-1] for cause in {cause(r) for r in self if problem(r) is not None})
        return ", ".join(f"{count} {word}" for word, count in sorted(words.items()))

    def rows(self, metric: str, **features: Any) -> dict[int, Measurement]:
        """By seed, the one measurement of `metric` with these features (the unit apart) and no further ones.

        Raises:
            ResultsError: there are several.
        """
        found: dict[int, Measurement] = {}
        wanted = {name: features.get(name) for name in FEATURES if name != "unit" or name in features}
        wanted["metric"] = metric
        for record in self:
            if problem(record) is not None:
                continue
            rows = [row for row in record["measurements"] if row["metric"] == metric and _fits(row, wanted)]
            number = record["cell"]["seed"]
            if len(rows) > 1 or (rows and number in found):
                often = max(len(rows), 2)
                raise ResultsError(f"record {record['key']} holds {metric} {features or ''} {often} times")
            if rows:
                found[number] = rows[0]
        return found

    def runs(self, metric: str, **features: Any) -> dict[int, float]:
        """Values of `rows`."""
        return {s: row["value"] for s, row in self.rows(metric, **features).items()}

    def accuracy(self) -> Runs:
        """Headline test accuracy by seed: for each test sample where every record holds that, else one number."""
        own = self.by_measure("accuracy")
        values = own.runs("accuracy", split="test")
        packed = {r["cell"]["seed"]: r["correct"] for r in own.ok if r["cell"]["seed"] in values and "correct" in r}
        if packed.keys() != values.keys():
            return values
        return {s: unpack_correct(text) for s, text in packed.items()}

    def features(self, metric: str, name: str) -> list[Any]:
        """Values that a feature of `metric` takes in any record, in order of appearance."""
        rows = [row for record in self.ok for row in record["measurements"] if row["metric"] == metric]
        return list(dict.fromkeys(row[name] for row in rows if name in row))  # type: ignore[literal-required]

    def _check_sizes(self) -> None:
        for where, alike in self.by_measure("accuracy").groups():
            sizes = sorted({r["correct"].partition(":")[0] for r in alike if "correct" in r})
            if len(sizes) > 1:
                raise ResultsError(
                    f"the records of {where} have test sets of different sizes ({', '.join(sizes)}) under the same "
                    "settings, so they are of different data; keep these in separate folders"
                )

    def _those(self, keep: Callable[[Record], bool]) -> Self:
        return type(self)(tuple(record for record in self if keep(record)))


def facets_of(record: Record) -> dict[str, Mapping[str, Any]]:
    """What determines a result beside its axes, part by part; parts of one name must agree for results to be pooled."""
    cell = record["cell"]
    settings = cell["settings"]
    own = flat({name: table for name, table in settings.items() if name not in OF_TRAINING})
    # Where a contender was measured along an axis may differ from others': each number tells its own point.
    places = {
        name: own.pop(name) for name in list(own) if "axis" in cell and name.split(".")[1:2] in (["axes"], ["phases"])
    }
    further = flat({name: value for name, value in cell.items() if name not in _AXES})
    training = flat({name: settings[name] for name in OF_TRAINING if name in settings})
    # Which options are searched is an arm's own affair: others may not have them.
    searched = {name: training.pop(name) for name in list(training) if name.startswith("tuning.search")}
    facets: dict[str, Mapping[str, Any]] = {
        "settings": training,
        f"tuning {cell.get('system')}": searched,
        f"{cell['measure']} {cell.get('axis', '')}": own | further,
        f"points {cell.get('axis', '')} {cell['framework']} {cell['neuron']}": places,
        f"framework {cell['framework']}": {cell["framework"]: cell.get("framework_version", "")},
    }
    if "weights" in cell:  # it was brought: there is no training whose settings must agree with others'
        del facets["settings"]
    if "system_definition" in cell:
        facets[f"system {cell.get('system')}"] = flat(cell["system_definition"], f"{cell.get('system')}.")
    return facets | {f"plug-in {name}": {name: digest} for name, digest in cell.get("plugins", {}).items()}


def _editions(mixed: Mapping[str, list[str]], marks: Iterable[tuple[str, Mapping[str, str]]]) -> list[dict[str, str]]:
    """Choices of a text for each name, so that every mark is within one: marks of the newest records go together first.

    Args:
        mixed: all texts by name.
        marks: of each record, when it was started and the texts that it has.
    """
    newest: dict[str, str] = {}
    found: list[dict[str, str]] = []
    distinct = {json.dumps([started, mark], sort_keys=True): mark for started, mark in marks}
    for _, mark in sorted(distinct.items(), reverse=True):
        newest = dict(mark) | newest
        fitting = (edition for edition in found if all(edition.get(n, text) == text for n, text in mark.items()))
        edition = next(fitting, None)
        if edition is None:
            found.append(dict(mark))
        else:
            edition.update(mark)
    return [{name: edition.get(name, newest[name]) for name in mixed} for edition in found]


def _peculiar(name: str, text: str, texts: Iterable[str]) -> Iterator[str]:
    """Words for what a text says that others of its name do not."""
    own, every = json.loads(text), [json.loads(other) for other in texts]
    keys = dict.fromkeys(key for content in every for key in content)
    differing = [key for key in keys if len({json.dumps(content.get(key, "none")) for content in every}) > 1]
    kind, _, rest = name.partition(" ")
    if len(differing) > _FEW and kind != "settings":
        yield f"{rest if kind == 'system' else name.strip()} {_digest(text)}"
        return
    for key in differing:
        value = own.get(key, "none")
        shown = "all" if value is None else str(value)[:8] if kind == "plug-in" else value
        is_path = kind not in ("plug-in", "framework")
        yield f"{key.removeprefix('training.').replace('.', ' ') if is_path else key} {shown}"


def _few(words: list[str]) -> list[str]:
    """The words, cut where a title would not hold them; what is cut is still told apart."""
    if len(words) <= 2 * _FEW:
        return words
    rest = words[2 * _FEW :]
    return [*words[: 2 * _FEW], f"{len(rest)} more differences ({_digest(' '.join(rest))})"]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _without_neuron(record: Record) -> dict[str, Any]:
    definition = record["cell"].get("system_definition", {})
    return {name: value for name, value in definition.items() if name not in ("neuron", "neuron_spec")}


def _samples(record: Record) -> int:
    if "correct" in record:
        return int(record["correct"].partition(":")[0])
    settings = record["cell"]["settings"]
    own = settings.get(record["cell"]["measure"], {}).get("samples")
    return int(own or settings.get("sizes", {}).get("test") or 0)


def _fits(row: Measurement, wanted: Mapping[str, Any]) -> bool:
    return all(row.get(name) == value for name, value in wanted.items())


def _order(record: Record) -> tuple[Any, ...]:
    """The reference framework and the baseline neuron first; otherwise by name."""
    neuron, framework = axis(record, "neuron"), axis(record, "framework")
    return (
        *(axis(record, name) for name in ("measure", "dataset", "network", "variant")),
        "track" in record["cell"],
        axis(record, "axis"),
        framework != REFERENCE,
        framework,
        neuron != BASELINE,
        neuron,
        axis(record, "system"),
        record["cell"]["seed"],
        record["key"],
    )
