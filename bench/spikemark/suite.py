"""A suite file becomes a validated `Suite`, and a suite becomes cells.

This module decides what is to be done, never how.
"""

from __future__ import annotations

import json
import tomllib
from functools import partial
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, field_validator, model_validator

from spikemark.adapter import adapter_names
from spikemark.cells import Cell, Task
from spikemark.datasets import DATASETS, Card
from spikemark.errors import InputError, unknown
from spikemark.noise import NOISES
from spikemark.settings import (
    Axis,
    Count,
    Encoding,
    Energy,
    Events,
    LayerAxes,
    Layers,
    Robustness,
    Sizes,
    Table,
    Throughput,
    Training,
    each_once,
    in_registry,
)
from spikemark.systems import SYSTEMS, specified_neurons

Measure = Literal["accuracy", "robustness", "energy", "throughput", "layers", "conformance"]


class SuiteError(InputError):
    """The suite file is wrong; the message names file, key and what would be right."""


class Part(Table):
    """Axes and settings: every combination of the axes is a cell."""

    variant: Annotated[str, Field(pattern=r"^[a-z0-9-]*$")] = ""
    frameworks: Axis
    systems: Axis
    datasets: Axis
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    measures: Annotated[tuple[Measure, ...], Field(min_length=1)]
    timeout: Annotated[float, Field(gt=0)] = 600.0
    sizes: Sizes = Sizes()
    encoding: Encoding = Encoding()
    events: Events | None = None
    training: Training = Training()
    robustness: Robustness = Robustness()
    energy: Energy = Energy()
    throughput: Throughput = Throughput()
    layers: Layers = Layers()

    @field_validator("frameworks")
    @classmethod
    def _known_frameworks(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(in_registry("framework", name, adapter_names()) for name in names)

    @field_validator("systems")
    @classmethod
    def _known_systems(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(in_registry("system", name, SYSTEMS) for name in names)

    @field_validator("datasets")
    @classmethod
    def _known_datasets(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(in_registry("dataset", name, DATASETS) for name in names)

    @field_validator("frameworks", "systems", "datasets", "seeds", "measures")
    @classmethod
    def _no_doubles(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return each_once(values)

    @model_validator(mode="after")
    def _noises_fit_the_data(self) -> Self:
        if "robustness" in self.measures:
            for noise, card in product(self.robustness.noises, self._cards()):
                NOISES[noise].check(card)
        return self

    @model_validator(mode="after")
    def _binning_fits_the_data(self) -> Self:
        self._cards()
        return self

    def _cards(self) -> list[Card]:
        cards = [DATASETS[name] for name in self.datasets]
        return cards if self.events is None else [card.binned(self.events.binning()) for card in cards]

    @model_validator(mode="after")
    def _layers_have_axes(self) -> Self:
        if "layers" in self.measures and not self.layers.by_axis():
            raise ValueError(f"layers.axes: name at least one of {', '.join(LayerAxes.model_fields)}")
        return self

    def cells(self, suite: str) -> list[Cell]:
        """All cells of the part, under the suite's name."""
        cells: list[Cell] = []
        cell = partial(self._cell, suite)
        trained = [m for m in ("accuracy", "robustness", "energy") if m in self.measures]
        neurons = specified_neurons(self.systems)
        if "conformance" in self.measures:
            cells += [cell("conformance", f, n, "dyadic", self.seeds[0], {}) for n in neurons for f in self.frameworks]
        if trained:
            binned = ["events"] if self.events is not None else []
            settings = self.model_dump(mode="json", include={"sizes", "training", "encoding", *binned, *trained})
            cells += [
                cell("train", framework, system, dataset, seed, settings)
                for dataset in self.datasets
                for seed in self.seeds  # before systems: what those of one seed share, a process keeps for a while
                for system in self.systems
                for framework in self.frameworks
            ]
        if "throughput" in self.measures:
            settings = self.model_dump(mode="json", include={"encoding", "throughput"})
            cells += [
                cell("throughput", framework, system, dataset, self.seeds[0], settings)
                for dataset in self.datasets
                for system in self.systems
                for framework in self.frameworks
            ]
        if "layers" in self.measures:
            cells += [
                cell("layers", framework, neuron, axis, self.seeds[0], settings)
                for axis, settings in self.layers.by_axis().items()
                for neuron in neurons
                for framework in self.frameworks
            ]
        return cells

    def _cell(
        self, suite: str, task: Task, framework: str, system: str, dataset: str, seed: int, settings: dict[str, Any]
    ) -> Cell:
        return Cell(suite, task, framework, system, dataset, seed, self.timeout, settings, self.variant)


class Suite(Table):
    """A suite file: one part, or several that share what stands at its top."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    version: Count = 1
    description: str = ""
    parts: tuple[Part, ...]

    def cells(self) -> list[Cell]:
        """All cells, each once; those that must have the machine to themselves come last."""
        cells = {cell.key(): cell for part in self.parts for cell in part.cells(self.name)}
        return sorted(cells.values(), key=lambda cell: cell.exclusive)

    def values(self, axis: Literal["frameworks", "systems", "datasets", "measures"]) -> list[str]:
        """Everything that any part names on an axis, in order."""
        return list(dict.fromkeys(value for part in self.parts for value in getattr(part, axis)))


def shipped_suites() -> dict[str, Path]:
    """Name and file of every suite that comes with the package."""
    folder = Path(str(files("spikemark") / "suites"))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def load_suite(name_or_path: str) -> Suite:
    """Read a shipped suite by name, or any suite by path.

    Raises:
        SuiteError: no such suite, not TOML, or a wrong key or value.
    """
    shipped = shipped_suites()
    path = shipped.get(name_or_path, Path(name_or_path))
    if not path.is_file():
        if path.suffix == ".toml":
            raise SuiteError(f"suite file {path} does not exist")
        raise SuiteError(str(unknown("suite", name_or_path, shipped)) + ", or a path to a .toml file")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SuiteError(f"{path} is not TOML: {error}") from None
    try:
        return Suite.model_validate_json(
            json.dumps(_in_parts(data), default=str)
        )  # strict mode takes arrays for tuples
    except ValidationError as error:
        raise SuiteError(f"{path}: {_explain(error)}") from None


def _in_parts(data: dict[str, Any]) -> dict[str, Any]:
    """The file's tree with all that its parts share written out in each; tables are joined key by key."""
    head = {key: data[key] for key in ("name", "version", "description") if key in data}
    shared = {key: value for key, value in data.items() if key not in head and key != "parts"}
    parts = data.get("parts") or [{}]
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return head | {"parts": parts}
    return head | {"parts": [_joined(shared, part) for part in parts]}


def _joined(shared: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    tables = {
        key: shared[key] | value
        for key, value in own.items()
        if isinstance(value, dict) and isinstance(shared.get(key), dict)
    }
    return shared | own | tables


def _explain(error: ValidationError) -> str:
    """All problems on one line: key, what is wrong, what was found; a problem that all parts share stands once."""
    problems = []
    for item in error.errors():
        place = item["loc"]
        if place[:1] == ("parts",) and len(place) > 2:
            place = place[2:]
        key = ".".join(str(part) for part in place) or "suite"
        if item["type"] == "extra_forbidden":
            table: Any = Part
            for name in place[:-1]:
                table = getattr(table, "model_fields", {})[str(name)].annotation
            fields = getattr(table, "model_fields", {})
            problems.append(f"{unknown('key', str(place[-1]), fields)} at {key}")
        elif item["type"] == "value_error":
            problems.append(f"{key}: {item['ctx']['error']}")
        else:
            found = "" if item["type"] == "missing" else f", found {item['input']!r}"
            problems.append(f"{key}: {item['msg']}{found}")
    return "; ".join(dict.fromkeys(problems))
