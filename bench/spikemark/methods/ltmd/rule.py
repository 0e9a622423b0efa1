"""LTMD's consistency loss: under moderate dropout, two readings of a sample should agree."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from spikemark.methods.ltmd.options import ConsistentBptt
from spikemark.training.bptt import BpttLearner


def disagreement(readings: Tensor) -> Tensor:
    """Symmetric Kullback-Leibler divergence of two readings ``[2, B, classes]``, softmaxed: LTMD's consistency loss.

    ``(mean(p2 log(p2 / p1)) + mean(p1 log(p1 / p2))) / 2``, means over samples and classes, as the authors' code.
    """
    first, second = F.log_softmax(readings, dim=-1).unbind()
    both: Tensor = (second.exp() - first.exp()) * (second - first)
    return 0.5 * both.mean()


class ConsistentLearner(BpttLearner):
    """`BpttLearner` with the disagreement of the readings in its loss."""

    rule: ConsistentBptt

    def loss_of(self, outputs: Tensor, readings: Tensor, labels: Tensor) -> Tensor:
        """See `GradientLearner.loss_of`."""
        return super().loss_of(outputs, readings, labels) + self.rule.consistency * disagreement(readings)
