"""The dynamics of a layer of neurons as machine code: one pass forward over all time steps, one pass back.

This module knows addresses and sizes; it knows neither tensors nor threads. Currents are ``[steps, rows, columns]``
and each column has its own parameters, or all have the same. A kernel works through *tasks*, a block of columns times
a group of rows, one time step after the other: what lives through time stays in the first two levels of cache, and
memory is read and written in runs of a block. (A few neurons through all time, in registers, would be less work,
but lines of memory 256 KiB apart cost more than that saves.) The backward pass needs nothing of the forward
pass but its currents: it integrates again, and keeps the membranes in its scratch.

What stands around the neurons may join them: a norm before (`Line`) and a pooling behind (`Pooling`). Then a block is
a plane, the neurons of one channel, so that one gain and one offset serve a block, and a pooling's windows lie within.
Where channels come last, a block is some rows of the image, all channels side by side at each place.

Every choice of a spec is decided while the code is written: a `Recipe` names a kernel, and each kernel holds nothing
but what its spec needs. Forward, each operation rounds as in the reference adapter; only gradients may fuse roundings.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Literal

from spikemark.core.neurons import Reset
from spikemark_adapters.fused.emit import Array, Code, Value, Variable
from spikemark_adapters.fused.machine import Compiled, compiled
from spikemark_adapters.fused.slopes import Slope

_VECTOR = 64  # Bytes worked on at a time; the rest of a row goes in single numbers.


@dataclass(frozen=True)
class Gradients:
    """What the kernel of a backward pass computes.

    Attributes:
        surrogate: its name.
        relative: whether it is.
        detach_reset: see `NeuronSpec`.
        learn_threshold: whether gradients of thresholds are wanted.
        learn_decay: whether gradients of decays are wanted.
    """

    surrogate: str
    relative: bool
    detach_reset: bool
    learn_threshold: bool
    learn_decay: bool

    def learned(self) -> list[str]:
        """Names of the parameters whose gradients are wanted."""
        return [name for name, learn in (("threshold", self.learn_threshold), ("decay", self.learn_decay)) if learn]


@dataclass(frozen=True)
class Line:
    """A norm whose statistics are known: currents times the gain of a step and block, plus an offset.

    Attributes:
        learned: whether, backward, gradients of both are wanted.
    """

    learned: bool


@dataclass(frozen=True)
class Pooling:
    """Pooling of spikes over windows of a plane that do not overlap; what is left over at the edges is dropped.

    The gradient of a maximum goes to the first spike of the window or, where there is none, to the first neuron, as
    torch has it.

    Attributes:
        kind: of pooling.
        size: side of a window.
    """

    kind: Literal["max", "average"]
    size: int


@dataclass(frozen=True)
class Recipe:
    """What distinguishes one kernel from another.

    Attributes:
        itemsize: bytes of a number, 4 or 8, or 2 for bfloat16.
        reset: see `NeuronSpec`.
        decay_input: see `NeuronSpec`.
        fires_at_threshold: see `NeuronSpec`.
        one_threshold: whether all columns have the same.
        one_decay: whether all columns have the same.
        gradients: None for the forward pass, from currents to spikes.
        held: whether there is one frame of currents, the same at every step.
        line: the norm before, if it is part of the kernel.
        pooling: the pooling behind, likewise.
        channels: how many lie side by side where channels come last, see `fits_last`; 0 where each is a plane.
    """

    itemsize: int
    reset: Reset
    decay_input: bool
    fires_at_threshold: bool
    one_threshold: bool
    one_decay: bool
    gradients: Gradients | None
    held: bool = False
    line: Line | None = None
    pooling: Pooling | None = None
    channels: int = 0


_GIVEN = ("currents", "spikes", "threshold", "decay", "grad", "d_currents", "gain", "offset")
_WORK = ("d_threshold", "d_decay", "d_line", "scratch", "partial")
_WHOLE = (
    "next_task", "next_worker", "done", "scratch_size", "steps", "rows", "columns", "blocks", "columns_per_block",
    "rows_per_group", "groups", "tasks", "line_step", "height", "width",
)  # fmt: skip
_REAL = ("reach", "top")


class Call(ctypes.Structure):
    """What a kernel is called with. The counters start at 0; any number of threads may run the same call together.

    Gradients of parameters are sums over all rows, ``[columns]``, by way of those over the rows of each group, which
    are gathered in `partial`, ``[parameters, groups, columns]``. `scratch_size` are numbers for each worker. `reach`
    and `top` are the surrogate's width and height. Numbers of the recipe's size are those of `_GIVEN`, others have 4
    or 8 bytes.

    With a `Line`, `gain` and `offset` hold a number for each channel, those of the next step `line_step`
    numbers on. Their gradients are left in parts, ``d_line[2, groups, steps, blocks, parts]``, see `line_parts`. With a
    `Pooling`, `height` and `width` are those of the plane of each channel.
    """

    _fields_ = (
        *((name, ctypes.c_int64) for name in (*_GIVEN, *_WORK, *_WHOLE)),
        *((name, ctypes.c_double) for name in _REAL),
    )


_FIELDS = {field[0]: number for number, field in enumerate(Call._fields_)}


def scratch_size(steps: int, columns: int, recipe: Recipe) -> int:
    """Numbers of scratch that each worker needs for so many columns: membranes, and what goes back through time."""
    spikes, wanted = 1 if recipe.pooling else 0, recipe.gradients
    if wanted is None:
        return columns * (1 + spikes)
    return columns * (1 + steps + (1 + steps if wanted.learn_decay else 1) + spikes)


def lanes_of(itemsize: int) -> tuple[int, ...]:
    """How many numbers are worked on at a time: as many as there are, then fewer, then one."""
    whole = _VECTOR // max(itemsize, 4)
    return whole, whole // 4, 1


def line_parts(itemsize: int, channels: int) -> tuple[int, int, int]:
    """In how many parts each block leaves gradients of a `Line`: parts, of how many channels, in parts again."""
    if channels:
        return max(channels, lanes_of(itemsize)[0]) // channels, channels, 1
    return 1, 1, sum(lanes_of(itemsize))


def fits_last(channels: int, itemsize: int) -> bool:
    """Whether kernels know so many channels side by side: a vector then holds whole places, or is part of one."""
    whole = lanes_of(itemsize)[0]
    return channels % whole == 0 or (channels > 1 and whole % channels == 0)


def of_channels(code: Code, array: Array, start: Value, column: Value, lanes: int, channels: int) -> Value:
    """For `lanes` columns, the number that the channel of each has; those of all channels begin at `start`."""
    return code.load(array, start + column % code.whole(channels), min(channels, lanes)).repeated(lanes)


@cache
def kernel(recipe: Recipe) -> Compiled:
    """The kernel of a recipe, compiled when it is first asked for; takes the address of a `Call`."""
    return compiled(_Kernel(recipe).code.text())


class _Kernel:
    """Writes a kernel.

    Places in the scratch are counted in rows of a task's columns. Backward, `_FADING` is the gradient of the membrane
    at fire, `_KEPT` those membranes, one row per step, and after them come the membranes `before`, likewise, if the
    gradients of decays need them; otherwise, as forward, a single row does. What a pooling takes, or hands back, is the
    row `unpooled`.
    """

    _FADING, _KEPT = 0, 1

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.code = code = Code(recipe.itemsize)
        self.call = call = SimpleNamespace(**{name: code.field(at, real=name in _REAL) for name, at in _FIELDS.items()})
        for name in (*_GIVEN, *_WORK):
            setattr(call, name, Array(getattr(call, name), recipe.itemsize if name in _GIVEN else code.itemsize))
        call.scratch = call.scratch.skip(code.take(_FIELDS["next_worker"]) * call.scratch_size)
        wanted = recipe.gradients
        self.before = code.whole(0) if wanted is None else call.steps + self._KEPT
        self.before_per_step = code.whole(1 if wanted is not None and wanted.learn_decay else 0)
        self.unpooled = self.before + self.before_per_step * call.steps + 1
        self.line_parts = math.prod(line_parts(recipe.itemsize, recipe.channels))
        self.partial = {
            name: call.partial.skip(call.groups * call.columns * number)
            for number, name in enumerate(wanted.learned() if wanted is not None else ())
        }
        task = Variable(code.take(_FIELDS["next_task"]))
        with code.repeat(lambda: task.get() < call.tasks):
            self._task(task.get() // call.blocks, task.get() % call.blocks)
            if self.partial:
                with code.when(code.take(_FIELDS["done"]) >= call.tasks - 1):
                    self._add_up()
            task.set(code.take(_FIELDS["next_task"]))

    def _task(self, group: Value, block: Value) -> None:
        code, call, wanted = self.code, self.call, self.recipe.gradients
        self.first = block * call.columns_per_block
        self.width = code.least(call.columns_per_block, call.columns - self.first)
        self.sums = group * call.columns + self.first
        self.group, self.block = group, block
        for partial in self.partial.values():
            self._clear(partial, self.sums)
        if wanted is not None and self.recipe.line is not None and self.recipe.line.learned:
            self._clear_line()
        if wanted is not None and self.recipe.pooling is not None:
            self._clear(call.scratch, self.unpooled * call.columns_per_block)  # the edges that no window covers
        row = group * call.rows_per_group
        with code.count(Variable(row), code.least(row + call.rows_per_group, call.rows)) as now:
            self.start = now * call.columns + self.first
            self._clear(call.scratch, self.before * call.columns_per_block)
            with code.count(Variable(code.whole(0)), call.steps) as t:
                for columns in self._columns():
                    _Step(self, t, *columns).integrate()
                if wanted is None and self.recipe.pooling is not None:
                    self._windows(self.recipe.pooling, now, t).pool()
            if wanted is not None:
                self._clear(call.scratch, code.whole(self._FADING))
                if self.recipe.held:
                    self._clear(call.d_currents, self.start)
                with code.count(Variable(code.whole(0)), call.steps) as ago, code.fusing():
                    t = call.steps - 1 - ago
                    if self.recipe.pooling is not None:
                        self._windows(self.recipe.pooling, now, t).hand_back()
                    for columns in self._columns():
                        _Step(self, t, *columns).retreat(wanted)

    def _add_up(self) -> None:
        """The sums of all groups, always in the same order; for whoever completes the last task."""
        code, call = self.code, self.call
        for name, partial in self.partial.items():
            for column, lanes in self._columns(call.columns):
                total = Variable(code.load(partial, column, lanes))
                with code.count(Variable(code.whole(1)), call.groups) as group, code.fusing():
                    total.set(total.get() + code.load(partial, group * call.columns + column, lanes))
                code.store(total.get(), getattr(call, f"d_{name}"), column)

    def _columns(self, width: Value | None = None) -> Iterator[tuple[Value, int]]:
        """Loops over the columns of a task, or so many: where, counted from the first, and how many at a time."""
        column = Variable(self.code.whole(0))
        whole, some, one = lanes_of(self.recipe.itemsize)
        for lanes in (whole, some, one) if self.recipe.line or self.recipe.pooling else (whole, one):
            with self.code.count(column, width or self.width, lanes) as now:
                yield now, lanes

    def _clear(self, place: Array, start: Value) -> None:
        for column, lanes in self._columns():
            self.code.store(self.code.zero(lanes), place, start + column)

    def _windows(self, pooling: Pooling, row: Value, t: Value) -> _Windows:
        return (_WindowsOfChannels if self.recipe.channels else _Windows)(self, pooling, row, t)

    def line_at(self, t: Value, column: Value, lanes: int) -> tuple[Value, Value]:
        """Where the gradient of a step's gain and that of its offset are summed for so many columns at a time."""
        widths = lanes_of(self.recipe.itemsize)
        part = self.code.whole(sum(widths[: widths.index(lanes)]))
        return self._line_part(t, column % self.code.whole(self.line_parts) if self.recipe.channels else part)

    def _line_part(self, t: Value, part: Value) -> tuple[Value, Value]:
        call = self.call
        gain = ((self.group * call.steps + t) * call.blocks + self.block) * self.line_parts + part
        return gain, gain + call.groups * call.steps * call.blocks * self.line_parts

    def _clear_line(self) -> None:
        code = self.code
        with code.count(Variable(code.whole(0)), self.call.steps) as t:
            for part, lanes in self._columns(code.whole(self.line_parts)):
                for place in self._line_part(t, part):
                    code.store(code.zero(lanes), self.call.d_line, place)


