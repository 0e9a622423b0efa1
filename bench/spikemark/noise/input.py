"""What happens to the samples before they are encoded. Functions of ``(inputs [N, ...], level, generator)``.

Lengths are fractions of an image's side, so that a level means the same on 8x8 and 32x32 pixels. Results may leave
0..1: `spikemark.noise.targets.on_inputs` clips them. Draws are made sample after sample, so that the first samples meet
the same noise however many follow.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from spikemark.core.lazy import LazyModule
from spikemark.errors import InputError
from spikemark.noise.case import noise

if TYPE_CHECKING:
    import torch
    from torch import Tensor
else:
    torch = LazyModule("torch")

_HENDRYCKS = "Hendrycks and Dietterich, ICLR 2019 (arXiv 1903.12261)"
_MU = "Mu and Gilmer 2019, MNIST-C (arXiv 1906.02337)"
_CUTOUT = "DeVries and Taylor 2017, Cutout (arXiv 1708.04552)"
_BLOCK = 16  # torch draws normal numbers in blocks of so many, and the last ones anew where a block is not full


@noise(
    "gaussian",
    domain="input",
    levels=(0.1, 0.2, 0.3, 0.4, 0.5),
    unit="standard deviation of full scale",
    summary="Normal noise added to every value.",
    source=_HENDRYCKS,
)
def gaussian(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Add noise of standard deviation `level`."""
    return inputs + level * _normal(inputs, generator)


