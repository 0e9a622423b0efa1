"""Whether stages that an adapter computes as one give what their modules give one after the other.

The neurons alone are held to the oracle (`spikemark.measures.semantics.comparison`); here the same layer, with norm and
pooling around it, is computed both ways. Inputs are dyadic, and so are their means and standard deviations: nothing is
rounded in a norm, and spikes must be the same to the last one. Gradients are compared with those of the modules in
float64.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spikemark.core.adapter import Adapter
from spikemark.core.neurons import NeuronSpec
from spikemark.core.streams import stream_seed
from spikemark.networks.normalization import NORMALIZATIONS, JointBatchNorm, Surroundings
from spikemark.networks.plain import POOLS
from spikemark.networks.stages import Stage

STEPS, BATCH, SHAPE = 4, 8, (2, 8, 4)
_STANDARD = [0.5, -0.5] * 5 + [1.5, -1.5] * 3 + [2.0, -2.0] * 2 + [0.0] * 12  # of mean 0 and variance 1, exactly


@dataclass(frozen=True)
class StageCase:
    """A stage and what goes in.

    Attributes:
        norm: a name in `NORMALIZATIONS`.
        pool: a name in `POOLS`, or None.
        held: whether the currents are the same at every step.
        training: whether statistics are those of the batch.
        channels_last: whether the currents lie in memory as ``[T, B, H, W, C]``.
    """

    norm: str
    pool: str | None
    held: bool
    training: bool
    channels_last: bool


def all_stage_cases() -> list[StageCase]:
    """Every normalisation, learning and not, with changing poolings; currents that change or not, in both orders."""
    poolings = (None, *POOLS)
    return [
        StageCase(norm, poolings[turn % len(poolings)], turn % 2 == 0, training, channels_last=turn // 2 % 2 == 0)
        for number, norm in enumerate(NORMALIZATIONS)
        for training in (True, False)
        for turn in (number + training,)
    ]


def stage_cases(spec: NeuronSpec) -> list[StageCase]:
    """A quarter of all cases, since each is compiled; which, the spec decides, so that many specs go through all."""
    return all_stage_cases()[stream_seed("stages", spec.to_json()) % 4 :: 4]


@dataclass(frozen=True)
class StageResult:
    """How one case compares.

    Attributes:
        compared_spikes: outputs compared.
        differing_spikes: those that differ.
        errors: of the gradients of "currents", "norm" and the neurons' parameters, and of the running "statistics":
            the largest difference divided by the largest value.
    """

    compared_spikes: int
    differing_spikes: int
    errors: dict[str, float]


def compare_stage(
    adapter: Adapter, spec: NeuronSpec, case: StageCase, dtype: torch.dtype, *, seed: int = 0
) -> StageResult | None:
    """Compare the form that an adapter offers for a stage with its modules; None where it offers none.

    Raises:
        spikemark.core.adapter.Unsupported: the adapter cannot express the spec.
    """
    random = torch.Generator().manual_seed(stream_seed("stages", spec.to_json(), seed, *map(str, vars(case).values())))
    whole = _stage(adapter, spec, case, random).to(dtype)
    if whole.form is None:
        return None
    one_by_one, exact = copy.deepcopy(whole), copy.deepcopy(whole).double()
    one_by_one.form = exact.form = None
    currents = _currents(1 if case.held else STEPS, random)
    upstream = torch.rand((STEPS, BATCH, *whole.out_shape), generator=random)
    if case.channels_last:
        currents = currents.movedim(2, -1).contiguous().movedim(-1, 2)
    spikes, gradients = _run(whole, currents, upstream)
    wanted, _ = _run(one_by_one, currents, upstream)
    _, truth = _run(exact, currents, upstream)
    errors = {"statistics": 0.0} if case.norm != "none" else {}
    for name in truth:
        kind = name.split(".")[0] if not name.startswith("neurons") else name.removeprefix("neurons.raw_")
        errors[kind] = max(errors.get(kind, 0.0), _error(gradients[name], truth[name]))
    for found, buffer in zip(whole.norm.buffers(), exact.norm.buffers(), strict=True):
        errors["statistics"] = max(errors["statistics"], _error(found, buffer))
    return StageResult(spikes.numel(), int((spikes != wanted).sum()), errors)


def _currents(frames: int, random: torch.Generator) -> Tensor:
    channels, *sides = SHAPE
    count = BATCH * math.prod(sides)
    values = torch.tensor(_STANDARD).repeat(count // len(_STANDARD))
    drawn = [values[torch.randperm(count, generator=random)] for _ in range(frames * channels)]
    currents = torch.stack(drawn).view(frames, channels, BATCH, *sides).transpose(1, 2)
    return 2 * currents + _dyadic((channels, 1, 1), random)


def _dyadic(shape: tuple[int, ...] | torch.Size, random: torch.Generator) -> Tensor:
    return torch.tensor([0.5, 1.0, 2.0])[torch.randint(3, shape, generator=random)]


def _stage(adapter: Adapter, spec: NeuronSpec, case: StageCase, random: torch.Generator) -> Stage:
    channels, height, width = SHAPE
    norm = NORMALIZATIONS[case.norm](channels, Surroundings(STEPS, spec.threshold.init))
    neurons = adapter.neuron(spec, SHAPE, generator=random)
    pool = POOLS[case.pool](2) if case.pool else None
    shape = SHAPE if pool is None else (channels, height // 2, width // 2)
    stage = Stage(_AsItIs(), norm, neurons, pool, out_shape=shape)
    norm.train(case.training)
    with torch.no_grad():
        for parameter in norm.parameters():
            parameter.copy_(_dyadic(parameter.shape, random))
        for part in norm.modules():
            if isinstance(part, JointBatchNorm):
                part.eps = 12.0 if part.training else 3.0  # variances of 4 and 1: standard deviations of 4 and 2
                assert part.running_mean is not None
                part.running_mean.copy_(_dyadic(part.running_mean.shape, random))
    stage.form = adapter.stage(norm, neurons, pool)
    return stage.train(case.training)


class _AsItIs(nn.Module):
    """Synapses that hand on what they get; the parameter has a stage compute constant currents once."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x


def _run(stage: Stage, currents: Tensor, upstream: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    frames = currents.to(next(stage.parameters()).dtype).requires_grad_()
    spikes: Tensor = stage(frames.expand(STEPS, *frames.shape[1:]))
    wanted = {"currents": frames} | {name: p for name, p in stage.named_parameters() if p is not stage.synapses.unused}
    found = torch.autograd.grad(spikes, list(wanted.values()), upstream.to(spikes.dtype), materialize_grads=True)
    return spikes.detach(), dict(zip(wanted, found, strict=True))


def _error(found: Tensor, wanted: Tensor) -> float:
    largest = float(wanted.abs().max())
    difference = float((found.double() - wanted).abs().max())
    return difference / largest if largest else difference
