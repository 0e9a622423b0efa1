"""Throughput and memory of a model that was brought."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import spikemark
from spikemark.measures.speed.given import peak_memory

FLOATS = 1 << 18


def numbers(record):
    return {row["metric"]: row["value"] for row in record["measurements"]}


def evaluated(model, **options):
    request = {"layout": "B", "samples": 20, "measures": ["throughput"]}
    settings = {"throughput": {"seconds": 0.02, "batch_size": 8}}
    results = spikemark.evaluate(model, "digits", settings=settings, **request | options)
    assert results.records[0]["status"] == "ok"
    return results


def test_the_peak_is_that_of_tensors_which_live_at_the_same_time():
    def build():
        kept = [torch.ones(FLOATS)]  # was there before

        def run():
            kept.append(torch.ones(FLOATS))
            other = torch.ones(2 * FLOATS)
            del other
            kept[0] = torch.ones(FLOATS)

        return run

    # The second tensor, and first twice as much beside it; then another one, before that in its place is freed.
    assert peak_memory(build, "cpu") == 3 * FLOATS * 4


def test_training_is_measured_on_a_copy_and_gradients_of_the_users_stay():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 10))
    net(torch.rand(4, 64)).sum().backward()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    gradients = {name: (parameter.grad, parameter.grad.clone()) for name, parameter in net.named_parameters()}
    results = evaluated(net)
    found = numbers(results.records[0])
    assert found["training_samples_per_second"] > 0
    assert results.overview["peak_memory"].iloc[0] == found["peak_memory"]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    for name, parameter in net.named_parameters():
        assert parameter.grad is gradients[name][0]
        assert torch.equal(parameter.grad, gradients[name][1])


class Wide(nn.Module):
    """Few weights, and many values that the way back needs."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return (self.fc(x.flatten(1))[:, None] * torch.ones(4096, 1)).exp().mean(1)


def test_memory_of_training_holds_what_the_way_back_needs():
    values = 8 * 4096 * 10 * 4
    found = numbers(evaluated(Wide()).records[0])
    assert 2 * values < found["peak_memory"] < 4 * values


class Rounds(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(64, 10)

    def forward(self, x):
        return self.fc(x.flatten(1)).detach()


class Remembers(Rounds):
    """In training it holds on to the graph of its last call."""

    def __init__(self):
        super().__init__()
        self.trace = torch.zeros(())

    def forward(self, x):
        scores = self.fc(x.flatten(1))
        if self.training:
            self.trace = self.trace + scores.mean()
            return scores + self.trace
        return scores


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (lambda x: x.flatten(1)[:, :10], "the model has no parameter that learns"),
        (Rounds(), "raised RuntimeError: element 0 of tensors does not require grad"),
        (Remembers(), "raised RuntimeError: Trying to backward through the graph a second time"),
    ],
)
def test_what_cannot_be_trained_has_the_other_numbers_and_a_reason(model, message):
    results = evaluated(model)
    assert message in results.left_out["training"]
    assert "\n" not in results.left_out["training"]
    assert {"samples_per_second", "latency"} < set(numbers(results.records[0]))
    assert "training_samples_per_second" not in numbers(results.records[0])
