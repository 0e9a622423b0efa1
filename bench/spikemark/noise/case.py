"""The common form of every noise: a change of a `Case`, which is a trained network together with what it is asked.

Whether a noise touches the samples, the spikes or the hardware is decided by which field of the case it replaces; who
evaluates the case need not know. A noise never writes to what it was given. This module imports no torch: plans read
the rows alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from spikemark.core.options import checked
from spikemark.data.card import Card, Kind
from spikemark.errors import InputError
from spikemark.registry import Registry, register, registry

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from spikemark.core.adapter import Adapter
    from spikemark.data.recordings import Recordings

Domain = Literal["input", "events", "spikes", "hardware", "adversary"]
Target = Literal["inputs", "events", "spikes", "weights", "case"]
Levels = tuple[float, float, float, float, float]
Threat = Literal["linf", "l2", "l0"]
"""What bounds an attack: the largest change of a value, the root mean square of all, the fraction of changed values."""
SEVERITIES = (1, 2, 3, 4, 5)

EncodeStep = Callable[["Tensor", "torch.Generator"], "Tensor"]
"""From a batch of samples ``[B, ...]`` and a source of draws to the network's input ``[T, B, *shape]``."""


@dataclass(frozen=True)
class SearchLog:
    """How a search for adversarial samples went.

    Attributes:
        fooled_at: after how many steps each sample was first misread, ``[N]``: 0 as it is or at the start, -1 never.
        steps: that were made at most, over all derivatives that were tried.
        flat: of the samples that were read well, the share whose first gradient was zero throughout, through every
            derivative; None where no gradient was asked for.
    """

    fooled_at: Tensor
    steps: int
    flat: float | None


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
        draws: of a disturbed case, the generators that draw while it is evaluated; they go on from batch to batch.
        search: of a case with samples that were searched for.
        multiplied: names of the tensors that are weights, told when asked; None for those of the layers.
    """

    model: nn.Module
    inputs: Tensor
    labels: Tensor
    encode_step: EncodeStep
    adapter: Adapter | None = None
    recordings: Recordings | None = None
    draws: tuple[torch.Generator, ...] = ()
    search: SearchLog | None = None
    multiplied: Callable[[], Sequence[str]] | None = None


Perturb = Callable[[Case, float, "torch.Generator"], AbstractContextManager[Case]]
"""Enters the case disturbed at a level; leaving it takes back whatever was attached to the network."""
Function = TypeVar("Function", bound=Callable[..., Any])

FAMILIES: Mapping[str, str] = {
    "input": "input", "events": "events", "spikes": "altered spikes", "hardware": "hardware", "adversary": "attacks"
}  # fmt: skip
"""The family of a domain's noises, as far as they do not name another."""
_TARGETS: dict[Domain, Target] = {
    "input": "inputs", "events": "events", "spikes": "spikes", "hardware": "weights", "adversary": "case"
}  # fmt: skip
_KINDS: dict[Domain, tuple[Kind, ...]] = {
    "input": ("image", "points", "series"),
    "events": ("events",),
    "spikes": ("image", "points", "events", "series"),
    "hardware": ("image", "points", "events", "series"),
    "adversary": ("image", "points"),
}


