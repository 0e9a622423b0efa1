"""Conformance: does an adapter compute the oracle's spikes, every one, and its gradients?

The oracle is `spikemark.core.oracle` in float64; a layer is checked in float32 and in float64, on the inputs of
`spikemark.measures.semantics.dyadic`. An adapter that computes whole stages as one is held to its own modules as well
(`spikemark.measures.semantics.stages`). What cannot be expressed (`Unsupported`) is reported, never skipped.
"""

from __future__ import annotations

import copy
import itertools
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, get_args

import torch
from torch import Tensor, nn

from spikemark.core.adapter import Adapter, SpikingLayer, Unsupported
from spikemark.core.foreign import first_tensor, reset_states
from spikemark.core.frameworks import get_adapter
from spikemark.core.measurement import Measurement
from spikemark.core.neurons import (
    NEURONS,
    Adaptation,
    Learnable,
    NeuronSpec,
    Reset,
    Scope,
    Surrogate,
    SurrogateName,
)
from spikemark.errors import InputError
from spikemark.measures.semantics.dyadic import Case, make_case
from spikemark.measures.semantics.stages import compare_stage, stage_cases

LIMITS: Mapping[str, float] = MappingProxyType({"float32": 1e-5, "float64": 1e-10})
_DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class ConformanceResult:
    """How one adapter's layers of one spec compare with the oracle's.

    Attributes:
        compared_spikes: outputs compared, over shapes, steps and both types.
        differing_spikes: those that differ from the oracle's.
        spikes_at_threshold: how many of the compared had a membrane exactly at its threshold.
        gradient_errors: by tensor ("currents" and the learned parameters; of stages also "norm" and its running
            "statistics") and type, the largest over all inputs of
            ``max|g - g*| / scale``. For the currents the scale is ``max|g*|``. The gradient of a shared parameter is a
            sum over the samples and neurons that share it, and may cancel to nearly nothing, where an error relative
            to it says nothing of the computation; its scale is the largest *sum of the terms' absolute values*. (With
            one neuron and one sample the sum over time may still cancel; a handful of each suffices.)
    """

    compared_spikes: int
    differing_spikes: int
    spikes_at_threshold: int
    gradient_errors: Mapping[tuple[str, str], float]

    @property
    def passed(self) -> bool:
        """No spike differs, and every gradient is within `LIMITS`."""
        within = (error <= LIMITS[dtype] for (_, dtype), error in self.gradient_errors.items())
        return self.compared_spikes > 0 and self.differing_spikes == 0 and all(within)

    def worst(self, dtype: str) -> float:
        """The largest gradient error in `dtype`."""
        return max(error for (_, kind), error in self.gradient_errors.items() if kind == dtype)

    def measurements(self) -> list[Measurement]:
        """The result as a record holds it; an infinite error becomes the largest finite number, as JSON has none."""
        counts = {
            "compared_spikes": self.compared_spikes,
            "differing_spikes": self.differing_spikes,
            "spikes_at_threshold": self.spikes_at_threshold,
        }
        rows = [Measurement(metric=name, value=float(value), unit="spikes") for name, value in counts.items()]
        for (name, dtype), error in self.gradient_errors.items():
            value = min(error, sys.float_info.max)
            rows.append(Measurement(metric="gradient_error", value=value, unit="1", dtype=dtype, split=name))
        return rows


