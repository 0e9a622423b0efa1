"""A suite file becomes a validated `Suite`, and a suite becomes cells.

A cell is one point of the suite, with everything that determines its result: the unit of work, of caching and of
failure. This module decides what is to be done, never how.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from spikemark.adapter import adapter_names, get_adapter
from spikemark.datasets import DATASETS, ENCODERS
from spikemark.errors import InputError, unknown
from spikemark.noise import NOISES
from spikemark.results import key_of
from spikemark.systems import SYSTEMS

Measure = Literal["accuracy", "robustness", "energy", "throughput", "conformance"]
Task = Literal["train", "throughput", "conformance"]
Count = Annotated[int, Field(ge=1)]
Axis = Annotated[tuple[str, ...], Field(min_length=1)]
ONLY_KEYS = ("measure", "framework", "neuron", "network", "system", "dataset", "seed")


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


class Suite(_Table):
    """The axes and settings of a suite file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    version: Count = 1
    description: str = ""
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

    def cells(self) -> list[Cell]:
        """All cells of the suite; those that must have the machine to themselves come last."""
        cells: list[Cell] = []
        trained = [m for m in ("accuracy", "robustness", "energy") if m in self.measures]
        if "conformance" in self.measures:
            neurons = dict.fromkeys(SYSTEMS[name].neuron for name in self.systems)
            cells += [
                self._cell("conformance", f, n, "dyadic", self.seeds[0], {}) for n in neurons for f in self.frameworks
            ]
        if trained:
            settings = self.model_dump(mode="json", include={"sizes", "training", "encoding", *trained})
            cells += [
                self._cell("train", framework, system, dataset, seed, settings)
                for dataset in self.datasets
                for system in self.systems
                for seed in self.seeds
                for framework in self.frameworks
            ]
        if "throughput" in self.measures:
            settings = self.model_dump(mode="json", include={"encoding", "throughput"})
            cells += [
                self._cell("throughput", framework, system, dataset, self.seeds[0], settings)
                for dataset in self.datasets
                for system in self.systems
                for framework in self.frameworks
            ]
        return cells

    def _cell(self, task: Task, framework: str, system: str, dataset: str, seed: int, settings: dict[str, Any]) -> Cell:
        return Cell(self.name, task, framework, system, dataset, seed, self.timeout, settings)


@dataclass(frozen=True)
class Cell:
    """One point of a suite.

    Attributes:
        suite: the suite's name; it does not enter the key, so suites share results.
        task: "train" (accuracy, robustness and energy of one trained network), "throughput" or "conformance".
        framework: adapter.
        system: a row of `SYSTEMS`; for conformance, a row of `NEURONS`.
        dataset: a row of `DATASETS`; for conformance, "dyadic".
        seed: of the run.
        timeout: seconds.
        settings: the tables of the suite file that determine the result.
    """

    suite: str
    task: Task
    framework: str
    system: str
    dataset: str
    seed: int
    timeout: float
    settings: Mapping[str, Any]

    @property
    def neuron(self) -> str:
        """Name of the neuron."""
        return self.system if self.task == "conformance" else SYSTEMS[self.system].neuron

    @property
    def network(self) -> str | None:
        """Name of the network; None for conformance."""
        return None if self.task == "conformance" else SYSTEMS[self.system].network

    @property
    def exclusive(self) -> bool:
        """Whether the cell must have the machine to itself."""
        return self.task == "throughput"

    def axes(self) -> dict[str, Any]:
        """The axes that `--only` selects by, as they stand in a record's ``cell``."""
        return {
            "measure": self.task,
            "framework": self.framework,
            "neuron": self.neuron,
            "network": self.network,
            "system": self.system,
            "dataset": self.dataset,
            "seed": self.seed,
        }

    def content(self) -> dict[str, Any]:
        """Everything that determines the result, as it stands in the record."""
        system = {} if self.task == "conformance" else {"system_definition": SYSTEMS[self.system].to_dict()}
        noises = self.settings.get("robustness", {}).get("noises", ())
        levels = {"noise_levels": {name: list(NOISES[name].levels) for name in noises}} if noises else {}
        version = get_adapter(self.framework).version()
        return self.axes() | system | levels | {"settings": dict(self.settings), "framework_version": version}

    def key(self) -> str:
        """The record's key."""
        return key_of(self.content())

    def __str__(self) -> str:
        return f"{self.task} {self.framework} {self.system} {self.dataset} seed {self.seed}"


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
        return Suite.model_validate_json(_json(data))
    except ValidationError as error:
        raise SuiteError(f"{path}: {_explain(error)}") from None


def _json(data: dict[str, Any]) -> str:
    """TOML data as JSON, since pydantic's strict mode takes an array for a tuple only from JSON."""
    return json.dumps(data, default=str)


def _explain(error: ValidationError) -> str:
    """All problems on one line: key, what is wrong, what was found."""
    problems = []
    for item in error.errors():
        key = ".".join(str(part) for part in item["loc"]) or "suite"
        if item["type"] == "extra_forbidden":
            table: Any = Suite if len(item["loc"]) == 1 else Suite.model_fields[str(item["loc"][0])].annotation
            fields = getattr(table, "model_fields", {})
            problems.append(f"{unknown('key', str(item['loc'][-1]), fields)} at {key}")
        elif item["type"] == "value_error":
            problems.append(f"{key}: {item['ctx']['error']}")
        else:
            found = "" if item["type"] == "missing" else f", found {item['input']!r}"
            problems.append(f"{key}: {item['msg']}{found}")
    return "; ".join(problems)


def select(cells: list[Cell], only: list[str]) -> list[Cell]:
    """The cells that match every ``KEY=VALUE[,VALUE...]``.

    Raises:
        InputError: a term of another form, an unknown key, or nothing left.
    """
    for term in only:
        key, separator, values = term.partition("=")
        if not separator or key not in ONLY_KEYS:
            raise InputError(f"--only {term}: expected KEY=VALUE with KEY one of {', '.join(ONLY_KEYS)}")
        wanted = set(values.split(","))
        found = {str(cell.axes()[key]) for cell in cells}
        if not wanted <= found:
            missing = ", ".join(sorted(wanted - found))
            raise InputError(f"--only {term}: no cell has {key} {missing} (there are: {', '.join(sorted(found))})")
        cells = [cell for cell in cells if str(cell.axes()[key]) in wanted]
    if not cells:
        raise InputError("no cells to run")
    return cells
