"""Encoders: from samples to what a network sees at each time step.

An encoder knows nothing of data sets or networks. Everything random comes from the generator handed in, so the same
stream gives every contender the same input; and it is drawn sample after sample, so that batches of any size see the same.
An encoder whose frames are all the same gives a view that does not move along T: networks compute such input once.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from spikemark.errors import InputError
from spikemark.registry import Registry, registry

Encoder = Callable[[Tensor, int, torch.Generator], Tensor]
ENCODERS: Registry[Encoder] = registry("encoder")


def direct(inputs: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """The same analog values at every step, as a view: the first layer does the coding (Rueckauer et al. 2017)."""
    return inputs.unsqueeze(0).expand(steps, *inputs.shape)


def poisson(inputs: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """Independent spikes with probability ``p = x`` at each step: a Bernoulli approximation of a Poisson process."""
    batch, *shape = inputs.shape
    draws = torch.rand((batch, steps, *shape), generator=generator, dtype=torch.float32)
    return (draws.to(inputs.device).movedim(1, 0) < inputs).to(inputs.dtype)


def latency(inputs: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """One spike per pixel, the brighter the earlier, at step ``round((1 - x) (T - 1))``; pixels of 0 stay silent.

    The linear map of brightness to time of Comsa et al., ICASSP 2020 (arXiv 1907.13223), on T steps.
    """
    times = torch.round((1 - inputs) * (steps - 1)).long()
    clock = torch.arange(steps, device=inputs.device).view(-1, *(1 for _ in inputs.shape))
    return ((clock == times) & (inputs > 0)).to(inputs.dtype)


def frames(inputs: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """The sample's own time axis, merged to `steps` by the maximum over groups of neighbouring steps.

    The maximum keeps spikes 0/1 and values in 0..1.

    Raises:
        InputError: `steps` does not divide the length of the samples' time axis, or they have none.
    """
    own = inputs.shape[1] if inputs.dim() > 2 else 0
    if own == 0 or own % steps:
        raise InputError(f"steps: {steps} does not divide the {own} time steps of the samples")
    groups = inputs.reshape(inputs.shape[0], steps, own // steps, *inputs.shape[2:])
    return groups.amax(dim=2).transpose(0, 1)


def encode(name: str, inputs: Tensor, steps: int, generator: torch.Generator) -> Tensor:
    """Spikes or currents for a batch of samples.

    Args:
        name: in `ENCODERS`.
        inputs: ``[B, *shape]`` in 0..1; ``[B, own steps, *shape]`` for "frames".
        steps: T, at least 1.
        generator: on the CPU; source of all draws.

    Returns:
        ``[T, B, *shape]`` of the inputs' type, on their device. Not to be written to: it may be a view of `inputs`.

    Raises:
        UnknownNameError: no such encoder.
        InputError: `steps` is below 1, does not fit the samples, or the encoder gives something else than it should.
    """
    if steps < 1:
        raise InputError(f"steps: {steps} is below 1")
    encoded = ENCODERS[name](inputs, steps, generator)
    if not isinstance(encoded, Tensor):
        raise InputError(f"encoder {name!r}: gave a {type(encoded).__name__}; expected a tensor [T, B, ...]")
    if encoded.shape[:2] != (steps, len(inputs)):
        raise InputError(
            f"encoder {name!r}: gave shape {list(encoded.shape)}; expected {steps} steps of {len(inputs)} samples first"
        )
    if encoded.dtype != inputs.dtype:
        raise InputError(f"encoder {name!r}: gave {encoded.dtype} for samples of {inputs.dtype}")
    return encoded
