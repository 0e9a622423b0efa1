import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from idx_files import idx

from spikemark.core.streams import fingerprint
from spikemark.data import files
from spikemark.data.card import DATASETS, File, Sizes
from spikemark.data.images import read_idx
from spikemark.data.loading import load_dataset
from spikemark.data.pools import Pool
from spikemark.errors import DataError

SHARED = os.environ.get("SPIKEMARK_DATA")
needs_data = pytest.mark.skipif(not SHARED, reason="SPIKEMARK_DATA names no folder with real data sets")


def test_digits_splits_are_disjoint_complete_and_fixed():
    data, again = load_dataset("digits"), load_dataset("digits")
    splits = (data.train, data.validation, data.test)
    assert [len(split) for split in splits] == [1000, 300, 497]
    assert data.shape == (1, 8, 8)
    assert data.classes == 10
    for split in splits:
        assert split.inputs.dtype == torch.float32
        assert split.labels.dtype == torch.int64
        assert split.inputs.shape == (len(split), 1, 8, 8)
        assert float(split.inputs.min()) == 0.0
        assert float(split.inputs.max()) == 1.0
    # The 1,797 images and how often each occurs must come back exactly, whatever the order.
    from sklearn.datasets import load_digits

    everything = torch.cat([split.inputs for split in splits]).flatten(1).numpy() * 16
    expected = load_digits().data
    order, expected_order = np.lexsort(everything.T), np.lexsort(expected.T)
    np.testing.assert_array_equal(everything[order], expected[expected_order])
    assert fingerprint(data.test.inputs, data.train.labels) == fingerprint(again.test.inputs, again.train.labels)


def test_smaller_split_is_the_beginning_of_the_larger():
    whole, part = load_dataset("digits"), load_dataset("digits", sizes=Sizes(100, 20, 30))
    for split, count in (("train", 100), ("validation", 20), ("test", 30)):
        small = getattr(part, split)
        assert len(small) == count
        assert torch.equal(small.inputs, getattr(whole, split).inputs[:count])
        assert torch.equal(small.labels, getattr(whole, split).labels[:count])


def test_digits_labels_belong_to_their_images():
    # A nearest-centroid classifier reads 90 % of digits; with labels out of order it would be at chance.
    data = load_dataset("digits")
    centroids = torch.stack([data.train.inputs[data.train.labels == c].mean(0).flatten() for c in range(10)])
    guesses = torch.cdist(data.test.inputs.flatten(1), centroids).argmin(1)
    assert (guesses == data.test.labels).float().mean() > 0.85


@pytest.mark.parametrize(("sizes", "message"), [({"train": 1001}, "1001 asked for, but digits has 1000 train samples")])
def test_too_many_samples(sizes, message):
    with pytest.raises(ValueError, match=message):
        load_dataset("digits", sizes=Sizes(**sizes))


@pytest.mark.parametrize("count", [0, -1, 1.5, True])
def test_sizes_are_positive_whole_numbers(count):
    with pytest.raises(ValueError, match=r"^test: "):
        Sizes(test=count)


def test_unknown_name_suggests_one():
    with pytest.raises(KeyError, match="did you mean 'mnist'"):
        load_dataset("mnits")


def test_idx_set_from_a_folder_keeps_the_official_test_set(tiny):
    data = load_dataset("tiny", tiny)
    assert [len(s) for s in (data.train, data.validation, data.test)] == [15, 5, 6]
    raw = read_idx((tiny / "Tiny/raw/t10k-images.gz").read_bytes(), 3, "t10k")
    images = {tuple(image.flatten().tolist()) for image in raw.astype(np.float32) / 255}
    assert {tuple(image.flatten().tolist()) for image in data.test.inputs.numpy()} == images
    assert sorted(data.test.labels.tolist()) == [0, 0, 1, 1, 2, 3]


