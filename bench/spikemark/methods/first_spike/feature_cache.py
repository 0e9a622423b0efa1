"""Features that are computed once and used by many runs: all systems of a seed share one trained extractor.

Content decides: a row belongs to the extractor's weights and to the image's bytes, so a disturbed image or a disturbed
weight never finds the row of a clean one. Only extractors that training has announced are remembered.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from spikemark.methods.first_spike.events import Floats

BYTES_PER_EXTRACTOR = 320 * 2**20
EXTRACTORS = 2


class Stores:
    """Rows of features by extractor and image; the extractor announced longest ago makes room.

    Args:
        size: bytes of features to keep of one extractor; what comes after is computed each time.
        extractors: how many to keep.
    """

    def __init__(self, size: int = BYTES_PER_EXTRACTOR, extractors: int = EXTRACTORS) -> None:
        self._size = size
        self._extractors = extractors
        self._rows: OrderedDict[str, dict[bytes, Floats]] = OrderedDict()

    def keep(self, extractor: str) -> None:
        """Announce an extractor whose rows are worth remembering."""
        self._rows.setdefault(extractor, {})
        self._rows.move_to_end(extractor)
        if len(self._rows) > self._extractors:
            self._rows.popitem(last=False)

    def look_up(self, extractor: str, images: Tensor, extract: Callable[[Tensor], Floats], features: int) -> Tensor:
        """Features ``[B, features]`` of images ``[B, ...]``, computing those that are not known."""
        rows = self._rows.get(extractor)
        if rows is None:
            return torch.from_numpy(extract(images))
        keys = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in images.contiguous().numpy()]
        missing = [i for i, key in enumerate(keys) if key not in rows]
        out = np.empty((len(images), features), dtype=np.float32)
        if missing:
            out[missing] = extract(images[missing])
        for i in set(range(len(images))) - set(missing):
            out[i] = rows[keys[i]]
        room = self._size // (4 * features) - len(rows)
        for i in missing[: max(room, 0)]:
            rows[keys[i]] = out[i].copy()
        return torch.from_numpy(out)


STORES = Stores()
"""Of this process."""
