"""Two small trained networks: on real digits, and on made-up recordings of moving bars that need both polarities."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from spikemark.core.frameworks import get_adapter
from spikemark.data.binning import make_events
from spikemark.data.card import Binning, Sizes
from spikemark.data.encoders import encode
from spikemark.data.loading import Dataset, Split, load_dataset
from spikemark.data.recordings import Recordings
from spikemark.networks.build import build_network
from spikemark.noise import searches
from spikemark.noise.case import Case
from spikemark.training.loop import train
from spikemark.training.rule import Protocol
from spikemark.training.system import SYSTEMS

SYSTEM = SYSTEMS["mlp-lif"]
STEPS = 8
SENSOR, WINDOW = (10, 10, 2), 80_000


@pytest.fixture
def short_searches(monkeypatch):
    """Attacks that take few steps."""
    for name, steps in (("APGD", 10), ("SA_PGD", 10), ("RANDOM", 10), ("SQUARE", 200), ("FLIPS", 4)):
        monkeypatch.setattr(searches, name, replace(getattr(searches, name), steps=steps))


@pytest.fixture(scope="session")
def digits():
    """A network that reads digits, with the test samples."""
    data = load_dataset("digits", sizes=Sizes(1000, 50, 400))
    return trained(data, "direct", 5)


@pytest.fixture(scope="session")
def bars():
    """A network that tells four directions of motion, with the recordings of its test samples."""
    random = np.random.default_rng(7)
    return trained(Dataset("bars", (2, 10, 10), 4, *(bar_split(n, random) for n in (400, 50, 300)), STEPS), "frames", 8)


def trained(data, encoder, epochs):
    adapter = get_adapter("reference")
    model = build_network("mlp", adapter, SYSTEM.spec, data.shape, data.classes, 0, options={"hidden": (64,)})
    train(model, SYSTEM.rule, data, Protocol(epochs=epochs, batch_size=32, encoder=encoder, steps=STEPS), 0)

    def encode_step(batch, generator):
        return encode(encoder, batch, STEPS, generator)

    return Case(model.eval(), data.test.inputs, data.test.labels, encode_step, adapter, data.test.recordings)


def bar_split(count, random):
    """A bar moves over the sensor; its front gives events of polarity 1, its back those of polarity 0."""
    labels = np.arange(count) % 4
    recordings = [bar(label, random) for label in labels]
    binning = Binning("time", STEPS, WINDOW, "split", "binary", full_scale=1)
    listed = Recordings("bars", SENSOR, binning, recordings.__getitem__, np.arange(count))
    return Split(listed.frames(), torch.from_numpy(labels), listed)


def bar(label, random):
    times = np.sort(random.integers(WINDOW, size=400))
    signs = random.integers(2, size=400)
    place = times * 8 // WINDOW + signs
    if label % 2:
        place = 9 - place
    along = random.integers(10, size=400)
    x, y = (place, along) if label < 2 else (along, place)
    stray = random.random(400) < 0.1
    x, y = (np.where(stray, random.integers(10, size=400), axis) for axis in (x, y))
    return make_events(x, y, times, signs)
