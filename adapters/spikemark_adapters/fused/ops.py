"""The fused layer as operators of torch: ``spikemark::fused_spikes`` and ``spikemark::fused_gradients``.

They compile, export and differentiate (once, not twice) like torch's own. This module knows specs and tensors, and
how to lay a tensor out for the kernels; the dynamics are in `kernels`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from spikemark.neurons import NeuronSpec
from spikemark_adapters.fused import kernels, threads

DTYPES: Mapping[torch.dtype, Any] = {torch.float32: np.float32, torch.float64: np.float64}
_GROUPS = 8  # Groups of rows with sums of their own: enough tasks for the threads, and the same for any number of them.
_GRAIN = 32768  # Numbers that make one more thread worth waking; torch's own measure.


@torch.library.custom_op("spikemark::fused_spikes", mutates_args=(), device_types="cpu")
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
    spikes = torch.empty_like(currents, memory_format=torch.contiguous_format)
    if spikes.numel():
        grid = _grid(currents.shape)
        tensors = {**_inputs(currents, threshold, decay, grid), "spikes": spikes}
        _run(kernels.forward(DTYPES[currents.dtype]), spec, tensors)
    return spikes


@torch.library.custom_op("spikemark::fused_gradients", mutates_args=(), device_types="cpu")
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
    d_currents = torch.empty_like(currents, memory_format=torch.contiguous_format)
    if not currents.numel():
        wanted = ((threshold, learn_threshold), (decay, learn_decay))
        d_threshold, d_decay = (torch.zeros_like(tensor) if learn else tensor.new_empty(0) for tensor, learn in wanted)
        return d_currents, d_threshold, d_decay
    grid = _grid(currents.shape)
    sums = (grid.groups * grid.fold, *currents.shape[2:])
    d_threshold = currents.new_empty(sums if learn_threshold else 0)
    d_decay = currents.new_empty(sums if learn_decay else 0)
    outputs = {"d_currents": d_currents, "d_threshold": d_threshold, "d_decay": d_decay}
    tensors = {**_inputs(currents, threshold, decay, grid), "grad": grad.contiguous(), **outputs}
    _run(kernels.backward(DTYPES[currents.dtype], _surrogate(spec)), spec, tensors, (learn_threshold, learn_decay))
    if learn_threshold:
        d_threshold = d_threshold.sum_to_size(threshold.shape)
    if learn_decay:
        d_decay = d_decay.sum_to_size(decay.shape)
    return d_currents, d_threshold, d_decay


@fused_spikes.register_fake
def _(currents: Tensor, threshold: Tensor, decay: Tensor, spec: str) -> Tensor:
    return torch.empty_like(currents, memory_format=torch.contiguous_format)


@fused_gradients.register_fake
def _(
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


def _remember(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, str], output: Tensor) -> None:
    *tensors, ctx.spec = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    _, learn_threshold, learn_decay, _ = ctx.needs_input_grad
    gradients = fused_gradients(grad, *ctx.saved_tensors, ctx.spec, learn_threshold, learn_decay)
    return *(g if wanted else None for g, wanted in zip(gradients, ctx.needs_input_grad[:3], strict=True)), None


fused_spikes.register_autograd(_differentiate, setup_context=_remember)


class _Grid(NamedTuple):
    """How ``[T, B, *shape]`` is cut into tasks: `fold` samples side by side make a row, so that rows are long."""

    fold: int
    steps: int
    rows: int
    columns: int
    blocks: int
    rows_per_task: int
    groups: int


@lru_cache
def _grid(shape: torch.Size) -> _Grid:
    steps, batch, *features = shape
    neurons = math.prod(features)
    fold = next((n for n in range(1, batch) if batch % n == 0 and n * neurons >= kernels.WIDTH), batch)
    rows, columns = batch // fold, fold * neurons
    rows_per_task = -(-rows // _GROUPS)
    return _Grid(
        fold, steps, rows, columns, -(-columns // kernels.WIDTH), rows_per_task, groups=-(-rows // rows_per_task)
    )


def _inputs(currents: Tensor, threshold: Tensor, decay: Tensor, grid: _Grid) -> dict[str, Tensor]:
    shape = (grid.fold, *currents.shape[2:])
    return {
        "currents": currents.contiguous(),
        "threshold": threshold.expand(shape).contiguous(),
        "decay": decay.expand(shape).contiguous(),
    }


@cache
def _surrogate(spec: str) -> int:
    return kernels.SURROGATES.index(NeuronSpec.from_json(spec).surrogate.name)


@cache
def _choices(spec: str) -> Mapping[str, float]:
    """The spec as the kernels take it; `reach` and `top` are width and height of the surrogate, see `kernels`."""
    neuron = NeuronSpec.from_json(spec)
    surrogate = neuron.surrogate
    alpha, scale = surrogate.alpha, surrogate.scale
    match surrogate.name:
        case "atan":
            reach, top = math.pi / 2 * alpha, scale * alpha / 2
        case "superspike":
            reach, top = alpha, scale
        case "sigmoid":
            reach, top = alpha, scale * alpha
        case "triangle":
            reach, top = 1 / alpha, scale / alpha
        case "rectangle":
            reach, top = alpha / 2, scale / alpha
    return {
        "decay_input": neuron.decay_input,
        "reset_to_zero": neuron.reset == "zero",
        "detach_reset": neuron.detach_reset,
        "fires_at_threshold": neuron.fires_at_threshold,
        "relative": surrogate.relative,
        "box": surrogate.name == "rectangle",
        "reach": reach,
        "top": top,
    }


@lru_cache
def _blank_call(spec: str, shape: torch.Size, itemsize: int) -> Any:
    """All of a call that follows from spec and shape, to be copied: filling in field by field is slow."""
    grid = _grid(shape)
    call = np.zeros((), kernels.CALL)
    for name in ("steps", "rows", "columns", "blocks", "rows_per_task"):
        call[name] = getattr(grid, name)
    for name, number in _choices(spec).items():
        call[name] = number
    call["itemsize"] = itemsize
    call["tasks"] = grid.blocks * grid.groups
    call["scratch_size"] = kernels.scratch_size(grid.steps)
    return call


def _run(kernel: Any, spec: str, tensors: Mapping[str, Tensor], learn: tuple[bool, bool] = (False, False)) -> None:
    currents = tensors["currents"]
    call = _blank_call(spec, currents.shape, currents.itemsize).copy()
    workers = max(1, min(torch.get_num_threads(), int(call["tasks"]), currents.numel() // _GRAIN))
    scratch = currents.new_empty(workers, int(call["scratch_size"]))
    for name, tensor in tensors.items():
        call[name] = tensor.data_ptr()
    call["scratch"] = scratch.data_ptr()
    call["learn_threshold"], call["learn_decay"] = learn
    threads.run(kernel, call.ctypes.data, workers)
