"""A normalization: divide by the mean magnitude of each channel's currents, and shift nothing."""

import torch
from torch import nn

from spikemark import register


class Magnitude(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.register_buffer("mean", torch.ones(channels))

    def forward(self, currents):  # [T, B, C, ...]
        mean = self.mean
        if self.training:
            mean = currents.abs().mean([axis for axis in range(currents.dim()) if axis != 2]) + 1e-5
            self.mean.lerp_(mean.detach(), 0.1)
        return currents / mean.view(-1, *(1 for _ in currents.shape[3:]))


def magnitude(channels, around):
    return Magnitude(channels)


register("normalization", "magnitude", magnitude, source="made for the documentation")
