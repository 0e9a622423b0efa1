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

from spikemark.core.stages import ChannelNorm, Moments
from spikemark.errors import InputError
from spikemark.networks.stages import is_constant
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


class JointBatchNorm(_BatchNorm, ChannelNorm):
    """One mean and variance per channel, over batch, steps and space together.

    Constant currents are normalised once: their statistics are those of one step. Only the unbiased variance, which is
    what running statistics hold, knows that there are T times as many values.
    """

    def _check_input_dim(self, x: Tensor) -> None:
        """Any ``[N, C, ...]``: there is no shape that this would have to refuse."""

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, C, ...]`` to the same shape."""
        if self._seen_once(x):
            once = self._once(x[0], lambda before, after: self._with_more_values(before, after, len(x), x[0]))
            return once.expand(x.shape)
        normalised: Tensor = super().forward(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        return normalised

    def moments(self) -> Moments | None:
        """See `ChannelNorm.moments`."""
        return "joint" if self.training or self.running_mean is None else None

    def line(self, mean: Tensor | None, variance: Tensor | None, count: int, steps: int) -> tuple[Tensor, Tensor]:
        """See `ChannelNorm.line`; every operation rounds as torch's batch norm does."""
        if mean is None or variance is None:
            assert self.running_mean is not None
            assert self.running_var is not None
            mean, inverse = self.running_mean[None], 1 / (self.running_var[None] + self.eps).sqrt()
        else:
            inverse = (variance.double() + self.eps).rsqrt().to(variance.dtype)
            if self.training and self.running_mean is not None:
                self._follow(mean.detach(), variance.detach() * (count / (count - 1)))
        gain = inverse if self.weight is None else inverse * self.weight
        offset = -mean * gain if self.bias is None else torch.addcmul(self.bias, mean, gain, value=-1)
        return gain, offset

    @torch.no_grad()
    def _follow(self, mean: Tensor, unbiased: Tensor) -> None:
        """Bring the running statistics up to date, a row after the other."""
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        for new_mean, new_variance in zip(mean, unbiased, strict=True):
            self.num_batches_tracked.add_(1)
            momentum = self._momentum
            self.running_mean.lerp_(new_mean, momentum)
            self.running_var.lerp_(new_variance, momentum)

    def _seen_once(self, x: Tensor) -> bool:
        """Whether one step tells all: for a single value per channel torch has no statistics."""
        return is_constant(x) and (not self.training or x[0].numel() > x.shape[2])

    def _once(self, frame: Tensor, corrected: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """One step normalised; `corrected` gives the running variance from that before and after torch's update."""
        before = self.running_var.clone() if self.training and self.running_var is not None else None
        normalised: Tensor = super().forward(frame)
        if before is not None and self.running_var is not None:
            # A new buffer: autograd holds the old one, whose change it would refuse.
            self.running_var = corrected(before, self.running_var)
        return normalised

    @property
    def _momentum(self) -> float:
        """Of the update that torch has just made."""
        if self.momentum is not None:
            return float(self.momentum)
        assert self.num_batches_tracked is not None
        return 1 / float(self.num_batches_tracked)

    def _with_more_values(self, before: Tensor, after: Tensor, steps: int, frame: Tensor) -> Tensor:
        """The running variance for T times as many values: Bessel's correction is the smaller one."""
        values = frame.numel() // frame.shape[1]
        factor = steps * (values - 1) / (steps * values - 1)
        kept = (1 - self._momentum) * before
        return kept + (after - kept) * factor


class StepBatchNorm(JointBatchNorm):
    """Statistics of each step apart, with affine map and running statistics shared by all.

    This is what plain batch norm does in a network that is run step by step.
    """

    def moments(self) -> Moments | None:
        """See `ChannelNorm.moments`."""
        return "step" if self.training else None

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
