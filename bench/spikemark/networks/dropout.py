"""Dropout of spikes: masks of each step, or masks held over time.

Masks come from a stream named after the run's seed and the layer, so that contenders drop the same units; torch's
global generator plays no part.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikemark.core.streams import generator


class Masked(nn.Module):
    """A layer that draws masks.

    Attributes:
        stream: axes of the masks' stream; `spikemark.networks.build.build_network` adds the seed and the layer's name.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stream: tuple[str | int, ...] = ("dropout",)
        self._draws = 0

    def bernoulli(self, keep: Tensor) -> Tensor:
        """0/1 with the probabilities `keep`, from the next draw of the stream, of their type and on their device."""
        random = generator(*self.stream, self._draws)
        self._draws += 1
        drawn = torch.rand(keep.shape, generator=random)
        return (drawn.to(keep.device) < keep).to(keep.dtype)


class Dropout(Masked):
    """Units are silenced with probability `rate` in training, the others scaled by ``1 / (1 - rate)``.

    Args:
        rate: of dropped units.
        each_step: whether every step has a mask of its own, or one mask holds for all.
    """

    def __init__(self, rate: float, *, each_step: bool) -> None:
        super().__init__()
        self.rate = rate
        self.each_step = each_step

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, ...]`` to the same shape."""
        if not self.training:
            return x
        shape = x.shape if self.each_step else x.shape[1:]
        return x * self.bernoulli(x.new_full(shape, 1 - self.rate)) / (1 - self.rate)

    def extra_repr(self) -> str:
        """For printing."""
        return f"{self.rate}, each_step={self.each_step}"
