"""Dense twins and networks of few bits: the same layers, one pass, grids that are grids, and counts by brute force."""

import sys
from pathlib import Path

import pytest
import torch

from spikemark import SYSTEMS, count_operations, get_adapter
from spikemark.core.counts import LayerCount, OperationCount, SpikingCount
from spikemark.errors import InputError
from spikemark.measures.energy import Energy, EnergyProfile, OperationPrices, break_even
from spikemark.measures.subject import Subject
from spikemark.methods.controls.twins import FewBitsConv2d, FewBitsLinear, OnePass, Rectifier, on_grid
from spikemark.networks.build import build_network
from spikemark.training.build import build_system
from spikemark.training.system import System

sys.path.append(str(Path(__file__).parents[2] / "measures"))
from brute_force import brute_force

SHAPE, STEPS = (1, 8, 8), 4


def built(name, seed=0):
    return build_system(SYSTEMS[name], get_adapter("reference"), SHAPE, 10, seed, steps=STEPS).eval()


def held(batch=3):
    image = torch.rand(batch, *SHAPE, generator=torch.Generator().manual_seed(1))
    return image.expand(STEPS, *image.shape)


@pytest.mark.parametrize("network", ["mlp", "convnet"])
@pytest.mark.parametrize("kind", ["dense", "dense-int8", "dense-int4", "lif-w8", "lif-w4"])
def test_a_twin_begins_with_the_weights_of_the_spiking_network(network, kind):
    spiking, twin = built(f"{network}-lif").state_dict(), built(f"{network}-{kind}").state_dict()
    for name, value in spiking.items():
        if ".neurons." not in name:
            assert torch.equal(twin[name], value), name
    assert {name.rpartition(".")[2] for name in twin.keys() - spiking.keys()} <= {"log_step"}


def test_a_twin_makes_one_pass_and_spikes_nowhere():
    x = held()
    count = count_operations(built("convnet-dense"), x, layout="TB")
    spiking = count_operations(built("convnet-lif"), x, layout="TB")
    assert count.dense == spiking.dense / STEPS
    assert count.neuron_updates == count.acs == 0
    assert [layer.bits for layer in count.layers] == [32, 32, 32]
    frames = torch.rand(STEPS, 3, *SHAPE)
    assert torch.equal(OnePass()(frames), frames.mean(0, keepdim=True))


