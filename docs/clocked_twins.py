"""What a clock of K steps costs a first-spike network: the table of `local_learning.md`.

Trains NCG once in the event form and evaluates the very same weights on the clock of every framework:

    python docs/clocked_twins.py --data-dir DATA [--dataset mnist] [--train 5000] [--test 2000] [--epochs 10]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from spikemark.core.adapter import Adapter, SpikingLayer
from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.core.streams import generator
from spikemark.data.card import Sizes
from spikemark.data.loading import load_dataset
from spikemark.methods.first_spike.network import FirstSpikeNetwork, first_spike
from spikemark.methods.first_spike.systems import SYSTEMS
from spikemark.training.rule import Protocol

FRAMEWORKS = ("spikingjelly", "snntorch", "norse")
STEPS = (16, 32, 64, 128, 256, 512)
BATCH, SEED = 50, 0


def main() -> None:
    """Train, evaluate, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--dataset", default="mnist", choices=["mnist", "fashion-mnist"])
    for name, value in (("--train", 5000), ("--test", 2000), ("--epochs", 10)):
        parser.add_argument(name, type=int, default=value)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    dataset = load_dataset(asked.dataset, asked.data_dir, Sizes(train=asked.train, validation=1, test=asked.test))
    system = SYSTEMS["ncg-" + asked.dataset.partition("-")[0]]

    def build(adapter: Adapter, **options: Any) -> FirstSpikeNetwork:
        def neurons(shape: tuple[int, ...]) -> SpikingLayer:
            return adapter.neuron(NEURONS["if"], shape)

        return first_spike(dataset.shape, dataset.classes, neurons, None, **system.options, **options)

    torch.manual_seed(SEED)
    exact = build(get_adapter("reference"))
    learner = system.rule.learner(exact, Protocol(asked.epochs, BATCH, "direct", 1), SEED)
    learner.begin(dataset.train.inputs)
    for epoch in range(1, asked.epochs + 1):
        order = torch.randperm(asked.train, generator=generator("order", dataset.name, SEED, epoch))
        for part in order.split(BATCH):
            learner.learn(dataset.train.inputs[part].unsqueeze(0), dataset.train.labels[part])
        learner.end_epoch()
    labels = dataset.test.labels

    def predictions(model: FirstSpikeNetwork) -> torch.Tensor:
        parts = dataset.test.inputs.split(BATCH)
        return torch.cat([model(part.unsqueeze(0))[0].argmax(1) for part in parts])

    right = predictions(exact)
    accuracy = (right == labels).double().mean().item()
    print(f"{system.network}, {dataset.name}: event form {accuracy:.2%} of {len(labels)} test samples\n")
    print("| K | " + " | ".join(f"{name}: lost, changed" for name in FRAMEWORKS) + " |")
    print("| ---: |" + " ---: |" * len(FRAMEWORKS))
    for steps in STEPS:
        cells = []
        for name in FRAMEWORKS:
            twin = build(get_adapter(name), steps=steps)
            twin.load_state_dict(exact.state_dict())
            found = predictions(twin)
            lost = accuracy - (found == labels).double().mean().item()
            cells.append(f"{100 * lost:+.2f} points, {(found != right).double().mean():.2%}")
        print(f"| {steps} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