def conformance(
    adapter: Adapter,
    spec: NeuronSpec,
    *,
    seed: int,
    shapes: tuple[tuple[int, ...], ...] = ((5,), (3, 4, 4)),
    steps: tuple[int, ...] = (1, 8, 64),
    batch: int = 4,
    device: str = "cpu",
) -> ConformanceResult:
    """Compare the adapter's layers with the oracle on every shape and number of steps, its stages with their modules.

    Args:
        adapter: whose layers.
        spec: the neuron.
        seed: of parameters, currents and upstream gradients.
        shapes: features of one sample.
        steps: numbers of time steps.
        batch: samples.
        device: where the adapter's layers run; the oracle runs on the CPU.

    Raises:
        Unsupported: the adapter cannot express the spec.
    """
    compared = differing = at_threshold = 0
    errors: dict[tuple[str, str], float] = defaultdict(float)
    for shape, step_count in itertools.product(shapes, steps):
        case = make_case(spec, shape, step_count, batch, seed)
        layer = adapter.neuron(spec, shape, generator=torch.Generator().manual_seed(case.stream))
        found = _compare_dtypes(layer.to(device), case, errors)
        compared, differing, at_threshold = compared + found[0], differing + found[1], at_threshold + found[2]
    for stage, dtype in itertools.product(stage_cases(spec), _DTYPES):
        whole = compare_stage(adapter, spec, stage, _DTYPES[dtype], seed=seed) if device == "cpu" else None
        if whole is not None:
            compared, differing = compared + whole.compared_spikes, differing + whole.differing_spikes
            for name, error in whole.errors.items():
                errors[name, dtype] = max(errors[name, dtype], error)
    return ConformanceResult(compared, differing, at_threshold, dict(errors))


def layer_conformance(
    layer: SpikingLayer, *, seed: int = 0, steps: tuple[int, ...] = (1, 8, 64), batch: int = 4
) -> ConformanceResult:
    """Compare one layer with the oracle of its own spec, on every number of steps; the layer stays as it is.

    Args:
        layer: of any adapter, or a `GivenLayer`.
        seed: of parameters, currents and upstream gradients.
        steps: numbers of time steps.
        batch: samples.

    Raises:
        InputError: the layer has random constants, which no other layer shares.
    """
    if any(learnable.jitter and not learnable.learned for learnable in layer.spec.parameters.values()):
        raise InputError("the layer's constants are random, so no oracle has the same; check its spec instead")
    compared = differing = at_threshold = 0
    errors: dict[tuple[str, str], float] = defaultdict(float)
    for step_count in steps:
        case = make_case(layer.spec, layer.shape, step_count, batch, seed)
        found = _compare_dtypes(copy.deepcopy(layer), case, errors)
        compared, differing, at_threshold = compared + found[0], differing + found[1], at_threshold + found[2]
    return ConformanceResult(compared, differing, at_threshold, MappingProxyType(dict(errors)))


class GivenLayer(SpikingLayer):
    """Somebody's module, held to a spec: it keeps its own constants, so those of the spec are taken as fixed.

    Args:
        module: currents ``[T, B, *shape]`` to spikes of that shape, alone or as the first of a tuple.
        spec: what it is said to compute.
        shape: of the features of one sample.
        reset: forgets earlier calls, where neither the module nor its framework does.
    """

    def __init__(
        self,
        module: nn.Module,
        spec: NeuronSpec,
        shape: tuple[int, ...],
        reset: Callable[[nn.Module], object] | None = None,
    ) -> None:
        super().__init__(_with_constants(spec), shape)
        self.module, self._reset = module, reset

    def spikes(self, currents: Tensor) -> Tensor:
        """What the module gives, from its first state.

        Raises:
            InputError: it gives no tensor.
        """
        reset_states(self.module, self._reset)
        found = first_tensor(self.module(currents))
        if found is None:
            raise InputError(f"{type(self.module).__name__} gave no tensor of spikes")
        return found


def _with_constants(spec: NeuronSpec) -> NeuronSpec:
    """The same neuron with nothing to learn."""

    def constant(learnable: Learnable) -> Learnable:
        return Learnable(learnable.init)

    adaptation = spec.adaptation
    if adaptation is not None:
        adaptation = Adaptation(constant(adaptation.decay), constant(adaptation.strength))
    return replace(spec, threshold=constant(spec.threshold), decay=constant(spec.decay), adaptation=adaptation)


def _compare_dtypes(layer: SpikingLayer, case: Case, errors: dict[tuple[str, str], float]) -> tuple[int, int, int]:
    """How many spikes were compared, differ, and were at their threshold; raises `errors` as `_compare` does."""
    with torch.no_grad():
        for name, parameter in layer.learnables().items():
            parameter.copy_(case.raw[name])
    # float32 first: its values are the same in float64, but not the other way round
    differing = sum(_compare(layer.to(kind), case, dtype, errors) for dtype, kind in _DTYPES.items())
    return len(_DTYPES) * case.spikes.numel(), differing, len(_DTYPES) * case.at_threshold


