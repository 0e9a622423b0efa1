"""Random streams named by what they are for, so that contenders share every stream that is not theirs alone.

``generator("weights", seed)`` gives every framework the same first weights, ``generator("noise", "gaussian", 3)``
every neuron the same noisy test set. Two streams with different names are independent.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable

import numpy as np
import torch


def stream_seed(*axes: str | int) -> int:
    """A seed below ``2 ** 63`` that depends on every axis and on their order."""
    digest = hashlib.sha256(json.dumps(axes).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*axes: str | int) -> torch.Generator:
    """A CPU generator seeded with `stream_seed`."""
    return torch.Generator().manual_seed(stream_seed(*axes))


class Fingerprint:
    """Short hash of types, shapes and bytes of tensors, one after the other: equal data, equal text."""

    def __init__(self, *tensors: torch.Tensor) -> None:
        self._digest = hashlib.sha256()
        self._read(tensors)

    def __str__(self) -> str:
        return self._digest.hexdigest()[:16]

    def followed_by(self, *tensors: torch.Tensor) -> Fingerprint:
        """That of these tensors after the ones before, which are not read again."""
        longer = Fingerprint()
        longer._digest = self._digest.copy()
        longer._read(tensors)
        return longer

    def _read(self, tensors: Iterable[torch.Tensor]) -> None:
        for tensor in tensors:
            array = tensor.detach().cpu().contiguous().numpy()
            self._digest.update(f"{array.dtype}{array.shape}".encode())
            self._digest.update(array.reshape(-1).view(np.uint8).data)


def fingerprint(*tensors: torch.Tensor) -> str:
    """The text of a `Fingerprint`."""
    return str(Fingerprint(*tensors))
