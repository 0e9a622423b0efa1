from dataclasses import replace

import numpy as np
import pytest

from spikemark.data import files
from spikemark.data.card import DATASETS
from spikemark.data.decoded import cached
from spikemark.data.pools import Pool
from spikemark.errors import DataError


@pytest.fixture
def card(tiny):
    return DATASETS["tiny"]


def test_built_once_and_read_back_alike(card):
    calls = []

    def build():
        calls.append(1)
        return {"train": Pool(np.arange(6, dtype=np.float32).reshape(3, 2), np.array([0, 1, 2]), "x")}

    first, second = cached(card, 1, build), cached(card, 1, build)
    assert len(calls) == 1
    assert set(second) == {"train"}
    np.testing.assert_array_equal(first["train"].inputs, second["train"].inputs)
    np.testing.assert_array_equal(first["train"].labels, second["train"].labels)
    cached(card, 2, build)
    cached(replace(card, files=card.files[:1]), 1, build)
    assert len(calls) == 3
    assert not list(files.cache_folder().rglob("*.part"))


def test_failure_leaves_no_entry(card):
    def build():
        raise DataError("broken")

    with pytest.raises(DataError, match="broken"):
        cached(card, 1, build)
    assert not list(files.cache_folder().rglob("*.npz"))


def test_damaged_entry_is_named(card):
    cached(card, 1, lambda: {"train": Pool(np.zeros((3, 2)), np.zeros(3, np.int64), "x")})
    (entry,) = files.cache_folder().rglob("*.npz")
    entry.write_bytes(entry.read_bytes()[:50])
    with pytest.raises(DataError, match=r"npz is damaged .* delete it"):
        cached(card, 1, dict)


def test_unwritable_cache_only_warns(card, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path / "file")
    pools = cached(card, 1, lambda: {"train": Pool(np.zeros((3, 2)), np.zeros(3, np.int64), "x")})
    assert len(pools["train"].labels) == 3
    assert "could not be cached" in caplog.text
