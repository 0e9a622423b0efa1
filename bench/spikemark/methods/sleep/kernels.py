"""The compiled simulation: what happens in a step awake and in a step asleep, and nothing about why.

A step takes the spikes of the step before (every synapse delays by one step), then::

    I <- I + (drive - I) / tau_syn                     drive_j = sum of w_ij over the i that spiked
    v <- v + (rest - v + R I) / tau_m (+ noise)        clipped to lowest..highest
    spike where v > theta; then v <- reset
    a <- a - a / tau_a; a <- a + adaptation at spikes
    theta <- threshold + a, clipped                    used from the next step on

Only the rows and columns of neurons that spiked are visited. In sleep every weight decays at every step; since
``k`` steps have the closed form ``|w| = w* (|w| / w*) ** (lambda ** k)``, a weight is brought up to date only when a
spike needs it, with the same result.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikemark.core.compiling import compiled
from spikemark.methods.sleep.structures import Floats, Ints, Membrane, Plasticity, Rest, State, Wiring


@compiled
def _integrate(wiring: Wiring, state: State, membrane: Membrane, weight: Floats, drive: Floats) -> None:
    drive[:] = 0.0
    for i in range(state.fired.size):
        if state.fired[i]:
            for s in range(wiring.out_start[i], wiring.out_start[i + 1]):
                drive[wiring.post[s]] += weight[s]
    for j in range(drive.size):
        state.current[j] += (drive[j] - state.current[j]) * membrane.synapse_rate
        pull = membrane.rest - state.potential[j] + membrane.resistance * state.current[j]
        state.potential[j] += pull * membrane.membrane_rate


@compiled
def _fire(wiring: Wiring, state: State, membrane: Membrane) -> None:
    for j in range(state.potential.size):
        v = min(max(state.potential[j], membrane.lowest), membrane.highest)
        fires = v > state.threshold[j]
        state.adaptation[j] -= state.adaptation[j] * membrane.adaptation_rate
        if fires:
            v = membrane.reset
            state.adaptation[j] += membrane.adaptation
        theta = membrane.threshold + state.adaptation[j]
        state.threshold[j] = min(max(theta, membrane.threshold_lowest), membrane.threshold_highest)
        state.potential[j] = v
        i = wiring.inputs + j
        state.fired[i] = fires
        state.since[i] = 0 if fires else state.since[i] + 1


@compiled
def _present(state: State, spikes: NDArray[np.bool_]) -> None:
    for i in range(spikes.size):
        state.fired[i] = spikes[i]
        state.since[i] = 0 if spikes[i] else state.since[i] + 1


@compiled
def _change(weight: Floats, s: int, sign: float, step: float, plasticity: Plasticity) -> float:
    """Add to a magnitude, clip it, and tell by how much it moved."""
    before = float(weight[s]) * sign
    after = min(max(before + step, plasticity.smallest), plasticity.largest)
    weight[s] = after * sign
    return abs(after - before)


@compiled
def _learn(wiring: Wiring, state: State, weight: Floats, plasticity: Plasticity, moved: Floats) -> None:
    """Every pair of a spike of this step and the other neuron's last spike, once."""
    longest = plasticity.pre_first.size
    for i in range(state.fired.size):
        if not state.fired[i]:
            continue
        for s in range(wiring.out_start[i], wiring.out_start[i + 1]):
            age = state.since[wiring.inputs + wiring.post[s]]
            if age < longest:
                sign = wiring.sign[i]
                moved[0 if sign > 0 else 1] += _change(weight, s, sign, plasticity.post_first[age], plasticity)
    for j in range(wiring.in_start.size - 1):
        if not state.fired[wiring.inputs + j]:
            continue
        for k in range(wiring.in_start[j], wiring.in_start[j + 1]):
            s = wiring.incoming[k]
            i = wiring.pre[s]
            age = state.since[i]
            if 0 < age < longest:  # at age 0 both spiked now, and the loop above has seen the pair
                sign = wiring.sign[i]
                moved[0 if sign > 0 else 1] += _change(weight, s, sign, plasticity.pre_first[age], plasticity)


@compiled
def _catch_up(weight: Floats, stamp: Ints, s: int, k: int, rest: Rest) -> None:
    """Bring one weight from the decay of step ``stamp[s]`` to that of step k."""
    behind = k - stamp[s]
    if behind > 0:
        ratio = abs(weight[s]) / rest.baseline
        magnitude = rest.baseline * math.exp(math.log(ratio) * rest.powers[behind])
        weight[s] = math.copysign(magnitude, weight[s])
        stamp[s] = k


