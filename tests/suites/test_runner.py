"""The runner on a pool that executes nothing: what it schedules, skips, keeps and kills."""

import json
import time
from concurrent.futures import Future
from dataclasses import replace

import pytest

from spikemark.core.adapter import Unsupported
from spikemark.errors import InputError
from spikemark.measures.energy import Energy
from spikemark.registry import PluginError
from spikemark.suites import dispatch, place, runner
from spikemark.suites.execution import failed_record, lost_record, run_jobs
from spikemark.suites.jobs import resolve, select
from spikemark.suites.place import Place
from spikemark.suites.records import load_records
from spikemark.suites.suite import load_suite
from spikemark.suites.workers import InProcessPool
from spikemark.training import loop


class FakePool:
    """Finishes groups at once, unless told otherwise; remembers the order."""

    unlike = False

    def __init__(self, size=2, errors=(), hang=()):
        self.names, self.errors, self.hang = [f"w{index}" for index in range(size)], set(errors), set(hang)
        self.submitted, self.stopped = [], []

    def workers(self):
        return self.names

    def submit(self, group, worker):
        self.submitted.append(group)
        future = Future()
        names = {str(job) for job in group}
        if names & self.hang:
            return future
        if names & self.errors:
            future.set_exception(RuntimeError("boom"))
        else:
            future.set_result([lost_record(job, "cpu", "ok", None) for job in group])
        return future

    def began(self, future):
        return time.monotonic()

    def stop(self, worker):
        self.stopped.append(worker)

    def close(self):
        pass

    @property
    def jobs(self):
        return [job for group in self.submitted for job in group]


@pytest.fixture
def jobs():
    return resolve(load_suite("smoke").points())


def test_every_job_leaves_a_record_and_a_rerun_is_a_no_op(jobs, tmp_path):
    pool = FakePool()
    summary = runner.run(jobs, tmp_path, pool, "cpu")
    assert summary.statuses == {"ok": len(jobs)}
    assert len(load_records(tmp_path)) == len(jobs)
    again = runner.run(jobs, tmp_path, FakePool(), "cpu")
    assert again.skipped == len(jobs)
    assert not again.statuses


def test_exclusive_jobs_run_last(jobs, tmp_path):
    pool = FakePool()
    runner.run(jobs[::-1], tmp_path, pool, "cpu")
    flags = [job.exclusive for job in pool.jobs]
    assert flags == sorted(flags)


def test_jobs_of_one_training_run_together(jobs, tmp_path):
    pool = FakePool()
    runner.run(jobs, tmp_path, pool, "cpu")
    trained = [group for group in pool.submitted if group[0].training]
    assert [[job.axes["measure"] for job in group] for group in trained] == [["accuracy", "robustness", "energy"]] * 2
    assert all(len({job.training for job in group}) == 1 for group in trained)


def test_a_process_that_raises_becomes_records_and_its_jobs_run_again(jobs, tmp_path):
    broken = str(jobs[0])
    summary = runner.run(jobs, tmp_path, FakePool(errors=[broken]), "cpu")
    assert summary.statuses == {"ok": len(jobs) - 3, "failed": 3}
    assert summary.failed == 3
    failed = [r for r in load_records(tmp_path) if r["status"] == "failed"]
    assert all(record["error"].startswith("RuntimeError: boom") for record in failed)
    pool = FakePool()
    assert runner.run(jobs, tmp_path, pool, "cpu").failed == 0
    assert [job.group for job in pool.jobs] == [jobs[0].group] * 3
    assert len(load_records(tmp_path)) == len(jobs)


def test_fail_fast_starts_nothing_more(jobs, tmp_path):
    summary = runner.run(jobs, tmp_path, FakePool(size=1, errors=[str(jobs[0])]), "cpu", fail_fast=True)
    assert summary.statuses == {"failed": 3}
    assert summary.not_run == len(jobs) - 3


def test_a_group_that_hangs_is_killed_and_recorded(jobs, tmp_path, monkeypatch):
    monkeypatch.setattr(dispatch, "GRACE_SECONDS", -1e9)
    pool = FakePool(hang=[str(jobs[0])])
    summary = runner.run(jobs, tmp_path, pool, "cpu")
    assert summary.statuses == {"ok": len(jobs) - 3, "timeout": 3}
    assert len(pool.stopped) == 1


