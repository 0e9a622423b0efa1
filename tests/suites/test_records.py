import json
import logging
import tarfile
from functools import reduce
from operator import getitem

import numpy as np
import pytest

from spikemark.core.measurement import pack_correct, unpack_correct
from spikemark.errors import InputError
from spikemark.suites.packed import PACKED, pack
from spikemark.suites.records import COLUMNS, ResultsError, key_of, load_records, load_results, write_record


def record(key="0123456789abcdef", measurements=None, epochs=3, **cell):
    axes = {
        "measure": "accuracy",
        "subject": "system",
        "framework": "reference",
        "neuron": "lif",
        "system": "mlp-lif",
        "dataset": "digits",
        "seed": 0,
        "settings": {"training": {"epochs": epochs, "batch_size": 8}, "sizes": {"train": None}},
    }
    return {
        "schema": 2,
        "key": key,
        "training": "fedcba9876543210",
        "suite": "smoke",
        "cell": axes | cell,
        "chance": 0.1,
        "route": {"kind": "native", "why": "it is"},
        "environment": {},
        "status": "ok",
        "error": None,
        "measurements": [{"metric": "accuracy", "value": 0.5, "unit": "fraction", "split": "test"}]
        if measurements is None
        else measurements,
        "fingerprints": {},
        "started": "2026-01-01T00:00:00+00:00",
        "seconds": 1.0,
    }


def test_round_trip_and_columns(tmp_path):
    rows = [
        {"metric": "accuracy", "value": 0.5, "unit": "fraction", "split": "test", "noise": "gaussian", "severity": 3},
        {"metric": "macs", "value": 12.0, "unit": "1/sample", "layer": "fc"},
    ]
    write_record(tmp_path, record(measurements=rows))
    frame = load_results(tmp_path)
    assert list(frame.columns)[: len(COLUMNS)] == COLUMNS
    assert frame["settings.training.epochs"].tolist() == [3, 3]
    assert list(frame.metric) == ["accuracy", "macs"]
    assert frame.severity[0] == 3
    assert np.isnan(frame.severity[1])
    assert frame.layer[1] == "fc"
    assert frame.layer.isna()[0]
    assert set(frame.key) == {"0123456789abcdef"}


def test_a_failed_cell_keeps_a_row(tmp_path):
    write_record(tmp_path, record(measurements=[]) | {"status": "failed", "error": "boom"})
    frame = load_results(tmp_path)
    assert len(frame) == 1
    assert frame.status[0] == "failed"
    assert np.isnan(frame.value[0])


def test_writing_leaves_no_other_file_and_nothing_half_written(tmp_path):
    path = write_record(tmp_path, record())
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    with pytest.raises(ValueError, match="JSON"):
        write_record(tmp_path, record(measurements=[{"metric": "x", "value": float("nan"), "unit": "1"}], seed=1))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_an_error_that_is_no_text_is_kept(tmp_path):
    """Such as that of a path that cannot be decoded."""
    write_record(tmp_path, record(measurements=[]) | {"status": "failed", "error": "no file \udcff.py"})
    (found,) = load_records(tmp_path)
    assert found["error"] == "no file ?.py"


def test_torn_records_are_named_and_left_as_they_are(tmp_path, caplog):
    whole = write_record(tmp_path, record())
    torn = tmp_path / "train_reference_mlp-lif_digits_1_ffff.json"
    torn.write_text(whole.read_text()[:100])
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with caplog.at_level(logging.WARNING):
        records = load_records(tmp_path)
    assert len(records) == 1
    assert torn.name in caplog.text
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("content", ['{"hello": 1}', "[1, 2]", "3"])
def test_files_that_are_not_ours_are_named_and_left_alone(tmp_path, content, caplog):
    write_record(tmp_path, record())
    (tmp_path / "settings.json").write_text(content)
    with caplog.at_level(logging.WARNING):
        assert len(load_records(tmp_path)) == 1
    assert f"no records of spikemark: {tmp_path / 'settings.json'}" in caplog.text
    assert (tmp_path / "settings.json").read_text() == content


