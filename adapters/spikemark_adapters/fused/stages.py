"""A norm, neurons and a pooling as one: a kernel for the moments, one forward and one backward.

Images are laid out as they come: a plane for each channel or, as convolutions gain from it, with channels last.
Between the kernels lie numbers of channels alone. The norm turns moments into gains and offsets with torch's own
operations, so autograd knows every norm; the kernels know none.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from spikemark.core.adapter import SpikingLayer
from spikemark.core.neurons import NeuronSpec
from spikemark.core.stages import ChannelNorm, StageForm
from spikemark_adapters.fused import cpu
from spikemark_adapters.fused.kernels import Pooling, fits_last
from spikemark_adapters.fused.moments import add_line, moments
from spikemark_adapters.fused.ops import unobserved

_DTYPES = (torch.float32, torch.float64)


def pooling_of(pool: nn.Module | None) -> Pooling | None:
    """The kernels' word for a pooling; None for one that they do not know."""
    if not isinstance(pool, (nn.MaxPool2d, nn.AvgPool2d)) or type(pool) not in (nn.MaxPool2d, nn.AvgPool2d):
        return None
    kind = nn.MaxPool2d if isinstance(pool, nn.MaxPool2d) else nn.AvgPool2d
    size = pool.kernel_size
    if not isinstance(size, int) or {**vars(pool), "training": True} != {**vars(kind(size)), "training": True}:
        return None
    return Pooling("max" if kind is nn.MaxPool2d else "average", size)


@dataclass(frozen=True)
class FusedStage(StageForm):
    """See the module.

    Attributes:
        kinds: the classes of norm, neurons and pooling; a stage that has others by now is not computed as one.
        pooling: the pooling, or None.
        parts: see `StageForm`.
        channels_last: see `StageForm`.
        devices: see `StageForm`.
    """

    kinds: tuple[type, type, type]
    pooling: Pooling | None
    parts: tuple[str, ...]
    channels_last: bool
    devices: tuple[str, ...] = ("cpu",)

    def __call__(
        self, currents: Tensor, steps: int, norm: nn.Module, neurons: nn.Module, pool: nn.Module | None
    ) -> Tensor | None:
        """See `StageForm.__call__`; on CPUs, in float32 and float64."""
        if (type(norm), type(neurons), type(pool)) != self.kinds:
            return None
        assert isinstance(neurons, SpikingLayer)
        fits = tuple(currents.shape[2:]) == neurons.shape and currents.dtype == neurons.raw_threshold.dtype
        if not fits or not currents.numel() or currents.dtype not in _DTYPES or not _on_cpu(currents):
            return None  # the modules compute it, or refuse it in their own words
        channels_last = _is_channels_last(currents)
        currents = currents if channels_last else currents.contiguous()
        gain = offset = None
        if isinstance(norm, ChannelNorm):
            wanted = norm.moments()
            mean = variance = None
            count = currents.numel() // currents.shape[2]
            if wanted == "step":
                count //= len(currents)
            if wanted is not None:
                if count == 1:
                    return None  # there is no variance of one value
                take: Any = _Moments.apply
                currents, mean, variance = take(currents, wanted == "step", channels_last)
                if wanted == "step":
                    mean, variance = (row.expand(steps, -1) for row in (mean, variance))
                elif len(currents) < steps:
                    count *= steps
            gain, offset = norm.line(mean, variance, count, steps)
        run: Any = _Stage.apply
        spikes: Tensor = run(
            currents, gain, offset, neurons.threshold, neurons.decay, _text(neurons.spec), steps, self.pooling,
            channels_last,
        )  # fmt: skip
        return spikes


@cache
def _text(spec: NeuronSpec) -> str:
    return spec.to_json()


def _on_cpu(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and unobserved(tensor)


class _Moments(torch.autograd.Function):
    """The currents as they are, with their mean and variance.

    That the currents pass through lets the gradient that they have from elsewhere be finished in its own memory.
    """

    @staticmethod
    def forward(ctx: Any, currents: Tensor, per_step: bool, channels_last: bool) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = moments(currents, per_step=per_step, channels_last=channels_last)
        ctx.save_for_backward(currents, mean)
        ctx.channels_last = channels_last
        return currents.view_as(currents), mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, d_mean: Tensor, d_variance: Tensor) -> tuple[Tensor, None, None]:
        currents, mean = ctx.saved_tensors
        count = currents.numel() // mean.numel()
        slope = d_variance * (2 / count)
        level = (d_mean / count).addcmul_(slope, mean, value=-1)
        # `grad` is what `_Stage.backward` has just made, and nobody else's.
        add_line(grad, currents, slope, level, channels_last=ctx.channels_last)
        return grad, None, None


