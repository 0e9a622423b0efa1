"""Pairs of a nonzero input and a nonzero weight in one product of tensors: linear, convolution, or matrices.

None of them multiplies the inputs again: the nonzero inputs are first added up over time and batch, and only their map
meets the weights. Padding pairs with nothing; a bias is no weight.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikemark.core.counts import ACCUMULATING, FULL_BITS, Kind, LayerCount
from spikemark.measures.counting.census import Census, Memory
from spikemark.measures.counting.input_kinds import InputValues

COUNTED_LAYERS = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
_CHEAPEST: tuple[Kind, ...] = ("binary", "ternary", "scaled", "integer", "graded", "analog")


class Operand:
    """What one side of a product held, over all its calls.

    Attributes:
        values: their kind.
        magnitude: of each pair the magnitude of this side's value, all added up; of no use once there are many values.
    """

    def __init__(self) -> None:
        self.values = InputValues()
        self.magnitude = 0.0

    @property
    def additions(self) -> int | None:
        """Accumulates if every value is so many additions of one unit; None where they are no multiples of a unit."""
        unit = self.values.unit
        return None if unit is None else round(self.magnitude / unit)

    def see(self, known: Census, pairs: int, meet: Callable[[Tensor], float]) -> None:
        """Take in ``[N, *features]``.

        Args:
            known: their census.
            pairs: that they are part of.
            meet: pairs with the other side, each as often as a map ``[*features]`` says.
        """
        self.values.see(known)
        if known.only_ones:
            self.magnitude += pairs
        elif known.levels is not None and self.values.few:
            self.magnitude += meet(known.levels.sums)


class Tally:
    """Totals of one layer over its calls.

    Attributes:
        operations: pairs of nonzeros.
        dense: pairs of anything.
        sides: of the product; that of a weight is never seen.
        memory: of what was counted before.
        bits: of a weight.
        dense_each: pairs of anything in one of the images that a convolution gets, by their shape and its settings.
    """

    def __init__(self, memory: Memory, bits: int = FULL_BITS) -> None:
        self.memory = memory
        self.bits = bits
        self.operations = 0
        self.dense = 0
        self.dense_each: dict[Any, int] = {}
        self.sides = (Operand(), Operand())

    @property
    def cheaper(self) -> Operand:
        """The side whose values cost less; that of a weight was never seen and does not count."""
        first, second = self.sides
        seen = [side for side in self.sides if side.values.seen]
        return min(seen or [first], key=lambda side: (_CHEAPEST.index(side.values.kind), side is second))

    @property
    def kind(self) -> Kind:
        """Of the input."""
        return self.cheaper.values.kind

    def count(self, name: str, samples: int) -> LayerCount:
        """Per sample."""
        kind, operations, dense = self.kind, self.operations / samples, self.dense / samples
        additions = self.cheaper.additions if kind in ("integer", "graded") else None
        each = None if additions is None else additions / samples
        match kind:
            case "integer":
                assert each is not None
                return LayerCount(name, kind, 0.0, each, dense, products=operations, bits=self.bits)
            case _ if kind in ACCUMULATING:
                return LayerCount(name, kind, 0.0, operations, dense, bits=self.bits)
            case _:
                return LayerCount(name, kind, operations, 0.0, dense, additions=each, bits=self.bits)


def linear_pairs(tally: Tally, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> None:  # noqa: A002
    """Pairs of `torch.nn.functional.linear`."""
    rows = input.reshape(-1, input.shape[-1])
    known, fan_out = tally.memory.census(rows), tally.memory.census(weight, levels=False).nonzero

    def meet(inputs: Tensor) -> float:
        return float(inputs @ fan_out)

    pairs = round(meet(known.nonzero))
    tally.operations += pairs
    tally.dense += len(rows) * weight.numel()
    tally.sides[0].see(known, pairs, meet)


def conv_pairs(
    convolve: Callable[..., Tensor],
    tally: Tally,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    *settings: Any,
    **named: Any,
) -> None:
    """Pairs of a convolution: a map of inputs, convolved with the nonzero weights at each offset, holds each once."""
    images = input.unsqueeze(0) if input.dim() == weight.dim() - 1 else input
    known = tally.memory.census(images)
    groups = images.shape[1] // weight.shape[1]

    def fan_out(weights: Tensor) -> Tensor:
        if convolve in _TRANSPOSED:
            return tally.memory.census(weights.movedim(1, 0), levels=False).nonzero.unsqueeze(1)
        by_group = weights.reshape(groups, -1, *weights.shape[1:]).movedim(1, 0)
        return tally.memory.census(by_group, levels=False).nonzero

    def meet(inputs: Tensor, weights: Tensor = weight) -> float:
        return float(convolve(inputs.unsqueeze(0), fan_out(weights), None, *settings, **named).sum())

    pairs = round(meet(known.nonzero))
    tally.operations += pairs
    shapes = str((images.shape[1:], weight.shape, settings, named))
    if shapes not in tally.dense_each:
        tally.dense_each[shapes] = round(meet(torch.ones_like(known.nonzero), torch.ones_like(weight)))
    tally.dense += len(images) * tally.dense_each[shapes]
    tally.sides[0].see(known, pairs, meet)


def product_pairs(tally: Tally, left: Tensor, right: Tensor, *, is_weight: tuple[bool, bool]) -> None:
    """Pairs of ``left [*batch, n, k] @ right [*batch, k, m]``.

    Args:
        tally: of the layer.
        left: of the product.
        right: of the product.
        is_weight: of each side, whether it is a weight, whose own values decide nothing.
    """
    sides = left.movedim(-2, 0), right.movedim(-1, 0)  # [n, *batch, k] and [m, *batch, k]
    seen = [not weight or all(is_weight) for weight in is_weight]
    known = [tally.memory.census(side, levels=own) for side, own in zip(sides, seen, strict=True)]

    def meet(inputs: Tensor, other: Tensor) -> float:
        return float((inputs * other).sum())

    pairs = round(meet(known[0].nonzero, known[1].nonzero))
    tally.operations += pairs
    tally.dense += left.numel() * right.shape[-1]
    for i in (0, 1):
        if seen[i]:
            tally.sides[i].see(known[i], pairs, partial(meet, other=known[1 - i].nonzero))


_CONVOLUTIONS = (F.conv1d, F.conv2d, F.conv3d)
_TRANSPOSED = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
PAIRS: Mapping[Any, Callable[..., None]] = {
    F.linear: linear_pairs,
    **{convolve: partial(conv_pairs, convolve) for convolve in (*_CONVOLUTIONS, *_TRANSPOSED)},
}


def convolution_pairs(
    tally: Tally,
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> None:
    """Pairs of ``aten.convolution``, which every convolution is below autograd."""
    dims = weight.dim() - 3
    if transposed:
        conv_pairs(_TRANSPOSED[dims], tally, input, weight, bias, stride, padding, output_padding, groups, dilation)
    else:
        conv_pairs(_CONVOLUTIONS[dims], tally, input, weight, bias, stride, padding, dilation, groups)
