"""Normalisations over time: TEBN (Duan et al., NeurIPS 2022) and those that it is compared with.

Those that hold something for every step know T when they are made and take no other number of steps.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from spikemark.core.stages import ChannelNorm, Moments
from spikemark.errors import InputError
from spikemark.networks.normalization import JointBatchNorm, Surroundings


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
    """TEBN (Duan et al., NeurIPS 2022): ``p[t] * BN(x)[t]``, joint statistics and one learned weight per step.

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
        _require_steps(len(x), len(self.p))
        return super().forward(x) * self.p.view(-1, *(1 for _ in x.shape[1:]))

    def line(self, mean: Tensor | None, variance: Tensor | None, count: int, steps: int) -> tuple[Tensor, Tensor]:
        """See `ChannelNorm.line`."""
        _require_steps(steps, len(self.p))
        gain, offset = super().line(mean, variance, count, steps)
        return gain * self.p[:, None], offset * self.p[:, None]


class BatchNormThroughTime(nn.ModuleList, ChannelNorm):
    """BNTT (Kim and Panda 2021, arXiv 2010.01729): a batch norm of its own for every step."""

    def __init__(self, channels: int, steps: int) -> None:
        super().__init__(JointBatchNorm(channels) for _ in range(steps))

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, C, ...]`` to the same shape."""
        _require_steps(len(x), len(self))
        return torch.cat([norm(step[None]) for norm, step in zip(self, x, strict=True)])

    def moments(self) -> Moments | None:
        """See `ChannelNorm.moments`."""
        return "step" if self.training else None

    def line(self, mean: Tensor | None, variance: Tensor | None, count: int, steps: int) -> tuple[Tensor, Tensor]:
        """See `ChannelNorm.line`."""
        _require_steps(steps, len(self))
        norms = [norm for norm in self if isinstance(norm, JointBatchNorm)]
        if mean is None or variance is None:
            rows = [norm.line(None, None, count, 1) for norm in norms]
        else:
            rows = [norm.line(m[None], v[None], count, 1) for norm, m, v in zip(norms, mean, variance, strict=True)]
        gains, offsets = zip(*rows, strict=True)
        return torch.cat(gains), torch.cat(offsets)


def _require_steps(steps: int, made_for: int) -> None:
    if steps != made_for:
        raise InputError(f"this normalisation was made for {made_for} steps; the currents have {steps}")


def tdbn(channels: int, around: Surroundings) -> nn.Module:
    """See `ThresholdBatchNorm`."""
    return ThresholdBatchNorm(channels, around.threshold)


def tebn(channels: int, around: Surroundings) -> nn.Module:
    """See `TemporalEffectiveBatchNorm`."""
    return TemporalEffectiveBatchNorm(channels, around.steps_for("tebn"))


def bntt(channels: int, around: Surroundings) -> nn.Module:
    """See `BatchNormThroughTime`."""
    return BatchNormThroughTime(channels, around.steps_for("bntt"))
