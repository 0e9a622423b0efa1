"""What networks are stacked from: synapses, normalisation, neurons, pooling; and how populations are read out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from spikemark.core.adapter import SpikingNeurons
from spikemark.core.stages import StageForm

MakeNeurons = Callable[[tuple[int, ...]], SpikingNeurons]
"""From a feature shape to a layer of the system's neurons."""
MakeNorm = Callable[[int], nn.Module]
"""From a number of channels to a normalisation of ``[T, B, C, ...]``."""


def is_constant(x: Tensor) -> bool:
    """Whether all steps of ``[T, B, ...]`` are one frame by construction: a view that does not move along T."""
    return len(x) > 1 and x.stride(0) == 0


def over_time(module: nn.Module, x: Tensor) -> Tensor:
    """Apply a module that knows batches only to ``[T, B, ...]``.

    Synapses see a constant input once: their currents are the same at every step, and their gradient is the sum over
    the steps, which is what the view's own backward pass gives.
    """
    if _seen_once(module, x):
        once: Tensor = module(x[0])
        return once.expand(len(x), *once.shape)
    folded: Tensor = module(x.flatten(0, 1))
    unfolded: Tensor = folded.unflatten(0, x.shape[:2])
    return unfolded


def _seen_once(module: nn.Module, x: Tensor) -> bool:
    return is_constant(x) and next(module.parameters(), None) is not None


def _watched(module: nn.Module) -> bool:
    """Whether somebody has hooked or replaced a module, or one within, and so has to see it called."""
    return any(
        part._forward_hooks
        or part._forward_pre_hooks
        or part._backward_hooks
        or part._backward_pre_hooks
        or "forward" in vars(part)
        for part in module.modules()
    )


class OverTime(nn.Sequential):
    """A module that knows batches only, for ``[T, B, ...]``."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__(module)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        return over_time(self[0], x)


class Stage(nn.Module):
    """Synapses, normalisation, neurons and, optionally, pooling of the spikes.

    Args:
        synapses: a linear or convolutional layer, on ``[T * B, ...]``.
        norm: normalisation of its output, on ``[T, B, C, ...]``.
        neurons: the spiking layer, on ``[T, B, *shape]``; an identity where there are no neurons.
        pool: pooling of the spikes, on ``[T * B, ...]``.
        out_shape: of what it gives for one sample and step.

    Attributes:
        form: computes norm, neurons and pooling as one while nobody watches them; None where the framework has none.
    """

    def __init__(
        self,
        synapses: nn.Module,
        norm: nn.Module,
        neurons: nn.Module,
        pool: nn.Module | None = None,
        *,
        out_shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.out_shape = out_shape
        self.synapses = synapses
        self.norm = norm
        self.neurons = neurons
        self.pool = pool
        self.form: StageForm | None = None

    def lay_out(self) -> None:
        """Lay out a convolution's weights so that it computes in the order of channels that the form gains from."""
        if self.form is None or not isinstance(self.synapses, nn.Conv2d):
            return
        weight = self.synapses.weight.data
        if self.form.channels_last and weight.device.type in self.form.devices:
            # Not `contiguous`, which leaves a single channel as it is, whereupon torch gives planes.
            laid_out = weight.new_empty(weight.movedim(1, -1).shape).movedim(-1, 1).copy_(weight)
        else:
            laid_out = weight.contiguous()
        self.synapses.weight.data = laid_out

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call,unused-ignore]
        self.lay_out()  # for where the weights are now
        return self

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, *in_shape]`` to spikes ``[T, B, *out_shape]``."""
        once = _seen_once(self.synapses, x)
        currents = over_time(self.synapses, x[:1] if once else x)
        if self.form is not None and not self._is_watched():
            whole = self.form(currents, len(x), self.norm, self.neurons, self.pool)
            if whole is not None:
                return whole
        # Modules one after the other are at home in this order; a form may have had the synapses give another.
        currents = currents.contiguous()
        return self._one_by_one(currents.expand(len(x), *currents.shape[1:]) if once else currents)

    def _one_by_one(self, currents: Tensor) -> Tensor:
        spikes: Tensor = self.neurons(self.norm(currents))
        return spikes if self.pool is None else over_time(self.pool, spikes)

    def _is_watched(self) -> bool:
        parts = (self.norm, self.neurons) if self.pool is None else (self.norm, self.neurons, self.pool)
        return _has_any_global_hook() or any(map(_watched, parts))


class PopulationReadout(nn.Module):
    """Mean over the population of each class: ``[T, B, classes * population]`` to ``[T, B, classes]``."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, spikes: Tensor) -> Tensor:
        """See the class."""
        populations: Tensor = spikes.unflatten(-1, (self.classes, -1))
        return populations.mean(-1)


class Foreign:
    """A network that was written elsewhere: its layers keep the first weights that they were made with.

    Attributes:
        held_input: whether it takes nothing but inputs that are the same at every step.
    """

    held_input = False


class SpikingNetwork(nn.Sequential):
    """A feed-forward stack of named stages, ``[T, B, *input_shape]`` to scores ``[T, B, classes]``.

    In training mode a network may give several readings of each sample, one after the other along the batch:
    ``[T, readings * B, classes]``. The losses know.

    Attributes:
        single_pass: whether it makes one pass for each sample, whatever T.
    """

    single_pass = False

    def spiking_layers(self) -> list[SpikingNeurons]:
        """Its spiking layers, from input to output."""
        return [module for module in self.modules() if isinstance(module, SpikingNeurons)]


def fused_stages(model: nn.Module, device: str) -> dict[str, list[str]]:
    """What a network computes as one on a type of device, by the names of its stages."""
    stages = ((name, module) for name, module in model.named_modules() if isinstance(module, Stage))
    return {name: list(s.form.parts) for name, s in stages if s.form is not None and device in s.form.devices}
