"""The dynamics of a layer of neurons as machine code: one pass forward over all time steps, one pass back.

This module knows addresses and sizes; it knows neither tensors nor threads. Currents are ``[steps, rows, columns]``
and each column has its own parameters. A kernel works through *tasks*, a block of `WIDTH` columns times a group of
rows, and keeps everything that lives through time (membranes, parameters, sums of gradients) in a state of a few KiB
that stays in the first-level cache. The backward pass needs nothing of the forward pass but its currents: it runs
the same `_advance` again, into its scratch.

Two things are arranged for the compiler. The whole state is *one* array with rows at constant offsets,
``state[_THETA + c]``, because then it can prove that they do not overlap, which it must to vectorise. And the choices
of a spec are rows of parameters or arguments, not kernels of their own: one compilation forward and one backward for
each surrogate serve every spec. Forward, each operation rounds as in the reference adapter; only gradients may fuse
and reorder roundings.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import Any, cast

import numpy as np
from numba import cfunc, njit, types
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.numpy_support import carray

WIDTH = 256
SURROGATES = ("atan", "superspike", "sigmoid", "triangle", "rectangle")
_ATAN, _SUPERSPIKE, _SIGMOID, _TRIANGLE, _RECTANGLE = range(len(SURROGATES))

# Rows of the state. `_REACH` and `_TOP` are those of the call per unit of the membrane; `_INVERSE` is 1 / theta for
# relative surrogates, else 0.
_DECAY, _GAIN, _THETA, _FIRE, _REACH, _TOP, _INVERSE, _V, _EXP, _GRAD_U, _D_THETA, _D_DECAY = (
    row * WIDTH for row in range(12)
)
_STATE = 12 * WIDTH

_COUNTERS = ("next_task", "next_worker")
_ADDRESSES = ("currents", "spikes", "threshold", "decay", "grad", "d_currents", "d_threshold", "d_decay", "scratch")
_SIZES = ("itemsize", "scratch_size", "steps", "rows", "columns", "blocks", "rows_per_task", "tasks")
_FLAGS = ("decay_input", "reset_to_zero", "detach_reset", "fires_at_threshold", "relative", "box")
_WANTED = ("learn_threshold", "learn_decay")
CALL = np.dtype(
    [(name, np.int64) for name in (*_COUNTERS, *_ADDRESSES, *_SIZES)]
    + [(name, np.float64) for name in ("reach", "top")]
    + [(name, np.bool_) for name in (*_FLAGS, *_WANTED)],
    align=True,
)
"""What a kernel is called with. The counters start at 0; any number of threads may run the same call together."""

_log = logging.getLogger(__name__)
_OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}


def _exact(function: Callable[..., Any]) -> Callable[..., Any]:
    # Said aloud, because a function that does not say inherits the freedoms of whichever calls it first.
    return cast("Callable[..., Any]", njit(**_OPTIONS, fastmath=False)(function))


def _loose(function: Callable[..., Any]) -> Callable[..., Any]:
    return cast("Callable[..., Any]", njit(**_OPTIONS, fastmath={"contract", "nsz", "reassoc", "arcp"})(function))


def _emitted(function: Callable[..., Any]) -> Callable[..., Any]:
    return cast("Callable[..., Any]", intrinsic(function))


def scratch_size(steps: int) -> int:
    """Numbers of scratch that each worker needs: the state, and the membranes at fire of all time steps."""
    return _STATE + steps * WIDTH


@_emitted
def _pointer(typing_context: Any, address: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(types.int64), emit


@_emitted
def _take(typing_context: Any, call: Any, counter: Any) -> Any:
    """Count up a counter of the call, atomically; its value before."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        number = context.get_value_type(types.int64)
        place = builder.gep(builder.bitcast(arguments[0], number.as_pointer()), [arguments[1]])
        return builder.atomic_rmw("add", place, number(1), "monotonic")

    return types.int64(types.voidptr, types.int64), emit


@_exact
def _numbers(like: Any, address: int, start: int, size: int) -> Any:
    """The `size` numbers from `start` on, as an array of the type of `like`."""
    return carray(_pointer(address + start * like.itemsize), size, like.dtype)


@_exact
def _load(state: Any, call: Any, column: int, threshold: Any, decay: Any, reach: Any, top: Any) -> None:
    """Set up the rows of parameters for the columns of a task, and clear its sums."""
    one = state.dtype.type(1)
    for c in range(threshold.size):
        theta = threshold[c]
        unit = abs(theta) if call.relative else one
        state[_DECAY + c] = decay[c]
        state[_GAIN + c] = one - decay[c] if call.decay_input else one
        state[_THETA + c] = theta
        # u > theta is u >= the number next above theta.
        state[_FIRE + c] = theta if call.fires_at_threshold else np.nextafter(theta, state.dtype.type(np.inf))
        state[_REACH + c] = reach * unit if call.box else reach / unit
        state[_TOP + c] = top / theta if call.relative else top
        state[_INVERSE + c] = one / theta if call.relative else one - one
    for c in range(WIDTH):
        state[_D_THETA + c] = 0
        state[_D_DECAY + c] = 0


