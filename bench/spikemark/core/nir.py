"""Graphs of the Neuromorphic Intermediate Representation (NIR): their equations in float64, and what runs them.

NIR states its nodes as differential equations (Pedersen et al., Nature Communications 15, 8122, 2024) and leaves the
rest open. The oracle takes forward Euler steps of `dt` seconds from a membrane of 0, fires at ``v > v_threshold`` and
sets v to v_reset in the same step. A connection that closes a loop carries what its source gave one step before, and
0 in the first step, as NIR's own executor for PyTorch (nirtorch) has it.

A `Reading` says how one node's equation is taken; its defaults are the above. Every other value is a deviation that
some importer is known for, so that a deviation is proved by computing with it. Nodes are known by the names of
their classes: this module does not import `nir`.
"""

from __future__ import annotations

import keyword
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from graphlib import TopologicalSorter
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikemark.core.foreign import Declares
from spikemark.core.neuron_class import NeuronClass
from spikemark.errors import InputError

SPIKING = ("IF", "LIF", "CubaLIF", "Threshold")
"""Nodes whose output is spikes."""
INTEGRATING = ("I", "LI", "CubaLI")
"""Nodes whose output is their membrane."""
OUTPUT = "output of the graph"
"""Under this name a trace holds what the graph gives."""


@dataclass(frozen=True)
class Reading:
    """How the equation of a node is taken.

    Attributes:
        dt: length of a step in seconds.
        gain: of the input: as the equation says, with r = 1, without dt (r alone, in IF), 1, or the node's smallest
            for all of its neurons.
        decay: of the membrane in a step: Euler's ``1 - dt / tau``, the exact ``exp(-dt / tau)``, or ``exp(-1 / tau)``,
            which takes tau for a number of steps.
        kept: share of the membrane that an IF keeps from step to step.
        fires_at_threshold: whether ``v == v_threshold`` fires.
        reset: to v_reset, to 0, by subtraction of v_threshold, by subtraction that a membrane still above the
            threshold undergoes before it fires again ("ahead"), or by subtraction for each of as many spikes as
            v_threshold fits into the membrane ("several").
        floor: whether the membrane is kept from falling below -v_threshold.
        start: the first membrane.
        synapse_leaks: whether v_leak drives the synaptic current too, which then starts as the membrane does.
        without: a parameter of a node without state that is taken as 0, such as "padding".
        skipped: the node passes its input on.
    """

    dt: float
    gain: Literal["written", "r-is-1", "no-dt", "one", "least"] = "written"
    decay: Literal["euler", "exact", "exact-in-steps"] = "euler"
    kept: float = 1.0
    fires_at_threshold: bool = False
    reset: Literal["v_reset", "zero", "subtract", "ahead", "several"] = "v_reset"
    floor: bool = False
    start: Literal["zero", "v_leak", "v_reset"] = "zero"
    synapse_leaks: bool = False
    without: str = ""
    skipped: bool = False


@dataclass(frozen=True)
class Integrator:
    """``v = decay * v + gain * x + drive``, from ``v = start``."""

    decay: Tensor
    gain: Tensor
    drive: Tensor
    start: Tensor

    def step(self, v: Tensor, x: Tensor) -> Tensor:
        """The next value."""
        return self.decay * v + self.gain * x + self.drive


