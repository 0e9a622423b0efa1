"""The compiled simulation against worked examples and against a network of plain Python objects, event by event."""

import math
import random

import numpy as np
import pytest

from spikemark.methods.sleep import kernels
from spikemark.methods.sleep.options import NeuronConstants
from spikemark.methods.sleep.options import SleepStdp as SleepOptions
from spikemark.methods.sleep.structures import at_rest, membrane_of, plasticity_of, rest_of, wire

CASES = 200


class SlowNetwork:
    """The equations of docs/sleep.md, one synapse and one spike at a time; spike times instead of counters."""

    def __init__(self, inputs, neurons, inhibitory, synapses, constants, options):
        self.inputs, self.neurons, self.c, self.o = inputs, neurons, constants, options
        self.inhibitory = set(range(inputs + neurons - inhibitory, inputs + neurons))
        self.synapses = dict(synapses)  # (pre, post) -> signed weight, both counted with the inputs
        self.now = 0
        self.last = {}
        self.fired = set()
        self.v = [constants.rest] * neurons
        self.i = [0.0] * neurons
        self.a = [0.0] * neurons
        self.theta = [constants.threshold] * neurons
        self.spikes = [0] * neurons
        self.delivered = [0] * (inputs + neurons)

    def step(self, input_spikes, noise=None, plastic=True):
        c = self.c
        drive = [0.0] * self.neurons
        for pre in self.fired:
            self.delivered[pre] += 1
        for (pre, post), weight in self.synapses.items():
            if pre in self.fired:
                drive[post - self.inputs] += weight
        fired = {k for k, spike in enumerate(input_spikes) if spike}
        for j in range(self.neurons):
            self.i[j] = self.i[j] + (-self.i[j] + drive[j]) / c.tau_synapse
            v = self.v[j] + (-(self.v[j] - c.rest) + c.resistance * self.i[j]) / c.tau_membrane
            v = v + (noise[j] if noise is not None else 0.0)
            v = c.highest if v > c.highest else c.lowest if v < c.lowest else v
            self.a[j] = self.a[j] * (1 - 1 / c.tau_adaptation)
            if v > self.theta[j]:
                v = c.reset
                self.a[j] += c.adaptation
                self.spikes[j] += 1
                fired.add(self.inputs + j)
            self.v[j] = v
            self.theta[j] = sorted((c.threshold_lowest, c.threshold + self.a[j], c.threshold_highest))[1]
        self.now += 1
        for k in fired:
            self.last[k] = self.now
        self.fired = fired
        if plastic:
            for pair in self.synapses:
                self.pair(*pair)

    def pair(self, pre, post):
        if pre not in self.last or post not in self.last or (pre not in self.fired and post not in self.fired):
            return
        o, lag = self.o, self.last[post] - self.last[pre]  # above 0: pre came first
        strengthens = lag > 0 if o.sign == "classical" else lag <= 0
        if strengthens:
            step = o.learning_rate * o.potentiation * math.exp(-abs(lag) / o.tau_potentiation)
        else:
            step = -o.learning_rate * o.depression * math.exp(-abs(lag) / o.tau_depression)
        weight = self.synapses[pre, post]
        direction = -1 if pre in self.inhibitory else 1
        size = min(o.largest, max(o.smallest, abs(weight) + step))
        self.synapses[pre, post] = direction * size

    def sum_of(self, inhibitory):
        return sum(abs(w) for (pre, _), w in self.synapses.items() if (pre in self.inhibitory) == inhibitory)

    def sleep(self, length, targets, noise):
        o = self.o
        self.fired -= set(range(self.inputs))
        for k in range(length):
            if o.tolerance is not None and all(
                abs(self.sum_of(bool(g)) - targets[g]) <= o.tolerance * targets[g] for g in (0, 1)
            ):
                return k
            self.step([False] * self.inputs, [o.noise * noise.standard_normal() for _ in range(self.neurons)])
            for pair, w in self.synapses.items():
                self.synapses[pair] = math.copysign(o.baseline * (abs(w) / o.baseline) ** o.decay, w)
        return length


