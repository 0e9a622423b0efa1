"""Counts against a slow loop over every pair, and against NeuroBench."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from installed import INSTALLED
from spikemark import count_operations
from spikemark.core.adapter import SpikingLayer
from spikemark.core.counts import OperationCount
from spikemark.core.frameworks import MissingFramework, get_adapter
from spikemark.core.neurons import NEURONS
from spikemark.errors import InputError
from spikemark.measures.counting.tracing import UncountableError

STEPS, BATCH = 3, 2


def spikes(*shape: int, rate: float = 0.4, seed: int = 0) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


def analog(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator) * (torch.rand(shape, generator=generator) < 0.7)


def prune(model: nn.Module, seed: int = 0) -> nn.Module:
    """Set about a third of all weights to zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(torch.rand(parameter.shape, generator=generator) < 0.7)
    return model


class Folded(nn.Module):
    """Applies plain layers to every step of every sample."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class Calls(nn.Module):
    """Calls a function on the input and parameters of its own."""

    def __init__(self, function: Callable[..., Any], *shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.function = function
        self.weights = nn.ParameterList([nn.Parameter(torch.ones(shape)) for shape in shapes])

    def forward(self, x: Tensor) -> Any:
        return self.function(x, *self.weights)


# ---- the slow loop


def pairs_linear(x: Tensor, weight: Tensor) -> tuple[int, int]:
    """Effective and dense pairs, one by one."""
    effective = dense = 0
    for row, (o, i) in itertools.product(
        x.reshape(-1, x.shape[-1]).tolist(), itertools.product(*map(range, weight.shape))
    ):
        dense += 1
        effective += row[i] != 0 and weight[o, i].item() != 0
    return effective, dense


def pairs_conv(x: Tensor, layer: Any, output: Tensor) -> tuple[int, int]:
    """Effective and dense pairs of a (transposed) convolution, position by position."""
    spatial, weight, groups = x.dim() - 2, layer.weight.detach(), layer.groups
    x_on, w_on = (x != 0).long(), (weight != 0).long()
    effective = dense = 0
    sources, targets = (output, x) if not layer.transposed else (x, output)
    # A plain convolution visits outputs and looks for inputs; a transposed one visits inputs and looks for outputs.
    for position in itertools.product(*(range(n) for n in sources.shape[2:])):
        for offset in itertools.product(*(range(k) for k in layer.kernel_size)):
            other = tuple(
                position[d] * layer.stride[d] - layer.padding[d] + offset[d] * layer.dilation[d] for d in range(spatial)
            )
            if any(not 0 <= other[d] < targets.shape[2 + d] for d in range(spatial)):
                continue
            at = position if layer.transposed else other
            values = x_on[(slice(None), slice(None), *at)]  # [N, Cin]
            kernel = w_on[(slice(None), slice(None), *offset)]  # [Cout, Cin/g], or [Cin, Cout/g] when transposed
            for g, of_group in enumerate(values.chunk(groups, 1)):
                if layer.transposed:
                    size = kernel.shape[0] // groups
                    block = kernel[g * size : (g + 1) * size]
                else:
                    size = kernel.shape[0] // groups
                    block = kernel[g * size : (g + 1) * size].T
                effective += int((of_group @ block).sum())
                dense += len(values) * block.numel()
    return effective, dense


def test_linear_equals_the_slow_loop() -> None:
    model = prune(nn.Linear(7, 5))
    for x, accumulates in ((spikes(STEPS, BATCH, 7), True), (analog(STEPS, BATCH, 7), False)):
        effective, dense = pairs_linear(x, model.weight)
        count = count_operations(model, x)
        assert (count.acs if accumulates else count.macs) == effective / BATCH
        assert (count.macs if accumulates else count.acs) == 0
        assert count.dense == dense / BATCH
        assert 0 < effective < dense


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[nn.Module, Tensor]:
    dims = draw(st.integers(1, 3))
    transposed = draw(st.booleans())
    groups = draw(st.integers(1, 2))
    channels = [groups * draw(st.integers(1, 2)) for _ in range(2)]

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(dims))

    kernel, stride, dilation = each(1, 3), each(1, 3), each(1, 2)
    size = each(1, 5)
    if transposed:
        padding = tuple(draw(st.integers(0, d * (k - 1))) for k, d in zip(kernel, dilation, strict=True))
        extra = tuple(draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True))
        out = [
            (n - 1) * s - 2 * p + d * (k - 1) + e + 1
            for n, s, p, d, k, e in zip(size, stride, padding, dilation, kernel, extra, strict=True)
        ]
        assume(all(n > 0 for n in out))
        kind = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)[dims - 1]
        settings_ = {"output_padding": extra}
    else:
        padding = each(0, 2)
        assume(all(n + 2 * p > d * (k - 1) for n, p, d, k in zip(size, padding, dilation, kernel, strict=True)))
        kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
        settings_ = {}
    layer = kind(*channels, kernel, stride, padding, dilation=dilation, groups=groups, **settings_)
    seed = draw(st.integers(0, 99))
    make = draw(st.sampled_from([spikes, analog]))
    return prune(layer, seed), make(STEPS, BATCH, channels[0], *size, seed=seed)


@given(convolutions())
@settings(max_examples=60, deadline=None, derandomize=True)
def test_convolutions_equal_the_slow_loop(case: tuple[Any, Tensor]) -> None:
    layer, x = case
    count = count_operations(Folded(layer), x)
    folded = x.flatten(0, 1)
    effective, dense = pairs_conv(folded, layer, layer(folded))
    assert count.macs + count.acs == effective / BATCH
    assert count.dense == dense / BATCH


@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_same_padding_is_no_input(kernel: int) -> None:
    layer: Any = prune(nn.Conv2d(2, 3, kernel, padding="same", dilation=2))
    x = spikes(STEPS, BATCH, 2, 5, 6)
    count = count_operations(Folded(layer), x)
    total = 2 * (kernel - 1)
    plain: Any = nn.Conv2d(2, 3, kernel, dilation=2)
    plain.weight.data = layer.weight.data
    padding = (total // 2, total - total // 2) * 2
    padded = F.pad(x.flatten(0, 1), padding)
    effective, _ = pairs_conv(padded, plain, plain(padded))
    plain.weight.data = torch.ones_like(layer.weight)
    dense, _ = pairs_conv(F.pad(torch.ones_like(x.flatten(0, 1)), padding), plain, plain(padded))
    assert (count.acs, count.dense) == (effective / BATCH, dense / BATCH)


@pytest.mark.parametrize("mode", ["circular", "reflect", "replicate"])
def test_padding_with_real_values_counts_them(mode: Any) -> None:
    layer: Any = prune(nn.Conv1d(2, 3, 3, padding=2, padding_mode=mode))
    x = spikes(STEPS, BATCH, 2, 6)
    padded = F.pad(x.flatten(0, 1), (2, 2), mode=mode)
    plain: Any = nn.Conv1d(2, 3, 3)
    plain.weight.data = layer.weight.data
    effective, dense = pairs_conv(padded, plain, plain(padded))
    count = count_operations(Folded(layer), x)
    assert (count.acs, count.dense) == (effective / BATCH, dense / BATCH)


def test_a_step_at_a_time_equals_all_at_once() -> None:
    linear, conv = prune(nn.Linear(48, 4)), prune(nn.Conv2d(2, 3, 3, stride=2, padding=1))

    class Loop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.linear = conv, linear

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([self.linear(self.conv(step).flatten(1)) for step in x])

    x = spikes(STEPS, BATCH, 2, 8, 8)
    at_once = count_operations(Folded(conv, nn.Flatten(), linear), x)
    stepwise = count_operations(Loop(), x)
    assert [layer.name for layer in stepwise.layers] == ["conv", "linear"]
    assert [layer.name for layer in at_once.layers] == ["layers.0", "layers.2"]
    for one, other in zip(at_once.layers, stepwise.layers, strict=True):
        assert (one.kind, one.macs, one.acs, one.dense) == (other.kind, other.macs, other.acs, other.dense)


def test_unbatched_images_and_other_types() -> None:
    conv = prune(nn.Conv1d(2, 3, 3, padding=1).double())
    x = spikes(STEPS, BATCH, 2, 9).double()

    class Each(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = conv

        def forward(self, x: Tensor) -> None:
            for image in x.flatten(0, 1):
                self.conv(image)

    assert count_operations(Each(), x, layout="TB").layers[0].acs == count_operations(Folded(conv), x).layers[0].acs
    half = count_operations(Folded(conv.bfloat16()), x.bfloat16())
    assert half.acs == count_operations(Folded(conv.float()), x.float()).acs > 0


# ---- NeuroBench


def neurobench(model: nn.Module, x: Tensor) -> dict[str, float]:
    """NeuroBench's own count of the same call; its sample is ours, a column of the batch."""
    synaptic = pytest.importorskip("neurobench.metrics.workload.synaptic_operations")
    models = pytest.importorskip("neurobench.models")
    wrapped = models.TorchModel(nn.Sequential(model))  # it does not look at the root itself
    wrapped.register_hooks()
    metric = synaptic.SynapticOperations()
    with torch.no_grad():
        predictions = wrapped(x)
    result: dict[str, float] = metric(wrapped, predictions, (x.transpose(0, 1), None))
    wrapped.cleanup_hooks()
    return result


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "mlp": (lambda: nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 5, bias=False)), (12,)),
    "padding": (lambda: Folded(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=2)), (2, 7, 6)),
    "stride": (lambda: Folded(nn.Conv2d(2, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 3, 2, stride=(1, 2))), (2, 9, 8)),
    "groups": (lambda: Folded(nn.Conv2d(4, 8, 5, stride=2, padding=2, groups=2), nn.ReLU()), (4, 9, 9)),
    "depthwise": (lambda: Folded(nn.Conv2d(4, 4, 3, groups=4, dilation=2, padding="same")), (4, 8, 8)),
    "one dimension": (lambda: Folded(nn.Conv1d(3, 5, 4, padding=3, padding_mode="circular")), (3, 11)),
    "three dimensions": (lambda: Folded(nn.Conv3d(2, 3, 3, padding=1, stride=2)), (2, 5, 6, 4)),
    "conv, then linear": (lambda: Folded(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 3)), (1, 6, 6)),
}


