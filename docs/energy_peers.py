"""Who counts what: reports/energy-peers.md, a table of operations by four counters on the same networks and inputs.

    python docs/energy_peers.py

Every difference from the brute force (every product once more with 0/1 masks of its operands, below autograd) has its
reason in the table; a difference without one, or a reason without a difference, stops the script.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from spikemark import count_operations, get_adapter
from spikemark.core.foreign import reset_states, unchanged
from spikemark.core.neurons import NEURONS

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "reports" / "energy-peers.md"
sys.path.append(str(ROOT / "tests" / "measures"))
from brute_force import Masks  # noqa: E402

T, B = 3, 2
OURS, NEUROBENCH, SPIKINGJELLY = "Spikemark", "NeuroBench", "SpikingJelly"

SCALED = "takes spikes of another height than 1 for analog"
TERNARY = "takes -1 for analog"
CALLS = "counts modules of known classes alone, no products of matrices"
TRANSPOSED = "knows no transposed convolution"
DENSE = "of an input that is not 0 and 1 it counts every product, zeros and padding included"
WEIGHTS = "does not look whether a weight is 0"
SUMS = "takes whole numbers above 1 for analog"
VALUE = "an integer n is n additions; the pairs of nonzeros are what `LayerCount.products` says"
CALL = "decides the kind in each call: one that happens to hold 0 and 1 alone is spikes"
PAIR = "of two operands it looks at the one that is spikes, whatever the other holds"
GATES = "adds the elementwise products of the gates, and takes the analog hidden state for spikes as the input is"
FUSED = "does not look into the fused kernel"


@dataclass(frozen=True)
class Case:
    """A network, what it is given, and why counters differ on it.

    Attributes:
        name: what is peculiar.
        make: the network.
        inputs: what it is given.
        reasons: by counter.
        slow: whether tests leave it out.
    """

    name: str
    make: Callable[[], nn.Module]
    inputs: Callable[[], Tensor]
    reasons: Mapping[str, str] = field(default_factory=dict)
    slow: bool = False


@dataclass(frozen=True)
class Found:
    """Operations per sample.

    Attributes:
        macs: multiply-accumulates.
        acs: accumulates.
    """

    macs: float
    acs: float

    def __str__(self) -> str:
        both = ((self.macs, "MAC"), (self.acs, "AC"))
        return " + ".join(f"{_number(value)} {kind}" for value, kind in both if value) or "0"


def spikes(*shape: int, rate: float = 0.4, seed: int = 0) -> Tensor:
    """0 and 1."""
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < rate).float()


def analog(*shape: int) -> Tensor:
    """Normal numbers, a third of them 0."""
    draws = torch.Generator().manual_seed(3)
    return torch.randn(shape, generator=draws) * (torch.rand(shape, generator=draws) < 0.7)


class Folded(nn.Module):
    """Layers that know batches only, on every step."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, ...]`` to the same."""
        out: Tensor = self.layers(x.flatten(0, 1))
        return out.unflatten(0, x.shape[:2])


