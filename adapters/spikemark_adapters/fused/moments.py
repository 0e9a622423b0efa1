"""The mean and variance of each channel, and the way back from their gradients; a kernel each.

Torch makes two passes for the moments, a number at a time. Here sums of differences from a channel's first value, and
of their squares, are taken together; in float64 the subtraction of the square of the mean costs no digit that float32
has. As in `kernels`, tasks are channels times a group of rows, and no bit depends on the number of threads.
"""

from __future__ import annotations

import ctypes
import math
from abc import ABC, abstractmethod
from functools import cache
from types import SimpleNamespace

import torch
from torch import Tensor

from spikemark_adapters.fused import cpu, threads
from spikemark_adapters.fused.emit import Array, Code, Value, Variable
from spikemark_adapters.fused.kernels import lanes_of, of_channels
from spikemark_adapters.fused.machine import Compiled, compiled

_ARRAYS = ("currents", "sums", "grad", "slope", "level")
_FIELDS = ("next_task", *_ARRAYS, "steps", "rows", "channels", "plane", "rows_per_group", "tasks", "line_step")


class _Call(ctypes.Structure):
    """Currents and `grad` are ``[steps, rows, channels, plane]``, or ``[steps, rows, plane, channels]``.

    The sums are float64, ``[groups, steps, 2, chunks, parts]``, see `_chunk`. `slope` and `level` hold a number for
    each channel, those of the next step `line_step` numbers on.
    """

    _fields_ = tuple((name, ctypes.c_int64) for name in _FIELDS)


