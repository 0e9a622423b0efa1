"""Networks written as the literature writes them, for example ``128C3-BN-SN-MP2-DP0.5-FC2048-SN-FC100-SN-VOTE10``.

==========  ==========================================================================================
``128C3``   128 convolution kernels of 3 x 3 (odd sizes only), padded so that the image keeps its size
``FC2048``  fully connected, 2048 outputs; ``FC10K`` gives 10 for each class
``BN``      the system's normalisation of the currents before
``SN``      the system's spiking neurons
``MP2``     max-pooling 2 x 2; ``AP2`` average pooling
``DP0.5``   dropout at rate 0.5 with a mask held over time; ``SD0.5`` with a mask for every step
``VOTE10``  mean over populations of 10 neurons per class
``(A)x3``   the layers A three times
==========  ==========================================================================================

Further layers are registered under their letters (kind "layer"): a function of a `Builder` and a `Token`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from spikemark.errors import InputError, unknown
from spikemark.networks.dropout import Dropout
from spikemark.networks.plain import POOLS
from spikemark.networks.stages import MakeNeurons, MakeNorm, OverTime, PopulationReadout, SpikingNetwork, Stage
from spikemark.registry import Registry, registry

_TOKEN = re.compile(r"(?P<count>\d*)(?P<kind>[A-Z]+?)(?P<value>(?:\d[\d.]*)?K?)")
_REPEAT = re.compile(r"\(([^()]*)\)x(\d+)")
_AFTER_SYNAPSES = ("BN", "SN")
_POOLINGS = {"MP": "max", "AP": "average"}


@dataclass(frozen=True)
class Token:
    """One layer as it is written.

    Attributes:
        text: all of it.
        count: the number in front, such as 128 in ``128C3``; None without one.
        kind: its letters.
        value: what stands behind them.
    """

    text: str
    count: int | None
    kind: str
    value: str

    @property
    def number(self) -> float:
        """The value as a number.

        Raises:
            InputError: it is none.
        """
        try:
            return float(self.value)
        except ValueError:
            raise InputError(f"layers: {self.text!r} lacks its number") from None

    @property
    def kernels(self) -> tuple[int, int]:
        """Number and side of a convolution's kernels.

        Raises:
            InputError: one of them is missing.
        """
        if self.count is None:
            raise InputError(f"layers: {self.text!r} lacks the number of its kernels, such as 128C3")
        return self.count, int(self.number)

    def width(self, classes: int) -> int:
        """The value as a number of neurons; ``10K`` is 10 for each class, ``K`` one."""
        if self.value.endswith("K"):
            return int(self.value[:-1] or "1") * classes
        return int(self.number)


Layer = Callable[["Builder", Token], None]
LAYERS: Registry[Layer] = registry("layer")


def parse(layers: str, kinds: Iterable[str]) -> list[Token]:
    """The tokens of a layer string, repetitions written out.

    Args:
        layers: see the module.
        kinds: the letters that a layer may have.

    Raises:
        InputError: a token that the grammar does not know.
    """
    while _REPEAT.search(layers):
        layers = _REPEAT.sub(lambda found: "-".join([found[1]] * int(found[2])), layers)
    tokens = []
    for text in layers.split("-"):
        found = _TOKEN.fullmatch(text)
        if found is None:
            raise InputError(f"layers: {text!r} is no layer (see spikemark.networks.layers for the grammar)")
        if found["kind"] not in kinds:
            raise InputError(f"layers: {text!r}: {unknown('layer', found['kind'], kinds)}")
        tokens.append(Token(text, int(found["count"]) if found["count"] else None, found["kind"], found["value"]))
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
    **options: Any,
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
        options: of registered layers, which take them by `Builder.option`.

    Raises:
        InputError: the string is not of the grammar, or does not fit the samples or the classes; or no layer takes one
            of the options.
    """
    for part, by in (replace or {}).items():
        if part not in layers:
            raise InputError(f"replace: there is no {part!r} in {layers}")
        layers = layers.replace(part, by)
    return Builder(input_shape, classes, neurons, norm, bias=bias, **options).build(layers)


