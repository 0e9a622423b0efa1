"""The matrix: frameworks, each in several versions, in environments of their own, with everything they are held to.

For each contender: conformance with the oracle, its own classes against the equations that their documentation states,
its surrogates, and what its importer makes of small NIR graphs. Between versions of one framework: which of its own
layers changed (`spikemark.regression.golden`), with spikes and gradients on the same inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from packaging.requirements import InvalidRequirement, Requirement
from packaging.version import Version

from spikemark.core.environments import Environment, lock_files
from spikemark.core.frameworks import FRAMEWORKS, entry_name, environment
from spikemark.core.remote import call
from spikemark.errors import InputError
from spikemark.measures.semantics import traces
from spikemark.measures.semantics.comparison import ConformanceRow
from spikemark.measures.semantics.stated import StatedResult
from spikemark.regression import golden
from spikemark.regression.golden import Difference

Progress = Callable[[str], object]
Sums = tuple[float, float]
"""Of one quantity before and after, or of spikes and gradients of one version."""
_SEMANTICS = "spikemark.measures.semantics"


@dataclass(frozen=True)
class Surrogate:
    """The slope of one of a framework's own layers in one step.

    Attributes:
        layer: its name.
        finding: what is odd about it, or what the layer raised.
    """

    layer: str
    finding: str


@dataclass(frozen=True)
class Graph:
    """What an importer makes of a NIR graph.

    Attributes:
        graph: what is peculiar about it.
        outcome: "exact", "refused" or the causes.
        differing: outputs that differ from NIR's equations.
        outputs: compared.
    """

    graph: str
    outcome: str
    differing: int = 0
    outputs: int = 0


@dataclass(frozen=True)
class Entry:
    """One contender on one backend.

    Attributes:
        framework: its name, with the version.
        version: of its package.
        backend: "cpu" or "cuda".
        conformance: rows of the sweep.
        stated: its own classes against equations.
        surrogates: of its own layers, those that are odd.
        graphs: of NIR, on the processor; none where it has no importer.
    """

    framework: str
    version: str
    backend: str
    conformance: tuple[ConformanceRow, ...]
    stated: tuple[StatedResult, ...]
    surrogates: tuple[Surrogate, ...]
    graphs: tuple[Graph, ...]


@dataclass(frozen=True)
class Layer:
    """One of a framework's own layers in two versions, on the same inputs.

    Attributes:
        layer: its name.
        spikes: before and after.
        gradients: sums of the magnitudes of the currents' gradients, before and after.
        difference: the first that was found, with its cause.
    """

    layer: str
    spikes: Sums
    gradients: Sums
    difference: Difference


@dataclass(frozen=True)
class Change:
    """A framework from one version to the next.

    Attributes:
        before, after: contenders.
        compared: layers that both have.
        layers: of these, those that changed.
        new: layers that only the later version has, or that raised in the earlier one.
    """

    before: str
    after: str
    compared: int
    layers: tuple[Layer, ...]
    new: tuple[str, ...]


@dataclass(frozen=True)
class Matrix:
    """Everything that was found.

    Attributes:
        entries: of every contender on every backend that there is here.
        changes: between versions.
        unmeasured: further backends, and why nothing ran there.
    """

    entries: tuple[Entry, ...]
    changes: tuple[Change, ...]
    unmeasured: Mapping[str, str] = field(default_factory=dict)


def contenders(packages: Sequence[str] = ()) -> list[str]:
    """Those of all locks, oldest version first, and further ones.

    Args:
        packages: as ``PACKAGE==VERSION``.

    Raises:
        InputError: a requirement of another form, or of a package that no adapter knows.
    """
    locked = [name for name in lock_files() if entry_name(name) in FRAMEWORKS]
    names = {*locked, *map(contender, packages)}
    return sorted(names, key=lambda name: (entry_name(name), Version(environment(name).version)))


def contender(requirement: str) -> str:
    """The contender ``NAME@VERSION`` of a requirement.

    Raises:
        InputError: see `contenders`.
    """
    try:
        wanted = Requirement(requirement)
        versions = [item.version for item in wanted.specifier if item.operator == "=="]
    except InvalidRequirement:
        versions = []
    if len(versions) != 1:
        raise InputError(f"--package {requirement}: expected PACKAGE==VERSION")
    if wanted.name.lower() not in FRAMEWORKS:
        raise InputError(f"--package {requirement}: no adapter of that name (there are: {', '.join(FRAMEWORKS)})")
    return f"{wanted.name.lower()}@{versions[0]}"


def backends_here() -> tuple[list[str], dict[str, str]]:
    """Where layers can run, and where they cannot, with the reason.

    On a GPU, frameworks run the kernels that they choose there by themselves.
    """
    if torch.cuda.is_available():
        return ["cpu", "cuda"], {}
    return ["cpu"], {"cuda": "torch finds no GPU on this machine"}


def run_matrix(
    names: Sequence[str],
    backends: Sequence[str] = ("cpu",),
    progress: Progress = lambda line: None,
    unmeasured: Mapping[str, str] | None = None,
) -> Matrix:
    """Everything of all contenders.

    Args:
        names: frameworks, or ``NAME@VERSION``; versions of one framework from the oldest on.
        backends: devices, "cpu" among them.
        progress: told what is done next.
        unmeasured: see `Matrix`.

    Raises:
        MissingEnvironment: one is not built.
    """
    environments = {name: environment(name) for name in names}
    for one in environments.values():
        one.require()
    with TemporaryDirectory(prefix="spikemark-matrix-") as folder:
        paths = {name: Path(folder, f"{name}.safetensors") for name in names}
        entries = []
        for name, one in environments.items():
            for backend in backends:
                path = paths[name] if backend == "cpu" else paths[name].with_suffix(f".{backend}")
                entries.append(_entry(name, one, backend, path, progress))
        changes = []
        for before, after in pairwise(names):
            if entry_name(before) == entry_name(after):
                progress(f"{after}: since {before}")
                changes.append(_change(before, after, environments[after], paths[before]))
    return Matrix(tuple(entries), tuple(changes), unmeasured or {})


def _entry(name: str, one: Environment, backend: str, path: Path, progress: Progress) -> Entry:
    framework = entry_name(name)
    progress(f"{name}: layers of its own on {backend}")
    call(one, "spikemark.regression.golden:record", path, (framework,), None, backend)
    progress(f"{name}: conformance on {backend}")
    rows = call(one, f"{_SEMANTICS}.comparison:conformance_table", framework, 0, backend)
    progress(f"{name}: classes and graphs")
    stated = call(one, f"{_SEMANTICS}.stated:stated_table", framework, backend)
    rest = (tuple(_surrogates(path)), tuple(graphs(name)) if backend == "cpu" else ())
    return Entry(name, one.version, backend, tuple(rows), tuple(stated), *rest)


def graphs(framework: str) -> list[Graph]:
    """What the importer of a framework makes of small NIR graphs; nothing where it refuses all, or is none.

    Raises:
        InputError: `nir` is not installed.
    """
    from spikemark.models.nir_cases import cases
    from spikemark.models.nir_check import check_graph

    found = []
    for case in cases():
        (check,) = check_graph(case.graph, [framework], dt=case.dt, inputs=case.inputs(), name=case.name).frameworks
        causes = dict.fromkeys(cause for node in check.nodes for cause in node.causes)
        outcome = "refused" if check.refusal is not None else ", ".join(causes) or "exact"
        found.append(Graph(case.name, outcome, check.differing, check.outputs))
    return [] if all(graph.outcome == "refused" for graph in found) else found


def _surrogates(path: Path) -> Iterator[Surrogate]:
    """Of layers whose slope is odd: in one step, the gradient of the currents is the surrogate's alone.

    Nothing is said of layers that a version does not have, that cannot fire in one step, or where more current gives
    fewer spikes.
    """
    recorded = golden.read(path)
    for name, layer in recorded.header.layers.items():
        raised = layer.raised.get("default")
        if raised is not None:
            if not raised.startswith("AttributeError: module"):
                yield Surrogate(name, f"raises {raised.partition(':')[0]}")
            continue
        shown = recorded.traces[name, "default", "slope"]
        slope, fired = shown[f"{traces.GRADIENT}currents"], shown[traces.SPIKES][0].flatten(1).sum(1)
        if bool(fired[-1] > fired[0]):
            if bool((slope < 0).any()):
                yield Surrogate(name, f"negative at {int((slope < 0).sum())} of {slope.numel()} currents")
            elif not bool(slope.any()):
                yield Surrogate(name, "zero everywhere")


def _change(before: str, after: str, one: Environment, path: Path) -> Change:
    framework = entry_name(after)
    check = call(one, "spikemark.regression.golden:check", path, (framework,))
    recorded = golden.read(path)
    then = {name: _sums(recorded.traces.get, name) for name in recorded.header.layers}
    now = call(one, f"{__name__}:replayed", path)
    new = sorted(name for name in then if then[name] is None and now[name] is not None)
    differences = {found.layer: found for found in reversed(check.differences)}
    both = {name: (one, two) for name, one in then.items() if one is not None and (two := now[name]) is not None}
    layers = [_layer(found, *both[name]) for name, found in sorted(differences.items()) if name in both]
    return Change(before, after, len(both), tuple(layers), (*new, *check.new))


def _layer(found: Difference, before: Sums, after: Sums) -> Layer:
    return Layer(found.layer, (before[0], after[0]), (before[1], after[1]), found)


def replayed(path: Path) -> dict[str, Sums | None]:
    """Of the layers of a golden file, what they give now on its inputs; None where they raise."""
    recorded = golden.read(path)
    return {name: _replayed(recorded, name) for name in recorded.header.layers}


def _replayed(recorded: golden.Golden, name: str) -> Sums | None:
    known = traces.traced_neurons(recorded.header.layers[name].framework)

    def run(key: tuple[str, str, str]) -> traces.Trace | None:
        inputs = recorded.inputs.get((name, key[2]))
        return None if inputs is None or name not in known else traces.trace(name, known[name], "default", inputs)

    try:
        return _sums(run, name)
    except traces.FAILURES:
        return None


def _sums(trace_of: Callable[[tuple[str, str, str]], traces.Trace | None], name: str) -> Sums | None:
    """Of spikes, and of the magnitudes of the currents' gradients, on inputs that make neurons fire."""
    found = [trace_of((name, "default", case)) for case in ("dyadic", "ordinary")]
    shown = [trace for trace in found if trace is not None]
    if not shown:
        return None
    gradient = f"{traces.GRADIENT}currents"
    return sum(float(one[traces.SPIKES].sum()) for one in shown), sum(float(one[gradient].abs().sum()) for one in shown)
