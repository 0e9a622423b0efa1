"""The mean and variance of each channel, as a kernel: one pass over the currents, summed in float64.

Torch makes two passes, a number at a time. Here sums of differences from a channel's first value, and of their squares,
are taken together; in float64 the subtraction of the square of the mean costs no digit that float32 has. As in
`kernels`, tasks are a block of columns times a group of rows, and no bit depends on the number of threads.
"""

from __future__ import annotations

import ctypes
import math
from functools import cache
from types import SimpleNamespace

import torch
from torch import Tensor

from spikemark_adapters.fused import cpu, threads
from spikemark_adapters.fused.emit import Array, Code, Value, Variable
from spikemark_adapters.fused.kernels import lanes_of
from spikemark_adapters.fused.machine import Compiled, compiled

_FIELDS = (
    "next_task", "currents", "sums", "steps", "rows", "columns", "blocks", "columns_per_block", "rows_per_group",
    "tasks",
)  # fmt: skip


class _Call(ctypes.Structure):
    """Currents are ``[steps, rows, columns]``, the sums float64, ``[groups, steps, 2, channels, parts]``."""

    _fields_ = tuple((name, ctypes.c_int64) for name in _FIELDS)


def moments(currents: Tensor, *, per_step: bool) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel.

    Args:
        currents: ``[T, B, C, ...]``, contiguous, float32 or float64.
        per_step: whether each step has its own.

    Returns:
        Both ``[T, C]`` or, for all steps together, ``[1, C]``, of the currents' type.
    """
    steps, batch, channels = currents.shape[:3]
    planes, plane = currents.dim() > 3, math.prod(currents.shape[3:])
    rows_per_group = -(-batch // cpu.GROUPS)
    groups, blocks = -(-batch // rows_per_group), channels if planes else 1
    parts = sum(lanes_of(currents.itemsize)) if planes else 1
    sums = torch.empty((groups, steps, 2, channels, parts), dtype=torch.float64)
    call = _Call(
        currents=currents.data_ptr(), sums=sums.data_ptr(), steps=steps, rows=batch, columns=channels * plane,
        blocks=blocks, columns_per_block=plane if planes else channels, rows_per_group=rows_per_group,
        tasks=groups * blocks,
    )  # fmt: skip
    workers = max(1, min(torch.get_num_threads(), call.tasks, currents.numel() // cpu.GRAIN))
    threads.run(_kernel(currents.itemsize, planes), ctypes.addressof(call), workers)
    summed = sums.sum((0, 4)) if per_step else sums.sum((0, 1, 4))[None]
    count = currents.numel() // (channels * len(summed))
    away = summed[:, 0] / count
    variance = (summed[:, 1] - summed[:, 0] * away) / count
    mean = currents[0, 0].reshape(channels, plane)[:, 0] + away
    return mean.to(currents.dtype), variance.to(currents.dtype)


@cache
def _kernel(itemsize: int, planes: bool) -> Compiled:
    return compiled(_Kernel(itemsize, planes).code.text())


class _Kernel:
    """Writes the kernel: sums over a plane, in parts, one for each lane, or over rows alone."""

    def __init__(self, itemsize: int, planes: bool) -> None:
        self.lanes = lanes_of(itemsize)
        self.code = code = Code(itemsize)
        self.call = call = SimpleNamespace(**{name: code.field(at) for at, name in enumerate(_FIELDS)})
        call.currents, call.sums = Array(call.currents, itemsize), Array(call.sums, 8)
        task = Variable(code.take(_FIELDS.index("next_task")))
        with code.repeat(lambda: task.get() < call.tasks):
            group, self.block = task.get() // call.blocks, task.get() % call.blocks
            self.first_row = group * call.rows_per_group
            self.last_row = code.least(self.first_row + call.rows_per_group, call.rows)
            with code.count(Variable(code.whole(0)), call.steps) as t:
                self.step = t * call.rows * call.columns
                place = (group * call.steps + t) * 2
                if planes:
                    self._plane(place * call.blocks)
                else:
                    self._columns(place * call.columns)
            task.set(code.take(_FIELDS.index("next_task")))

    def _plane(self, place: Value) -> None:
        code, call = self.code, self.call
        first = self.block * call.columns_per_block
        shift = code.load(call.currents, first, 1)
        shifts = {lanes: code.spread(shift, lanes).double() for lanes in self.lanes}
        sums = {lanes: self._none(lanes) for lanes in self.lanes}
        with code.count(Variable(self.first_row), self.last_row) as row:
            column = Variable(code.whole(0))
            for lanes in self.lanes:
                with code.count(column, call.columns_per_block, lanes) as now:
                    self._add(sums[lanes], row, first + now, lanes, shifts[lanes])
        for number in range(2):
            part = (place + call.blocks * number + self.block) * sum(self.lanes)
            for lanes in self.lanes:
                code.store(sums[lanes][number].get(), call.sums, part)
                part = part + lanes

    def _columns(self, place: Value) -> None:
        code, call = self.code, self.call
        column = Variable(code.whole(0))
        for lanes in self.lanes:
            with code.count(column, call.columns, lanes) as now:
                sums = self._none(lanes)
                with code.count(Variable(self.first_row), self.last_row) as row:
                    self._add(sums, row, now, lanes, code.load(call.currents, now, lanes).double())
                for number in range(2):
                    code.store(sums[number].get(), call.sums, place + call.columns * number + now)

    def _none(self, lanes: int) -> tuple[Variable, Variable]:
        zero = self.code.zero(lanes).double()
        return Variable(zero), Variable(zero)

    def _add(self, sums: tuple[Variable, Variable], row: Value, column: Value, lanes: int, shift: Value) -> None:
        code, call = self.code, self.call
        with code.fusing():
            current = code.load(call.currents, self.step + row * call.columns + column, lanes)
            away = current.double() - shift
            sums[0].set(sums[0].get() + away)
            sums[1].set(sums[1].get() + away * away)
