"""The mean and variance of each channel, as a kernel: one pass over the currents, summed in float64.

Torch makes two passes, a number at a time. Here sums of differences from a channel's first value, and of their squares,
are taken together; in float64 the subtraction of the square of the mean costs no digit that float32 has. As in
`kernels`, tasks are a channel times a group of rows, and no bit depends on the number of threads.
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

_FIELDS = ("next_task", "currents", "sums", "steps", "rows", "channels", "plane", "rows_per_group", "tasks")


class _Call(ctypes.Structure):
    """Currents are ``[steps, rows, channels, plane]``, the sums float64, ``[groups, steps, 2, channels, parts]``."""

    _fields_ = tuple((name, ctypes.c_int64) for name in _FIELDS)


def moments(currents: Tensor, *, per_step: bool) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel.

    Args:
        currents: ``[T, B, C, *plane]``, contiguous, float32 or float64.
        per_step: whether each step has its own.

    Returns:
        Both ``[T, C]`` or, for all steps together, ``[1, C]``, of the currents' type.
    """
    steps, batch, channels = currents.shape[:3]
    plane = math.prod(currents.shape[3:])
    rows_per_group = -(-batch // cpu.GROUPS)
    groups, parts = -(-batch // rows_per_group), sum(lanes_of(currents.itemsize))
    sums = torch.empty((groups, steps, 2, channels, parts), dtype=torch.float64)
    call = _Call(
        currents=currents.data_ptr(), sums=sums.data_ptr(), steps=steps, rows=batch, channels=channels, plane=plane,
        rows_per_group=rows_per_group, tasks=groups * channels,
    )  # fmt: skip
    workers = max(1, min(torch.get_num_threads(), call.tasks, currents.numel() // cpu.GRAIN))
    threads.run(_kernel(currents.itemsize), ctypes.addressof(call), workers)
    summed = sums.sum((0, 4)) if per_step else sums.sum((0, 1, 4))[None]
    away, squares = summed.div_(currents.numel() // (channels * len(summed))).unbind(1)
    mean = currents[0, 0].reshape(channels, plane)[:, 0] + away
    variance = squares.addcmul_(away, away, value=-1)
    return mean.to(currents.dtype), variance.to(currents.dtype)


@cache
def _kernel(itemsize: int) -> Compiled:
    return compiled(_Kernel(itemsize).code.text())


class _Kernel:
    """Writes the kernel: sums over planes, in parts, one for each lane."""

    def __init__(self, itemsize: int) -> None:
        self.lanes = lanes_of(itemsize)
        self.code = code = Code(itemsize)
        self.call = call = SimpleNamespace(**{name: code.field(at) for at, name in enumerate(_FIELDS)})
        call.currents, call.sums = Array(call.currents, itemsize), Array(call.sums, 8)
        task = Variable(code.take(_FIELDS.index("next_task")))
        with code.repeat(lambda: task.get() < call.tasks):
            with code.count(Variable(code.whole(0)), call.steps) as t:
                self._channel(task.get() // call.channels, task.get() % call.channels, t)
            task.set(code.take(_FIELDS.index("next_task")))

    def _channel(self, group: Value, channel: Value, t: Value) -> None:
        code, call = self.code, self.call
        first_value = code.load(call.currents, channel * call.plane, 1)
        first_row = group * call.rows_per_group
        last_row = code.least(first_row + call.rows_per_group, call.rows)
        shifts = {lanes: code.spread(first_value, lanes).double() for lanes in self.lanes}
        sums = {lanes: [Variable(code.zero(lanes).double()) for _ in range(2)] for lanes in self.lanes}
        with code.count(Variable(first_row), last_row) as row, code.fusing():
            start, column = ((t * call.rows + row) * call.channels + channel) * call.plane, Variable(code.whole(0))
            for lanes in self.lanes:
                with code.count(column, call.plane, lanes) as now:
                    away = code.load(call.currents, start + now, lanes).double() - shifts[lanes]
                    for total, term in zip(sums[lanes], (away, away * away), strict=True):
                        total.set(total.get() + term)
        for number in range(2):
            part = (((group * call.steps + t) * 2 + number) * call.channels + channel) * sum(self.lanes)
            for lanes in self.lanes:
                code.store(sums[lanes][number].get(), call.sums, part)
                part = part + lanes
