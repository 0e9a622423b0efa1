"""Products outside layers: matrices, einsum, attention, recurrent layers, against masks below autograd."""

from __future__ import annotations

import pytest
import torch
from brute_force import brute_force
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from spikemark import count_operations, count_rule
from spikemark.errors import InputError
from spikemark.measures.counting import rules
from spikemark.measures.counting.tracing import UncountableError

T, B = 3, 2


def spikes(*shape: int, seed: int = 0) -> Tensor:
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.4).float()


class Calls(nn.Module):
    """Calls a function on the input and parameters of its own, a third of which are zero."""

    def __init__(self, function, *shapes):
        super().__init__()
        random = torch.Generator().manual_seed(1)
        made = [torch.randn(shape, generator=random) for shape in shapes]
        self.function = function
        self.weights = nn.ParameterList([nn.Parameter(w * (w.abs() > 0.4)) for w in made])

    def forward(self, x):
        return self.function(x, *self.weights)


PRODUCTS = {
    "F.linear": (lambda x, w: F.linear(x, w), [(4, 8)]),
    "F.conv1d": (lambda x, w: F.conv1d(x.flatten(0, 1)[:, None], w).unflatten(0, (T, B)), [(3, 1, 3)]),
    "@": (lambda x, w: x @ w, [(8, 4)]),
    "mv": (lambda x, w: (x @ w)[..., None], [(8,)]),
    "mm": (lambda x, w: torch.mm(x.flatten(0, 1), w).unflatten(0, (T, B)), [(8, 4)]),
    "addmm": (lambda x, b, w: torch.addmm(b, x.flatten(0, 1), w).unflatten(0, (T, B)), [(4,), (8, 4)]),
    "weight first": (lambda x, w: torch.matmul(w, x[..., None]).squeeze(-1), [(4, 8)]),
    "over time": (lambda x, b, w: torch.addmm(b, w, x.flatten(1)).view(T, B, 8), [(T, 1), (T, T)]),
    "bmm": (lambda x, w: torch.bmm(x, w), [(T, 8, 4)]),
    "baddbmm": (lambda x, b, w: torch.baddbmm(b, x, w), [(T, B, 4), (T, 8, 4)]),
    "einsum": (lambda x, w: torch.einsum("tbi,io->tbo", x, w), [(8, 4)]),
    "tensordot": (lambda x, w: torch.tensordot(x, w, 1), [(8, 4)]),
    "aten": (lambda x, w: torch.stack([torch.ops.aten.mm(step, w) for step in x]), [(8, 4)]),
}


@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("kind", ["spikes", "analog"])
def test_products_by_a_weight_equal_the_masks(name, kind):
    function, shapes = PRODUCTS[name]
    x = spikes(T, B, 8) if kind == "spikes" else torch.randn(T, B, 8) * spikes(T, B, 8)
    model = Calls(function, *shapes)
    pairs, dense = brute_force(model, x)
    count = count_operations(model, x)
    assert (count.acs if kind == "spikes" else count.macs) == pairs / B
    assert (count.macs if kind == "spikes" else count.acs) == 0
    assert count.dense == dense / B
    assert 0 < pairs < dense


def test_inference_mode_counts_alike():
    x, model = spikes(T, B, 8), Calls(lambda x, w: x @ w, (8, 4))
    whole = Calls(lambda x, w: torch.inference_mode()(lambda: x @ w)(), (8, 4))
    assert count_operations(whole, x).acs == count_operations(model, x).acs > 0


def test_a_product_of_two_activations_is_an_accumulate_where_one_side_is_binary():
    x, analog = spikes(T, B, 8), torch.randn(T, B, 8)
    for other, kind in ((x, "binary"), (analog, "binary")):
        model = Calls(lambda x, other=other: x @ other.transpose(1, 2))
        (layer,) = count_operations(model, x, layout="TB").layers
        assert (layer.kind, layer.acs, layer.macs) == (kind, brute_force(model, x)[0] / B, 0)
    model = Calls(lambda x: x @ x.transpose(1, 2))
    (layer,) = count_operations(model, analog, layout="TB").layers
    assert (layer.kind, layer.acs, layer.macs) == ("analog", 0, brute_force(model, analog)[0] / B)


