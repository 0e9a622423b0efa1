"""What the harness costs: an epoch through `train` against the bare loop that a user would write for the same network.

Both draw the same order, encode, step the same optimiser and score the validation split; `train` adds named streams,
the deadline, the listener, checks for divergence, fingerprints and copies of the state.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from spikemark.core.frameworks import get_adapter
from spikemark.data.loading import Dataset, load_dataset
from spikemark.measures.speed.timing import Budget, interleave
from spikemark.networks.build import build_network
from spikemark.training.loop import train
from spikemark.training.losses import mse_rate
from spikemark.training.rule import Protocol
from spikemark.training.system import SYSTEMS

PROTOCOL = Protocol(epochs=5, batch_size=64, encoder="direct", steps=4)
SYSTEM = SYSTEMS["mlp-stl"]
GOAL = 1.05


def _network(dataset: Dataset) -> Any:
    return build_network(SYSTEM.network, get_adapter("reference"), SYSTEM.spec, dataset.shape, dataset.classes, 0)


def _harness(dataset: Dataset) -> Callable[[], object]:
    model = _network(dataset)
    return lambda: train(model, SYSTEM.rule, dataset, PROTOCOL, 0)


def _bare(dataset: Dataset) -> Callable[[], object]:
    model = _network(dataset)

    def epochs() -> float:
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        return sum(epoch(optimizer) for _ in range(PROTOCOL.epochs))

    def epoch(optimizer: torch.optim.Optimizer) -> float:
        model.train()
        total = 0.0
        for batch in torch.randperm(len(dataset.train)).split(PROTOCOL.batch_size):
            inputs = dataset.train.inputs[batch]
            loss = mse_rate(model(inputs.expand(PROTOCOL.steps, *inputs.shape)).mean(0), dataset.train.labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item()
        model.eval()
        with torch.no_grad():
            right = 0
            batches = zip(
                dataset.validation.inputs.split(PROTOCOL.batch_size),
                dataset.validation.labels.split(PROTOCOL.batch_size),
                strict=True,
            )
            for inputs, labels in batches:
                outputs = model(inputs.expand(PROTOCOL.steps, *inputs.shape)).mean(0)
                right += int((outputs.argmax(1) == labels).sum())
        return total + right

    return epochs


def test_an_epoch_through_the_harness(benchmark: Any, tell: Callable[[str], None]) -> None:
    dataset = load_dataset("digits")
    contenders = {"bare": _bare(dataset), "harness": _harness(dataset)}
    timings = interleave(contenders, Budget(seconds=20, min_rounds=12), reference="bare")
    found = timings.ratio("harness")
    tell(f"epoch through the harness / bare loop: {found.value:.3f} [{found.low:.3f}, {found.high:.3f}], goal {GOAL}")
    benchmark.pedantic(contenders["harness"], rounds=3)
