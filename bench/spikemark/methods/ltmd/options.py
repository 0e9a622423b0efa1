"""The options of LTMD's rule; no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from spikemark.training.bptt import Bptt
from spikemark.training.rule import Learner, Protocol

if TYPE_CHECKING:
    from torch import nn


class ConsistentBptt(Bptt):
    """Backpropagation through time that asks two readings of each sample to agree (LTMD's consistency loss).

    Attributes:
        consistency: weight of their disagreement in the loss.
    """

    name = "bptt+consistency"

    consistency: Annotated[float, Field(gt=0)] = 0.5

    def learner(self, model: nn.Module, protocol: Protocol, seed: int) -> Learner[Bptt]:
        """See `Rule.learner`."""
        from spikemark.methods.ltmd.rule import ConsistentLearner

        return ConsistentLearner(model, self, protocol, seed)
