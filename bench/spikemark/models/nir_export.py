"""Our own systems as NIR graphs: synapses with their batch norm folded in, neurons of a spec, pooling, readout."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikemark.core.adapter import SpikingLayer
from spikemark.errors import InputError, needs
from spikemark.models.nir import DT
from spikemark.networks.dropout import Dropout
from spikemark.networks.stages import OverTime, PopulationReadout, SpikingNetwork, Stage

Shape = tuple[int, ...]
Node = tuple[str, Any]


def to_nir(network: SpikingNetwork, input_shape: Shape, *, dt: float = DT) -> Any:
    """A network in inference mode as a `nir.NIRGraph`.

    A spec has no seconds: `dt` says how long a step is, and ``tau = dt / (1 - decay)``.

    Args:
        network: of layers of neurons of a spec.
        input_shape: of one sample.
        dt: length of a step in seconds.

    Raises:
        InputError: NIR cannot say something; the message names it and, where there is one, the way out.
    """
    if not dt > 0:
        raise InputError(f"dt: {dt:g} s is no length of a step")
    with needs("nir", "a NIR graph"):
        import nir
    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array(input_shape)})}
    with torch.no_grad():
        for name, part in network.named_children():
            nodes |= dict(_Exporter(nir, dt, _shape_after(nodes, nir)).nodes(name, part))
    nodes["output"] = nir.Output({"output": np.array(_shape_after(nodes, nir))})
    names = list(nodes)
    return nir.NIRGraph(nodes, list(pairwise(names)))


def write_nir(graph: Any, path: str | Path) -> Path:
    """Write a graph to a file.

    Raises:
        InputError: the file cannot be written.
    """
    import nir

    try:
        nir.write(str(path), graph)
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}") from None
    return Path(path)


def _shape_after(nodes: dict[str, Any], nir: Any) -> Shape:
    """Shape of what the last node gives; types are inferred for all nodes of a chain at once."""
    names = list(nodes)
    if len(names) == 1:
        return tuple(int(size) for size in nodes[names[0]].output_type["output"])
    chain = nir.NIRGraph(
        {**nodes, "output": nir.Output({"output": None})}, list(zip(names, [*names[1:], "output"], strict=True))
    )
    return tuple(int(size) for size in chain.nodes[names[-1]].output_type["output"])


class _Exporter:
    """The nodes of one part of a network.

    Args:
        nir: the package.
        dt: length of a step in seconds.
        shape: of what the part gets.
    """

    def __init__(self, nir: Any, dt: float, shape: Shape) -> None:
        self.nir, self.dt, self.shape = nir, dt, shape

    def nodes(self, name: str, part: nn.Module) -> Iterator[Node]:
        """Named nodes, in order."""
        match part:
            case Stage():
                gain = _entering(part.neurons)
                yield f"{name}.synapses", self._synapses(name, part.synapses, part.norm, gain)
                if not isinstance(part.neurons, nn.Identity):
                    yield from self._neurons(f"{name}.neurons", part.neurons, folded=gain is not None)
                if part.pool is not None:
                    yield f"{name}.pool", self._pool(name, part.pool)
            case nn.Flatten(start_dim=2):
                yield name, self.nir.Flatten({"input": np.array(self.shape)}, start_dim=0)
            case OverTime():
                yield name, self._pool(name, part[0])
            case PopulationReadout():
                size = math.prod(self.shape) // part.classes
                yield name, self.nir.Linear(np.kron(np.eye(part.classes), np.full((1, size), 1 / size)))
            case Dropout() | nn.Identity():
                return
            case _:
                raise InputError(f"layer {name!r}: NIR has no node for a {type(part).__name__}")

    def _synapses(self, name: str, synapses: nn.Module, norm: nn.Module, gain: Tensor | None) -> Any:
        if not isinstance(synapses, nn.Linear | nn.Conv2d):
            raise InputError(f"layer {name!r}: NIR has no node for a {type(synapses).__name__}")
        weight: Tensor = synapses.weight.double()
        bias = torch.zeros(len(weight)).double() if synapses.bias is None else synapses.bias.double()
        if isinstance(norm, _BatchNorm) and norm.running_mean is not None and norm.running_var is not None:
            scale = torch.rsqrt(norm.running_var.double() + norm.eps)
            shift = torch.zeros_like(bias)
            if norm.affine:
                scale, shift = scale * norm.weight, norm.bias.double()
            weight, bias = _scaled(weight, scale), scale * (bias - norm.running_mean) + shift
        elif not isinstance(norm, nn.Identity):
            raise InputError(f"layer {name!r}: a {type(norm).__name__} cannot be folded into its synapses")
        if gain is not None:
            weight, bias = _scaled(weight, gain), gain * bias
        if isinstance(synapses, nn.Linear):
            return self.nir.Affine(_array(weight), _array(bias))
        if isinstance(synapses.padding, str) or synapses.padding_mode != "zeros":
            raise InputError(f"layer {name!r}: padding {synapses.padding!r} of mode {synapses.padding_mode!r}")
        return self.nir.Conv2d(
            None, _array(weight), synapses.stride, synapses.padding, synapses.dilation, synapses.groups, _array(bias)
        )

    def _pool(self, name: str, pool: nn.Module) -> Any:
        if not isinstance(pool, nn.AvgPool2d):
            raise InputError(f"layer {name!r}: NIR has no {type(pool).__name__}; average pooling can be exported")
        return self.nir.AvgPool2d(*(_pair(value) for value in (pool.kernel_size, pool.stride, pool.padding)))

    def _neurons(self, name: str, layer: nn.Module, *, folded: bool) -> Iterator[Node]:
        if not isinstance(layer, SpikingLayer):
            raise InputError(f"layer {name!r}: a {type(layer).__name__} has no spec; its own framework may export it")
        spec = layer.spec
        if spec.adaptation is not None:
            raise InputError(f"layer {name!r}: NIR has no threshold that follows the spikes")
        if spec.reset == "subtract":
            raise InputError(f"layer {name!r}: NIR resets to a value; it cannot say a reset by subtraction")
        decay, threshold = (value.double().expand(layer.shape) for value in (layer.decay, layer.threshold))
        zeros = np.zeros(layer.shape)
        theta = _array(_just_below(threshold) if spec.fires_at_threshold else threshold)
        if bool((decay == 1).all()) and not spec.decay_input:
            jump = np.full(layer.shape, 1 / self.dt)
            integrator, spiking = self.nir.I(jump), self.nir.IF(jump, theta, zeros)
        elif bool((decay < 1).all()):
            tau = _array(self.dt / (1 - decay))
            r = np.ones(layer.shape) if spec.decay_input or folded else tau / self.dt
            integrator, spiking = self.nir.LI(tau, r, zeros), self.nir.LIF(tau, r, zeros, theta, zeros)
        else:
            raise InputError(f"layer {name!r}: decays up to {float(decay.max()):g}; NIR's leak needs decays below 1")
        if spec.reset == "none":
            yield f"{name}.membrane", integrator
            yield name, self.nir.Threshold(theta)
        else:
            yield name, spiking


def _entering(layer: nn.Module) -> Tensor | None:
    """The factor by which the synapses of neurons with undecayed input are scaled so that r is 1.

    Every importer reads r = 1 as NIR means it; Norse's drops any other r. None where there is nothing to scale, or
    where neurons of one channel have different decays.
    """
    if not isinstance(layer, SpikingLayer) or layer.spec.decay_input:
        return None
    decay = layer.decay.double().expand(layer.shape).reshape(layer.shape[0], -1)
    if bool((decay != decay[:, :1]).any()) or bool((decay >= 1).any()):
        return None
    return 1 / (1 - decay[:, 0])


def _scaled(weight: Tensor, scale: Tensor) -> Tensor:
    return weight * scale.reshape(-1, *(1 for _ in weight.shape[1:]))


def _just_below(threshold: Tensor) -> Tensor:
    """NIR fires above a threshold only; the next smaller float32 makes a membrane at the threshold fire too."""
    lower = torch.nextafter(threshold.float(), torch.tensor(-math.inf))
    return lower.double()


def _pair(value: Any) -> Any:
    return np.broadcast_to(np.asarray(value), (2,)).copy()


def _array(values: Tensor) -> Any:
    return values.detach().double().numpy().copy()
