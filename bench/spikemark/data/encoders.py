"""Encoders: from samples to what a network sees at each time step.

An encoder knows nothing of data sets or networks. Everything random comes from the generator handed in, so the same
stream gives every contender the same input. Draws are made sample after sample, so that a split is encoded alike
whatever the batch size, as long as its batches come in order and one generator serves them all. This module imports no
torch: plans read the names alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from spikemark.core.lazy import LazyModule
from spikemark.errors import InputError
from spikemark.registry import Registry, register, registry

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

Function = TypeVar("Function", bound=Callable[..., Any])


@dataclass(frozen=True)
class Encoder:
    """A row of `ENCODERS`.

    Attributes:
        function: ``f(inputs [B, ...], steps, generator)`` to ``[T, B, *shape]``.
        constant: whether every step sees the same.
        sample_major: whether it draws all of one sample before it draws the next one's. Others that draw are called
            for one sample at a time.
    """

    function: Callable[..., Any]
    constant: bool = False
    sample_major: bool = False


ENCODERS: Registry[Encoder] = registry("encoder")


def encoder(
    name: str, *, constant: bool = False, sample_major: bool = False, source: str = ""
) -> Callable[[Function], Function]:
    """Register ``f(inputs [B, ...], steps, generator)``, which gives ``[T, B, *shape]`` of the inputs' type.

    Args:
        name: as users write it.
        constant: whether every step sees the same.
        sample_major: whether it draws all of one sample before it draws the next one's, as
            ``torch.rand((B, T, *shape), generator=generator)`` does.
        source: the publication.

    Raises:
        spikemark.registry.PluginError: the name is taken.
    """

    def keep(function: Function) -> Function:
        register("encoder", name, Encoder(function, constant, sample_major), source=source)
        return function

    return keep


@encoder("direct", constant=True, sample_major=True, source="Rueckauer et al., Frontiers in Neuroscience 11, 2017")
def direct(inputs: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """The same analog values at every step, as a view: the first layer does the coding (Rueckauer et al. 2017)."""
    return inputs.unsqueeze(0).expand(steps, *inputs.shape)


@encoder("poisson", sample_major=True)
def poisson(inputs: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """Independent spikes with probability ``p = x`` at each step: a Bernoulli approximation of a Poisson process."""
    draws = torch.rand((len(inputs), steps, *inputs.shape[1:]), generator=generator, dtype=torch.float32)
    spikes = inputs.new_empty((steps, *inputs.shape))
    return torch.lt(draws.transpose(0, 1).to(inputs.device), inputs.detach(), out=spikes)


@encoder("latency", sample_major=True, source="Comsa et al., ICASSP 2020 (arXiv 1907.13223)")
def latency(inputs: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """One spike per pixel, the brighter the earlier, at step ``round((1 - x) (T - 1))``; pixels of 0 stay silent.

    The linear map of brightness to time of Comsa et al., ICASSP 2020 (arXiv 1907.13223), on T steps.
    """
    times = torch.round((1 - inputs) * (steps - 1)).long()
    clock = torch.arange(steps, device=inputs.device).view(-1, *(1 for _ in inputs.shape))
    return ((clock == times) & (inputs > 0)).to(inputs.dtype)


@encoder("frames", sample_major=True)
def frames(inputs: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """The sample's own time axis, merged to `steps` by the maximum over groups of neighbouring steps.

    The maximum keeps spikes 0/1 and values in 0..1.

    Raises:
        InputError: `steps` does not divide the length of the samples' time axis, or they have none.
    """
    own = inputs.shape[1] if inputs.dim() > 2 else 0
    if own == 0 or own % steps:
        raise InputError(f"steps: {steps} does not divide the {own} time steps of the samples")
    if own == steps:
        return inputs.transpose(0, 1)
    groups = inputs.reshape(inputs.shape[0], steps, own // steps, *inputs.shape[2:])
    return groups.amax(dim=2).transpose(0, 1)


def encode(name: str, inputs: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """Spikes or currents for a batch of samples.

    Args:
        name: in `ENCODERS`.
        inputs: ``[B, *shape]`` in 0..1; ``[B, own steps, *shape]`` for "frames".
        steps: T, at least 1.
        generator: on the CPU; source of all draws. One that goes on from batch to batch gives each sample of a split
            the same draws in batches of any size.

    Returns:
        ``[T, B, *shape]`` of the inputs' type, on their device. Not to be written to: it may be a view of `inputs`.

    Raises:
        UnknownNameError: no such encoder.
        InputError: `steps` is below 1, or does not fit the samples; or a registered function gives something else
            than it should.
    """
    if steps < 1:
        raise InputError(f"steps: {steps} is below 1")
    row = ENCODERS[name]
    if row.sample_major:
        return _checked(name, row.function(inputs, steps, generator), inputs, steps)
    before = generator.get_state()
    whole = _checked(name, row.function(inputs, steps, generator), inputs, steps)
    if torch.equal(generator.get_state(), before):
        return whole
    # It draws for the whole batch, step by step for all that is known: only one sample at a time is sure to be alike.
    generator.set_state(before)
    parts = [_checked(name, row.function(one, steps, generator), one, steps) for one in inputs.split(1)]
    return torch.cat(parts, dim=1)


def _checked(name: str, found: Any, inputs: Tensor, steps: int) -> Tensor:
    wanted = f"expected {str(inputs.dtype).removeprefix('torch.')} of shape [T = {steps}, B = {len(inputs)}, ...]"
    if not isinstance(found, torch.Tensor):
        raise InputError(f"encoder {name!r}: gave a {type(found).__name__}; {wanted}")
    if found.shape[:2] != (steps, len(inputs)) or found.dim() < 3 or found.dtype != inputs.dtype:
        given = f"{str(found.dtype).removeprefix('torch.')} of shape {list(found.shape)}"
        raise InputError(f"encoder {name!r}: gave {given}; {wanted}")
    return found