@_exact
def _rest(state: Any) -> None:
    for c in range(WIDTH):
        state[_V + c] = 0
        state[_GRAD_U + c] = 0


@_exact
def _after(u: Any, o: Any, theta: Any, one: Any, reset_to_zero: bool) -> Any:
    """The membrane after a spike `o`, or none."""
    return u * (one - o) if reset_to_zero else u - theta * o


@_exact
def _advance(state: Any, currents: Any, out: Any, reset_to_zero: bool, membrane_out: bool) -> None:
    """One time step; writes the spikes or, for the backward pass, the membranes at fire."""
    one = state.dtype.type(1)
    for c in range(currents.size):
        u = state[_DECAY + c] * state[_V + c] + state[_GAIN + c] * currents[c]
        o = one if u >= state[_FIRE + c] else one - one
        out[c] = u if membrane_out else o
        state[_V + c] = _after(u, o, state[_THETA + c], one, reset_to_zero)


@_exact
def _exp_minus(y: Any) -> Any:
    """``exp(-y)`` for ``y >= 0`` to 1e-12, in arithmetic that vectorises (a call to the C library would not)."""
    turns = np.float64(-700.0 if y > 700.0 else -y) * 1.4426950408889634
    shifted = np.float64(turns + 6755399441055744.0)  # 1.5 * 2**52 leaves a whole number, in the low bits
    x = (turns - (shifted - 6755399441055744.0)) * 0.6931471805599453
    series = 1 + x * (1 / 7) * (1 + x * (1 / 8) * (1 + x * (1 / 9) * (1 + x * (1 / 10))))
    series = 1 + x * (
        1 + x * (1 / 2) * (1 + x * (1 / 3) * (1 + x * (1 / 4) * (1 + x * (1 / 5) * (1 + x * (1 / 6) * series))))
    )
    return series * np.int64((shifted.view(np.int64) << 52) + (1023 << 52)).view(np.float64)


@_exact
def _exponentials(state: Any, membrane: Any) -> None:
    """Ahead of `_retreat`, for the sigmoid: in the same loop it would slow down all surrogates."""
    for c in range(membrane.size):
        state[_EXP + c] = _exp_minus(abs(membrane[c] - state[_THETA + c]) * state[_REACH + c])


@_loose
def _slope(surrogate: int, z: Any, reach: Any, top: Any, e: Any, one: Any) -> Any:
    """The surrogate's derivative at a distance `z` from threshold; `e` is ``exp(-z * reach)``."""
    y = z * reach
    if surrogate == _ATAN:
        return top / (one + y * y)
    if surrogate == _SUPERSPIKE:
        return top / ((one + y) * (one + y))
    if surrogate == _SIGMOID:
        return top * e / ((one + e) * (one + e))
    if surrogate == _TRIANGLE:
        return top * (one - one if y > one else one - y)
    return top if z < reach else one - one


@_loose
def _retreat(
    state: Any, membrane: Any, grad: Any, d_currents: Any, surrogate: int, reset_to_zero: bool, through_reset: Any,
    absolute: Any, learn_threshold: bool,
) -> None:  # fmt: skip
    """One time step of back-propagation: from the gradient of the spikes to that of the currents.

    `through_reset` and `absolute` are 0 or 1. The gradient of the threshold follows from
    ``do/dtheta = -do/du`` or, relative, ``-do/du * u / theta``.
    """
    one = state.dtype.type(1)
    for c in range(membrane.size):
        u, theta = membrane[c], state[_THETA + c]
        o = one if u >= state[_FIRE + c] else one - one
        grad_v = state[_DECAY + c] * state[_GRAD_U + c]
        grad_o = grad[c] - through_reset * grad_v * (u if reset_to_zero else theta)
        grad_z = grad_o * _slope(surrogate, abs(u - theta), state[_REACH + c], state[_TOP + c], state[_EXP + c], one)
        grad_u = grad_z + (grad_v * (one - o) if reset_to_zero else grad_v)
        if learn_threshold:
            by_spike = grad_z * (absolute + u * state[_INVERSE + c])
            state[_D_THETA + c] -= by_spike if reset_to_zero else by_spike + through_reset * grad_v * o
        d_currents[c] = state[_GAIN + c] * grad_u
        state[_GRAD_U + c] = grad_u