def _compare(layer: SpikingLayer, case: Case, dtype: str, errors: dict[tuple[str, str], float]) -> int:
    """The number of differing spikes; raises the entries of `errors` to what this layer shows."""
    device = layer.threshold.device
    currents, upstream = (t.to(device, _DTYPES[dtype]) for t in (case.currents, case.upstream))
    currents.requires_grad_()
    learnables = layer.learnables()
    spikes = layer(currents)
    found: Iterable[Tensor | None] = [None] * (1 + len(learnables))
    if spikes.requires_grad:
        found = torch.autograd.grad(spikes, [currents, *learnables.values()], upstream, allow_unused=True)
    for name, gradient in zip(("currents", *learnables), found, strict=True):
        error = _error(gradient, case.gradients[name], case.scales[name])
        errors[name, dtype] = max(errors[name, dtype], error)
    if spikes.shape != case.spikes.shape or spikes.dtype != _DTYPES[dtype]:
        return case.spikes.numel()
    return int((spikes.detach().cpu().double() != case.spikes).sum())


def _error(found: Tensor | None, wanted: Tensor, scale: float) -> float:
    """``max|found - wanted| / scale``; no gradient counts as zero, a NaN as infinite."""
    difference = wanted if found is None else found.cpu().double() - wanted
    largest = float(difference.abs().max())
    if largest == 0:
        return 0.0
    return largest / scale if scale > 0 and math.isfinite(largest) else math.inf


# --- the systematic sweep -------------------------------------------------------------------------------------------

_ALPHAS: Mapping[SurrogateName, float] = MappingProxyType(
    {"atan": 2.0, "superspike": 2.0, "sigmoid": 4.0, "triangle": 1.0, "rectangle": 1.0}
)
_SURROGATES = tuple(
    Surrogate(name, alpha, scale, relative)
    for name, alpha in _ALPHAS.items()
    for relative, scale in ((False, 1.0), (True, 0.5))
)
_SCOPES: tuple[tuple[Scope, Scope], ...] = tuple(itertools.product(get_args(Scope), repeat=2))
_Dynamics = tuple[Reset, bool, bool, bool]
_DYNAMICS: tuple[_Dynamics, ...] = tuple(itertools.product(get_args(Reset), *[(True, False)] * 3))


def _grid_spec(dynamics: _Dynamics, scopes: tuple[Scope, Scope], surrogate: Surrogate) -> NeuronSpec:
    reset, fires, detach, decay_input = dynamics
    threshold, decay = scopes
    return NeuronSpec(
        # One decay per layer is learned through a logistic, as published; the others are learned as they are.
        decay=Learnable(0.5, decay, "sigmoid" if decay == "layer" else "identity"),
        threshold=Learnable(1.0, threshold),
        decay_input=decay_input,
        reset=reset,
        detach_reset=detach,
        fires_at_threshold=fires,
        surrogate=surrogate,
    )


def spec_grid() -> Iterator[NeuronSpec]:
    """Every combination of reset, fires_at_threshold, detach_reset, decay_input, surrogate (also relative) and scopes.

    24 dynamics x 16 pairs of scopes (threshold, decay) x 10 surrogates = 3,840 specs.
    """
    for axes in itertools.product(_DYNAMICS, _SCOPES, _SURROGATES):
        yield _grid_spec(*axes)


def covering_grid() -> Iterator[NeuronSpec]:
    """384 specs of `spec_grid`: every dynamics with every pair of scopes, and each of both with every surrogate."""
    for (i, dynamics), (j, scopes) in itertools.product(enumerate(_DYNAMICS), enumerate(_SCOPES)):
        yield _grid_spec(dynamics, scopes, _SURROGATES[(3 * i + j) % len(_SURROGATES)])


