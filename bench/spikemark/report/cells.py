"""The records of one suite, looked up by the axes of their cells; and whether they may be compared at all.

This module knows records. What the report says about them, and how it looks, is the affair of its neighbours.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

from spikemark.core.measurement import Measurement, unpack_correct
from spikemark.core.neurons import NEURONS
from spikemark.core.statistics import Runs
from spikemark.noise.case import NOISES
from spikemark.report.model import DASH
from spikemark.suites.records import Record, ResultsError

REFERENCE = "reference"
"""The framework that others are compared with, where it took part."""

_FEATURES = ("unit", "split", "noise", "severity", "layer")
_OF_THE_FRAMEWORK = ("framework", "framework_version", "route")
_IDENTITY = ("measure", "framework", "system", "dataset", "variant", "seed")


def axis(record: Record, name: str) -> str:
    """A cell's place on an axis, as text; a dash where it has none."""
    value = record["cell"].get(name)
    return DASH if value is None else str(value)


def seed(record: Record) -> int:
    """A cell's seed.

    Raises:
        ResultsError: it has none.
    """
    value = record["cell"].get("seed")
    if not isinstance(value, int):
        raise ResultsError(f"record {record['key']}: cell.seed is {value!r}, expected a whole number")
    return value


def first_line(error: str | None) -> str:
    """The line of an error that says what happened; the traceback below it stays in the record."""
    lines = (error or "").strip().splitlines()
    return lines[0] if lines else "no error was recorded"


def problem(record: Record) -> str | None:
    """One word for why a cell has no result: its status, or "unsupported"; None where it has one."""
    if record["status"] == "ok":
        return None
    unsupported = record["status"] == "failed" and (record["error"] or "").startswith("Unsupported")
    return "unsupported" if unsupported else record["status"]


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
        """All records; where a cell was run more than once, the one that was started last.

        Raises:
            ResultsError: a value is no finite number, or test sets of one data set have different sizes.
        """
        ordered = sorted(map(_checked, records), key=lambda r: (r["started"], r["key"]))
        newest = {tuple(axis(r, name) for name in _IDENTITY): r for r in ordered}
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

    @property
    def ok(self) -> Self:
        """Those with a result."""
        return self._those(lambda r: r["status"] == "ok")

    def names(self, *axes: str) -> list[tuple[str, ...]]:
        """The places on these axes where there is a record, each once, in order."""
        return list(dict.fromkeys(tuple(axis(record, name) for name in axes) for record in self))

    def groups(self) -> Iterator[tuple[str, Self]]:
        """Those of one data set, network and variant together, which may be compared; and what to call them."""
        axes = ("dataset", "network", "variant")
        for places in self.names(*axes):
            where = ", ".join(place for place in places if place != DASH)
            yield where, self.where(**dict(zip(axes, places, strict=True)))

    def problems(self) -> str:
        """How many cells have no result and why, such as "1 failed, 2 timeout"; empty when all have one."""
        words = Counter(word for record in self if (word := problem(record)) is not None)
        return ", ".join(f"{count} {word}" for word, count in sorted(words.items()))

    def rows(self, metric: str, **features: Any) -> dict[int, Measurement]:
        """By seed, the one measurement of `metric` with these features and no further split, noise, severity or layer.

        Raises:
            ResultsError: a record has several.
        """
        found: dict[int, Measurement] = {}
        for record in self.ok:
            rows = [row for row in record["measurements"] if row["metric"] == metric and _fits(row, features)]
            if len(rows) > 1:
                raise ResultsError(f"record {record['key']} holds {metric} {features or ''} {len(rows)} times")
            if rows:
                found[seed(record)] = rows[0]
        return found

    def runs(self, metric: str, **features: Any) -> dict[int, float]:
        """Values of `rows`."""
        return {s: row["value"] for s, row in self.rows(metric, **features).items()}

    def accuracy(self) -> Runs:
        """Headline test accuracy by seed: for each test sample where every record holds that, else one number."""
        values = self.runs("accuracy", split="test")
        packed = {seed(r): r["correct"] for r in self.ok if seed(r) in values and "correct" in r}
        if packed.keys() != values.keys():
            return values
        return {s: unpack_correct(text) for s, text in packed.items()}

    def features(self, metric: str, name: str) -> list[Any]:
        """Values that a feature of `metric` takes in any record, in order of appearance."""
        rows = [row for record in self.ok for row in record["measurements"] if row["metric"] == metric]
        return list(dict.fromkeys(row[name] for row in rows if name in row))  # type: ignore[literal-required]

    def _check_sizes(self) -> None:
        for dataset, variant in self.names("dataset", "variant"):
            alike = self.where(dataset=dataset, variant=variant)
            sizes = sorted({r["correct"].partition(":")[0] for r in alike if "correct" in r})
            if len(sizes) > 1:
                raise ResultsError(
                    f"the records of {dataset} have test sets of different sizes ({', '.join(sizes)}), so they are of "
                    "different versions of the suite; keep these in separate folders"
                )

    def _those(self, keep: Callable[[Record], bool]) -> Self:
        return type(self)(tuple(record for record in self if keep(record)))


