"""Golden traces find changes of a framework's own code, with the causes that they can isolate, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from spikemark.measures.semantics.traces import firing_current
from spikemark.regression import golden

LEAK = "self.beta.clamp(0, 1) * self.mem"
# framework: mutation: (changes of files, a layer that must differ, words of its cause)
MUTATIONS = {
    "snntorch": {
        "equality": ([["surrogate.py", "(input_ > 0)", "(input_ >= 0)"]], "snntorch:leaky", "equality: fires at"),
        "one-surrogate": (
            [["surrogate.py", "grad = grad_input / (ctx.slope * torch.abs(input_) + 1.0) ** 2", "grad = grad_input"]],
            "snntorch:leaky-fast-sigmoid",
            "surrogate: its gradient has another shape",
        ),
        "subtract": (
            [["_neurons/leaky.py", "- self.reset * self.threshold", "- 0.5 * self.reset * self.threshold"]],
            "snntorch:leaky",
            "reset (value, order or moment)",
        ),
        "epsilon": (
            [["_neurons/neurons.py", "spk = self.spike_grad(mem_shift)", "spk = self.spike_grad(mem_shift + 1e-7)"]],
            "snntorch:leaky",
            "threshold: the smallest current that fires moved by -",
        ),
        "clamp": ([["_neurons/leaky.py", LEAK, "self.beta * self.mem"]], "snntorch:leaky", "clamp: differs only"),
        "vector": (
            [["_neurons/leaky.py", LEAK, "self.beta.clamp(0, 1).mean() * self.mem"]],
            "snntorch:leaky",
            "differs only where every neuron has a decay of its own",
        ),
    },
    "norse": {
        "equality": (
            [["torch/functional/heaviside.py", "torch.gt(", "torch.ge("]],
            "norse:lif-box",
            "equality: fires at",
        ),
        "surrogate": (
            [["torch/functional/superspike.py", "grad = grad_output / ", "grad = 3 * grad_output / "]],
            "norse:lif-box",
            "surrogate scale: its gradient is 3 times",
        ),
        "reset": (
            [["torch/functional/reset.py", "(1 - z) * v + z * reset", "(1 - z) * v + z * (reset + 0.125)"]],
            "norse:lif-box",
            "reset (value, order or moment)",
        ),
    },
    "spikingjelly": {
        "equality": (
            [["activation_based/surrogate.py", "return (x >= 0).to(x)", "return (x > 0).to(x)"]],
            "spikingjelly:klif",
            "equality: fires only above",
        ),
        "surrogate": (
            [["activation_based/surrogate.py", "    a = alpha / 2\n    ax", "    a = alpha\n    ax"]],
            "spikingjelly:psn",
            "surrogate: its gradient has another shape",
        ),
        "reset": (
            [["_ops/reset.py", "spike.detach()", "spike"]],
            "spikingjelly:lif",
            "gradient over time (leak, reset)",
        ),
    },
}  # fmt: skip


@pytest.fixture(scope="module", params=sorted(MUTATIONS))
def found(request, tmp_path_factory):
    """For every mutation of a framework, and for its copy as it is, the differences that a check found."""
    pytest.importorskip(request.param)
    changes = {name: change for name, (change, _, _) in MUTATIONS[request.param].items()}
    script = Path(__file__).with_name("golden_of_mutants.py")
    folder = tmp_path_factory.mktemp(request.param)
    command = [sys.executable, str(script), request.param, str(folder), json.dumps({"none": []} | changes)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return request.param, json.loads(done.stdout.splitlines()[-1])


def test_mutations_are_found_with_their_causes(found):
    framework, differences = found
    assert differences["none"] == []
    for name, (_, layer, cause) in MUTATIONS[framework].items():
        causes = [one["cause"] for one in differences[name] if one["layer"] == layer]
        assert causes, f"{name}: {layer} was not found"
        assert any(cause in said for said in causes), f"{name}: {causes}"
        if cause.startswith("clamp"):
            assert all(said.startswith("clamp") for said in causes), causes


@pytest.mark.parametrize("fires", [lambda u: u > 1.25, lambda u: u >= 1.25])
def test_the_firing_current_is_exact(fires):
    below, above = firing_current(lambda currents: fires(currents * 3).float(), 2)
    assert bool((torch.nextafter(below, above) == above).all())
    assert not bool(fires(below * 3).any())
    assert bool(fires(above * 3).all())


def test_neurons_that_do_not_fire_have_no_firing_current():
    assert bool(firing_current(torch.zeros_like, 2)[1].isinf().all())


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    pytest.importorskip("norse")
    path = tmp_path_factory.mktemp("golden") / "norse.safetensors"
    golden.record(path, ["norse"])
    return path


def test_record_and_check_on_the_command_line(spikemark, file):
    code, out, _ = spikemark("golden", "check", file)
    assert (code, out.splitlines()[-1]) == (0, f"0 of {len(golden.read(file).header.layers)} layers differ")


def test_one_step_changed_in_the_file_is_reported_with_layer_and_step(spikemark, file, tmp_path):
    tensors = load_file(file)
    tensors["trace|norse:lif-box|default|dyadic|spikes"][5, 1, 2] += 1
    changed = tmp_path / "changed.safetensors"
    save_file(tensors, changed, {"spikemark_golden": golden.read(file).header.model_dump_json()})
    code, out, _ = spikemark("golden", "check", changed)
    assert code == 1
    assert out.startswith("norse:lif-box (default, dyadic, step 5): spikes: ")
    assert out.splitlines()[-1].startswith("1 of ")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (None, "it holds other tensors"),
        ("{", "its header is not JSON"),
        ('{"schema_version": 99}', "has schema 99; this version reads schema 1: record it again"),
        ('{"schema_version": 1}', "is missing"),
        ('{"schema_version": 1, "versions": {}, "layers": {}}', "has no layers: nothing to check"),
        (
            '{"schema_version": 1, "versions": {}, "layers": {"norse:lif": {"framework": "norse", "cases": ["slope"], '
            '"settings": ["default"], "raised": {}}}}',
            "tensors of layer 'norse:lif' are missing",
        ),
    ],
)
def test_other_files_are_refused_in_one_line(spikemark, tmp_path, header, message):
    path = tmp_path / "other.safetensors"
    save_file(
        {"x": torch.zeros(1)} if header is None else {}, path, None if header is None else {"spikemark_golden": header}
    )
    code, _, err = spikemark("golden", "check", path)
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_requests_that_cannot_be_met(spikemark, file, tmp_path):
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(file.read_bytes()[:1000])
    for arguments, message in [
        (("check", tmp_path / "none"), "does not exist"),
        (("check", torn), "is no golden file"),
        (("check", tmp_path), "is no golden file"),
        (("check", file, "--framework", "snntorch"), "has no layer of 'snntorch' (it has: norse)"),
        (("record", tmp_path / "x", "--framework", "reference"), "has no layers of its own"),
        (("record", tmp_path / "x", "--framework", "nors"), "did you mean 'norse'"),
    ]:
        code, _, err = spikemark("golden", *arguments)
        assert (code, message in err) == (2, True), err
    assert not (tmp_path / "x").exists()
