"""The fused layer's kernels for GPUs, as far as a machine shows them.

Anywhere: run by Triton's interpreter on tensors of the CPU, and compiled for a GPU down to its machine code. Where
there is a GPU, the same cases run on it.
"""

import importlib.util
import math
import re
import sys
from dataclasses import replace
from itertools import product

import pytest
import torch

triton = pytest.importorskip("triton", reason="the kernels for GPUs need Triton")

import numpy as np  # noqa: E402
import triton.language as tl  # noqa: E402
from fused_cases import (  # noqa: E402
    ALPHAS,
    CATALOGUE,
    assert_half_precision_sums_in_float32,
    assert_nan_currents_stay_in_their_neuron,
    assert_same,
    dyadic,
    fused,
    gradients,
    layers,
    specs,
)
from triton.backends.compiler import GPUTarget  # noqa: E402
from triton.runtime import interpreter  # noqa: E402

from spikemark.core.adapter import Unsupported  # noqa: E402
from spikemark.core.neurons import NEURONS, Learnable  # noqa: E402
from spikemark.measures.semantics.comparison import conformance  # noqa: E402
from spikemark_adapters.fused import gpu, ops  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's, of infinite membranes

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
needs_no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="runs on the GPU instead")

NAMES = {torch.float32: "fp32", torch.float64: "fp64", torch.bfloat16: "bf16", torch.float16: "fp16"}


# --- on the device or interpreted -----------------------------------------------------------------------------------


def rounding_as_torch(data, source, target, mode):
    """Between float32 and bfloat16; the interpreter itself cuts digits off instead of rounding."""
    if source == tl.bfloat16:
        return (data.astype(np.uint32) << 16).view(np.uint32)
    return torch.from_numpy(np.ascontiguousarray(data)).bfloat16().view(torch.int16).numpy().view(np.uint16)


def loaded(name, patch):
    """A copy of the module `gpu`, whose kernels are decorated once more."""
    found = importlib.util.spec_from_file_location(name, gpu.__file__)
    module = importlib.util.module_from_spec(found)
    patch.setitem(sys.modules, name, module)
    found.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def interpreted():
    """The module `gpu` with its kernels decorated for the interpreter."""
    with triton.knobs.runtime.scope(), pytest.MonkeyPatch.context() as patch:
        triton.knobs.runtime.interpret = True
        module = loaded("spikemark_adapters.fused.gpu_interpreted", patch)
        triton.knobs.runtime.interpret = False
        yield module


# Where a GPU shows more, nothing is interpreted: older Tritons cannot compile in a process that has interpreted.
@pytest.fixture(params=[pytest.param("interpreter", marks=needs_no_gpu), pytest.param("gpu", marks=needs_gpu)])
def device(request, monkeypatch):
    """Where the layers' tensors are; on the CPU the kernels are interpreted."""
    if request.param == "gpu":
        return "cuda"
    module = request.getfixturevalue("interpreted")
    monkeypatch.setattr(ops, "_planner", lambda device: module.plan)
    monkeypatch.setitem(ops.DTYPES, "cpu", ops.DTYPES["cuda"])
    monkeypatch.setattr(interpreter, "_convert_float", rounding_as_torch)
    return "cpu"


@pytest.mark.parametrize("dtype", NAMES, ids=str)
@pytest.mark.parametrize("surrogate", ALPHAS)
def test_every_combination_has_the_oracles_spikes_and_gradients(surrogate, dtype, device):
    every = 1 if dtype == torch.float32 else 3  # Kernels differ in nothing but the type.
    for spec in list(specs(surrogate))[::every]:
        assert_same(spec, (3, 2), dyadic(4, 5, 3, 2), dtype, device)


@pytest.mark.parametrize("name", CATALOGUE)
def test_the_catalogue_conforms(name, device):
    assert conformance(fused, NEURONS[name], seed=3, steps=(9,), device=device).passed


