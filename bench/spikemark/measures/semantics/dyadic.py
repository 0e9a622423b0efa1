"""Inputs on which float32 arithmetic is exact in any order of operations, so that spikes must agree to the last one.

A dyadic number is an integer over a power of two. With dyadic decays and thresholds, and ``b`` a power of two, currents
can be *chosen* such that every membrane stays on a coarse grid: pick the next membrane ``u``, often exactly ``theta``,
and solve ``x = (u - a * v) / b``. Bits never pile up, however long the sequence, so nothing is ever rounded, and
``u == theta`` really happens. Elements whose parameters are no such numbers get membranes that keep a margin from
``theta`` (and from the surrogate's edge) that is far above what float32 can get wrong; so do neurons whose threshold
adapts, from their first spike on.

Knows the equations of `spikemark.core.neurons`; knows no adapter but the oracle, whose answer belongs to a `Case`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from spikemark.core.adapter import SpikingLayer
from spikemark.core.neurons import Learnable, NeuronSpec, ParameterName
from spikemark.core.oracle import oracle_layer
from spikemark.core.streams import stream_seed

_GRID = 8  # membranes lie theta + k / 8 (times theta when relative), k from -12 to 8
_FINEST = 16  # exact decays and thresholds are multiples of 1 / 16
_SMALLEST_B = 2.0**-10  # below it currents hardly move the membrane, and none could be solved for


@dataclass(frozen=True)
class Case:
    """One input and the oracle's answer to it.

    Attributes:
        stream: seed of the generator that a layer is made with, so that the jitter of fixed parameters is the same.
        raw: float32 values for the raw learnable parameters, by name.
        currents: float32, ``[T, B, *shape]``.
        upstream: the gradient that the spikes receive, like `currents`.
        spikes: the oracle's, float64.
        gradients: the oracle's, float64: of "currents" and of every name in `raw`.
        scales: what an error of each of the gradients is relative to.
        at_threshold: how many times ``u == theta`` happened.
    """

    stream: int
    raw: Mapping[str, Tensor]
    currents: Tensor
    upstream: Tensor
    spikes: Tensor
    gradients: Mapping[str, Tensor]
    scales: Mapping[str, float]
    at_threshold: int


@lru_cache(maxsize=512)
def make_case(spec: NeuronSpec, shape: tuple[int, ...], steps: int, batch: int, seed: int) -> Case:
    """The case of these axes: the same for every adapter, hence kept for the next one.

    Args:
        spec: the neuron.
        shape: of one sample's features.
        steps: T.
        batch: B.
        seed: of every random choice.
    """
    stream = stream_seed("conformance", spec.to_json(), seed, steps, batch, *shape)
    rng = torch.Generator().manual_seed(stream)
    layer = oracle_layer(spec, shape, generator=rng)
    raw: dict[str, Tensor] = {}
    learnables = layer.learnables()
    for name in (name for name in spec.parameters if name in learnables):
        raw[name] = learnables[name].data = _spread(spec, name, learnables[name].detach(), rng)
    currents, at_threshold = _solve(layer, steps, batch, rng)
    upstream = torch.randn(currents.shape, generator=rng)
    spikes, gradients, scales = _oracle(layer, currents, upstream)
    return Case(stream, raw, currents, upstream, spikes, gradients, scales, at_threshold)


def _choose(values: list[float], like: Tensor, rng: torch.Generator) -> Tensor:
    return torch.tensor(values)[torch.randint(len(values), like.shape, generator=rng)]


def _spread(spec: NeuronSpec, name: ParameterName, raw: Tensor, rng: torch.Generator) -> Tensor:
    """Raw values that differ from element to element: dyadic ones, behind a transform mixed with arbitrary ones."""
    learnable, relative, decay = spec.parameters[name], spec.surrogate.relative, name in ("decay", "adaptation_decay")
    if learnable.transform == "identity":
        if decay:
            chosen = _choose([0.0, 0.5, 0.75, 0.875, 1.0], raw, rng)
            chosen.view(-1)[0].clamp_(max=0.875)  # if all were 1, decayed currents would move nothing
            return chosen
        # Spikes that raise the threshold steeply make gradients explode, and with them float32's errors.
        positive = [0.125, 0.25, 0.5] if name == "adaptation_strength" else [0.25, 0.5, 1.0, 2.0]
        return _choose(positive + ([] if relative else [-0.5, 0.0]), raw, rng)
    # Of a raw 0 these are exactly 0.5, 0 and 1; a decay of 1 is left out as above, a relative threshold of 0 divides.
    zero = {"sigmoid", "tanh"} if decay else {"sigmoid", "exp"} | (set() if relative else {"tanh"})
    arbitrary = raw + 0.1 * torch.randn(raw.shape, generator=rng)
    if learnable.transform in zero:
        return torch.where(torch.rand(raw.shape, generator=rng) < 0.5, 0.0, arbitrary)
    return arbitrary


def _power_of_two(x: Tensor) -> Tensor:
    return torch.frexp(x)[0].abs() == 0.5


def _dyadic(value: Tensor, narrow: Tensor) -> Tensor:
    """Where an effective parameter is a short dyadic number, and the same in float32."""
    return (value == narrow) & ((value * _FINEST) % 1 == 0)


def _solve(layer: SpikingLayer, steps: int, batch: int, rng: torch.Generator) -> tuple[Tensor, int]:
    """Currents ``[T, B, *shape]`` in float32 that lead the membranes where we want them, and how often onto theta[t].

    Makes the layer one of float64.
    """
    spec = layer.spec
    narrow = [t.detach().expand(batch, *layer.shape) for t in (layer.decay, layer.threshold)]
    layer.double()
    a, theta = (t.detach().expand(batch, *layer.shape) for t in (layer.decay, layer.threshold))
    rho, strength = _adaptation(layer)
    b = 1 - a if spec.decay_input else torch.ones_like(a)
    exact = _dyadic(a, narrow[0]) & _dyadic(theta, narrow[1]) & (_power_of_two(b) | (b == 0))
    if spec.surrogate.relative:
        exact = exact & _power_of_two(theta)
    v, e, currents, at_threshold = torch.zeros_like(a), torch.zeros_like(a), [], 0
    for _ in range(steps):
        exact = exact & (e == 0)  # for good: the membranes that follow are rounded, too
        risen = theta + strength * e
        unit = risen if spec.surrogate.relative else torch.ones_like(risen)
        off_grid = torch.where(exact, 0.0, _off_grid(spec))
        # To jump at will, a small b takes large currents, which multiply the rounding of b: there, only creep.
        slow = ~exact & (b.abs() < 0.25)
        k = torch.randint(-12, 9, v.shape, generator=rng).double()
        k = torch.where(torch.rand(v.shape, generator=rng) < 0.25, 0.0, k)
        near = a * v + b * (risen + 4 * unit * (torch.rand(v.shape, generator=rng) - 0.5))
        k = torch.where(slow, ((near - risen) / unit * _GRID - off_grid).round(), k)
        target = risen + unit * (k + off_grid) / _GRID
        x = torch.where(b.abs() < _SMALLEST_B, k / _GRID, (target - a * v) / b).float()
        u = a * v + b * x.double()
        fired = (u >= risen) if spec.fires_at_threshold else (u > risen)
        at_threshold += int((u == risen).sum())
        v = torch.where(fired, {"zero": torch.zeros_like(u), "subtract": u - theta, "none": u}[spec.reset], u)
        e = rho * e + (1 - rho) * fired
        currents.append(x)
    return torch.stack(currents), at_threshold


def _adaptation(layer: SpikingLayer) -> tuple[Tensor, Tensor]:
    """Decay and strength of a layer's adaptation, broadcastable to its shape; where it has none, those of none."""
    if layer.spec.adaptation is None:
        return torch.ones(()), torch.zeros(())
    return layer.effective("adaptation_decay").detach(), layer.effective("adaptation_strength").detach()


