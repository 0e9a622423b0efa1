"""Every data set of the data folder loads, and a network learns from it for a moment."""

import os

import pytest
import torch

from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.core.streams import fingerprint, generator
from spikemark.data.card import DATASETS, Sizes
from spikemark.data.encoders import encode
from spikemark.data.files import verify
from spikemark.data.loading import load_dataset
from spikemark.networks.build import build_network

FOLDER = os.environ.get("SPIKEMARK_DATA")
DOWNLOADED = ("nmnist", "cifar10-dvs", "dvs128-gesture", "shd", "ssc")
STEPS = {"nmnist1k": 6, "nas-tones": 10, "fsdd": 10, "ecg-qtdb": 20, "randman": 20}


# Samples of today's default binning, so that a change of it cannot pass unseen.
FINGERPRINTS = {
    "nmnist1k": ("208b3251ffa6dd4e", "84e855d0c597db48", "cc81858d4a3af56c"),
    "nas-tones": ("ebb630905410c571", "2966446e104e0482", "c61c1e6ba9d531d9"),
    "randman": ("582444f8bbbe5fa9", "a2eb5d327c427627", "30641686fa223a65"),
}


def loaded(name):
    """A little of the data set; skips with its reason when it is not at hand."""
    card = DATASETS[name]
    if card.files and not FOLDER:
        pytest.skip("SPIKEMARK_DATA names no folder with real data sets")
    if card.loader.startswith("spikemark.data.events:nmnist"):
        pytest.importorskip("tonic", reason="tonic (extra 'events') is not installed")
    return card, load_dataset(name, sizes=Sizes(128, 32, 64))


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_default_binning_and_its_recordings(name):
    if DATASETS[name].files:
        loaded(name)
    data = load_dataset(name)
    found = tuple(fingerprint(s.inputs, s.labels) for s in (data.train, data.validation, data.test))
    assert found == FINGERPRINTS[name]
    for split in (data.train, data.test):
        assert split.recordings.first(20).frames().equal(split.inputs[:20])


@pytest.mark.parametrize("name", [name for name in DATASETS if name not in DOWNLOADED])
def test_loads_encodes_and_trains(name):
    card, data = loaded(name)
    steps = STEPS.get(name, 4)
    inputs = encode(card.encoder, data.train.inputs, steps, generator("encoding"))
    assert inputs.shape == (steps, 128, *card.shape)
    assert inputs.min() >= 0
    assert inputs.max() <= 1
    model = build_network("mlp", get_adapter("reference"), NEURONS["lif"], card.shape, card.classes, 0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(8):
        loss = torch.nn.functional.cross_entropy(10 * model(inputs).mean(0), data.train.labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert min(losses[1:]) < losses[0]


@pytest.mark.parametrize("name", [name for name, card in DATASETS.items() if card.files and name not in DOWNLOADED])
def test_every_checksum(name):
    if not FOLDER:
        pytest.skip("SPIKEMARK_DATA names no folder with real data sets")
    assert verify(name) == []


def test_first_nmnist_sample_is_the_published_one():
    # Its first and last events are printed in snnTorch's tutorial 7: (10, 30, 937, 1) and (11, 17, 305341, 1).
    if not FOLDER:
        pytest.skip("SPIKEMARK_DATA names no folder with real data sets")
    pytest.importorskip("tonic", reason="tonic (extra 'events') is not installed")
    from pathlib import Path

    from spikemark.data.events import nmnist_events

    content = Path(FOLDER, "NMNIST1k/Train/0/00002.bin").read_bytes()
    events = nmnist_events(content, "00002.bin", DATASETS["nmnist1k"])
    assert [tuple(events[i].tolist()) for i in (0, -1)] == [(10, 30, 937, 1), (11, 17, 305341, 1)]