def test_an_interrupt_keeps_what_is_finished(jobs, tmp_path):
    seen = []

    def stop(record):
        seen.append(record)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run(jobs, tmp_path, FakePool(size=1), "cpu", on_record=stop)
    assert len(load_records(tmp_path)) == 3, "all of the group that had ended"
    pool = FakePool()
    runner.run(jobs, tmp_path, pool, "cpu")
    assert len(pool.jobs) == len(jobs) - 3


def test_torn_record_runs_again(jobs, tmp_path):
    runner.run(jobs[:1], tmp_path, FakePool(), "cpu")
    (path,) = tmp_path.glob("*.json")
    path.write_text(path.read_text()[:50])
    todo, done = runner.plan(jobs[:1], tmp_path)
    assert (len(todo), done) == (1, 0)
    assert path.exists()
    runner.run(jobs[:1], tmp_path, FakePool(), "cpu")
    assert len(load_records(tmp_path)) == 1


def test_unwritable_folder_is_an_input_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(InputError, match=r"--out .*file: cannot write there"):
        runner.check_writable(blocked)


def test_no_gpu_is_an_input_error(jobs, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="--device cuda"):
        place.check(place.needs_of(jobs), Place("cuda"))


def test_the_smoke_suite_for_real(tmp_path, jobs):
    """Every measure once, on the oracle, in this process."""
    events = []
    pool = InProcessPool(Place(weights=tmp_path / "weights"), events.append)
    summary = runner.run(jobs, tmp_path, pool, "cpu")
    pool.close()
    assert summary.statuses == {"ok": len(jobs)}
    assert {event["job"] for event in events if "epoch" not in event} == set(map(str, jobs))
    assert {event["epoch"] for event in events if "epoch" in event} == set(range(1, 7))
    records = {record["cell"]["measure"]: record for record in load_records(tmp_path)}
    metrics = {name: {row["metric"] for row in record["measurements"]} for name, record in records.items()}
    assert {"accuracy", "loss", "parameters", "saved_bytes"} <= metrics["accuracy"]
    assert {"macs", "acs", "neuron_updates", "energy", "firing_rate"} <= metrics["energy"]
    assert {"samples_per_second", "training_samples_per_second", "latency", "peak_memory"} <= metrics["throughput"]
    assert {"differing_spikes", "gradient_error"} <= metrics["conformance"]
    noisy = {(row["noise"], row["severity"]) for row in records["robustness"]["measurements"]}
    assert noisy == {(noise, s) for noise in ("gaussian", "spike-deletion") for s in (0, 1, 5)}
    assert "noise:gaussian:5" in records["robustness"]["fingerprints"]
    accuracy = records["accuracy"]
    assert {"initial_weights", "batch_order"} <= accuracy["fingerprints"].keys()
    assert accuracy["correct"].startswith("200:")
    assert accuracy["route"]["kind"] == "native"
    assert accuracy["chance"] == 0.1
    trained = accuracy["trained"]
    assert [epoch["epoch"] for epoch in trained["curve"]] == list(range(1, 7))
    assert trained["rule"]["loss"] == "mse-rate"
    assert len(trained["recall"]) == 10
    assert set(trained["silent"]) == {"hidden1.neurons", "output.neurons"}
    json.dumps(accuracy, allow_nan=False)


def trained_jobs(measures="accuracy,robustness,energy"):
    return resolve(select(load_suite("smoke").points(), ["system=mlp-stl", f"measure={measures}"]))


def test_what_learned_parameters_did_is_recorded(tmp_path):
    (record,) = run_jobs(trained_jobs("accuracy"), Place(), lambda event: None)
    changes = {change["layer"]: change for change in record["trained"]["parameters"]}
    assert set(changes) == {"hidden1.neurons", "output.neurons"}
    hidden = changes["hidden1.neurons"]
    assert (hidden["parameter"], hidden["count"]) == ("threshold", 256)
    assert hidden["first"] == sorted(hidden["first"])
    assert hidden["first"][3] == pytest.approx(2.0, abs=1e-3)
    assert hidden["last"] != hidden["first"]


