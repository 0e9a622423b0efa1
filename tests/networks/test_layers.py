import pytest
import torch
from torch import nn

from spikemark import NEURONS, get_adapter
from spikemark.errors import InputError
from spikemark.networks.build import build_network
from spikemark.networks.dropout import Dropout
from spikemark.networks.layers import LAYERS, parse
from spikemark.networks.stages import PopulationReadout, Stage


def build(layers, shape=(1, 12, 12), classes=4, **options):
    options = {"layers": layers, **options}
    norm = "joint-bn" if "BN" in layers else "none"
    return build_network(
        "layers", get_adapter("reference"), NEURONS["lif"], shape, classes, 0, normalization=norm, options=options
    )


def test_repetitions_are_written_out_also_nested():
    tokens = parse("((8C3-SN)x2-MP2)x2-FC4", [*LAYERS, "SN"])
    assert [token.text for token in tokens] == ["8C3", "SN", "8C3", "SN", "MP2", "8C3", "SN", "8C3", "SN", "MP2", "FC4"]


def test_a_string_becomes_its_layers():
    model = build("6C5-BN-SN-MP2-3C3-SN-AP3-SD0.5-FC12-BN-SN-DP0.25-FC3K-VOTE3")
    kinds = {name: type(module) for name, module in model.named_children()}
    assert list(kinds) == ["conv1", "conv2", "dropout1", "flatten1", "fc1", "dropout2", "fc2", "readout1"]
    assert [kinds[name] for name in ("conv1", "dropout1", "readout1")] == [Stage, Dropout, PopulationReadout]
    assert model.conv1.synapses.kernel_size == (5, 5)
    assert [stage.out_shape for stage in (model.conv1, model.conv2, model.fc1)] == [(6, 6, 6), (3, 2, 2), (12,)]
    assert [type(stage.pool) for stage in (model.conv1, model.conv2)] == [nn.MaxPool2d, nn.AvgPool2d]
    assert isinstance(model.conv2.norm, nn.Identity)
    assert isinstance(model.fc2.neurons, nn.Identity)
    assert [d.each_step for d in (model.dropout1, model.dropout2)] == [True, False]
    assert model(torch.rand(3, 2, 1, 12, 12)).shape == (3, 2, 4)


def test_parts_can_be_replaced_and_biases_asked_for():
    model = build("6C3-SN-MP2-FC4", replace={"MP": "AP"}, bias=True)
    assert isinstance(model.conv1.pool, nn.AvgPool2d)
    assert model.conv1.synapses.bias is not None
    assert model.fc1.synapses.bias is not None
    assert build("6C3-SN-MP2-FC4").fc1.synapses.bias is None


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("6C3-XY-FC4", "'XY': no layer 'XY'"),
        ("6C3-x3-FC4", "'x3' is no layer"),
        ("C3-FC4", "'C3' lacks the number of its kernels"),
        ("SN-FC4", "SN stands without"),
        ("6C4-FC4", "6C4: only odd kernels"),
        ("FC8-6C3-FC4", "6C3 takes images"),
        ("6C3-MP20-FC4", "MP20 does not fit"),
        ("FC8-SN-VOTE3", "does not fit 4 classes"),
        ("FC8-SN", r"ends in \[8\], not in one score for each of 4 classes"),
        ("DP-FC4", "'DP' lacks its number"),
    ],
)
def test_what_does_not_fit_is_named(layers, message):
    with pytest.raises(InputError, match=message):
        build(layers)


def test_a_replacement_of_what_is_not_there_is_refused():
    with pytest.raises(InputError, match="there is no 'MP'"):
        build("FC4", replace={"MP": "AP"})
