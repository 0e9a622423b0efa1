"""A suite file becomes a validated `Suite`, and a suite becomes points. This module decides what is done, never how."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast, get_args

from pydantic import Field, ValidationError, field_validator, model_validator

from spikemark.core.frameworks import entry_name, environment_of
from spikemark.core.neurons import NEURONS, NeuronSpec, own_neurons
from spikemark.core.options import Options, each_once
from spikemark.data.card import DATASETS, Binning, Card, Count, Sizes
from spikemark.errors import InputError, explain, unknown
from spikemark.measures.measure import MEASURES, Measure
from spikemark.registry import known, load_plugin, registry
from spikemark.suites.jobs import Point
from spikemark.suites.records import LONGEST_NAME
from spikemark.suites.settings import OF_TRAINING, Encoding, Training
from spikemark.training.rule import Rule
from spikemark.training.system import SYSTEMS, System
from spikemark.training.tuning import Tuning

Axis = Annotated[tuple[str, ...], Field(min_length=1)]
FailOn = Literal["degenerate", "diverged", "unsupported"]
"""Statuses of results that a run may be told to fail on."""


class SuiteError(InputError):
    """The suite file is wrong; the message names file, key and what would be right."""


class Part(Options):
    """Axes and settings: every combination of the axes is a point for each measure.

    Attributes:
        variant: what tells this part from others that run the same systems.
        frameworks: adapters, or ``NAME@VERSION`` of one; neurons that have a framework of their own run there and
            nowhere else.
        systems: registered ones.
        networks: every network with every neuron is a system.
        tracks: which neurons those are: "matched" for `neurons`, "native" for the own ones of `frameworks`.
        neurons: of the track "matched".
        normalization: of those systems.
        rule: of those systems: name and options.
        datasets: to train and test on.
        seeds: of the runs.
        measures: what is measured; whatever trains a network also gives its accuracy.
        timeout: seconds for each job.
        sizes: samples of each split.
        encoding: of samples.
        events: binning of event recordings.
        training: epochs and batch size.
        tuning: options of each system's rule that the validation split chooses; None for rules as they are.
        alone: true where each training has the machine to itself, for claims on time.
        tables: settings of measures, by name.
    """

    variant: Annotated[str, Field(pattern=r"^[a-z0-9-]*$")] = ""
    frameworks: Axis
    systems: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    tracks: Annotated[tuple[Literal["matched", "native"], ...], Field(min_length=1)] = ("matched",)
    neurons: tuple[str, ...] = ()
    normalization: str = "joint-bn"
    rule: dict[str, Any] = Field(default_factory=dict)
    datasets: Axis
    seeds: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]
    measures: Axis
    timeout: Annotated[float, Field(gt=0)] = 600.0
    sizes: Sizes = Sizes()
    encoding: Encoding = Encoding()
    events: Binning | None = None
    training: Training = Training()
    tuning: Tuning | None = None
    alone: Literal[True] | None = None
    tables: dict[str, dict[str, Any]] = Field(default_factory=dict)

    @field_validator("frameworks")
    @classmethod
    def _known_frameworks(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in each_once(names):
            environment_of(name)
        return names

    @field_validator("systems", "networks", "neurons", "datasets", "measures")
    @classmethod
    def _known(cls, names: tuple[str, ...], info: Any) -> tuple[str, ...]:
        return known(str(info.field_name).removesuffix("s"), each_once(names))

    @field_validator("normalization")
    @classmethod
    def _known_normalization(cls, name: str) -> str:
        return known("normalization", (name,))[0]

    @field_validator("seeds", "tracks")
    @classmethod
    def _no_doubles(cls, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return each_once(values)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if "matched" not in self.tracks and self.neurons:
            raise ValueError("neurons: those named are of the track matched, which is not among the tracks")
        if bool(self.networks) != bool(self._neurons()):
            raise ValueError("networks and neurons belong together: every network runs with every neuron")
        if not self.systems and not self.networks:
            raise ValueError("systems: name some, or networks and neurons")
        for name in self.tables:
            self._measure(name)  # those of parts that do not take it, too: no key is ignored
        for measure in self.measured():
            measure.split()
            for card in self._cards():
                measure.check(card)
        for name, system in self.contenders().items():
            if self.tuning is not None:
                self._tunable(name, system, self.tuning)
        return self

    def _tunable(self, name: str, system: System, tuning: Tuning) -> None:
        if tuning.seed in self.seeds:
            raise ValueError(f"tuning.seed: {tuning.seed} is a seed of the runs; the trials need another")
        try:
            tuning.check(system.rule)
        except InputError as error:
            raise InputError(f"tuning of {name}: {error}") from None

    def _cards(self) -> list[Card]:
        """Of the data sets, binned and cut as the suite says."""
        cards = [
            replace(card, samples=self.sizes.of(card.samples)) for card in map(DATASETS.__getitem__, self.datasets)
        ]
        return cards if self.events is None else [card.binned(self.events) for card in cards]

    def contenders(self) -> dict[str, System]:
        """Systems by the name that tables use.

        Raises:
            InputError: an option that the rule does not have, or two systems of one name.
        """
        found = {name: SYSTEMS[name] for name in self.systems}
        if self.networks:
            rule = Rule.from_dict(self.rule)
            for network, neuron in product(self.networks, self._neurons()):
                name = f"{network}-{neuron}"
                if name in found:
                    raise InputError(f"networks x neurons: {name} is among the systems already")
                source = getattr(NEURONS[neuron], "source", "")
                found[name] = System(neuron, network, rule, self.normalization, source=source)
        elif self.rule:
            raise InputError("rule: belongs to networks and neurons; systems have their own")
        return found

    def _neurons(self) -> tuple[str, ...]:
        native = own_neurons({*map(entry_name, self.frameworks)}) if "native" in self.tracks else ()
        return (*self.neurons, *(name for name in native if name not in self.neurons))

    def measured(self) -> list[Measure]:
        """The measures with their settings; accuracy first, which every training gives."""
        names = list(self.measures)
        if any(MEASURES[name].subject == "system" for name in names):
            names = ["accuracy", *(name for name in names if name != "accuracy")]
        return [self._measure(name) for name in names]

    def _measure(self, name: str) -> Measure:
        kind = MEASURES[name]
        if not (isinstance(kind, type) and issubclass(kind, Measure)):
            raise InputError(f"measure {name!r}: is a {type(kind).__name__}; expected a subclass of Measure")
        try:
            return kind.model_validate_json(json.dumps(self.tables.get(name, {}), default=str))
        except ValidationError as error:
            raise InputError(f"{name}.{explain(error, kind.model_fields)}") from None

    def points(self, suite: str, plugins: tuple[str, ...]) -> Iterator[Point]:
        """All points of the part, under the suite's name."""
        for measure in self.measured():
            for axis, one in measure.split().items():
                match measure.subject:
                    case "system":
                        settings = self._settings(set(OF_TRAINING))
                        for dataset, seed in product(self.datasets, self.seeds):
                            # Seeds before systems: what those of one seed share, a process keeps for a while.
                            yield from self._of_systems(suite, plugins, one, axis, dataset, seed, settings)
                    case "network":
                        settings = self._settings({"encoding"})
                        for dataset in self.datasets:
                            yield from self._of_systems(suite, plugins, one, axis, dataset, self.seeds[0], settings)
                    case "neuron":
                        yield from self._of_neurons(suite, plugins, one, axis)

    def _settings(self, tables: set[str]) -> dict[str, Any]:
        return self.model_dump(mode="json", include={name for name in tables if getattr(self, name) is not None})

    def _of_systems(
        self,
        suite: str,
        plugins: tuple[str, ...],
        measure: Measure,
        axis: str,
        dataset: str,
        seed: int,
        settings: dict[str, Any],
    ) -> Iterator[Point]:
        for name, system in self.contenders().items():
            for framework in self._frameworks(system.neuron):
                yield Point(
                    suite, measure, framework, system.neuron, name, system, dataset, axis, seed, self.timeout, settings,
                    self.variant, plugins,
                )  # fmt: skip

    def _of_neurons(self, suite: str, plugins: tuple[str, ...], measure: Measure, axis: str) -> Iterator[Point]:
        neurons = dict.fromkeys(system.neuron for system in self.contenders().values())
        for neuron in neurons:
            if not isinstance(NEURONS[neuron], NeuronSpec):
                continue  # a layer of neurons without a spec has no counterpart to be compared with
            for framework in self.frameworks:
                yield Point(
                    suite, measure, framework, neuron, None, None, None, axis, self.seeds[0], self.timeout, {},
                    self.variant, plugins,
                )  # fmt: skip

    def _frameworks(self, neuron: str) -> tuple[str, ...]:
        own = NEURONS[neuron].framework
        if own is None:
            return self.frameworks
        return tuple(name for name in self.frameworks if entry_name(name) == own) or (own,)


