"""Pairs of a nonzero input and a nonzero weight in one call of a linear or convolutional function.

None of them multiplies the inputs again: the nonzero inputs are first added up over time and batch, and only their map
meets the weights. Padding pairs with nothing; a bias is no weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikemark.measures.counting.census import CensusTaker, census
from spikemark.measures.counting.input_kinds import InputValues

COUNTED_LAYERS = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


class Tally:
    """Totals of one layer over its calls."""

    def __init__(self) -> None:
        self.operations = 0
        self.dense = 0
        self.values = InputValues()


def _linear_pairs(
    tally: Tally,
    take: CensusTaker,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
) -> None:
    rows = input.reshape(-1, input.shape[-1])
    known = take(rows)
    tally.operations += int(known.nonzero @ census(weight).nonzero)
    tally.dense += len(rows) * weight.numel()
    tally.values.see(rows, known)


def _conv_pairs(
    convolve: Callable[..., Tensor],
    tally: Tally,
    take: CensusTaker,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    *settings: Any,
    **named: Any,
) -> None:
    """One map of nonzero inputs, convolved with the number of nonzero weights at each offset, holds every pair once."""
    images = input.unsqueeze(0) if input.dim() == weight.dim() - 1 else input
    known = take(images)
    groups = images.shape[1] // weight.shape[1]

    def pairs(inputs: Tensor, weights: Tensor) -> int:
        if convolve in _TRANSPOSED:
            fan_out = census(weights.movedim(1, 0)).nonzero.unsqueeze(1)
        else:
            fan_out = census(weights.reshape(groups, -1, *weights.shape[1:]).movedim(1, 0)).nonzero
        return int(convolve(inputs.unsqueeze(0), fan_out, None, *settings, **named).sum())

    tally.operations += pairs(known.nonzero, weight)
    tally.dense += pairs(torch.full_like(known.nonzero, len(images)), torch.ones_like(weight))
    tally.values.see(images, known)


_CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)
_TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
PAIRS: Mapping[Any, Callable[..., None]] = {
    F.linear: _linear_pairs,
    **{convolve: partial(_conv_pairs, convolve) for convolve in (*_CONVOLUTIONS, *_TRANSPOSED)},
}
