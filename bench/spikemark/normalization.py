"""Normalisation of currents before a spiking layer: which statistics, over which steps, scaled by what.

Every normalisation maps currents ``[T, B, C, ...]`` to currents of the same shape; ``C`` are its channels. Those that
hold something for every step know T when they are made and take no other number of steps.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikemark.errors import InputError


@dataclass(frozen=True)
class Surroundings:
    """What a normalisation may know of where it stands.

    Attributes:
        steps: T, where it is known already.
        threshold: first effective threshold of the neurons behind it.
    """

    steps: int | None = None
    threshold: float = 1.0


class JointBatchNorm(_BatchNorm):
    """One mean and variance a channel, over batch, steps and space together."""

    def _check_input_dim(self, x: Tensor) -> None:
        """Any ``[N, C, ...]``: there is no shape that this would have to refuse."""

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, C, ...]`` to the same shape."""
        normalised: Tensor = super().forward(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return normalised


class StepBatchNorm(JointBatchNorm):
    """Statistics of each step apart, with affine map and running statistics shared by all (STL-SNN's and PLIF's code).

    This is what plain batch norm does in a network that is run step by step.
    """

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, C, ...]`` to the same shape."""
        if not self.training:
            return super().forward(x)
        return torch.cat([JointBatchNorm.forward(self, step[None]) for step in x])


class ThresholdBatchNorm(JointBatchNorm):
    """tdBN (Zheng et al., AAAI 2021, arXiv 2011.05280): joint statistics, normalised to ``alpha * threshold``.

    The scale is the first value of the affine gain instead of a factor beside it; where the threshold is 1, this is
    `JointBatchNorm` exactly.
    """

    def __init__(self, channels: int, threshold: float, alpha: float = 1.0) -> None:
        self.scale = alpha * threshold
        super().__init__(channels)

    def reset_parameters(self) -> None:
        """Gains to ``alpha * threshold``, offsets to 0."""
        super().reset_parameters()
        nn.init.constant_(self.weight, self.scale)


class TemporalEffectiveBatchNorm(JointBatchNorm):
    """TEBN (Duan et al., NeurIPS 2022): ``p[t] * BN(x)[t]``, joint statistics and one learned weight a step.

    Args:
        channels: C.
        steps: T, the length of ``p``, which starts at 1.
    """

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__(channels)
        self.p = nn.Parameter(torch.ones(steps))

    def reset_parameters(self) -> None:
        """The affine map to the identity, ``p`` to 1."""
        super().reset_parameters()
        if hasattr(self, "p"):  # torch resets while it constructs, before there is one
            nn.init.ones_(self.p)

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, C, ...]`` to the same shape."""
        _require_steps(x, len(self.p))
        return super().forward(x) * self.p.view(-1, *(1 for _ in x.shape[1:]))


class BatchNormThroughTime(nn.ModuleList):
    """BNTT (Kim and Panda 2021, arXiv 2010.01729): a batch norm of its own for every step."""

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__(JointBatchNorm(channels) for _ in range(steps))

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, C, ...]`` to the same shape."""
        _require_steps(x, len(self))
        return torch.cat([norm(step[None]) for norm, step in zip(self, x, strict=True)])


def _require_steps(x: Tensor, steps: int) -> None:
    if len(x) != steps:
        raise ValueError(f"this normalisation was made for {steps} steps; the currents have {len(x)}")


def _steps(name: str, surroundings: Surroundings) -> int:
    if surroundings.steps is None:
        raise InputError(f"normalization {name!r} holds parameters for every step: the number of steps must be given")
    return surroundings.steps


NORMALIZATIONS: Mapping[str, Callable[[int, Surroundings], nn.Module]] = MappingProxyType(
    {
        "none": lambda channels, around: nn.Identity(),
        "joint-bn": lambda channels, around: JointBatchNorm(channels),
        "step-bn": lambda channels, around: StepBatchNorm(channels),
        "tdbn": lambda channels, around: ThresholdBatchNorm(channels, around.threshold),
        "tebn": lambda channels, around: TemporalEffectiveBatchNorm(channels, _steps("tebn", around)),
        "bntt": lambda channels, around: BatchNormThroughTime(channels, _steps("bntt", around)),
    }
)