class _Step:
    """Writes one time step of neighbouring neurons."""

    def __init__(self, kernel: _Kernel, t: Value, column: Value, lanes: int) -> None:
        self.kernel, self.recipe, self.code, self.call = kernel, kernel.recipe, kernel.code, kernel.call
        self.t, self.column, self.lanes = t, column, lanes
        self.step = self.call.rows * self.call.columns
        self.at = kernel.start + t * self.step + column
        self.source = kernel.start + column if self.recipe.held else self.at
        self.theta = self._parameter(self.call.threshold, one=self.recipe.one_threshold)
        self.a = self._parameter(self.call.decay, one=self.recipe.one_decay)

    def integrate(self) -> None:
        """From currents to spikes or, for the way back, membranes."""
        recipe, code, kernel = self.recipe, self.code, self.kernel
        x = self._normed(self._current())
        if not recipe.held:
            code.prefetch(self.call.currents, self.at + self.step)
        before = kernel.before + self.t * kernel.before_per_step
        u = self.a * self._kept(before) + ((1 - self.a) * x if recipe.decay_input else x)
        fires, none, one = self._fires(u), u.like(0), u.like(1)
        if recipe.gradients is None and recipe.pooling is not None:
            self._keep(fires.choose(one, none), kernel.unpooled)
        elif recipe.gradients is None:
            code.store(fires.choose(one, none), self.call.spikes, self.at)
        else:
            self._keep(u, self.t + kernel._KEPT)
        self._keep(self._reset(u, fires), before + kernel.before_per_step)

    def retreat(self, wanted: Gradients) -> None:
        """Back-propagation, with ``do/dtheta = -do/du`` or, relative, ``-do/du * u / theta``."""
        recipe, code, call, kernel = self.recipe, self.code, self.call, self.kernel
        u = self._kept(self.t + kernel._KEPT)
        if recipe.pooling is not None:
            grad_o = self._kept(kernel.unpooled)
        else:
            grad_o = code.load(call.grad, self.at, self.lanes)
            code.prefetch(call.grad, self.at - self.step)
        grad_v = self.a * self._kept(code.whole(kernel._FADING))
        fires, none, one = self._fires(u), u.like(0), u.like(1)
        slope = Slope(wanted.surrogate, wanted.relative, self.theta, *map(self._spread, (call.reach, call.top)))
        surrogate = slope.at(u)
        passed, by_spike = fires.choose(none, one) if recipe.reset == "zero" else one, grad_o
        if not wanted.detach_reset and recipe.reset != "none":
            taken = u if recipe.reset == "zero" else self.theta
            passed, by_spike = passed - surrogate * taken, grad_o - grad_v * taken
        grad_u = surrogate * grad_o + grad_v * passed
        if wanted.learn_threshold:
            total = code.load(kernel.partial["threshold"], kernel.sums + self.column, self.lanes)
            total = total - (surrogate * (u * slope.inverse) if wanted.relative else surrogate) * by_spike
            if recipe.reset == "subtract" and not wanted.detach_reset:
                total = total - fires.choose(grad_v, none)
            code.store(total, kernel.partial["threshold"], kernel.sums + self.column)
        if wanted.learn_decay:
            v = self._kept(kernel.before + self.t)
            by_decay = v - self._normed(self._current()) if recipe.decay_input else v
            total = code.load(kernel.partial["decay"], kernel.sums + self.column, self.lanes) + grad_u * by_decay
            code.store(total, kernel.partial["decay"], kernel.sums + self.column)
        self._pass_on((1 - self.a) * grad_u if recipe.decay_input else grad_u)
        self._keep(grad_u, code.whole(kernel._FADING))

    def _pass_on(self, grad: Value) -> None:
        """To the currents, and to the norm, the gradient of what the neurons took in."""
        code, call, line = self.code, self.call, self.recipe.line
        if line is not None:
            if line.learned:
                places = self.kernel.line_at(self.t, self.column, self.lanes)
                for place, part in zip(places, (grad * self._current(), grad), strict=True):
                    code.store(code.load(call.d_line, place, self.lanes) + part, call.d_line, place)
            grad = grad * self._line(call.gain)
        if self.recipe.held:
            grad = grad + code.load(call.d_currents, self.source, self.lanes)
        code.store(grad, call.d_currents, self.source)

    def _current(self) -> Value:
        return self.code.load(self.call.currents, self.source, self.lanes)

    def _normed(self, current: Value) -> Value:
        if self.recipe.line is None:
            return current
        return current * self._line(self.call.gain) + self._line(self.call.offset)

    def _line(self, array: Array) -> Value:
        step, channels = self.t * self.call.line_step, self.recipe.channels
        if channels:
            return of_channels(self.code, array, step, self.column, self.lanes, channels)
        return self._spread(self.code.load(array, step + self.kernel.block, 1))

    def _spread(self, number: Value) -> Value:
        return self.code.spread(number, self.lanes)

    def _fires(self, u: Value) -> Value:
        return u >= self.theta if self.recipe.fires_at_threshold else u > self.theta

    def _reset(self, u: Value, fires: Value) -> Value:
        match self.recipe.reset:
            case "zero":  # not a choice between u and 0: an infinite membrane becomes NaN
                return u * fires.choose(u.like(0), u.like(1))
            case "subtract":
                return u - fires.choose(self.theta, u.like(0))
            case "none":
                return u

    def _kept(self, row: Value) -> Value:
        return self.code.load(self.call.scratch, row * self.call.columns_per_block + self.column, self.lanes)

    def _keep(self, value: Value, row: Value) -> None:
        self.code.store(value, self.call.scratch, row * self.call.columns_per_block + self.column)

    def _parameter(self, array: Array, *, one: bool) -> Value:
        if one:
            return self._spread(self.code.load(array, self.code.whole(0), 1))
        return self.code.load(array, self.kernel.first + self.column, self.lanes)


