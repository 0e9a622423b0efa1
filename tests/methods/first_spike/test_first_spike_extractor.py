"""The feature extractor: its learning and its pooled spikes against plain Python, its preparation by hand."""

import numpy as np
import pytest
import torch
from slow_first_spike import CASES, dyadic, integrate, patch_step, spike_times

from spikemark.errors import InputError
from spikemark.methods.first_spike import extractor as module
from spikemark.methods.first_spike.convolution import learn_patches, pooled_spikes
from spikemark.methods.first_spike.extractor import Extraction, FeatureExtractor
from spikemark.methods.first_spike.feature_cache import Stores

SHAPE = (1, 8, 8)
SMALL = Extraction(filters=6, size=3, pool=2, epochs=3, threshold=1.0, floor=0.5)


def images(count, seed=0):
    return torch.rand((count, *SHAPE), generator=torch.Generator().manual_seed(seed))


def test_patches_against_plain_python(random):
    for _ in range(CASES):
        channels, size, filters = int(random.integers(1, 3)), int(random.integers(1, 4)), int(random.integers(2, 6))
        times = spike_times(random, 1, channels, 6, 6)
        weights = dyadic(random, channels, size, size, filters)
        thresholds = dyadic(random, filters, low=0.1, high=1.5).astype(float)
        row, column = (int(random.integers(0, 7 - size)) for _ in range(2))
        patch = times[0, :, row : row + size, column : column + size].reshape(-1)
        flat = weights.reshape(-1, filters).T.tolist()
        settings = (0.1, 0.5, 0.75, 0.2, 1.0)
        winner, new, moved = patch_step(patch.tolist(), flat, thresholds.tolist(), *settings)
        fired = learn_patches(times, np.array([row]), np.array([column]), weights, thresholds, *settings)
        assert fired == (winner is not None)
        np.testing.assert_allclose(weights.reshape(-1, filters).T, new, atol=1e-6)
        np.testing.assert_allclose(thresholds, moved, atol=1e-12)


def test_threshold_and_weights_of_a_winner_by_hand():
    times = np.float32([[[[0.25, 1.0]]]])  # one channel, one row; the right pixel is silent
    weights = np.float32([0.5, 0.25]).reshape(1, 1, 1, 2)
    thresholds = np.array([0.25, 0.5])
    here = np.zeros(1, dtype=np.int64)
    assert learn_patches(times, here, here, weights, thresholds, 0.1, 1.0, 0.75, 0.2, 1.0) == 1
    # Half a unit too early: both rise by 0.5; then the winner by 1, and the only other filter falls by 1 to the floor.
    assert thresholds.tolist() == [1.75, 0.2]
    assert weights.ravel().tolist() == pytest.approx([0.5 + 0.1 * np.exp(-0.5), 0.25])
    assert learn_patches(times, here, here + 1, weights, thresholds, 0.1, 1.0, 0.75, 0.2, 1.0) == 0


def test_pooled_spikes_against_loop_over_positions(random):
    for _ in range(CASES):
        channels, size, filters, pool = 2, int(random.integers(1, 4)), 3, int(random.integers(1, 3))
        times = spike_times(random, 1, channels, 6, 7)
        weights = dyadic(random, channels, size, size, filters, low=-0.3)
        thresholds = dyadic(random, filters, low=0.2, high=3.0)
        down, across = (6 - size + 1) // pool, (7 - size + 1) // pool
        found = np.empty((1, down, across, filters), dtype=np.float32)
        pooled_spikes(times, weights, thresholds, pool, found)
        expected = np.ones_like(found[0])
        for i in range(down * pool):
            for j in range(across * pool):
                patch = times[0, :, i : i + size, j : j + size].reshape(-1).tolist()
                spikes, _ = integrate(patch, weights.reshape(-1, filters).T.tolist(), thresholds.tolist())
                window = expected[i // pool, j // pool]
                window[:] = np.minimum(window, spikes)
        np.testing.assert_array_equal(found[0], expected)


def test_contrast_of_a_bright_dot_and_of_nothing():
    extractor = FeatureExtractor(SHAPE, SMALL)
    dot = torch.zeros(2, *SHAPE)
    dot[0, 0, 4, 4] = 1
    dot[1] = 0.5
    on, off = extractor.contrast(dot).unbind(1)
    assert on[0].argmax() == 4 * 8 + 4
    assert off[0, 4, 4] == 0
    assert off[0].max() > 0
    assert not ((on > 0) & (off > 0)).any()
    torch.testing.assert_close(on[1] + off[1], torch.zeros(8, 8), atol=1e-6, rtol=0)


def test_training_scales_every_feature_to_the_unit_interval():
    extractor = FeatureExtractor(SHAPE, SMALL)
    extractor.fit(images(20), seed=1)
    times = extractor.encode(images(20))
    torch.testing.assert_close(times.amin(0), torch.zeros(2, 8, 8))
    torch.testing.assert_close(times.amax(0), torch.ones(2, 8, 8))


def test_training_is_reproducible_and_depends_on_the_seed(monkeypatch):
    states = []
    for seed in (1, 1, 2):
        monkeypatch.setattr(module, "_TRAINED", type(module._TRAINED)())
        extractor = FeatureExtractor(SHAPE, SMALL)
        torch.nn.init.constant_(extractor.filters.weight, 0.5)
        extractor.fit(images(20), seed)
        states.append(extractor.filters.weight.clone())
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2])


def test_remembered_training_and_features_are_those_computed():
    first, second = FeatureExtractor(SHAPE, SMALL), FeatureExtractor(SHAPE, SMALL)
    second.load_state_dict(first.state_dict())
    first.fit(images(20), seed=3)
    second.fit(images(20), seed=3)
    assert torch.equal(first.filters.weight, second.filters.weight)
    mixed = torch.cat([images(20)[5:7], images(2, seed=9)])
    expected = torch.from_numpy(first._extract(mixed))
    assert torch.equal(first(mixed), expected)
    assert torch.equal(second(mixed.flip(0)), expected.flip(0))


def test_store_keeps_to_its_size_and_forgets_old_extractors():
    calls = []

    def extract(batch):
        calls.append(len(batch))
        return batch.flatten(1).numpy()[:, :4].copy()

    stores = Stores(size=2 * 4 * 4, extractors=1)
    stores.keep("a")
    for _ in range(2):
        stores.look_up("a", images(3), extract, 4)
    stores.keep("b")
    stores.look_up("a", images(3), extract, 4)
    assert calls == [3, 1, 3]


@pytest.mark.parametrize("value", [float("nan"), 1.5, -0.1])
def test_images_outside_the_unit_interval_are_refused(value):
    wrong = images(2)
    wrong[1, 0, 3, 3] = value
    with pytest.raises(InputError, match="inputs"):
        FeatureExtractor(SHAPE, SMALL)(wrong)


@pytest.mark.parametrize("shape", [(64,), (1, 3, 8)])
def test_samples_that_are_no_large_enough_images_are_refused(shape):
    with pytest.raises(InputError, match="dataset"):
        FeatureExtractor(shape, SMALL)