def adapting_grid() -> Iterator[NeuronSpec]:
    """24 specs whose thresholds follow the spikes: every dynamics once, over all scopes and surrogates."""
    names = get_args(Scope)
    for i, dynamics in enumerate(_DYNAMICS):
        decay = Learnable(0.5, names[i % 4], "sigmoid" if i % 4 == 1 else "identity")
        adaptation = Adaptation(decay, Learnable(0.5, names[i // 4 % 4]))
        scopes, surrogate = _SCOPES[5 * i % len(_SCOPES)], _SURROGATES[3 * i % len(_SURROGATES)]
        yield replace(_grid_spec(dynamics, scopes, surrogate), adaptation=adaptation)


@dataclass(frozen=True)
class ConformanceRow:
    """One line of the table: a neuron of the catalogue, or all specs of the covering grid with the same dynamics.

    Attributes:
        framework: its name.
        subject: the neuron's name, or the dynamics in words.
        routes: the kinds of `Route` taken.
        specs: how many specs the line stands for, with those in `unsupported`.
        unsupported: the reasons given, one for each spec that the adapter cannot express.
        results: of the others.
    """

    framework: str
    subject: str
    routes: tuple[str, ...]
    specs: int
    unsupported: tuple[str, ...]
    results: tuple[ConformanceResult, ...]

    @property
    def compared_spikes(self) -> int:
        """Summed over the specs."""
        return sum(r.compared_spikes for r in self.results)

    @property
    def differing_spikes(self) -> int:
        """Summed over the specs."""
        return sum(r.differing_spikes for r in self.results)

    @property
    def spikes_at_threshold(self) -> int:
        """Summed over the specs."""
        return sum(r.spikes_at_threshold for r in self.results)

    def gradient_error(self, dtype: str) -> float:
        """The largest in `dtype` over specs and tensors; 0 when nothing is supported."""
        return max((r.worst(dtype) for r in self.results), default=0.0)

    @property
    def passed(self) -> bool:
        """Every supported spec passed; a line without any has not."""
        return bool(self.results) and all(r.passed for r in self.results)


def conformance_table(
    framework: str, seed: int = 0, device: str = "cpu", *, progress: Callable[[int, int], None] | None = None
) -> list[ConformanceRow]:
    """Sweep one framework over the catalogue (long sequences) and the covering grid (16 steps).

    Args:
        framework: an installed one.
        seed: of all inputs.
        device: where its layers run.
        progress: called with the number of specs done and of all.

    Returns:
        A row for each spec in `NEURONS`, a row for each of the 24 dynamics, and one for thresholds that adapt.

    Raises:
        UnknownNameError: no such framework.
        MissingFramework: its framework is not installed.
    """
    adapter = get_adapter(framework)
    lines: dict[str, list[NeuronSpec]] = {n: [spec] for n, spec in NEURONS.items() if isinstance(spec, NeuronSpec)}
    catalogue = frozenset(lines)
    for spec in itertools.chain(covering_grid(), adapting_grid()):
        lines.setdefault(_dynamics_in_words(spec), []).append(spec)
    total, done, rows = sum(map(len, lines.values())), 0, []
    for subject, specs in lines.items():
        routes, reasons, results = set[str](), [], []
        for spec in specs:
            try:
                routes.add(adapter.route(spec).kind)
                if subject in catalogue:
                    results.append(conformance(adapter, spec, seed=seed, device=device))
                else:
                    sizes: dict[str, Any] = {"shapes": ((3, 2, 2),), "steps": (16,), "batch": 3}
                    results.append(conformance(adapter, spec, seed=seed, device=device, **sizes))
            except Unsupported as error:
                reasons.append(str(error))
            done += 1
            if progress is not None:
                progress(done, total)
        kinds = tuple(sorted(routes))
        rows.append(ConformanceRow(framework, subject, kinds, len(specs), tuple(reasons), tuple(results)))
    return rows


def _dynamics_in_words(spec: NeuronSpec) -> str:
    if spec.adaptation is not None:
        return "thresholds that follow the spikes, with every reset"
    reset = {"zero": "to zero", "subtract": "by subtraction", "none": "none"}[spec.reset]
    fires = ">=" if spec.fires_at_threshold else ">"
    gradient = "detached" if spec.detach_reset else "with gradient"
    return f"reset {reset}, {gradient}; fires at u {fires} theta; input {'decayed' if spec.decay_input else 'as it is'}"
