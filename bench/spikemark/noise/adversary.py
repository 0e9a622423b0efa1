"""Samples changed on purpose, before encoding: short attacks of foolbox's, long adaptive ones, and controls.

Attacks work on a copy of the network. Ten steps through one surrogate say little about a spiking network (arXiv
2512.22522): the long searches keep the first iterate that fools it, through several derivatives of the spike. What an
attack leaves is an upper bound on robust accuracy; the worst over all of them per sample is the number to quote.
Controls of random signs tell what the same norm does without a gradient.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager
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
    from spikemark.noise import attack as attacks
    from spikemark.noise import backward, searches
    from spikemark.noise.gradient import Choose
else:
    torch = LazyModule("torch")
    attacks, backward, searches = (LazyModule(f"spikemark.noise.{name}") for name in ("attack", "backward", "searches"))

STEPS, STEP_SIZE = 10, 0.25  # of projected gradient descent; the size is a fraction of the norm
WIDTHS = tuple(Surrogate("atan", alpha) for alpha in (1.0, 2.0, 4.0, 8.0, 16.0))
OTHER_SURROGATE, SECOND_OTHER = Surrogate("triangle", 1.0), Surrogate("atan", 2.0)
_LEVELS, _LARGEST = (0.002, 0.01, 0.02, 0.03, 0.045), "of full scale, largest change"
_GOODFELLOW = "Goodfellow, Shlens and Szegedy, ICLR 2015 (arXiv 1412.6572); foolbox"
_MADRY = "Madry et al., ICLR 2018 (arXiv 1706.06083); foolbox"
_CROCE = "Croce and Hein, ICML 2020 (arXiv 2003.01690)"
_ASSG = "Wang et al., CVPR 2026 (arXiv 2512.22522)"
_LUN = "Lun et al., CVPR 2025 (arXiv 2503.03272)"
_SQUARE = "Andriushchenko et al., ECCV 2020 (arXiv 1912.00049)"
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
    """The same network with another surrogate gradient: the triangle, or atan where the triangle is its own.

    The choice of surrogates is ours.

    Raises:
        InputError: see `spikemark.noise.hardware.with_neurons`.
    """

    def changed(layer: SpikingLayer, adapter: Adapter) -> SpikingLayer:
        other = SECOND_OTHER if layer.spec.surrogate.name == OTHER_SURROGATE.name else OTHER_SURROGATE
        return backward.with_surrogate(layer, adapter, other)

    return with_neurons(case, changed)


noise(
    "fgsm",
    domain="adversary",
    levels=_LEVELS,
    unit=_LARGEST,
    summary="One step along the sign of the surrogate gradient.",
    threat="linf",
    source=_GOODFELLOW,
)(attack(fgsm, itself))
noise(
    "pgd-linf",
    domain="adversary",
    levels=_LEVELS,
    unit=_LARGEST,
    summary="Ten steps up the loss, no value changed by more.",
    threat="linf",
    source=_MADRY,
)(attack(pgd_linf, itself))
noise(
    "pgd-l2",
    domain="adversary",
    levels=(0.002, 0.007, 0.014, 0.02, 0.028),
    unit="of full scale, root mean square",
    summary="Ten steps up the loss, all values together changed by no more.",
    threat="l2",
    source=_MADRY,
)(attack(pgd_l2, itself))


@noise(
    "random-sign",
    domain="adversary",
    levels=_LEVELS,
    unit="of full scale, every change",
    summary="The control of fgsm: every value up or down by chance.",
    family="input",
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
    threat="linf",
    source=_PAPERNOT,
)(attack(pgd_linf, other_framework))
noise(
    "transfer-surrogate",
    domain="adversary",
    levels=_LEVELS,
    unit=_LARGEST,
    summary="pgd-linf, found on the same weights with another surrogate gradient.",
    threat="linf",
    source=f"ours, after {_ATHALYE}",
)(attack(pgd_linf, other_surrogate))


@noise(
    "apgd-linf",
    domain="adversary",
    levels=_LEVELS,
    unit=_LARGEST,
    summary="100 steps of Auto-PGD through the network's own surrogate.",
    threat="linf",
    source=_CROCE,
)
def apgd_linf(case: Case, level: float, generator: torch.Generator) -> AbstractContextManager[Case]:
    """Auto-PGD on cross-entropy; the first iterate that fools the network counts."""
    return attacks.search_through(case, level, generator, searches.APGD)


@noise(
    "apgd-widths-linf",
    domain="adversary",
    levels=_LEVELS,
    unit=_LARGEST,
    summary="Auto-PGD through five fixed surrogates from wide to sharp, 100 steps each.",
    threat="linf",
    source=f"{_CROCE}; the worst over surrogates after Liu et al., ICML 2024 (arXiv 2405.20355)",
)
def apgd_widths_linf(case: Case, level: float, generator: torch.Generator) -> AbstractContextManager[Case]:
    """`apgd_linf` through arctangents of `WIDTHS`, one after the other."""
    return attacks.search_through(case, level, generator, searches.APGD, WIDTHS)


@noise(
    "apgd-assg-linf",
    domain="adversary",
    levels=_LEVELS,
    unit=_LARGEST,
    summary="100 steps of Auto-PGD through a surrogate as sharp as every neuron's membrane allows.",
    threat="linf",
    source=f"{_ASSG}; {_CROCE}",
)
def apgd_assg_linf(case: Case, level: float, generator: torch.Generator) -> AbstractContextManager[Case]:
    """`apgd_linf` through `spikemark.noise.backward.Assg`."""
    return attacks.search_through(case, level, generator, searches.APGD, [backward.Assg])


@noise(
    "apgd-pdsg-linf",
    domain="adversary",
    levels=_LEVELS,
    unit=_LARGEST,
    summary="100 steps of Auto-PGD through a surrogate as wide as the spread of the membranes.",
    threat="linf",
    source=f"{_LUN}; {_CROCE}",
)
def apgd_pdsg_linf(case: Case, level: float, generator: torch.Generator) -> AbstractContextManager[Case]:
    """`apgd_linf` through `spikemark.noise.backward.Pdsg`."""
    return attacks.search_through(case, level, generator, searches.APGD, [backward.Pdsg])


@noise(
    "sa-pgd-linf",
    domain="adversary",
    levels=_LEVELS,
    unit=_LARGEST,
    summary="100 steps of momentum over accumulated squares, through the surrogate of apgd-assg-linf.",
    threat="linf",
    source=_ASSG,
)
def sa_pgd_linf(case: Case, level: float, generator: torch.Generator) -> AbstractContextManager[Case]:
    """The pair of the publication: SA-PGD through ASSG."""
    return attacks.search_through(case, level, generator, searches.SA_PGD, [backward.Assg])


@noise(
    "square-linf",
    domain="adversary",
    levels=_LEVELS,
    unit=_LARGEST,
    summary="1000 squares at random places, kept where the scores do not object: a search without a gradient.",
    threat="linf",
    source=_SQUARE,
)
def square_linf(case: Case, level: float, generator: torch.Generator) -> AbstractContextManager[Case]:
    """Square attack; what it finds and no gradient did was hidden from the gradient."""
    return attacks.search_through(case, level, generator, searches.SQUARE)


@noise(
    "random-linf",
    domain="adversary",
    levels=_LEVELS,
    unit=_LARGEST,
    summary="The control of attacks of 100 steps: the best of 100 draws of random-sign.",
    threat="linf",
    source="ours",
)
def random_linf(case: Case, level: float, generator: torch.Generator) -> AbstractContextManager[Case]:
    """What as many tries find by chance alone."""
    return attacks.search_through(case, level, generator, searches.RANDOM)


@noise(
    "sda-l0",
    domain="adversary",
    levels=(0.0001, 0.0003, 0.0006, 0.001, 0.0014),
    unit="of all values, flipped at most",
    summary="Events added and removed where the scores suffer most.",
    threat="l0",
    source=f"{_LUN}: sparse dynamic attack",
    kinds=("events",),
)
def sda_l0(case: Case, level: float, generator: torch.Generator) -> AbstractContextManager[Case]:
    """Flips of binary frames through the network's own surrogate."""
    return attacks.search_through(case, level, generator, searches.FLIPS)
