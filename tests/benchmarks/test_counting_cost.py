"""What counting operations costs beside plain inference, and what the peers' counters cost on the same network."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikemark import count_operations
from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.core.statistics import median_ratio_interval
from spikemark.measures.speed.timing import collector_paused

STEPS, BATCH = 8, 32
ROUNDS = 41
PEER_ROUNDS = 11
LIMIT = 1.10


class Network(nn.Module):
    """Two convolutions of 16 and 32 channels on 28 x 28 images, each followed by LIF neurons, and a linear readout."""

    def __init__(self, pool: nn.Module | None = None) -> None:
        super().__init__()
        adapter, size = get_adapter("reference"), 28 if pool is None else 14
        self.conv1 = nn.Conv2d(1, 16, 3, padding=1)
        self.lif1 = adapter.neuron(NEURONS["lif"], (16, 28, 28))
        self.pool = pool or nn.Identity()
        self.conv2 = nn.Conv2d(16, 32, 3, padding=1)
        self.lif2 = adapter.neuron(NEURONS["lif"], (32, size, size))
        self.readout = nn.Linear(32 * size * size, 10)
        with torch.no_grad():  # so that both layers fire
            self.conv1.weight.mul_(4)
            self.conv2.weight.mul_(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.lif1(self.conv1(x.flatten(0, 1)).unflatten(0, x.shape[:2])).flatten(0, 1)
        x = self.lif2(self.conv2(self.pool(x)).unflatten(0, (STEPS, BATCH)))
        return self.readout(x.flatten(2))


class VGG(nn.Module):
    """Two convolutions of a VGG on 16 x 16 places, 64 and 128 channels to 128, each with batch norm and LIF neurons."""

    def __init__(self) -> None:
        super().__init__()
        adapter, channels = get_adapter("reference"), (64, 128, 128)
        self.convolutions = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1, bias=False) for a, b in pairwise(channels))
        self.norms = nn.ModuleList(nn.BatchNorm2d(channel) for channel in channels[1:])
        self.neurons = nn.ModuleList(adapter.neuron(NEURONS["lif"], (channel, 16, 16)) for channel in channels[1:])
        with torch.no_grad():
            for norm in self.norms:
                norm.weight.mul_(10)

    def forward(self, x: Tensor) -> Tensor:
        for convolve, norm, neurons in zip(self.convolutions, self.norms, self.neurons, strict=True):
            x = neurons(norm(convolve(x.flatten(0, 1))).unflatten(0, x.shape[:2]))
        return x.flatten(2)


class Recurrent(nn.Module):
    """snnTorch's recurrent leaky neurons, called step by step, between two linear layers."""

    def __init__(self, width: int) -> None:
        super().__init__()
        snn = pytest.importorskip("snntorch")
        self.into, self.out = nn.Linear(700, width), nn.Linear(width, 20)
        self.neurons = snn.RLeaky(beta=0.9, linear_features=width)
        with torch.no_grad():
            self.into.weight.mul_(6)

    def forward(self, x: Tensor) -> Tensor:
        spikes, potential = self.neurons.init_rleaky()
        scores = []
        for step in x:
            spikes, potential = self.neurons(self.into(step), spikes, potential)
            scores.append(self.out(spikes))
        return torch.stack(scores)


class Lifted(nn.Module):
    """Norse's recurrent neurons, whose loop over time is their own, and a linear layer."""

    def __init__(self, width: int) -> None:
        super().__init__()
        norse = pytest.importorskip("norse.torch")
        self.neurons, self.out = norse.LIFRecurrent(700, width), nn.Linear(width, 20)
        with torch.no_grad():
            self.neurons.input_weights.mul_(60)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.neurons(x)[0])


class Block(nn.Module):
    """A block of Spikformer (Zhou et al., ICLR 2023): spiking self-attention and an MLP, sums of spikes around both."""

    def __init__(self, tokens: int, width: int, heads: int, *, keys_first: bool) -> None:
        super().__init__()
        adapter, self.heads, self.keys_first = get_adapter("reference"), heads, keys_first
        self.linear = nn.ModuleDict({name: nn.Linear(width, width, bias=False) for name in "qkvo"})
        self.linear.update({"up": nn.Linear(width, 4 * width), "down": nn.Linear(4 * width, width)})
        names = ("q", "k", "v", "o", "attention", "down", "up")
        shapes = {name: (tokens, 4 * width if name == "up" else width) for name in names}
        self.neurons = nn.ModuleDict({name: adapter.neuron(NEURONS["lif"], shape) for name, shape in shapes.items()})
        self.readout = nn.Linear(width, 10)
        with torch.no_grad():
            for layer in self.linear.values():
                layer.weight.mul_(6)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (self._fired(name, x).unflatten(-1, (self.heads, -1)).transpose(-2, -3) for name in "qkv")
        mixed = 0.125 * (q @ (k.mT @ v) if self.keys_first else (q @ k.mT) @ v)
        x = x + self._fired("o", self.neurons["attention"](mixed.transpose(-2, -3).flatten(-2)))
        x = x + self._fired("down", self._fired("up", x))
        return self.readout(x.mean(-2))

    def _fired(self, name: str, x: Tensor) -> Tensor:
        return self.neurons[name](self.linear[name](x))


