"""A model: a module that keeps its own loop over time, as most code that is not ours does."""

import math

import torch
from torch import nn

from spikemark import model


class Leaky(nn.Module):
    def __init__(self, inputs, classes, steps):
        super().__init__()
        self.steps = steps
        self.hidden = nn.Linear(inputs, 64)
        self.readout = nn.Linear(64, classes)

    def forward(self, images):  # [B, *input_shape]
        current, membrane, scores = self.hidden(images.flatten(1)), 0.0, []
        for _ in range(self.steps):
            membrane = 0.5 * membrane + current
            soft = torch.sigmoid(4 * (membrane - 1))
            spikes = (membrane >= 1).float() + soft - soft.detach()
            membrane = membrane * (1 - spikes.detach())
            scores.append(self.readout(spikes))
        return torch.stack(scores)  # [T, B, classes]


@model("my-leaky", framework="torch", layout="B", source="made for the documentation")
def build(input_shape, classes, steps):
    return Leaky(math.prod(input_shape), classes, steps)