@compiled
def _catch_up_fired(
    wiring: Wiring, state: State, weight: Floats, stamp: Ints, k: int, rest: Rest, incoming: bool
) -> None:
    for i in range(state.fired.size):
        if state.fired[i]:
            for s in range(wiring.out_start[i], wiring.out_start[i + 1]):
                _catch_up(weight, stamp, s, k, rest)
    if incoming:
        for j in range(wiring.in_start.size - 1):
            if state.fired[wiring.inputs + j]:
                for n in range(wiring.in_start[j], wiring.in_start[j + 1]):
                    _catch_up(weight, stamp, wiring.incoming[n], k, rest)


@compiled
def wake(
    wiring: Wiring,
    state: State,
    membrane: Membrane,
    weight: Floats,
    plasticity: Plasticity,
    plastic: bool,
    inputs: NDArray[np.bool_],
    counts: Ints,
    delivered: Ints,
) -> None:
    """Steps with input; `state`, `weight` (if `plastic`), `counts` and `delivered` are changed in place.

    Args:
        wiring: of the network.
        state: at the start.
        membrane: constants of the neurons.
        weight: ``[synapses]``, signed.
        plasticity: what spike pairs do.
        plastic: whether they do it.
        inputs: ``[T, inputs]``, spikes.
        counts: ``[post]``, raised by each neuron's spikes.
        delivered: ``[pre]``, raised by the spikes that reached their synapses: those of the last step will not.
    """
    drive = np.zeros(counts.size)
    moved = np.zeros(2)
    for t in range(inputs.shape[0]):
        delivered += state.fired
        _integrate(wiring, state, membrane, weight, drive)
        _fire(wiring, state, membrane)
        _present(state, inputs[t])
        counts += state.fired[wiring.inputs :]
        if plastic:
            _learn(wiring, state, weight, plasticity, moved)


@compiled
def _sums(wiring: Wiring, weight: Floats, sums: Floats) -> None:
    sums[:] = 0.0
    for s in range(weight.size):
        sums[0 if wiring.sign[wiring.pre[s]] > 0 else 1] += abs(weight[s])


@compiled
def sleep(
    wiring: Wiring,
    state: State,
    membrane: Membrane,
    weight: Floats,
    plasticity: Plasticity,
    rest: Rest,
    random: Any,
    counts: Ints,
) -> int:
    """Steps without input: noise, plasticity, decay; `state`, `weight` and `counts` are changed in place.

    Before each step the sleep ends if both sums of magnitudes are within the tolerance of their targets. Summing is
    put off for as long as the two cannot have come that far since the last sum.

    Args:
        wiring: of the network.
        state: at the start; input spikes still under way are dropped.
        membrane: constants of the neurons.
        weight: ``[synapses]``, signed.
        plasticity: what spike pairs do.
        rest: constants of the sleep; at most ``len(rest.powers) - 1`` steps.
        random: a `numpy.random.Generator`; gives one normal number per neuron and step.
        counts: ``[post]``, raised by each neuron's spikes.

    Returns:
        Steps slept.
    """
    drive = np.zeros(counts.size)
    moved = np.zeros(2)  # by plasticity since the last sum
    drifted = np.zeros(2)  # at most, by decay since the last sum
    sums = np.zeros(2)
    away = np.zeros(2)
    stamp = np.zeros(weight.size, dtype=np.int64)
    nothing = np.zeros(wiring.inputs, dtype=np.bool_)
    state.fired[: wiring.inputs] = False
    k = 0
    for k in range(rest.powers.size):
        if rest.tolerance >= 0 and moved[0] + drifted[0] >= away[0] and moved[1] + drifted[1] >= away[1]:
            for s in range(weight.size):
                _catch_up(weight, stamp, s, k, rest)
            _sums(wiring, weight, sums)
            away[:] = np.abs(sums - rest.targets) - rest.tolerance * rest.targets
            if away[0] <= 0 and away[1] <= 0:
                break
            moved[:] = 0.0
            drifted[:] = 0.0
        if k == rest.powers.size - 1:
            break
        _catch_up_fired(wiring, state, weight, stamp, k, rest, False)
        _integrate(wiring, state, membrane, weight, drive)
        for j in range(drive.size):
            state.potential[j] += rest.noise * random.standard_normal()
        _fire(wiring, state, membrane)
        _present(state, nothing)
        counts += state.fired[wiring.inputs :]
        _catch_up_fired(wiring, state, weight, stamp, k, rest, True)
        _learn(wiring, state, weight, plasticity, moved)
        drifted += (sums + moved + drifted) * rest.fastest
    for s in range(weight.size):
        _catch_up(weight, stamp, s, k, rest)
    return k
