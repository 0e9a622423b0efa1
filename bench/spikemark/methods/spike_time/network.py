"""Networks of spike-response neurons: stages of standardised synapses, neurons and average pooling.

Layouts are written as the paper writes them: ``15C5-P2-40C5-P2-300``, with the output layer added. The 5x5 convolutions
are unpadded and the 3x3 ones padded by 1, which gives the sizes that the layouts name (ours where the paper is silent).
"""

from __future__ import annotations

import math
import re
from functools import partial

import torch
from torch import Tensor, nn

from spikemark.methods.spike_time.neuron import Kernel, SlopeKind, SrmLayer
from spikemark.methods.spike_time.synapses import AdjustedAvgPool2d, StandardisedConv2d, StandardisedLinear, Synapses
from spikemark.networks.dropout import Dropout
from spikemark.networks.stages import MakeNeurons, MakeNorm, SpikingNetwork


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
        folded: Tensor = self.synapses(self._fold(x))
        unfolded: Tensor = folded.unflatten(0, x.shape[:2])
        return unfolded

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


def srm_network(
    input_shape: tuple[int, ...],
    classes: int,
    neurons: MakeNeurons,
    norm: MakeNorm,
    *,
    layout: str,
    tau_m: float = 5.0,
    tau_s: float = 3.0,
    tau_grad: float = 2.5,
    slope: SlopeKind = "exponential",
    dropout: float = 0.0,
) -> SrmNetwork:
    """The network of a layout; the standardised synapses take the place of `norm`.

    Args:
        input_shape: ``(C, H, W)``.
        classes: number of outputs, one neuron each.
        neurons: of the adapter, which must be ``reference``; its dynamics are not used.
        norm: not used.
        layout: hidden stages, for example ``12C5-P2-64C5-P2``: ``nCk`` convolutions, ``Pk`` pooling, ``n`` linear.
        tau_m: see `Kernel`, as the following ones.
        tau_s: of the synapse.
        tau_grad: of the gradient.
        slope: of the kernel.
        dropout: after each pooling and each hidden linear stage.

    Raises:
        ValueError: the layout or a time constant is wrong, or the image too small.
    """
    if len(input_shape) != 3:
        raise ValueError(f"srm networks take images (C, H, W); these samples have shape {input_shape}")
    kernel = Kernel(tau_m, tau_s, tau_grad, slope)
    network = SrmNetwork()
    shape = tuple(input_shape)
    tokens = [*layout.split("-"), str(classes)]
    for i, token in enumerate(tokens):
        pooled = i + 1 < len(tokens) and tokens[i + 1].startswith("P")
        if token.startswith("P"):
            continue
        size = int(tokens[i + 1][1:]) if pooled else 1
        drop = dropout if pooled or ("C" not in token and i + 1 < len(tokens)) else 0.0
        stage, shape = _stage(token, shape, kernel, size, drop)
        network.add_module(f"stage{len(network) + 1}" if i + 1 < len(tokens) else "output", stage)
    return network


def _stage(
    token: str, shape: tuple[int, ...], kernel: Kernel, pool: int, dropout: float
) -> tuple[SrmStage, tuple[int, ...]]:
    """The stage of ``nCk`` or ``n``, and the shape behind it."""
    found = re.fullmatch(r"(\d+)(?:C(\d+))?", token)
    if found is None:
        raise ValueError(f"layout: {token!r} is neither nCk (convolution), Pk (pooling) nor n (linear)")
    width = int(found[1])
    if found[2] is None:
        synapses = StandardisedLinear(math.prod(shape), width)
        return SrmStage(synapses, SrmLayer(kernel, (width,)), None, dropout), (width,)
    side = int(found[2])
    padding = 1 if side == 3 else 0
    height, breadth = (n + 2 * padding - side + 1 for n in shape[1:])
    if min(height, breadth) < pool:
        raise ValueError(f"layout: {token!r} does not fit what is left of the image, {shape[1]} x {shape[2]}")
    made = SrmStage(
        StandardisedConv2d(shape[0], width, side, padding),
        SrmLayer(kernel, (width, height, breadth)),
        AdjustedAvgPool2d(pool) if pool > 1 else None,
        dropout,
    )
    return made, (width, height // pool, breadth // pool)


_VGG = "128C3-128C3-P2-256C3-256C3-256C3-P2-512C3-512C3-512C3-P2-2048-2048"
_VGG_SMALL = "8C3-8C3-P2-16C3-16C3-P2-64"

srm_mnist = partial(srm_network, layout="15C5-P2-40C5-P2-300")
srm_mnist_small = partial(srm_network, layout="8C5-P2-16C5-P2")
srm_fashion = partial(srm_network, layout="32C5-P2-64C5-P2-1024")
srm_nmnist = partial(srm_network, layout="12C5-P2-64C5-P2", tau_m=8.0, tau_s=4.0, tau_grad=3.0)
srm_vgg = partial(srm_network, layout=_VGG, tau_m=7.0, tau_s=4.0, tau_grad=3.5, dropout=0.1)
srm_vgg_small = partial(srm_network, layout=_VGG_SMALL, tau_m=7.0, tau_s=4.0, tau_grad=3.5, dropout=0.1)
