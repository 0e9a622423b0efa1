"""What happens to spikes between neurons: the outputs of every spiking layer.

Functions of ``(spikes [T, B, *shape], level, generator)``; spikes stay 0/1. Draws are made sample after sample, on the
CPU, so that every batch size and every device sees the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from spikemark.core.lazy import LazyModule
from spikemark.noise.case import noise

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

MEAN_BURST = 2.0
_PARK = "Park, Lee and Yoon, DAC 2021 (arXiv 2104.11169)"
_GILBERT = "Gilbert, Bell System Technical Journal 39, 1960"


@noise(
    "spike-deletion",
    domain="spikes",
    levels=(0.3, 0.5, 0.63, 0.73, 0.81),
    unit="probability per spike",
    summary="Spikes lost between layers.",
    family="lost spikes",
    source=_PARK,
    sample_major=True,
    each_step=True,
)
def deletion(spikes: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Lose each spike with probability `level`."""
    return spikes.masked_fill(_draws(spikes, generator) < level, 0.0)


@noise(
    "spike-insertion",
    domain="spikes",
    levels=(0.06, 0.09, 0.12, 0.15, 0.18),
    unit="probability per silent step",
    summary="Spikes that nobody sent.",
    family="spurious spikes",
    source="the counterpart of spike-deletion",
    sample_major=True,
    each_step=True,
)
def insertion(spikes: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Let each silent neuron spike with probability `level` at each step."""
    return spikes.masked_fill(_draws(spikes, generator) < level, 1.0)


@noise(
    "spike-jitter",
    domain="spikes",
    levels=(1.0, 2.0, 3.0, 4.0, 5.0),
    unit="steps",
    summary="Spikes come up to so many steps early or late.",
    source=f"{_PARK}, here with evenly distributed whole steps",
    sample_major=True,
)
def jitter(spikes: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Move each spike by a whole number of steps drawn evenly from ``-level..level``.

    It stays within the T steps; two spikes that meet become one.
    """
    steps, reach = len(spikes), int(level)
    shifts = (_draws(spikes, generator) * (2 * reach + 1)).long() - reach
    clock = torch.arange(steps, device=spikes.device).view(-1, *(1 for _ in spikes.shape[1:]))
    target = (clock + shifts).clamp_(0, steps - 1)
    return torch.zeros_like(spikes).scatter_reduce(0, target, spikes, "amax")


@noise(
    "burst-errors",
    domain="spikes",
    levels=(0.1, 0.15, 0.2, 0.25, 0.3),
    unit="fraction of time on a bad line",
    summary="Random bits for two steps on average, on every neuron's line.",
    source=_GILBERT,
    sample_major=True,
)
def bursts(spikes: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Each neuron's line is bad for a fraction `level` of the time, in bursts of 2 steps on average.

    Gilbert's channel (Bell System Technical Journal 39, 1960) with h = 1/2: a Markov chain of good and bad states in
    its steady state; in the bad state a fair coin replaces the output.
    """
    lines, coins = _draws(spikes, generator, 2)
    recover = 1 / MEAN_BURST
    fail = recover * level / (1 - level)
    bad = lines[0] < level
    states = [bad]
    for draw in lines[1:]:
        bad = torch.where(bad, draw >= recover, draw < fail)
        states.append(bad)
    return torch.where(torch.stack(states), (coins < 0.5).to(spikes.dtype), spikes)


def _draws(spikes: Tensor, generator: torch.Generator, count: int = 1) -> Tensor:
    """Even draws from 0..1 like the spikes, `count` times along a first axis where there is more than one."""
    steps, batch, *shape = spikes.shape
    draws = torch.rand((batch, count, steps, *shape), generator=generator).movedim(0, 2).to(spikes.device)
    return draws if count > 1 else draws[0]
