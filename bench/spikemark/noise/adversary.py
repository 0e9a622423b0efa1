"""Samples changed on purpose: attacks through the surrogate gradient, before encoding, and two controls.

Attacks work on a copy of the network. A control of random signs tells what the same norm does without a gradient;
transferred attacks tell whether a gradient was masked rather than the network robust.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from spikemark.core.frameworks import FRAMEWORKS, MissingFramework, get_adapter
from spikemark.core.lazy import LazyModule
from spikemark.core.neurons import Surrogate
from spikemark.errors import InputError
from spikemark.noise.case import Case, Perturb, noise
from spikemark.noise.hardware import as_trained, with_neurons

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from spikemark.core.adapter import Adapter, SpikingLayer
    from spikemark.noise.gradient import Choose
else:
    torch = LazyModule("torch")

STEPS, STEP_SIZE = 10, 0.25  # of projected gradient descent; the size is a fraction of the norm
OTHER_SURROGATE, SECOND_OTHER = Surrogate("triangle", 1.0), Surrogate("atan", 2.0)
_LEVELS, _LARGEST = (0.002, 0.01, 0.02, 0.03, 0.045), "of full scale, largest change"
_GOODFELLOW = "Goodfellow, Shlens and Szegedy, ICLR 2015 (arXiv 1412.6572); foolbox"
_MADRY = "Madry et al., ICLR 2018 (arXiv 1706.06083); foolbox"
_PAPERNOT = "Papernot, McDaniel and Goodfellow 2016 (arXiv 1605.07277)"
_ATHALYE = "Athalye, Carlini and Wagner, ICML 2018 (arXiv 1802.00420)"


def attack(choose: Choose, model: Callable[[Case], nn.Module]) -> Perturb:
    """An attack of foolbox's on the network that `model` makes of the case's."""

    def perturb(case: Case, level: float, generator: torch.Generator) -> AbstractContextManager[Case]:
        from spikemark.noise.gradient import search

        return search(choose, model(case), case, level, generator)

    return perturb


def fgsm(attacks: Any, level: float, size: int) -> tuple[Any, float]:
    """One step of the gradient's sign, `level` in the largest norm."""
    return attacks.LinfFastGradientAttack(random_start=False), level


def pgd_linf(attacks: Any, level: float, size: int) -> tuple[Any, float]:
    """10 steps from a random start, within `level` in the largest norm."""
    return attacks.LinfPGD(steps=STEPS, rel_stepsize=STEP_SIZE, random_start=True), level


def pgd_l2(attacks: Any, level: float, size: int) -> tuple[Any, float]:
    """10 steps from a random start; `level` is the root mean square of the change, ``level * sqrt(size)`` its norm."""
    return attacks.L2PGD(steps=STEPS, rel_stepsize=STEP_SIZE, random_start=True), level * size**0.5


def itself(case: Case) -> nn.Module:
    """A copy of the network."""
    return copy.deepcopy(case.model)


def other_framework(case: Case) -> nn.Module:
    """The same network with the oracle's neurons; for the oracle's own, those of the first other framework there is.

    Raises:
        InputError: no other framework has these neurons, or see `spikemark.noise.hardware.with_neurons`.
    """
    return with_neurons(case, lambda layer, _: as_trained(layer, _elsewhere(layer)))


def _elsewhere(layer: SpikingLayer) -> SpikingLayer:
    from spikemark.core.adapter import Unsupported
    from spikemark.core.oracle import oracle_layer

    if not layer.oracle:
        return oracle_layer(layer.spec, layer.shape, generator=torch.Generator())
    for name in FRAMEWORKS:
        try:
            new = get_adapter(name).neuron(layer.spec, layer.shape, generator=torch.Generator())
        except (MissingFramework, Unsupported):
            continue
        if not new.oracle:
            return new
    raise InputError("transferred attacks need another framework with these neurons; none is installed")


def other_surrogate(case: Case) -> nn.Module:
    """The same network with another surrogate gradient: the triangle, or atan where the triangle is its own. Ours.

    Raises:
        InputError: see `spikemark.noise.hardware.with_neurons`.
    """

    def changed(layer: SpikingLayer, adapter: Adapter) -> SpikingLayer:
        other = SECOND_OTHER if layer.spec.surrogate.name == OTHER_SURROGATE.name else OTHER_SURROGATE
        spec = replace(layer.spec, surrogate=other)
        return as_trained(layer, adapter.neuron(spec, layer.shape, generator=torch.Generator()))

    return with_neurons(case, changed)


noise(
    "fgsm",
    domain="adversary",
    levels=_LEVELS,
    unit=_LARGEST,
    summary="One step along the sign of the surrogate gradient.",
    source=_GOODFELLOW,
)(attack(fgsm, itself))
noise(
    "pgd-linf",
    domain="adversary",
    levels=_LEVELS,
    unit=_LARGEST,
    summary="Ten steps up the loss, no value changed by more.",
    source=_MADRY,
)(attack(pgd_linf, itself))
noise(
    "pgd-l2",
    domain="adversary",
    levels=(0.002, 0.007, 0.014, 0.02, 0.028),
    unit="of full scale, root mean square",
    summary="Ten steps up the loss, all values together changed by no more.",
    source=_MADRY,
)(attack(pgd_l2, itself))


@noise(
    "random-sign",
    domain="adversary",
    levels=_LEVELS,
    unit="of full scale, every change",
    summary="The control of fgsm: every value up or down by chance.",
    source="ours",
    on="inputs",
)
def random_sign(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Move every value by `level`, up or down with equal chance: the largest norm of `fgsm` without its gradient."""
    return inputs + level * (1.0 - 2.0 * torch.randint(2, inputs.shape, generator=generator))


noise(
    "transfer-framework",
    domain="adversary",
    levels=_LEVELS,
    unit=_LARGEST,
    summary="pgd-linf, found on the same weights with another framework's neurons.",
    source=_PAPERNOT,
)(attack(pgd_linf, other_framework))
noise(
    "transfer-surrogate",
    domain="adversary",
    levels=_LEVELS,
    unit=_LARGEST,
    summary="pgd-linf, found on the same weights with another surrogate gradient.",
    source=f"ours, after {_ATHALYE}",
)(attack(pgd_linf, other_surrogate))
