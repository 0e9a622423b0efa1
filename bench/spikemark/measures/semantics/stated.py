"""A framework's own classes against the equations that their documentation, or their name, states.

Conformance lends a framework our spike and our reset. Here nothing is lent: class, surrogate and reset are its own,
and only the inputs and the oracle are ours. Where a class differs, it is not wrong by that: the equation is a reading
of its documentation. But who takes the equation for the class gets other spikes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikemark.core.adapter import FrameworkLayer, Stated
from spikemark.core.frameworks import get_adapter
from spikemark.core.oracle import oracle_layer
from spikemark.core.streams import generator
from spikemark.measures.semantics.traces import FAILURES, STEPS

_SHAPE = (4,)
_BATCH = 8
_SPREAD = torch.tensor([0.5, 0.75, 0.875, 1.0])  # exact, and no decay leaves [0, 1]
_CLOSE = 1e-4


@dataclass(frozen=True)
class StatedResult:
    """How a class compares with an equation.

    Attributes:
        name: of the class, with its options.
        states: the equation in words.
        compared: spikes.
        differing: of them are not the equation's.
        gradient_error: of the currents' gradient, relative to the largest; None where the surrogate is none of ours.
        raised: what the class raised instead; "" if it ran.
    """

    name: str
    states: str
    compared: int = 0
    differing: int = 0
    gradient_error: float | None = None
    raised: str = ""

    @property
    def holds(self) -> bool:
        """Whether spikes and gradients are the equation's."""
        return not self.raised and not self.differing and (self.gradient_error or 0.0) <= _CLOSE


def stated_table(framework: str, device: str = "cpu") -> list[StatedResult]:
    """Every class that the framework's adapter has an equation for.

    Args:
        framework: an installed one.
        device: where its classes run; the equations run on the processor.

    Raises:
        UnknownNameError, MissingFramework: see `spikemark.core.frameworks.get_adapter`.
    """
    return [compare_stated(name, stated, device) for name, stated in get_adapter(framework).stated().items()]


def compare_stated(name: str, stated: Stated, device: str = "cpu") -> StatedResult:
    """One class against its equation, on random currents of 0 to 3 thresholds, which hardly ever meet one exactly."""
    theta = stated.spec.threshold.init
    scale = 1 - stated.spec.decay.init if stated.spec.decay_input else 1.0
    random = generator("stated", name)
    currents = 3 * torch.rand((STEPS, _BATCH, *_SHAPE), generator=random) * theta / scale
    upstream = torch.randint(1, 8, currents.shape, generator=random) / 8
    try:
        layer = FrameworkLayer(name, stated.neuron, _SHAPE, generator=random, steps=STEPS)
        oracle = oracle_layer(stated.spec, _SHAPE, generator=random)
        if stated.each:
            spread = oracle.effective(stated.each) * _SPREAD
            layer.set_each(stated.each, spread)
            with torch.no_grad():
                oracle.get_parameter_or_buffer(stated.each).copy_(spread)
        expected, wanted = _run(oracle.double(), currents.double(), upstream)
        spikes, found = (part.cpu() for part in _run(layer.to(device), currents.to(device), upstream))
    except FAILURES as error:
        return StatedResult(name, stated.states, raised=f"{type(error).__name__}: {' '.join(str(error).split())}")
    differing = int((spikes.double() != expected).sum())
    gradient_error = float((found.double() - wanted).abs().max() / wanted.abs().max()) if stated.gradients else None
    return StatedResult(name, stated.states, spikes.numel(), differing, gradient_error)


def _run(layer: torch.nn.Module, currents: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor]:
    currents = currents.clone().requires_grad_()
    spikes = layer(currents)
    (gradient,) = torch.autograd.grad(spikes, currents, upstream.to(spikes))
    return spikes.detach(), gradient