def moments(currents: Tensor, *, per_step: bool, channels_last: bool = False) -> tuple[Tensor, Tensor]:
    """Mean and biased variance of each channel.

    Args:
        currents: ``[T, B, C, *plane]``, float32 or float64; in memory too or, with `channels_last`, there
            ``[T, B, *plane, C]``.
        per_step: whether each step has its own.
        channels_last: see `currents`.

    Returns:
        Both ``[T, C]`` or, for all steps together, ``[1, C]``, of the currents' type.
    """
    steps, batch, channels = currents.shape[:3]
    side_by_side = channels if channels_last else 0
    chunk, parts = _chunk(side_by_side, currents.itemsize)
    call = _call(currents)
    groups, chunks = -(-batch // call.rows_per_group), channels // chunk
    sums = torch.empty((groups, steps, 2, chunks, parts, chunk), dtype=torch.float64)
    call.sums, call.tasks = sums.data_ptr(), groups * chunks
    _run(_moments_kernel(currents.itemsize, side_by_side), call, currents)
    summed = (sums.sum((0, 4)) if per_step else sums.sum((0, 1, 4))[None]).flatten(2)
    away, squares = summed.div_(currents.numel() // (channels * len(summed))).unbind(1)
    mean = currents[0, 0].reshape(channels, -1)[:, 0] + away
    variance = squares.addcmul_(away, away, value=-1)
    return mean.to(currents.dtype), variance.to(currents.dtype)


def add_line(grad: Tensor, currents: Tensor, slope: Tensor, level: Tensor, *, channels_last: bool = False) -> None:
    """Add ``slope * currents + level`` to `grad`.

    Args:
        grad: like `currents`, which are as `moments` has them.
        currents: likewise.
        slope: of each channel, ``[T, C]`` or, for all steps, ``[1, C]``.
        level: likewise.
        channels_last: see `moments`.
    """
    call = _call(currents)
    channels = currents.shape[2]
    slope, level = slope.contiguous(), level.contiguous()
    call.grad, call.slope, call.level = grad.data_ptr(), slope.data_ptr(), level.data_ptr()
    call.tasks = -(-call.rows // call.rows_per_group)
    call.line_step = channels if len(slope) > 1 else 0
    _run(_line_kernel(currents.itemsize, channels if channels_last else 0), call, currents)


def _call(currents: Tensor) -> _Call:
    steps, batch, channels, *sides = currents.shape
    return _Call(
        currents=currents.data_ptr(), steps=steps, rows=batch, channels=channels, plane=math.prod(sides),
        rows_per_group=-(-batch // cpu.GROUPS),
    )  # fmt: skip


def _run(kernel: Compiled, call: _Call, currents: Tensor) -> None:
    workers = max(1, min(torch.get_num_threads(), call.tasks, currents.numel() // cpu.GRAIN))
    threads.run(kernel, ctypes.addressof(call), workers)


def _chunk(channels: int, itemsize: int) -> tuple[int, int]:
    """How many channels a task takes, and in how many parts it leaves the sums of each."""
    lanes = lanes_of(itemsize)
    if not channels:
        return 1, sum(lanes)
    return (lanes[0], 1) if channels >= lanes[0] else (channels, lanes[0] // channels + 1)


@cache
def _moments_kernel(itemsize: int, channels: int) -> Compiled:
    return compiled(_Moments(itemsize, channels).code.text())


@cache
def _line_kernel(itemsize: int, channels: int) -> Compiled:
    return compiled(_Line(itemsize, channels).code.text())


class _Kernel(ABC):
    """Writes a kernel; `channels` lie side by side, or none do: then each is a plane."""

    def __init__(self, itemsize: int, channels: int) -> None:
        self.channels, self.lanes = channels, lanes_of(itemsize)
        self.code = code = Code(itemsize)
        self.call = call = SimpleNamespace(**{name: code.field(at) for at, name in enumerate(_FIELDS)})
        for name in _ARRAYS:
            setattr(call, name, Array(getattr(call, name), 8 if name == "sums" else itemsize))
        task = Variable(code.take(_FIELDS.index("next_task")))
        with code.repeat(lambda: task.get() < call.tasks):
            with code.count(Variable(code.whole(0)), call.steps) as t:
                self.task(task.get(), t)
            task.set(code.take(_FIELDS.index("next_task")))

    @abstractmethod
    def task(self, task: Value, t: Value) -> None:
        """Write what a task does at a time step."""

    def row_range(self, group: Value) -> tuple[Variable, Value]:
        """The first row of a group and that after its last."""
        first = group * self.call.rows_per_group
        return Variable(first), self.code.least(first + self.call.rows_per_group, self.call.rows)


class _Moments(_Kernel):
    """Sums over planes, in parts, one for each lane."""

    def task(self, task: Value, t: Value) -> None:
        """See `_Kernel.task`."""
        code, call, whole = self.code, self.call, self.lanes[0]
        chunk, parts = _chunk(self.channels, call.currents.itemsize)
        chunks = call.channels // code.whole(chunk)
        group, number = task // chunks, task % chunks
        if not self.channels:
            lanes_of_turns, row_size, first, apart = self.lanes, call.plane, code.whole(0), 0
            channel = number * call.plane
        else:
            lanes_of_turns = (whole,) if self.channels >= whole else (whole, chunk)
            row_size, first = call.plane * call.channels, number * chunk
            apart = self.channels if self.channels > whole else 0
            channel = first
        value = code.load(call.currents, channel, chunk)
        shifts = {lanes: value.repeated(lanes).double() for lanes in lanes_of_turns}
        sums = {lanes: [Variable(code.zero(lanes).double()) for _ in range(2)] for lanes in lanes_of_turns}
        with code.count(*self.row_range(group)) as row, code.fusing():
            start, column = (t * call.rows + row) * call.channels * call.plane, Variable(first)
            if not self.channels:
                start = start + channel
            for lanes in lanes_of_turns:
                with code.count(column, row_size + first, apart or lanes) as now:
                    away = code.load(call.currents, start + now, lanes).double() - shifts[lanes]
                    for total, term in zip(sums[lanes], (away, away * away), strict=True):
                        total.set(total.get() + term)
        for which in range(2):
            part = (((group * call.steps + t) * 2 + which) * chunks + number) * (parts * chunk)
            for lanes in lanes_of_turns:
                code.store(sums[lanes][which].get(), call.sums, part)
                part = part + lanes


class _Line(_Kernel):
    """Adds a line of each channel to gradients."""

    def task(self, task: Value, t: Value) -> None:
        """See `_Kernel.task`."""
        code, call = self.code, self.call
        step = t * call.line_step
        with code.count(*self.row_range(task)) as row:
            start = (t * call.rows + row) * call.channels * call.plane
            if self.channels:
                column = Variable(code.whole(0))
                for lanes in self.lanes:
                    with code.count(column, call.plane * call.channels, lanes) as now:
                        line = (of_channels(code, a, step, now, lanes, self.channels) for a in (call.slope, call.level))
                        self._add(start + now, lanes, *line)
                return
            with code.count(Variable(code.whole(0)), call.channels) as channel:
                one = [code.load(array, step + channel, 1) for array in (call.slope, call.level)]
                column = Variable(code.whole(0))
                for lanes in self.lanes:
                    with code.count(column, call.plane, lanes) as now:
                        place = start + channel * call.plane + now
                        self._add(place, lanes, *(number.repeated(lanes) for number in one))

    def _add(self, place: Value, lanes: int, slope: Value, level: Value) -> None:
        code, call = self.code, self.call
        with code.fusing():
            added = code.load(call.currents, place, lanes) * slope + level
            code.store(code.load(call.grad, place, lanes) + added, call.grad, place)
