"""What a robustness sweep costs beside the inferences that it needs: rounds alternate, the median ratio is printed."""

from statistics import median
from time import perf_counter

import pytest
import torch

from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.data.encoders import encode
from spikemark.measures.noisy_accuracy import robustness
from spikemark.networks.build import build_network
from spikemark.noise.case import NOISES

ROUNDS, SAMPLES, BATCH, STEPS, CHOSEN = 3, 128, 128, 4, (2, 4)


def encode_step(inputs, generator):
    return encode("direct", inputs, STEPS, generator)


@pytest.mark.parametrize("network", ["mlp", "convnet"])
def test_sweep_against_bare_inferences(benchmark, network, tell):
    adapter = get_adapter("reference")
    model = build_network(network, adapter, NEURONS["lif"], (1, 28, 28), 10, 0).eval()
    inputs, labels = torch.rand(SAMPLES, 1, 28, 28), torch.arange(SAMPLES) % 10

    @torch.no_grad()
    def bare(sweeps):
        for _ in range(sweeps):
            for batch in inputs.split(BATCH):
                model(encode_step(batch, torch.Generator())).mean(0).argmax(1)

    def sweep(names):
        robustness(model, "made-up", inputs, labels, encode_step, names, CHOSEN, BATCH, adapter)

    for domain in ("input", "spikes", "hardware"):
        names = [noise.name for noise in NOISES.values() if noise.domain == domain]
        ratios = []
        for _ in range(ROUNDS):
            start = perf_counter()
            sweep(names)
            middle = perf_counter()
            bare(1 + len(names) * len(CHOSEN))
            ratios.append((middle - start) / (perf_counter() - middle))
        tell(f"robustness, {network}, {domain} noises: sweep / bare inferences {median(ratios):.2f}")
    benchmark.pedantic(sweep, args=(["gaussian", "salt-and-pepper", "spike-deletion"],), rounds=2)