@checked
class Noise:
    """One way in which the world disturbs a network.

    Attributes:
        name: as users write it.
        domain: what it disturbs.
        levels: the parameter at severity 1 to 5, from mild to strong.
        unit: what the parameter is.
        function: what happens at a level; its form depends on `on`, see `noise`.
        on: what the function maps.
        kinds: of data sets to which it applies.
        summary: one sentence.
        source: the publication of the noise or of its parameters.
        polarities: that events must have, for it to change anything.
        sample_major: of a function on spikes, see `noise`.
        threat: of an attack, see `noise`.
        family: under which reports sum it up.
        each_step: of a function on spikes, see `noise`.
    """

    name: str
    domain: Domain
    levels: Levels
    unit: str
    function: Callable[..., Any]
    on: Target
    kinds: tuple[Kind, ...]
    summary: str = ""
    source: str = ""
    polarities: int = 1
    sample_major: bool = False
    threat: Threat | None = None
    family: str = ""
    each_step: bool = False

    @property
    def shared(self) -> bool:
        """Whether the noisy samples follow from samples and draws alone, the same for every network."""
        return self.on in ("inputs", "events")

    @property
    def definition(self) -> dict[str, Any]:
        """What of it determines results, as plain data."""
        return {"domain": self.domain, "levels": list(self.levels)}

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
            InputError: a severity outside 0..5, a case that this noise cannot disturb, or a function that gives
                something of another shape or type than it should.
        """
        if severity == 0:
            return nullcontext(case)
        if severity not in SEVERITIES:
            raise InputError(f"severity: {severity} is not one of 0 (clean) to 5")
        from spikemark.noise.targets import TARGETS

        return TARGETS[self.on](self, case, self.levels[severity - 1], generator)


def _merged(card: Card) -> bool:
    return card.binning is not None and card.binning.polarities == "merge"


NOISES: Registry[Noise] = registry("noise")
WORST = "worst-"
"""Before the name of a threat: the worst of its attacks."""


def adversaries(noises: Iterable[Noise]) -> dict[Threat, list[Noise]]:
    """The attacks among noises by what bounds them, where there are several: together they are one adversary.

    Raises:
        InputError: attacks of one threat have different levels, so that none of them would be the worst of the others.
    """
    found: dict[Threat, list[Noise]] = {}
    for one in noises:
        if one.threat is not None:
            found.setdefault(one.threat, []).append(one)
    for threat, attacks in found.items():
        if len({attack.levels for attack in attacks}) > 1:
            names = ", ".join(attack.name for attack in attacks)
            raise InputError(f"the attacks {names} have different levels; give them common ones: budgets.{threat}")
    return {threat: attacks for threat, attacks in found.items() if len(attacks) > 1}


def within(noise: Noise, budgets: Mapping[Threat, Levels]) -> Noise:
    """The noise, at other levels where it is an attack of a threat that has some."""
    levels = budgets.get(noise.threat) if noise.threat is not None else None
    return noise if levels is None else replace(noise, levels=levels)


def noise(
    name: str,
    *,
    domain: Domain,
    levels: Sequence[float],
    unit: str,
    summary: str = "",
    source: str = "",
    kinds: Sequence[Kind] | None = None,
    on: Target | None = None,
    polarities: int = 1,
    sample_major: bool = False,
    each_step: bool = False,
    threat: Threat | None = None,
    family: str = "",
) -> Callable[[Function], Function]:
    """Register a function as a noise.

    What it is given and gives back depends on what it maps; draws come from `generator` (a `torch.Generator` on the
    CPU) alone, and nothing that is given may be written to:

    - "inputs": ``f(inputs [N, ...], level, generator)`` to samples of the same shape; they are clipped to 0..1.
    - "events": ``f(sensor, duration, level, random)`` to a function of one recording, see `spikemark.noise.events`.
    - "spikes": ``f(spikes [T, B, *shape], level, generator)`` to spikes of the same shape, for every spiking layer.
    - "weights": ``f(weights, level, generator)`` to weights of the same shape, for every linear or convolution.
    - "case": ``f(case, level, generator)`` to a context manager that enters another `Case`.

    Args:
        name: as users write it.
        domain: what the noise disturbs.
        levels: five numbers, from mild to strong.
        unit: what the numbers are.
        summary: one sentence.
        source: the publication.
        kinds: of data sets to which it applies; those that usually suit the domain when None.
        on: what the function maps; when None what its domain suggests: "inputs" for "input", "events", "spikes",
            "weights" for "hardware", "case" for "adversary".
        polarities: that events must have, for it to change anything.
        sample_major: that a function on spikes draws all of one sample before it draws the next one's, as
            ``torch.rand((B, T, *shape), generator=generator)`` does. Others are called for one sample at a time, so
            that noise never depends on the batch size.
        each_step: that a function on spikes does to every step what it would do to it alone. Of neurons which are
            called step by step it then gets ``[1, B, *shape]``; other functions get all steps of them, too, at the
            price of one further run of the network for every layer.
        threat: of an attack, what its levels bound. Attacks of one threat and level are one adversary: the worst of
            them per sample is a number of its own.
        family: under which reports sum it up with others; its domain's when empty, see `FAMILIES`.

    Raises:
        InputError: levels are not five finite numbers, or another argument is not what it may be.
        spikemark.registry.PluginError: the name is taken.
    """

    def keep(function: Function) -> Function:
        try:
            row = Noise(
                name, domain, tuple(levels), unit, function, on or _TARGETS.get(domain, "case"),  # type: ignore[arg-type]
                _KINDS.get(domain, ()) if kinds is None else tuple(kinds), summary, source, polarities, sample_major,
                threat, family or FAMILIES.get(domain, domain), each_step,
            )  # fmt: skip
        except (InputError, TypeError) as error:
            raise InputError(f"noise {name!r}: {error}") from None
        register("noise", name, row, source=source)
        return function

    return keep
