"""The dynamics of a layer of neurons as machine code: one pass forward over all time steps, one pass back.

This module knows addresses and sizes; it knows neither tensors nor threads. Currents are ``[steps, rows, columns]``
and each column has its own parameters, or all have the same. A kernel works through *tasks*, a block of columns times
a group of rows, one time step after the other: what lives through time stays in the first two levels of cache, and
memory is read and written in runs of a block. (A few neurons through all time, in registers, would be less work,
but lines of memory 256 KiB apart cost more than that saves.) The backward pass needs nothing of the forward
pass but its currents: it integrates again, and keeps the membranes in its scratch.

Every choice of a spec is decided while the code is written: a `Recipe` names a kernel, and each kernel holds nothing
but what its spec needs. Forward, each operation rounds as in the reference adapter; only gradients may fuse roundings.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace

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
    """

    itemsize: int
    reset: Reset
    decay_input: bool
    fires_at_threshold: bool
    one_threshold: bool
    one_decay: bool
    gradients: Gradients | None


_GIVEN = ("currents", "spikes", "threshold", "decay", "grad", "d_currents")
_WORK = ("d_threshold", "d_decay", "scratch", "partial")
_WHOLE = (
    "next_task", "next_worker", "done", "scratch_size", "steps", "rows", "columns", "blocks", "columns_per_block",
    "rows_per_group", "groups", "tasks",
)  # fmt: skip
_REAL = ("reach", "top")


class Call(ctypes.Structure):
    """What a kernel is called with. The counters start at 0; any number of threads may run the same call together.

    Gradients of parameters are sums over all rows, ``[columns]``, by way of those over the rows of each group, which
    are gathered in `partial`, ``[parameters, groups, columns]``. `scratch_size` are numbers for each worker. `reach`
    and `top` are the surrogate's width and height. Numbers of the recipe's size are those of `_GIVEN`, others have 4
    or 8 bytes.
    """

    _fields_ = (
        *((name, ctypes.c_int64) for name in (*_GIVEN, *_WORK, *_WHOLE)),
        *((name, ctypes.c_double) for name in _REAL),
    )


_FIELDS = {field[0]: number for number, field in enumerate(Call._fields_)}


def scratch_size(steps: int, columns: int, gradients: Gradients | None) -> int:
    """Numbers of scratch that each worker needs for so many columns: membranes, and what goes back through time."""
    if gradients is None:
        return columns
    return columns * (1 + steps + (1 + steps if gradients.learn_decay else 1))


@cache
def kernel(recipe: Recipe) -> Compiled:
    """The kernel of a recipe, compiled when it is first asked for; takes the address of a `Call`."""
    return compiled(_Kernel(recipe).code.text())


class _Kernel:
    """Writes a kernel.

    Places in the scratch are counted in rows of a task's columns. Backward, `_FADING` is the gradient of the membrane
    at fire, `_KEPT` those membranes, one row per step, and after them come the membranes `before`, likewise, if the
    gradients of decays need them; otherwise, as forward, a single row does.
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
        for partial in self.partial.values():
            self._clear(partial, self.sums)
        row = group * call.rows_per_group
        with code.count(Variable(row), code.least(row + call.rows_per_group, call.rows)) as now:
            self.start = now * call.columns + self.first
            self._clear(call.scratch, self.before * call.columns_per_block)
            with code.count(Variable(code.whole(0)), call.steps) as t:
                for columns in self._columns():
                    _Step(self, t, *columns).integrate()
            if wanted is not None:
                self._clear(call.scratch, code.whole(self._FADING))
                with code.count(Variable(code.whole(0)), call.steps) as ago, code.fusing():
                    for columns in self._columns():
                        _Step(self, call.steps - 1 - ago, *columns).retreat(wanted)

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
        for lanes in (_VECTOR // self.code.itemsize, 1):
            with self.code.count(column, width or self.width, lanes) as now:
                yield now, lanes

    def _clear(self, place: Array, start: Value) -> None:
        for column, lanes in self._columns():
            self.code.store(self.code.zero(lanes), place, start + column)


class _Step:
    """Writes one time step of neighbouring neurons."""

    def __init__(self, kernel: _Kernel, t: Value, column: Value, lanes: int) -> None:
        self.kernel, self.recipe, self.code, self.call = kernel, kernel.recipe, kernel.code, kernel.call
        self.t, self.column, self.lanes = t, column, lanes
        self.step = self.call.rows * self.call.columns
        self.at = kernel.start + t * self.step + column
        self.theta = self._parameter(self.call.threshold, one=self.recipe.one_threshold)
        self.a = self._parameter(self.call.decay, one=self.recipe.one_decay)

    def integrate(self) -> None:
        """From currents to spikes or, for the way back, membranes."""
        recipe, code, kernel = self.recipe, self.code, self.kernel
        x = code.load(self.call.currents, self.at, self.lanes)
        code.prefetch(self.call.currents, self.at + self.step)
        before = kernel.before + self.t * kernel.before_per_step
        u = self.a * self._kept(before) + ((1 - self.a) * x if recipe.decay_input else x)
        fires, none, one = self._fires(u), u.like(0), u.like(1)
        if recipe.gradients is None:
            code.store(fires.choose(one, none), self.call.spikes, self.at)
        else:
            self._keep(u, self.t + kernel._KEPT)
        self._keep(self._reset(u, fires), before + kernel.before_per_step)

    def retreat(self, wanted: Gradients) -> None:
        """Back-propagation, with ``do/dtheta = -do/du`` or, relative, ``-do/du * u / theta``."""
        recipe, code, call, kernel = self.recipe, self.code, self.call, self.kernel
        u, grad_o = self._kept(self.t + kernel._KEPT), code.load(call.grad, self.at, self.lanes)
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
            by_decay = v - code.load(call.currents, self.at, self.lanes) if recipe.decay_input else v
            total = code.load(kernel.partial["decay"], kernel.sums + self.column, self.lanes) + grad_u * by_decay
            code.store(total, kernel.partial["decay"], kernel.sums + self.column)
        code.store((1 - self.a) * grad_u if recipe.decay_input else grad_u, call.d_currents, self.at)
        self._keep(grad_u, code.whole(kernel._FADING))

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
