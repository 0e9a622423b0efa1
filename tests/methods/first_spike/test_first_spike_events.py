"""Spike times, winners and scores: by hand, and against a loop over events."""

import numpy as np
import pytest
import torch
from slow_first_spike import CASES, dyadic, integrate, spike_times

from spikemark.errors import InputError
from spikemark.methods.first_spike.events import _on_any_device, first_spikes, sort_events
from spikemark.methods.first_spike.kernels import first_of
from spikemark.methods.first_spike.network import ranked_scores


def run(times, weights, thresholds, groups=None):
    return first_spikes(torch.tensor(times), torch.tensor(weights), torch.tensor(thresholds), groups)


def test_by_hand():
    times = torch.tensor([[0.25, 0.5, 0.5, 1.0]])
    weights = torch.tensor([[1.0, 1.0, 1.0, 9.0], [2.0, 0.0, 0.0, 0.0], [2.0, 1.0, -1.0, 0.0], [3.0, 0.0, 0.0, 0.0]])
    spikes, potentials = first_spikes(times, weights, torch.tensor([2.0, 2.0, 2.5, 2.0]))
    # The second is at its threshold, not above it; the third would cross it were equal times not summed first.
    assert spikes.tolist() == [[0.5, 1.0, 1.0, 0.25]]
    assert potentials.tolist() == [[3.0, 2.0, 2.0, 3.0]]


def test_against_loop_over_events(random):
    for _ in range(CASES):
        inputs, neurons = random.integers(1, 12), random.integers(1, 6)
        times = spike_times(random, 2, inputs)
        weights = dyadic(random, neurons, inputs, low=-0.5)
        thresholds = dyadic(random, neurons, low=0.1, high=2.0)
        expected = [integrate(row.tolist(), weights.tolist(), thresholds.tolist()) for row in times]
        for forward in (first_spikes, _on_any_device):
            spikes, potentials = forward(*map(torch.tensor, (times, weights, thresholds)))
            assert spikes.tolist() == [spikes for spikes, _ in expected]
            assert potentials.tolist() == [potentials for _, potentials in expected]


def test_groups_end_a_sample_without_changing_their_first_spike(random):
    for _ in range(CASES):
        times, weights = spike_times(random, 3, 20), dyadic(random, 6, 20)
        groups = torch.tensor([0, 0, 0, 1, 1, 1])
        thresholds = np.full(6, 3.0)
        spikes, _ = run(times, weights, thresholds)
        stopped, _ = run(times, weights, thresholds, groups)
        for group in (0, 1):
            torch.testing.assert_close(stopped[:, groups == group].amin(1), spikes[:, groups == group].amin(1))


def test_sorting_keeps_the_order_of_equal_times(random):
    for _ in range(CASES):
        times = np.where(random.random(200) < 0.5, random.random(200), spike_times(random, 200)).astype(np.float32)
        order, spare = np.empty(200, dtype=np.int32), np.empty(200, dtype=np.int32)
        count = sort_events(times, order, spare)
        expected = [i for i in np.argsort(times, kind="stable") if times[i] < 1]
        assert order[:count].tolist() == expected


def test_negative_zero_is_a_time_like_zero():
    spikes, _ = run(np.float32([[-0.0, 0.5]]), np.float32([[2.0, 0.0]]), np.float32([1.0]))
    assert spikes.tolist() == [[0.0]]


@pytest.mark.parametrize(
    ("spikes", "potentials", "winner"),
    [
        ([0.5, 0.25, 0.25], [9.0, 1.0, 2.0], 2),
        ([0.5, 0.25, 0.25], [9.0, 2.0, 2.0], 1),
        ([1.0, 1.0, 1.0], [1.0, 3.0, 2.0], 1),
    ],
)
def test_winner_is_the_earliest_then_the_highest_then_the_first(spikes, potentials, winner):
    assert first_of(np.float32(spikes), np.array(potentials), 0, 3) == winner


def test_scores_order_classes_as_decisions_do(random):
    for _ in range(CASES):
        times = spike_times(random, 4, 10)
        times[:, 5] = np.nextafter(times[:, 4], np.float32(0))  # as close as times can be
        potentials = dyadic(random, 4, 10) * (random.random((4, 10)) < 0.5)
        scores = ranked_scores(torch.tensor(times), torch.tensor(potentials)).tolist()
        for t, v, s in zip(times.tolist(), potentials.tolist(), scores, strict=True):
            for i in range(10):
                for j in range(10):
                    assert (s[i] > s[j]) == ((t[i], -v[i]) < (t[j], -v[j]))
                assert s[i] == pytest.approx(1 - t[i], abs=1e-5)


@pytest.mark.parametrize(("value", "what"), [(float("nan"), "NaN"), (1.5, "1.5"), (-0.1, "-0.1")])
def test_times_outside_the_unit_interval_are_refused(value, what):
    with pytest.raises(InputError, match=f"times: .*{what}"):
        run(np.float32([[0.5, value]]), np.float32([[1.0, 1.0]]), np.float32([1.0]))
