"""Our systems as NIR graphs: the same spikes from the oracle and from importers, and what NIR cannot say."""

import nir
import pytest
import torch

from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import Learnable, NeuronSpec, Surrogate
from spikemark.core.nir import OracleGraph
from spikemark.core.oracle import LIF
from spikemark.data.card import Sizes
from spikemark.data.loading import load_dataset
from spikemark.errors import InputError
from spikemark.models.nir import load_nir, read_graph
from spikemark.models.nir_check import check_graph
from spikemark.models.nir_export import to_nir, write_nir
from spikemark.networks.build import build_network
from spikemark.training.build import build_system
from spikemark.training.loop import train
from spikemark.training.rule import Protocol
from spikemark.training.system import SYSTEMS
from spikemark.training.weights import WeightStore

SHAPE, CLASSES = (2, 8, 8), 10


def lively(network):
    """Batch norms as after a training, so that neurons fire."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if hasattr(module, "running_mean"):
            module.running_mean.copy_(0.1 * torch.randn(len(module.running_mean), generator=generator))
            module.running_var.copy_(0.01 + 0.1 * torch.rand(len(module.running_var), generator=generator))
            module.weight.data.copy_(0.5 + torch.rand(len(module.weight), generator=generator))
            module.bias.data.copy_(0.5 * torch.rand(len(module.bias), generator=generator))
    return network.eval()


def inputs(steps=15, batch=5):
    return torch.rand(steps, batch, *SHAPE, generator=torch.Generator().manual_seed(0))


def built(system):
    return lively(build_system(SYSTEMS[system], get_adapter("reference"), SHAPE, CLASSES, 0))


@pytest.mark.parametrize(
    "system", ["mlp-lif", "mlp-plif", "mlp-stl", "mlp-lt", "convnet-lif-avgpool", "convnet-stl-avgpool"]
)
def test_a_written_system_gives_the_same_scores(system, tmp_path):
    network = built(system).double()
    graph = read_graph(write_nir(to_nir(network, SHAPE), tmp_path / "net.nir"))
    with torch.no_grad():
        expected = network(inputs().double())
    assert torch.allclose(OracleGraph(graph, 1e-4)(inputs()), expected, atol=1e-12)
    assert 0.02 < expected.mean() < 0.9


@pytest.mark.parametrize("framework", ["snntorch", "spikingjelly", "norse"])
@pytest.mark.parametrize("system", ["mlp-lif", "mlp-lt"])
def test_importers_take_it_as_it_is_meant(system, framework):
    graph = to_nir(built(system), SHAPE)
    (check,) = check_graph(graph, [framework], inputs=inputs()).frameworks
    assert check.faithful
    assert all(node.spikes for node in check.nodes)


def test_thresholds_per_neuron_are_taken_by_norse_alone():
    graph = to_nir(built("mlp-stl"), SHAPE)
    snntorch, norse = check_graph(graph, ["snntorch", "norse"], inputs=inputs()).frameworks
    assert snntorch.requires == ("one threshold for all neurons of a node",)
    assert norse.faithful
    assert norse.outputs == 15 * 5 * CLASSES


def spec(**changes):
    values = {
        "decay": Learnable(0.5), "threshold": Learnable(1.0), "decay_input": False, "reset": "zero",
        "detach_reset": True, "fires_at_threshold": True, "surrogate": Surrogate("atan", alpha=2.0),
    }  # fmt: skip
    return NeuronSpec(**{**values, **changes})


def network_of(neuron, network="mlp", **options):
    return build_network(
        network, get_adapter("reference"), neuron, SHAPE, CLASSES, 0, normalization="none", options=options
    ).eval()


@pytest.mark.parametrize("fires_at_threshold", [True, False])
def test_a_tie_fires_or_not_as_the_spec_says(fires_at_threshold):
    network = network_of(spec(fires_at_threshold=fires_at_threshold), hidden=(), population=1)
    network.output.synapses.weight.data.fill_(1 / 128)
    ones = torch.ones(3, 1, *SHAPE)  # 128 inputs make currents of exactly 1, the threshold
    graph = to_nir(network, SHAPE)
    assert float(network(ones)[0].mean()) == fires_at_threshold
    assert torch.equal(OracleGraph(graph, 1e-4)(ones), network(ones).double())
    assert torch.equal(load_nir(graph, "snntorch")(ones), network(ones))


@pytest.mark.parametrize(
    "neuron",
    [
        spec(reset="none"),
        spec(decay=Learnable(1.0)),
        spec(decay=Learnable(1.0), reset="none"),
        spec(decay=Learnable(0.3, scope="neuron", jitter=0.2)),
        LIF,
    ],
    ids=["no reset", "no leak", "neither", "a decay per neuron", "decayed input"],
)
@pytest.mark.parametrize(("network", "options"), [("mlp", {}), ("convnet", {"pool": "average"})])
def test_every_dynamics_that_nir_can_say(neuron, network, options):
    model = network_of(neuron, network, **options).double()
    for module in model.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Conv2d):
            module.weight.data *= 6
    graph = to_nir(model, SHAPE)
    with torch.no_grad():
        expected = model(4 * inputs().double())
    assert torch.allclose(OracleGraph(graph, 1e-4)(4 * inputs()), expected, atol=1e-12)
    assert 0 < expected.mean() < 1


@pytest.mark.parametrize(
    ("system", "message"),
    [
        ("convnet-lif", "layer 'conv1': NIR has no MaxPool2d; average pooling can be exported"),
        ("mlp-alif", "layer 'hidden1.neurons': NIR has no threshold that follows the spikes"),
        ("mlp-lif-soft", "it cannot say a reset by subtraction"),
        ("mlp-bntt", "cannot be folded"),
    ],
)
def test_what_nir_cannot_say_is_one_line(spikemark, tmp_path, system, message):
    code, _, err = spikemark("nir", "export", system, "--out", tmp_path / "net.nir", "--data", "digits")
    assert (code, err.count("\n")) == (2, 1)
    assert message in err
    assert not (tmp_path / "net.nir").exists()


def test_decays_of_1_beside_others_are_refused():
    with pytest.raises(InputError, match="NIR's leak needs decays below 1"):
        to_nir(network_of(spec(decay=Learnable(1.0), decay_input=True)), SHAPE)


def test_trained_weights_that_a_run_kept(spikemark, tmp_path):
    data = load_dataset("digits", sizes=Sizes(200, 50, 20))
    system = SYSTEMS["mlp-lif"]
    network = build_system(system, get_adapter("reference"), data.shape, data.classes, 0)
    protocol = Protocol(epochs=2, batch_size=50, encoder="direct", steps=4)
    trained = train(network, system.rule, data, protocol, 0)
    WeightStore(tmp_path).save("kept", trained)
    code, out, err = spikemark(
        "nir", "export", "mlp-lif", "--weights", tmp_path / "kept.safetensors", "--out", tmp_path / "net.nir"
    )
    assert code == 0, err
    assert "8 nodes" in out
    network.load_state_dict(trained.best_state)
    samples = data.test.inputs.expand(4, *data.test.inputs.shape)
    with torch.no_grad():
        expected = network.eval()(samples)
    found = load_nir(tmp_path / "net.nir", "spikingjelly")(samples)
    assert torch.equal(found.argmax(-1), expected.argmax(-1))
    assert torch.allclose(found, expected, atol=1e-6)
    first = nir.read(tmp_path / "net.nir").nodes["hidden1.synapses"].weight
    code, _, err = spikemark("nir", "export", "mlp-lif", "--out", tmp_path / "first.nir")
    assert code == 0, err
    assert not (nir.read(tmp_path / "first.nir").nodes["hidden1.synapses"].weight == first).all()
    for weights, message in [("kept.safetensors", "do not fit the system"), ("lost.safetensors", "that a run kept")]:
        code, _, err = spikemark(
            "nir", "export", "mlp-stl-wide", "--weights", tmp_path / weights, "--out", tmp_path / "net.nir"
        )
        assert (code, err.count("\n"), message in err) == (2, 1, True)
    code, _, err = spikemark("nir", "export", "mlp-lif", "--out", tmp_path / "nowhere" / "net.nir")
    assert (code, err.count("\n"), "cannot be written" in err) == (2, 1, True)
