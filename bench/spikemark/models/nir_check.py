"""One NIR graph on several frameworks against the equations: where the spikes part, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikemark.core.adapter import Unsupported
from spikemark.core.frameworks import framework_version
from spikemark.core.nir import (
    INTEGRATING,
    OUTPUT,
    SPIKING,
    OracleGraph,
    Reading,
    Wiring,
    dynamics,
    run_node,
    wiring,
)
from spikemark.core.streams import generator
from spikemark.errors import InputError, needs
from spikemark.models.nir import DT, input_shape, load_nir, read_graph
from spikemark.models.nir_causes import (
    LOOP_REWIRED,
    SKIPPED,
    UNKNOWN,
    differing,
    explain,
    loop_rewired,
    replay,
    requirements,
)

_IMPORTS = 15
"""Further imports where a node is skipped: Norse's run one of the parts that are left, whichever a set gives first."""


@dataclass(frozen=True)
class NodeCheck:
    """One node of a graph in one framework.

    Attributes:
        node: its name.
        kind: its class in NIR.
        expected: spikes that the equations give; None for a node whose output is no spikes.
        spikes: that the framework gives.
        compared: outputs compared.
        differing: outputs that differ from the equations' in the whole graph.
        first: first step of those; None without any.
        own: outputs that differ from the equation's on the inputs that the node had in the framework.
        rounded: further ones, where the membrane is within single precision's rounding of the threshold.
        causes: names in `nir_causes.CAUSES` and `nir_causes.OTHER_CAUSES`, each proved on this node.
    """

    node: str
    kind: str
    expected: int | None
    spikes: int | None
    compared: int
    differing: int
    first: int | None
    own: int
    rounded: int
    causes: tuple[str, ...]


@dataclass(frozen=True)
class FrameworkCheck:
    """A graph in one framework.

    Attributes:
        framework: its name.
        version: of its package.
        refusal: why it does not take the graph; None if it does.
        requires: what it would have taken the graph with, see `nir_causes.requirements`.
        nodes: those with state, and others that do not compute what NIR says.
        outputs: values that the graph gives.
        differing: of them differ from the equations'.
        unexplained: of them differ still where the equations have all deviations that were found.
    """

    framework: str
    version: str
    refusal: str | None = None
    requires: tuple[str, ...] = ()
    nodes: tuple[NodeCheck, ...] = ()
    outputs: int = 0
    differing: int = 0
    unexplained: int = 0

    @property
    def faithful(self) -> bool:
        """Whether every node gives what NIR says."""
        return self.refusal is None and not any(node.differing or node.causes for node in self.nodes)

    @property
    def first(self) -> NodeCheck | None:
        """The node that differs in the earliest step; of several, the first one on the way through the graph."""
        differing = [node for node in self.nodes if node.first is not None]
        return min(differing, key=lambda node: node.first or 0, default=None)


@dataclass(frozen=True)
class GraphCheck:
    """A graph in several frameworks.

    Attributes:
        name: of the graph.
        dt: length of a step in seconds.
        steps, samples: of the inputs.
        frameworks: one entry each.
        silent: spiking nodes that never fire, so that their comparison says little.
    """

    name: str
    dt: float
    steps: int
    samples: int
    frameworks: tuple[FrameworkCheck, ...]
    silent: tuple[str, ...]


def random_spikes(shape: Sequence[int], steps: int, samples: int, *, rate: float = 0.3, seed: int = 0) -> Tensor:
    """Independent spikes ``[T, B, *shape]``, each with probability `rate`.

    Raises:
        InputError: no step, no sample, or a rate outside 0 to 1.
    """
    if steps < 1 or samples < 1 or not 0 < rate <= 1:
        raise InputError(f"{steps} steps, {samples} samples, rate {rate:g}: expected at least 1, at least 1, in (0, 1]")
    drawn = torch.rand(steps, samples, *shape, generator=generator("nir", seed))
    return (drawn < rate).float()