def random_case(rng):
    """Sizes, synapses, constants and options of a small and lively network."""
    inputs, excitatory, inhibitory = rng.randint(2, 6), rng.randint(2, 5), rng.randint(1, 3)
    neurons = excitatory + inhibitory
    options = SleepOptions(
        fraction=1.0,
        interval=rng.randint(1, 25),
        decay=rng.choice([0.5, 0.9, 0.99, 0.999, 1.0]),
        baseline=rng.choice([0.05, 0.3, 1.0]),
        noise=rng.uniform(0, 20),
        tolerance=rng.choice([None, 0.001, 0.05, 0.5]),
        sign=rng.choice(["classical", "reversed"]),
        learning_rate=rng.uniform(0, 0.3),
        potentiation=rng.uniform(0.2, 1.5),
        depression=rng.uniform(0.2, 1.5),
        tau_potentiation=rng.uniform(1, 20),
        tau_depression=rng.uniform(1, 20),
        smallest=0.05,
        largest=rng.choice([1.0, 4.0]),
    )
    constants = NeuronConstants(
        tau_membrane=rng.uniform(1, 10),
        tau_synapse=rng.uniform(1, 10),
        resistance=rng.uniform(20, 100),
        tau_adaptation=rng.uniform(1, 50),
        adaptation=rng.uniform(0, 30),
        threshold_highest=rng.choice([0.0, -50.0]),
        highest=rng.choice([40.0, -54.0]),
    )
    synapses = {}
    for pre in range(inputs + neurons):
        for j in range(neurons):
            if rng.random() < 0.5 and pre != inputs + j:
                sign = -1 if pre >= inputs + excitatory else 1
                synapses[pre, inputs + j] = sign * rng.uniform(options.smallest, options.largest)
    return inputs, neurons, inhibitory, synapses, constants, options


def compiled(inputs, neurons, inhibitory, synapses, constants, options):
    pairs = sorted(synapses)
    pre = np.array([p for p, _ in pairs], dtype=np.int64)
    post = np.array([q - inputs for _, q in pairs], dtype=np.int64)
    wiring = wire(inputs, neurons, pre, post, inhibitory)
    weight = np.array([synapses[pair] for pair in pairs])
    return wiring, weight, at_rest(inputs, neurons, constants), membrane_of(constants), plasticity_of(options)


