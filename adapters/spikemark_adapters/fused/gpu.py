"""The dynamics of a layer of neurons on a GPU, in Triton: one kernel forward over all time steps, one back.

This module is imported at the first call on a GPU, since Triton is an optional dependency. Currents are
``[steps, rows, columns]``. A program takes a block of columns and a group of rows, and goes through each row one
time step after the other with the membranes in registers, while the currents of the next steps are on their way. The
backward pass needs nothing of the forward pass but its currents: it integrates again and keeps the membranes where the
gradients of the currents will be. Going back in time, it reads the membrane of the step *before* the one whose
gradient it writes, so each is read once before it is overwritten.

What a spec chooses is `constexpr`: each kernel holds only what its spec needs. Forward, each operation rounds as in
the reference adapter, also in half precision, where torch computes in float32 and rounds after every operation; what is
summed and what goes back through time is not rounded to half precision. Kernels are launched without fused roundings.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from spikemark.core.surrogates import reach_and_top
from spikemark_adapters.fused.plans import folded, neuron_of, sums_dtype

_ROW = 256  # Numbers that make a row long enough for whole blocks.
_BLOCKS = (512, 128)  # Columns of a program of 128 threads: 16 bytes of float32 each, or one number where work is rare.
_PROGRAMS = 2048  # What fills a GPU: 16 programs for each of 128 multiprocessors. More work makes larger groups.
_AHEAD = 4  # Steps whose currents are on their way.
_LAUNCH = MappingProxyType({"num_warps": 4, "enable_fp_fusion": False})
_RUNTIME = ("steps", "rows", "blocks", "neurons", "rows_per_group")  # Arguments whose values make no other kernel.


@triton.jit
def _rounded(number, dtype: tl.constexpr):
    """To the nearest number of `dtype`, in the type of the arithmetic."""
    return number.to(dtype).to(number.dtype)


@triton.jit
def _fires(u, theta, AT_THRESHOLD: tl.constexpr):
    if AT_THRESHOLD:
        return u >= theta
    else:
        return u > theta


@triton.jit
def _charged(v, x, a, b, DECAY_INPUT: tl.constexpr, dtype: tl.constexpr):
    """Membrane at fire."""
    if DECAY_INPUT:
        x = _rounded(b * x, dtype)
    return _rounded(_rounded(a * v, dtype) + x, dtype)


@triton.jit
def _reset(u, theta, RESET: tl.constexpr, AT_THRESHOLD: tl.constexpr, dtype: tl.constexpr):
    """Membrane after fire. Not a choice between u and 0: an infinite membrane becomes NaN."""
    spike = _fires(u, theta, AT_THRESHOLD).to(u.dtype)
    if RESET == "zero":
        return u * (1 - spike)
    elif RESET == "subtract":
        return _rounded(u - theta * spike, dtype)
    else:
        return u


@triton.jit
def _slope(u, theta, NAME: tl.constexpr, RELATIVE: tl.constexpr, REACH: tl.constexpr, TOP: tl.constexpr):
    """Derivative of a spike by the membrane."""
    reach = tl.full(u.shape, REACH, u.dtype)
    top = tl.full(u.shape, TOP, u.dtype)
    if RELATIVE:
        top = top / theta
        reach = reach * tl.abs(theta) if NAME == "rectangle" else reach / tl.abs(theta)
    distance = u - theta
    if NAME == "rectangle":
        return top * (tl.abs(distance) < reach).to(u.dtype)
    y = tl.abs(distance) * reach
    if NAME == "atan":
        return top / (1 + y * y)
    elif NAME == "superspike":
        return top / ((1 + y) * (1 + y))
    elif NAME == "sigmoid":
        e = tl.exp(-y)
        return top * e / ((1 + e) * (1 + e))
    else:
        return top * tl.where(y > 1, 0.0, 1 - y)


@triton.jit
def _parameter(place, column, there, neurons, ONE: tl.constexpr, work: tl.constexpr):
    """The value for each column, or for all."""
    if ONE:
        return tl.full(column.shape, tl.load(place).to(work), work)
    else:
        return tl.load(place + column % neurons, mask=there, other=0).to(work)


@triton.jit(do_not_specialize=_RUNTIME)
def forward(
    currents, threshold, decay, spikes,
    steps, rows, columns, stride, blocks, neurons, rows_per_group,
    RESET: tl.constexpr, DECAY_INPUT: tl.constexpr, FIRES_AT_THRESHOLD: tl.constexpr,
    ONE_THRESHOLD: tl.constexpr, ONE_DECAY: tl.constexpr, BLOCK: tl.constexpr, AHEAD: tl.constexpr,
):  # fmt: skip
    """From currents to spikes; ``stride = rows * columns`` is from one step to the next."""
    dtype: tl.constexpr = currents.dtype.element_ty
    work: tl.constexpr = tl.float64 if dtype == tl.float64 else tl.float32
    column = (tl.program_id(0) % blocks).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = column < columns
    theta = _parameter(threshold, column, there, neurons, ONE_THRESHOLD, work)
    a = _parameter(decay, column, there, neurons, ONE_DECAY, work)
    b = _rounded(1 - a, dtype)
    first = tl.program_id(0) // blocks * rows_per_group
    start = first.to(tl.int64) * columns + column
    for _ in range(first, tl.minimum(first + rows_per_group, rows)):
        at = start
        v = tl.full([BLOCK], 0, work)
        for _ in tl.range(0, steps, num_stages=AHEAD):
            x = tl.load(currents + at, mask=there, other=0).to(work)
            u = _charged(v, x, a, b, DECAY_INPUT, dtype)
            tl.store(spikes + at, _fires(u, theta, FIRES_AT_THRESHOLD).to(dtype), mask=there)
            v = _reset(u, theta, RESET, FIRES_AT_THRESHOLD, dtype)
            at += stride
        start += columns


@triton.jit(do_not_specialize=_RUNTIME)
def backward(
    grad, currents, threshold, decay, d_currents, d_threshold, d_decay,
    steps, rows, columns, stride, blocks, neurons, rows_per_group,
    RESET: tl.constexpr, DECAY_INPUT: tl.constexpr, FIRES_AT_THRESHOLD: tl.constexpr,
    ONE_THRESHOLD: tl.constexpr, ONE_DECAY: tl.constexpr, BLOCK: tl.constexpr, AHEAD: tl.constexpr,
    DETACH_RESET: tl.constexpr, LEARN_THRESHOLD: tl.constexpr, LEARN_DECAY: tl.constexpr,
    SURROGATE: tl.constexpr, RELATIVE: tl.constexpr, REACH: tl.constexpr, TOP: tl.constexpr,
):  # fmt: skip
    """From the gradient of the spikes to that of the currents; sums over rows go to ``[groups, columns]``.

    With ``do/dtheta = -do/du`` or, relative, ``-do/du * u / theta``.
    """
    dtype: tl.constexpr = currents.dtype.element_ty
    work: tl.constexpr = tl.float64 if dtype == tl.float64 else tl.float32
    column = (tl.program_id(0) % blocks).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    there = column < columns
    theta = _parameter(threshold, column, there, neurons, ONE_THRESHOLD, work)
    a = _parameter(decay, column, there, neurons, ONE_DECAY, work)
    b = _rounded(1 - a, dtype)
    group = tl.program_id(0) // blocks
    first = group * rows_per_group
    by_threshold = tl.full([BLOCK], 0, work)
    by_decay = tl.full([BLOCK], 0, work)
    start = first.to(tl.int64) * columns + column
    for _ in range(first, tl.minimum(first + rows_per_group, rows)):
        at = start
        u = tl.full([BLOCK], 0, work)
        v = tl.full([BLOCK], 0, work)
        for _ in tl.range(0, steps, num_stages=AHEAD):
            x = tl.load(currents + at, mask=there, other=0).to(work)
            u = _charged(v, x, a, b, DECAY_INPUT, dtype)
            tl.store(d_currents + at, u.to(dtype), mask=there)
            v = _reset(u, theta, RESET, FIRES_AT_THRESHOLD, dtype)
            at += stride
        tl.debug_barrier()  # Whichever threads wrote a membrane, all of the program can read it.
        grad_u = tl.full([BLOCK], 0, work)
        for _ in range(steps):
            at -= stride
            earlier = there & (at >= stride)  # There is a step before this one.
            u_before = tl.load(d_currents + at - stride, mask=earlier, other=0).to(work)
            grad_o = tl.load(grad + at, mask=there, other=0).to(work)
            grad_v = a * grad_u
            slope = _slope(u, theta, SURROGATE, RELATIVE, REACH, TOP)
            spike = _fires(u, theta, FIRES_AT_THRESHOLD).to(work)
            passed = 1 - spike if RESET == "zero" else tl.full([BLOCK], 1, work)
            by_spike = grad_o
            if RESET != "none" and not DETACH_RESET:
                taken = u if RESET == "zero" else theta
                passed -= slope * taken
                by_spike -= grad_v * taken
            grad_u = slope * grad_o + grad_v * passed
            if LEARN_THRESHOLD:
                by_threshold -= (slope * (u / theta) if RELATIVE else slope) * by_spike
                if RESET == "subtract" and not DETACH_RESET:
                    by_threshold -= grad_v * spike
            if LEARN_DECAY:
                # Before the first step the membrane is 0 and has not fired, even where 0 reaches the threshold.
                by_a = tl.where(earlier, _reset(u_before, theta, RESET, FIRES_AT_THRESHOLD, dtype), 0.0)
                if DECAY_INPUT:
                    by_a -= tl.load(currents + at, mask=there, other=0).to(work)
                by_decay += grad_u * by_a
            tl.store(d_currents + at, (b * grad_u if DECAY_INPUT else grad_u).to(dtype), mask=there)
            u = u_before
        start += columns
    sums = group.to(tl.int64) * columns + column
    if LEARN_THRESHOLD:
        tl.store(d_threshold + sums, by_threshold, mask=there)
    if LEARN_DECAY:
        tl.store(d_decay + sums, by_decay, mask=there)


class _Grid(NamedTuple):
    """How ``[T, B, *shape]`` is cut into programs: `fold` samples side by side make a row, so that rows are long."""

    fold: int
    rows: int
    columns: int
    block: int
    blocks: int
    rows_per_group: int
    groups: int


def _grid(shape: torch.Size) -> _Grid:
    _, batch, *features = shape
    neurons = math.prod(features)
    fold = folded(batch, neurons, _ROW)
    rows, columns = batch // fold, fold * neurons
    block = next((size for size in _BLOCKS if rows * columns >= _PROGRAMS * size), _BLOCKS[-1])
    blocks = -(-columns // block)
    rows_per_group = -(-rows * blocks // _PROGRAMS)
    return _Grid(fold, rows, columns, block, blocks, rows_per_group, groups=-(-rows // rows_per_group))


@dataclass(frozen=True)
class Plan:
    """All of a call that follows from spec, shape and type.

    Attributes:
        kernel: to run, `forward` or `backward`.
        programs: how many.
        numbers: what the kernel is called with, but for tensors.
        shape: of the neurons.
        sums: see `plans.Plan`.
        sums_dtype: likewise.
    """

    kernel: Any
    programs: int
    numbers: dict[str, int | float | str]
    shape: tuple[int, ...]
    sums: tuple[int, ...]
    sums_dtype: torch.dtype

    def run(self, *, threshold: Tensor, decay: Tensor, **tensors: Tensor) -> None:
        """Run the kernel on tensors, whose names are those of its arguments, on their device."""
        tensors["threshold"], tensors["decay"] = self._each(threshold), self._each(decay)
        laid_out = {name: tensor.contiguous() for name, tensor in tensors.items()}
        with torch.cuda.device_of(threshold):
            self.kernel[(self.programs,)](**laid_out, **self.numbers, **_LAUNCH)

    def _each(self, parameter: Tensor) -> Tensor:
        return parameter if parameter.numel() == 1 else parameter.expand(self.shape)


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
) -> Plan:
    """The plan of a pass ("forward" or "backward") on a GPU; for the other arguments see `ops.fused_gradients`."""
    grid, neuron = _grid(shape), neuron_of(spec)
    numbers: dict[str, int | float | str] = {
        "steps": shape[0], "rows": grid.rows, "columns": grid.columns, "stride": grid.rows * grid.columns,
        "blocks": grid.blocks, "neurons": grid.columns // grid.fold, "rows_per_group": grid.rows_per_group,
        "RESET": neuron.reset, "DECAY_INPUT": neuron.decay_input,
        "FIRES_AT_THRESHOLD": neuron.fires_at_threshold, "ONE_THRESHOLD": one_threshold, "ONE_DECAY": one_decay,
        "BLOCK": grid.block, "AHEAD": _AHEAD,
    }  # fmt: skip
    if direction == "backward":
        reach, top = reach_and_top(neuron.surrogate)
        numbers |= {
            "DETACH_RESET": neuron.detach_reset, "LEARN_THRESHOLD": learn_threshold, "LEARN_DECAY": learn_decay,
            "SURROGATE": neuron.surrogate.name, "RELATIVE": neuron.surrogate.relative, "REACH": reach, "TOP": top,
        }  # fmt: skip
    return Plan(
        forward if direction == "forward" else backward,
        grid.blocks * grid.groups,
        numbers,
        shape=tuple(shape[2:]),
        sums=(grid.groups * grid.fold, *shape[2:]),
        sums_dtype=sums_dtype(dtype),
    )