@torch.no_grad()
def check_graph(
    graph: str | Path | Any, frameworks: Sequence[str], *, dt: float = DT, inputs: Tensor | None = None, name: str = ""
) -> GraphCheck:
    """Run a graph on frameworks, each through its own importer, and on the float64 oracle.

    Args:
        graph: a `nir.NIRGraph`, or the path of its file.
        frameworks: their names.
        dt: length of a step in seconds, which a file does not say.
        inputs: ``[T, B, *input_shape]``; `random_spikes` of 100 steps and 4 samples if None.
        name: of the graph, for tables; the file's if empty.

    Raises:
        InputError: the file is bad, the oracle has no equation for a node, or the inputs have another shape.
        UnknownNameError, MissingFramework, MissingEnvironment: see `spikemark.models.nir.load_nir`.
    """
    if isinstance(graph, str | Path):
        name = name or Path(graph).name
        graph = read_graph(graph)
    shape = input_shape(graph)
    if inputs is None:
        inputs = random_spikes(shape, 100, 4)
    if tuple(inputs.shape[2:]) != shape:
        raise InputError(f"the graph takes samples of shape {list(shape)}; these have shape {list(inputs.shape[2:])}")
    oracle = OracleGraph(graph, dt)
    expected = oracle.trace(inputs, list(oracle.wiring.nodes))
    silent = [n for n, node in oracle.wiring.nodes.items() if type(node).__name__ in SPIKING and not expected[n].any()]
    checks = tuple(_framework(graph, framework, dt, inputs, expected) for framework in frameworks)
    return GraphCheck(name, dt, len(inputs), inputs.shape[1], checks, tuple(silent))


def _framework(graph: Any, framework: str, dt: float, inputs: Tensor, expected: Mapping[str, Tensor]) -> FrameworkCheck:
    version = framework_version(framework)
    try:
        model = load_nir(graph, framework, dt=dt)
    except Unsupported as error:
        return FrameworkCheck(framework, version, str(error), requirements(graph, dt, _accepting(framework, dt)))
    outputs = {name: series.to(torch.float64) for name, series in model.trace(inputs, list(expected)).items()}
    if unstable := _unstable(graph, framework, dt, {*outputs}):
        return FrameworkCheck(framework, version, f"{framework} {version} {unstable}")
    nodes, readings = _nodes(graph, dt, inputs, outputs, expected)
    if any(UNKNOWN in node.causes for node in nodes):
        rewired = loop_rewired(graph)
        others, other_readings = _nodes(rewired, dt, inputs, outputs, expected)
        if not any(UNKNOWN in node.causes for node in others):
            as_written, as_run = wiring(graph).inputs, wiring(rewired).inputs
            moved = {name for name in as_written if set(as_written[name]) != set(as_run[name])}
            nodes = [replace(n, causes=(LOOP_REWIRED, *n.causes)) if n.node in moved else n for n in others]
            graph, readings = rewired, other_readings
    output = outputs[OUTPUT]
    explained = OracleGraph(graph, dt, readings).trace(inputs, ())[OUTPUT]
    return FrameworkCheck(
        framework,
        version,
        nodes=tuple(node for node in nodes if node.causes or node.kind in (*SPIKING, *INTEGRATING)),
        outputs=expected[OUTPUT].numel(),
        differing=differing(output, expected[OUTPUT])[0],
        unexplained=differing(output, explained)[0],
    )


def _unstable(graph: Any, framework: str, dt: float, ran: set[str]) -> str:
    """That imports of one graph run different nodes, so that there is no one model to compare; empty if they do not."""
    nodes, trial = wiring(graph).nodes, torch.zeros(1, 1, *input_shape(graph))
    inner = {name for name, node in nodes.items() if type(node).__name__ not in ("Input", "Output")}
    if inner <= ran:
        return ""
    others = [{*load_nir(graph, framework, dt=dt).trace(trial, inner)} for _ in range(_IMPORTS)]
    left_out = sorted(name for name in inner if 0 < sum(name in one for one in (ran, *others)) <= _IMPORTS)
    return f"imports the graph differently from time to time: some imports leave out {', '.join(left_out)}" * bool(
        left_out
    )


