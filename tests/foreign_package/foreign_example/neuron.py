import torch
from torch import nn

from spikemark import neuron


@neuron("resonator", framework="torch", learned=["threshold"], source="resonate-and-fire: Izhikevich 2001")
class Resonator(nn.Module):
    def __init__(self, shape, *, generator=None):
        super().__init__()
        self.threshold = nn.Parameter(torch.ones(shape))

    def forward(self, currents):  # [T, B, *shape]
        x, y, spikes = torch.zeros_like(currents[0]), torch.zeros_like(currents[0]), []
        for current in currents:
            x, y = 0.8 * x - 0.4 * y + current, 0.4 * x + 0.8 * y
            soft = torch.sigmoid(4 * (x - self.threshold))  # its slope is the surrogate
            spikes.append((x >= self.threshold).float() + soft - soft.detach())
        return torch.stack(spikes)
