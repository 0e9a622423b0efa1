"""A noise on samples: pixels of the camera that stay dark."""

import torch

from spikemark import noise


@noise(
    "dead-pixels",
    domain="input",
    levels=(0.05, 0.1, 0.2, 0.3, 0.5),
    unit="fraction of pixels",
    summary="Pixels of the camera that stay dark.",
    source="made for the documentation",
)
def dead_pixels(inputs, level, generator):  # [N, ...] in 0..1
    dead = torch.rand(inputs.shape, generator=generator) < level
    return inputs.masked_fill(dead, 0.0)