@pytest.mark.parametrize("dtype", NAMES, ids=str)
@pytest.mark.parametrize("fires_at_threshold", [True, False])
def test_ordinary_numbers_round_as_in_the_reference(fires_at_threshold, dtype, device):
    """Not only dyadic inputs: every operation rounds, in every type."""
    for reset, decay_input in product(("zero", "subtract", "none"), (True, False)):
        spec = replace(
            NEURONS["stl"], decay=Learnable(0.7), threshold=Learnable(0.9, "neuron", jitter=0.1),
            reset=reset, decay_input=decay_input, fires_at_threshold=fires_at_threshold,
        )  # fmt: skip
        plain, layer = layers(spec, (40,), dtype, device, oracle_dtype=dtype)
        currents = 3 * torch.rand(16, 6, 40, generator=torch.Generator().manual_seed(0))
        currents = (currents - 1 if reset == "none" else currents).to(dtype)  # what is never reset would always fire
        spikes = plain(currents)
        assert 0.05 < spikes.double().mean() < 0.95
        assert torch.equal(layer(currents.to(device)).cpu(), spikes)


@pytest.mark.parametrize(
    ("batch", "shape"),
    [(1, (1,)), (7, (3,)), (6, (100,)), (3, (256,)), (5, (257,)), (2, (1061,)), (5, (700,)), (2, (3, 16, 8))],
    ids=str,
)
@pytest.mark.parametrize(("programs", "block"), [(2048, 128), (4, 512), (1, 128)], ids=str)
def test_every_way_to_cut_the_work_into_programs_gives_the_same(batch, shape, programs, block, device, monkeypatch):
    """Narrow layers are folded, wide ones cut; a group may hold several rows, the last one fewer."""
    module = gpu if device == "cuda" else sys.modules["spikemark_adapters.fused.gpu_interpreted"]
    monkeypatch.setattr(module, "_PROGRAMS", programs)
    monkeypatch.setattr(module, "_BLOCKS", (block,))
    module.plan.cache_clear()
    spec = replace(NEURONS["stl"], decay=Learnable(0.5, "channel"), decay_input=True)
    assert_same(spec, shape, dyadic(3, batch, *shape), torch.float32, device)
    module.plan.cache_clear()


@pytest.mark.parametrize("threshold", [0.0, -0.5])
def test_thresholds_that_fire_at_rest(threshold, device):
    """Before the first step the membrane is 0 and has not fired, even where 0 reaches the threshold."""
    for reset in ("zero", "subtract", "none"):
        spec = replace(
            NEURONS["plif"], reset=reset, detach_reset=False, threshold=Learnable(threshold, "layer"),
            decay=Learnable(0.5, "layer"),
        )  # fmt: skip
        assert_same(spec, (4,), dyadic(6, 3, 4), torch.float64, device)


@pytest.mark.parametrize("steps", [1, 2, 100])
def test_long_and_short_runs_have_the_oracles_gradients(steps, device):
    spec = replace(NEURONS["plif"], decay=Learnable(0.5, "neuron"), threshold=Learnable(0.75, "neuron"))
    assert_same(spec, (40,), dyadic(steps, 2, 40), torch.float64, device)


def test_odd_layouts_of_inputs_and_gradients_give_the_same(device):
    spec, shape = NEURONS["stl"], (6, 4)
    _, layer = layers(spec, shape, device=device)
    currents, upstream = dyadic(5, 3, *shape).to(device), dyadic(5, 3, *shape, seed=1).to(device)
    expected = gradients(layer, currents, upstream)
    for spread in (
        lambda x: x.transpose(0, 1).contiguous().transpose(0, 1),
        lambda x: torch.cat((x, x), dim=-1)[..., : shape[-1]],
        lambda x: x.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
    ):
        assert not spread(currents).is_contiguous()
        spikes, found = gradients(layer, spread(currents), spread(upstream))
        assert spikes.is_contiguous()
        assert torch.equal(spikes, expected[0])
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(found, expected[1], strict=True))


