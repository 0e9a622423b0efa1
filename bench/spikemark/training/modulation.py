"""Threshold modulation at test time: thresholds follow the membranes of the batch at hand, without labels or gradients.

After the form TM-NORM of Zhao et al., Threshold Modulation for online test-time adaptation of spiking neural networks,
IJCNN 2025 (arXiv 2505.05375). They train with batch norm on membranes and fold it into thresholds,
``theta' = (theta - beta) s / gamma + mu``, where ``mu`` and ``s`` are those of the current batch and step. Networks
here were trained without that norm. In its place stand the moments of the membranes in training, so that a batch which
looks like training keeps the trained thresholds::

    theta'[t] = mu[t] + (theta - mu0[t]) s[t] / s0[t]

Moments are per channel (per neuron in fully connected layers) and step, over samples and places; `s` is the root of the
unbiased variance plus 1e-5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spikemark.core.adapter import Neurons, SpikingLayer, Unsupported
from spikemark.core.oracle import after_reset, fires
from spikemark.errors import InputError

_FLOOR = 1e-5


@dataclass(frozen=True)
class Moments:
    """Of the membranes of one layer before they fire, each ``[T, C, 1, ...]``.

    Attributes:
        mean: over samples and places.
        deviation: root of the variance plus 1e-5, never 0.
    """

    mean: Tensor
    deviation: Tensor


def membrane_moments(model: nn.Module, batches: Iterator[Tensor]) -> dict[str, Moments]:
    """Moments of every layer of neurons at its trained thresholds, averaged over batches.

    Args:
        model: whose neurons have a spec; evaluated, not changed.
        batches: encoded samples ``[T, B, *shape]``, with at least two samples each.

    Raises:
        spikemark.core.adapter.Unsupported: neurons without a spec, or with thresholds that follow the spikes.
        InputError: a batch of one sample, or none.
    """
    seen: dict[str, list[Moments]] = {name: [] for name in _layers(model)}

    def keep(name: str, layer: SpikingLayer, currents: Tensor) -> None:
        seen[name].append(_run(layer, currents, None)[1])

    with _hooked(model, keep), torch.no_grad():
        for batch in batches:
            model(batch)
    if not all(seen.values()):
        raise InputError("threshold modulation: there are no samples to take the moments of membranes from")
    return {name: _pooled(found) for name, found in seen.items()}


@contextmanager
def modulated(model: nn.Module, usual: Mapping[str, Moments]) -> Iterator[None]:
    """While it lasts, thresholds follow the batch that the model is given.

    Args:
        model: that of `membrane_moments`; a batch must hold at least two samples.
        usual: what `membrane_moments` gave.
    """

    def change(name: str, layer: SpikingLayer, currents: Tensor) -> Tensor:
        return _run(layer, currents, usual[name])[0]

    with _hooked(model, change):
        yield


def _layers(model: nn.Module) -> dict[str, SpikingLayer]:
    found: dict[str, SpikingLayer] = {}
    for name, layer in model.named_modules():
        if isinstance(layer, SpikingLayer) and layer.spec.adaptation is None:
            found[name] = layer
        elif isinstance(layer, Neurons):
            why = "follows the spikes already" if isinstance(layer, SpikingLayer) else "is not one"
            raise Unsupported(
                f"threshold modulation moves thresholds of a spec; that of a {type(layer).__name__} {why}"
            )
    return found


@contextmanager
def _hooked(model: nn.Module, act: Callable[[str, SpikingLayer, Tensor], Tensor | None]) -> Iterator[None]:
    """What `act` gives takes the place of a layer's spikes; None leaves them."""

    def hook_of(name: str) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], Tensor | None]:
        def hook(layer: nn.Module, given: tuple[Tensor, ...], spikes: Tensor) -> Tensor | None:
            assert isinstance(layer, SpikingLayer)
            return act(name, layer, given[0])

        return hook

    handles = [layer.register_forward_hook(hook_of(name)) for name, layer in _layers(model).items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _run(layer: SpikingLayer, currents: Tensor, usual: Moments | None) -> tuple[Tensor, Moments]:
    """Spikes of a layer by the equations of its spec, and the moments of its membranes.

    Args:
        layer: of neurons.
        currents: ``[T, B, *shape]``.
        usual: moments in training, which thresholds are measured by; None for the trained thresholds.
    """
    if currents.shape[1] < 2:
        raise InputError("threshold modulation takes moments over samples: a batch must hold at least 2")
    spec, a, theta = layer.spec, layer.decay, layer.threshold
    b = 1 - a if spec.decay_input else torch.ones_like(a)
    v, spikes, means, deviations = torch.zeros_like(currents[0]), [], [], []
    for t, x in enumerate(currents):
        u = a * v + b * x
        mean, deviation = _moments(u)
        risen = theta
        if usual is not None:
            risen = mean + (theta - usual.mean[t]) * deviation / usual.deviation[t]
        o = fires(spec, u, risen).to(u.dtype)
        v = after_reset(spec, u, o, risen)
        spikes.append(o)
        means.append(mean)
        deviations.append(deviation)
    return torch.stack(spikes), Moments(torch.stack(means), torch.stack(deviations))


def _moments(u: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation ``[C, 1, ...]`` of one step's membranes ``[B, C, ...]``."""
    over = [axis for axis in range(u.dim()) if axis != 1]
    variance, mean = torch.var_mean(u, dim=over, keepdim=True)
    return mean[0], (variance[0] + _FLOOR).sqrt()


def _pooled(found: list[Moments]) -> Moments:
    """Of batches of equal size together: the variance within batches and that of their means."""
    means = torch.stack([moments.mean for moments in found])
    squares = torch.stack([moments.deviation**2 + moments.mean**2 for moments in found]).mean(0)
    mean = means.mean(0)
    return Moments(mean, (squares - mean**2).clamp(min=_FLOOR).sqrt())
