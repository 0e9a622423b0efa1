"""Where jobs run, and whether it has what they need."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikemark.core.frameworks import FRAMEWORKS, entry_name, framework_version, require_framework
from spikemark.data.card import DATASETS, Card
from spikemark.errors import InputError
from spikemark.registry import digests, load_plugin, source_digest
from spikemark.suites.environment import commit, package_versions

if TYPE_CHECKING:
    from spikemark.suites.jobs import Job

_PACKAGES = ("torch", "numpy", "numba", "scikit-learn")
Listener = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Place:
    """Where jobs run.

    Attributes:
        device: "cpu" or "cuda".
        data_dir: folder of the data sets, as the process sees it; None for the default places.
        weights: folder of trained weights; None to keep none.
    """

    device: str = "cpu"
    data_dir: Path | None = None
    weights: Path | None = None


@dataclass(frozen=True)
class Needs:
    """What jobs cannot do without. Plain data, sent to the processes that will run them.

    Attributes:
        plugins: files and modules to load first.
        frameworks: adapters, or ``NAME@VERSION`` of one.
        datasets: names, with the tables of the suite that say what is read of each.
        sources: the plug-ins behind the jobs' keys.
    """

    plugins: tuple[str, ...]
    frameworks: tuple[str, ...]
    datasets: tuple[tuple[str, Mapping[str, Any]], ...]
    sources: tuple[str, ...]


def needs_of(jobs: Iterable[Job]) -> Needs:
    """What `jobs` cannot do without."""
    jobs = list(jobs)
    datasets: list[tuple[str, Mapping[str, Any]]] = []
    for job in jobs:
        if job.training and (read := (job.axes["dataset"], _tables(job.content["settings"]))) not in datasets:
            datasets.append(read)
    return Needs(
        tuple(dict.fromkeys(plugin for job in jobs for plugin in job.plugins)),
        tuple(sorted({name for job in jobs if entry_name(name := job.axes["framework"]) in FRAMEWORKS})),
        tuple(datasets),
        tuple(sorted({name for job in jobs for name in job.content.get("plugins", {})})),
    )


def _tables(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: settings[name] for name in ("sizes", "events") if settings.get(name) is not None}


def require_device(device: str) -> None:
    """Find out whether networks can run there.

    Raises:
        InputError: there is no GPU.
    """
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("--device cuda: this machine has no CUDA GPU that torch can use; try --device cpu")


def check(needs: Needs, place: Place) -> None:
    """Find out before the first job runs what none could do without; called by the process that will run them.

    Data sets stay loaded for the jobs to come.

    Raises:
        InputError: a framework is not installed, a data set is missing, damaged or too small, or there is no GPU.
        PluginError: a plug-in is missing.
    """
    from spikemark.data.files import data_folder
    from spikemark.measures.subject import loaded

    require_device(place.device)
    for plugin in needs.plugins:
        load_plugin(plugin)
    data_folder(place.data_dir)
    for framework in needs.frameworks:
        require_framework(framework)
    for dataset, tables in needs.datasets:
        loaded(dataset, place.data_dir, tables)


def identity(needs: Needs) -> dict[str, str]:
    """What this process brings to the jobs: versions, code, and data sets by the checksums on their cards.

    An installed package has no commit; its source is compared either way.
    Two processes that differ would give other numbers under the same keys.

    Raises:
        InputError: a plug-in cannot be loaded here, or a framework is not installed.
    """
    for plugin in needs.plugins:
        load_plugin(plugin)
    versions, here = package_versions(), digests()
    return (
        {"Python": ".".join(platform.python_version_tuple()[:2])}
        | ({} if (of := commit()) is None else {"commit": of})
        | {name: versions.get(name, "missing") for name in _PACKAGES}
        | {framework: framework_version(framework) for framework in needs.frameworks}
        | {f"source of {package}": source_digest(package) for package in ("spikemark", "spikemark_adapters")}
        | {f"plug-in {name}": here.get(name, "missing") for name in needs.sources}
        | {f"card of {name}": _checksum(DATASETS[name]) for name, _ in needs.datasets}
    )


def unlike(expected: Mapping[str, str], needs: Needs) -> str:
    """In words, how this process differs from one of another identity; empty if it does not."""
    here = identity(needs) if expected else {}
    names = [name for name, there in expected.items() if here.get(name, there) != there]
    return ", ".join(f"its {name} is {here[name]}, the client's {expected[name]}" for name in names)


def _checksum(card: Card) -> str:
    """Of what a card says about the content of its data set."""
    text = repr((card.shape, card.classes, card.steps, card.binning, [file.checksum for file in card.files]))
    return hashlib.sha256(text.encode()).hexdigest()[:12]
