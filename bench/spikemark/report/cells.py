"""The records of one suite, looked up by the axes of their cells, in groups that never mix settings.

This module knows records; its neighbours know what a report says about them, and how it looks.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

from spikemark.core.measurement import FEATURES, Measurement, unpack_correct
from spikemark.core.statistics import Runs
from spikemark.measures.speed.points import Point
from spikemark.report.model import DASH
from spikemark.suites.records import Record, ResultsError, flat

REFERENCE = "reference"
"""The framework that others are compared with, where it took part."""
BASELINE = "lif"
"""The neuron that others are compared with, where it took part."""

_SHARED = ("sizes", "training", "encoding", "events")
_AXES = (
    "measure", "subject", "framework", "neuron", "network", "system", "dataset", "axis", "seed", "variant", "settings",
    "framework_version", "system_definition", "plugins",
)  # fmt: skip


def axis(record: Record, name: str) -> str:
    """A cell's place on an axis, as text; a dash where it has none."""
    value = record["cell"].get(name)
    return DASH if value is None else str(value)


def first_line(error: str | None) -> str:
    """The line of an error that says what happened; the traceback below it stays in the record."""
    lines = (error or "").strip().splitlines()
    return lines[0] if lines else "no error was recorded"


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
        return self._those(lambda r: all(axis(r, name) == value for name, value in axes.items()))

    def by_measure(self, *measures: str) -> Self:
        """Those of some measures."""
        return self._those(lambda r: r["cell"]["measure"] in measures)

    @property
    def ok(self) -> Self:
        """Those whose numbers are used."""
        return self._those(lambda r: problem(r) is None)

    def names(self, *axes: str) -> list[tuple[str, ...]]:
        """The places on these axes where there is a record, each once, in order."""
        return list(dict.fromkeys(tuple(axis(record, name) for name in axes) for record in self))

    def groups(self) -> Iterator[tuple[str, Self]]:
        """Those of one data set, network, variant and edition, which may be compared; and what to call them."""
        axes = ("dataset", "network", "variant")
        for places in self.names(*axes):
            for words, edition in self.where(**dict(zip(axes, places, strict=True))).editions():
                yield ", ".join([*(place for place in places if place != DASH), *words]), edition

    def editions(self) -> Iterator[tuple[tuple[str, ...], Self]]:
        """Those whose settings, versions and definitions agree, the newest first; and words for what is their own.

        Records that do not have what differs (another framework, where one was upgraded) are in every edition.
        """
        facets = [facets_of(record) for record in self]
        values: dict[str, dict[str, str]] = {}
        for record, found in zip(self, facets, strict=True):
            for name, content in found.items():
                text = json.dumps(content, sort_keys=True)
                started = values.setdefault(name, {})
                started[text] = max(started.get(text, ""), record["started"])
        mixed = {
            name: sorted(started, key=lambda text: (started[text], text), reverse=True)
            for name, started in values.items()
            if len(started) > 1
        }
        if not mixed:
            yield (), self
            return
        marks = [
            {name: json.dumps(content, sort_keys=True) for name, content in found.items() if name in mixed}
            for found in facets
        ]
        for edition in _editions(mixed, marks):
            own = [r for r, mark in zip(self, marks, strict=True) if mark.items() <= edition.items()]
            words = [word for name, text in edition.items() for word in _peculiar(name, text, mixed[name])]
            yield tuple(words), type(self)(tuple(own))

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
        for record in self.ok:
            rows = [row for row in record["measurements"] if row["metric"] == metric and _fits(row, features)]
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
    own = {name: table for name, table in settings.items() if name not in _SHARED}
    further = {name: value for name, value in cell.items() if name not in _AXES}
    facets: dict[str, Mapping[str, Any]] = {
        "settings": flat({name: settings[name] for name in _SHARED if name in settings}),
        f"{cell['measure']} {cell.get('axis', '')}": flat({**own, **further}),
        f"framework {cell['framework']}": {cell["framework"]: cell.get("framework_version", "")},
    }
    if "system_definition" in cell:
        facets[f"system {cell.get('system')}"] = flat(cell["system_definition"], f"{cell.get('system')}.")
    return facets | {f"plug-in {name}": {name: digest} for name, digest in cell.get("plugins", {}).items()}


def _editions(mixed: Mapping[str, list[str]], marks: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Choices of a text for each name: the newest of all, the second newest and so on, then what these miss."""
    most = max(len(texts) for texts in mixed.values())
    found = [{name: texts[min(i, len(texts) - 1)] for name, texts in mixed.items()} for i in range(most)]
    for mark in marks:
        if not any(mark.items() <= edition.items() for edition in found):
            found.append(found[0] | dict(mark))
    return found


def _peculiar(name: str, text: str, texts: Iterable[str]) -> Iterator[str]:
    """Words for what a text says that others of its name do not."""
    own, all_ = json.loads(text), [json.loads(other) for other in texts]
    for key in dict.fromkeys(key for content in all_ for key in content):
        if len({json.dumps(content.get(key)) for content in all_}) > 1:
            value = own.get(key, "none")
            shown = str(value)[:8] if name.startswith("plug-in") else value
            yield f"{key.removeprefix('training.').replace('.', ' ')} {'all' if value is None else shown}"


def _fits(row: Measurement, features: Mapping[str, Any]) -> bool:
    names = [name for name in FEATURES if name != "metric" and (name != "unit" or name in features)]
    return all(row.get(name) == features.get(name) for name in names)


def _order(record: Record) -> tuple[Any, ...]:
    """The reference framework and the baseline neuron first; otherwise by name."""
    neuron, framework = axis(record, "neuron"), axis(record, "framework")
    return (
        *(axis(record, name) for name in ("measure", "dataset", "network", "variant", "axis")),
        framework != REFERENCE,
        framework,
        neuron != BASELINE,
        neuron,
        axis(record, "system"),
        record["cell"]["seed"],
        record["key"],
    )


def point_label(point: Mapping[str, Any]) -> str:
    """A measurement's point as text; of points that are not those of layers, its names and values."""
    try:
        return Point.from_dict(point).label
    except (KeyError, TypeError, IndexError):
        return " ".join(f"{name}={value}" for name, value in sorted(point.items()))
