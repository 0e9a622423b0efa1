"""LTMD's layers under the letters of the grammar, and its network for MNIST.

``LF10`` is its fully connected layer of graded spikes with lateral interaction, ``GF10`` the same without it, ``MD0.2``
its moderate dropout at mean rate 0.2. The option ``learn_graded_threshold`` is that of `graded.GradedNeurons`.
"""

from __future__ import annotations

from functools import partial

from spikemark.methods.ltmd.dropout import ModerateDropout
from spikemark.methods.ltmd.graded import GradedStage
from spikemark.networks.layers import Builder, Token, from_layers


def lateral_layer(builder: Builder, token: Token) -> None:
    """``LFn``: n graded neurons with lateral interaction."""
    _graded(builder, token, lateral=5)


def graded_layer(builder: Builder, token: Token) -> None:
    """``GFn``: n graded neurons without it."""
    _graded(builder, token, lateral=0)


def _graded(builder: Builder, token: Token, lateral: int) -> None:
    fan_in, width = builder.flatten(), token.width(builder.classes)
    learn = bool(builder.option("learn_graded_threshold", default=False))
    builder.add("graded", GradedStage(fan_in, width, lateral=lateral, learn_threshold=learn), (width,))


def moderate_dropout(builder: Builder, token: Token) -> None:
    """``MDr``: moderate dropout at mean rate r."""
    builder.add("dropout", ModerateDropout(token.number), builder.shape)


ltmd_mnist = partial(from_layers, layers="((256C3-BN-SN)x3-AP2)x2-LF2048-MD0.2-LF10")
ltmd_mnist_small = partial(from_layers, layers="(12C3-BN-SN-AP2)x2-LF128-MD0.2-LF10")
