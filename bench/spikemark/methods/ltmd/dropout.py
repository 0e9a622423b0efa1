"""Moderate dropout: the more active a unit, the likelier it is kept (Wang, Cheng and Lim, NeurIPS 2022)."""

from __future__ import annotations

import torch
from torch import Tensor

from spikemark.networks.dropout import Masked


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

    The mean over all units is ``1 - r`` where nothing is clipped. Where all units are equally active, each is kept
    with probability ``1 - r``.

    Args:
        activity: mean over time, ``[B, N]``.
        rate: r.
    """
    low, high = activity.min(), activity.max()
    p = torch.where(high > low, (activity - low) / (high - low), torch.zeros_like(activity))
    return (1 - (1 - p) * rate / (1 - p.mean())).clamp(0, 1)
