"""Networks written as the literature writes them, for example ``128C3-BN-SN-MP2-DP0.5-FC2048-SN-FC100-SN-VOTE10``.

==========  ==========================================================================================
``128C3``   128 convolution kernels of 3 x 3 (odd sizes only), padded so that the image keeps its size
``FC2048``  fully connected, 2048 outputs; ``FC10K`` gives 10 for each class
``BN``      the system's normalisation of the currents before
``SN``      the system's spiking neurons
``MP2``     max-pooling 2 x 2; ``AP2`` average pooling
``DP0.5``   dropout at rate 0.5 with a mask held over time; ``SD0.5`` with a mask for every step
``LF10``    LTMD's fully connected layer of graded spikes with lateral interaction; ``GF10`` without it
``MD0.2``   LTMD's moderate dropout at mean rate 0.2
``VOTE10``  mean over populations of 10 neurons a class
``(A)x3``   the layers A three times
==========  ==========================================================================================
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from torch import nn

from spikemark.errors import InputError
from spikemark.networks.dropout import Dropout, ModerateDropout
from spikemark.networks.graded import GradedStage
from spikemark.networks.plain import POOLS
from spikemark.networks.stages import MakeNeurons, MakeNorm, OverTime, PopulationReadout, SpikingNetwork, Stage

_TOKEN = re.compile(r"(?P<conv>\d+C)(?P<kernel>\d+)|(?P<kind>FC|LF|GF|MP|AP|DP|SD|MD|VOTE|BN|SN)(?P<value>[\d.]*K?)")
_REPEAT = re.compile(r"\(([^()]*)\)x(\d+)")


def expand(layers: str) -> list[str]:
    """The tokens of a layer string, repetitions written out.

    Raises:
        InputError: a token that the grammar does not know.
    """
    while _REPEAT.search(layers):
        layers = _REPEAT.sub(lambda found: "-".join([found[1]] * int(found[2])), layers)
    tokens = layers.split("-")
    for token in tokens:
        if not _TOKEN.fullmatch(token):
            raise InputError(f"layers: {token!r} is no layer (see spikemark.networks.layers for the grammar)")
    return tokens


def from_layers(
    input_shape: tuple[int, ...],
    classes: int,
    neurons: MakeNeurons,
    norm: MakeNorm,
    *,
    layers: str,
    replace: Mapping[str, str] | None = None,
    bias: bool = False,
    learn_graded_threshold: bool = False,
) -> SpikingNetwork:
    """The network of a layer string.

    Args:
        input_shape: of one sample; ``(C, H, W)`` if there are convolutions.
        classes: number of classes.
        neurons: makes a layer of the system's neurons.
        norm: makes the system's normalisation.
        layers: see the module.
        replace: parts of the string to be replaced, for example ``{"MP": "AP"}`` for average pooling.
        bias: of convolutions and plain fully connected layers.
        learn_graded_threshold: see `spikemark.networks.graded.GradedNeurons`.

    Raises:
        InputError: the string is not of the grammar, or does not fit the samples or the classes.
    """
    for part, by in (replace or {}).items():
        if part not in layers:
            raise InputError(f"replace: there is no {part!r} in {layers}")
        layers = layers.replace(part, by)
    builder = _Builder(input_shape, classes, neurons, norm, bias, learn_graded_threshold)
    tokens = expand(layers)
    while tokens:
        builder.take(tokens)
    if builder.shape != (classes,):
        raise InputError(
            f"layers: {layers} ends in {list(builder.shape)}, not in one score for each of {classes} classes"
        )
    return builder.network


class _Builder:
    """Adds modules token by token and keeps the shape that the next one meets."""

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int,
        neurons: MakeNeurons,
        norm: MakeNorm,
        bias: bool,
        learn_graded_threshold: bool,
    ) -> None:
        self.network = SpikingNetwork()
        self.shape = shape
        self.classes = classes
        self.neurons = neurons
        self.norm = norm
        self.bias = bias
        self.learn_graded_threshold = learn_graded_threshold

    def take(self, tokens: list[str]) -> None:
        """Use up the first token, or a synapse with the BN, SN and pooling that follow it."""
        token = tokens.pop(0)
        found = _TOKEN.fullmatch(token)
        assert found is not None
        kind, value = found["kind"], found["value"]
        if found["conv"]:
            self._stage("conv", self._convolution(int(found["conv"][:-1]), int(found["kernel"]), token), tokens)
        elif kind == "FC":
            self._flatten()
            self._stage("fc", self._linear(self._width(value, token)), tokens)
        elif kind in ("LF", "GF"):
            self._flatten()
            width, lateral = self._width(value, token), 5 if kind == "LF" else 0
            stage = GradedStage(self.shape[0], width, lateral=lateral, learn_threshold=self.learn_graded_threshold)
            self._add("graded", stage, (width,))
        elif kind in ("MP", "AP"):
            pool, shape = self._pool(token)
            self._add("pool", OverTime(pool), shape)
        elif kind in ("DP", "SD"):
            self._add("dropout", Dropout(_number(value, token), each_step=kind == "SD"), self.shape)
        elif kind == "MD":
            self._add("dropout", ModerateDropout(_number(value, token)), self.shape)
        elif kind == "VOTE":
            if self.shape != (self.classes * int(_number(value, token)),):
                raise InputError(f"layers: {token} after {list(self.shape)} values does not fit {self.classes} classes")
            self._add("readout", PopulationReadout(self.classes), (self.classes,))
        else:
            raise InputError(f"layers: {token} stands without a convolution or FC before it")

    def _stage(self, name: str, synapses: nn.Module, tokens: list[str]) -> None:
        width = self.shape[0]
        norm = self.norm(width) if _next_is(tokens, "BN") else nn.Identity()
        neurons = self.neurons(self.shape) if _next_is(tokens, "SN") else nn.Identity()
        pool = None
        if tokens and tokens[0][:2] in ("MP", "AP"):
            pool, self.shape = self._pool(tokens.pop(0))
        self._add(name, Stage(synapses, norm, neurons, pool, out_shape=self.shape), self.shape)

    def _convolution(self, channels: int, kernel: int, token: str) -> nn.Module:
        if len(self.shape) != 3:
            raise InputError(f"layers: {token} takes images (C, H, W), not {self.shape}")
        if kernel % 2 == 0:
            raise InputError(f"layers: {token}: only odd kernels keep an image's size")
        layer = nn.Conv2d(self.shape[0], channels, kernel, padding=kernel // 2, bias=self.bias)
        self.shape = (channels, *self.shape[1:])
        return layer

    def _linear(self, width: int) -> nn.Module:
        layer = nn.Linear(self.shape[0], width, bias=self.bias)
        self.shape = (width,)
        return layer

    def _pool(self, token: str) -> tuple[nn.Module, tuple[int, ...]]:
        size = int(_number(token[2:], token))
        channels, *sides = self.shape
        if len(sides) != 2 or min(sides) < size:
            raise InputError(f"layers: {token} does not fit {self.shape}")
        pool = POOLS["max" if token.startswith("MP") else "average"](size)
        return pool, (channels, *(side // size for side in sides))

    def _flatten(self) -> None:
        if len(self.shape) > 1:
            self._add("flatten", nn.Flatten(start_dim=2), (math.prod(self.shape),))

    def _width(self, value: str, token: str) -> int:
        if value.endswith("K"):
            return int(_number(value[:-1] or "1", token)) * self.classes
        return int(_number(value, token))

    def _add(self, kind: str, module: nn.Module, shape: tuple[int, ...]) -> None:
        count = sum(name.rstrip("0123456789") == kind for name, _ in self.network.named_children())
        self.network.add_module(f"{kind}{count + 1}", module)
        self.shape = shape


def _next_is(tokens: list[str], token: str) -> bool:
    if tokens and tokens[0] == token:
        del tokens[0]
        return True
    return False


def _number(value: str, token: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise InputError(f"layers: {token!r} lacks its number") from None
