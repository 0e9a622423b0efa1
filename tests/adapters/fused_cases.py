"""What fused layers are held to the oracle with, on every device: specs, inputs and comparisons."""

import math
from dataclasses import replace
from itertools import product

import torch

from spikemark.core.frameworks import get_adapter
from spikemark.core.neurons import NEURONS, Learnable, NeuronSpec, Surrogate
from spikemark.measures.semantics.comparison import LIMITS

fused, reference = get_adapter("fused"), get_adapter("reference")

CATALOGUE = [name for name, spec in NEURONS.items() if isinstance(spec, NeuronSpec) and spec.adaptation is None]
HALVES = (torch.bfloat16, torch.float16)
SCOPES = ("fixed", "layer", "channel", "neuron")
ALPHAS = {"atan": 2.0, "superspike": 2.0, "sigmoid": 4.0, "triangle": 1.0, "rectangle": 1.0}
FLAGS = list(product(("zero", "subtract", "none"), (True, False), (True, False), (True, False), (True, False)))


def specs(surrogate):
    """Every combination of the choices, each with another pair of scopes."""
    for i, (reset, detach, fires_at, decay_input, relative) in enumerate(FLAGS):
        yield NeuronSpec(
            decay=Learnable(0.5, SCOPES[i // 4 % 4]),
            threshold=Learnable(0.75, SCOPES[i % 4]),
            decay_input=decay_input,
            reset=reset,
            detach_reset=detach,
            fires_at_threshold=fires_at,
            surrogate=Surrogate(surrogate, ALPHAS[surrogate], 0.5, relative),
        )


def dyadic(*shape, seed=0):
    return torch.randint(-4, 9, shape, generator=torch.Generator().manual_seed(seed)).double() / 4


def layers(spec, shape, dtype=torch.float32, device="cpu", oracle_dtype=torch.float64):
    """The oracle on the CPU and the fused layer, with the same parameters."""
    oracle, layer = reference.neuron(spec, shape), fused.neuron(spec, shape)
    layer.load_state_dict(oracle.state_dict())
    return oracle.to(oracle_dtype), layer.to(device, dtype)


def gradients(layer, currents, upstream):
    """Spikes and gradients, on the CPU."""
    place = {"device": layer.raw_threshold.device, "dtype": layer.raw_threshold.dtype}
    currents = currents.to(**place).detach().requires_grad_()
    spikes = layer(currents)
    found = torch.autograd.grad(spikes, [currents, *layer.learnables().values()], upstream.to(**place))
    return spikes.detach().cpu(), [g.cpu() for g in found]


def assert_same(spec, shape, currents, dtype, device="cpu"):
    oracle, layer = layers(spec, shape, dtype, device)
    upstream = dyadic(*currents.shape, seed=1)
    spikes, found = gradients(layer, currents, upstream)
    oracle_spikes, wanted = gradients(oracle, currents, upstream)
    assert spikes.dtype == dtype
    assert torch.equal(spikes.double(), oracle_spikes)
    # Half precision: sums in float32 of numbers that are exact, rounded once at the end.
    limit = LIMITS[str(dtype).removeprefix("torch.")] if dtype not in HALVES else torch.finfo(dtype).eps
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.shape == theirs.shape
        assert ours.dtype == dtype
        error = (ours.double() - theirs).abs().max() / (1 + theirs.abs().max())
        assert error <= limit, (spec, ours.shape)


def assert_nan_currents_stay_in_their_neuron(device="cpu"):
    """They do not fire, either."""
    oracle, layer = layers(NEURONS["stl"], (4,), torch.float64, device)
    currents = dyadic(5, 3, 4) + 1
    currents[1, 2, 3] = math.nan
    found, wanted = gradients(layer, currents, torch.ones(5, 3, 4)), gradients(oracle, currents, torch.ones(5, 3, 4))
    assert not found[0][1:, 2, 3].any()
    assert torch.equal(found[0], wanted[0])
    for ours, theirs in zip(found[1], wanted[1], strict=True):
        torch.testing.assert_close(ours, theirs, equal_nan=True)
    assert found[1][0].isnan().sum() > 0
    assert not found[1][0][:, :2].isnan().any()


def assert_half_precision_sums_in_float32(device="cpu"):
    """4,096 gradients of 1: a sum in bfloat16 would stop at 256."""
    spec = replace(NEURONS["stl"], threshold=Learnable(1.0, "layer"), surrogate=Surrogate("rectangle", 1.0, 1.0))
    layer = fused.neuron(spec, (64,)).to(device, torch.bfloat16)
    currents = torch.ones(1, 64, 64, dtype=torch.bfloat16, device=device)
    layer(currents).sum().backward()
    assert layer.raw_threshold.grad.item() == -4096
