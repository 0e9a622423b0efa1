"""Why an importer's spikes differ from NIR's equations: known deviations, each proved by computing with it.

A node is judged by itself. It gets the very inputs that it had in the framework, and its equation is taken anew with
one deviation, then with two, then with three, until the spikes are the framework's at every step. Nothing is concluded
from a parameter alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import copy, deepcopy
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikemark.core.nir import INTEGRATING, SPIKING, Dynamics, Integrator, Reading, dynamics, run_node, wiring

ROUNDING = "rounding"
"""The cause of spikes that single precision decides otherwise: the membrane is that close to the threshold."""
SKIPPED = "node-skipped"
UNKNOWN = "unknown"
CAUSES: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "ties": ("fires at v == v_threshold; NIR says v > v_threshold", {"fires_at_threshold": True}),
    "r-ignored": ("drops r", {"gain": "r-is-1"}),
    "dt-ignored": ("does not multiply the input by dt", {"gain": "no-dt"}),
    "gain-one": ("gives the input the gain 1, whatever r, tau and dt say", {"gain": "one"}),
    "gain-shared": ("gives all neurons of the node the smallest gain among them", {"gain": "least"}),
    "dt-fixed": ("has dt = 1e-4 s built in", {"dt": 1e-4}),
    "tau-in-steps": ("reads tau as a number of steps", {"dt": 1.0}),
    "exact-decay": ("decays by exp(-dt / tau) where Euler's step is 1 - dt / tau", {"decay": "exact"}),
    "exact-decay-in-steps": (
        "decays by exp(-1 / tau), which reads tau as a number of steps",
        {"decay": "exact-in-steps"},
    ),
    "leaky-IF": ("lets an IF keep 0.9 of its membrane per step", {"kept": 0.9}),
    "v_reset-ignored": ("resets to 0, whatever v_reset says", {"reset": "zero"}),
    "reset-subtract": ("subtracts v_threshold where NIR sets v to v_reset", {"reset": "subtract"}),
    "reset-ahead": (
        "subtracts v_threshold, and once more in advance from a membrane that is still above it",
        {"reset": "ahead"},
    ),
    "several-spikes": (
        "lets a neuron fire as often in a step as v_threshold fits into its membrane, and subtracts it each time",
        {"reset": "several"},
    ),
    "membrane-floored": ("keeps the membrane from falling below -v_threshold", {"floor": True}),
    "synapse-leaks": ("lets v_leak drive the synaptic current too", {"synapse_leaks": True}),
    "starts-at-v_leak": ("starts from v_leak; NIR does not say, the oracle starts from 0", {"start": "v_leak"}),
    "starts-at-v_reset": ("starts from v_reset; NIR does not say, the oracle starts from 0", {"start": "v_reset"}),
    "padding-ignored": ("does not pad", {"without": "padding"}),
    "bias-ignored": ("drops the bias", {"without": "bias"}),
}
"""Deviations of a node by name: what the importer does, and the `Reading` that says so."""
LOOP_REWIRED = "loop-rewired"
OTHER_CAUSES: Mapping[str, str] = {
    ROUNDING: "computes in single precision, and the membrane is within its rounding of v_threshold",
    SKIPPED: "does not run the node, and passes its input on",
    LOOP_REWIRED: "sends what comes into a loop through the loop's own synapses, and not to its neurons",
    UNKNOWN: "does what no known deviation, nor three of them together, reproduces",
}
_ATTEMPTS = ((0, False), (1, False), (0, True), (1, True), (2, False), (2, True), (3, False), (3, True))
"""How many deviations, with or without rounding: one that explains every spike goes before rounding, and so on."""
_NEURONS = ("IF", "LIF", "CubaLIF")
_CLOSE = 1e-4
"""Two values of nodes without state are the same if they differ by less than this share of the largest."""
_ROUNDING = 8 * 2.0**-24
"""Share of each of its terms that a step may lose: eight roundings of single precision, parameters included."""


@dataclass(frozen=True)
class Replay:
    """A node's equation run on the framework's inputs.

    Attributes:
        differing: outputs that differ and that rounding does not explain.
        rounded: outputs that differ where the membrane is within rounding of the threshold.
        first: first step of those that differ and are not explained; None without any.
    """

    differing: int
    rounded: int
    first: int | None


def replay(step: Dynamics, inputs: Tensor, outputs: Tensor, *, rounding: bool = True, stop: bool = False) -> Replay:
    """Compare a node's equation with what a framework gave for the same inputs.

    Where a spike differs, the membrane goes on with the framework's, so that one difference is counted once.

    Args:
        step: the node's equation.
        inputs: of the node in the framework, ``[T, B, *shape]``, float64.
        outputs: of the node in the framework, ``[T, B, *shape]``, float64.
        rounding: whether a spike may differ where the membrane is within rounding of the threshold.
        stop: whether the first difference is enough.
    """
    v, i = step.first(inputs[0])
    error, current_error = torch.zeros_like(v), torch.zeros_like(v)
    differing = rounded = 0
    first = None
    for t, (x, given) in enumerate(zip(inputs, outputs, strict=True)):
        before, before_i = v, i
        u, i = step.charge(x, before, before_i)
        if step.synapse is not None:
            current_error = _carried(step.synapse, current_error, before_i, x)
        error = _carried(step.membrane, error, before, i) + step.membrane.gain.abs() * current_error
        if step.threshold is not None:
            error = error + _ROUNDING * step.threshold.abs()
        if step.threshold is None:
            wrong, excused = ((u - given).abs() > error), torch.zeros_like(u, dtype=torch.bool)
            v = u
        else:
            unequal, distance = step.spikes(u) != given, step.distance(u)
            excused = unequal & (distance > 0) & (distance <= error) if rounding else torch.zeros_like(unequal)
            wrong = unequal & ~excused
            v = step.after(u, given, before)
            error = error if step.subtract else torch.where(given != 0, 0.0, error)
        rounded += int(excused.sum())
        count = int(wrong.sum())
        differing += count
        if count and first is None:
            first = t
            if stop:
                break
    return Replay(differing, rounded, first)


def _carried(part: Integrator, error: Tensor, v: Tensor, x: Tensor) -> Tensor:
    """A bound of the error of single precision after a step of `part`, from that before it."""
    decayed, entered = (part.decay * v).abs(), (part.gain * x).abs()
    return part.decay.abs() * error + _ROUNDING * (decayed + entered + part.drive.abs())


def explain(node: Any, dt: float, inputs: Tensor, outputs: Tensor) -> tuple[tuple[str, ...], Reading]:
    """The fewest known deviations with which a node's equation gives the framework's outputs at every step.

    Args:
        node: of the graph.
        dt: length of a step in seconds.
        inputs: of the node in the framework, ``[T, B, *shape]``, float64.
        outputs: likewise.

    Returns:
        Names of the causes, none for a node that computes what NIR says, or `UNKNOWN` alone; several deviations that
        would each do are one name, joined by " or ". And the reading that has them.
    """
    plain = Reading(dt)
    for count, rounding in _ATTEMPTS:
        found: dict[str, tuple[tuple[str, ...], Reading]] = {}
        for names, reading in _different(node, plain, count):
            if _fits(node, reading, inputs, outputs, rounding=rounding):
                found[" + ".join(names)] = names, reading
        if found:
            names, reading = next(iter(found.values()))
            named = names if len(found) == 1 else (" or ".join(found),)
            return (*named, *((ROUNDING,) if rounding else ())), reading
    return (UNKNOWN,), plain


def differing(given: Tensor, expected: Tensor) -> tuple[int, int | None]:
    """How many values differ, beyond single precision's rounding, and the first step of them."""
    if given.shape != expected.shape:
        return expected.numel(), 0
    wrong = (given - expected).abs() > _CLOSE * max(float(expected.abs().max()), 1e-12)
    steps = torch.nonzero(wrong.flatten(1).any(1))
    return int(wrong.sum()), int(steps[0]) if len(steps) else None