def test_other_schema_is_named(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(record() | {"schema": 1}))
    with pytest.raises(ResultsError, match=r"a\.json has schema 1; this version reads schema 2"):
        load_results(tmp_path)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda r: r.pop("status"), "status: is missing"),
        (lambda r: r.update(status="fine"), "status: 'fine' is not one of 'ok'"),
        (lambda r: r.update(seconds="long"), "seconds: .*found 'long'"),
        (lambda r: r.update(speed=1), "speed: there is no field 'speed'"),
        (lambda r: r["cell"].pop("seed"), "cell.seed: is missing"),
        (lambda r: r["cell"].update(seed="zero"), "cell.seed: .*found 'zero'"),
        (lambda r: r["measurements"][0].pop("value"), "measurements.0.value: is missing"),
        (lambda r: r["measurements"][0].update(value=None), "measurements.0.value: .*found None"),
        (lambda r: r.update(measurements={}), "measurements: .*found {}"),
    ],
)
def test_records_are_validated_whole(tmp_path, edit, message):
    data = record()
    edit(data)
    (tmp_path / "a.json").write_text(json.dumps(data))
    with pytest.raises(ResultsError, match=rf"a\.json: .*{message}"):
        load_records(tmp_path)


@pytest.mark.parametrize("number", ["1e999", "NaN", "-Infinity"])
@pytest.mark.parametrize("place", ["measurements.0.value", "seconds", "chance"])
def test_numbers_that_are_none_are_named(tmp_path, number, place):
    data = record()
    *path, last = [int(part) if part.isdigit() else part for part in place.split(".")]
    reduce(getitem, path, data)[last] = 12321
    (tmp_path / "a.json").write_text(json.dumps(data).replace("12321", number))
    with pytest.raises(ResultsError, match=rf"a\.json: {place}: .*finite number"):
        load_records(tmp_path)


def test_a_packed_folder_reads_like_the_folder(tmp_path, caplog):
    folder = tmp_path / "quick"
    for seed in range(20):
        write_record(folder, record(key=f"{seed:016x}", seed=seed))
    packed = pack(folder)
    assert packed == tmp_path / f"quick{PACKED}"
    assert load_records(packed) == load_records(folder)
    assert packed.stat().st_size < sum(path.stat().st_size for path in folder.iterdir()) / 10
    assert pack(folder, tmp_path / f"again{PACKED}").read_bytes() == packed.read_bytes(), (
        "the same records, the same bytes"
    )
    with caplog.at_level(logging.WARNING):
        assert len(load_records(tmp_path)) == 20, "a folder may hold both"
    assert "left out, copies of other records" in caplog.text


def test_a_damaged_packed_file_is_named(tmp_path):
    path = tmp_path / f"x{PACKED}"
    path.write_bytes(b"no archive")
    with pytest.raises(InputError, match="is damaged"):
        load_records(path)
    folder = tmp_path / "f"
    write_record(folder, record())
    whole = pack(folder).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="is damaged"):
        load_records(path)


def test_members_of_a_packed_file_are_never_written(tmp_path):
    member = tmp_path / "evil.json"
    member.write_text(json.dumps(record()))
    packed = tmp_path / "in" / f"x{PACKED}"
    packed.parent.mkdir()
    with tarfile.open(packed, "w:xz") as archive:
        archive.add(member, arcname="../../escaped.json")
    assert len(load_records(packed)) == 1
    assert [path.name for path in packed.parent.iterdir()] == [packed.name]


def test_nothing_there(tmp_path):
    with pytest.raises(ResultsError, match="holds no records"):
        load_results(tmp_path)
    with pytest.raises(ResultsError, match="does not exist"):
        load_results(tmp_path / "absent")


def test_keys_depend_on_content_and_not_on_order():
    assert key_of({"a": 1, "b": 2}) == key_of({"b": 2, "a": 1})
    assert key_of({"a": 1}) != key_of({"a": 2})
    assert len(key_of({})) == 16


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 1000])
def test_correctness_survives_packing(size):
    correct = np.random.default_rng(0).random(size) < 0.5
    assert (unpack_correct(pack_correct(correct)) == correct).all()
