"""A network of two paths: deep and shallow, added before the readout."""

import math

from torch import nn

from spikemark import network
from spikemark.networks.stages import PopulationReadout, Stage


class TwoPaths(nn.Module):
    def __init__(self, inputs, hidden, classes, neurons, norm):
        super().__init__()

        def stage(fan_in, width):
            return Stage(nn.Linear(fan_in, width, bias=False), norm(width), neurons((width,)), out_shape=(width,))

        outputs = 10 * classes
        self.deep = nn.Sequential(stage(inputs, hidden), stage(hidden, outputs))
        self.shallow = stage(inputs, outputs)
        self.readout = PopulationReadout(classes)

    def forward(self, inputs):
        flat = inputs.flatten(2)
        return self.readout(self.deep(flat) + self.shallow(flat)) / 2


@network("two-paths", source="made for the documentation")
def two_paths(input_shape, classes, neurons, norm, *, hidden=64):
    return TwoPaths(math.prod(input_shape), hidden, classes, neurons, norm)
