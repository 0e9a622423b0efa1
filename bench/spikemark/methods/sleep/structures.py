"""What the compiled simulation works on: plain named tuples of arrays and numbers, and how they come from options."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from spikemark.methods.sleep.options import NeuronConstants
from spikemark.methods.sleep.options import SleepStdp as SleepOptions

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEVER = 1 << 40
# Beyond so many time constants exp(-age / tau) is below 1e-35: added to a weight, it changes no bit of it.
_LONGEST = 80


class Wiring(NamedTuple):
    """Which neurons are connected; synapses are numbered in the order of their presynaptic neurons.

    Attributes:
        inputs: how many of the presynaptic neurons are inputs; they come first.
        out_start: ``[pre + 1]``, first synapse of each presynaptic neuron.
        post: ``[synapses]``, postsynaptic neuron, counted without the inputs.
        pre: ``[synapses]``.
        in_start: ``[post + 1]``, where each postsynaptic neuron's part of `incoming` begins.
        incoming: ``[synapses]``, synapses in the order of their postsynaptic neurons.
        sign: ``[pre]``, 1 for excitatory neurons and inputs, -1 for inhibitory neurons.
    """

    inputs: int
    out_start: Ints
    post: Ints
    pre: Ints
    in_start: Ints
    incoming: Ints
    sign: Floats


class State(NamedTuple):
    """What moves from step to step. `fired` and `since` are of all neurons, inputs first; the rest without inputs.

    Attributes:
        potential: v, mV.
        current: I.
        adaptation: a, mV.
        threshold: theta, mV.
        fired: whether the neuron spiked in the last step.
        since: steps since the last spike; 0 where `fired`, at least `NEVER` where there was none.
    """

    potential: Floats
    current: Floats
    adaptation: Floats
    threshold: Floats
    fired: NDArray[np.bool_]
    since: Ints


class Membrane(NamedTuple):
    """Constants of `NeuronConstants`, with the time constants as rates per step."""

    membrane_rate: float
    synapse_rate: float
    resistance: float
    rest: float
    reset: float
    lowest: float
    highest: float
    threshold: float
    threshold_lowest: float
    threshold_highest: float
    adaptation_rate: float
    adaptation: float


class Plasticity(NamedTuple):
    """What pairs of spikes do to the magnitude of a weight.

    Attributes:
        pre_first: ``[n]``, change when the postsynaptic spike comes n steps after the presynaptic one, n > 0.
        post_first: ``[n]``, change when the presynaptic spike comes n >= 0 steps after the postsynaptic one.
        smallest: bound of the magnitude.
        largest: bound of the magnitude.
    """

    pre_first: Floats
    post_first: Floats
    smallest: float
    largest: float


class Rest(NamedTuple):
    """Constants of a sleep.

    Attributes:
        noise: standard deviation, mV per step.
        baseline: w*.
        powers: ``lambda ** k`` for k = 0 to the length of the sleep.
        targets: ``[2]``, first sums of the excitatory and the inhibitory magnitudes.
        tolerance: fraction of the targets; negative: never end early.
        fastest: bound of the relative change of any weight by one step of decay.
    """

    noise: float
    baseline: float
    powers: Floats
    targets: Floats
    tolerance: float
    fastest: float


def wire(inputs: int, neurons: int, pre: Ints, post: Ints, inhibitory: int) -> Wiring:
    """The wiring of given synapses.

    Args:
        inputs: how many inputs there are.
        neurons: how many neurons; the last `inhibitory` of them are.
        pre: ``[synapses]``, ascending; inputs first, then neurons.
        post: ``[synapses]``, neurons counted from 0.
        inhibitory: how many neurons are.
    """
    incoming = np.argsort(post, kind="stable")
    sign = np.ones(inputs + neurons)
    sign[inputs + neurons - inhibitory :] = -1.0
    out_start = np.searchsorted(pre, np.arange(inputs + neurons + 1))
    in_start = np.searchsorted(post[incoming], np.arange(neurons + 1))
    return Wiring(inputs, out_start, post, pre, in_start, incoming, sign)


def at_rest(inputs: int, neurons: int, constants: NeuronConstants) -> State:
    """The state in which nothing has happened yet."""
    return State(
        potential=np.full(neurons, float(constants.rest)),
        current=np.zeros(neurons),
        adaptation=np.zeros(neurons),
        threshold=np.full(
            neurons, float(min(max(constants.threshold, constants.threshold_lowest), constants.threshold_highest))
        ),
        fired=np.zeros(inputs + neurons, dtype=np.bool_),
        since=np.full(inputs + neurons, NEVER, dtype=np.int64),
    )


def membrane_of(constants: NeuronConstants) -> Membrane:
    """The constants as the kernels take them."""
    return Membrane(
        1.0 / constants.tau_membrane,
        1.0 / constants.tau_synapse,
        float(constants.resistance),
        float(constants.rest),
        float(constants.reset),
        float(constants.lowest),
        float(constants.highest),
        float(constants.threshold),
        float(constants.threshold_lowest),
        float(constants.threshold_highest),
        1.0 / constants.tau_adaptation,
        float(constants.adaptation),
    )


def plasticity_of(options: SleepOptions) -> Plasticity:
    """The two windows of pair-based plasticity, by the steps between the spikes.

    With the classical sign the causal order strengthens, ``eta A+ exp(-n / tau+)`` for n > 0, and all else weakens,
    ``-eta A- exp(-n / tau-)``: a synapse delays by a step, so a spike cannot cause another in the same step. The
    reversed sign exchanges the two windows, and equal times strengthen.
    """
    ages = np.arange(1 + math.ceil(_LONGEST * max(options.tau_potentiation, options.tau_depression)))
    strengthen = options.learning_rate * options.potentiation * np.exp(-ages / options.tau_potentiation)
    weaken = -options.learning_rate * options.depression * np.exp(-ages / options.tau_depression)
    pre_first, post_first = (strengthen, weaken) if options.sign == "classical" else (weaken, strengthen)
    return Plasticity(pre_first, post_first, float(options.smallest), float(options.largest))


def rest_of(options: SleepOptions, targets: Floats) -> Rest:
    """Constants of a sleep whose early end compares with `targets`, the first sums of magnitudes."""
    farthest = max(math.log(options.largest / options.baseline), math.log(options.baseline / options.smallest))
    return Rest(
        noise=float(options.noise),
        baseline=float(options.baseline),
        powers=np.power(float(options.decay), np.arange(options.length + 1)),
        targets=targets,
        tolerance=-1.0 if options.tolerance is None else float(options.tolerance),
        fastest=math.expm1((1.0 - options.decay) * farthest),
    )
