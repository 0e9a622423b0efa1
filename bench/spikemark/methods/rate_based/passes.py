"""The two passes: spikes through the network as it is, without a graph, and mean rates through it, with one.

Both run the model's own ``forward``; for their duration its neurons, batch norms and max-poolings are replaced by what
the pass needs. What is linear has the same mean in both and stays as it is; any other layer is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikemark.core.adapter import SpikingLayer, Unsupported
from spikemark.methods.rate_based.eligibility import Eligibility
from spikemark.methods.tebn.normalization import ThresholdBatchNorm
from spikemark.networks.normalization import JointBatchNorm
from spikemark.networks.stages import OverTime, PopulationReadout, SpikingNetwork, Stage

Forward = Callable[[Tensor], Tensor]

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, JointBatchNorm, ThresholdBatchNorm)
_MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d)
_LINEAR = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Identity,
    nn.Flatten,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.Sequential,
    OverTime,
    PopulationReadout,
    SpikingNetwork,
    Stage,
)


@dataclass
class _Norm:
    """Statistics of the currents that a batch norm saw: the mean of means, the harmonic mean of variances."""

    means: list[Tensor] = field(default_factory=list)
    variances: list[Tensor] = field(default_factory=list)

    @property
    def mean(self) -> Tensor:
        return torch.stack(self.means).mean(0)

    @property
    def variance(self) -> Tensor:
        return 1 / (1 / torch.stack(self.variances).clamp(min=torch.finfo(self.means[0].dtype).tiny)).mean(0)


@dataclass
class Recorded:
    """What the pass over spikes leaves for the pass over rates, by module."""

    steps: int
    neurons: dict[nn.Module, Eligibility] = field(default_factory=dict)
    norms: dict[nn.Module, _Norm] = field(default_factory=dict)
    pools: dict[nn.Module, Tensor] = field(default_factory=dict)


def require_supported(model: nn.Module) -> None:
    """Refuse what has no rate pass.

    Raises:
        Unsupported: a layer is neither linear, nor neurons, batch norm over joint statistics or max-pooling, or its
            neurons are never reset or adapt their thresholds.
    """
    inside = {m for layer in model.modules() if isinstance(layer, SpikingLayer) for m in layer.modules()}
    for name, module in model.named_modules():
        if isinstance(module, SpikingLayer) and (module.spec.reset == "none" or module.spec.adaptation is not None):
            raise Unsupported(f"layer {name!r}: rate-based backpropagation needs a reset and a constant threshold")
        if module not in inside and type(module) not in (*_LINEAR, *_NORMS, *_MAX_POOLS):
            raise Unsupported(
                f"layer {name!r} ({type(module).__name__}): rate-based backpropagation does not know its mean over time"
            )


@torch.no_grad()
def spike_pass(model: nn.Module, inputs: Tensor, *, streaming: bool) -> Recorded:
    """Run the network on ``[T, B, *shape]`` and gather rates, eligibilities and statistics.

    Args:
        model: supported, see `require_supported`.
        inputs: encoded.
        streaming: all layers for one step after the other, keeping nothing of a step (rate_S), instead of all steps
            of one layer after the other (rate_M). Batch norm then sees one step at a time.

    Raises:
        Unsupported: a layer was not called once for every step.
    """
    recorded = Recorded(len(inputs))
    forwards: dict[nn.Module, Forward] = {}
    for module in model.modules():
        if isinstance(module, SpikingLayer):
            forwards[module] = _stepping(module, recorded) if streaming else _following(module, recorded)
        elif isinstance(module, _BatchNorm) and module.training:
            forwards[module] = _measuring(module, recorded)
        elif isinstance(module, _MAX_POOLS):
            forwards[module] = _averaging(module, recorded, steps=1 if streaming else len(inputs))
    with _replaced(forwards):
        for chunk in inputs.split(1 if streaming else len(inputs)):
            model(chunk)
    for module, gathered in recorded.neurons.items():
        if gathered.steps != len(inputs):
            raise Unsupported(f"{type(module).__name__}: called {gathered.steps} times for {len(inputs)} steps")
    return recorded


def rate_pass(model: nn.Module, mean: Tensor, recorded: Recorded) -> Tensor:
    """Run the network once on the mean input ``[B, *shape]``, with a graph.

    Returns:
        Mean scores ``[B, classes]``: their values are those of the spikes.
    """
    forwards: dict[nn.Module, Forward] = {}
    for module in model.modules():
        if isinstance(module, SpikingLayer):
            forwards[module] = _rates(module, recorded.neurons[module])
        elif module in recorded.norms:
            assert isinstance(module, _BatchNorm)
            forwards[module] = _normalised(module, recorded.norms[module])
        elif module in recorded.pools:
            forwards[module] = _pooled(module, recorded.pools[module])
    with _replaced(forwards):
        scores: Tensor = model(mean[None])
    return scores[0]


@contextmanager
def _replaced(forwards: Mapping[nn.Module, Forward]) -> Iterator[None]:
    """Let the modules compute something else; an instance's ``forward`` goes before its class's."""
    try:
        for module, forward in forwards.items():
            vars(module)["forward"] = forward
        yield
    finally:
        for module in forwards:
            vars(module).pop("forward", None)


def _following(layer: SpikingLayer, recorded: Recorded) -> Forward:
    def forward(currents: Tensor) -> Tensor:
        if layer in recorded.neurons:
            raise Unsupported(f"{type(layer).__name__}: called twice in one pass")
        gathered = recorded.neurons[layer] = Eligibility(layer, currents[0])
        spikes = type(layer).forward(layer, currents)
        gathered.follow(currents, spikes)
        return spikes

    return forward


def _stepping(layer: SpikingLayer, recorded: Recorded) -> Forward:
    def forward(currents: Tensor) -> Tensor:
        if layer not in recorded.neurons:
            recorded.neurons[layer] = Eligibility(layer, currents[0])
        return recorded.neurons[layer].step(currents[0])[None]

    return forward


def _channels(norm: _BatchNorm, x: Tensor) -> Tensor:
    """Currents as ``[N, C, ...]``: our norms take time and batch apart."""
    return x.flatten(0, 1) if isinstance(norm, JointBatchNorm) else x


def _statistics(x: Tensor) -> tuple[Tensor, Tensor]:
    variance, mean = torch.var_mean(x, [d for d in range(x.dim()) if d != 1], correction=0)
    return mean, variance


def _measuring(norm: _BatchNorm, recorded: Recorded) -> Forward:
    def forward(x: Tensor) -> Tensor:
        seen = recorded.norms.setdefault(norm, _Norm())
        mean, variance = _statistics(_channels(norm, x))
        seen.means.append(mean)
        seen.variances.append(variance)
        normalised: Tensor = type(norm).forward(norm, x)
        return normalised

    return forward


def _averaging(pool: nn.Module, recorded: Recorded, steps: int) -> Forward:
    def forward(x: Tensor) -> Tensor:
        pooled: Tensor = type(pool).forward(pool, x)
        mean = pooled.unflatten(0, (steps, -1)).sum(0) / recorded.steps
        recorded.pools[pool] = recorded.pools[pool] + mean if pool in recorded.pools else mean
        return pooled

    return forward


def _through(value: Tensor, path: Tensor) -> Tensor:
    """`value`, with the gradient of `path`."""
    return value + (path - path.detach())


def _rates(layer: SpikingLayer, gathered: Eligibility) -> Forward:
    def forward(currents: Tensor) -> Tensor:
        rate = _through(gathered.rate, gathered.of("current") * currents[0])
        for path in gathered.paths[1:]:
            rate = _through(rate, gathered.of(path) * getattr(layer, path))
        return rate[None]

    return forward


def _normalised(norm: _BatchNorm, seen: _Norm) -> Forward:
    def forward(x: Tensor) -> Tensor:
        rows = _channels(norm, x)
        sizes = (1, -1, *(1 for _ in rows.shape[2:]))
        own_mean, own_variance = _statistics(rows)
        mean = _through(seen.mean, own_mean).view(sizes)
        variance = _through(seen.variance, own_variance).clamp(min=0).view(sizes)
        scaled = (rows - mean) / (variance + norm.eps).sqrt()
        if norm.affine:
            scaled = scaled * norm.weight.view(sizes) + norm.bias.view(sizes)
        return scaled.view_as(x)

    return forward


def _pooled(pool: nn.Module, mean: Tensor) -> Forward:
    """The mean of the pooled spikes, which is more than the largest mean; the gradient goes to the largest mean."""

    def forward(rates: Tensor) -> Tensor:
        largest: Tensor = type(pool).forward(pool, rates)
        return _through(mean, largest)

    return forward
