"""The fused layer as operators of torch: ``spikemark::fused_spikes`` and ``spikemark::fused_gradients``.

They compile, export and differentiate (once, not twice) like torch's own. This module knows specs and tensors, and
how to lay a tensor out for the kernels; the dynamics are in `kernels`.
"""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from spikemark.neurons import NeuronSpec
from spikemark_adapters.fused import kernels, threads
from spikemark_adapters.fused.emit import Compiled

DTYPES = (torch.float32, torch.float64)
_GROUPS = 8  # Groups of rows with sums of their own: enough tasks for the threads, and the same for any number of them.
_GRAIN = 32768  # Numbers that make one more thread worth waking; torch's own measure.
_ROW = 256  # Numbers that make a row long enough for whole chunks.
_BLOCK = 16384  # Membranes that a task keeps: columns times steps, 64 KiB of float32.

# Registered by hand: `torch.library.custom_op` takes 0.07 ms longer to dispatch a forward and backward pass.
_library = torch.library.Library("spikemark", "FRAGMENT")
_library.define("fused_spikes(Tensor currents, Tensor threshold, Tensor decay, str spec) -> Tensor")
_library.define(
    "fused_gradients(Tensor grad, Tensor currents, Tensor threshold, Tensor decay, str spec, bool learn_threshold,"
    " bool learn_decay) -> (Tensor, Tensor, Tensor)"
)
_spikes_op = torch.ops.spikemark.fused_spikes.default
_gradients_op = torch.ops.spikemark.fused_gradients.default


def fused_spikes(currents: Tensor, threshold: Tensor, decay: Tensor, spec: str) -> Tensor:
    """Spikes of a layer.

    Args:
        currents: ``[T, B, *shape]``, float32 or float64.
        threshold: effective thresholds, broadcastable to ``shape``.
        decay: effective decays, broadcastable to ``shape``.
        spec: the `NeuronSpec` as JSON.

    Returns:
        Spikes 0/1, contiguous, otherwise like `currents`.
    """
    spikes: Tensor = _spikes_op(currents, threshold, decay, spec)
    return spikes