def test_a_further_measure_trains_nothing_again(tmp_path, monkeypatch):
    place = Place(weights=tmp_path)
    first = run_jobs(trained_jobs(), place, lambda event: None)

    def refuse(*args, **kwargs):
        raise AssertionError("trained again")

    monkeypatch.setattr("spikemark.measures.subject.train", refuse)
    again = run_jobs(trained_jobs(), place, lambda event: None)
    for before, after in zip(first, again, strict=True):
        assert after["status"] == "ok", after["error"]
        assert after["measurements"] == before["measurements"]
        assert after["fingerprints"] == before["fingerprints"]
    (without,) = run_jobs(trained_jobs("energy"), Place(), lambda event: None)
    assert without["status"] == "failed"
    assert "trained again" in without["error"]


def test_a_measure_that_fails_keeps_the_numbers_of_the_others(monkeypatch):
    def uncountable(self, subject):
        raise Unsupported("layer 'x' cannot be counted")

    monkeypatch.setattr(Energy, "run", uncountable)
    records = run_jobs(trained_jobs(), Place(), lambda event: None)
    assert [record["status"] for record in records] == ["ok", "ok", "unsupported"]
    assert records[2]["error"] == "layer 'x' cannot be counted"
    assert records[0]["measurements"]
    assert records[1]["measurements"]


def test_a_dead_network_is_degenerate_in_all_its_records(monkeypatch):
    def silent(model, *args, **kwargs):
        trained = loop.train(model, *args, **kwargs)
        for state in (trained.best_state, trained.last_state):
            state["hidden1.synapses.weight"].zero_()
            state["hidden1.norm.bias"].fill_(-9.0)
        return trained

    monkeypatch.setattr("spikemark.measures.subject.train", silent)
    records = run_jobs(trained_jobs(), Place(), lambda event: None)
    assert [record["status"] for record in records] == ["degenerate"] * 3
    assert "classes are never predicted" in records[0]["error"]
    assert records[0]["measurements"], "the numbers are kept, for people to look at"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "measurements.0.value: Input should be a finite number, found nan"),
        (float("-inf"), "measurements.0.value: Input should be a finite number, found -inf"),
        ("many", "measurements.0.value: Input should be a valid number, found 'many'"),
        (None, "measurements.0.value: Input should be a valid number, found None"),
    ],
)
def test_a_measure_that_gives_no_number_fails_alone(monkeypatch, tmp_path, value, words):
    rows = [{"metric": "macs", "value": value, "unit": "1/sample"}]
    monkeypatch.setattr("spikemark.measures.energy.energy_rows", lambda *args: rows)
    jobs = trained_jobs()
    pool = InProcessPool(Place(), lambda event: None)
    assert runner.run(jobs, tmp_path, pool, "cpu").statuses == {"ok": len(jobs) - 1, "failed": 1}
    (failed,) = [record for record in load_records(tmp_path) if record["status"] == "failed"]
    assert (failed["cell"]["measure"], failed["measurements"], failed["error"]) == ("energy", [], words)


def test_training_that_diverges_says_so_in_all_its_records(monkeypatch):
    def diverges(*args, **kwargs):
        raise loop.DivergedError("the loss is nan in epoch 1")

    monkeypatch.setattr("spikemark.measures.subject.train", diverges)
    records = run_jobs(trained_jobs(), Place(), lambda event: None)
    assert {(record["status"], record["error"]) for record in records} == {("diverged", "the loss is nan in epoch 1")}


def test_a_job_past_its_time_says_so():
    jobs = [replace(job, timeout=-1.0) for job in trained_jobs("accuracy")]
    (record,) = run_jobs(jobs, Place(), lambda event: None)
    assert record["status"] == "timeout"


@pytest.mark.parametrize(
    ("name", "found"), [("nowhere 1.0", "does not have it"), ("other", "has another version of it")]
)
def test_a_process_with_another_plugin_runs_nothing(monkeypatch, name, found):
    job = trained_jobs("accuracy")[0]
    job = replace(job, content=dict(job.content) | {"plugins": {name: "planned"}})
    monkeypatch.setattr("spikemark.suites.execution.digests", lambda: {"other": "here"})
    with pytest.raises(PluginError, match=f"^plug-in {name}: the process that should run the job {found}") as raised:
        run_jobs([job], Place(), lambda event: None)
    assert failed_record(job, "cpu", raised.value)["error"] == str(raised.value)
