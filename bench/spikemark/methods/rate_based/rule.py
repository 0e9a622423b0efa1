"""The learner of "rate-m" and "rate-s": rate-based backpropagation, the spike pass layer by layer or step by step."""

from __future__ import annotations

from torch import Tensor, nn

from spikemark.methods.rate_based.options import RateM
from spikemark.methods.rate_based.passes import rate_pass, require_supported, spike_pass
from spikemark.training.bptt import GradientLearner
from spikemark.training.rule import Protocol


class RateLearner(GradientLearner[RateM]):
    """Spikes without a graph, then the gradient of an ordinary network on mean rates.

    Raises:
        Unsupported: the model has a layer whose mean over time is not known.
    """

    def __init__(self, model: nn.Module, rule: RateM, protocol: Protocol, seed: int) -> None:
        super().__init__(model, rule, protocol, seed)
        require_supported(model)

    def differentiate(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """See `GradientLearner.differentiate`."""
        recorded = spike_pass(self.model, inputs, streaming=self.rule.streaming)
        outputs = rate_pass(self.model, inputs.mean(0), recorded)
        loss = self.loss(outputs, labels)
        (loss / len(inputs) if self.rule.divide_by_steps else loss).backward()
        return loss, outputs