@dataclass(frozen=True)
class Dynamics:
    """A node with state as one linear step, a threshold and a reset.

        i = synapse.decay * i + synapse.gain * x + synapse.drive        (i = x without a synapse)
        v = membrane.decay * v + membrane.gain * i + membrane.drive
        o = v > threshold                                               (without a threshold the output is v)

    Attributes:
        membrane, synapse: see `Integrator`; the synapse is None where there is none.
        threshold: of a node that spikes; None for any other node.
        reset: what the membrane is set to.
        fires_at_threshold, subtract, ahead, several, floor: see `Reading`.
    """

    membrane: Integrator
    threshold: Tensor | None
    reset: Tensor
    synapse: Integrator | None = None
    fires_at_threshold: bool = False
    subtract: bool = False
    ahead: bool = False
    several: bool = False
    floor: bool = False

    def first(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Membrane and synaptic current before the first step, for inputs such as `x`."""
        i = torch.zeros_like(x) if self.synapse is None else self.synapse.start.expand_as(x)
        return self.membrane.start.expand_as(x), i

    def charge(self, x: Tensor, v: Tensor, i: Tensor) -> tuple[Tensor, Tensor]:
        """Membrane and synaptic current of a step, before it may fire."""
        i = x if self.synapse is None else self.synapse.step(i, x)
        u = self.membrane.step(v, i)
        if self.ahead:
            u = u - self._still_above(v)
        return u, i

    def spikes(self, u: Tensor) -> Tensor:
        """How often the membrane fires in a step."""
        assert self.threshold is not None
        if self.several:
            return torch.div(u.clamp(min=0), self.threshold, rounding_mode="trunc")
        return (u >= self.threshold if self.fires_at_threshold else u > self.threshold).to(u.dtype)

    def distance(self, u: Tensor) -> Tensor:
        """How far the membrane is from firing once more or once less."""
        assert self.threshold is not None
        nearest = (u / self.threshold).round().clamp(min=1) if self.several else 1
        return (u - nearest * self.threshold).abs()

    def after(self, u: Tensor, spikes: Tensor, before: Tensor) -> Tensor:
        """The membrane after a step in which it was `u`, and `before` at the end of the step before."""
        if self.threshold is None:
            return u
        v = u - self.threshold * spikes if self.subtract else torch.where(spikes != 0, self.reset, u)
        if self.ahead:
            v = v + self._still_above(before)
        return torch.maximum(v, -self.threshold) if self.floor else v

    def _still_above(self, v: Tensor) -> Tensor:
        assert self.threshold is not None
        return self.threshold * (v > self.threshold)

    def step(self, x: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Output and state after one step."""
        before, i = state or self.first(x)
        u, i = self.charge(x, before, i)
        if self.threshold is None:
            return u, (u, i)
        spikes = self.spikes(u)
        return spikes, (self.after(u, spikes, before), i)


def dynamics(node: Any, reading: Reading) -> Dynamics:
    """The step of a node of `SPIKING` or `INTEGRATING`.

    Args:
        node: of the graph.
        reading: how its equation is taken.
    """
    kind = type(node).__name__
    if kind == "Threshold":
        threshold = _array(node.threshold)
        zero = torch.zeros_like(threshold)
        passing = Integrator(zero, torch.ones_like(threshold), zero, zero)
        return Dynamics(passing, threshold, zero, fires_at_threshold=reading.fires_at_threshold)
    r = _array(node.r)
    zeros = torch.zeros_like(r)
    tau = getattr(node, "tau_mem", None) if kind.startswith("Cuba") else getattr(node, "tau", None)
    if tau is None:
        decay, rate = torch.full_like(r, reading.kept), torch.full_like(r, reading.dt)
    else:
        decay, rate = _decay_and_rate(_array(tau), reading)
    gains = {
        "written": rate * r,
        "least": (rate * r).min().expand_as(r),
        "r-is-1": rate,
        "no-dt": r,
        "one": torch.ones_like(r),
    }
    leak = _array(node.v_leak) if hasattr(node, "v_leak") else zeros
    reset = _array(node.v_reset) if kind in SPIKING else zeros
    start = {"zero": zeros, "v_leak": leak, "v_reset": reset}[reading.start]
    synapse = None
    if kind.startswith("Cuba"):
        synapse_decay, synapse_rate = _decay_and_rate(_array(node.tau_syn), reading)
        own_leak, own_start = (leak, start) if reading.synapse_leaks else (zeros, zeros)
        synapse = Integrator(synapse_decay, synapse_rate * _array(node.w_in), synapse_rate * own_leak, own_start)
    return Dynamics(
        Integrator(decay, gains[reading.gain], rate * leak, start),
        _array(node.v_threshold) if kind in SPIKING else None,
        reset if reading.reset == "v_reset" else zeros,
        synapse,
        fires_at_threshold=reading.fires_at_threshold or reading.reset == "several",
        subtract=reading.reset in ("subtract", "ahead", "several"),
        ahead=reading.reset == "ahead",
        several=reading.reset == "several",
        floor=reading.floor,
    )


def _decay_and_rate(tau: Tensor, reading: Reading) -> tuple[Tensor, Tensor]:
    rate = reading.dt / tau
    decays = {"euler": 1 - rate, "exact": torch.exp(-rate), "exact-in-steps": torch.exp(-1 / tau)}
    return decays[reading.decay], rate


def _array(values: Any) -> Tensor:
    return torch.from_numpy(np.array(values, dtype=np.float64))


def _per_axis(values: Any, axes: int) -> Any:
    """A number or one for every axis, as torch's functions take it; "same" and "valid" stay."""
    if isinstance(values, str | bytes):
        return values if isinstance(values, str) else values.decode()
    return tuple(int(value) for value in np.broadcast_to(np.asarray(values), (axes,)))


def _dense(x: Tensor, node: Any) -> Tensor:
    y: Tensor = (_array(node.weight) @ x.unsqueeze(-1)).squeeze(-1)
    return y + _array(node.bias) if hasattr(node, "bias") else y


def _convolution(x: Tensor, node: Any) -> Tensor:
    axes = node.weight.ndim - 2
    convolve = {1: F.conv1d, 2: F.conv2d}[axes]
    stride, padding, dilation = (_per_axis(getattr(node, name), axes) for name in ("stride", "padding", "dilation"))
    return convolve(x, _array(node.weight), _array(node.bias), stride, padding, dilation, int(node.groups))


def _pooling(x: Tensor, node: Any, divisor: int | None = None) -> Tensor:
    size, stride, padding = (_per_axis(getattr(node, name), 2) for name in ("kernel_size", "stride", "padding"))
    return F.avg_pool2d(x, size, stride, padding, divisor_override=divisor)


def _flatten(x: Tensor, node: Any) -> Tensor:
    return x.flatten(*_behind_batch(node))


def _behind_batch(node: Any) -> tuple[int, int]:
    """What a `Flatten` flattens. NIR counts the dimensions of one sample; there is the batch in front of them here."""
    start, end = (dim + 1 if dim >= 0 else dim for dim in (int(node.start_dim), int(node.end_dim)))
    return start, end


_STATELESS: Mapping[str, Callable[[Tensor, Any], Tensor]] = {
    "Input": lambda x, node: x,
    "Output": lambda x, node: x,
    "Linear": _dense,
    "Affine": _dense,
    "Conv1d": _convolution,
    "Conv2d": _convolution,
    "Flatten": _flatten,
    "SumPool2d": lambda x, node: _pooling(x, node, divisor=1),
    "AvgPool2d": _pooling,
    "Scale": lambda x, node: x * _array(node.scale),
}


def _delay(node: Any, dt: float) -> Callable[[Tensor, Any], tuple[Tensor, Any]]:
    """What came in `delay` seconds before, and 0 in the beginning."""
    steps = _array(node.delay) / dt
    whole = steps.round()
    if not torch.allclose(steps, whole):
        raise InputError(f"a delay of {float(steps.flatten()[0]) * dt:g} s is no whole number of steps of {dt:g} s")
    length = int(whole.max()) + 1

    def step(x: Tensor, history: Tensor | None) -> tuple[Tensor, Tensor]:
        past = torch.zeros(length, *x.shape, dtype=x.dtype) if history is None else history
        past = torch.cat([x[None], past[:-1]])
        return torch.take_along_dim(past, whole.long().expand_as(x)[None], dim=0)[0], past

    return step


def node_step(node: Any, reading: Reading) -> Callable[[Tensor, Any], tuple[Tensor, Any]]:
    """From the input ``[B, *shape]`` and the state (None before the first step) of a node to its output and state.

    Raises:
        InputError: the oracle has no equation for the node.
    """
    kind = type(node).__name__
    if reading.skipped:
        return lambda x, state: (x, None)
    if kind in SPIKING or kind in INTEGRATING:
        return dynamics(node, reading).step
    if kind == "Delay":
        return _delay(node, reading.dt)
    if kind not in _STATELESS:
        known = ", ".join(sorted({*_STATELESS, *SPIKING, *INTEGRATING, "Delay"}))
        raise InputError(f"there is no equation for a {kind} (known: {known})")
    function = _STATELESS[kind]
    if reading.without:
        node = copy(node)
        setattr(node, reading.without, np.zeros_like(getattr(node, reading.without)))
    return lambda x, state: (function(x, node), None)


def run_node(node: Any, reading: Reading, inputs: Tensor) -> Tensor:
    """A node by itself: inputs ``[T, B, ...]`` to outputs ``[T, B, ...]``."""
    step, state, outputs = node_step(node, reading), None, []
    for x in inputs:
        output, state = step(x, state)
        outputs.append(output)
    return torch.stack(outputs)


@dataclass(frozen=True)
class Wiring:
    """The connections of a graph without graphs inside.

    Attributes:
        nodes: by name, in an order in which they can be computed.
        inputs: for every node its sources, and whether they are taken from the step before.
    """

    nodes: Mapping[str, Any]
    inputs: Mapping[str, tuple[tuple[str, bool], ...]] = field(repr=False)

    def only(self, kind: Literal["Input", "Output"]) -> str:
        """The name of the graph's one input or output; those of graphs inside it have sources and targets.

        Raises:
            InputError: there is none, or there are several.
        """
        sources = {source for given in self.inputs.values() for source, _ in given}
        inner = sources if kind == "Output" else {name for name, given in self.inputs.items() if given}
        found = [name for name, node in self.nodes.items() if type(node).__name__ == kind and name not in inner]
        if len(found) != 1:
            raise InputError(f"the graph has {len(found)} nodes of kind {kind}; expected 1")
        return found[0]


def wiring(graph: Any) -> Wiring:
    """The connections of a `nir.NIRGraph`, graphs inside it unfolded into nodes "graph.node"."""
    nodes, edges = _unfolded(graph)
    targets: dict[str, list[str]] = {name: [] for name in nodes}
    for source, target in edges:
        targets[source].append(target)
    roots = sorted(nodes, key=lambda name: type(nodes[name]).__name__ != "Input")
    late = set(_loops(targets, roots))
    ahead = {name: {s for s, t in edges if t == name and (s, t) not in late} for name in nodes}
    order = list(TopologicalSorter(ahead).static_order())
    inputs = {name: tuple((s, (s, t) in late) for s, t in edges if t == name) for name in nodes}
    return Wiring({name: nodes[name] for name in order}, inputs)


def _unfolded(graph: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    nodes: dict[str, Any] = {}
    edges = [(str(source), str(target)) for source, target in dict.fromkeys(map(tuple, graph.edges))]
    for name, node in graph.nodes.items():
        if type(node).__name__ != "NIRGraph":
            nodes[name] = node
            continue
        inner, inner_edges = _unfolded(node)
        ends = {kind: [n for n, part in inner.items() if type(part).__name__ == kind] for kind in ("Input", "Output")}
        if any(len(found) != 1 for found in ends.values()):
            raise InputError(f"the graph inside node {name!r} needs exactly 1 Input and 1 Output")
        way_in, way_out = (f"{name}.{ends[kind][0]}" for kind in ("Input", "Output"))
        nodes |= {f"{name}.{part}": module for part, module in inner.items()}
        edges = [(way_out if s == name else s, way_in if t == name else t) for s, t in edges]
        edges += [(f"{name}.{s}", f"{name}.{t}") for s, t in inner_edges]
    return nodes, edges


def _loops(targets: Mapping[str, list[str]], roots: list[str]) -> Iterator[tuple[str, str]]:
    """The connections that close a loop: those that lead back to a node on the path from a root."""
    done: set[str] = set()
    for root in roots:
        path: dict[str, Iterator[str]] = {root: iter(targets[root])} if root not in done else {}
        while path:
            name = next(reversed(path))
            target = next(path[name], None)
            if target is None:
                done.add(name)
                del path[name]
            elif target in path:
                yield name, target
            elif target not in done:
                path[target] = iter(targets[target])


class GraphModel(nn.Module, Declares, ABC):
    """A NIR graph that can be run: ``[T, B, *input_shape]`` to ``[T, B, *output_shape]``, stateless between calls."""

    @abstractmethod
    def trace(self, inputs: Tensor, nodes: Collection[str]) -> dict[str, Tensor]:
        """What some nodes give, ``[T, B, ...]`` by name, and under `OUTPUT` what the graph gives.

        Nodes that the model does not have are left out.
        """

    def forward(self, inputs: Tensor) -> Tensor:
        """The graph's output."""
        return self.trace(inputs, ())[OUTPUT]


class OracleNode(nn.Module):
    """A node of the oracle: from input and state to output and state."""

    def __init__(self, node: Any, reading: Reading) -> None:
        super().__init__()
        self.kind = type(node).__name__
        self._step = node_step(node, reading)

    def forward(self, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        """One step."""
        return self._step(x, state)


class OracleNeurons(OracleNode):
    """One that spikes."""


class OracleIntegrators(OracleNode):
    """One that gives its membrane."""


def _words(node: OracleNode) -> int:
    return {"CubaLIF": 2, "CubaLI": 2, "Threshold": 0}.get(node.kind, 1)


class OracleGraph(GraphModel):
    """The equations, in float64.

    Args:
        graph: a `nir.NIRGraph`.
        dt: length of a step in seconds.
        readings: of nodes that are not taken as NIR says, by name.

    Raises:
        InputError: a node has no equation, or the graph has not exactly one input and one output.
    """

    declared_neurons: Mapping[type[nn.Module], NeuronClass] = {
        OracleNeurons: NeuronClass(_words),
        OracleIntegrators: NeuronClass(_words, spiking=False),
    }

    def __init__(self, graph: Any, dt: float, readings: Mapping[str, Reading] | None = None) -> None:
        super().__init__()
        self.wiring = wiring(graph)
        self._input, self._output = self.wiring.only("Input"), self.wiring.only("Output")
        self.nodes = nn.ModuleList()
        for name, node in self.wiring.nodes.items():
            kind = type(node).__name__
            made = OracleNeurons if kind in SPIKING else OracleIntegrators if kind in INTEGRATING else OracleNode
            try:
                self.nodes.append(made(node, (readings or {}).get(name, Reading(dt))))
            except InputError as error:
                raise InputError(f"node {name!r}: {error}") from None

    def trace(self, inputs: Tensor, nodes: Collection[str]) -> dict[str, Tensor]:
        """See `GraphModel.trace`."""
        states: dict[str, Any] = {}
        last: dict[str, Tensor] = {}
        kept: dict[str, list[Tensor]] = {name: [] for name in (*nodes, self._output)}
        for x in inputs.to(torch.float64):
            now: dict[str, Tensor] = {}
            for name, step in zip(self.wiring.nodes, self.nodes, strict=True):
                given = x if name == self._input else self._sum(name, now, last)
                now[name], states[name] = step(given, states.get(name))
            last = now
            for name, values in kept.items():
                values.append(now[name])
        traces = {name: torch.stack(values) for name, values in kept.items()}
        return traces | {OUTPUT: traces[self._output]}

    def _sum(self, name: str, now: Mapping[str, Tensor], last: Mapping[str, Tensor]) -> Tensor:
        given = [(last if late else now).get(source) for source, late in self.wiring.inputs[name]]
        return cast("Tensor", sum(x for x in given if x is not None))


class ImportedGraph(GraphModel):
    """A graph as a framework's importer gives it: a module from input and state to output and state, step by step.

    Args:
        graph: what the importer gave; its parts are named after nodes, in nirtorch's way.
        forget: empties the states that a module keeps to itself.
        neurons: classes of neurons that the importer makes and that the framework's adapter does not know.
    """

    def __init__(
        self,
        graph: nn.Module,
        *,
        forget: Callable[[nn.Module], None] = lambda module: None,
        neurons: Mapping[type[nn.Module], NeuronClass] | None = None,
    ) -> None:
        super().__init__()
        self.graph, self._forget_one = graph, forget
        self.declared_neurons = neurons or {}

    def trace(self, inputs: Tensor, nodes: Collection[str]) -> dict[str, Tensor]:
        """See `GraphModel.trace`."""
        seen: dict[str, Tensor] = {}
        kept: dict[str, list[Tensor]] = {}
        parts = dict(self.graph.named_modules())
        found = {name: next((parts[own] for own in _names(name) if own in parts), None) for name in nodes}

        def keeper(name: str) -> Callable[..., None]:
            def keep(module: nn.Module, args: Any, output: Any) -> None:
                seen[name] = _first_tensor(output)

            return keep

        handles = [part.register_forward_hook(keeper(name)) for name, part in found.items() if part is not None]
        try:
            self._forget()
            state = None
            for x in inputs:
                output, state = self.graph(x, state)
                for name, value in {**seen, OUTPUT: _first_tensor(output)}.items():
                    kept.setdefault(name, []).append(value)
        finally:
            for handle in handles:
                handle.remove()
            self._forget()
        return {name: torch.stack(values) for name, values in kept.items()}

    def _forget(self) -> None:
        for module in self.graph.modules():
            self._forget_one(module)


def _names(node: str) -> tuple[str, ...]:
    """How an importer may call the module of a node.

    nirtorch replaces "." and Python's keywords; snnTorch folds the nodes "layer.*" of a loop into a graph "layer".
    """
    plain = node.replace(".", "_")
    return (f"nir_node_{plain}" if keyword.iskeyword(plain) else plain, node, f"{node.split('.')[0]}.{plain}")


def _first_tensor(output: Any) -> Tensor:
    while isinstance(output, tuple):
        output = output[0]
    assert isinstance(output, Tensor)
    return output


@contextmanager
def without_logs() -> Iterator[None]:
    """Importers log what they make of a graph; a check says it better."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def with_batch(graph: Any) -> Any:
    """The graph for an importer that takes the dimensions of a `Flatten` as torch does, the batch among them."""
    for node in graph.nodes.values():
        if type(node).__name__ == "NIRGraph":
            with_batch(node)
        elif type(node).__name__ == "Flatten":
            node.start_dim, node.end_dim = _behind_batch(node)
    return graph
