import pytest
import torch

from spikemark.core.streams import generator
from spikemark.noise import spikes

ONES, ZEROS = torch.ones(10, 40, 50), torch.zeros(10, 40, 50)


def test_deletion_only_removes():
    out = spikes.deletion(ONES, 0.3, generator("a"))
    assert out.mean().item() == pytest.approx(0.7, abs=0.02)
    assert torch.equal(spikes.deletion(ZEROS, 0.3, generator("a")), ZEROS)


def test_insertion_only_adds():
    out = spikes.insertion(ZEROS, 0.2, generator("a"))
    assert out.mean().item() == pytest.approx(0.2, abs=0.02)
    assert torch.equal(spikes.insertion(ONES, 0.2, generator("a")), ONES)


def test_jitter_moves_a_lone_spike_evenly_within_its_reach():
    lone = torch.zeros(11, 4000)
    lone[5] = 1
    out = spikes.jitter(lone, 2, generator("a"))
    assert torch.equal(out.sum(0), torch.ones(4000))
    assert out.mean(1).tolist() == pytest.approx([0, 0, 0, 0.2, 0.2, 0.2, 0.2, 0.2, 0, 0, 0], abs=0.03)


def test_jitter_keeps_spikes_in_time_and_merges_those_that_meet():
    first = torch.zeros(4, 100)
    first[0] = 1
    assert torch.equal(spikes.jitter(first, 5, generator("a")).sum(0), torch.ones(100))
    out = spikes.jitter(ONES, 3, generator("a"))
    assert set(out.unique().tolist()) == {0.0, 1.0}
    assert out.sum() < ONES.sum()
    assert torch.equal(spikes.jitter(ZEROS, 3, generator("a")), ZEROS)


def test_bursts_hit_the_named_fraction_and_last_two_steps():
    # On a silent line every second bad step shows as a spike, on a full one as a gap.
    silent = torch.zeros(200, 500)
    assert spikes.bursts(silent, 0.3, generator("a")).mean().item() == pytest.approx(0.15, abs=0.01)
    assert spikes.bursts(silent + 1, 0.3, generator("a")).mean().item() == pytest.approx(0.85, abs=0.01)
    # Bad steps follow each other with 1 - 1/2: a spike is followed by another with 1/2 * 1/2.
    out = spikes.bursts(silent, 0.05, generator("a"))
    followed = (out[1:] * out[:-1]).sum() / out[:-1].sum()
    assert followed.item() == pytest.approx(0.25, abs=0.03)
