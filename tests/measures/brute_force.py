"""A slow oracle of operation counts: below autograd, every product is made again with 0/1 masks of its operands."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


class Masks(TorchDispatchMode):
    """Adds up pairs of nonzeros, and pairs of anything, over all products of a run."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs = self.dense = self.additions = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket
        first = 1 if name in (aten.addmm, aten.baddbmm, aten.addmv) else 0
        if name in (aten.mm, aten.bmm, aten.mv, aten.dot, aten.addmm, aten.baddbmm, aten.addmv):
            plain = {aten.addmm: aten.mm, aten.baddbmm: aten.bmm, aten.addmv: aten.mv}.get(name, name)
            self._add(plain, args[first : first + 2], ())
        elif name is aten.convolution:
            self._add(name, args[:2], (None, *args[3:]))
        return func(*args, **(kwargs or {}))

    def _add(self, product: Any, operands: tuple[Tensor, ...], rest: tuple[Any, ...]) -> None:
        masks = [(operand != 0).double() for operand in operands]
        self.pairs += round(float(product(*masks, *rest).sum()))
        first = operands[0].double()
        whole = bool((first == first.round()).all())
        self.additions += round(float(product(first.abs() if whole else masks[0], masks[1], *rest).sum()))
        self.dense += round(float(product(*(torch.ones_like(mask) for mask in masks), *rest).sum()))


@torch.no_grad()
def additions(model: nn.Module, inputs: Tensor) -> int:
    """Pairs of one call, a pair with a whole number n counted n times."""
    with Masks() as masks:
        model.eval()(inputs)
    return masks.additions


@torch.no_grad()
def brute_force(model: nn.Module, inputs: Tensor) -> tuple[int, int]:
    """Effective and dense pairs of one call, of all samples together."""
    with Masks() as masks:
        model.eval()(inputs)
    return masks.pairs, masks.dense