def _has_state(node: Any) -> bool:
    return type(node).__name__ in (*SPIKING, *INTEGRATING)


def _fits(node: Any, reading: Reading, inputs: Tensor, outputs: Tensor, *, rounding: bool) -> bool:
    if _has_state(node):
        return replay(dynamics(node, reading), inputs, outputs, rounding=rounding, stop=True).first is None
    return differing(outputs, run_node(node, reading, inputs))[1] is None


def _different(node: Any, plain: Reading, count: int) -> Iterator[tuple[tuple[str, ...], Reading]]:
    """All readings with `count` deviations whose equations differ from those with fewer and from one another."""
    if not _has_state(node):
        yield from _readings(node, plain, count)
        return
    seen = [_numbers(dynamics(node, reading)) for fewer in range(count) for _, reading in _readings(node, plain, fewer)]
    for names, reading in _readings(node, plain, count):
        numbers = _numbers(dynamics(node, reading))
        if not any(_same(numbers, others) for others in seen):
            seen.append(numbers)
            yield names, reading


def _readings(node: Any, plain: Reading, count: int) -> Iterator[tuple[tuple[str, ...], Reading]]:
    usable = {name: change for name, (_, change) in CAUSES.items() if _concerns(change, node)}
    for names in combinations(usable, count):
        changes = [usable[name] for name in names]
        if len({field for change in changes for field in change}) == sum(map(len, changes)):
            yield names, replace(plain, **{field: value for change in changes for field, value in change.items()})