def fused_gradients(
    grad: Tensor,
    currents: Tensor,
    threshold: Tensor,
    decay: Tensor,
    spec: str,
    learn_threshold: bool,
    learn_decay: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of a loss, given that of the spikes.

    Args:
        grad: ``[T, B, *shape]``, of the loss by each spike.
        currents: as for `fused_spikes`.
        threshold: as for `fused_spikes`.
        decay: as for `fused_spikes`.
        spec: as for `fused_spikes`.
        learn_threshold: whether the gradient of the thresholds is wanted.
        learn_decay: whether the gradient of the decays is wanted.

    Returns:
        Gradients of currents, thresholds and decays, of their shapes; the latter two empty where not wanted.
    """
    found: tuple[Tensor, Tensor, Tensor] = _gradients_op(
        grad, currents, threshold, decay, spec, learn_threshold, learn_decay
    )
    return found


def _spikes(currents: Tensor, threshold: Tensor, decay: Tensor, spec: str) -> Tensor:
    spikes = torch.empty_like(currents, memory_format=torch.contiguous_format)
    if spikes.numel():
        plan = _plan("forward", spec, currents.shape, currents.dtype, threshold.numel() == 1, decay.numel() == 1)
        plan.run(currents=currents, threshold=threshold, decay=decay, spikes=spikes)
    return spikes


def _gradients(
    grad: Tensor,
    currents: Tensor,
    threshold: Tensor,
    decay: Tensor,
    spec: str,
    learn_threshold: bool,
    learn_decay: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    d_currents = torch.empty_like(currents, memory_format=torch.contiguous_format)
    if not currents.numel():
        wanted = ((threshold, learn_threshold), (decay, learn_decay))
        d_threshold, d_decay = (torch.zeros_like(tensor) if learn else tensor.new_empty(0) for tensor, learn in wanted)
        return d_currents, d_threshold, d_decay
    plan = _plan(
        "backward", spec, currents.shape, currents.dtype, threshold.numel() == 1, decay.numel() == 1,
        learn_threshold, learn_decay,
    )  # fmt: skip
    d_threshold = currents.new_empty(plan.sums if learn_threshold else 0)
    d_decay = currents.new_empty(plan.sums if learn_decay else 0)
    plan.run(
        grad=grad, currents=currents, threshold=threshold, decay=decay, d_currents=d_currents,
        d_threshold=d_threshold, d_decay=d_decay,
    )  # fmt: skip
    if learn_threshold:
        d_threshold = d_threshold.sum_to_size(threshold.shape)
    if learn_decay:
        d_decay = d_decay.sum_to_size(decay.shape)
    return d_currents, d_threshold, d_decay


class _Differentiable(torch.autograd.Function):
    """`fused_spikes` with `fused_gradients` as its derivative."""

    @staticmethod
    def forward(ctx: Any, currents: Tensor, threshold: Tensor, decay: Tensor, spec: str) -> Tensor:
        ctx.save_for_backward(currents, threshold, decay)
        ctx.spec = spec
        with torch._C._AutoDispatchBelowAutograd():
            return fused_spikes(currents, threshold, decay, spec)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        _, learn_threshold, learn_decay, _ = ctx.needs_input_grad
        currents, threshold, decay = ctx.saved_tensors
        gradients = fused_gradients(grad, currents, threshold, decay, ctx.spec, learn_threshold, learn_decay)
        return *(g if wanted else None for g, wanted in zip(gradients, ctx.needs_input_grad[:3], strict=True)), None


class _Once(torch.autograd.Function):
    """`fused_gradients`, which has no derivative and says so, instead of passing for a constant."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Any:
        with torch._C._AutoDispatchBelowAutograd():
            return _gradients_op(*arguments)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        raise RuntimeError("spikemark::fused_gradients has no derivative: fused layers differentiate once")


def _spikes_like(currents: Tensor, threshold: Tensor, decay: Tensor, spec: str) -> Tensor:
    return torch.empty_like(currents, memory_format=torch.contiguous_format)


def _gradients_like(
    grad: Tensor,
    currents: Tensor,
    threshold: Tensor,
    decay: Tensor,
    spec: str,
    learn_threshold: bool,
    learn_decay: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.empty_like(currents, memory_format=torch.contiguous_format),
        threshold.new_empty(threshold.shape if learn_threshold else 0),
        decay.new_empty(decay.shape if learn_decay else 0),
    )


_library.impl("fused_spikes", _spikes, "CPU")
_library.impl("fused_spikes", _Differentiable.apply, "Autograd")
_library.impl("fused_gradients", _gradients, "CPU")
_library.impl("fused_gradients", _Once.apply, "Autograd")
torch.library.register_fake("spikemark::fused_spikes", _spikes_like, lib=_library)
torch.library.register_fake("spikemark::fused_gradients", _gradients_like, lib=_library)


class _Grid(NamedTuple):
    """How ``[T, B, *shape]`` is cut into tasks: `fold` samples side by side make a row, so that rows are long."""

    fold: int
    rows: int
    columns: int
    columns_per_block: int
    blocks: int
    rows_per_group: int
    groups: int


def _grid(shape: torch.Size) -> _Grid:
    steps, batch, *features = shape
    neurons = math.prod(features)
    fold = next((n for n in range(1, batch) if batch % n == 0 and n * neurons >= _ROW), batch)
    rows, columns = batch // fold, fold * neurons
    rows_per_group = -(-rows // _GROUPS)
    block = max(_ROW, _BLOCK // steps // _ROW * _ROW)
    return _Grid(fold, rows, columns, block, -(-columns // block), rows_per_group, groups=-(-rows // rows_per_group))


@dataclass(frozen=True)
class _Plan:
    """All of a call that follows from spec and shape.

    Attributes:
        kernel: to run.
        call: what it is called with, as bytes, but for addresses.
        row: shape of a row of currents.
        sums: shape of gradients of parameters that are wanted.
        scratch: numbers that each worker needs.
        workers: at most.
    """

    kernel: Compiled
    call: bytes
    row: tuple[int, ...]
    sums: tuple[int, ...]
    scratch: int
    workers: int

    def run(self, *, threshold: Tensor, decay: Tensor, **tensors: Tensor) -> None:
        """Run the kernel on tensors, whose names are those of `kernels.Call`."""
        call = kernels.Call.from_buffer_copy(self.call)
        tensors["threshold"], tensors["decay"] = self._row_of(threshold), self._row_of(decay)
        workers = min(torch.get_num_threads(), self.workers)
        tensors["scratch"] = threshold.new_empty(workers * self.scratch)
        laid_out = {name: tensor.contiguous() for name, tensor in tensors.items()}
        for name, tensor in laid_out.items():
            setattr(call, name, tensor.data_ptr())
        threads.run(self.kernel, ctypes.addressof(call), workers)

    def _row_of(self, parameter: Tensor) -> Tensor:
        return parameter if parameter.numel() == 1 else parameter.expand(self.row)


@lru_cache(maxsize=4096)
def _plan(
    direction: str,
    spec: str,
    shape: torch.Size,
    dtype: torch.dtype,
    one_threshold: bool,
    one_decay: bool,
    learn_threshold: bool = False,
    learn_decay: bool = False,
) -> _Plan:
    grid, neuron = _grid(shape), _neuron(spec)
    surrogate = neuron.surrogate
    gradients = kernels.Gradients(surrogate.name, surrogate.relative, neuron.detach_reset, learn_threshold, learn_decay)
    recipe = kernels.Recipe(
        itemsize=dtype.itemsize,
        reset_to_zero=neuron.reset == "zero",
        decay_input=neuron.decay_input,
        fires_at_threshold=neuron.fires_at_threshold,
        one_threshold=one_threshold,
        one_decay=one_decay,
        gradients=gradients if direction == "backward" else None,
    )
    scratch = kernels.scratch_size(shape[0], grid.columns_per_block, recipe.gradients)
    reach, top = _reach_and_top(spec)
    call = kernels.Call(
        steps=shape[0], rows=grid.rows, columns=grid.columns, blocks=grid.blocks,
        columns_per_block=grid.columns_per_block, rows_per_group=grid.rows_per_group, tasks=grid.blocks * grid.groups,
        scratch_size=scratch, reach=reach, top=top,
    )  # fmt: skip
    return _Plan(
        kernels.kernel(recipe),
        bytes(call),
        row=(grid.fold, *shape[2:]),
        sums=(grid.groups * grid.fold, *shape[2:]),
        scratch=scratch,
        workers=max(1, min(call.tasks, math.prod(shape) // _GRAIN)),
    )


@cache
def _neuron(spec: str) -> NeuronSpec:
    return NeuronSpec.from_json(spec)


@cache
def _reach_and_top(spec: str) -> tuple[float, float]:
    """Width and height of the surrogate, as `kernels` takes them."""
    surrogate = _neuron(spec).surrogate
    alpha, scale = surrogate.alpha, surrogate.scale
    match surrogate.name:
        case "atan":
            return math.pi / 2 * alpha, scale * alpha / 2
        case "superspike":
            return alpha, scale
        case "sigmoid":
            return alpha, scale * alpha
        case "triangle":
            return 1 / alpha, scale / alpha
        case "rectangle":
            return alpha / 2, scale / alpha