@noise(
    "uniform",
    domain="input",
    levels=(0.2, 0.35, 0.5, 0.65, 0.8),
    unit="half-width of full scale",
    summary="Evenly distributed noise added to every value.",
    source="as gaussian, with bounded noise",
)
def uniform(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Add noise drawn evenly from ``-level..level``."""
    return inputs + level * (2 * torch.rand(inputs.shape, generator=generator) - 1)


@noise(
    "salt-and-pepper",
    domain="input",
    levels=(0.05, 0.1, 0.18, 0.28, 0.4),
    unit="fraction of values",
    summary="Values replaced by 0 or 1.",
    source=f"{_HENDRYCKS}: impulse noise",
)
def salt_and_pepper(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Set a fraction `level` of the values to 0 or 1, either with equal chance."""
    draws = torch.rand(inputs.shape, generator=generator)
    peppered = inputs.masked_fill(draws < level / 2, 0.0)
    return peppered.masked_fill_((draws >= level / 2) & (draws < level), 1.0)


@noise(
    "shot",
    domain="input",
    levels=(20.0, 5.0, 2.0, 0.8, 0.35),
    unit="photons at full scale",
    summary="Poisson noise of counted photons.",
    source=_HENDRYCKS,
)
def shot(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Count photons: Poisson of mean ``level * x``, divided by `level`."""
    return torch.poisson(inputs * level, generator=generator) / level


@noise(
    "speckle",
    domain="input",
    levels=(0.4, 0.7, 1.1, 1.7, 2.5),
    unit="standard deviation of a value of 1",
    summary="Normal noise in proportion to the value.",
    source=_HENDRYCKS,
)
def speckle(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Multiply by ``1 + level * normal``."""
    return inputs * (1 + level * _normal(inputs, generator))


@noise(
    "contrast",
    domain="input",
    levels=(0.8, 0.65, 0.55, 0.45, 0.35),
    unit="factor",
    summary="Distance to the image's mean shrunk.",
    source=_HENDRYCKS,
    kinds=("image",),
)
def contrast(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Shrink the distance of every pixel to its image's mean to the fraction `level`."""
    images, factor = _images(inputs), inputs.new_tensor(level)
    return images * factor + images.mean((-3, -2, -1), keepdim=True) * (1 - factor)


@noise(
    "brightness",
    domain="input",
    levels=(0.07, 0.13, 0.18, 0.23, 0.28),
    unit="of full scale",
    summary="A constant added to every pixel.",
    source=_HENDRYCKS,
    kinds=("image",),
)
def brightness(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Add `level` to every pixel."""
    from kornia.enhance import adjust_brightness

    adjusted: Tensor = adjust_brightness(_images(inputs), level)
    return adjusted


@noise(
    "gaussian-blur",
    domain="input",
    levels=(0.02, 0.035, 0.055, 0.08, 0.12),
    unit="standard deviation in sides",
    summary="Blurred evenly in all directions.",
    source=_HENDRYCKS,
    kinds=("image",),
)
def gaussian_blur(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Blur with a Gaussian of standard deviation `level` sides, cut off at three of them."""
    from kornia.filters import gaussian_blur2d

    sigma = level * _side(inputs)
    reach = min(math.ceil(3 * sigma), _side(inputs) - 1)  # reflection cannot reach over more than one side
    blurred: Tensor = gaussian_blur2d(inputs, (2 * reach + 1, 2 * reach + 1), (sigma, sigma))
    return blurred


@noise(
    "motion-blur",
    domain="input",
    levels=(0.1, 0.2, 0.3, 0.4, 0.5),
    unit="length in sides",
    summary="Smeared along a line in a random direction.",
    source=f"{_HENDRYCKS}, {_MU}",
    kinds=("image",),
)
def motion_blur(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Smear each image along a line of `level` sides (an odd number of pixels, at least 3) in a random direction."""
    from kornia.filters import motion_blur as smear

    length = max(3, 2 * round(level * _side(inputs) / 2) + 1)
    angles = 360 * torch.rand(len(inputs), generator=generator)
    blurred: Tensor = smear(inputs, length, angles, torch.zeros(len(inputs)))
    return blurred


@noise(
    "occlusion",
    domain="input",
    levels=(0.17, 0.3, 0.42, 0.55, 0.68),
    unit="side of the square in sides",
    summary="A black square at a random place.",
    source=_CUTOUT,
    kinds=("image",),
)
def occlusion(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Blacken a square of `level` sides at a random place inside each image."""
    height, width = _images(inputs).shape[-2:]
    size = max(1, round(level * _side(inputs)))
    draws = torch.rand((len(inputs), 2), generator=generator)
    rows, columns = span(height, size, draws[:, :1]), span(width, size, draws[:, 1:])
    return inputs.masked_fill((rows[:, :, None] & columns[:, None, :])[:, None], 0.0)


@noise(
    "rotation",
    domain="input",
    levels=(2.0, 5.0, 8.0, 11.0, 15.0),
    unit="degrees",
    summary="Turned either way.",
    source=_MU,
    kinds=("image",),
)
def rotation(inputs: Tensor, level: float, generator: torch.Generator) -> Tensor:
    """Turn each image by `level` degrees, clockwise or counter-clockwise with equal chance; corners become 0."""
    from kornia.geometry.transform import rotate

    signs = 1.0 - 2.0 * torch.randint(2, (len(inputs),), generator=generator)
    turned: Tensor = rotate(_images(inputs), level * signs)
    return turned


@noise(
    "translation",
    domain="input",
    levels=(0.015, 0.03, 0.05, 0.07, 0.095),
    unit="distance in sides",
    summary="Shifted in a random direction.",
    source=_MU,
    kinds=("image",),
)
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


def span(length: int, size: int, draws: Tensor) -> Tensor:
    """``[N, length]``: True on `size` neighbouring places, which begin where the draws ``[N, 1]`` in 0..1 say."""
    starts = (draws * (length - size + 1)).long()
    places = torch.arange(length)
    return (places >= starts) & (places < starts + size)


def _normal(inputs: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal draws like the inputs, of whole blocks for each sample, so that none depends on the others."""
    size = inputs[:1].numel()
    draws = torch.randn((len(inputs), -(-size // _BLOCK) * _BLOCK), generator=generator)
    return draws[:, :size].reshape(inputs.shape)
