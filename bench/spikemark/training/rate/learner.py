"""The rules "rate-m" and "rate-s": rate-based backpropagation with the spike pass layer by layer, or step by step."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from torch import Tensor, nn

from spikemark.errors import InputError
from spikemark.systems import System
from spikemark.training.bptt import BpttLearner
from spikemark.training.learner import Protocol
from spikemark.training.losses import LOSSES
from spikemark.training.rate.passes import rate_pass, require_supported, spike_pass


class RateM(BpttLearner):
    """rate_M: every layer runs all T steps, then the next one; batch norm over all steps together.

    Rule options:
        divide_by_steps: whether the gradient is divided by T, as in the authors' code, which divides the step size by
            T in effect; false by default, since the gradient without it is already BPTT's in scale.

    Raises:
        InputError: an unknown option.
        Unsupported: the model has a layer whose mean over time is not known.
    """

    streaming: ClassVar[bool] = False

    def __init__(self, model: nn.Module, system: System, protocol: Protocol, seed: int) -> None:
        super().__init__(model, replace(system, rule_options={}), protocol, seed)  # BPTT's options are others
        self.system = system
        for name in system.rule_options:
            if name != "divide_by_steps":
                raise InputError(f"rule_options: unknown option {name!r} of {system.rule}; known: divide_by_steps")
        self._divide = bool(system.rule_options.get("divide_by_steps", False))
        require_supported(model)

    def differentiate(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """See `BpttLearner.differentiate`."""
        recorded = spike_pass(self.model, inputs, streaming=self.streaming)
        outputs = rate_pass(self.model, inputs.mean(0), recorded)
        loss = LOSSES[self.system.loss](outputs, labels)
        (loss / len(inputs) if self._divide else loss).backward()
        return loss, outputs


class RateS(RateM):
    """rate_S: every step runs through all layers, and nothing of it is kept; batch norm a step at a time."""

    streaming: ClassVar[bool] = True
