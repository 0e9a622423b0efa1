"""What happens to spikes between neurons: the outputs of every spiking layer, through hooks that leave with the noise.

Functions of ``(spikes [T, B, *shape], level, generator)``; spikes stay 0/1. Draws follow the order of the layers and of
the batches, so the same batch size gives every contender the same draws.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from spikemark.core.adapter import SpikingLayer
from spikemark.errors import InputError
from spikemark.noise.case import Perturb, on_model

MEAN_BURST = 2.0


def spiking_layers(model: nn.Module) -> list[SpikingLayer]:
    """The spiking layers of a network, in the order of its modules.

    Raises:
        InputError: there are none, so that a noise on them would silently do nothing.
    """
    layers = [module for module in model.modules() if isinstance(module, SpikingLayer)]
    if not layers:
        raise InputError(f"this noise disturbs spiking layers; the {type(model).__name__} has none")
    return layers


def on_spikes(function: Callable[[Tensor, float, torch.Generator], Tensor]) -> Perturb:
    """A noise that maps the output of every spiking layer."""

    @contextmanager
    def hooked(model: nn.Module, level: float, generator: torch.Generator) -> Iterator[nn.Module]:
        def hook(layer: nn.Module, arguments: object, spikes: Tensor) -> Tensor:
            return function(spikes, level, generator)

        handles = [layer.register_forward_hook(hook) for layer in spiking_layers(model)]
        try:
            yield model
        finally:
            for handle in handles:
                handle.remove()

    return on_model(hooked)


def deletion(spikes: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Lose each spike with probability `level`."""
    return spikes.masked_fill(_chance(spikes, level, generator), 0.0)


def insertion(spikes: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Let each silent neuron spike with probability `level` at each step."""
    return spikes.masked_fill(_chance(spikes, level, generator), 1.0)


def jitter(spikes: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Move each spike by a whole number of steps drawn evenly from ``-level..level``.

    It stays within the T steps; two spikes that meet become one.
    """
    steps, reach = len(spikes), int(level)
    shifts = torch.randint(-reach, reach + 1, spikes.shape, generator=generator).to(spikes.device)
    clock = torch.arange(steps, device=spikes.device).view(-1, *(1 for _ in spikes.shape[1:]))
    target = (clock + shifts).clamp_(0, steps - 1)
    return torch.zeros_like(spikes).scatter_reduce(0, target, spikes, "amax")


def bursts(spikes: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Each neuron's line is bad for a fraction `level` of the time, in bursts of 2 steps on average.

    Gilbert's channel (Bell System Technical Journal 39, 1960) with h = 1/2: a Markov chain of good and bad states in
    its steady state; in the bad state a fair coin replaces the output.
    """
    draws = torch.rand((2, *spikes.shape), generator=generator).to(spikes.device)
    recover = 1 / MEAN_BURST
    fail = recover * level / (1 - level)
    bad = draws[0, 0] < level
    states = [bad]
    for draw in draws[0, 1:]:
        bad = torch.where(bad, draw >= recover, draw < fail)
        states.append(bad)
    return torch.where(torch.stack(states), (draws[1] < 0.5).to(spikes.dtype), spikes)


def _chance(like: Tensor, probability: float, generator: torch.Generator) -> Tensor:
    """True with `probability`, drawn on the CPU so that every device sees the same."""
    return (torch.rand(like.shape, generator=generator) < probability).to(like.device)