def _off_grid(spec: NeuronSpec) -> float:
    """How far, in grid steps, inexact membranes stay from theta and from a rectangle's edge."""
    edge = spec.surrogate.alpha / 2 * _GRID % 1
    return 0.25 if abs(edge - 0.5) < 0.15 else 0.5


def _each(learnable: Learnable) -> Learnable:
    """The same parameter, one per neuron."""
    return replace(learnable, scope="neuron", jitter=0.0)


def _oracle(
    layer: SpikingLayer, currents: Tensor, upstream: Tensor
) -> tuple[Tensor, dict[str, Tensor], dict[str, float]]:
    """Spikes, gradients and their scales from a float64 layer in which every sample has parameters of its own.

    Its gradients are the terms of which the real ones are sums, and so give the scale of a sum that may cancel.
    """
    spec, shape = layer.spec, tuple(currents.shape[1:])
    adaptation = spec.adaptation
    if adaptation is not None:
        adaptation = replace(adaptation, decay=_each(adaptation.decay), strength=_each(adaptation.strength))
    apart = replace(spec, threshold=_each(spec.threshold), decay=_each(spec.decay), adaptation=adaptation)
    oracle = oracle_layer(apart, shape).double()
    for name, parameter in oracle.learnables().items():
        raw = layer.get_parameter_or_buffer(name)  # type: ignore[arg-type]
        parameter.data = raw.detach().double().expand(shape).clone()
    x = currents.double().unsqueeze(1).requires_grad_()
    spikes = oracle(x)
    names = list(layer.learnables())
    wanted = [x, *(oracle.learnables()[name] for name in names)]
    terms = torch.autograd.grad(spikes, wanted, upstream.double().unsqueeze(1), materialize_grads=True)
    gradients = {"currents": terms[0].squeeze(1)}
    scales = {"currents": float(terms[0].abs().max())}
    for name, term in zip(names, terms[1:], strict=True):
        size = layer.learnables()[name].shape
        gradients[name] = term.sum_to_size(size)
        scales[name] = float(term.abs().sum_to_size(size).max())
    return spikes.detach().squeeze(1), gradients, scales