@pytest.mark.parametrize("make_input", [spikes, analog])
@pytest.mark.parametrize("name", NETWORKS)
def test_equals_neurobench(name: str, make_input: Callable[..., Tensor]) -> None:
    build, shape = NETWORKS[name]
    torch.manual_seed(1)
    model = prune(build())
    x = make_input(STEPS, BATCH, *shape)
    theirs = neurobench(model, x)
    ours = count_operations(model, x)
    assert ours.macs == theirs["Effective_MACs"]
    assert ours.acs == theirs["Effective_ACs"]
    assert ours.dense == theirs["Dense"]
    assert ours.macs + ours.acs > 0


def test_equals_neurobench_on_spiking_network_and_ternary_input() -> None:
    model = prune(spiking_network())
    ours, theirs = count_operations(model, spikes(8, BATCH, 1, 8, 8)), neurobench(model, spikes(8, BATCH, 1, 8, 8))
    assert {layer.kind for layer in ours.layers} == {"binary"}
    assert ours.firing_rate > 0
    assert (ours.macs, ours.acs, ours.dense) == (0, theirs["Effective_ACs"], theirs["Dense"])

    ternary = spikes(STEPS, BATCH, 20) - spikes(STEPS, BATCH, 20, seed=1)
    linear = nn.Linear(20, 5)
    assert count_operations(linear, ternary).acs == neurobench(linear, ternary)["Effective_ACs"] > 0


