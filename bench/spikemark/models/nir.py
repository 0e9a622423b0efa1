"""NIR files as models: read and checked, and given to a framework's own importer."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import fields, is_dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor, nn

from spikemark.core.adapter import Unsupported
from spikemark.core.environments import Environment
from spikemark.core.frameworks import environment_of, get_adapter
from spikemark.core.neuron_class import NeuronClass
from spikemark.core.nir import GraphModel, wiring
from spikemark.core.remote import call
from spikemark.errors import InputError, needs

DT = 1e-4
"""Seconds per step where nobody says otherwise, as in snnTorch's and SpikingJelly's importers; a file holds none."""
_FAULTS = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What importers raise for a graph that they cannot take; few of them say so in an error of their own."""


def read_graph(path: str | Path) -> Any:
    """The `nir.NIRGraph` of a file.

    Raises:
        InputError: the file is missing, no HDF5, no NIR graph, of a type that NIR does not have, or refused by `nir`.
    """
    path = Path(path)
    with needs("nir", f"{path.name}"):
        import h5py
        import nir
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    try:
        with h5py.File(path, "r") as file:
            _check_kinds(path, file)
    except OSError as error:
        raise InputError(f"{path} is damaged or no NIR file; write it anew with nir.write: {error}") from None
    try:
        graph = nir.read(path)
    except _FAULTS as error:
        raise InputError(f"{path}: nir {nir.version} refuses the graph: {_told(error)}") from None
    if not isinstance(graph, nir.NIRGraph):
        raise InputError(f"{path} holds a single {type(graph).__name__}; expected a graph")
    return graph


def _check_kinds(path: Path, file: Any) -> None:
    """That the file is laid out as NIR's are, and names no node that NIR does not have."""
    import nir

    if "node" not in file or "type" not in file["node"]:
        groups = ", ".join(file) or "none"
        raise InputError(f"{path} is HDF5 of another kind: it has no NIR graph (its groups: {groups})")
    known = set(nir.ir.__all__) - {"NIRNode", "str2NIRNode", "dict2NIRNode"}
    for name, kind in _kinds(file["node"]):
        if kind not in known:
            raise InputError(
                f"{path}: node {name!r} is a {kind}, which nir {nir.version} does not know (it knows "
                f"{', '.join(sorted(known))})"
            )


def _kinds(group: Any, name: str = "") -> list[tuple[str, str]]:
    kind = group["type"][()]
    found = [(name or "(the graph)", kind.decode() if isinstance(kind, bytes) else str(kind))]
    for child, node in dict(group.get("nodes", {})).items():
        found += _kinds(node, f"{name}.{child}" if name else child)
    return found


def input_shape(graph: Any) -> tuple[int, ...]:
    """Shape of one sample and step.

    Raises:
        InputError: the graph has not exactly one input.
    """
    wires = wiring(graph)
    return tuple(int(size) for size in wires.nodes[wires.only("Input")].input_type["input"])


def load_nir(path: str | Path | Any, framework: str = "reference", *, dt: float = DT) -> GraphModel:
    """A NIR graph as a model: ``[T, B, *input_shape]`` to ``[T, B, *output_shape]``, stateless between calls.

    Args:
        path: of the file, or a graph that was read.
        framework: whose own importer is used; "reference" for NIR's equations in float64.
        dt: length of a step in seconds, which a file does not say; importers that take none ignore it.

    Raises:
        InputError: the file is bad, or dt is not above 0.
        Unsupported: the framework has no importer, or it refuses the graph, or what it makes cannot be run.
        UnknownNameError, MissingFramework: see `spikemark.core.frameworks.get_adapter`.
        MissingEnvironment: the framework's environment is not built.
    """
    if not dt > 0:
        raise InputError(f"dt: {dt:g} s is no length of a step")
    graph = read_graph(path) if isinstance(path, str | Path) else path
    trial = torch.zeros(1, 1, *input_shape(graph))
    elsewhere = environment_of(framework)
    if elsewhere is not None:
        model: GraphModel = GraphElsewhere(elsewhere, framework, _as_file(graph), dt)
        model(trial)
        return model
    adapter = get_adapter(framework)
    doing = "import"
    try:
        model = adapter.from_nir(deepcopy(graph), dt)
        doing = "run"
        with torch.no_grad():
            model(trial)
    except (Unsupported, InputError):
        raise
    except (*_FAULTS, ModuleNotFoundError) as error:  # a version without an importer
        raise Unsupported(f"{framework} {adapter.version()} cannot {doing} the graph: {_told(error)}") from error
    return model


class GraphElsewhere(GraphModel):
    """A graph that a framework imports and runs in its environment, where another version of `nir` may read its file.

    Args:
        environment: of the framework.
        framework: its name there.
        file: the graph's, as bytes.
        dt: length of a step in seconds.
    """

    declared_neurons: Mapping[type[nn.Module], NeuronClass] = {}

    def __init__(self, environment: Environment, framework: str, file: bytes, dt: float) -> None:
        super().__init__()
        self._environment, self._framework, self._file, self._dt = environment, framework, file, dt

    def trace(self, inputs: Tensor, nodes: Collection[str]) -> dict[str, Tensor]:
        """See `GraphModel.trace`."""
        given = (self._file, self._framework, self._dt, inputs.detach(), tuple(nodes))
        found: dict[str, Tensor] = call(self._environment, f"{__name__}:traced_file", *given)
        return found


@torch.no_grad()
def traced_file(file: bytes, framework: str, dt: float, inputs: Tensor, nodes: tuple[str, ...]) -> dict[str, Tensor]:
    """`GraphModel.trace` of a graph's file in the process of a framework.

    Raises:
        Unsupported: the `nir` of this process does not read the file; or see `load_nir`.
    """
    with TemporaryDirectory(prefix="spikemark-nir-") as folder:
        path = Path(folder, "graph.nir")
        path.write_bytes(file)
        try:
            drop_later_fields(path)
            graph = read_graph(path)
        except InputError as error:
            raise Unsupported(f"{framework}: {str(error).replace(str(path), 'the graph')}") from None
    return load_nir(graph, framework, dt=dt).trace(inputs, nodes)


def drop_later_fields(path: Path) -> None:
    """Take ``v_reset`` out of nodes that had none in the `nir` of this process, which would refuse the whole file.

    The importer then cannot know of it, and a check of the graph says that it ignores it.
    """
    import h5py
    import nir

    with h5py.File(path, "r+") as file:
        groups = [file["node"]]
        for group in groups:
            groups += dict(group.get("nodes", {})).values()
            kind = getattr(nir, group["type"][()].decode(), None)
            if "v_reset" in group and is_dataclass(kind) and "v_reset" not in {field.name for field in fields(kind)}:
                del group["v_reset"]


def _as_file(graph: Any) -> bytes:
    """The graph as `nir` writes it.

    Raises:
        Unsupported: it cannot.
    """
    import nir

    with TemporaryDirectory(prefix="spikemark-nir-") as folder:
        path = Path(folder, "graph.nir")
        try:
            nir.write(path, graph)
        except _FAULTS as error:
            raise Unsupported(f"nir {nir.version} cannot write the graph: {_told(error)}") from error
        return path.read_bytes()


def _told(error: Exception) -> str:
    """The first line of an error, with its kind."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