def _concerns(change: Mapping[str, Any], node: Any) -> bool:
    if "without" in change:
        return not _has_state(node) and hasattr(node, change["without"])
    spiking = type(node).__name__ in SPIKING
    return _has_state(node) and (spiking or not {"reset", "fires_at_threshold", "floor"} & change.keys())


def _numbers(step: Dynamics) -> list[Any]:
    parts = [step.membrane, *([step.synapse] if step.synapse else [])]
    own = [value for name, value in vars(step).items() if name not in ("membrane", "synapse")]
    return [*own, *(value for part in parts for value in vars(part).values())]


def _same(one: list[Any], other: list[Any]) -> bool:
    def equal(a: Any, b: Any) -> bool:
        both = isinstance(a, Tensor) and isinstance(b, Tensor)
        return torch.allclose(a, b, rtol=_ROUNDING, atol=0) if both else a is b

    return all(equal(a, b) for a, b in zip(one, other, strict=True))


def loop_rewired(graph: Any) -> Any:
    """The graph that `LOOP_REWIRED` makes: what enters a neuron whose spikes come back to it enters its synapses."""
    wires = wiring(graph)
    changed = copy(graph)
    changed.nodes, edges = dict(wires.nodes), []
    for name, sources in wires.inputs.items():
        closing = [source for source, late in sources if late]
        edges += [(source, closing[0] if closing and not late else name) for source, late in sources]
    changed.edges = edges
    return changed


def _neurons(change: Callable[[Any, float], Mapping[str, Any]]) -> Callable[[Any, float], None]:
    """A change of every neuron of a graph: new values by parameter; what a neuron does not have is left out."""

    def changed(graph: Any, dt: float) -> None:
        for node in wiring(graph).nodes.values():
            if type(node).__name__ in _NEURONS:
                for name, value in change(node, dt).items():
                    if hasattr(node, name):
                        setattr(node, name, np.asarray(value, dtype=getattr(node, name).dtype))

    return changed


def _means(node: Any, dt: float) -> Mapping[str, Any]:
    arrays = {name: value for name, value in vars(node).items() if isinstance(value, np.ndarray)}
    return {name: np.full_like(value, value.mean()) for name, value in arrays.items()}


def _one_threshold(node: Any, dt: float) -> Mapping[str, Any]:
    return {"v_threshold": _means(node, dt)["v_threshold"]}


def _jumps(node: Any, dt: float) -> Mapping[str, Any]:
    """Gains with which an input enters as it is."""
    if hasattr(node, "tau_syn"):
        return {"r": node.tau_mem / dt, "w_in": node.tau_syn / dt}
    return {"r": getattr(node, "tau", np.ones_like(node.r)) / dt}


def _without_loops(graph: Any, dt: float) -> None:
    late = {(source, name) for name, sources in wiring(graph).inputs.items() for source, is_late in sources if is_late}
    graph.edges = [edge for edge in graph.edges if tuple(edge) not in late]


def _without_inner_ifs(graph: Any, dt: float) -> None:
    import nir

    last = {source for source, target in graph.edges if type(graph.nodes[target]).__name__ == "Output"}
    for name, node in graph.nodes.items():
        if type(node).__name__ == "IF" and name not in last:
            one = np.ones_like(node.r)
            graph.nodes[name] = nir.LIF(10 * dt * one, one, 0 * one, node.v_threshold, node.v_reset)


REQUIREMENTS: Mapping[str, Callable[[Any, float], None]] = {
    "one threshold for all neurons of a node": _neurons(_one_threshold),
    "r = 1": _neurons(lambda node, dt: {"r": np.ones_like(node.r)}),
    "r = tau / dt, or 1 / dt in IF, and w_in = tau_syn / dt": _neurons(_jumps),
    "v_leak = 0": _neurons(lambda node, dt: {"v_leak": np.zeros_like(node.r)}),
    "v_leak = v_reset": _neurons(lambda node, dt: {"v_leak": node.v_reset}),
    "one value of each parameter for all neurons of a node": _neurons(_means),
    "no loop": _without_loops,
    "no IF in front of other nodes": _without_inner_ifs,
}
"""What importers are known to ask of a graph, and the change that fulfils it."""


def requirements(graph: Any, dt: float, accepts: Callable[[Any], bool]) -> tuple[str, ...]:
    """What an importer that refuses a graph asks for: the fewest changes with which it takes the graph.

    Args:
        graph: that is refused.
        dt: length of a step in seconds.
        accepts: whether the importer takes a graph.

    Returns:
        Names in `REQUIREMENTS`; none where no two of them suffice.
    """
    for count in (1, 2):
        for names in combinations(REQUIREMENTS, count):
            changed = deepcopy(graph)
            for name in names:
                REQUIREMENTS[name](changed, dt)
            if accepts(changed):
                return names
    return ()
