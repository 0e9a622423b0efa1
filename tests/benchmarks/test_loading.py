"""What loading and encoding cost beside an epoch of training on the shipped networks; it should stay under a tenth."""

from time import perf_counter

import pytest

from spikemark.core.frameworks import get_adapter
from spikemark.core.streams import generator
from spikemark.data.card import DATASETS, Sizes
from spikemark.data.encoders import encode
from spikemark.data.loading import load_dataset
from spikemark.networks.build import build_network
from spikemark.training.loop import train
from spikemark.training.rule import Protocol
from spikemark.training.system import SYSTEMS

BATCH, STEPS = 64, 4


@pytest.mark.parametrize(("name", "network"), [("digits", "mlp"), ("randman", "mlp"), ("digits", "convnet")])
def test_loading_and_encoding_against_an_epoch(benchmark, name, network, tell):
    system, sizes = SYSTEMS[f"{network}-lif"], Sizes(960, 64, 64)
    encoder = DATASETS[name].encoder
    load_dataset(name, sizes=sizes)  # decoded and imported

    start = perf_counter()
    data = load_dataset(name, sizes=sizes)
    loaded = perf_counter()
    random = generator("encoding")
    for batch in data.train.inputs.split(BATCH):
        encode(encoder, batch, STEPS, random).contiguous()
    encoded = perf_counter()
    model = build_network(network, get_adapter("reference"), system.spec, data.shape, data.classes, 0)
    train(model, system.rule, data, Protocol(1, BATCH, encoder, STEPS), 0)
    epoch = perf_counter() - encoded
    tell(
        f"{name}, {network}: loading (once a process) {(loaded - start) / epoch:.3f}, "
        f"encoding {(encoded - loaded) / epoch:.3f} of an epoch"
    )
    benchmark.pedantic(encode, args=(encoder, data.train.inputs[:BATCH], STEPS, random), rounds=5)
