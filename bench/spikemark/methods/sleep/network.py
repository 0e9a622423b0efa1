"""The architectures of the sleep paper, under the signature of networks."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from spikemark.errors import InputError
from spikemark.methods.sleep.model import SleepNetwork
from spikemark.methods.sleep.projections import Architecture
from spikemark.networks.plain import mlp
from spikemark.networks.stages import MakeNeurons, MakeNorm, SpikingNetwork


def sleep_network(
    input_shape: tuple[int, ...], classes: int, neurons: MakeNeurons, norm: MakeNorm, **options: Any
) -> nn.Module:
    """The recurrent network of 225 inputs, 200 excitatory and 50 inhibitory neurons; see `SleepNetwork`.

    Its neurons are its own: `neurons` and `norm` are not used.

    Args:
        input_shape: ``(C, H, W)``.
        classes: number of classes.
        neurons: not used.
        norm: not used.
        options: fields of `spikemark.methods.sleep.projections.Architecture`.

    Raises:
        InputError: the samples are no images, or an option is out of range; the message names it.
    """
    return SleepNetwork(input_shape, classes, Architecture(**options))


class Resize(nn.Module):
    """Images ``[T, B, C, H, W]`` averaged over channels and resized to ``[T, B, 1, side, side]``."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, x: Tensor) -> Tensor:
        """See the class; where all steps are one view of the same image, it is resized once."""
        frames = x[:1] if x.stride(0) == 0 else x
        gray = frames.mean(2).flatten(0, 1).unsqueeze(1)
        small = F.interpolate(gray, size=(self.side, self.side), mode="bilinear", antialias=True, align_corners=False)
        resized: Tensor = small.unflatten(0, frames.shape[:2]).expand(x.shape[0], -1, -1, -1, -1)
        return resized


def resized_mlp(
    input_shape: tuple[int, ...],
    classes: int,
    neurons: MakeNeurons,
    norm: MakeNorm,
    *,
    side: int = 15,
    hidden: tuple[int, ...] = (1000,),
) -> SpikingNetwork:
    """225-1000-10: images resized to ``side x side``, then fully connected, one output neuron per class.

    Raises:
        InputError: the samples are no images.
    """
    if len(input_shape) != 3:
        raise InputError(f"input_shape: resized-mlp takes images (C, H, W), not {tuple(input_shape)}")
    network = SpikingNetwork()
    network.add_module("resize", Resize(side))
    for name, module in mlp((1, side, side), classes, neurons, norm, hidden=hidden, population=1).named_children():
        network.add_module(name, module)
    return network
