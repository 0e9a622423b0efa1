import hashlib

import numpy as np
import pytest
from idx_files import idx

from spikemark.data import files
from spikemark.data.card import DATASETS, Card, File, Sizes


@pytest.fixture
def only_card(monkeypatch):
    """Makes a card the only registered data set, until the test ends."""

    def put(card):
        monkeypatch.setattr(DATASETS, "_entries", {})
        DATASETS.add(card.name, card)

    return put


@pytest.fixture
def tiny(tmp_path, monkeypatch, only_card):
    """The data folder of a registered MNIST-like set "tiny" of 20 + 6 samples; the cache is empty."""
    random = np.random.default_rng(0)
    arrays = {
        "train-images": random.integers(0, 256, (20, 2, 3)),
        "train-labels": np.arange(20) % 4,
        "t10k-images": random.integers(0, 256, (6, 2, 3)),
        "t10k-labels": np.arange(6) % 4,
    }
    listed = []
    for name, array in arrays.items():
        content = idx(array)
        path = f"Tiny/raw/{name}.gz"
        target = tmp_path / "data" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        listed.append(File(path, hashlib.sha256(content).hexdigest(), f"http://127.0.0.1:9/{name}"))
    card = Card(
        name="tiny",
        kind="image",
        shape=(1, 2, 3),
        classes=4,
        samples=Sizes(15, 5, 6),
        encoder="direct",
        loader="spikemark.data.images:idx_images",
        licence="none",
        source="made here",
        split="official test",
        files=tuple(listed),
    )
    only_card(card)
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("SPIKEMARK_DATA", raising=False)
    return tmp_path / "data"
