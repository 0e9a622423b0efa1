"""First spikes of non-leaky integrate-and-fire neurons: exactly, without time steps, and their twin on a clock.

``V_j(t)`` is the sum of ``w_ij`` over the inputs with ``t_i <= t``, and neuron j fires at the first t with
``V_j(t) > theta_j``: inputs of the same time are summed first, the potential is frozen at the spike, and an input or
neuron of time 1 is silent. Potentials are kept in double precision.

The clocked twin is the same layer of neurons on a framework's clock of K steps. An input of time t arrives in step
``floor(t K)``; a neuron that fires in step k has fired at ``k / K``. Times closer than ``1 / K`` become ties, which the
potential decides; the time gap of training is lost when ``K < 1 / g``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikemark.core.adapter import SpikingLayer
from spikemark.core.compiling import compiled
from spikemark.errors import InputError

Floats = NDArray[np.floating[Any]]
Integers = NDArray[np.integer[Any]]
Booleans = NDArray[np.bool_]
SILENT = 1.0


def first_spikes(
    times: Tensor, weights: Tensor, thresholds: Tensor, groups: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Spike times of a layer for a batch.

    Args:
        times: of the inputs, ``[B, inputs]`` float32 in 0..1; 1 is silent.
        weights: ``[neurons, inputs]`` float32.
        thresholds: ``[neurons]``.
        groups: ``[neurons]``, the group of each neuron, 0 and up; only the first spike of a group matters, so that a
            sample may end when every group has fired; later spikes may be reported as silent. None
            gives every neuron a group of its own.

    Returns:
        Times ``[B, neurons]`` float32, and the potentials at them ``[B, neurons]`` float64; those of silent neurons are
        the last ones reached.

    Raises:
        InputError: a time is outside 0..1 or NaN.
    """
    check_unit("times", times)
    if times.is_cuda:
        return _on_any_device(times, weights, thresholds)
    batch, neurons = len(times), len(weights)
    spikes = np.empty((batch, neurons), dtype=np.float32)
    potentials = np.empty((batch, neurons))
    own = np.arange(neurons) if groups is None else groups.numpy()
    _first_spikes(
        times.numpy() + np.float32(0),  # without negative zeros, whose bits would sort last
        by_input(weights),
        thresholds.detach().double().numpy(),
        own,
        spikes,
        potentials,
    )
    return torch.from_numpy(spikes), torch.from_numpy(potentials)


def by_input(weights: Tensor) -> Floats:
    """``[neurons, inputs]`` as the kernels read it, ``[inputs, neurons]`` without gaps."""
    array: Floats = weights.detach().t().contiguous().numpy()
    return array


def check_unit(name: str, values: Tensor) -> None:
    """That all values lie in 0..1.

    Raises:
        InputError: one does not, or is NaN.
    """
    if values.numel() and not bool(((values >= 0) & (values <= 1)).all()):
        what = "holds NaN" if bool(values.isnan().any()) else f"ranges over {values.min():g}..{values.max():g}"
        raise InputError(f"{name}: {what}; first-spike coding takes values in 0..1")


