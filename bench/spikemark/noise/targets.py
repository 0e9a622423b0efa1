"""What a noise's function maps, and how a case is disturbed by it: samples, event lists, spikes, weights, or the case.

Everything that comes back from a function is checked, so that a wrong one is named instead of failing somewhere else.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikemark.core.adapter import SpikingNeurons
from spikemark.data.binning import Events
from spikemark.errors import InputError
from spikemark.noise.case import Case, Noise, Target


def on_inputs(noise: Noise, case: Case, level: float, generator: torch.Generator) -> AbstractContextManager[Case]:
    """The samples ``[N, ...]`` become new ones, clipped to 0..1."""
    noisy = _alike(noise, noise.function(case.inputs, level, generator), case.inputs)
    if bool(noisy.isnan().any()):
        raise InputError(f"noise {noise.name!r}: gave NaN")
    return nullcontext(replace(case, inputs=noisy.clamp(0, 1)))


def on_events(noise: Noise, case: Case, level: float, generator: torch.Generator) -> AbstractContextManager[Case]:
    """Every recording behind the samples is changed and binned anew."""
    recordings = case.recordings
    if recordings is None:
        raise InputError(f"noise {noise.name!r}: disturbs event lists; the samples have none")
    if len(recordings) != len(case.inputs):
        raise InputError(f"{recordings.name}: {len(recordings)} recordings for {len(case.inputs)} samples")
    window = recordings.binning.window_us
    assert window is not None

    with draws_of_numpy(generator) as random:
        change = noise.function(recordings.sensor, window, level, random)

        def changed(events: Events) -> Events:
            if not len(events):
                return events
            noisy = change(events)
            if not isinstance(noisy, np.ndarray) or noisy.dtype != events.dtype or noisy.ndim != 1:
                raise InputError(f"noise {noise.name!r}: gave {_named(noisy)}; expected events of type {events.dtype}")
            return noisy

        frames = recordings.frames(changed)
    return nullcontext(replace(case, inputs=frames))


@contextmanager
def draws_of_numpy(generator: torch.Generator) -> Iterator[np.random.Generator]:
    """Draws that follow from `generator`: tonic's, from numpy's global generator, restored afterwards, and ours."""
    seeds = torch.randint(2**32, (2,), generator=generator).tolist()
    before = np.random.get_state()
    np.random.seed(seeds[0])
    try:
        yield np.random.default_rng(seeds[1])
    finally:
        np.random.set_state(before)


@contextmanager
def on_spikes(noise: Noise, case: Case, level: float, generator: torch.Generator) -> Iterator[Case]:
    """The outputs of every spiking layer become other spikes, through hooks that leave with the noise.

    Each layer draws from a generator of its own, sample after sample, so that the batch size plays no part.
    """
    layers = spiking_neurons(case.model)
    draws = [torch.Generator().manual_seed(seed_from(generator)) for _ in layers]

    def hook(random: torch.Generator) -> Callable[..., Tensor]:
        def disturb(layer: nn.Module, arguments: object, spikes: Tensor) -> Tensor:
            parts = [spikes] if noise.sample_major else spikes.split(1, dim=1)
            noisy = [_alike(noise, noise.function(part, level, random), part) for part in parts]
            return noisy[0] if len(noisy) == 1 else torch.cat(noisy, dim=1)

        return disturb

    handles = [layer.register_forward_hook(hook(random)) for layer, random in zip(layers, draws, strict=True)]
    try:
        yield replace(case, draws=(*case.draws, *draws))
    finally:
        for handle in handles:
            handle.remove()


def on_weights(noise: Noise, case: Case, level: float, generator: torch.Generator) -> AbstractContextManager[Case]:
    """Each weight tensor of a copy of the network becomes another one; functions see it on the CPU."""
    model = copy.deepcopy(case.model)
    with torch.no_grad():
        for weight in synapses(model):
            stored = weight.detach().cpu()
            weight.copy_(_alike(noise, noise.function(stored, level, generator), stored))
    return nullcontext(replace(case, model=model))


@contextmanager
def on_case(noise: Noise, case: Case, level: float, generator: torch.Generator) -> Iterator[Case]:
    """The function itself enters another case."""
    entered = noise.function(case, level, generator)
    if not isinstance(entered, AbstractContextManager):
        raise InputError(f"noise {noise.name!r}: gave {_named(entered)}; expected a context manager that enters a Case")
    with entered as disturbed:
        if not isinstance(disturbed, Case):
            raise InputError(f"noise {noise.name!r}: entered {_named(disturbed)}; expected a Case")
        yield disturbed


TARGETS: Mapping[Target, Callable[[Noise, Case, float, torch.Generator], AbstractContextManager[Case]]] = {
    "inputs": on_inputs,
    "events": on_events,
    "spikes": on_spikes,
    "weights": on_weights,
    "case": on_case,
}


def spiking_neurons(model: nn.Module) -> list[SpikingNeurons]:
    """The layers of spiking neurons of a network, in the order of its modules.

    Raises:
        InputError: there are none, so that a noise on them would silently do nothing.
    """
    layers = [module for module in model.modules() if isinstance(module, SpikingNeurons)]
    if not layers:
        raise InputError(f"this noise disturbs spiking layers; the {type(model).__name__} has none")
    return layers


def synapses(model: nn.Module) -> list[Tensor]:
    """The weights of its linear and convolutional layers.

    Raises:
        InputError: there are none, so that a noise on them would silently do nothing.
    """
    plain = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
    weights = [module.weight for module in model.modules() if isinstance(module, plain)]
    if not weights:
        raise InputError(f"this noise disturbs synapses; the {type(model).__name__} has no linear or convolution")
    return weights


def seed_from(generator: torch.Generator) -> int:
    """A seed for another generator."""
    return int(torch.randint(2**62, (), generator=generator))


def _alike(noise: Noise, found: Any, expected: Tensor) -> Tensor:
    """What a function gave, once it is of the shape and type of what it was given."""
    if not isinstance(found, Tensor) or found.shape != expected.shape or found.dtype != expected.dtype:
        raise InputError(f"noise {noise.name!r}: gave {_named(found)}; expected {_named(expected)}")
    return found


def _named(value: Any) -> str:
    if isinstance(value, Tensor | np.ndarray):
        return f"{str(value.dtype).removeprefix('torch.')} of shape {list(value.shape)}"
    return f"a {type(value).__name__}"