def test_inputs_that_start_anywhere_give_the_same(device):
    """A view may start at an address that is no multiple of 16 bytes."""
    _, layer = layers(NEURONS["stl"], (128,), device=device)
    currents = dyadic(4, 3, 128).float().to(device)
    shifted = torch.cat((currents.new_zeros(1), currents.flatten()))[1:].view(currents.shape)
    assert shifted.is_contiguous()
    assert torch.equal(layer(shifted), layer(currents))


@pytest.mark.parametrize("shape", [(4,), (0,)], ids=["no samples", "no neurons"])
def test_empty_inputs_give_empty_spikes_and_zero_gradients(shape, device):
    layer = fused.neuron(replace(NEURONS["plif"], threshold=Learnable(1.0, "neuron")), shape).to(device)
    currents = torch.zeros(3, 0 if shape == (4,) else 2, *shape, requires_grad=True, device=device)
    spikes = layer(currents)
    spikes.sum().backward()
    assert spikes.shape == currents.shape == currents.grad.shape
    assert all(p.grad.shape == p.shape and not p.grad.any() for p in layer.learnables().values())


def test_nan_currents_do_not_fire_and_stay_in_their_neuron(device):
    assert_nan_currents_stay_in_their_neuron(device)


@pytest.mark.parametrize("extreme", [math.inf, -math.inf, 1e38])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_overflow_fires_as_in_the_reference(extreme, dtype, device):
    for name in CATALOGUE:
        plain, layer = layers(NEURONS[name], (4,), dtype, device, oracle_dtype=dtype)
        currents = dyadic(6, 3, 4).to(dtype)
        currents[1:3] = extreme
        assert torch.equal(layer(currents.to(device)).cpu(), plain(currents))


def test_half_precision_sums_in_float32(device):
    assert_half_precision_sums_in_float32(device)


def test_only_what_is_trained_gets_a_gradient(device):
    layer = fused.neuron(NEURONS["diet"], (4,)).to(device)
    layer.raw_decay.requires_grad_(False)
    currents = dyadic(5, 3, 4).float().to(device)
    layer(currents).sum().backward()
    assert layer.raw_threshold.grad is not None
    assert layer.raw_decay.grad is None


def test_torch_accepts_the_operators(device):
    layer = fused.neuron(NEURONS["diet"], (4,)).to(device)
    currents = dyadic(5, 3, 4).float().to(device).requires_grad_()
    threshold, decay = (p.detach().clone().requires_grad_() for p in (layer.threshold, layer.decay))
    spec = NEURONS["diet"].to_json()
    torch.library.opcheck(torch.ops.spikemark.fused_spikes.default, (currents, threshold, decay, spec))
    plain = [t.detach() for t in (currents, currents, threshold, decay)]
    torch.library.opcheck(torch.ops.spikemark.fused_gradients.default, (*plain, spec, True, True))


@needs_gpu
def test_more_numbers_than_32_bits_count():
    steps, width = 2, 1024
    batch = 2**31 // (steps * width) + 64
    if torch.cuda.mem_get_info()[0] < 6 * steps * batch * width * 2:
        pytest.skip("needs 26 GB of the GPU's memory")
    layer = fused.neuron(NEURONS["stl"], (width,)).to("cuda", torch.bfloat16)
    currents = torch.empty(steps, batch, width, dtype=torch.bfloat16, device="cuda").uniform_(0, 2).requires_grad_()
    spikes = layer(currents)
    (found,) = torch.autograd.grad(spikes, currents, torch.ones_like(spikes))
    last = currents[:, -64:].detach().contiguous().requires_grad_()
    expected = layer(last)
    assert torch.equal(spikes[:, -64:], expected)
    (wanted,) = torch.autograd.grad(expected, last, torch.ones_like(expected))
    assert torch.equal(found[:, -64:], wanted)


