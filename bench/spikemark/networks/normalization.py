"""Normalisation of currents before a spiking layer: which statistics, over which steps, scaled by what.

Every normalisation maps currents ``[T, B, C, ...]`` to currents of the same shape; ``C`` are its channels. Those that
hold something for every step know T when they are made and take no other number of steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikemark.errors import InputError
from spikemark.registry import Registry, registry


@dataclass(frozen=True)
class Surroundings:
    """What a normalisation may know of where it stands.

    Attributes:
        steps: T, where it is known already.
        threshold: first effective threshold of the neurons behind it.
    """

    steps: int | None = None
    threshold: float = 1.0

    def steps_for(self, normalization: str) -> int:
        """T, for a normalisation that holds parameters for every step.

        Raises:
            InputError: T is not known.
        """
        if self.steps is None:
            raise InputError(
                f"normalization {normalization!r} holds parameters for every step: the number of steps must be given"
            )
        return self.steps


MakeNormalization = Callable[[int, Surroundings], nn.Module]
"""From a number of channels, and what is known around, to a normalisation of ``[T, B, C, ...]``."""
NORMALIZATIONS: Registry[MakeNormalization] = registry("normalization")


class JointBatchNorm(_BatchNorm):
    """One mean and variance per channel, over batch, steps and space together."""

    def _check_input_dim(self, x: Tensor) -> None:
        """Any ``[N, C, ...]``: there is no shape that this would have to refuse."""

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, C, ...]`` to the same shape."""
        normalised: Tensor = super().forward(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return normalised


class StepBatchNorm(JointBatchNorm):
    """Statistics of each step apart, with affine map and running statistics shared by all.

    This is what plain batch norm does in a network that is run step by step.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, C, ...]`` to the same shape."""
        if not self.training:
            return super().forward(x)
        return torch.cat([JointBatchNorm.forward(self, step[None]) for step in x])


def none(channels: int, around: Surroundings) -> nn.Module:
    """No normalisation."""
    return nn.Identity()


def joint_bn(channels: int, around: Surroundings) -> nn.Module:
    """See `JointBatchNorm`."""
    return JointBatchNorm(channels)


def step_bn(channels: int, around: Surroundings) -> nn.Module:
    """See `StepBatchNorm`."""
    return StepBatchNorm(channels)
