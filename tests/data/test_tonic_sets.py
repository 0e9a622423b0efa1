"""The sets that tonic downloads, from tiny files in tonic's layout; nothing here touches the network."""

import hashlib
import sys
import tarfile
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from test_events import nmnist_bytes

from spikemark.data import files
from spikemark.data import tonic_sets as sets
from spikemark.data.card import DATASETS, Binning
from spikemark.data.files import data_table, verify
from spikemark.data.loading import load_dataset
from spikemark.errors import DataError, InputError

pytest.importorskip("tonic", reason="tonic (extra 'events') is not installed")
NAMES = ("nmnist", "cifar10-dvs", "dvs128-gesture", "shd", "ssc")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """An empty data folder; the cache is elsewhere and empty."""
    monkeypatch.setattr(files, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("SPIKEMARK_DATA", raising=False)
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def nmnist_files(folder, events=((3, 4, 10, 1), (3, 4, 299_999, 0))):
    for split, labels in (("Train", (0, 7)), ("Test", (9,))):
        for number, label in enumerate(labels, start=1):
            write(folder / "NMNIST" / split / str(label) / f"{number:05}.bin", nmnist_bytes(events))


def test_nmnist(folder):
    nmnist_files(folder)
    pools = sets.nmnist(DATASETS["nmnist"], folder)
    assert pools["train"].labels.tolist() == [0, 7]
    assert pools["test"].labels.tolist() == [9]
    assert {tuple(p.tolist()) for p in np.argwhere(pools["test"].inputs[0])} == {(0, 1, 4, 3), (9, 0, 4, 3)}
    assert pools["test"].read(0)["t"].tolist() == [10, 299_999]


def test_nmnist_from_its_archives(folder, monkeypatch, only_card):
    nmnist_files(folder)
    listed = []
    for file in DATASETS["nmnist"].files:
        archive = folder / file.path
        with zipfile.ZipFile(archive, "w") as target:
            for path in sorted((folder / file.unpacked).rglob("*.bin")):
                target.write(path, path.relative_to(folder / "NMNIST"))
                path.unlink()
        listed.append(replace(file, md5=hashlib.md5(archive.read_bytes()).hexdigest()))
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and path.name != "NMNIST":
            path.rmdir()
    card = replace(DATASETS["nmnist"], files=tuple(listed))
    only_card(card)
    assert verify("nmnist", folder) == []
    assert data_table(folder)[0]["present"] == "yes"
    assert len(sets.nmnist(card, folder)["train"].labels) == 2
    assert (files.cache_folder() / "NMNIST/Train/7/00002.bin").is_file()
    assert {path.name for path in (folder / "NMNIST").iterdir()} == {"train.zip", "test.zip"}  # only read

    # Damaged, and cut off although the checksum is that of what is there.
    other = replace(card, binning=replace(card.binning, steps=5), steps=5)
    archive = folder / "NMNIST/train.zip"
    archive.write_bytes(archive.read_bytes()[:-40])
    monkeypatch.setattr(files, "cache_folder", lambda: folder.parent / "cache2")
    with pytest.raises(DataError, match=r"train.zip is damaged: its MD5 is .* expected"):
        sets.nmnist(other, folder)
    cut = replace(listed[0], md5=hashlib.md5(archive.read_bytes()).hexdigest())
    with pytest.raises(DataError, match=r"train.zip: not a whole archive"):
        sets.nmnist(replace(other, files=(cut, listed[1])), folder)
    assert not (files.cache_folder() / "NMNIST/Train").exists()


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([], "Train/0/00001.bin: holds no events"),
        ([(34, 2, 6, 0)], r"Train/0/00001.bin, event 0: pixel \(34, 2\) lies outside the sensor of 34 x 34"),
        ([(1, 1, 50, 0), (1, 2, 49, 0)], "Train/0/00001.bin, event 1: time 49 us comes after 50 us"),
    ],
)
def test_bad_recordings_are_named(folder, events, message):
    nmnist_files(folder, events)
    with pytest.raises(DataError, match=message):
        sets.nmnist(DATASETS["nmnist"], folder)


def test_gestures(folder):
    # Columns x, y, polarity, time in ms; the recording begins at 700 ms.
    events = np.array([[10, 20, 1, 700], [127, 127, 0, 750]], dtype=np.int64)
    for split, label in (("Train", 3), ("Test", 10)):
        path = folder / f"DVSGesture/ibmGesture{split}/user01_fluorescent/{label}.npy"
        path.parent.mkdir(parents=True)
        np.save(path, events)
    pools = sets.dvs_gesture(DATASETS["dvs128-gesture"], folder)
    assert pools["train"].labels.tolist() == [3]
    assert pools["test"].read(0)["t"].tolist() == [0, 50_000]
    # By count: the first event in the first 8 of 16 bins, the second after them; 128 x 128 merged to 64 x 64.
    assert np.argwhere(pools["test"].inputs[0]).tolist() == [[0, 1, 10, 5], [8, 0, 63, 63]]
    np.save(path, np.zeros((0, 4), dtype=np.int64))
    merged = DATASETS["dvs128-gesture"].binned(Binning(polarities="merge"))
    with pytest.raises(DataError, match=r"10.npy: holds no events"):
        sets.dvs_gesture(merged, folder)
    path.write_bytes(b"torn")
    with pytest.raises(DataError, match=r"10.npy: not a recording"):
        sets.dvs_gesture(merged, folder)