def _on_any_device(times: Tensor, weights: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
    """The same by sorting, cumulative sums and the first crossing, in tensors; a batch takes B * inputs * neurons."""
    times, order = times.sort(dim=1, stable=True)
    rows = weights.detach().t().double()[order].masked_fill((times == SILENT).unsqueeze(-1), 0.0)
    potentials = rows.cumsum(1)
    # Only after the last of equal times has everything of that time arrived.
    last = torch.ones_like(times, dtype=torch.bool)
    last[:, :-1] = times[:, 1:] != times[:, :-1]
    crossed = (potentials > thresholds.detach()) & (last & (times < SILENT)).unsqueeze(-1)
    first = crossed.to(torch.uint8).argmax(1)
    fired = crossed.any(1)
    spikes = times.gather(1, first).masked_fill(~fired, SILENT)
    return spikes, torch.where(fired, potentials.gather(1, first.unsqueeze(1)).squeeze(1), potentials[:, -1])


def quantised(times: Tensor, steps: int) -> Tensor:
    """Times on the clock: ``floor(t K) / K``; 1 stays silent."""
    return torch.where(times < SILENT, (times.double() * steps).floor() / steps, SILENT).to(times.dtype)


def clocked_spikes(times: Tensor, weights: Tensor, neurons: SpikingLayer, steps: int) -> tuple[Tensor, Tensor]:
    """Spike times of a layer for a batch, from a framework's neurons.

    Args:
        times: of the inputs, ``[B, inputs]`` in 0..1.
        weights: ``[neurons, inputs]``.
        neurons: integrate-and-fire, without decay.
        steps: K.

    Returns:
        Times ``[B, neurons]``, multiples of ``1 / K`` or 1, and the potentials at them, float64; those of silent
        neurons are the last ones.
    """
    currents = np.zeros((steps, len(times), len(weights)))
    _bin_currents(times.cpu().numpy(), by_input(weights.cpu()), currents)
    inflow = torch.from_numpy(currents)
    spikes = neurons(inflow.to(neurons.threshold.device, neurons.threshold.dtype)).cpu()
    potentials = inflow.cumsum(0)
    first = spikes.argmax(0)  # the first of equal values, so the first spike
    fired = spikes.amax(0) > 0
    at_spike = potentials.gather(0, first.unsqueeze(0)).squeeze(0)
    when = torch.where(fired, first.double() / steps, SILENT).to(times.dtype)
    return when, torch.where(fired, at_spike, potentials[-1])


@compiled
def sort_events(times: Floats, order: Integers, spare: Integers) -> int:
    """Write the indices of all times below 1 to `order`, by time, and return how many; equal times keep their order.

    A radix sort of the bits: those of positive floats are ordered as the floats are, and 30 bits hold all below 1.
    """
    bits = times.view(np.uint32)
    count = 0
    for i in range(len(times)):
        if times[i] < SILENT:
            order[count] = i
            count += 1
    starts = np.empty(1024, dtype=np.int64)
    source, target = order, spare
    for shift in (0, 10, 20):
        starts[:] = 0
        for k in range(count):
            starts[(bits[source[k]] >> shift) & 1023] += 1
        total = 0
        for digit in range(1024):
            here = starts[digit]
            starts[digit] = total
            total += here
        for k in range(count):
            digit = (bits[source[k]] >> shift) & 1023
            target[starts[digit]] = source[k]
            starts[digit] += 1
        source, target = target, source
    for k in range(count):  # three passes end in `spare`
        order[k] = spare[k]
    return count


@compiled
def integrate(
    times: Floats,
    order: Integers,
    count: int,
    weights: Floats,
    limits: Floats,
    waiting: Integers,
    groups: Integers,
    spikes: Floats,
    potentials: Floats,
) -> None:
    """Spikes of one sample, until every group has fired.

    Args:
        times: of the inputs.
        order: the `count` inputs that spike, by time.
        count: see `order`.
        weights: ``[inputs, neurons]``.
        limits: thresholds ``[neurons]``; overwritten.
        waiting: for each group, 1 if it must fire before the sample ends, else 0; overwritten.
        groups: index of each neuron's group.
        spikes: written, times ``[neurons]``.
        potentials: written, ``[neurons]``, at the spike or at the end.
    """
    neurons = len(limits)
    sums = np.zeros(neurons)
    spikes[:] = SILENT
    left = 0
    for group in range(len(waiting)):
        left += waiting[group] > 0
    k = 0
    while k < count and left > 0:
        now = times[order[k]]
        while k < count and times[order[k]] == now:
            row = weights[order[k]]
            for j in range(neurons):
                sums[j] += row[j]
            k += 1
        above = 0
        for j in range(neurons):
            above += sums[j] > limits[j]
        if above == 0:
            continue
        for j in range(neurons):
            if sums[j] > limits[j]:
                limits[j] = np.inf
                spikes[j] = now
                potentials[j] = sums[j]
                waiting[groups[j]] -= 1
                left -= waiting[groups[j]] == 0
    for j in range(neurons):
        if spikes[j] == SILENT:
            potentials[j] = sums[j]


@compiled
def _first_spikes(
    times: Floats, weights: Floats, thresholds: Floats, groups: Integers, spikes: Floats, potentials: Floats
) -> None:
    inputs = times.shape[1]
    order, spare = np.empty(inputs, dtype=np.int32), np.empty(inputs, dtype=np.int32)
    waiting = np.empty(groups.max() + 1, dtype=np.int64)
    for b in range(len(times)):
        count = sort_events(times[b], order, spare)
        waiting[:] = 1
        integrate(times[b], order, count, weights, thresholds.copy(), waiting, groups, spikes[b], potentials[b])


@compiled
def _bin_currents(times: Floats, weights: Floats, currents: Floats) -> None:
    """Add the weights ``[inputs, neurons]`` of every input to the currents ``[steps, B, neurons]`` of its step."""
    steps, batch, neurons = currents.shape
    for b in range(batch):
        for i in range(len(weights)):
            if times[b, i] < SILENT:
                row = currents[int(np.float64(times[b, i]) * steps), b]
                for j in range(neurons):
                    row[j] += weights[i, j]