def _checked(record: Record) -> Record:
    for row in record["measurements"]:
        value = row.get("value")
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise ResultsError(f"record {record['key']}: {row.get('metric')} is {value!r}, expected a finite number")
    return record


def _fits(row: Measurement, features: dict[str, Any]) -> bool:
    names = _FEATURES if "unit" in features else _FEATURES[1:]
    return all(row.get(name) == features.get(name) for name in names)


def _order(record: Record) -> tuple[Any, ...]:
    """Reference first, catalogue order among neurons; otherwise by name."""
    catalogue, neuron = list(NEURONS), axis(record, "neuron")
    return (
        axis(record, "measure"),
        axis(record, "dataset"),
        axis(record, "network"),
        axis(record, "variant"),
        axis(record, "framework") != REFERENCE,
        axis(record, "framework"),
        catalogue.index(neuron) if neuron in catalogue else len(catalogue),
        axis(record, "system"),
        seed(record),
    )


@dataclass(frozen=True)
class Mismatch:
    """Frameworks that were to do identical work and did not.

    Attributes:
        cell: what was compared: measure, system, data set and seed.
        name: of the fingerprint, such as "initial_weights".
        found: the fingerprint of each framework, None where it has none.
    """

    cell: str
    name: str
    found: tuple[tuple[str, str | None], ...]


def is_attack(fingerprint: str) -> bool:
    """Whether a fingerprint is of samples crafted against one network, which differ from network to network."""
    kind, _, rest = fingerprint.partition(":")
    noise = NOISES.get(rest.partition(":")[0]) if kind == "noise" else None
    return noise is not None and noise.domain == "adversary"


def _work(record: Record) -> tuple[str, ...]:
    """What a cell did, whoever did it: its axes, and all else but the framework."""
    cell = {key: value for key, value in record["cell"].items() if key not in _OF_THE_FRAMEWORK}
    axes = ("measure", "system", "dataset", "variant", "seed")
    return (*(str(axis(record, name)) for name in axes), json.dumps(cell, sort_keys=True))


def fairness(cells: Cells) -> tuple[int, list[Mismatch]]:
    """Compare the fingerprints of cells that differ in nothing but the framework.

    Returns:
        How many fingerprints were compared across frameworks, and those that differ.
    """
    compared, mismatches = 0, []
    groups: dict[tuple[str, ...], list[Record]] = {}
    for record in cells.ok:
        groups.setdefault(_work(record), []).append(record)
    for (measure, system, dataset, _, number, _), alike in sorted(groups.items()):
        if len(alike) < 2:
            continue
        for name in sorted({name for record in alike for name in record["fingerprints"]}):
            if is_attack(name):
                continue
            compared += 1
            found = tuple((axis(record, "framework"), record["fingerprints"].get(name)) for record in alike)
            if len({fingerprint for _, fingerprint in found}) > 1:
                mismatches.append(Mismatch(f"{measure} {system} {dataset} seed {number}", name, found))
    return compared, mismatches
