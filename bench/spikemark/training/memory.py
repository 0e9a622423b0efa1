"""How much a forward pass keeps for its backward pass: an exact count that needs no quiet machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass
class Saved:
    """Memory that autograd keeps, each storage counted once.

    Attributes:
        storages: bytes by the storage's address.
    """

    storages: dict[int, int] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Bytes of all storages together."""
        return sum(self.storages.values())


@contextmanager
def saved_for_backward(model: nn.Module, inputs: Tensor) -> Iterator[Saved]:
    """Count what autograd saves inside the block, without the model's own tensors and its input, which exist anyway.

    Tensors are held until the block ends, so that no address is used twice.
    """
    saved = Saved()
    held: list[Tensor] = []
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers(), inputs)}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            saved.storages[storage.data_ptr()] = storage.nbytes()
            held.append(tensor.detach())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield saved
