"""What a noise's function maps, and how a case is disturbed by it: samples, event lists, spikes, weights, or the case.

Everything that comes back from a function is checked, so that a wrong one is named instead of failing somewhere else.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from spikemark.core.adapter import Unsupported
from spikemark.core.foreign import Site, spiking_sites, title_of
from spikemark.core.neuron_class import Form
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

    Each layer draws from a generator of its own, sample after sample, so that the batch size plays no part; so
    does each step of neurons that are called step by step, where the noise treats each step alone.
    """
    draws: list[torch.Generator] = []

    def of_site(site: Site) -> Change:
        random = torch.Generator().manual_seed(seed_from(generator))
        draws.append(random)
        by_step: list[torch.Generator] = []

        def disturb(spikes: Tensor, form: Form, step: int) -> Tensor:
            source = random
            if form == "B" and noise.each_step:
                while len(by_step) <= step:
                    by_step.append(torch.Generator().manual_seed(seed_from(random)))
                source = by_step[step]
            parts = [spikes] if noise.sample_major else spikes.split(1, dim=1)
            noisy = [_alike(noise, noise.function(part, level, source), part) for part in parts]
            return noisy[0] if len(noisy) == 1 else torch.cat(noisy, dim=1)

        return disturb

    change = change_spikes if noise.each_step else change_trains
    handles = change(case.model, of_site)
    try:
        yield replace(case, draws=(*case.draws, *draws))
    finally:
        for handle in handles:
            handle.remove()


Change = Callable[[Tensor, Form, int], Tensor]
"""From the spikes ``[T, B, *shape]`` of a call (T = 1 for a step), its form and its number in a run to other spikes."""


def change_spikes(model: nn.Module, of_site: Callable[[Site], Change]) -> list[RemovableHandle]:
    """Change what the spiking layers of a network give from now on.

    Args:
        model: ``[T, B, *shape]`` to anything.
        of_site: what happens to the spikes of a layer.

    Returns:
        The hooks, to be removed.

    Raises:
        InputError: no layer spikes.
    """
    changes = {site.module: (site, of_site(site)) for site in spiking_sites(model)}
    calls: Counter[nn.Module] = Counter()
    samples = 0

    def begin(network: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        nonlocal samples
        samples = arguments[0].shape[1]
        calls.clear()

    def hook(module: nn.Module, arguments: object, output: Any) -> Any:
        site, change = changes[module]
        calls[module] += 1
        return site.changed(output, samples, lambda spikes, form: change(spikes, form, calls[module] - 1))

    handles = [module.register_forward_hook(hook) for module in changes]
    return [*handles, model.register_forward_pre_hook(begin)]


def change_trains(model: nn.Module, of_site: Callable[[Site], Change]) -> list[RemovableHandle]:
    """Change what the spiking layers of a network give from now on, all steps at once.

    Layers that are called step by step have given their first spikes before their last ones are known. The network is
    therefore run once more for each layer: in the order in which they fire, the spikes that a layer gives, given the
    changed ones of all layers before it, are gathered and changed. The last run has all of them in place.

    Args:
        model: ``[T, B, *shape]`` to anything, from its first state at every call.
        of_site: what happens to the spikes of a layer, ``[T, B, *shape]``.

    Returns:
        The hooks, to be removed.

    Raises:
        InputError: no layer spikes.
    """
    sites = {site.module: site for site in spiking_sites(model)}
    if all(site.form in ("TB", "BT") for site in sites.values()):
        return change_spikes(model, of_site)
    trains = _Trains(sites, {module: of_site(site) for module, site in sites.items()})
    handles = [module.register_forward_hook(trains.pass_on) for module in sites]
    return [*handles, model.register_forward_pre_hook(trains.gather)]


class _Trains:
    """The changed spikes of every layer in one run of a network."""

    def __init__(self, sites: Mapping[nn.Module, Site], changes: Mapping[nn.Module, Change]) -> None:
        self._sites, self._changes = sites, changes
        self._samples = 0
        self._calls: Counter[nn.Module] = Counter()
        self._by_step: dict[nn.Module, bool] = {}
        self._changed: dict[nn.Module, list[Tensor]] = {}
        self._gathered: tuple[nn.Module, Form, list[Tensor]] | None = None

    @torch.no_grad()
    def gather(self, network: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        """Before a run: find the changed spikes of one layer after the other."""
        self._samples = arguments[0].shape[1]
        self._changed.clear()
        while True:
            gathered = self._next(network, arguments)
            if gathered is None:  # of a network that calls none of its layers
                break
            module, form, spikes = gathered
            self._by_step[module] = form == "B"
            train = self._changes[module](torch.cat(spikes), form, 0)
            self._changed[module] = list(train.split([len(part) for part in spikes]))
            if len(self._changed) == len(self._calls):
                break
        self._check_calls()
        self._calls.clear()

    def _next(self, network: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[nn.Module, Form, list[Tensor]] | None:
        """What the first layer gives that has no changed spikes yet."""
        self._calls.clear()
        self._gathered = None
        network.forward(*arguments)
        gathered, self._gathered = self._gathered, None
        return gathered

    def pass_on(self, module: nn.Module, arguments: object, output: Any) -> Any:
        """After a call of a layer: gather what it gives, or give the changed spikes in its place."""
        step = self._calls[module]
        self._calls[module] += 1
        site, changed = self._sites[module], self._changed.get(module)
        if changed is not None:
            if step >= len(changed):
                raise Unsupported(f"neurons {site.name!r} are called {step + 1} times, but {len(changed)} before")
            return site.changed(output, self._samples, lambda spikes, form: changed[step])
        if self._gathered is None or self._gathered[0] is module:
            site.changed(output, self._samples, lambda spikes, form: self._keep(module, spikes, form))
        return output

    def _check_calls(self) -> None:
        """That a layer which is called step by step is called once in each.

        Raises:
            Unsupported: it is not, so that nobody can tell which calls are steps.
        """
        calls = {self._sites[module].name: count for module, count in self._calls.items() if self._by_step[module]}
        if len(set(calls.values())) > 1:
            most, least = max(calls, key=lambda name: calls[name]), min(calls, key=lambda name: calls[name])
            raise Unsupported(
                f"this noise needs the steps of all neurons; {most!r} are called {calls[most]} times in one run, "
                f"{least!r} {calls[least]} times"
            )

    def _keep(self, module: nn.Module, spikes: Tensor, form: Form) -> Tensor:
        if self._gathered is None:
            self._gathered = module, form, []
        self._gathered[2].append(spikes)
        return spikes


def on_weights(noise: Noise, case: Case, level: float, generator: torch.Generator) -> AbstractContextManager[Case]:
    """Each weight tensor of a copy of the network becomes another one; functions see it on the CPU."""
    model = copy.deepcopy(case.model)
    if case.multiplied is None:
        weights = synapses(model)
    else:
        stored = model.state_dict(keep_vars=True)
        weights = [stored[name] for name in case.multiplied()]
        if not weights:
            raise InputError(f"this noise disturbs weights; the {title_of(model)} multiplies none that it holds")
    with torch.no_grad():
        for weight in weights:
            before = weight.detach().cpu()
            weight.copy_(_alike(noise, noise.function(before, level, generator), before))
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