class Builder:
    """Adds modules layer by layer and keeps the shape that the next one meets.

    A network of stages of its own kind overrides `makes`, `kinds` and `layer`.

    Attributes:
        makes: the class of the network.
        network: what was built so far.
        shape: of its output, for one sample and step.
        classes: number of classes.
        neurons: makes a layer of the system's neurons.
        norm: makes the system's normalisation.
    """

    makes: ClassVar[type[SpikingNetwork]] = SpikingNetwork

    def __init__(
        self,
        shape: tuple[int, ...],
        classes: int,
        neurons: MakeNeurons,
        norm: MakeNorm,
        *,
        bias: bool = False,
        **options: Any,
    ) -> None:
        self.network = self.makes()
        self.shape = tuple(shape)
        self.classes = classes
        self.neurons = neurons
        self.norm = norm
        self.bias = bias
        self._options = options
        self._taken: set[str] = set()
        self._left: list[Token] = []

    def build(self, layers: str) -> SpikingNetwork:
        """The network of a layer string; see `from_layers`."""
        self._left = parse(layers, self.kinds)
        while self._left:
            self.layer(self._left.pop(0))
        unused = sorted(set(self._options) - self._taken)
        if unused:
            raise InputError(f"layers: no layer of {layers} takes the option {', '.join(unused)}")
        if self.shape != (self.classes,):
            raise InputError(
                f"layers: {layers} ends in {list(self.shape)}, not in one score for each of {self.classes} classes"
            )
        return self.network

    @property
    def kinds(self) -> tuple[str, ...]:
        """The letters that it knows."""
        return (*LAYERS, *_AFTER_SYNAPSES)

    def layer(self, token: Token) -> None:
        """Append a layer, and take what belongs to it.

        Raises:
            InputError: the layer does not fit what is there.
        """
        if token.kind in _AFTER_SYNAPSES:
            raise InputError(f"layers: {token.text} stands without a convolution or FC before it")
        LAYERS[token.kind](self, token)

    def take(self, *kinds: str) -> Token | None:
        """The next layer if its letters are one of `kinds`, taken off; else None."""
        return self._left.pop(0) if self._left and self._left[0].kind in kinds else None

    @property
    def at_end(self) -> bool:
        """Whether all layers are taken."""
        return not self._left

    def option(self, name: str, default: Any) -> Any:
        """An option of the network that a layer takes."""
        self._taken.add(name)
        return self._options.get(name, default)

    def add(self, kind: str, module: nn.Module, shape: tuple[int, ...]) -> None:
        """Append a module, named after its kind and numbered, that gives samples of `shape`."""
        count = sum(name.rstrip("0123456789") == kind for name, _ in self.network.named_children())
        self.network.add_module(f"{kind}{count + 1}", module)
        self.shape = shape

    def stage(self, name: str, synapses: nn.Module) -> None:
        """Append synapses that give `shape`, with the BN, SN and pooling that follow them."""
        norm = self.norm(self.shape[0]) if self.take("BN") else nn.Identity()
        neurons = self.neurons(self.shape) if self.take("SN") else nn.Identity()
        pool = None
        if (pooling := self.take(*_POOLINGS)) is not None:
            pool, self.shape = self.pooling(pooling)
        self.add(name, Stage(synapses, norm, neurons, pool, out_shape=self.shape), self.shape)

    def flatten(self) -> int:
        """Make the samples flat; how many values they have."""
        if len(self.shape) > 1:
            self.add("flatten", nn.Flatten(start_dim=2), (math.prod(self.shape),))
        return self.shape[0]

    def images(self, token: Token) -> tuple[int, int, int]:
        """The shape ``(C, H, W)``.

        Raises:
            InputError: the samples are no images.
        """
        if len(self.shape) != 3:
            raise InputError(f"layers: {token.text} takes images (C, H, W), not {self.shape}")
        channels, height, width = self.shape
        return channels, height, width

    def pooling(self, token: Token) -> tuple[nn.Module, tuple[int, ...]]:
        """Pooling for a batch, and the shape behind it."""
        return POOLS[_POOLINGS[token.kind]](int(token.number)), self.pooled(token)

    def pooled(self, token: Token) -> tuple[int, ...]:
        """The shape behind a pooling.

        Raises:
            InputError: it does not fit.
        """
        size = int(token.number)
        channels, *sides = self.shape
        if len(sides) != 2 or not 1 <= size <= min(sides):
            raise InputError(f"layers: {token.text} does not fit {self.shape}")
        return (channels, *(side // size for side in sides))


def convolution(builder: Builder, token: Token) -> None:
    """``nCk``: n kernels of k x k, padded."""
    channels, height, width = builder.images(token)
    count, side = token.kernels
    if side % 2 == 0:
        raise InputError(f"layers: {token.text}: only odd kernels keep an image's size")
    builder.shape = (count, height, width)
    builder.stage("conv", nn.Conv2d(channels, count, side, padding=side // 2, bias=builder.bias))


def fully_connected(builder: Builder, token: Token) -> None:
    """``FCn``: n outputs."""
    fan_in, width = builder.flatten(), token.width(builder.classes)
    builder.shape = (width,)
    builder.stage("fc", nn.Linear(fan_in, width, bias=builder.bias))


def max_pooling(builder: Builder, token: Token) -> None:
    """``MPn``: the largest of n x n values."""
    pool, shape = builder.pooling(token)
    builder.add("pool", OverTime(pool), shape)


def average_pooling(builder: Builder, token: Token) -> None:
    """``APn``: the mean of n x n values."""
    max_pooling(builder, token)


def held_dropout(builder: Builder, token: Token) -> None:
    """``DPr``: dropout at rate r with one mask for all steps."""
    builder.add("dropout", Dropout(token.number, each_step=False), builder.shape)


def step_dropout(builder: Builder, token: Token) -> None:
    """``SDr``: dropout at rate r with a mask for every step."""
    builder.add("dropout", Dropout(token.number, each_step=True), builder.shape)


def vote(builder: Builder, token: Token) -> None:
    """``VOTEn``: the mean over populations of n neurons per class."""
    if builder.shape != (builder.classes * int(token.number),):
        raise InputError(
            f"layers: {token.text} after {list(builder.shape)} values does not fit {builder.classes} classes"
        )
    builder.add("readout", PopulationReadout(builder.classes), (builder.classes,))