def test_environment_names_the_folder_and_raw_may_be_left_out(tiny, monkeypatch):
    for file in (tiny / "Tiny/raw").iterdir():
        file.rename(tiny / "Tiny" / file.name)
    monkeypatch.setenv("SPIKEMARK_DATA", str(tiny))
    assert len(load_dataset("tiny").test) == 6


def test_missing_file_without_network_is_one_line_that_names_it(tiny):
    (tiny / "Tiny/raw/t10k-labels.gz").unlink()
    with pytest.raises(DataError, match=r"tiny: Tiny/raw/t10k-labels.gz is missing and .* put it in DIR/") as caught:
        load_dataset("tiny", tiny)
    assert "\n" not in str(caught.value)


def test_missing_file_without_address_names_what_to_do(tiny):
    card = DATASETS["tiny"]
    with pytest.raises(DataError, match="has no known download; put it in DIR/Tiny/x"):
        files.read(card, File("Tiny/x", "0" * 64), tiny)


def test_missing_folder(tiny):
    with pytest.raises(DataError, match="nowhere is not a folder"):
        load_dataset("tiny", Path("nowhere"))


def test_damaged_file_is_refused(tiny):
    path = tiny / "Tiny/raw/train-images.gz"
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match=r"train-images.gz is damaged: its SHA-256 is .* expected"):
        load_dataset("tiny", tiny)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no gzip", "not a whole gzip file"),
        (idx(np.zeros((2, 3, 3)))[:-9], "not a whole gzip file"),
        (idx(np.zeros((2, 3, 3)), code=0x0D), "begins with 00000d03, expected the idx magic number 00000803"),
        (idx(np.zeros(7)), "begins with 00000801"),
        (gzip.compress(bytes((0, 0, 8, 3)) + struct.pack(">3I", 2, 3, 3) + bytes(17)), "17 bytes of data"),
        (gzip.compress(b"\0\0"), "begins with 0000"),
    ],
    ids=["no gzip", "torn", "other type", "labels", "too short", "no header"],
)
def test_bad_idx_files(content, message):
    with pytest.raises(DataError, match=message):
        read_idx(content, 3, "some.gz")


def test_pool_names_the_sample_with_a_label_outside_the_classes(tiny):
    pool = Pool(np.zeros((3, 1, 2, 3), np.uint8), np.array([0, 4, 1]), "file.gz")
    with pytest.raises(DataError, match=r"file.gz, sample 1: label 4, expected 0..3"):
        pool.check(DATASETS["tiny"])


def test_pool_with_the_wrong_shape_or_length(tiny):
    with pytest.raises(DataError, match="samples have shape"):
        Pool(np.zeros((3, 1, 2, 2), np.uint8), np.zeros(3, np.int64), "x").check(DATASETS["tiny"])
    with pytest.raises(DataError, match="3 samples with 2 labels"):
        Pool(np.zeros((3, 1)), np.zeros(2, np.int64), "x")


def test_manifest_lines():
    manifest = File("Folder/SHA256SUMS", "0" * 64)
    listed = list(files.listed(manifest, f"{'a' * 64}  sub/one.bin\n".encode()))
    assert listed == [File("Folder/sub/one.bin", "a" * 64)]
    with pytest.raises(DataError, match="line 1"):
        list(files.listed(manifest, b"nonsense\n"))


@needs_data
@pytest.mark.parametrize(("name", "mean"), [("mnist", 0.1307), ("fashion-mnist", 0.2860)])
def test_real_images(name, mean):
    data = load_dataset(name, sizes=Sizes(2000, 100, 10_000))
    assert data.train.inputs.shape == (2000, 1, 28, 28)
    assert data.train.inputs.mean().item() == pytest.approx(mean, abs=0.01)
    assert torch.bincount(data.test.labels).sum() == 10_000


def test_cards_are_named_by_their_key_and_have_an_encoder():
    from spikemark.data.encoders import ENCODERS

    for name, card in DATASETS.items():
        assert name == card.name
        assert card.encoder in ENCODERS
        assert None not in (card.samples.train, card.samples.validation, card.samples.test)
