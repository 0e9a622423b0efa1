"""Networks of spike response neurons: stages of standardised synapses, neurons and average pooling.

The paper's layouts are written in the grammar of `spikemark.networks.layers`, with the output layer added: its
15C5-P2-40C5-P2-300 is ``15C5-AP2-40C5-AP2-FC300-FC1K``.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor, nn

from spikemark.errors import InputError
from spikemark.methods.spike_time.neuron import Kernel, SlopeKind, SrmLayer
from spikemark.methods.spike_time.synapses import AdjustedAvgPool2d, StandardisedConv2d, StandardisedLinear, Synapses
from spikemark.networks.dropout import Dropout
from spikemark.networks.layers import Builder, Token
from spikemark.networks.stages import MakeNeurons, MakeNorm, SpikingNetwork, over_time


class SrmStage(nn.Module):
    """Synapses and neurons, then pooling and dropout of the spikes where the layout has them."""

    def __init__(
        self, synapses: Synapses, neurons: SrmLayer, pool: AdjustedAvgPool2d | None = None, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.synapses = synapses
        self.neurons = neurons
        self.pool = pool
        # One mask for all steps: a neuron is silent throughout, or present.
        self.dropout = Dropout(dropout, each_step=False) if dropout else None

    def currents(self, x: Tensor) -> Tensor:
        """Of the neurons, ``[T, B, *shape]``."""
        return over_time(self.synapses, x.flatten(2) if isinstance(self.synapses, nn.Linear) else x)

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, *in_shape]`` to ``[T, B, *out_shape]``, without gradient."""
        return self.pooled(self.neurons(self.currents(x)))

    def trained(self, x: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """As `forward`, with the gradients of spike times; and the neurons' own spikes (see `SrmLayer.fire`)."""
        currents = self.currents(x.detach())
        token = torch.zeros((), dtype=x.dtype, device=x.device).expand(currents.shape)
        if x.requires_grad:
            token = self.synapses.times(self._fold(x)).unflatten(0, x.shape[:2])
        spikes, own = self.neurons.fire(currents, token, labels)
        return self.pooled(spikes), own

    def pooled(self, spikes: Tensor) -> Tensor:
        """What the next stage sees of the spikes."""
        if self.pool is not None:
            folded: Tensor = self.pool(spikes.flatten(0, 1))
            spikes = folded.unflatten(0, spikes.shape[:2])
        if self.dropout is not None:
            spikes = self.dropout(spikes)
        return spikes

    def _fold(self, x: Tensor) -> Tensor:
        folded = x.flatten(0, 1)
        return folded.flatten(1) if isinstance(self.synapses, nn.Linear) else folded


class SrmNetwork(SpikingNetwork):
    """A stack of stages; scores are the outputs' spikes, weighted so that earlier ones break ties.

    The weight of a spike in step t = 0..T-1 is ``1.1 - 0.1 * t / T``.
    """

    def stages(self) -> list[SrmStage]:
        """From input to output."""
        return [module for module in self if isinstance(module, SrmStage)]

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, *input_shape]`` to scores ``[T, B, classes]``; never with a gradient."""
        for stage in self.stages():
            x = stage(x)
        return self.scores(x)

    def trained(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Output spikes ``[T, B, classes]`` with forced ones at the labels, and the outputs' own."""
        *hidden, output = self.stages()
        for stage in hidden:
            x, _ = stage.trained(x)
        return output.trained(x, labels)

    @staticmethod
    def scores(spikes: Tensor) -> Tensor:
        """Output spikes, weighted by their step."""
        steps = torch.arange(len(spikes), dtype=spikes.dtype, device=spikes.device).view(-1, 1, 1)
        return spikes * (1.1 - 0.1 * steps / len(spikes))


