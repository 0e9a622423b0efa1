"""The derivative of the spike that an attack searches through: any, since it takes no part in what a network computes.

A backward rule is a `Surrogate`, a class of `Derivative` (one whose width follows the membranes), or None for the
network's own. Fixed surrogates go into new layers of the network's framework; a rule with a state needs the place where
a layer asks for its derivative, which only the oracle's has.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import replace

import torch
from torch import Tensor, nn

from spikemark.core.adapter import Adapter, SpikingLayer
from spikemark.core.neurons import NeuronSpec, Surrogate
from spikemark.core.oracle import ReferenceLayer
from spikemark.noise.case import Case
from spikemark.noise.hardware import as_trained, with_neurons


class Derivative(ABC):
    """The derivative of one layer's spikes during one search.

    Attributes:
        learning: whether what it sees may change it; attacks on encoders that draw let it see the first draw alone.
    """

    learning = True

    @abstractmethod
    def restart(self) -> None:
        """A search begins, on other samples."""

    def keep(self, which: Tensor) -> bool:
        """Go on with the samples of the mask `which`; False where slopes depend on the samples that are left out."""
        return False

    @abstractmethod
    def begin(self) -> None:
        """A forward pass begins, at its first step."""

    @abstractmethod
    def slope(self, u: Tensor, z: Tensor) -> Tensor:
        """``do/du`` at the membranes `u` ``[B, *shape]`` of the next step, which lie `z` above the threshold."""


Backward = Surrogate | type[Derivative] | None


class Assg(Derivative):
    """An arctangent as sharp as the membranes allow, for every neuron, step and sample (ASSG, arXiv 2512.22522).

    ``g(z) = (a / 2) / (1 + (pi a z / 2) ** 2)`` with ``a = w / (M + 1.5 D + 1e-4)``, where M and D are moving averages
    (0.9) of ``abs(z)`` and of its distance from M, over the passes of a search. So about 0.85 of the derivative's area
    lies nearer to the threshold than the membrane usually is: ``w = (2 / pi) tan(pi / 2 * 0.85)``.
    """

    AREA, RELAX, KEEP, FLOOR = 0.85, 1.5, 0.9, 1e-4

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """See `Derivative.restart`."""
        self.means: list[Tensor] = []
        self.spreads: list[Tensor] = []
        self.step = 0

    def keep(self, which: Tensor) -> bool:
        """See `Derivative.keep`."""
        self.means, self.spreads = ([part[which] for part in parts] for parts in (self.means, self.spreads))
        return True

    def begin(self) -> None:
        """See `Derivative.begin`."""
        self.step = 0

    def slope(self, u: Tensor, z: Tensor) -> Tensor:
        """See `Derivative.slope`."""
        away, step = z.abs(), self.step
        if step == len(self.means):
            self.means.append(torch.ones_like(z))
            self.spreads.append(torch.zeros_like(z))
        if self.learning:
            self.means[step] = torch.lerp(away, self.means[step], self.KEEP)
            self.spreads[step] = torch.lerp((away - self.means[step]).abs(), self.spreads[step], self.KEEP)
        self.step += 1
        width = 2 / math.pi * math.tan(math.pi / 2 * self.AREA)
        sharpness = width / (self.means[step] + self.RELAX * self.spreads[step] + self.FLOOR)
        return sharpness / 2 / (1 + (math.pi / 2 * sharpness * z).square())


class Pdsg(Derivative):
    """A normal density as wide as the membranes spread, its peak half a spread above the threshold (PDSG, CVPR 2025).

    The spread s is the standard deviation of the membranes over the steps so far, the batch and space, one per channel
    (feature of a layer without space): ``g(z) = exp(-(z - s / 2) ** 2 / (2 s ** 2)) / (sqrt(2 pi) s)``, with s = 1
    where all membranes are the same (arXiv 2503.03272). So it depends on the samples that are attacked together.
    """

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """See `Derivative.restart`."""
        self.count = 0
        self.mean: Tensor | float = 0.0
        self.squares: Tensor | float = 0.0

    def begin(self) -> None:
        """See `Derivative.begin`."""
        self.restart()

    def slope(self, u: Tensor, z: Tensor) -> Tensor:
        """See `Derivative.slope`."""
        axes = [axis for axis in range(u.dim()) if axis != 1]
        variance, mean = torch.var_mean(u, axes, correction=0, keepdim=True)
        new = u.numel() // u.shape[1]
        before, away = self.count, mean - self.mean
        self.count += new
        # Squared distances from the mean of all steps so far, from those of each part (Chan, Golub and LeVeque 1979).
        squares = self.squares + new * variance + away.square() * (before * new / self.count)
        self.mean, self.squares = mean - away * (before / self.count), squares
        spread = (squares / max(1, self.count - 1)).sqrt()
        spread = torch.where(spread > 0, spread, torch.ones_like(spread))
        return torch.exp(-((z - spread / 2).square()) / (2 * spread.square())) / (math.sqrt(2 * math.pi) * spread)


class DerivedLayer(ReferenceLayer):
    """The oracle's layer with a `Derivative`."""

    def __init__(self, spec: NeuronSpec, shape: tuple[int, ...], derivative: Derivative) -> None:
        # A relative surrogate would hand out distances in thresholds.
        super().__init__(replace(spec, surrogate=Surrogate("atan", 1.0)), shape)
        self.derivative = derivative

    def spikes(self, currents: Tensor) -> Tensor:
        """See `SpikingLayer.spikes`."""
        self.derivative.begin()
        return super().spikes(currents)

    def slope(self, u: Tensor, z: Tensor) -> Tensor:
        """See `ReferenceLayer.slope`."""
        return self.derivative.slope(u, z) if torch.is_grad_enabled() else torch.zeros_like(z)


def through(case: Case, backward: Backward) -> nn.Module:
    """A copy of the network with another derivative of its spikes.

    Raises:
        InputError: see `spikemark.noise.hardware.with_neurons`.
        spikemark.core.adapter.Unsupported: its neurons have no spec, so that no derivative can be put in.
    """
    if backward is None:
        return copy.deepcopy(case.model)
    if isinstance(backward, Surrogate):
        surrogate = backward
        return with_neurons(case, lambda layer, adapter: with_surrogate(layer, adapter, surrogate))
    rule = backward
    return with_neurons(case, lambda layer, _: as_trained(layer, DerivedLayer(layer.spec, layer.shape, rule())))


def with_surrogate(layer: SpikingLayer, adapter: Adapter, surrogate: Surrogate) -> SpikingLayer:
    """The trained layer in its framework with another surrogate."""
    spec = replace(layer.spec, surrogate=surrogate)
    return as_trained(layer, adapter.neuron(spec, layer.shape, generator=torch.Generator()))
