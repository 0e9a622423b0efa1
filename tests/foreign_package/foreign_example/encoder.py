"""An encoder: the brighter a pixel, the longer it spikes at every step."""

import torch

from spikemark import encoder


@encoder("duration", source="made for the documentation")
def duration(inputs, steps, generator):
    clock = torch.arange(steps).view(-1, *(1 for _ in inputs.shape))
    return (clock < inputs * steps).to(inputs.dtype)
