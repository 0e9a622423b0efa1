"""What happens to the samples before they are encoded. Functions of ``(inputs [N, ...], level, generator)``.

Lengths are fractions of an image's side, so that a level means the same on 8x8 and 32x32 pixels. Results may leave
0..1: `spikemark.noise.case.on_inputs` clips them.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from spikemark.errors import InputError


def gaussian(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Add noise of standard deviation `level`."""
    return inputs + level * torch.randn(inputs.shape, generator=generator)


def uniform(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Add noise drawn evenly from ``-level..level``."""
    return inputs + level * (2 * torch.rand(inputs.shape, generator=generator) - 1)


def salt_and_pepper(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Set a fraction `level` of the values to 0 or 1, either with equal chance."""
    draws = torch.rand(inputs.shape, generator=generator)
    peppered = inputs.masked_fill(draws < level / 2, 0.0)
    return peppered.masked_fill_((draws >= level / 2) & (draws < level), 1.0)


def shot(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Count photons: Poisson of mean ``level * x``, divided by `level`."""
    return torch.poisson(inputs * level, generator=generator) / level


def speckle(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Multiply by ``1 + level * normal``."""
    return inputs * (1 + level * torch.randn(inputs.shape, generator=generator))


def contrast(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Shrink the distance of every pixel to its image's mean to the fraction `level`."""
    from kornia.enhance import adjust_contrast_with_mean_subtraction

    adjusted: Tensor = adjust_contrast_with_mean_subtraction(_images(inputs), level)
    return adjusted


def brightness(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Add `level` to every pixel."""
    from kornia.enhance import adjust_brightness

    adjusted: Tensor = adjust_brightness(_images(inputs), level)
    return adjusted


def gaussian_blur(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Blur with a Gaussian of standard deviation `level` sides, cut off at three of them."""
    from kornia.filters import gaussian_blur2d

    sigma = level * _side(inputs)
    reach = min(math.ceil(3 * sigma), _side(inputs) - 1)  # reflection cannot reach over more than one side
    blurred: Tensor = gaussian_blur2d(inputs, (2 * reach + 1, 2 * reach + 1), (sigma, sigma))
    return blurred


def motion_blur(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Smear each image along a line of `level` sides (an odd number of pixels, at least 3) in a random direction."""
    from kornia.filters import motion_blur as smear

    length = max(3, 2 * round(level * _side(inputs) / 2) + 1)
    angles = 360 * torch.rand(len(inputs), generator=generator)
    blurred: Tensor = smear(inputs, length, angles, torch.zeros(len(inputs)))
    return blurred


def occlusion(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Blacken a square of `level` sides at a random place inside each image."""
    height, width = _images(inputs).shape[-2:]
    size = max(1, round(level * _side(inputs)))
    rows = _span(height, size, len(inputs), generator)
    columns = _span(width, size, len(inputs), generator)
    return inputs.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


def rotation(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Turn each image by `level` degrees, clockwise or counter-clockwise with equal chance; corners become 0."""
    from kornia.geometry.transform import rotate

    signs = 1.0 - 2.0 * torch.randint(2, (len(inputs),), generator=generator)
    turned: Tensor = rotate(_images(inputs), level * signs)
    return turned


def translation(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Shift each image by `level` sides in a random direction; what moves in is 0."""
    from kornia.geometry.transform import translate

    angles = 2 * math.pi * torch.rand(len(inputs), generator=generator)
    shifts = level * _side(inputs) * torch.stack((angles.cos(), angles.sin()), dim=1)
    moved: Tensor = translate(inputs, shifts)
    return moved


def _images(inputs: Tensor) -> Tensor:
    if inputs.dim() != 4:
        raise InputError(f"this noise takes images [N, C, H, W]; the samples have shape {list(inputs.shape)}")
    return inputs


def _side(inputs: Tensor) -> int:
    """The shorter side in pixels."""
    return min(_images(inputs).shape[-2:])


def _span(length: int, size: int, count: int, generator: torch.Generator) -> Tensor:
    """``[count, length]``: True on `size` neighbouring places, beginning at random."""
    starts = torch.randint(length - size + 1, (count, 1), generator=generator)
    places = torch.arange(length)
    return (places >= starts) & (places < starts + size)
