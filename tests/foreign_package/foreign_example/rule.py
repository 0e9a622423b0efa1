"""Backpropagation through time towards smoothed labels, with one option of its own."""

from typing import Annotated

from pydantic import Field

from spikemark import rule
from spikemark.training.bptt import Gradient, GradientLearner


class SmoothedLearner(GradientLearner):
    def loss_of(self, outputs, readings, labels):
        evenly = (outputs - 1 / outputs.shape[1]).square().mean()
        return (1 - self.rule.smoothing) * self.loss(outputs, labels) + self.rule.smoothing * evenly


@rule("bptt+smoothing", source="label smoothing: Szegedy et al., CVPR 2016")
class Smoothed(Gradient):
    name = "bptt+smoothing"

    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.1

    def learner(self, model, protocol, seed):
        return SmoothedLearner(model, self, protocol, seed)
