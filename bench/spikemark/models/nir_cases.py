"""Small NIR graphs, each with one property that importers are known to treat differently."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikemark.core.streams import generator
from spikemark.errors import needs
from spikemark.models.nir import DT, input_shape

N = 4
"""Neurons of a graph."""
_GRID = 64
"""Inputs are multiples of 1 / 64, so that sums are exact and membranes can equal their threshold."""


@dataclass(frozen=True)
class Case:
    """A graph.

    Attributes:
        name: what is peculiar about it.
        graph: a `nir.NIRGraph`.
        dt: length of a step in seconds.
    """

    name: str
    graph: Any
    dt: float = DT

    def inputs(self, steps: int = 60, samples: int = 2) -> Tensor:
        """Currents on a grid from -1/4 to 1 3/4, ``[T, B, *input_shape]``."""
        size = (steps, samples, *input_shape(self.graph))
        return torch.randint(-_GRID // 4, 7 * _GRID // 4, size, generator=generator("nir-case", self.name)) / _GRID


def cases() -> list[Case]:
    """All of them.

    Raises:
        InputError: `nir` is not installed.
    """
    with needs("nir", "a NIR graph"):
        import nir
    return [Case(name, make(nir), 1.0 if "dt = 1 s" in name else DT) for name, make in _GRAPHS.items()]


def _full(value: Any) -> Any:
    return np.broadcast_to(np.asarray(value, dtype=np.float64), (N,)).copy()


def _behind_synapses(nir: Any, *nodes: Any) -> Any:
    """Input, an identity as Affine, the nodes, output."""
    return nir.NIRGraph.from_list(nir.Affine(np.eye(N, dtype=np.float32), _full(0)), *nodes)


def _if(r: Any, threshold: Any = 1) -> Callable[[Any], Any]:
    return lambda nir: _behind_synapses(nir, nir.IF(_full(r), _full(threshold), _full(0)))


def _lif(r: Any, *, tau: Any = 8 * DT, leak: Any = 0, threshold: Any = 0.5, reset: Any = 0) -> Callable[[Any], Any]:
    return lambda nir: _behind_synapses(nir, nir.LIF(*map(_full, (tau, r, leak, threshold, reset))))


def _cuba(r: Any, w_in: Any, *, leak: Any = 0, threshold: Any = 2) -> Callable[[Any], Any]:
    values = (4 * DT, 8 * DT, r, leak, threshold, 0)
    return lambda nir: _behind_synapses(nir, nir.CubaLIF(*map(_full, values), w_in=_full(w_in)))


def _before_a_lif(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A node of another kind, and a LIF behind it."""
    return lambda nir: _behind_synapses(nir, make(nir), nir.LIF(*map(_full, (2 * DT, 1, 0, 0.5, 0))))


def _image(make: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A pooling of images of one channel, 4 x 4."""

    def graph(nir: Any) -> Any:
        weight, bias = np.ones((1, 1, 1, 1), dtype=np.float32), np.zeros(1, dtype=np.float32)
        return nir.NIRGraph.from_list(nir.Conv2d((4, 4), weight, 1, 0, 1, 1, bias), make(nir))

    return graph


def _pooled(kind: str, padding: int) -> Callable[[Any], Any]:
    two = np.array([2, 2])
    return _image(lambda nir: getattr(nir, kind)(two, two, np.array([padding, padding])))


def _conv1d(nir: Any) -> Any:
    weight, bias = np.full((1, 1, 3), 0.5, dtype=np.float32), np.full(1, 0.25, dtype=np.float32)
    return nir.NIRGraph.from_list(nir.Conv1d(8, weight, 1, 1, 1, 1, bias))


def _recurrent(bias: float) -> Callable[[Any], Any]:
    def graph(nir: Any) -> Any:
        weights = np.roll(np.eye(N, dtype=np.float32), 1, axis=0) / 2
        nodes = {
            "input": nir.Input({"input": np.array([N])}),
            "synapses": nir.Affine(np.eye(N, dtype=np.float32), _full(0)),
            "layer.lif": nir.LIF(*map(_full, (2 * DT, 2, 0, 1, 0))),
            "layer.recurrent": nir.Affine(weights, _full(bias)),
            "output": nir.Output({"output": np.array([N])}),
        }
        edges = [
            ("input", "synapses"),
            ("synapses", "layer.lif"),
            ("layer.lif", "layer.recurrent"),
            ("layer.recurrent", "layer.lif"),
            ("layer.lif", "output"),
        ]
        return nir.NIRGraph(nodes, edges)

    return graph


_STEP = np.linspace(0.5, 1.25, N)
_GRAPHS: Mapping[str, Callable[[Any], Any]] = {
    "IF, r = 1, dt = 1 s": _if(1),
    "IF, r = 1 / dt": _if(1 / DT),
    "IF, r = 1": _if(1, DT),
    "IF, one threshold per neuron, dt = 1 s": _if(1, _STEP),
    "LIF, r = 1": _lif(1),
    "LIF, r = 2": _lif(2, threshold=1),
    "LIF, r = tau / dt": _lif(8, threshold=1.5),
    "LIF, one threshold per neuron": _lif(1, threshold=_STEP / 2),
    "LIF, one tau per neuron": _lif(1, tau=np.array([2, 4, 8, 16]) * DT),
    "LIF, v_leak = 0.25": _lif(1, leak=0.25),
    "LIF, v_reset = -0.25": _lif(1, reset=-0.25),
    "LIF, v_leak = v_reset = -0.25": _lif(1, leak=-0.25, reset=-0.25),
    "CubaLIF, r = tau_mem / dt, w_in = tau_syn / dt": _cuba(8, 4, threshold=4),
    "CubaLIF, r = tau_mem / dt, w_in = 1": _cuba(8, 1, threshold=2),
    "CubaLIF, r = 1, w_in = 1": _cuba(1, 1, threshold=0.5),
    "CubaLIF, v_leak = 0.25": _cuba(8, 4, leak=0.25, threshold=4),
    "LIF, LI": lambda nir: _behind_synapses(
        nir, nir.LIF(*map(_full, (8 * DT, 1, 0, 0.5, 0))), nir.LI(*map(_full, (8 * DT, 1, 0)))
    ),
    "LI, LIF": _before_a_lif(lambda nir: nir.LI(*map(_full, (2 * DT, 1, 0)))),
    "CubaLI": lambda nir: _behind_synapses(nir, nir.CubaLI(*map(_full, (4 * DT, 8 * DT, 1, 0, 1)))),
    "I": lambda nir: _behind_synapses(nir, nir.I(_full(1 / DT))),
    "Threshold": lambda nir: _behind_synapses(nir, nir.Threshold(_full(0.5))),
    "Scale": _before_a_lif(lambda nir: nir.Scale(_full(2))),
    "Delay of 2 dt": _before_a_lif(lambda nir: nir.Delay(_full(2 * DT))),
    "Conv1d": _conv1d,
    "SumPool2d": _pooled("SumPool2d", 0),
    "SumPool2d, padding = 1": _pooled("SumPool2d", 1),
    "AvgPool2d": _pooled("AvgPool2d", 0),
    "AvgPool2d, padding = 1": _pooled("AvgPool2d", 1),
    "LIF in a loop": _recurrent(0),
    "LIF in a loop with a bias": _recurrent(0.25),
}
