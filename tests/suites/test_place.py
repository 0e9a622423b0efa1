from __future__ import annotations

import pytest

from spikemark.suites import place
from spikemark.suites.place import Needs, identity, unlike

PLUGIN = """
import spikemark

@spikemark.encoder("of-a-worker")
def same(inputs, steps, generator):
    return inputs.expand(steps, *inputs.shape)
"""
PARTS = (
    "Python", "commit", "torch", "numpy", "norse", "source of spikemark", "source of spikemark_adapters",
    "plug-in of_a_worker.py", "card of digits",
)  # fmt: skip


@pytest.fixture
def needs(tmp_path, monkeypatch):
    monkeypatch.setattr(place, "commit", lambda: "0123456789ab")
    (tmp_path / "of_a_worker.py").write_text(PLUGIN)
    return Needs((str(tmp_path / "of_a_worker.py"),), ("norse",), (("digits", {}),), ("of_a_worker.py",))


def test_a_worker_like_the_client_is_taken_and_each_difference_is_named(needs, monkeypatch):
    pytest.importorskip("norse")
    client = identity(needs)
    assert set(PARTS) <= set(client)
    assert unlike(client, needs) == ""
    for part in client:
        said = unlike(client | {part: "another"}, needs)
        assert said == f"its {part} is {client[part]}, the client's another"
    both = unlike(client | {"torch": "1.0", "commit": "ffffffffffff"}, needs)
    assert "its commit is 0123456789ab" in both
    assert "its torch is" in both


def test_a_card_with_another_checksum_is_another_card():
    from dataclasses import replace

    from spikemark.data.card import DATASETS

    card = DATASETS["fashion-mnist"]
    (first, *rest) = card.files
    changed = replace(card, files=(replace(first, sha256="0" * 64), *rest))
    assert place._checksum(changed) != place._checksum(card)
