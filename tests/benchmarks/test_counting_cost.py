"""What counting operations costs beside plain inference, and what the peers' counters cost on the same network.

Run with ``pytest tests/benchmarks/test_counting_cost.py --benchmark-only -s``.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikemark import count_operations
from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS

STEPS, BATCH = 8, 32
ROUNDS = 41
PEER_ROUNDS = 11
LIMIT = 1.10


class Network(nn.Module):
    """Two convolutions of 16 and 32 channels on 28 x 28 images, each followed by LIF neurons, and a linear readout."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        adapter = get_adapter("reference")
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.lif1 = adapter.neuron(NEURONS["lif"], (16, 28, 28))
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.lif2 = adapter.neuron(NEURONS["lif"], (32, 28, 28))
        self.readout = nn.Linear(32 * 28 * 28, 10)
        with torch.no_grad():  # so that both layers fire
            self.conv1.weight.mul_(4)
            self.conv2.weight.mul_(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.lif1(self.conv1(x.flatten(0, 1)).unflatten(0, x.shape[:2]))
        x = self.lif2(self.conv2(x.flatten(0, 1)).unflatten(0, x.shape[:2]))
        return self.readout(x.flatten(2))


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    return Network().eval()


@pytest.fixture(scope="module", params=["spikes", "pixels"])
def inputs(request: pytest.FixtureRequest) -> Tensor:
    pixels = torch.rand(STEPS, BATCH, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    return pixels if request.param == "pixels" else (pixels < 0.3).float()


def plain(network: nn.Module, inputs: Tensor) -> Any:
    with torch.no_grad():
        return network(inputs)


def spikingjelly(network: nn.Module, inputs: Tensor) -> float:
    counting = pytest.importorskip("spikingjelly.activation_based.op_counter")
    counter = counting.SynOpCounter()
    with torch.no_grad(), counting.DispatchCounterMode([counter]):
        network(inputs)
    return counter.get_total() / BATCH


def neurobench(network: nn.Module, inputs: Tensor) -> float:
    synaptic = pytest.importorskip("neurobench.metrics.workload.synaptic_operations")
    models = pytest.importorskip("neurobench.models")
    model, metric = models.TorchModel(network), synaptic.SynapticOperations()
    model.register_hooks()
    with torch.no_grad():
        result = metric(model, model(inputs), (inputs.transpose(0, 1), None))
    model.cleanup_hooks()
    return result["Effective_MACs"] + result["Effective_ACs"]


def spikemark(network: nn.Module, inputs: Tensor) -> float:
    count = count_operations(network, inputs)
    return count.macs + count.acs


CONTENDERS: dict[str, Callable[[nn.Module, Tensor], Any]] = {
    "plain": plain,
    "spikemark": spikemark,
    "spikingjelly": spikingjelly,
    "neurobench": neurobench,
}


@pytest.mark.parametrize("name", CONTENDERS)
def test_time_of_one_call(benchmark: Any, name: str, network: nn.Module, inputs: Tensor) -> None:
    benchmark.group = "one call"
    benchmark(CONTENDERS[name], network, inputs)


def seconds(call: Callable[[nn.Module, Tensor], Any], network: nn.Module, inputs: Tensor) -> float:
    start = time.process_time()  # one thread's CPU time: neighbours on the machine weigh less than in wall time
    call(network, inputs)
    return time.process_time() - start


def paired_ratio(call: Callable[[nn.Module, Tensor], Any], network: nn.Module, inputs: Tensor, turn: int) -> float:
    """Cost of a call over that of plain inference just before it, or, every other turn, just after it."""
    if turn % 2:
        counted = seconds(call, network, inputs)
        return counted / seconds(plain, network, inputs)
    alone = seconds(plain, network, inputs)
    return seconds(call, network, inputs) / alone


def test_counting_costs_little(
    benchmark: Any,
    capsys: pytest.CaptureFixture[str],
    network: nn.Module,
    inputs: Tensor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rounds of all contenders, each beginning with another one; medians of the paired ratios.

    A long run's, whose counting is compiled from the start.
    """
    monkeypatch.setattr("spikemark.measures.counting.census._PAYS_FROM", 0)
    names = list(CONTENDERS)
    counts = {name: CONTENDERS[name](network, inputs) for name in names}  # warms up, too
    ratios: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(ROUNDS):
        running = names if turn < PEER_ROUNDS else ["plain", "spikemark"]
        for name in running[turn % len(running) :] + running[: turn % len(running)]:
            ratios[name].append(paired_ratio(CONTENDERS[name], network, inputs, turn))
    medians = {name: statistics.median(values) for name, values in ratios.items()}
    kind = "spikes" if bool((inputs.eq(0) | inputs.eq(1)).all()) else "pixels"
    with capsys.disabled():
        print(f"\ncost / plain inference in CPU time, {kind} in, interleaved rounds: median (quartiles)")  # noqa: T201
        for name in names:
            low, _, high = statistics.quantiles(ratios[name], n=4)
            total = "" if name == "plain" else f"{counts[name]:14.1f} operations"
            print(f"  {name:13s} {medians[name]:5.2f} x  ({low:.2f} to {high:.2f}) of {len(ratios[name])} {total}")  # noqa: T201
    benchmark.extra_info.update(medians)
    benchmark.pedantic(spikemark, (network, inputs), rounds=1)
    assert counts["spikemark"] == pytest.approx(counts["neurobench"], rel=1e-6)
    assert medians["spikemark"] <= LIMIT
