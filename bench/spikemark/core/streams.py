"""Random streams named by what they are for, so that contenders share every stream that is not theirs alone.

``generator("weights", seed)`` gives every framework the same first weights, ``generator("noise", "gaussian", 3)``
every neuron the same noisy test set. Two streams with different names are independent.
"""

from __future__ import annotations

import hashlib
import json

import torch


def stream_seed(*axes: str | int) -> int:
    """A seed below ``2 ** 63`` that depends on every axis and on their order."""
    digest = hashlib.sha256(json.dumps(axes).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(*axes: str | int) -> torch.Generator:
    """A CPU generator seeded with `stream_seed`."""
    return torch.Generator().manual_seed(stream_seed(*axes))


def fingerprint(*tensors: torch.Tensor) -> str:
    """Short hash of the tensors' types, shapes and bytes: equal data, equal text."""
    digest = hashlib.sha256()
    for tensor in tensors:
        array = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