def assert_same(slow, wiring, weight, state, counts):
    assert counts.tolist() == slow.spikes
    np.testing.assert_allclose(state.potential, slow.v, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(state.current, slow.i, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(state.adaptation, slow.a, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(state.threshold, slow.theta, rtol=1e-9, atol=1e-9)
    expected = [slow.synapses[pair] for pair in zip(wiring.pre, wiring.post + slow.inputs, strict=True)]
    np.testing.assert_allclose(weight, expected, rtol=1e-9)


def test_one_neuron_by_hand():
    """One input of weight 2 into one neuron, one spike: I = 2/2, then halves; v = -70 + (10 * I) / 2 and so on."""
    constants = NeuronConstants(
        tau_membrane=2, tau_synapse=2, resistance=40, tau_adaptation=4, adaptation=8, threshold=-55, reset=-80
    )
    options = SleepOptions()
    wiring, weight, state, membrane, plasticity = compiled(1, 1, 0, {(0, 1): 2.0}, constants, options)
    counts, delivered = np.zeros(1, dtype=np.int64), np.zeros(2, dtype=np.int64)

    def step(spike):
        spikes = np.array([[spike]])
        kernels.wake(wiring, state, membrane, weight, plasticity, False, spikes, counts, delivered)

    step(True)  # the spike is on its way
    assert (state.current[0], state.potential[0]) == (0.0, -70.0)
    step(False)  # I = 1; v = -70 + 40 / 2 = -50 > -55: spike
    assert (state.current[0], state.potential[0], state.adaptation[0], state.threshold[0]) == (1.0, -80.0, 8.0, -47.0)
    step(False)  # I = 0.5; v = -80 + (10 + 20) / 2 = -65; a = 6
    assert (state.current[0], state.potential[0], state.adaptation[0], state.threshold[0]) == (0.5, -65.0, 6.0, -49.0)
    assert (counts.tolist(), delivered.tolist()) == ([1], [1, 1])


@pytest.mark.parametrize(
    ("sign", "pre_first", "together", "post_first"),
    [("classical", 0.5 * math.exp(-3 / 4), -0.3, -0.3 * math.exp(-3 / 2)),
     ("reversed", -0.3 * math.exp(-3 / 2), 0.5, 0.5 * math.exp(-3 / 4))],
)  # fmt: skip
@pytest.mark.parametrize("inhibitory", [False, True])
def test_window_by_hand(sign, pre_first, together, post_first, inhibitory):
    """One pair of spikes, three steps apart either way and at once; magnitudes of inhibitory weights move alike."""
    options = SleepOptions(
        sign=sign, learning_rate=1.0, potentiation=0.5, depression=0.3, tau_potentiation=4, tau_depression=2
    )
    constants = NeuronConstants()
    weight0 = -2.0 if inhibitory else 2.0
    for pre_time, post_time, change in ((0, 3, pre_first), (2, 2, together), (4, 1, post_first)):
        case = compiled(0, 2, 1 if inhibitory else 0, {(1, 0): weight0}, constants, options)
        wiring, weight, state, _, plasticity = case
        for t in range(6):
            state.fired[:] = (t == post_time, t == pre_time)
            state.since[:] = np.where(state.fired, 0, state.since + 1)
            kernels._learn(wiring, state, weight, plasticity, np.zeros(2))
        assert abs(weight[0]) == pytest.approx(2.0 + change)
        assert np.sign(weight[0]) == np.sign(weight0)


def test_wake_is_the_slow_network():
    for seed in range(CASES):
        rng = random.Random(seed)
        case = random_case(rng)
        slow = SlowNetwork(*case)
        wiring, weight, state, membrane, plasticity = compiled(*case)
        spikes = np.array([[rng.random() < 0.4 for _ in range(case[0])] for _ in range(20)])
        counts, delivered = np.zeros(case[1], dtype=np.int64), np.zeros(case[0] + case[1], dtype=np.int64)
        plastic = seed % 4 > 0
        kernels.wake(wiring, state, membrane, weight, plasticity, plastic, spikes, counts, delivered)
        for row in spikes:
            slow.step(row, plastic=plastic)
        assert_same(slow, wiring, weight, state, counts)
        assert delivered.tolist() == slow.delivered


def test_sleep_is_the_slow_network():
    early = 0
    for seed in range(CASES):
        rng = random.Random(1000 + seed)
        case = random_case(rng)
        options = case[-1]
        slow = SlowNetwork(*case)
        wiring, weight, state, membrane, plasticity = compiled(*case)
        spikes = np.array([[rng.random() < 0.4 for _ in range(case[0])] for _ in range(8)])
        counts, delivered = np.zeros(case[1], dtype=np.int64), np.zeros(case[0] + case[1], dtype=np.int64)
        kernels.wake(wiring, state, membrane, weight, plasticity, True, spikes, counts, delivered)
        for row in spikes:
            slow.step(row)
        targets = [slow.sum_of(False) * rng.uniform(0.8, 1.2), slow.sum_of(True) * rng.uniform(0.8, 1.2)]
        rest = rest_of(options, np.array(targets))
        took = kernels.sleep(wiring, state, membrane, weight, plasticity, rest, np.random.default_rng(seed), counts)
        assert took == slow.sleep(options.length, targets, np.random.default_rng(seed))
        early += took < options.length
        assert_same(slow, wiring, weight, state, counts)
    assert 10 < early < CASES - 10  # both ways out of a sleep were taken


def test_decay_has_its_closed_form():
    """Without noise and plasticity, k steps leave ``w* (|w0| / w*) ** (lambda ** k)``, signs kept."""
    rng = np.random.default_rng(5)
    for _ in range(CASES):
        steps, decay, baseline = int(rng.integers(1, 40)), rng.uniform(0.9, 1), rng.uniform(0.01, 25)
        first = rng.uniform(0.01, 25, size=4)
        synapses = {(0, 3): first[0], (1, 4): first[1], (3, 4): first[2], (4, 3): -first[3]}
        options = SleepOptions(
            fraction=1, interval=steps, decay=decay, baseline=baseline, noise=0, learning_rate=0, tolerance=None
        )
        wiring, weight, state, membrane, plasticity = compiled(3, 2, 1, synapses, NeuronConstants(), options)
        state.fired[3] = state.fired[4] = True  # so that some weights are caught up with before the end
        before = weight.copy()
        counts = np.zeros(2, dtype=np.int64)
        rest = rest_of(options, np.ones(2))
        random_numbers = np.random.default_rng(0)
        took = kernels.sleep(wiring, state, membrane, weight, plasticity, rest, random_numbers, counts)
        assert took == steps
        expected = np.sign(before) * baseline * (np.abs(before) / baseline) ** (decay**steps)
        np.testing.assert_allclose(weight, expected, rtol=1e-12)


def test_published_decay():
    """A tenth of 35,000 steps takes 0.3 to 0.2137 on its way to 0.01."""
    options = SleepOptions(fraction=0.1, noise=0)
    wiring, weight, state, membrane, plasticity = compiled(1, 1, 0, {(0, 1): 0.3}, NeuronConstants(), options)
    rest = rest_of(options, np.array([1.0, 1.0]))
    counts = np.zeros(1, dtype=np.int64)
    assert kernels.sleep(wiring, state, membrane, weight, plasticity, rest, np.random.default_rng(0), counts) == 3500
    assert weight[0] == pytest.approx(0.2137, abs=5e-5)