def hsd_file(path, labels=(4, 19), units=(0, 699)):
    import h5py

    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, dtype, values in (
            ("spikes/times", np.float32, [np.array([0.0, 0.5], np.float32)] * len(labels)),
            ("spikes/units", np.int64, [np.array(units)] * len(labels)),
        ):
            data = file.create_dataset(name, (len(labels),), h5py.vlen_dtype(np.dtype(dtype)))
            for index, value in enumerate(values):
                data[index] = value
        file["labels"] = np.array(labels, dtype=np.uint16)
        file["extra/keys"] = np.array([b"null"])
        file["extra/speaker"] = np.zeros(len(labels))


def test_spiking_speech(folder):
    for name in ("shd_train", "shd_test"):
        hsd_file(folder / f"SHD/{name}.h5")
    pools = sets.shd(DATASETS["shd"], folder)
    assert pools["train"].labels.tolist() == [4, 19]
    # 700 channels in 140, 14 ms a bin: 0.5 s is in bin 35.
    assert np.argwhere(pools["train"].inputs[1]).tolist() == [[0, 0], [35, 139]]
    for name in ("ssc_train", "ssc_valid", "ssc_test"):
        hsd_file(folder / f"SSC/{name}.h5", labels=(34,))
    pools = sets.ssc(DATASETS["ssc"], folder)
    assert {split: pool.labels.tolist() for split, pool in pools.items()} == {
        "train": [34],
        "validation": [34],
        "test": [34],
    }
    assert np.argwhere(pools["validation"].inputs[0]).tolist() == [[0, 0], [50, 139]]


def test_bad_spiking_speech(folder):
    card = DATASETS["shd"]
    for name in ("shd_train", "shd_test"):
        hsd_file(folder / f"SHD/{name}.h5", labels=(20,), units=(1, 2))
    with pytest.raises(DataError, match=r"shd train, sample 0: label 20, expected 0..19"):
        sets.shd(card, folder)["train"].check(card)
    hsd_file(folder / "SHD/shd_train.h5", units=(1, 700))
    with pytest.raises(DataError, match=r"shd_train.h5, sample 0, event 1: pixel \(700, 0\) lies outside"):
        sets.shd(card.binned(Binning(steps=50)), folder)
    (folder / "SHD/shd_test.h5").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"shd test: not as tonic lays it out"):
        sets.shd(card.binned(Binning(steps=25)), folder)


def test_cifar10_dvs(folder, monkeypatch):
    from tonic.datasets import cifar10dvs

    fields = [("timestamp", np.uint64), ("x", np.uint16), ("y", np.uint16), ("on", bool)]
    for name in ("airplane", "truck"):
        write(folder / f"CIFAR10DVS/{name}/cifar10_{name}_0.aedat4", b"")
    if "aedat" not in sys.modules:
        with pytest.raises(
            InputError, match=r"cifar10-dvs: reading .*aedat4 needs the package aedat: pip install aedat"
        ):
            sets.cifar10_dvs(DATASETS["cifar10-dvs"], folder)
    events = np.array([(10**15, 0, 127, True), (10**15 + 7, 127, 0, False)], dtype=fields)
    monkeypatch.setattr(cifar10dvs, "read_aedat4", lambda path: events.copy())
    pools = sets.cifar10_dvs(DATASETS["cifar10-dvs"], folder)
    assert sorted(pools["train"].labels.tolist()) == [0, 9]
    assert pools["train"].read(0).tolist() == [(0, 127, 0, 1), (127, 0, 7, 0)]


def test_empty_folder_is_named(folder):
    for split in ("Train", "Test"):
        (folder / f"DVSGesture/ibmGesture{split}").mkdir(parents=True)
    with pytest.raises(DataError, match="dvs128-gesture train: holds no recordings"):
        sets.dvs_gesture(DATASETS["dvs128-gesture"], folder)


