"""Dropout of spikes: masks of each step, masks held over time, and LTMD's moderate dropout.

Masks come from a stream named after the run's seed and the layer, so that contenders drop the same units; torch's
global generator plays no part.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikemark.streams import generator


class Masked(nn.Module):
    """A layer that draws masks.

    Attributes:
        stream: axes of the masks' stream; `spikemark.networks.build_network` adds the seed and the layer's name.
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
        each_step: whether every step has a mask of its own (STL-SNN's code) or one mask holds for all (PLIF's).
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


class ModerateDropout(Masked):
    """LTMD's dropout (Wang, Cheng and Lim, NeurIPS 2022): the more active a unit, the likelier it is kept.

    In training, every sample is given twice, under two masks, one after the other along the batch; the loss then asks
    both readings to agree. The authors double the batch one layer earlier, which gives the same values. Probabilities
    carry no gradient here; in the authors' code some flows through ``1 / keep``.

    Args:
        rate: mean rate r of dropped units.
    """

    READINGS = 2

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, N]`` to ``[T, 2 B, N]`` in training, unchanged otherwise."""
        if not self.training:
            return x
        keep = keep_probability(x.detach().mean(0), self.rate)
        readings = []
        for _ in range(self.READINGS):
            mask = self.bernoulli(keep)
            readings.append(x * (mask / torch.where(keep > 0, keep, 1)))
        return torch.cat(readings, dim=1)

    def extra_repr(self) -> str:
        """For printing."""
        return f"{self.rate}"


def keep_probability(activity: Tensor, rate: float) -> Tensor:
    """``clip(1 - (1 - p) r / (1 - mean p), 0, 1)`` with p the activity moved and scaled to 0..1 over the whole batch.

    The mean over all units is ``1 - r`` wherever nothing is clipped. Where all units are equally active, each is kept
    with probability ``1 - r``.

    Args:
        activity: mean over time, ``[B, N]``.
        rate: r.
    """
    low, high = activity.min(), activity.max()
    p = torch.where(high > low, (activity - low) / (high - low), torch.zeros_like(activity))
    return (1 - (1 - p) * rate / (1 - p.mean())).clamp(0, 1)
