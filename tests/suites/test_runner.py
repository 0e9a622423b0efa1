"""The runner on a pool that executes nothing: what it schedules, skips, keeps and kills."""

import json
from concurrent.futures import Future

import pytest

from spikemark.errors import InputError
from spikemark.suites import execution, runner
from spikemark.suites.execution import lost_record
from spikemark.suites.records import load_records
from spikemark.suites.suite import load_suite
from spikemark.suites.workers import DaskPool, InProcessPool


class FakePool:
    """Finishes cells at once, unless told otherwise; remembers the order and how many were under way."""

    def __init__(self, size=2, errors=(), hang=()):
        self.size, self.errors, self.hang = size, set(errors), set(hang)
        self.submitted, self.killed = [], []

    def submit(self, cell, device):
        self.submitted.append(cell)
        future = Future()
        if str(cell) in self.hang:
            return future
        if str(cell) in self.errors:
            future.set_exception(RuntimeError("boom"))
        else:
            future.set_result(lost_record(cell, device, "ok", None))
        return future

    def kill(self, future):
        self.killed.append(future)
        return True

    def close(self):
        pass


@pytest.fixture
def cells():
    return load_suite("smoke").cells()


def test_every_cell_leaves_a_record_and_a_rerun_is_a_no_op(cells, tmp_path):
    pool = FakePool()
    summary = runner.run(cells, tmp_path, pool, "cpu")
    assert summary.statuses == {"ok": len(cells)}
    assert len(load_records(tmp_path)) == len(cells)
    again = runner.run(cells, tmp_path, FakePool(), "cpu")
    assert again.skipped == len(cells)
    assert not again.statuses


def test_exclusive_cells_run_last(cells, tmp_path):
    pool = FakePool()
    runner.run(cells[::-1], tmp_path, pool, "cpu")
    flags = [cell.exclusive for cell in pool.submitted]
    assert flags == sorted(flags)


def test_a_cell_that_raises_becomes_a_record_and_runs_again_next_time(cells, tmp_path):
    broken = str(cells[0])
    summary = runner.run(cells, tmp_path, FakePool(errors=[broken]), "cpu")
    assert summary.statuses == {"ok": len(cells) - 1, "failed": 1}
    assert summary.failed == 1
    (failed,) = [r for r in load_records(tmp_path) if r["status"] == "failed"]
    assert failed["error"].startswith("RuntimeError: boom")
    pool = FakePool()
    assert runner.run(cells, tmp_path, pool, "cpu").failed == 0
    assert [str(cell) for cell in pool.submitted] == [broken]
    assert len(load_records(tmp_path)) == len(cells)


def test_fail_fast_starts_nothing_more(cells, tmp_path):
    summary = runner.run(cells, tmp_path, FakePool(size=1, errors=[str(cells[0])]), "cpu", fail_fast=True)
    assert summary.statuses == {"failed": 1}
    assert summary.not_run == len(cells) - 1


def test_a_cell_that_hangs_is_killed_and_recorded(cells, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "GRACE_SECONDS", -1e9)
    stuck = str(cells[0])
    pool = FakePool(hang=[stuck])
    summary = runner.run(cells, tmp_path, pool, "cpu")
    assert summary.statuses == {"ok": len(cells) - 1, "timeout": 1}
    assert len(pool.killed) == 1


def test_an_interrupt_keeps_what_is_finished(cells, tmp_path):
    seen = []

    def stop(record):
        seen.append(record)
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run(cells, tmp_path, FakePool(size=1), "cpu", on_record=stop)
    assert len(load_records(tmp_path)) == 2
    pool = FakePool()
    runner.run(cells, tmp_path, pool, "cpu")
    assert len(pool.submitted) == len(cells) - 2


def test_torn_record_runs_again(cells, tmp_path):
    runner.run(cells[:1], tmp_path, FakePool(), "cpu")
    (path,) = tmp_path.glob("*.json")
    path.write_text(path.read_text()[:50])
    todo, done = runner.plan(cells[:1], tmp_path)
    assert (len(todo), done) == (1, 0)
    assert path.exists()
    runner.run(cells[:1], tmp_path, FakePool(), "cpu")
    assert len(load_records(tmp_path)) == 1


class SlowToEnd:
    """A cluster or a client whose `close` runs out of time, as on a busy machine."""

    workers = ()

    def cancel(self, futures):
        pass

    def close(self, timeout):
        raise TimeoutError


def test_workers_that_do_not_end_are_killed_and_the_run_does_not_fail():
    import subprocess
    import sys

    import psutil

    pool = object.__new__(DaskPool)
    worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pool._client, pool._cluster, pool._dask_futures = SlowToEnd(), SlowToEnd(), {}
    pool._processes = [psutil.Process(worker.pid)]
    pool.close()
    assert worker.wait(timeout=10) != 0


def test_unwritable_folder_is_an_input_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(InputError, match=r"--out .*file: cannot write there"):
        runner.check_writable(blocked)


def test_no_gpu_is_an_input_error(cells, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(InputError, match="--device cuda"):
        runner.check_runnable(cells, "cuda", None)


def test_the_smoke_suite_for_real(tmp_path, cells):
    """Every measure once, on the oracle, in this process."""
    events = []
    pool = InProcessPool(None, events.append)
    summary = runner.run(cells, tmp_path, pool, "cpu")
    pool.close()
    assert summary.statuses == {"ok": len(cells)}
    assert {event["epoch"] for event in events} == {1, 2}
    by_task = {record["cell"]["measure"]: record for record in load_records(tmp_path)}
    metrics = {task: {row["metric"] for row in record["measurements"]} for task, record in by_task.items()}
    assert {"accuracy", "loss", "macs", "acs", "neuron_updates", "energy", "firing_rate"} <= metrics["train"]
    assert {"samples_per_second", "training_samples_per_second", "latency", "peak_memory"} <= metrics["throughput"]
    assert {"differing_spikes", "gradient_error"} <= metrics["conformance"]
    train = by_task["train"]
    noisy = {(r["noise"], r["severity"]) for r in train["measurements"] if "noise" in r}
    assert noisy == {(noise, s) for noise in ("gaussian", "spike-deletion") for s in (0, 1, 5)}
    assert {"initial_weights", "batch_order", "noise:gaussian:5"} <= train["fingerprints"].keys()
    assert train["correct"].startswith("64:")
    assert train["cell"]["route"]["kind"] == "native"
    json.dumps(train, allow_nan=False)


def test_a_cell_past_its_time_says_so(cells, tmp_path):
    from dataclasses import replace

    cell = next(cell for cell in cells if cell.task == "train")
    record = execution.run_cell(replace(cell, timeout=-1.0), None, "cpu", lambda event: None)
    assert record["status"] == "timeout"
