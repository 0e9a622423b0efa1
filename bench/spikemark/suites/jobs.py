"""A job: one point of a suite, resolved, with everything that determines its result. The unit of work and failure.

A suite gives `Point`s: axes and settings. `resolve` looks up what they name, once, and hashes it; no framework is
imported for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from spikemark.core.frameworks import FRAMEWORKS, entry_name, framework_version
from spikemark.core.neurons import NEURONS, FrameworkNeuron
from spikemark.errors import InputError, unknown
from spikemark.measures.measure import MEASURES, Measure, SubjectKind
from spikemark.registry import Origin, origins
from spikemark.suites.records import key_of
from spikemark.training.system import System

AXES = ("measure", "framework", "neuron", "track", "network", "system", "dataset", "axis", "seed", "variant")
"""What tells jobs of one suite apart, and what `--only` selects by."""


@dataclass(frozen=True)
class Point:
    """One point of a suite.

    Attributes:
        suite: the suite's name; it does not enter the key, so suites share results.
        measure: with its settings.
        framework: adapter, or the framework of a neuron that has its own.
        neuron: a name in `NEURONS`.
        system_name: as tables call it; None where a single layer is measured.
        system: neuron, network and rule; None likewise.
        dataset: a name in `DATASETS`; None likewise.
        axis: along which single layers vary; "" elsewhere.
        seed: of the run.
        timeout: seconds.
        settings: the suite's tables on data and training.
        variant: what tells a part of the suite from others that run the same systems with other settings.
        plugins: files and modules that a process must load before it can run the job.
    """

    suite: str
    measure: Measure
    framework: str
    neuron: str
    system_name: str | None
    system: System | None
    dataset: str | None
    axis: str
    seed: int
    timeout: float
    settings: Mapping[str, Any]
    variant: str = ""
    plugins: tuple[str, ...] = ()

    def axes(self) -> dict[str, Any]:
        """The point's place on `AXES`; axes on which it has none are left out."""
        places = {
            "measure": self.measure.name,
            "subject": self.measure.subject,
            "framework": self.framework,
            "neuron": self.neuron,
            "track": "native" if _is_native(self.neuron) else None,
            "network": self.system and self.system.architecture,
            "system": self.system_name,
            "dataset": self.dataset,
            "axis": self.axis or None,
            "seed": self.seed,
            "variant": self.variant or None,
        }
        return {name: place for name, place in places.items() if place is not None}

    def __str__(self) -> str:
        return said({**self.axes(), "seed": self.seed})


def said(cell: Mapping[str, Any]) -> str:
    """A point, or the cell of its record, in words."""
    whose = "system" if "system" in cell else "neuron"
    words = [cell[n] for n in ("measure", "framework", whose, "dataset", "axis", "variant") if n in cell]
    return f"{' '.join(words)} seed {cell['seed']}"


@dataclass(frozen=True)
class Job:
    """A resolved point: plain data that any process can run.

    Attributes:
        point_name: for people.
        suite: the suite's name.
        axes: see `Point.axes`.
        content: everything that determines the result, as it stands in the record's ``cell``.
        key: hash of `content`.
        training: hash of what determines the training; None where nothing is trained.
        tuning: hash of what determines the choice of the rule's options, which seeds share; None likewise.
        timeout: seconds.
        exclusive: whether it needs the machine to itself.
        threads: for torch.
        plugins: see `Point`.
    """

    point_name: str
    suite: str
    axes: Mapping[str, Any]
    content: Mapping[str, Any]
    key: str
    training: str | None
    tuning: str | None
    timeout: float
    exclusive: bool
    threads: int
    plugins: tuple[str, ...] = ()

    @property
    def subject(self) -> SubjectKind:
        """What is measured."""
        kind: SubjectKind = self.content["subject"]
        return kind

    @property
    def measure(self) -> Measure:
        """With its settings."""
        name = self.content["measure"]
        return MEASURES[name].model_validate(self.content["settings"][name], strict=False)

    @property
    def system(self) -> System | None:
        """Neuron, network and rule; None for a single layer."""
        definition = self.content.get("system_definition")
        return None if definition is None else System.from_dict(definition)

    @property
    def group(self) -> str:
        """Jobs of one group share a training, and run one after the other in one process."""
        return self.training or self.key

    def __str__(self) -> str:
        return self.point_name


