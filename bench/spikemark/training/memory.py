"""How much passes forward keep for those backward: an exact count that needs no quiet machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass
class Saved:
    """Memory that autograd keeps, each storage counted once.

    Attributes:
        bytes: of all storages that were kept at one time, at most.
    """

    bytes: int = 0
    _now: int = 0
    _holders: Counter[int] = field(default_factory=Counter)

    def keep(self, tensor: Tensor) -> _Kept:
        """What holds the tensor until autograd forgets it."""
        storage = tensor.untyped_storage()
        if not self._holders[storage.data_ptr()]:
            self._now += storage.nbytes()
            self.bytes = max(self.bytes, self._now)
        self._holders[storage.data_ptr()] += 1
        return _Kept(tensor, self)

    def forget(self, tensor: Tensor) -> None:
        """One holder of the tensor's storage is gone."""
        storage = tensor.untyped_storage()
        self._holders[storage.data_ptr()] -= 1
        if not self._holders[storage.data_ptr()]:
            self._now -= storage.nbytes()


@dataclass(eq=False)
class _Kept:
    """A tensor in autograd's hands; its storage lives as long, so that no address is used twice meanwhile."""

    tensor: Tensor
    saved: Saved

    def __del__(self) -> None:
        self.saved.forget(self.tensor)


@contextmanager
def saved_for_backward(model: nn.Module, inputs: Tensor) -> Iterator[Saved]:
    """Count what autograd saves inside the block, without the model's own tensors and its input, which exist anyway.

    Graphs that are gone before others are made count for themselves.
    """
    saved = Saved()
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers(), inputs)}

    def pack(tensor: Tensor) -> Tensor | _Kept:
        return tensor if tensor.untyped_storage().data_ptr() in own else saved.keep(tensor)

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept.tensor if isinstance(kept, _Kept) else kept):
        yield saved