def test_scaled_spikes_are_accumulates_where_neurobench_says_multiply() -> None:
    # On purpose: the weights absorb the scale before the network runs, so no hardware need multiply.
    x = 0.7 * spikes(STEPS, BATCH, 20)
    linear = nn.Linear(20, 5)
    ours, theirs = count_operations(linear, x), neurobench(linear, x)
    assert (ours.acs, ours.macs) == (theirs["Effective_MACs"], theirs["Effective_ACs"])
    assert ours.acs == 5 * int(x.bool().sum()) / BATCH


# ---- what must not be silent

X = torch.rand(STEPS, BATCH, 8)
UNCOUNTABLE: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "lstm": (lambda: nn.LSTM(8, 4), "LSTM"),
    "bilinear": (lambda: Pairwise(), r"'bilinear' \(Bilinear\)"),
    "fourier": (lambda: Calls(lambda x, w: torch.fft.rfft(x) * w, (5,)), "fft"),
    "compiled": (lambda: torch.jit.trace(nn.Linear(8, 4), X), "compiled"),
}


class Pairwise(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bilinear = nn.Bilinear(8, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.bilinear(x, x)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", UNCOUNTABLE)
def test_what_cannot_be_counted_is_an_error_that_names_it(name: str) -> None:
    build, named = UNCOUNTABLE[name]
    with pytest.raises(UncountableError, match=named):
        count_operations(build(), X)
    torch.mm(X[0], X[0].T)  # nothing is watched any more


def test_embedding_is_an_error() -> None:
    with pytest.raises(UncountableError, match=r"'0' \(Embedding\)"):
        count_operations(nn.Sequential(nn.Embedding(5, 3)), torch.zeros(2, 2, dtype=torch.long))


@pytest.mark.parametrize("shape", [(4,), (4, 0, 3)])
def test_inputs_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"\[T, B, \.\.\.\]"):
        count_operations(nn.Linear(3, 2), torch.zeros(shape))


def test_masked_weights_count_as_they_are_used() -> None:
    class Masked(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            return F.linear(x, self.weight * torch.tensor([1.0, 0.0, 1.0]))

    assert count_operations(Masked(3, 5), torch.ones(1, 1, 3)).acs == 10


def test_modules_used_twice_accumulate_and_unused_ones_do_not_appear() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.unused = nn.Linear(4, 4), nn.LSTM(4, 4)
            self.alias = self.inner

        def forward(self, x: Tensor) -> Tensor:
            self.inner(x)
            return self.alias(x)

    count = count_operations(Twice(), torch.ones(2, 3, 4))
    assert [(layer.name, layer.acs) for layer in count.layers] == [("inner", 2 * 2 * 16)]


def test_the_root_itself_is_counted() -> None:
    count = count_operations(nn.Linear(4, 3), torch.ones(2, 5, 4))
    assert [(layer.name, layer.acs, layer.dense) for layer in count.layers] == [("Linear", 24, 24)]


def test_norms_pooling_and_elementwise_parameters_are_no_operations() -> None:
    model = Folded(nn.BatchNorm2d(2), nn.AvgPool2d(2), nn.PReLU(2), nn.GroupNorm(1, 2), Calls(torch.mul, (2, 4, 4)))
    count = count_operations(model, analog(STEPS, BATCH, 2, 8, 8))
    assert (count.layers, count.macs, count.acs, count.dense) == ((), 0, 0, 0)


@pytest.mark.parametrize("way", [lambda x: x.data.zero_(), lambda x: x.numpy().fill(0)])
def test_values_changed_where_autograd_does_not_look_are_seen(way: Callable[[Tensor], object]) -> None:
    class Emptied(Folded):
        def forward(self, x: Tensor) -> Tensor:
            first, second = self.layers
            x = x.clone()
            out = first(x)
            way(x)
            return out + second(x)

    x = spikes(STEPS, BATCH, 8)
    first, second = count_operations(Emptied(nn.Linear(8, 8), nn.Linear(8, 8)), x).layers
    assert (first.acs, second.acs) == (x.sum().item() * 8 / BATCH, 0)


def test_spikes_that_a_hook_of_their_neurons_changes_are_seen() -> None:
    """What happens inside neurons is not watched, others' hooks there included."""
    lif = get_adapter("reference").neuron(NEURONS["lif"], (8,))
    linear, kept = nn.Linear(8, 8), []

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lif, self.linear = lif, linear

        def forward(self, x: Tensor) -> Tensor:
            first = self.lif(4 * x)
            kept.append(first)
            out = self.linear(first)
            self.lif(x)
            return out + self.linear(first)

    model, x = Twice(), spikes(STEPS, BATCH, 8)
    plain = count_operations(model, x).acs
    assert plain > 0

    def empty(*_: object) -> None:
        for spikes in kept:
            spikes.data.zero_()

    handle = lif.register_forward_hook(empty)
    kept.clear()
    assert count_operations(model, x).acs == plain / 2
    handle.remove()


def test_spikes_that_other_neurons_empty_are_seen() -> None:
    """A declared layer of neurons may write into the spikes of others through an alias."""

    class Emptying(nn.Module):
        def forward(self, x: Tensor, other: Tensor) -> Tensor:
            other.data.zero_()
            return (x > 0).to(x)

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.neurons, self.linear = Emptying(), nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor:
            first = (x > 0).to(x)
            out = self.linear(first)
            self.neurons(x, first)
            return out + self.linear(first)

    x = spikes(STEPS, BATCH, 8)
    found = count_operations(Twice(), x, neurons=(Emptying,))
    assert found.acs == x.sum().item() * 8 / BATCH


def hooks_of(model: nn.Module) -> list[tuple[int, int]]:
    return [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()]


def test_the_model_is_unchanged() -> None:
    model = Folded(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5), nn.Flatten(), nn.Linear(72, 3))
    model.layers[1].eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    modes = [module.training for module in model.modules()]
    first = count_operations(model, spikes(STEPS, BATCH, 1, 8, 8))
    assert first == count_operations(model, spikes(STEPS, BATCH, 1, 8, 8))
    assert [module.training for module in model.modules()] == modes
    assert True in modes
    assert False in modes
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert hooks_of(model) == [(0, 0)] * len(modes)
    assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("failing", ["layer", "neurons"])
def test_nothing_is_left_behind_by_an_error(failing: str) -> None:
    class Failing(nn.Module if failing == "layer" else Neurons):  # type: ignore[misc]
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("broken")

    model = nn.Sequential(nn.Linear(8, 3), Failing())
    with pytest.raises(RuntimeError, match="broken"):
        count_operations(model, X)
    assert hooks_of(model) == [(0, 0)] * 3
    assert all(module.training for module in model.modules())
    assert model[0](X).requires_grad
    assert count_operations(model[0], X).macs > 0


# ---- spiking layers


class Neurons(SpikingLayer):
    """Fires wherever the current reaches one."""

    def __init__(self, size: int = 3) -> None:
        super().__init__(NEURONS["plif"], (size,))

    def spikes(self, currents: Tensor) -> Tensor:
        return (currents >= 1).to(currents.dtype)


def spiking_network(framework: str = "reference") -> nn.Module:
    adapter = get_adapter(framework)

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
            self.lif1 = adapter.neuron(NEURONS["lif"], (4, 8, 8))
            self.conv2 = nn.Conv2d(4, 6, 3, padding=1, stride=2)
            self.lif2 = adapter.neuron(NEURONS["stl"], (6, 4, 4))
            self.output = nn.Linear(96, 5)
            with torch.no_grad():
                for layer in (self.conv1, self.conv2):
                    layer.weight.mul_(6)

        def forward(self, x: Tensor) -> Tensor:
            x = self.lif1(self.conv1(x.flatten(0, 1)).unflatten(0, x.shape[:2]))
            x = self.lif2(self.conv2(x.flatten(0, 1)).unflatten(0, x.shape[:2]))
            return self.output(x.flatten(2))

    return Network()


def test_neuron_updates_and_firing_rates() -> None:
    model, x = spiking_network(), spikes(8, BATCH, 1, 8, 8)
    seen: list[Tensor] = []
    handles = [m.register_forward_hook(lambda *a: seen.append(a[2])) for m in (model.lif1, model.lif2)]
    count = count_operations(model, x)
    for handle in handles:
        handle.remove()
    assert [layer.name for layer in count.spiking] == ["lif1", "lif2"]
    assert [layer.neuron_updates for layer in count.spiking] == [8 * 256, 8 * 96]
    assert [layer.firing_rate for layer in count.spiking] == pytest.approx([s.double().mean().item() for s in seen])
    assert count.firing_rate == pytest.approx(sum(s.sum().item() for s in seen) / sum(s.numel() for s in seen))
    assert count.neuron_updates == 8 * (256 + 96)
    assert 0 < count.firing_rate < 1


@pytest.mark.parametrize("framework", [name for name in INSTALLED if name != "reference"])
def test_every_framework_counts_the_same(framework: str) -> None:
    try:
        model = spiking_network(framework)
    except MissingFramework as missing:
        pytest.skip(str(missing))
    x = spikes(8, BATCH, 1, 8, 8)
    assert count_operations(model, x) == count_operations(spiking_network(), x)


def test_without_spiking_layers_the_rate_is_undefined() -> None:
    count = count_operations(nn.Linear(3, 2), torch.ones(1, 1, 3))
    assert count.firing_rate != count.firing_rate
    assert count.spiking == ()
    assert isinstance(count, OperationCount)


def test_weights_within_spiking_layers_are_seen() -> None:
    class Recurrent(Neurons):
        def __init__(self, functional: bool) -> None:
            super().__init__()
            self.functional = functional
            self.recurrent = nn.Linear(3, 3, bias=False)

        def spikes(self, currents: Tensor) -> Tensor:
            feedback = currents @ self.recurrent.weight if self.functional else self.recurrent(currents)
            return (currents + 0 * feedback >= 1).to(currents.dtype)

    x = torch.ones(STEPS, BATCH, 3)
    count = count_operations(nn.Sequential(Recurrent(functional=False)), x)
    assert [(layer.name, layer.acs) for layer in count.layers] == [("0.recurrent", STEPS * 9)]
    assert count.firing_rate == 1
    assert count_operations(nn.Sequential(Recurrent(functional=True)), x).layers == count.layers