def _is_native(name: str) -> bool:
    """Whether the neuron is a framework's own; a user's module in plain PyTorch stands beside the matched ones."""
    neuron = NEURONS[name]
    return isinstance(neuron, FrameworkNeuron) and neuron.framework in FRAMEWORKS


def resolve(points: Iterable[Point]) -> list[Job]:
    """The jobs of points, each once; those that need the machine to themselves come last.

    Raises:
        InputError: a framework is not installed, or a plug-in has changed since it was loaded.
    """
    jobs = {job.key: job for job in map(_resolved, points)}
    return sorted(jobs.values(), key=lambda job: job.exclusive)


def _resolved(point: Point) -> Job:
    system = point.system
    used = [*(system.uses if system is not None else [("neuron", point.neuron)])]
    if NEURONS[point.neuron].framework is None:
        used.append(("framework", entry_name(point.framework)))
    if point.dataset is not None:
        used += [("dataset", point.dataset), ("encoder", point.settings["encoding"]["name"])]
    version = _version(point.framework)
    subject: dict[str, Any] = {} if version is None else {"framework_version": version}
    if system is not None:
        subject["system_definition"] = system.to_dict()
    trained = point.measure.subject == "system"
    training = tuning = None
    if trained:
        axes = {name: point.axes()[name] for name in ("framework", "dataset", "seed")}
        determining = axes | subject | {"settings": dict(point.settings), "plugins": _digests(used)}
        training, tuning = key_of(determining), key_of(determining | {"seed": None})
    settings = dict(point.settings) | {point.measure.name: dict(point.measure.to_dict())}
    content = point.axes() | subject | {"settings": settings} | point.measure.determines()
    plugins = _digests([*used, *point.measure.uses()])
    if plugins:
        content["plugins"] = plugins
    return Job(
        str(point),
        point.suite,
        point.axes(),
        content,
        key_of(content),
        training,
        tuning,
        point.timeout,
        point.measure.exclusive or bool(point.settings.get("alone")),
        point.measure.threads,
        tuple(dict.fromkeys([*point.plugins, *_files([*used, *point.measure.uses()])])),
    )


@cache
def _version(framework: str) -> str | None:
    """Of an adapter; None for a framework that has none, whose neurons bring their own."""
    return framework_version(framework) if entry_name(framework) in FRAMEWORKS else None


def _origins(used: Iterable[tuple[str, str]]) -> dict[str, Origin]:
    return origins(used)


def _digests(used: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {name: origin.digest for name, origin in _origins(used).items()}


def _files(used: Iterable[tuple[str, str]]) -> list[str]:
    return [origin.plugin for origin in _origins(used).values() if origin.plugin is not None]


def select(points: list[Point], only: Iterable[str]) -> list[Point]:
    """The points that match every key; terms of the same key mean any of their values.

    Args:
        points: to choose from.
        only: ``KEY=VALUE[,VALUE...]`` terms.

    Raises:
        InputError: a term of another form, an unknown key or value, or nothing left.
    """
    wanted: dict[str, set[str]] = {}
    for term in only:
        key, separator, values = term.partition("=")
        if not separator:
            raise InputError(f"--only {term}: expected KEY=VALUE with KEY one of {', '.join(AXES)}")
        if key not in AXES:
            raise InputError(f"--only {term}: {unknown('key', key, AXES)}")
        wanted.setdefault(key, set()).update(values.split(","))
    for key, chosen in wanted.items():
        found = {str(point.axes()[key]) for point in points if key in point.axes()}
        if not chosen <= found:
            missing = ", ".join(sorted(chosen - found))
            there = ", ".join(sorted(found)) or "none"
            raise InputError(f"--only {key}={missing}: no job has {key} {missing} (there are: {there})")
        points = [point for point in points if str(point.axes().get(key)) in chosen]
    if not points:
        raise InputError("no jobs to run")
    return points
