"""Normalisation of currents before a spiking layer.

Currents reach a normalisation folded to ``[T * B, C, ...]``, so batch norm takes its statistics over time and batch
jointly (the statistics of tdBN, Zheng et al., AAAI 2021, without its threshold scaling).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from torch import nn


def _joint_batch_norm(channels: int, spatial: bool) -> nn.Module:
    return nn.BatchNorm2d(channels) if spatial else nn.BatchNorm1d(channels)


def _none(channels: int, spatial: bool) -> nn.Module:
    return nn.Identity()


NORMALIZATIONS: Mapping[str, Callable[[int, bool], nn.Module]] = MappingProxyType(
    {"none": _none, "joint-bn": _joint_batch_norm}
)
