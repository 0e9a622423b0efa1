"""A suite file becomes a validated `Suite`, and a suite becomes cells.

This module decides what is to be done, never how.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from functools import partial
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from spikemark.adapter import adapter_names
from spikemark.cells import Cell, Task
from spikemark.datasets import DATASETS, ENCODERS
from spikemark.errors import InputError, unknown
from spikemark.noise import NOISES
from spikemark.systems import SYSTEMS

Measure = Literal["accuracy", "robustness", "energy", "throughput", "conformance"]
Count = Annotated[int, Field(ge=1)]
Axis = Annotated[tuple[str, ...], Field(min_length=1)]


class SuiteError(InputError):
    """The suite file is wrong; the message names file, key and what would be right."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Sizes(_Table):
    """How many samples of each split; all of them when left out."""

    train: Count | None = None
    validation: Count | None = None
    test: Count | None = None


class Encoding(_Table):
    """How samples become currents over `steps` time steps."""

    name: str = "direct"
    steps: Count = 4

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        return _in_registry("encoder", name, ENCODERS)


class Training(_Table):
    """Epochs and batch size, the same for every contender."""

    epochs: Count = 10
    batch_size: Annotated[int, Field(ge=2)] = 64


class Robustness(_Table):
    """Which noises at which severities, on how many test samples (all when left out)."""

    noises: Axis = ("gaussian", "salt-and-pepper", "spike-deletion")
    severities: Annotated[tuple[Annotated[int, Field(ge=1, le=5)], ...], Field(min_length=1)] = (1, 2, 3, 4, 5)
    samples: Count | None = None

    @field_validator("noises")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_in_registry("noise", name, NOISES) for name in names)


class Energy(_Table):
    """On how many test samples operations are counted."""

    samples: Count = 128


class Throughput(_Table):
    """How throughput is measured: batch, threads, and seconds for each of its phases."""

    batch_size: Count = 64
    threads: Count = 1
    seconds: Annotated[float, Field(gt=0)] = 1.0


class Part(_Table):
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
    training: Training = Training()
    robustness: Robustness = Robustness()
    energy: Energy = Energy()
    throughput: Throughput = Throughput()

    @field_validator("frameworks")
    @classmethod
    def _known_frameworks(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_in_registry("framework", name, adapter_names()) for name in names)

    @field_validator("systems")
    @classmethod
    def _known_systems(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_in_registry("system", name, SYSTEMS) for name in names)

    @field_validator("datasets")
    @classmethod
    def _known_datasets(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_in_registry("dataset", name, DATASETS) for name in names)

    @field_validator("frameworks", "systems", "datasets", "seeds", "measures")
    @classmethod
    def _no_doubles(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        doubles = sorted({str(value) for value in values if values.count(value) > 1})
        if doubles:
            raise ValueError(f"named twice: {', '.join(doubles)}")
        return values

    @model_validator(mode="after")
    def _noises_fit_the_data(self) -> Self:
        if "robustness" in self.measures:
            for noise, dataset in product(self.robustness.noises, self.datasets):
                NOISES[noise].check(DATASETS[dataset])
        return self

    def cells(self, suite: str) -> list[Cell]:
        """All cells of the part, under the suite's name."""
        cells: list[Cell] = []
        cell = partial(self._cell, suite)
        trained = [m for m in ("accuracy", "robustness", "energy") if m in self.measures]
        if "conformance" in self.measures:
            neurons = dict.fromkeys(SYSTEMS[name].neuron for name in self.systems)
            cells += [cell("conformance", f, n, "dyadic", self.seeds[0], {}) for n in neurons for f in self.frameworks]
        if trained:
            settings = self.model_dump(mode="json", include={"sizes", "training", "encoding", *trained})
            cells += [
                cell("train", framework, system, dataset, seed, settings)
                for dataset in self.datasets
                for system in self.systems
                for seed in self.seeds
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
        return cells

    def _cell(
        self, suite: str, task: Task, framework: str, system: str, dataset: str, seed: int, settings: dict[str, Any]
    ) -> Cell:
        return Cell(suite, task, framework, system, dataset, seed, self.timeout, settings, self.variant)


class Suite(_Table):
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


def _in_registry(kind: str, name: str, known: Iterable[str]) -> str:
    names = list(known)
    if name not in names:
        raise unknown(kind, name, names)
    return name


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
            table: Any = Part if len(place) == 1 else Part.model_fields[str(place[0])].annotation
            fields = getattr(table, "model_fields", {})
            problems.append(f"{unknown('key', str(place[-1]), fields)} at {key}")
        elif item["type"] == "value_error":
            problems.append(f"{key}: {item['ctx']['error']}")
        else:
            found = "" if item["type"] == "missing" else f", found {item['input']!r}"
            problems.append(f"{key}: {item['msg']}{found}")
    return "; ".join(dict.fromkeys(problems))