def _nodes(
    graph: Any, dt: float, inputs: Tensor, outputs: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> tuple[list[NodeCheck], dict[str, Reading]]:
    given = _Given(wiring(graph), dict(outputs), inputs)
    checks = {name: _node(name, node, dt, given, expected[name]) for name, node in given.wires.nodes.items()}
    readings = {name: reading for name, (_, reading) in checks.items() if reading is not None}
    return [check for check, _ in checks.values()], readings


def _accepting(framework: str, dt: float) -> Any:
    def accepts(graph: Any) -> bool:
        try:
            load_nir(graph, framework, dt=dt)
        except Unsupported:
            return False
        return True

    return accepts


class _Given:
    """What every node gave in the framework, and what it was given; a node without a module passes its input on."""

    def __init__(self, wires: Wiring, outputs: dict[str, Tensor], inputs: Tensor) -> None:
        self.wires, self.outputs = wires, outputs
        self.skipped = {
            name
            for name, node in wires.nodes.items()
            if name not in outputs and type(node).__name__ not in ("Input", "Output")
        }
        for name in wires.nodes:
            if name == wires.only("Input"):
                self.outputs[name] = inputs.to(torch.float64)
            elif name not in outputs:
                self.outputs[name] = self.inputs(name)

    def inputs(self, name: str) -> Tensor:
        """The sum of what came in, ``[T, B, ...]``."""
        parts = []
        for source, late in self.wires.inputs[name]:
            if source not in self.outputs:
                continue  # a loop of nodes that are all skipped: nothing comes back
            series = self.outputs[source]
            parts.append(torch.cat([torch.zeros_like(series[:1]), series[:-1]]) if late else series)
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total


def _node(name: str, node: Any, dt: float, given: _Given, expected: Tensor) -> tuple[NodeCheck, Reading | None]:
    kind, output = type(node).__name__, given.outputs[name]
    spiking = kind in SPIKING
    unequal, first = differing(output, expected)
    check = NodeCheck(
        name,
        kind,
        int(expected.sum()) if spiking else None,
        int(output.sum()) if spiking else None,
        expected.numel(),
        unequal,
        first,
        own=0,
        rounded=0,
        causes=(),
    )
    if kind in ("Input", "Output"):
        return check, None
    if name in given.skipped:
        return replace(check, own=unequal, causes=(SKIPPED,)), Reading(dt, skipped=True)
    inputs = given.inputs(name)
    causes, reading = explain(node, dt, inputs, output)
    if kind in (*SPIKING, *INTEGRATING):
        plain = replay(dynamics(node, Reading(dt)), inputs, output)
        return replace(check, own=plain.differing, rounded=plain.rounded, causes=causes), reading
    return replace(check, own=differing(output, run_node(node, Reading(dt), inputs))[0], causes=causes), reading


def fires_at_threshold(framework: str, kind: str) -> bool | None:
    """Whether an importer's neuron fires when its membrane equals its threshold; NIR's does not.

    One neuron, whose numbers are exact in any precision, is brought to its threshold in its first step.

    Args:
        framework: its name.
        kind: "IF", "LIF" or "CubaLIF".

    Returns:
        None where the framework does not take the neuron.
    """
    with needs("nir", "a NIR graph"):
        import nir

    def full(value: float) -> Any:
        return np.array([value])

    dt = 1.0 if kind == "IF" else DT
    neuron = {
        "IF": lambda: nir.IF(r=full(1), v_threshold=full(1)),
        "LIF": lambda: nir.LIF(tau=full(2 * dt), r=full(1), v_leak=full(0), v_threshold=full(0.5)),
        "CubaLIF": lambda: nir.CubaLIF(
            tau_syn=full(2 * dt), tau_mem=full(2 * dt), r=full(2), w_in=full(2), v_leak=full(0), v_threshold=full(1)
        ),
    }[kind]()
    try:
        model = load_nir(nir.NIRGraph.from_list(neuron), framework, dt=dt)
    except Unsupported:
        return None
    with torch.no_grad():
        return bool(model(torch.ones(1, 1, 1)).any())
