"""Losses on mean scores.

Scores ``[readings * B, classes]`` may hold several readings of each sample, one after the other (see
`spikemark.networks.stages.SpikingNetwork`); labels stay ``[B]``. The loss is then the mean over all readings.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import Tensor
from torch.nn import functional as F


def mse_rate(rates: Tensor, labels: Tensor) -> Tensor:
    """Mean squared error between rates ``[B, classes]`` and one-hot labels, as most papers on learned neurons do."""
    return F.mse_loss(rates, F.one_hot(_for_readings(labels, rates), rates.shape[1]).to(rates.dtype))


def cross_entropy_rate(rates: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy with the rates ``[B, classes]`` as logits."""
    return F.cross_entropy(rates, _for_readings(labels, rates))


def _for_readings(labels: Tensor, scores: Tensor) -> Tensor:
    readings, left = divmod(len(scores), len(labels))
    if left:
        raise ValueError(f"{len(scores)} rows of scores are no whole number of readings of {len(labels)} samples")
    return labels.repeat(readings)


LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {"mse-rate": mse_rate, "cross-entropy-rate": cross_entropy_rate}
)
