"""How a tensor on the CPU is laid out for the kernels: tasks, scratch and threads. The dynamics are in `kernels`."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from spikemark.core.surrogates import reach_and_top
from spikemark_adapters.fused import kernels, threads
from spikemark_adapters.fused.machine import Compiled
from spikemark_adapters.fused.plans import folded, neuron_of, sums_dtype

GROUPS = 8  # Groups of rows with sums of their own: enough tasks for the threads, and the same for any number of them.
GRAIN = 32768  # Numbers that make one more thread worth waking; torch's own measure.
_ROW = 256  # Numbers that make a row long enough for whole chunks.
_BLOCK = 16384  # Membranes that a task keeps: columns times steps, 64 KiB of float32.


class _Grid(NamedTuple):
    """How ``[T, B, *shape]`` is cut into tasks: `fold` samples side by side make a row, so that rows are long."""

    fold: int
    rows: int
    columns: int
    columns_per_block: int
    blocks: int
    rows_per_group: int
    groups: int


@dataclass(frozen=True)
class Around:
    """What joins the neurons in a kernel; see `kernels.Recipe`.

    Attributes:
        held: whether there is one frame of currents for all steps.
        normed: whether there is a norm.
        norm_per_step: whether it has a gain and an offset for every step.
        learn_norm: whether, backward, their gradients are wanted.
        pooling: the pooling, or None.
        channels_last: whether features are ``[height, width, C]`` instead of ``[C, ...]``.
    """

    held: bool = False
    normed: bool = False
    norm_per_step: bool = False
    learn_norm: bool = False
    pooling: kernels.Pooling | None = None
    channels_last: bool = False


_ALONE = Around()


def _grid(shape: torch.Size, around: Around) -> _Grid:
    steps, batch, *features = shape
    neurons = math.prod(features)
    fold = folded(batch, neurons, _ROW) if around == _ALONE else 1
    rows, columns = batch // fold, fold * neurons
    rows_per_group = -(-rows // GROUPS)
    if around == _ALONE:
        block = max(_ROW, _BLOCK // steps // _ROW * _ROW)
    elif around.channels_last:  # as many rows of windows as fit, the same for every block
        row = math.prod(features[1:]) * (around.pooling.size if around.pooling else 1)
        most = max(1, _BLOCK // steps // row)
        block = row * -(-columns // (row * -(-columns // (row * most))))
    else:
        block = math.prod(features[1:])
    return _Grid(fold, rows, columns, block, -(-columns // block), rows_per_group, groups=-(-rows // rows_per_group))


@dataclass(frozen=True)
class Plan:
    """All of a call that follows from spec and shape.

    Attributes:
        kernel: to run.
        call: what it is called with, as bytes, but for addresses.
        row: shape of a row of currents.
        columns: numbers in it.
        sums: see `plans.Plan`.
        sums_dtype: likewise.
        line: shape of the parts that gradients of a norm's gains and offsets are left in: ``[2, parts, T, parts, C,
            parts]``.
        partial: numbers that sums of groups take.
        scratch: numbers that each worker needs.
        workers: at most.
    """

    kernel: Compiled
    call: bytes
    row: tuple[int, ...]
    columns: int
    sums: tuple[int, ...]
    sums_dtype: torch.dtype
    line: tuple[int, ...]
    partial: int
    scratch: int
    workers: int

    def run(self, *, threshold: Tensor, decay: Tensor, **tensors: Tensor) -> None:
        """Run the kernel on tensors, whose names are those of `kernels.Call`."""
        call = kernels.Call.from_buffer_copy(self.call)
        tensors["threshold"], tensors["decay"] = self._row_of(threshold), self._row_of(decay)
        workers = min(torch.get_num_threads(), self.workers)
        tensors["partial"] = threshold.new_empty(self.partial + workers * self.scratch, dtype=self.sums_dtype)
        laid_out = {name: tensor.contiguous() for name, tensor in tensors.items()}
        for name, tensor in laid_out.items():
            setattr(call, name, tensor.data_ptr())
        call.scratch = call.partial + self.partial * self.sums_dtype.itemsize
        threads.run(self.kernel, ctypes.addressof(call), workers)

    def _row_of(self, parameter: Tensor) -> Tensor:
        return parameter if parameter.numel() in (1, self.columns) else parameter.expand(self.row)


@lru_cache(maxsize=4096)
def plan(
    direction: str,
    spec: str,
    shape: torch.Size,
    dtype: torch.dtype,
    one_threshold: bool,
    one_decay: bool,
    learn_threshold: bool = False,
    learn_decay: bool = False,
    around: Around = _ALONE,
) -> Plan:
    """The plan of a pass ("forward" or "backward") on a CPU; for the other arguments see `ops.fused_gradients`."""
    features = shape[2:]
    channels, sides = (features[-1], features[:-1]) if around.channels_last else (features[0], features[1:])
    grid, neuron = _grid(shape, around), neuron_of(spec)
    surrogate = neuron.surrogate
    gradients = kernels.Gradients(surrogate.name, surrogate.relative, neuron.detach_reset, learn_threshold, learn_decay)
    recipe = kernels.Recipe(
        itemsize=dtype.itemsize,
        reset=neuron.reset,
        decay_input=neuron.decay_input,
        fires_at_threshold=neuron.fires_at_threshold,
        one_threshold=one_threshold,
        one_decay=one_decay,
        gradients=gradients if direction == "backward" else None,
        held=around.held,
        line=kernels.Line(around.learn_norm) if around.normed else None,
        pooling=around.pooling,
        channels=channels if around.channels_last else 0,
    )
    scratch = kernels.scratch_size(shape[0], grid.columns_per_block, recipe)
    reach, top = reach_and_top(surrogate)
    call = kernels.Call(
        steps=shape[0], rows=grid.rows, columns=grid.columns, blocks=grid.blocks,
        columns_per_block=grid.columns_per_block, rows_per_group=grid.rows_per_group, groups=grid.groups,
        tasks=grid.blocks * grid.groups, scratch_size=scratch, reach=reach, top=top,
        line_step=channels if around.norm_per_step else 0,
        height=sides[0] if around.pooling else 0, width=sides[1] if around.pooling else 0,
    )  # fmt: skip
    return Plan(
        kernels.kernel(recipe),
        bytes(call),
        row=(grid.fold, *shape[2:]),
        columns=grid.columns,
        sums=tuple(shape[2:]) if grid.fold == 1 else (grid.fold, *shape[2:]),
        sums_dtype=sums_dtype(dtype),
        line=(2, grid.groups, shape[0], *_line_parts(grid, recipe)),
        partial=grid.groups * grid.columns * (len(gradients.learned()) if recipe.gradients else 0),
        scratch=scratch,
        workers=max(1, min(call.tasks, math.prod(shape) // GRAIN)),
    )


def _line_parts(grid: _Grid, recipe: kernels.Recipe) -> tuple[int, int, int]:
    before, channels, behind = kernels.line_parts(recipe.itemsize, recipe.channels)
    return (grid.blocks * before, channels, behind) if recipe.channels else (before, grid.blocks, behind)