class _Stage(torch.autograd.Function):
    """Neurons, with a norm's gains and offsets before and a pooling behind them."""

    @staticmethod
    def forward(
        ctx: Any,
        currents: Tensor,
        gain: Tensor | None,
        offset: Tensor | None,
        threshold: Tensor,
        decay: Tensor,
        spec: str,
        steps: int,
        pooling: Pooling | None,
        channels_last: bool,
    ) -> Tensor:
        ctx.save_for_backward(currents, gain, offset, threshold, decay)
        ctx.spec, ctx.steps, ctx.pooling, ctx.channels_last = spec, steps, pooling, channels_last
        _, batch, channels, *sides = currents.shape
        if pooling is not None:
            sides = [side // pooling.size for side in sides]
        features = (*sides, channels) if channels_last else (channels, *sides)
        spikes = currents.new_empty((steps, batch, *features))
        plan = _plan("forward", ctx, learn_threshold=False, learn_decay=False, learn_norm=False)
        plan.run(
            currents=_laid_out(currents, ctx), threshold=_laid_out(threshold, ctx), decay=_laid_out(decay, ctx),
            spikes=spikes, **_line(gain, offset),
        )  # fmt: skip
        return spikes.movedim(-1, 2) if channels_last else spikes

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        currents, gain, offset, threshold, decay = ctx.saved_tensors
        _, learn_gain, learn_offset, learn_threshold, learn_decay, *_ = ctx.needs_input_grad
        learn_norm = learn_gain or learn_offset
        plan = _plan("backward", ctx, learn_threshold=learn_threshold, learn_decay=learn_decay, learn_norm=learn_norm)
        laid_out = _laid_out(currents, ctx)
        d_currents = torch.empty_like(laid_out, memory_format=torch.contiguous_format)
        d_threshold, d_decay, d_line = (
            currents.new_empty(shape if learn else 0, dtype=plan.sums_dtype)
            for shape, learn in ((plan.sums, learn_threshold), (plan.sums, learn_decay), (plan.line, learn_norm))
        )
        plan.run(
            grad=_laid_out(grad, ctx), currents=laid_out, threshold=_laid_out(threshold, ctx),
            decay=_laid_out(decay, ctx), d_currents=d_currents, d_threshold=d_threshold, d_decay=d_decay,
            d_line=d_line, **_line(gain, offset),
        )  # fmt: skip
        if ctx.channels_last:
            d_currents = d_currents.movedim(-1, 2)
            d_threshold, d_decay = (d.movedim(-1, 0) if d.numel() else d for d in (d_threshold, d_decay))
        d_gain = d_offset = None
        if learn_norm:
            d_gain, d_offset = d_line.sum((1, 3, 5)).sum_to_size(2, *gain.shape)
        return (
            d_currents,
            d_gain,
            d_offset,
            d_threshold.sum_to_size(threshold.shape) if learn_threshold else None,
            d_decay.sum_to_size(decay.shape) if learn_decay else None,
            None,
            None,
            None,
            None,
        )


def _plan(direction: str, ctx: Any, *, learn_threshold: bool, learn_decay: bool, learn_norm: bool) -> cpu.Plan:
    currents, gain, _, threshold, decay = ctx.to_save if direction == "forward" else ctx.saved_tensors
    around = cpu.Around(
        held=len(currents) < ctx.steps,
        normed=gain is not None,
        norm_per_step=gain is not None and len(gain) > 1,
        learn_norm=learn_norm,
        pooling=ctx.pooling,
        channels_last=ctx.channels_last,
    )
    shape = torch.Size((ctx.steps, *_laid_out(currents, ctx).shape[1:]))
    return cpu.plan(
        direction, ctx.spec, shape, currents.dtype, threshold.numel() == 1, decay.numel() == 1, learn_threshold,
        learn_decay, around,
    )  # fmt: skip


def _is_channels_last(currents: Tensor) -> bool:
    """Whether ``[T, B, C, H, W]`` lies in memory as ``[T, B, H, W, C]``, with as many channels as kernels know."""
    if currents.dim() != 5 or not fits_last(currents.shape[2], currents.itemsize):
        return False
    return currents.movedim(2, -1).is_contiguous() and not currents.is_contiguous()


def _laid_out(tensor: Tensor, ctx: Any) -> Tensor:
    """A view of ``[..., C, H, W]`` in the order of a stage's currents; a parameter of one number has none."""
    return tensor.movedim(-3, -1) if ctx.channels_last and tensor.dim() >= 3 else tensor


def _line(gain: Tensor | None, offset: Tensor | None) -> dict[str, Tensor]:
    return {} if gain is None or offset is None else {"gain": gain, "offset": offset}
