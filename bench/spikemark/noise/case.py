"""The common form of every noise: a change of a `Case`, which is a trained network together with what it is asked.

Whether a noise touches the samples, the spikes or the hardware is decided by which field of the case it replaces; who
evaluates the case need not know. A noise never writes to what it was given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor, nn

from spikemark.core.adapter import Adapter
from spikemark.data.card import Card, Kind
from spikemark.data.recordings import Recordings
from spikemark.errors import InputError
from spikemark.registry import Registry, registry

Domain = Literal["input", "events", "spikes", "hardware", "adversary"]
SEVERITIES = (1, 2, 3, 4, 5)

EncodeStep = Callable[[Tensor, torch.Generator], Tensor]
"""From a batch of samples ``[B, ...]`` and a source of draws to the network's input ``[T, B, *shape]``."""


@dataclass(frozen=True)
class Case:
    """What is evaluated.

    Attributes:
        model: the trained network, ``[T, B, *shape]`` to ``[T, B, classes]``.
        inputs: samples ``[N, ...]`` in 0..1, before encoding.
        labels: ``[N]``; for noises that aim at the right answer.
        encode_step: how samples reach the network; for noises that need gradients to the samples.
        adapter: the framework of the network's neurons; for noises that build neurons anew.
        recordings: the event lists behind the samples; for noises on events.
    """

    model: nn.Module
    inputs: Tensor
    labels: Tensor
    encode_step: EncodeStep
    adapter: Adapter | None = None
    recordings: Recordings | None = None


Perturb = Callable[[Case, float, torch.Generator], AbstractContextManager[Case]]
"""Enters the case disturbed at a level; leaving it takes back whatever was attached to the network."""


@dataclass(frozen=True)
class Noise:
    """One way in which the world disturbs a network.

    Attributes:
        name: as users write it.
        domain: what it disturbs.
        levels: the parameter at severity 1 to 5, from mild to strong.
        unit: what the parameter is.
        summary: one sentence.
        source: the publication of the noise or of its parameters.
        perturb: how a case is disturbed.
        kinds: of data sets to which it applies.
        polarities: that events must have, for it to change anything.
    """

    name: str
    domain: Domain
    levels: tuple[float, float, float, float, float]
    unit: str
    summary: str
    source: str
    perturb: Perturb
    kinds: tuple[Kind, ...] = ("image", "points", "events", "series")
    polarities: int = 1

    @property
    def shared(self) -> bool:
        """Whether the noisy samples follow from samples and draws alone, the same for every network."""
        return self.domain in ("input", "events")

    def check(self, card: Card) -> None:
        """That the noise makes sense for a data set.

        Raises:
            InputError: it does not.
        """
        if card.kind not in self.kinds:
            raise InputError(f"noise {self.name}: is for {' and '.join(self.kinds)} data; {card.name} is {card.kind}")
        if self.polarities > 1 and (card.sensor is None or card.sensor[2] < self.polarities or _merged(card)):
            raise InputError(f"noise {self.name}: needs events of {self.polarities} polarities; {card.name} has one")

    def apply(self, case: Case, severity: int, generator: torch.Generator) -> AbstractContextManager[Case]:
        """The case at a severity; severity 0 gives back the very same case.

        Args:
            case: left as it is.
            severity: 0 (none) to 5.
            generator: on the CPU; the source of all draws.

        Raises:
            InputError: a severity outside 0..5, or a case that this noise cannot disturb.
        """
        if severity == 0:
            return nullcontext(case)
        if severity not in SEVERITIES:
            raise InputError(f"severity: {severity} is not one of 0 (clean) to 5")
        return self.perturb(case, self.levels[severity - 1], generator)


def _merged(card: Card) -> bool:
    return card.binning is not None and card.binning.polarities == "merge"


def on_inputs(function: Callable[[Tensor, float, torch.Generator], Tensor]) -> Perturb:
    """A noise that maps the samples ``[N, ...]`` to new ones; values are clipped to 0..1."""

    def perturb(case: Case, level: float, generator: torch.Generator) -> AbstractContextManager[Case]:
        return nullcontext(replace(case, inputs=function(case.inputs, level, generator).clamp(0, 1)))

    return perturb


def on_model(function: Callable[[nn.Module, float, torch.Generator], AbstractContextManager[nn.Module]]) -> Perturb:
    """A noise that enters another network, or the same one with hooks attached for the while."""

    @contextmanager
    def perturb(case: Case, level: float, generator: torch.Generator) -> Iterator[Case]:
        with function(case.model, level, generator) as model:
            yield replace(case, model=model)

    return perturb


NOISES: Registry[Noise] = registry("noise")