@pytest.mark.parametrize("name", ["mlp-dense-int4", "convnet-dense-int4", "convnet-lif-w4"])
def test_counts_skip_the_weights_that_few_bits_make_zero(name):
    model, x = built(name), held().contiguous()
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, FewBitsConv2d | FewBitsLinear):
                layer.weight[0, 0] = 0.01 * layer.weight[0].abs().max()
    count = count_operations(model, x, layout="TB")
    pairs, dense = brute_force(model, x)
    assert (count.macs + count.acs) * 3 == pytest.approx(pairs)
    assert count.dense * 3 == pytest.approx(dense)
    assert {layer.bits for layer in count.layers} == {4}


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_weights_lie_on_a_symmetric_grid_of_each_channel(bits):
    weight = torch.randn(5, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    weight[4] = 0
    grid = on_grid(weight, bits)
    highest = 2 ** (bits - 1) - 1
    for before, after in zip(weight[:4], grid[:4], strict=True):
        step = before.abs().max() / highest
        expected = torch.tensor([round(float(value / step)) for value in before.flatten()]) * step
        torch.testing.assert_close(after.flatten(), expected)
        assert len(after.unique()) <= 2 * highest + 1
    assert not grid[4].any()


def test_activations_lie_on_a_grid_and_their_step_learns():
    layer = Rectifier(3)
    x = torch.linspace(-2, 5, 200).requires_grad_()
    out = layer(x)
    step = float(layer.log_step.detach().exp())
    levels = (out / step).detach()
    assert torch.allclose(levels, levels.round(), atol=1e-5)
    assert (float(levels.min()), round(float(levels.max()))) == (0, 7)
    out.sum().backward()
    inside = (x > 0) & (x < 7 * step)
    assert torch.equal(x.grad != 0, inside)
    # d out / d step is round(x/s) - x/s inside, and the highest number above; the parameter is the step's logarithm
    ratio = (x / step).detach()
    expected = torch.where(ratio > 7, torch.tensor(7.0), ratio.round() - ratio)[ratio > 0].sum() * step
    assert float(layer.log_step.grad) == pytest.approx(float(expected), rel=1e-3)


def test_tables_put_a_twin_beside_its_network():
    assert SYSTEMS["convnet-dense-int8"].architecture == "convnet"
    assert SYSTEMS["convnet-lif"].architecture == "convnet"
    assert (
        System("lif", "joint-vote", options={"of": "mlp"}).architecture == "joint-vote"
    )  # keys of its records hold it


@pytest.mark.parametrize(
    ("system", "message"),
    [
        (
            System("relu", "dense-twin", options={"twin_of": "srm-mnist"}),
            "a SrmNetwork is more than a stack",
        ),
        (System("relu", "dense-twin", options={"twin_of": "mlpp"}), "no network 'mlpp'; did you mean 'mlp'"),
        (System("relu", "mlp"), "'relu' is computed by its own network alone"),
        (System("lif", "dense-twin", options={"twin_of": "mlp"}), "so 'lif' would play no part"),
        (System("relu", "dense-twin", options={"twin_of": "mlp", "bits": 1}), "1 bits; a grid has 2 to 16"),
        (System("relu", "dense-twin"), "missing 1 required keyword-only argument: 'twin_of'"),
    ],
)
def test_a_twin_that_cannot_be_built_says_why(system, message):
    shape = (1, 28, 28)
    with pytest.raises(InputError, match=message) as error:
        build_system(system, get_adapter("reference"), shape, 10, 0, steps=STEPS)
    assert "\n" not in str(error.value)


def test_options_of_the_network_reach_its_twin():
    model = build_network(
        "dense-twin", get_adapter("reference"), SYSTEMS["mlp-dense"].resolved_neuron, SHAPE, 10, 0,
        options={"twin_of": "mlp", "bits": 8, "hidden": (5,)},
    )  # fmt: skip
    assert model.hidden1.synapses.weight.shape == (5, 64)


def test_the_published_example_of_a_rate_at_which_both_cost_the_same():
    """Spyx's study (kmheckel/spyx 38374e9, research/new/honest_energy_accounting): 7.50, 6.25, ... %, mean 5.99 %.

    MLP 256-128-10, 8-bit weights of the spiking network and ceil(log2(T + 1)) bits of the other, every weight from DRAM
    at 20 pJ/bit; an accumulate is 0.05448 pJ. Its closed form b / (8 T) leaves out all that is not memory.
    """
    weights = 256 * 128 + 128 * 10
    rates = {}
    for steps, bits in zip(range(5, 11), (3, 3, 3, 4, 4, 4), strict=True):
        one = {"weight_read": 20.0 * 8, "mac": 0.05448, "ac": 0.05448}
        profile = EnergyProfile(
            **one, neuron_update=0, state_access=0, source="spyx", narrow={
                bits: OperationPrices(mac=0.05448, ac=0.05448, weight_read=20.0 * bits), 8: OperationPrices(**one),
            },
        )  # fmt: skip
        spiking = OperationCount((LayerCount("w", "binary", 0, 0, steps * weights, bits=8),), ())
        twin = OperationCount((LayerCount("w", "analog", weights, 0, weights, bits=bits),), ())
        rates[steps] = 100 * break_even(spiking, twin, profile)
        assert rates[steps] == pytest.approx(100 * bits / (8 * steps), rel=1e-2)
    assert sum(rates.values()) / len(rates) == pytest.approx(5.99, abs=0.02)


def test_what_a_twin_does_once_is_not_divided_by_the_steps():
    subject = Subject(
        "reference", "relu", SYSTEMS["mlp-dense"], "digits", 0,
        {"sizes": {"train": 50, "validation": 20, "test": 20}, "training": {"epochs": 1, "batch_size": 25},
         "encoding": {"name": "direct", "steps": STEPS}},
    )  # fmt: skip
    rows = {
        r["metric"]: r["value"] for r in Energy(samples=20, profiles=("45nm-fp32",)).run(subject) if "layer" not in r
    }
    assert rows["energy_once"] == rows["energy_silent"] == pytest.approx(rows["energy"])
    assert rows["energy_dense"] == pytest.approx(4.6 * rows["dense"])
    assert rows["energy"] == pytest.approx(4.6 * rows["macs"])


def test_a_network_of_silent_neurons_has_a_rate_too():
    profile = EnergyProfile(mac=4, ac=1, weight_read=0, neuron_update=2, state_access=0, source="mine")
    layers = (LayerCount("a", "analog", 10, 0, 10), LayerCount("b", "binary", 0, 0, 100))
    silent = OperationCount(layers, (SpikingCount("n", 5, 0.0),))
    twin = OperationCount((LayerCount("w", "analog", 20, 0, 20),), ())
    assert break_even(silent, twin, profile) == pytest.approx((4 * 20 - 4 * 10 - 2 * 5) / 100)