@_loose
def _retreat_decay(
    state: Any, before: Any, started: Any, currents: Any, reset_to_zero: bool, decay_input: bool
) -> None:
    """The decay's share of a time step, after `_retreat`; `before` holds the membranes at fire a step earlier."""
    one = state.dtype.type(1)
    for c in range(currents.size):
        u = before[c]
        o = one if u >= state[_FIRE + c] else one - one
        v = started * _after(u, o, state[_THETA + c], one, reset_to_zero)
        state[_D_DECAY + c] += state[_GRAD_U + c] * (v - currents[c] if decay_input else v)


@_exact
def _store(state: Any, row: int, sums: Any) -> None:
    for c in range(sums.size):
        sums[c] = state[row + c]


def _kernel(function: Callable[[Any], None]) -> Any:
    """`function` compiled for one address, kept on disk where there is a place for it."""
    signature = types.void(types.voidptr)
    try:
        return cfunc(signature, cache=True)(function)
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        _log.warning(
            "fused kernels are compiled anew in each process: set NUMBA_CACHE_DIR to a writable folder (%s)", error
        )
        return cfunc(signature)(function)


@cache
def forward(dtype: type[np.floating[Any]]) -> Any:
    """The kernel from currents to spikes, for numbers of `dtype`."""

    def fused_forward(address: Any) -> None:
        call = carray(address, 1, CALL)[0]
        start = _take(address, 1) * call.scratch_size
        state = carray(_pointer(call.scratch + start * call.itemsize), _STATE, dtype)
        task = _take(address, 0)
        while task < call.tasks:
            column = task % call.blocks * WIDTH
            width = min(WIDTH, call.columns - column)
            row = task // call.blocks * call.rows_per_task
            threshold = _numbers(state, call.threshold, column, width)
            decay = _numbers(state, call.decay, column, width)
            _load(state, call, column, threshold, decay, dtype(call.reach), dtype(call.top))
            for r in range(row, min(row + call.rows_per_task, call.rows)):
                _rest(state)
                for t in range(call.steps):
                    at = (t * call.rows + r) * call.columns + column
                    currents = _numbers(state, call.currents, at, width)
                    spikes = _numbers(state, call.spikes, at, width)
                    _advance(state, currents, spikes, call.reset_to_zero, False)
            task = _take(address, 0)

    return _kernel(fused_forward)


@cache
def backward(dtype: type[np.floating[Any]], surrogate: int) -> Any:
    """The kernel from gradients of spikes to gradients of currents, thresholds and decays.

    The latter two are written as sums over the rows of each task, ``[tasks / blocks, columns]``.
    """

    def fused_backward(address: Any) -> None:
        call = carray(address, 1, CALL)[0]
        start = _take(address, 1) * call.scratch_size
        state = carray(_pointer(call.scratch + start * call.itemsize), _STATE, dtype)
        through_reset = dtype(0) if call.detach_reset else dtype(1)
        absolute = dtype(0) if call.relative else dtype(1)
        task = _take(address, 0)
        while task < call.tasks:
            group = task // call.blocks
            column = task % call.blocks * WIDTH
            width = min(WIDTH, call.columns - column)
            row = group * call.rows_per_task
            threshold = _numbers(state, call.threshold, column, width)
            decay = _numbers(state, call.decay, column, width)
            _load(state, call, column, threshold, decay, dtype(call.reach), dtype(call.top))
            for r in range(row, min(row + call.rows_per_task, call.rows)):
                _rest(state)
                for t in range(call.steps):
                    at = (t * call.rows + r) * call.columns + column
                    currents = _numbers(state, call.currents, at, width)
                    membrane = _numbers(state, call.scratch, start + _STATE + t * WIDTH, width)
                    _advance(state, currents, membrane, call.reset_to_zero, True)
                for t in range(call.steps - 1, -1, -1):
                    at = (t * call.rows + r) * call.columns + column
                    membrane = _numbers(state, call.scratch, start + _STATE + t * WIDTH, width)
                    grad = _numbers(state, call.grad, at, width)
                    d_currents = _numbers(state, call.d_currents, at, width)
                    if surrogate == _SIGMOID:
                        _exponentials(state, membrane)
                    _retreat(
                        state, membrane, grad, d_currents, surrogate, call.reset_to_zero, through_reset, absolute,
                        call.learn_threshold,
                    )  # fmt: skip
                    if call.learn_decay:
                        currents = _numbers(state, call.currents, at, width)
                        before = _numbers(state, call.scratch, start + _STATE + max(t - 1, 0) * WIDTH, width)
                        started = dtype(1) if t > 0 else dtype(0)
                        _retreat_decay(state, before, started, currents, call.reset_to_zero, call.decay_input)
            if call.learn_threshold:
                _store(state, _D_THETA, _numbers(state, call.d_threshold, group * call.columns + column, width))
            if call.learn_decay:
                _store(state, _D_DECAY, _numbers(state, call.d_decay, group * call.columns + column, width))
            task = _take(address, 0)

    return _kernel(fused_backward)