def drawn(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


def images() -> Tensor:
    return (drawn(STEPS, BATCH, 1, 28, 28) < 0.3).float()


def series(batch: int) -> Callable[[], Tensor]:
    return lambda: (drawn(50, batch, 700) < 0.05).float()


def maps() -> Tensor:
    return (drawn(4, 64, 64, 16, 16) < 0.2).float()


def tokens(width: int = 256) -> Callable[[], Tensor]:
    return lambda: (drawn(4, 16, 64, width) < 0.2).float()


CASES: dict[str, tuple[Callable[[], nn.Module], Callable[[], Tensor]]] = {
    "convolutions, spikes in": (Network, images),
    "convolutions, pixels in": (Network, lambda: drawn(STEPS, BATCH, 1, 28, 28)),
    "convolutions, max-pooled": (lambda: Network(nn.MaxPool2d(2)), images),
    "convolutions, average-pooled": (lambda: Network(nn.AvgPool2d(2)), images),
    "convolutions of a VGG, 64 to 128 channels": (VGG, maps),
    "snnTorch RLeaky of 512, B = 64": (lambda: Recurrent(512), series(64)),
    "snnTorch RLeaky of 1024, B = 256": (lambda: Recurrent(1024), series(256)),
    "Norse LIFRecurrent of 512, B = 64": (lambda: Lifted(512), series(64)),
    "Norse LIFRecurrent of 1024, B = 256": (lambda: Lifted(1024), series(256)),
    "Spikformer block, q (k' v)": (lambda: Block(64, 256, 8, keys_first=True), tokens()),
    "Spikformer block, (q k') v": (lambda: Block(64, 256, 8, keys_first=False), tokens()),
    "Spikformer-4-384 block, q (k' v)": (lambda: Block(64, 384, 12, keys_first=True), tokens(384)),
}
PEERS = list(CASES)[:2]
"""Networks that all peers count."""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def case(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    make, inputs = CASES[request.param]
    return make().eval(), inputs()


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
    count = count_operations(network, inputs, layout="TB")
    return count.macs + count.acs


CONTENDERS: dict[str, Callable[[nn.Module, Tensor], Any]] = {
    "plain": plain,
    "spikemark": spikemark,
    "spikingjelly": spikingjelly,
    "neurobench": neurobench,
}


@pytest.mark.parametrize("case", PEERS, indirect=True)
@pytest.mark.parametrize("name", CONTENDERS)
def test_time_of_one_call(benchmark: Any, name: str, case: tuple[nn.Module, Tensor]) -> None:
    benchmark.group = "one call"
    benchmark(CONTENDERS[name], *case)


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


@pytest.mark.parametrize(("name", "case"), [(name, name) for name in CASES], indirect=["case"])
def test_counting_costs_little(
    benchmark: Any,
    tell: Callable[[str], None],
    name: str,
    case: tuple[nn.Module, Tensor],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rounds of all contenders, each beginning with another one; medians of the paired ratios with their intervals.

    A long run's, whose counting is compiled from the start.
    """
    monkeypatch.setattr("spikemark.measures.counting.census._PAYS_FROM", 0)
    contenders = list(CONTENDERS) if name in PEERS else ["plain", "spikemark"]
    for contender in contenders * 2:  # warms up
        CONTENDERS[contender](*case)
    ratios: dict[str, list[float]] = {contender: [] for contender in contenders}
    rounds = 15 if "1024" in name else ROUNDS
    with collector_paused():
        for turn in range(rounds):
            running = contenders if turn < PEER_ROUNDS else ["plain", "spikemark"]
            for contender in running[turn % len(running) :] + running[: turn % len(running)]:
                ratios[contender].append(paired_ratio(CONTENDERS[contender], *case, turn))
    intervals = {contender: median_ratio_interval([values]) for contender, values in ratios.items()}
    told = ", ".join(f"{who} {i.value:.2f} [{i.low:.2f}, {i.high:.2f}]" for who, i in intervals.items())
    tell(f"counting / plain inference in CPU time (goal: {LIMIT:.2f}), {name}: {told}")
    benchmark.extra_info.update({who: interval.value for who, interval in intervals.items()})
    benchmark.pedantic(spikemark, case, rounds=1)
    if name in PEERS:
        assert spikemark(*case) == pytest.approx(neurobench(*case), rel=1e-6)