class SrmBuilder(Builder):
    """Builds stages of standardised synapses and spike response neurons out of a layer string.

    Its layers are ``nCk`` and ``FCn``, each with its neurons; the pooling ``APk`` and the dropout ``DPr`` that follow
    belong to them. The 5x5 convolutions are unpadded and the 3x3 ones padded by 1, which gives the sizes that the
    paper's layouts name (ours where the paper is silent).
    """

    makes = SrmNetwork

    def __init__(self, shape: tuple[int, ...], classes: int, neurons: MakeNeurons, norm: MakeNorm, kernel: Kernel):
        super().__init__(shape, classes, neurons, norm)
        self.kernel = kernel

    @property
    def kinds(self) -> tuple[str, ...]:
        """See `Builder.kinds`."""
        return ("C", "FC", "AP", "DP")

    def layer(self, token: Token) -> None:
        """See `Builder.layer`."""
        match token.kind:
            case "C":
                synapses = self._convolution(token)
            case "FC":
                width = token.width(self.classes)
                synapses, self.shape = StandardisedLinear(math.prod(self.shape), width), (width,)
            case _:
                raise InputError(f"layers: {token.text} stands without a convolution or FC before it")
        neurons = SrmLayer(self.kernel, self.shape)
        pool = None
        if (pooling := self.take("AP")) is not None:
            pool, self.shape = AdjustedAvgPool2d(int(pooling.number)), self.pooled(pooling)
        dropped = self.take("DP")
        stage = SrmStage(synapses, neurons, pool, dropped.number if dropped else 0.0)
        self.network.add_module("output" if self.at_end else f"stage{len(self.network) + 1}", stage)

    def _convolution(self, token: Token) -> Synapses:
        channels, *sides = self.images(token)
        count, side = token.kernels
        padding = 1 if side == 3 else 0
        height, width = (n + 2 * padding - side + 1 for n in sides)
        if min(height, width) < 1:
            raise InputError(f"layers: {token.text} does not fit {self.shape}")
        self.shape = (count, height, width)
        return StandardisedConv2d(channels, count, side, padding)


def srm_network(
    input_shape: tuple[int, ...],
    classes: int,
    neurons: MakeNeurons,
    norm: MakeNorm,
    *,
    layers: str,
    tau_m: float = 5.0,
    tau_s: float = 3.0,
    tau_grad: float = 2.5,
    slope: SlopeKind = "exponential",
) -> SpikingNetwork:
    """The network of a layer string, its output layer included.

    Args:
        input_shape: of one sample; ``(C, H, W)`` if there are convolutions.
        classes: number of outputs, one neuron each.
        neurons: not used; the network has its own.
        norm: not used; the synapses are standardised instead.
        layers: for example ``12C5-AP2-64C5-AP2-FC1K``, see `SrmBuilder`.
        tau_m: see `Kernel`, as the following ones.
        tau_s: of the synapse.
        tau_grad: of the gradient.
        slope: of the kernel.

    Raises:
        InputError: a layer or a time constant is wrong, or the image is too small.
    """
    kernel = Kernel(tau_m, tau_s, tau_grad, slope)
    return SrmBuilder(input_shape, classes, neurons, norm, kernel).build(layers)


_VGG = "(128C3)x2-AP2-DP0.1-(256C3)x3-AP2-DP0.1-(512C3)x3-AP2-DP0.1-(FC2048-DP0.1)x2-FC1K"
_VGG_SMALL = "(8C3)x2-AP2-DP0.1-(16C3)x2-AP2-DP0.1-FC64-DP0.1-FC1K"

srm_mnist = partial(srm_network, layers="15C5-AP2-40C5-AP2-FC300-FC1K")
srm_mnist_small = partial(srm_network, layers="8C5-AP2-16C5-AP2-FC1K")
srm_fashion = partial(srm_network, layers="32C5-AP2-64C5-AP2-FC1024-FC1K")
srm_nmnist = partial(srm_network, layers="12C5-AP2-64C5-AP2-FC1K", tau_m=8.0, tau_s=4.0, tau_grad=3.0)
srm_vgg = partial(srm_network, layers=_VGG, tau_m=7.0, tau_s=4.0, tau_grad=3.5)
srm_vgg_small = partial(srm_network, layers=_VGG_SMALL, tau_m=7.0, tau_s=4.0, tau_grad=3.5)
