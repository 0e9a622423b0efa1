import json
import logging

import numpy as np
import pytest

from spikemark import load_results
from spikemark.core.measurement import pack_correct, unpack_correct
from spikemark.suites.records import COLUMNS, ResultsError, key_of, load_records, write_record


def record(key="0123456789abcdef", measurements=None, **cell):
    axes = {"measure": "train", "framework": "reference", "neuron": "lif", "system": "mlp-lif", "dataset": "digits"}
    return {
        "schema": 1,
        "key": key,
        "suite": "smoke",
        "cell": axes | {"seed": 0} | cell,
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
    assert tuple(frame.columns) == tuple(COLUMNS)
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
def test_foreign_files_are_named(tmp_path, content):
    (tmp_path / "other.json").write_text(content)
    with pytest.raises(ResultsError, match=r"other\.json is not a spikemark record"):
        load_results(tmp_path)


def test_other_schema_is_named(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(record() | {"schema": 99}))
    with pytest.raises(ResultsError, match="schema 99"):
        load_results(tmp_path)


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
