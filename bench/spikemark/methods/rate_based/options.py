"""The options of rate-based backpropagation; no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from spikemark.training.bptt import Gradient
from spikemark.training.rule import Learner, Protocol

if TYPE_CHECKING:
    from torch import nn


class RateM(Gradient):
    """rate_M: every layer runs all T steps, then the next one; batch norm over all steps together.

    Attributes:
        streaming: whether every step runs through all layers instead.
        divide_by_steps: whether the gradient is divided by T, as in the authors' code, which divides the step size by
            T in effect; false by default, since the gradient without it is already BPTT's in scale.
    """

    name = "rate-m"
    streaming: ClassVar[bool] = False

    divide_by_steps: bool = False

    def learner(self, model: nn.Module, protocol: Protocol, seed: int) -> Learner[RateM]:
        """See `Rule.learner`."""
        from spikemark.methods.rate_based.rule import RateLearner

        return RateLearner(model, self, protocol, seed)


class RateS(RateM):
    """rate_S: every step runs through all layers, and nothing of it is kept; batch norm one step at a time."""

    name = "rate-s"
    streaming: ClassVar[bool] = True
