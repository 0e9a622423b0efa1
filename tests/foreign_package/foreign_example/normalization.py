"""A normalization: divide by the running mean of the currents' magnitude."""

import torch
from torch import nn

from spikemark import register


class Magnitude(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.register_buffer("mean", torch.ones(channels))

    def forward(self, currents):  # [T, B, C, ...]
        shape = (-1, *(1 for _ in currents.shape[3:]))
        if self.training:
            others = [axis for axis in range(currents.dim()) if axis != 2]
            self.mean.lerp_(currents.detach().abs().mean(others), 0.1)
        return currents / self.mean.view(shape)


def magnitude(channels, around):
    return Magnitude(channels)


register("normalization", "magnitude", magnitude, source="made for the documentation")