def test_two_products_in_one_place_of_the_code_are_two_layers_and_steps_of_a_loop_are_one():
    class Attention(nn.Module):
        def forward(self, x):
            return torch.stack([(step @ step.T - 0.5) @ step for step in x])

    x = spikes(T, B, 8)
    layers = count_operations(Attention(), x).layers
    assert [(layer.name, layer.kind) for layer in layers] == [("Attention.mm", "binary"), ("Attention.mm-2", "binary")]
    assert sum(layer.acs for layer in layers) == brute_force(Attention(), x)[0] / B


def test_whole_numbers_cost_their_value():
    x = spikes(T, B, 8) + spikes(T, B, 8, seed=1) + spikes(T, B, 8, seed=2)
    assert set(x.unique().tolist()) == {0, 1, 2, 3}
    linear = nn.Linear(8, 5)
    with torch.no_grad():
        linear.weight[2, 3] = 0
    expected = sum(
        x[t, b, i].item() * (linear.weight[:, i] != 0).sum().item()
        for t in range(T)
        for b in range(B)
        for i in range(8)
    )
    (layer,) = count_operations(linear, x).layers
    assert (layer.kind, layer.acs, layer.macs) == ("integer", expected / B, 0)
    (product,) = count_operations(Calls(lambda x, w: x @ w, (8, 4)), x).layers
    assert product.kind == "integer"
    (signed,) = count_operations(linear, -x).layers
    assert signed.acs == layer.acs
    conv = nn.Conv1d(1, 2, 3, padding=1)
    model = Calls(lambda x: conv(x.flatten(0, 1)[:, None]).unflatten(0, (T, B)))
    inner = x.flatten(0, 1)
    expected = 2 * (3 * inner.sum() - inner[:, 0].sum() - inner[:, -1].sum()).item()
    model.conv = conv
    assert count_operations(model, x).acs == expected / B
    assert count_operations(linear, 100 * x).macs > 0  # a hundred additions are no bargain


class Spikformer(nn.Module):
    """Spiking self-attention (Zhou et al., ICLR 2023): no softmax, products of binary queries, keys and values."""

    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (nn.Linear(8, 8, bias=False) for _ in range(3))

    def forward(self, x):
        q, k, v = ((layer(x) > 0.2).float() for layer in (self.q, self.k, self.v))
        return (q @ k.transpose(-2, -1)) @ v * 0.25


@pytest.mark.parametrize("fused", [False, True])
def test_attention_equals_the_masks(fused):
    torch.manual_seed(0)
    x = spikes(T, B, 5, 8)
    model = Spikformer()
    count = count_operations(model, x)
    assert count.macs == 0
    assert count.acs >= brute_force(model, x)[0] / B  # (q @ k) holds whole numbers; where v is binary it decides
    assert {layer.kind for layer in count.layers} == {"binary"}
    attention = Calls(lambda x: F.scaled_dot_product_attention(x, x.flip(-1), x.roll(1, -1), is_causal=fused))
    spelled = Calls(lambda x: _attention(x, x.flip(-1), x.roll(1, -1), fused))
    x = torch.randn(T, B, 5, 8) * spikes(T, B, 5, 8)
    assert count_operations(attention, x).macs == brute_force(spelled, x)[0] / B


def _attention(q: Tensor, k: Tensor, v: Tensor, causal: bool) -> Tensor:
    scores = q @ k.transpose(-2, -1) / 8**0.5
    if causal:
        scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -torch.inf)
    return scores.softmax(-1) @ v


class First(nn.Module):
    """The first part of what a layer gives."""

    def __init__(self, layer, queries=1):
        super().__init__()
        self.layer, self.queries = layer, queries

    def forward(self, x):
        return self.layer(*[x] * self.queries)[0]


class Cell(nn.Module):
    def __init__(self, cell):
        super().__init__()
        self.cell = cell

    def forward(self, x):
        state, outputs = None, []
        for step in x:
            state = self.cell(step, state)
            outputs.append(state[0] if isinstance(state, tuple) else state)
        return torch.stack(outputs)