class Suite(Options):
    """A suite file: one part, or several that share what stands at its top.

    Attributes:
        name: also of the results folder.
        version: of the suite, for people.
        description: one line.
        plugins: files (relative to the suite's) and modules that register what the suite names.
        fail_on: cells that make a run fail as failed ones do; a suite that is about degenerate networks expects them.
        parts: in order.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=LONGEST_NAME)]
    version: Count = 1
    description: str = ""
    plugins: tuple[str, ...] = ()
    fail_on: tuple[FailOn, ...] = ("degenerate",)
    parts: tuple[Part, ...]

    def points(self) -> list[Point]:
        """All points, each once."""
        found: dict[str, Point] = {}
        for part in self.parts:
            for point in part.points(self.name, self.plugins):
                definition = point.system.to_dict() if point.system is not None else None
                told = (point.axes(), definition, point.settings, point.measure.to_dict())
                found.setdefault(json.dumps(told, sort_keys=True, default=str), point)
        return list(found.values())

    def values(self, axis: Literal["frameworks", "systems", "datasets", "measures"]) -> list[str]:
        """Everything that any part names on an axis, in order."""
        return list(dict.fromkeys(value for part in self.parts for value in getattr(part, axis)))

    def contenders(self) -> dict[str, System]:
        """The systems of all parts, by the name that tables use."""
        return {name: system for part in self.parts for name, system in part.contenders().items()}


def failing(names: Sequence[str]) -> tuple[FailOn, ...]:
    """What a run is told to fail on; "none" alone for nothing.

    Raises:
        InputError: no run can fail on that.
    """
    for name in names if [*names] != ["none"] else ():
        if name not in get_args(FailOn):
            raise unknown("reason to fail", name, get_args(FailOn))
    return cast("tuple[FailOn, ...]", tuple(name for name in names if name != "none"))


def load_suite(suite: str | Path | Mapping[str, Any], plugins: tuple[str, ...] = ()) -> Suite:
    """Read a suite by registered name, by path, or from a mapping of its keys.

    Args:
        suite: which.
        plugins: to load first, beside those that the suite names.

    Raises:
        SuiteError: no such suite, not TOML, or a wrong key or value.
        spikemark.registry.PluginError: a plug-in cannot be loaded.
    """
    loaded = tuple(_load_plugin(plugin, None) for plugin in plugins)
    if isinstance(suite, Mapping):
        return _parsed(dict(suite), "suite", None, loaded)
    suites = registry("suite")
    found = suites[str(suite)] if str(suite) in suites else Path(suite)
    if isinstance(found, Mapping):
        return _parsed(dict(found), str(suite), None, loaded)
    path = Path(found)
    if not path.is_file():
        if path.suffix == ".toml":
            raise SuiteError(f"suite file {path} does not exist")
        raise SuiteError(str(unknown("suite", str(suite), suites)) + ", or a path to a .toml file")
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise SuiteError(f"{path} is not TOML: {error}") from None
    return _parsed(data, str(path), path.parent, loaded)


def _load_plugin(plugin: str, folder: Path | None) -> str:
    """What `load_plugin` loads it by in another process."""
    return load_plugin(plugin, folder).plugin or plugin


def _parsed(data: dict[str, Any], where: str, folder: Path | None, plugins: tuple[str, ...]) -> Suite:
    named = data.get("plugins", ())
    if not isinstance(named, list | tuple) or not all(isinstance(plugin, str) for plugin in named):
        raise SuiteError(f"{where}: plugins: expected a list of files and modules, found {named!r}")
    every = (*plugins, *(_load_plugin(plugin, folder) for plugin in named))
    try:
        # Strict mode takes arrays for tuples only from JSON.
        return Suite.model_validate_json(json.dumps(_in_parts(data | {"plugins": every}), default=str))
    except ValidationError as error:
        raise SuiteError(f"{where}: {_explained(error)}") from None
    except InputError as error:
        raise SuiteError(f"{where}: {error}") from None


def _in_parts(data: dict[str, Any]) -> dict[str, Any]:
    """The file's tree with all that its parts share written out in each; tables are joined key by key."""
    head = {key: data[key] for key in Suite.model_fields if key in data and key != "parts"}
    shared = {key: value for key, value in data.items() if key not in head and key != "parts"}
    parts = data.get("parts") or [{}]
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        return head | {"parts": parts}
    return head | {"parts": [_with_tables(_joined(shared, part)) for part in parts]}


def _with_tables(part: dict[str, Any]) -> dict[str, Any]:
    """Settings of measures apart; a key that is neither those nor a part's is an error."""
    tables = {key: value for key, value in part.items() if key in MEASURES}
    for key in part.keys() - tables.keys() - Part.model_fields.keys():
        raise unknown("key", str(key), [*(name for name in Part.model_fields if name != "tables"), *MEASURES])
    return {key: value for key, value in part.items() if key not in tables} | {"tables": tables}


def _joined(shared: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    tables = {
        key: shared[key] | value
        for key, value in own.items()
        if isinstance(value, dict) and isinstance(shared.get(key), dict)
    }
    return shared | own | tables


def _explained(error: ValidationError) -> str:
    """All problems on one line; one that all parts share stands once, without their numbers."""
    problems = [re.sub(r"^parts\.\d+(\.|: )", "", problem) for problem in explain(error).split("; ")]
    return "; ".join(dict.fromkeys(problems))