def test_a_missing_triton_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.delitem(sys.modules, "spikemark_adapters.fused.gpu")
    monkeypatch.delattr(sys.modules["spikemark_adapters.fused"], "gpu")
    with pytest.raises(Unsupported, match="pip install triton"):
        ops._planner("cuda")


# --- compiled, for a GPU that need not be there ---------------------------------------------------------------------


class _Driver:
    """Of a GPU of compute capability 9.0 that is not there: enough to compile for it, not to launch."""

    def get_current_target(self):
        return GPUTarget("cuda", 90, 32)

    def get_current_device(self):
        return 0

    def get_current_stream(self, device):
        return 0


@pytest.fixture
def sm90(tmp_path):
    """Compiles a plan's kernel as its launch would, from scratch; returns what each stage of the compiler made."""

    def compiled(plan, dtype):
        numbers = {name: plan.numbers[name] for name in plan.kernel.arg_names if name in plan.numbers}
        tensors = {
            name: torch.empty(0, dtype=plan.sums_dtype if name in ("d_threshold", "d_decay") else dtype)
            for name in plan.kernel.arg_names
            if name not in numbers
        }
        return plan.kernel.warmup(grid=(plan.programs,), **tensors, **numbers, **module._LAUNCH).asm

    name = "spikemark_adapters.fused.gpu_compiled"
    with triton.knobs.cache.scope(), pytest.MonkeyPatch.context() as patch:
        triton.knobs.cache.dir = str(tmp_path)
        module = loaded(name, patch)
        patch.setattr(triton.runtime.driver, "_active", _Driver())
        yield compiled


def plan_of(direction, spec, dtype, shape=(16, 64, 1024)):
    one = [getattr(spec, name).scope in ("fixed", "layer") for name in ("threshold", "decay")]
    learned = [getattr(spec, name).scope != "fixed" for name in ("threshold", "decay")]
    wanted = learned if direction == "backward" else (False, False)
    module = sys.modules["spikemark_adapters.fused.gpu_compiled"]
    return module.plan(direction, spec.to_json(), torch.Size(shape), dtype, *one, *wanted)


# Each surrogate, flag and scope in several of them.
SAMPLE = [spec for i, surrogate in enumerate(ALPHAS) for spec in list(specs(surrogate))[i::9]]


@pytest.mark.parametrize("dtype", NAMES, ids=str)
def test_forward_kernels_compile_and_fuse_no_rounding(dtype, sm90):
    for spec in SAMPLE[:: 1 if dtype == torch.float32 else 3]:
        asm = sm90(plan_of("forward", spec, dtype), dtype)
        assert len(asm["cubin"]) > 1000
        assert "fma" not in asm["ptx"], spec
        assert "ftz" not in asm["ptx"], spec


@pytest.mark.parametrize("dtype", NAMES, ids=str)
def test_backward_kernels_compile(dtype, sm90):
    for spec in SAMPLE[:: 1 if dtype == torch.float32 else 3]:
        asm = sm90(plan_of("backward", spec, dtype), dtype)
        assert len(asm["cubin"]) > 1000
        # Who wrote a membrane reads it, and overwrites it: all loads and stores share the numbers out alike.
        layouts = set(re.findall(r"tt\.(?:load|store) .*, (#\w+)>", asm["ttgir"]))
        assert len(layouts) == 1
        if dtype != torch.float64 and spec.surrogate.name != "sigmoid":
            assert "fma" not in asm["ptx"], spec


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (2, 2**21, 1024)], ids=str)
def test_sizes_that_a_launch_treats_apart_compile(shape, sm90):
    """Triton puts arguments of 1 into the kernel, and takes those beyond 32 bits as 64-bit numbers."""
    for direction in ("forward", "backward"):
        plan = plan_of(direction, NEURONS["diet"], torch.float32, shape)
        assert len(sm90(plan, torch.float32)["cubin"]) > 1000