LAYERS = {
    "attention": lambda: First(nn.MultiheadAttention(8, 2), 3),
    "attention of biases": lambda: First(nn.MultiheadAttention(8, 2, add_bias_kv=True, bias=False), 3),
    "transformer": lambda: nn.TransformerEncoderLayer(8, 2, 16),
    "gru": lambda: First(nn.GRU(8, 4)),
    "rnn": lambda: First(nn.RNN(8, 4)),
    "gru cell": lambda: Cell(nn.GRUCell(8, 4)),
    "lstm cell": lambda: Cell(nn.LSTMCell(8, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_torch_layers_of_several_products_equal_the_masks(name):
    torch.manual_seed(0)
    model, x = LAYERS[name]().eval(), torch.randn(T, B, 8) * spikes(T, B, 8)
    torch.backends.mha.set_fastpath_enabled(False)  # one kernel that no mask can see into
    try:
        with sdpa_kernel(SDPBackend.MATH):
            pairs, dense = brute_force(model, x)
    finally:
        torch.backends.mha.set_fastpath_enabled(True)
    count = count_operations(model, x)
    assert (count.macs + count.acs, count.dense) == (pairs / B, dense / B)
    assert pairs > 0


def test_values_changed_past_autograd_are_seen():
    class Sneaky(nn.Module):
        def __init__(self, change):
            super().__init__()
            self.linear, self.change = nn.Linear(8, 4, bias=False), change

        def forward(self, x):
            self.linear(x)
            self.change(x)
            return self.linear(x)

    def by_data(x):
        x.data[..., 0] = 0

    def by_numpy(x):
        x.numpy()[..., 0] = 0

    for change in (by_data, by_numpy):
        x = torch.ones(T, B, 8)
        assert count_operations(Sneaky(change), x.clone()).acs == T * (8 + 7) * 4


# ---- rules


class Lookup(nn.Module):
    """Work that no count can see: a table of 5 rows of 3, read by the largest input."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(5, 3)

    def forward(self, x):
        return self.table(x.argmax(-1) % 5)


@pytest.fixture
def rules_as_before(monkeypatch):
    monkeypatch.setattr(rules, "_RULES", dict(rules._RULES))


@pytest.mark.usefixtures("rules_as_before")
def test_a_rule_counts_a_module_of_ones_own():
    model, x = nn.Sequential(Lookup(), nn.Linear(3, 2)), torch.rand(T, B, 8)
    with pytest.raises(UncountableError, match=r"'0.table' \(Embedding\) calls aten.embedding.*count_rule\(Embedding"):
        count_operations(model, x)

    @count_rule(Lookup)
    def rule(module, inputs, output):
        return {"acs": output.numel(), "dense": 2 * output.numel()}

    count = count_operations(model, x)
    first = next(layer for layer in count.layers if layer.name == "0")
    assert (first.kind, first.acs, first.dense, first.macs) == ("ruled", T * 3, T * 6, 0)
    assert count.macs == T * 6
    with pytest.raises(InputError, match="count_rule: Lookup has a rule already"):
        count_rule(Lookup, rule)


@pytest.mark.usefixtures("rules_as_before")
@pytest.mark.parametrize(
    ("gives", "message"),
    [
        (3, "gave 3; expected a mapping with some of macs, acs, dense"),
        ({"ops": 1}, "expected a mapping with some of macs, acs, dense"),
        ({"macs": -1}, "macs is -1; expected a number from 0"),
        ({"acs": float("nan")}, "acs is nan; expected a number from 0"),
    ],
)
def test_a_rule_that_says_something_else_is_named(gives, message):
    count_rule(Lookup, lambda module, inputs, output: gives)
    with pytest.raises(InputError, match=f"count_rule of Lookup: .*{message}"):
        count_operations(Lookup(), torch.rand(T, B, 8))


def test_a_rule_is_for_a_class_of_modules():
    with pytest.raises(InputError, match="count_rule: 3 is no class of torch modules"):
        count_rule(3)