@pytest.mark.parametrize("name", NAMES)
def test_offline_is_one_line(name, folder, only_card):
    card = DATASETS[name]
    closed = replace(card, files=tuple(replace(file, url="http://127.0.0.1:9/x") for file in card.files))
    only_card(closed)
    with pytest.raises(
        DataError, match=rf"{name}: .* is missing and http://127.0.0.1:9/x failed .* put it in DIR/"
    ) as e:
        load_dataset(name, folder)
    assert "\n" not in str(e.value)
    assert data_table(folder)[0]["present"] == "no"
    assert len(verify(name, folder)) == len(card.files)


def test_unpacked_without_its_archive_is_present_but_not_verified(folder):
    nmnist_files(folder)
    row = next(row for row in data_table(folder) if row["name"] == "nmnist")
    assert row["present"] == "yes"
    problem = verify("nmnist", folder)[0]
    assert problem.startswith("NMNIST/train.zip is missing; what was unpacked from it into ")


@pytest.mark.parametrize("name", NAMES)
def test_cards_hold_tonics_addresses_and_checksums(name):
    from tonic import datasets

    cls = {"cifar10-dvs": "CIFAR10DVS", "dvs128-gesture": "DVSGesture"}.get(name, name.upper())
    known = {value for key, value in vars(getattr(datasets, cls)).items() if key.endswith("md5")}
    assert {file.md5 for file in DATASETS[name].files} == known
    assert all(file.path.startswith(f"{cls}/") for file in DATASETS[name].files)
    assert DATASETS[name].sensor == getattr(datasets, cls).sensor_size


def test_archives_other_than_zip(folder):
    from spikemark.data.tonic_sets import _unpack

    file = DATASETS["dvs128-gesture"].files[0]
    source = folder / "a.npy"
    source.write_bytes(b"x")
    with tarfile.open(folder / "ibmGestureTrain.tar.gz", "w:gz") as archive:
        archive.add(source, "ibmGestureTrain/user01_led/0.npy")
    _unpack(folder / "ibmGestureTrain.tar.gz", file)
    assert (files.cache_folder() / "DVSGesture/ibmGestureTrain/user01_led/0.npy").read_bytes() == b"x"


@pytest.mark.parametrize("way", ["above", "absolute", "link"])
def test_archives_cannot_leave_their_folder(folder, way):
    from spikemark.data.tonic_sets import _unpack

    path = folder / "ibmGestureTrain.tar.gz"
    member = tarfile.TarInfo({"above": "../../../out", "absolute": str(folder / "out"), "link": "link"}[way])
    if way == "link":
        member.type, member.linkname = tarfile.SYMTYPE, str(folder)
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(member)
    if way == "absolute":  # taken as relative
        _unpack(path, DATASETS["dvs128-gesture"].files[0])
    else:
        with pytest.raises(DataError, match=r"ibmGestureTrain.tar.gz: not a whole archive"):
            _unpack(path, DATASETS["dvs128-gesture"].files[0])
        assert sorted(p.name for p in (files.cache_folder() / "DVSGesture").iterdir()) == [".spikemark.lock"]
    assert not (folder / "out").exists()
    assert not (folder.parent / "out").exists()


def test_zip_archives_cannot_leave_their_folder(folder):
    from spikemark.data.tonic_sets import _unpack

    with zipfile.ZipFile(folder / "train.zip", "w") as archive:
        archive.writestr("../../../../out", "x")
        archive.writestr("/out", "x")
    _unpack(folder / "train.zip", DATASETS["nmnist"].files[0])
    assert not list(folder.parent.glob("out"))
    assert [p.name for p in (files.cache_folder() / "NMNIST").iterdir() if p.name != ".spikemark.lock"] == ["out"]


def test_processes_that_unpack_at_once_do_it_once(folder, monkeypatch):
    """The second waits; what the first killed one left half unpacked is nobody's."""
    file = DATASETS["dvs128-gesture"].files[0]
    (folder / "0.npy").write_bytes(b"x" * 1000)
    with tarfile.open(folder / "ibmGestureTrain.tar.gz", "w:gz") as archive:
        archive.add(folder / "0.npy", "ibmGestureTrain/user01_led/0.npy")
    killed = files.cache_folder() / "DVSGesture" / ".spikemark-killed.part" / "ibmGestureTrain"
    killed.mkdir(parents=True)
    unpackings = []
    extract = sets._extract

    def slowly(archive, own):
        unpackings.append(own)
        time.sleep(0.3)
        extract(archive, own)

    monkeypatch.setattr(sets, "_extract", slowly)
    with ThreadPoolExecutor(2) as both:
        list(both.map(lambda _: sets._unpack(folder / "ibmGestureTrain.tar.gz", file), range(2)))
    assert len(unpackings) == 1
    assert unpackings[0].name.startswith(".spikemark-")
    found = files.cache_folder() / "DVSGesture/ibmGestureTrain/user01_led/0.npy"
    assert found.read_bytes() == b"x" * 1000
    assert not killed.exists()