class Steps(nn.Module):
    """A network that takes a step at a time, with states that it gives back."""

    def __init__(self, network: nn.Module, call: Callable[[nn.Module, Tensor, Any], tuple[Tensor, Any]]) -> None:
        super().__init__()
        self.network, self.call = network, call

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, ...]`` to scores of every step."""
        state, outs = None, []
        for step in x:
            out, state = self.call(self.network, step, state)
            outs.append(out)
        return torch.stack(outs)


class Attention(nn.Module):
    """Spiking self-attention (Spikformer, Zhou et al., ICLR 2023): queries, keys and values are spikes, no softmax."""

    def __init__(self, *, keys_first: bool) -> None:
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(8, 8, bias=False) for _ in range(3))
        self.neurons = nn.ModuleList(get_adapter("reference").neuron(NEURONS["lif"], (6, 8)) for _ in range(3))
        self.keys_first = keys_first

    def forward(self, x: Tensor) -> Tensor:
        """``[T, B, N, D]`` to the same."""
        layers = zip((self.q, self.k, self.v), self.neurons, strict=True)
        q, k, v = (neurons(8 * layer(x)) for layer, neurons in layers)
        return 0.125 * (q @ (k.mT @ v) if self.keys_first else (q @ k.mT) @ v)


def pruned(model: nn.Module) -> nn.Module:
    """With a third of all weights set to 0."""
    draws = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(torch.rand(parameter.shape, generator=draws) < 0.7)
    return model


def mlp() -> nn.Module:
    """Two layers with LIF between."""
    first = nn.Linear(12, 20)
    with torch.no_grad():
        first.weight.mul_(6)
    return nn.Sequential(first, get_adapter("reference").neuron(NEURONS["lif"], (20,)), nn.Linear(20, 5))


def rleaky() -> nn.Module:
    """snnTorch's recurrent leaky neurons."""
    import snntorch

    network = nn.ModuleDict({"into": nn.Linear(12, 10), "neurons": snntorch.RLeaky(0.9, linear_features=10)})

    def call(parts: Any, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        before = state or parts["neurons"].init_rleaky()
        spk, mem = parts["neurons"](8 * parts["into"](x), *before)
        return spk, (spk, mem)

    return Steps(network, call)


def norse_recurrent() -> nn.Module:
    """Norse's recurrent LIF, whose cell calls linear functions on parameters of its own."""
    import norse.torch as norse

    cell = norse.LIFRecurrentCell(12, 10)
    with torch.no_grad():
        cell.input_weights.mul_(200)
    return Steps(cell, lambda cell, x, state: cell(x, state))


def container() -> nn.Module:
    """SpikingJelly's container that feeds spikes back through a layer."""
    from spikingjelly.activation_based import layer, neuron

    inner = layer.LinearRecurrentContainer(neuron.IFNode(), in_features=12, out_features=12)
    with torch.no_grad():
        inner.rc.weight.mul_(4)
    return Steps(inner, lambda cell, x, state: (cell(x), state))


def slstm() -> nn.Module:
    """snnTorch's spiking LSTM, which forgets its states at every step unless it is as wide as its input."""
    import snntorch

    def call(cell: Any, x: Tensor, state: Any) -> tuple[Tensor, Any]:
        spk, *after = cell(x, *(state or cell.init_slstm()))
        return spk, after

    return Steps(snntorch.SLSTM(12, 12, threshold=0.05), call)


def tutorial() -> nn.Module:
    """The convolutional network of snnTorch's tutorial 6, a step at a time."""
    import snntorch

    made = [
        nn.Conv2d(1, 12, 5), nn.MaxPool2d(2), snntorch.Leaky(0.5, init_hidden=True),
        nn.Conv2d(12, 64, 5), nn.MaxPool2d(2), snntorch.Leaky(0.5, init_hidden=True),
        nn.Flatten(), nn.Linear(64 * 4 * 4, 10), snntorch.Leaky(0.5, init_hidden=True),
    ]  # fmt: skip
    with torch.no_grad():
        for layer in (made[0], made[3], made[7]):
            layer.weight.mul_(4)
    return Steps(nn.Sequential(*made), lambda net, x, state: (net(x), state))


def resnet(kind: str) -> nn.Module:
    """A residual network of SpikingJelly's zoo, for images of 32 x 32."""
    from spikingjelly.activation_based import functional, neuron

    lent = ModuleType("torchvision._internally_replaced_utils")
    lent.load_state_dict_from_url = torch.hub.load_state_dict_from_url  # type: ignore[attr-defined]
    with patch.dict(sys.modules, {"torchvision": ModuleType("torchvision"), lent.__name__: lent}):
        from spikingjelly.activation_based.model import sew_resnet, spiking_resnet
    made: nn.Module
    if kind == "sew":
        made = sew_resnet.sew_resnet18(cnf="ADD", spiking_neuron=neuron.IFNode, num_classes=10)
    else:
        made = spiking_resnet.spiking_resnet18(spiking_neuron=neuron.IFNode, num_classes=10)
    functional.set_step_mode(made, "m")
    with torch.no_grad():  # so that it fires, at first weights
        for layer in made.modules():
            if isinstance(layer, nn.Conv2d):
                layer.weight.mul_(3)
    return made


def pooled(*, shortcut: bool = False) -> nn.Module:
    """Average pooling of spikes before a convolution, or a sum of spikes."""
    return Folded(_Sum() if shortcut else nn.AvgPool2d(2), nn.Conv2d(2, 4, 3, padding=1))


class _Sum(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + x.roll(1, -1)


def cases() -> list[Case]:
    """All of them."""

    def flat() -> Tensor:
        return spikes(T, B, 12)

    def image() -> Tensor:
        return spikes(T, B, 2, 8, 8)

    def tokens() -> Tensor:
        return spikes(T, B, 6, 8)

    def linear() -> nn.Module:
        return nn.Sequential(nn.Linear(12, 5))

    def each() -> nn.Module:
        return Steps(nn.Linear(12, 5), lambda layer, x, state: (layer(x), state))

    def convolution(channels: int = 4, **settings: Any) -> Callable[[], nn.Module]:
        return lambda: Folded(nn.Conv2d(2, channels, 3, **settings))

    def signed() -> Tensor:
        return flat() - spikes(T, B, 12, seed=1)

    def photo() -> Tensor:
        return analog(2, 1, 3, 32, 32)

    changing = torch.cat((spikes(1, B, 12), analog(T - 1, B, 12)))
    sums = {OURS: VALUE, NEUROBENCH: SUMS, SPIKINGJELLY: f"{SUMS}; {DENSE}"}
    scaled = {NEUROBENCH: SCALED, SPIKINGJELLY: f"{SCALED}; {DENSE}"}
    late = {NEUROBENCH: CALL, SPIKINGJELLY: f"{CALL}; {DENSE}"}
    keys_first = {NEUROBENCH: CALLS, SPIKINGJELLY: PAIR}
    dense = {SPIKINGJELLY: DENSE}
    calls = {NEUROBENCH: CALLS} | dense

    def transposed() -> nn.Module:
        return Folded(nn.ConvTranspose2d(2, 4, 3, 2, 1))

    return [
        Case("MLP with LIF", mlp, flat),
        Case("MLP with LIF, a third of the weights 0", lambda: pruned(mlp()), flat, {SPIKINGJELLY: WEIGHTS}),
        Case("linear, analog input", linear, lambda: analog(T, B, 12), dense),
        Case("convolution, padding 1, stride 2", convolution(padding=1, stride=2), image),
        Case("grouped convolution", convolution(padding=1, groups=2), image),
        Case("dilated convolution", convolution(padding=2, dilation=2), image),
        Case("depthwise, circular padding", convolution(2, padding=1, groups=2, padding_mode="circular"), image),
        Case("transposed convolution", transposed, image, {NEUROBENCH: TRANSPOSED}),
        Case("ternary spikes", linear, signed, {SPIKINGJELLY: f"{TERNARY}; {DENSE}"}),
        Case("spikes of height 0.7", linear, lambda: 0.7 * flat(), scaled),
        Case("average-pooled spikes", pooled, image, dense),
        Case("sums of spikes (SEW ADD)", lambda: pooled(shortcut=True), image, sums),
        Case("0 and 1 at first, analog later", each, lambda: changing, late),
        Case("spiking attention, (q k') v", lambda: Attention(keys_first=False), tokens, {NEUROBENCH: CALLS}),
        Case("spiking attention, q (k' v)", lambda: Attention(keys_first=True), tokens, keys_first),
        Case("nn.MultiheadAttention", _SelfAttention, lambda: analog(T, B, 8), calls),
        Case("fused attention of spikes", _Sdpa, tokens, {NEUROBENCH: CALLS, SPIKINGJELLY: FUSED}),
        Case("snnTorch RLeaky", rleaky, flat),
        Case("snnTorch SLSTM", slstm, flat, {NEUROBENCH: GATES}),
        Case("Norse LIFRecurrentCell", norse_recurrent, flat, {NEUROBENCH: CALLS, SPIKINGJELLY: WEIGHTS}),
        Case("SpikingJelly LinearRecurrentContainer", container, flat),
        Case("snnTorch, tutorial 6", tutorial, lambda: analog(T, B, 1, 28, 28).abs(), dense, slow=True),
        Case("SpikingJelly spiking_resnet18, 32 x 32", lambda: resnet("spiking"), photo, dense, slow=True),
        Case("SpikingJelly sew_resnet18 (ADD), 32 x 32", lambda: resnet("sew"), photo, sums, slow=True),
    ]  # fmt: skip


class _SelfAttention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.attention(x, x, x, need_weights=False)[0]
        return out


class _Sdpa(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x.flip(-1), x.roll(1, -1))


def brute(model: nn.Module, x: Tensor) -> float:
    """Pairs of nonzeros per sample."""
    with Masks() as masks, sdpa_kernel(SDPBackend.MATH):  # a fused kernel hides its two products
        model(x)
    return masks.pairs / x.shape[1]


def ours(model: nn.Module, x: Tensor) -> Found:
    """Spikemark's count."""
    count = count_operations(model, x, layout="TB")
    return Found(count.macs, count.acs)


def neurobench(model: nn.Module, x: Tensor) -> Found:
    """NeuroBench's, of the same call; a sample is a column of the batch."""
    from neurobench.metrics.workload.synaptic_operations import SynapticOperations
    from neurobench.models import TorchModel

    wrapped, metric = TorchModel(nn.Sequential(model)), SynapticOperations()
    wrapped.register_hooks()
    try:
        result = metric(wrapped, wrapped(x), (x.transpose(0, 1), None))
    finally:
        wrapped.cleanup_hooks()
    return Found(float(result["Effective_MACs"]), float(result["Effective_ACs"]))


def spikingjelly(model: nn.Module, x: Tensor) -> Found:
    """SpikingJelly's: its MACs of dense products, and its synaptic operations of spikes."""
    from spikingjelly.activation_based.op_counter import DispatchCounterMode, MACCounter, SynOpCounter

    macs, synops = MACCounter(), SynOpCounter()
    with DispatchCounterMode([macs, synops]):
        model(x)
    return Found(macs.get_total() / x.shape[1], synops.get_total() / x.shape[1])


COUNTERS: Mapping[str, Callable[[nn.Module, Tensor], Found]] = {
    OURS: ours,
    NEUROBENCH: neurobench,
    SPIKINGJELLY: spikingjelly,
}


def row(case: Case) -> dict[str, str]:
    """What every counter says of a case, and the reasons of differences.

    Raises:
        AssertionError: a difference has no reason, or a reason no difference.
    """
    torch.manual_seed(0)
    model, x = case.make().eval(), case.inputs()
    found: dict[str, Found] = {}
    with torch.no_grad():
        with unchanged(model):
            reset_states(model)
            pairs = brute(model, x)
        for name, counter in COUNTERS.items():
            with unchanged(model):
                reset_states(model)
                found[name] = counter(model, x)
    own = found[OURS]
    differs = {name for name, one in found.items() if str(one) != str(own)}
    differs |= set() if math.isclose(own.macs + own.acs, pairs) else {OURS}
    assert differs == case.reasons.keys(), (case.name, differs, case.reasons)
    reasons = "; ".join(f"{name}: {reason}" for name, reason in case.reasons.items())
    return {
        "network": case.name, "pairs of nonzeros": _number(pairs),
        **{name: str(one) for name, one in found.items()}, "why they differ": reasons or "they agree",
    }  # fmt: skip


def _number(value: float) -> str:
    return f"{value:,.1f}".removesuffix(".0")


def table(rows: list[dict[str, str]]) -> str:
    """As Markdown, a row in a line whatever the others are."""
    lines = [list(rows[0]), ["---"] * len(rows[0]), *(list(found.values()) for found in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Write the report."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rows = [row(case) for case in cases()]
    agreeing = {name: sum(found[name] == found[OURS] for found in rows) for name in (NEUROBENCH, SPIKINGJELLY)}
    versions = ", ".join(f"{name} {version(name.lower())}" for name in (NEUROBENCH, SPIKINGJELLY, "snnTorch", "Norse"))
    valued = sum(OURS in case.reasons for case in cases())
    parts = [
        "# Energy: who counts what",
        "## What this says",
        f"- Of {len(rows)} networks NeuroBench counts {agreeing[NEUROBENCH]} as we do, and SpikingJelly "
        f"{agreeing[SPIKINGJELLY]}; {len(rows) - valued} of our counts equal the brute force, and {valued} count sums "
        "of spikes by their value.",
        "## How it is made",
        f"Made by `python docs/energy_peers.py` with {versions}; [docs/energy.md](../docs/energy.md) says how we "
        "count. Operations per sample of the same network on the same input. *Pairs of nonzeros* are a brute force: "
        "every product of a run once more with 0/1 masks of its operands, below autograd. NeuroBench: "
        "`SynapticOperations`; SpikingJelly: `MACCounter` and `SynOpCounter`.",
        table(rows),
        "None of the four counts biases, norms, pooling, elementwise scales or residual additions, but for "
        "NeuroBench's gates. SpikingJelly's `ACCounter` counts additions of norms, pooling and neurons, too; it is not "
        "in the table, since it answers another question. What a difference costs: at 4.6 pJ for a MAC and 0.9 pJ for "
        f"an AC the last network takes {_joules(rows[-1])} per sample.",
        "Found on the way: snnTorch's `SLSTM` compares the shape of its state with that of its input, and forgets the "
        "state at every step where the two differ; ours above is as wide as its input.",
    ]
    OUT.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _joules(found: Mapping[str, str]) -> str:
    """Energies of a row under 45nm-fp32."""
    told = []
    for name in COUNTERS:
        counts = dict(reversed(part.split(" ")) for part in found[name].split(" + "))
        macs, acs = (float(counts.get(kind, "0").replace(",", "")) for kind in ("MAC", "AC"))
        told.append(f"{(4.6 * macs + 0.9 * acs) / 1e6:.1f} uJ ({name})")
    return ", ".join(told)


if __name__ == "__main__":
    main()