class _Windows:
    """Writes the pooling of a plane of spikes at one time step."""

    def __init__(self, kernel: _Kernel, pooling: Pooling, row: Value, t: Value) -> None:
        self.kernel, self.pooling, self.code, self.call = kernel, pooling, kernel.code, kernel.call
        size = kernel.code.whole(pooling.size)
        self.height, self.width = self.call.height // size, self.call.width // size
        plane = self.height * self.width
        self.start = ((t * self.call.rows + row) * self.call.blocks + kernel.block) * plane
        self.spikes = self.call.scratch.skip(kernel.unpooled * self.call.columns_per_block)
        self.membranes = self.call.scratch.skip((t + kernel._KEPT) * self.call.columns_per_block)

    def pool(self) -> None:
        """From spikes of the plane to those of the windows."""
        for window, first, lanes in self._windows():
            values = [value for row in self._rows(first) for value in self._values(self.spikes, row, lanes)]
            pooled = values[0]
            for value in values[1:]:
                pooled = (value > pooled).choose(value, pooled) if self.pooling.kind == "max" else pooled + value
            if self.pooling.kind == "average":
                pooled = pooled / self.pooling.size**2
            self.code.store(pooled, self.call.spikes, window)

    def hand_back(self) -> None:
        """From the gradients of windows to those of the plane's spikes."""
        for window, first, lanes in self._windows():
            grad, rows = self.code.load(self.call.grad, window, lanes), list(self._rows(first))
            if self.pooling.kind == "average":
                parts = [[grad / self.pooling.size**2] * self.pooling.size] * self.pooling.size
            else:
                parts = self._to_the_first(grad, [self._firing(row, lanes) for row in rows])
            for row, part in zip(rows, parts, strict=True):
                self._store(part, row, lanes)

    def _to_the_first(self, grad: Value, firing: list[list[Value]]) -> list[list[Value]]:
        """A maximum's gradient for each neuron of a window: what the spikes before it have left."""
        left, none = grad, grad.like(0)
        parts: list[list[Value]] = []
        for row in firing:
            parts.append([])
            for fires in row:
                parts[-1].append(fires.choose(left, none))
                left = fires.choose(none, left)
        parts[0][0] = parts[0][0] + left
        return parts

    def _firing(self, row: Value, lanes: int) -> list[Value]:
        recipe, code, call = self.kernel.recipe, self.code, self.call
        membranes = self._values(self.membranes, row, lanes)
        if recipe.one_threshold:
            thresholds = [code.spread(code.load(call.threshold, code.whole(0), 1), lanes)] * self.pooling.size
        else:
            thresholds = self._values(call.threshold, self.kernel.first + row, lanes)
        pairs = zip(membranes, thresholds, strict=True)
        return [u >= theta if recipe.fires_at_threshold else u > theta for u, theta in pairs]

    def _windows(self) -> Iterator[tuple[Value, Value, int]]:
        """Loops over neighbouring windows: where they are, where the first begins in the plane, and how many."""
        code, size = self.code, self.pooling.size
        with code.count(Variable(code.whole(0)), self.height) as i:
            column, lanes = Variable(code.whole(0)), _VECTOR // code.itemsize // size
            for some in (2**n for n in reversed(range(max(lanes, 1).bit_length()))):
                with code.count(column, self.width, some) as j:
                    yield self.start + i * self.width + j, i * self.call.width * size + j * size, some

    def _rows(self, first: Value) -> Iterator[Value]:
        """Where each row of a window begins."""
        return (first + self.call.width * n for n in range(self.pooling.size))

    def _values(self, array: Array, row: Value, lanes: int) -> list[Value]:
        """A row of some windows: the first values of all, the second ones, and so on."""
        size, load = self.pooling.size, self.code.load
        if lanes == 1:
            return [load(array, row + n, 1) for n in range(size)]
        side_by_side = load(array, row, lanes * size)
        return [side_by_side.arranged(range(n, lanes * size, size)) for n in range(size)]

    def _store(self, values: list[Value], row: Value, lanes: int) -> None:
        """The reverse of `_values`, to the row `unpooled`."""
        size, store = self.pooling.size, self.code.store
        if lanes == 1:
            for n, value in enumerate(values):
                store(value, self.spikes, row + n)
            return
        every = range(lanes * size)
        wide = [value.arranged([place // size for place in every]) for value in values]
        side_by_side = wide[0]
        for n, value in enumerate(wide[1:], 1):
            side_by_side = side_by_side.arranged(
                [place + (lanes * size if place % size == n else 0) for place in every], value
            )
        store(side_by_side, self.spikes, row)


class _WindowsOfChannels(_Windows):
    """Likewise where channels come last: every value of a window is a vector, of the channels at one place."""

    def __init__(self, kernel: _Kernel, pooling: Pooling, row: Value, t: Value) -> None:
        super().__init__(kernel, pooling, row, t)
        code, channels = self.code, kernel.recipe.channels
        self.place, self.channels = code.whole(channels), channels
        per_block = self.call.columns_per_block // (self.call.width * channels * pooling.size)
        before = kernel.block * per_block
        self.start = (((t * self.call.rows + row) * self.height + before) * self.width) * channels
        self.height = code.least(per_block, self.height - before)

    def _windows(self) -> Iterator[tuple[Value, Value, int]]:
        code, size, lanes = self.code, self.pooling.size, min(self.channels, lanes_of(self.kernel.recipe.itemsize)[0])
        with (
            code.count(Variable(code.whole(0)), self.height) as i,
            code.count(Variable(code.whole(0)), self.width) as j,
        ):
            window = (i * self.width + j) * self.channels
            first = (i * self.call.width + j) * (size * self.channels)
            with code.count(Variable(code.whole(0)), self.place, lanes) as channel:
                yield self.start + window + channel, first + channel, lanes

    def _rows(self, first: Value) -> Iterator[Value]:
        return (first + self.call.width * (n * self.channels) for n in range(self.pooling.size))

    def _values(self, array: Array, row: Value, lanes: int) -> list[Value]:
        return [self.code.load(array, row + n * self.channels, lanes) for n in range(self.pooling.size)]

    def _store(self, values: list[Value], row: Value, lanes: int) -> None:
        for n, value in enumerate(values):
            self.code.store(value, self.spikes, row + n * self.channels)
